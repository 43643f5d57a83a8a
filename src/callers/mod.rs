//! Who may ask what: the callers, how each is known, and what each may ask. Pure.

mod allowance;
mod caller;
mod places;
mod token;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

pub use self::{
    allowance::{Allowance, Spent},
    caller::{Caller, Rights, Ways},
    places::Place,
    token::{SHORTEST_TOKEN, TokenHash, bearer},
};

/// All callers of a service, found by what they prove.
#[derive(Debug, Default)]
pub struct Callers {
    list: Vec<Arc<Caller>>,
    certificate_names: HashMap<Box<str>, usize, RandomState>,
    certificate_uris: HashMap<Box<str>, usize, RandomState>,
    /// Each with the place of its caller.
    tokens: Vec<(TokenHash, u32)>,
}

/// Whom a certificate is of.
#[derive(Clone, Copy, Debug)]
pub enum Certified<'a> {
    /// None of its names is a caller's.
    Nobody,
    /// All of its names that are a caller's are this one's.
    One(&'a Arc<Caller>),
    /// Its names are those of several callers.
    Several,
}

impl Callers {
    /// Callers with the ways by which each is known. No two have one in common, which who reads
    /// them has checked.
    pub fn new(callers: impl IntoIterator<Item = (Caller, Ways)>) -> Self {
        let mut all = Self::default();
        for (at, (caller, ways)) in (0_u32..).zip(callers) {
            let place = all.list.len();
            let named = |name: String| (name.into_boxed_str(), place);
            all.certificate_names
                .extend(ways.certificate_names.into_iter().map(named));
            all.certificate_uris
                .extend(ways.certificate_uris.into_iter().map(named));
            all.tokens
                .extend(ways.tokens.into_iter().map(|token| (token, at)));
            all.list.push(Arc::new(caller));
        }
        all
    }

    /// Lets each go on with the calls in flight and the allowance that it had among those `before`,
    /// the latter where it is of the same rate: a save gives nobody more.
    #[must_use]
    pub fn keeping(mut self, before: &Self) -> Self {
        let before: HashMap<&str, &Arc<Caller>, RandomState> = before
            .list
            .iter()
            .map(|caller| (caller.name(), caller))
            .collect();
        for caller in &mut self.list {
            if let (Some(old), Some(new)) = (before.get(caller.name()), Arc::get_mut(caller)) {
                new.go_on_from(old);
            }
        }
        self
    }

    /// Every caller, in the order of the file.
    pub fn list(&self) -> &[Arc<Caller>] {
        &self.list
    }

    /// Whom a verified certificate with these alternative names is of; the names of hosts are in
    /// lower case.
    pub fn certified(&self, dns_names: &[String], uris: &[String]) -> Certified<'_> {
        let names = dns_names
            .iter()
            .filter_map(|name| self.certificate_names.get(name.as_str()));
        let uris = uris
            .iter()
            .filter_map(|uri| self.certificate_uris.get(uri.as_str()));
        let mut places = names.chain(uris);
        let Some(first) = places.next() else {
            return Certified::Nobody;
        };
        if places.any(|other| other != first) {
            return Certified::Several;
        }
        self.list
            .get(*first)
            .map_or(Certified::Nobody, Certified::One)
    }

    /// Whom a token with this hash is of. It takes as long wherever the hash is, and where it is
    /// not.
    pub fn with_token(&self, hash: &TokenHash) -> Option<&Arc<Caller>> {
        let mut place = u32::MAX;
        for (known, at) in &self.tokens {
            place.conditional_assign(at, known.ct_eq(hash));
        }
        self.list.get(usize::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests;
