//! The sets that somebody may ask: to those that have no other, there are no others.

use std::collections::BTreeSet;

use super::catalog::{Catalog, Chosen, Entry, NotFound, SelectedBy};
use crate::mail::Domain;

/// Which connector sets may be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Every set, also those that are yet to come.
    All,
    /// Those of these names, where they exist.
    Sets(BTreeSet<Box<str>>),
}

/// A catalog as somebody sees it: it answers as one that holds the sets of the scope only.
#[derive(Clone, Copy, Debug)]
pub struct Scoped<'a> {
    catalog: &'a Catalog,
    scope: &'a Scope,
}

impl Scope {
    /// Whether the set of this name may be asked.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Sets(names) => names.contains(name),
        }
    }
}

impl<'a> Scoped<'a> {
    /// What is in `scope` of `catalog`.
    pub fn new(catalog: &'a Catalog, scope: &'a Scope) -> Self {
        Self { catalog, scope }
    }

    /// The set that a call names.
    pub fn named(self, name: &str) -> Result<Chosen<'a>, NotFound> {
        if self.scope.includes(name) {
            self.catalog.named(name)
        } else {
            Err(NotFound::Named)
        }
    }

    /// The set that answers a call that names none: the one that accepts `domain`, else the
    /// default, else the only one.
    pub fn choose(self, domain: Option<&Domain>) -> Result<Chosen<'a>, NotFound> {
        let Scope::Sets(names) = self.scope else {
            return self.catalog.choose(domain);
        };
        let mut accepting = self.catalog.accepting(domain);
        let (entry, by) = match accepting.find(|entry| names.contains(entry.set.name())) {
            Some(entry) => (Some(entry), SelectedBy::AcceptedDomain),
            None => (self.default(names), SelectedBy::Default),
        };
        entry
            .filter(|entry| !entry.set.is_retired())
            .map(|entry| Chosen { entry, by })
            .ok_or(NotFound::Unnamed)
    }

    /// Whether more than one set answers calls.
    pub fn has_several(self) -> bool {
        match self.scope {
            Scope::All => self.catalog.serving() > 1,
            Scope::Sets(names) => self.serving(names).nth(1).is_some(),
        }
    }

    fn default(self, names: &'a BTreeSet<Box<str>>) -> Option<&'a Entry> {
        match self.catalog.default_set() {
            Some(name) if names.contains(name) => self.catalog.get(name),
            Some(_) | None => {
                let mut serving = self.serving(names);
                serving.next().filter(|_| serving.next().is_none())
            }
        }
    }

    fn serving(self, names: &'a BTreeSet<Box<str>>) -> impl Iterator<Item = &'a Entry> {
        let entries = names.iter().filter_map(move |name| self.catalog.get(name));
        entries.filter(|entry| entry.is_serving())
    }
}

#[cfg(test)]
mod tests;
