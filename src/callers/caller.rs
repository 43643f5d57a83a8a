//! One caller.

use std::sync::Arc;

use super::{
    allowance::Allowance,
    places::{Place, Places},
    token::TokenHash,
};
use crate::policy::Scope;

/// A gateway, or a fleet of them, that may ask.
#[derive(Clone, Debug)]
pub struct Caller {
    name: Arc<str>,
    scope: Scope,
    may: Rights,
    allowance: Option<Arc<Allowance>>,
    /// How many calls it may have in flight; none: its share.
    calls: Option<usize>,
    places: Arc<Places>,
}

/// What a caller may ask for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rights {
    /// Decisions.
    pub check: bool,
    /// How decisions come about.
    pub explain: bool,
}

/// By what a caller is known; each of them alone is enough.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ways {
    /// Names of hosts among the alternative names of its certificate, in lower case.
    pub certificate_names: Vec<String>,
    /// URIs among them, as they are written.
    pub certificate_uris: Vec<String>,
    /// Its tokens.
    pub tokens: Vec<TokenHash>,
}

impl Caller {
    /// A caller of this name that may ask the sets of `scope` for what it `may`, and so many
    /// questions in a second where that is limited.
    pub fn new(name: &str, scope: Scope, may: Rights, calls_per_second: Option<u32>) -> Self {
        Self {
            name: name.into(),
            scope,
            may,
            allowance: calls_per_second.map(|rate| Arc::new(Allowance::per_second(rate))),
            calls: None,
            places: Arc::default(),
        }
    }

    /// The same, which may have so many calls in flight where that is said.
    #[must_use]
    pub fn with_calls(self, calls: Option<usize>) -> Self {
        Self { calls, ..self }
    }

    /// Its name in metrics, logs and traces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, for who keeps it longer.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The sets that it may ask.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it may ask for.
    pub fn may(&self) -> Rights {
        self.may
    }

    /// How much it may ask; none where that is not limited.
    pub fn allowance(&self) -> Option<&Allowance> {
        self.allowance.as_deref()
    }

    /// How many calls it may have in flight; none where that is not said.
    pub fn calls(&self) -> Option<usize> {
        self.calls
    }

    /// A place for one more call in flight, of as many as it may have, or of its `share`; none where
    /// all are taken.
    pub fn place(&self, share: usize) -> Option<Place> {
        self.places.take(self.calls.unwrap_or(share))
    }

    /// Goes on with the calls in flight of `before`, and with its allowance where that is of the
    /// same rate.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        self.places = Arc::clone(&before.places);
        if let (Some(own), Some(old)) = (&mut self.allowance, &before.allowance)
            && own.calls_per_second() == old.calls_per_second()
        {
            *own = Arc::clone(old);
        }
    }
}
