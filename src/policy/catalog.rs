//! All connector sets, and which of them answers a call.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use super::set::ConnectorSet;
use crate::mail::{Domain, DomainPattern, DomainTable};

/// All connector sets of a service.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    names: HashMap<Box<str>, usize, RandomState>,
    accepted_domains: DomainTable<usize>,
    default_set: Option<Box<str>>,
    default: Option<usize>,
    serving: usize,
}

/// A connector set in its catalog.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The set.
    pub set: Arc<ConnectorSet>,
    /// A newer text of it was refused: this is the last good one.
    pub stale: bool,
    /// The accepted domains that choose it; fewer than its own where its file is gone and another
    /// set claims them.
    pub claims: Vec<DomainPattern>,
    /// Its file has another name now, by which there was a set of the same text: it still answers
    /// those that name it, and does not count as one more.
    pub renamed: bool,
}

/// The set that answers a call.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The set and its state.
    pub entry: &'a Entry,
    /// Why it.
    pub by: SelectedBy,
}

/// Why a set answers a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SelectedBy {
    /// Its accepted domains cover the domain of the call.
    AcceptedDomain,
    /// It is the default, or the only one.
    Default,
    /// The call names it.
    Name,
}

/// No connector set answers the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotFound {
    /// The set that the call names does not exist.
    Named,
    /// None is named, and none answers for its domain.
    Unnamed,
}

impl Entry {
    /// A set that is as its file says.
    pub fn new(set: Arc<ConnectorSet>) -> Self {
        let claims = set
            .accepted_domains()
            .iter()
            .map(|domain| domain.pattern.value.clone())
            .collect();
        Self {
            set,
            stale: false,
            claims,
            renamed: false,
        }
    }

    /// Whether it answers calls, and counts as one of the sets that do.
    pub(super) fn is_serving(&self) -> bool {
        !self.set.is_retired() && !self.renamed
    }
}

impl Catalog {
    /// The sets of `entries`, of which the caller has checked that no two claim the same domain.
    ///
    /// `default_set` names the one that answers where no other does; where it is not given, a
    /// single set is its own default.
    pub fn new(mut entries: Vec<Entry>, default_set: Option<&str>) -> Self {
        entries.sort_by(|a, b| a.set.name().cmp(b.set.name()));
        let mut catalog = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            catalog.names.insert(entry.set.name().into(), at);
            for claim in &entry.claims {
                *catalog.accepted_domains.slot(claim) = Some(at);
            }
        }
        let mut serving = (0..).zip(&entries).filter(|(_, entry)| entry.is_serving());
        let first = serving.next();
        catalog.serving = usize::from(first.is_some()) + serving.count();
        catalog.default = match (default_set, first, catalog.serving) {
            (Some(name), _, _) => catalog.names.get(name).copied(),
            (None, Some((only, _)), 1) => Some(only),
            (None, _, _) => None,
        };
        catalog.default_set = default_set.map(Into::into);
        catalog.entries = entries;
        catalog
    }

    /// Every set, by name; those that are retired, too.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The set of this name, retired or not.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.names.get(name)?)
    }

    /// The name of the set that answers where no other does, whether it is there or not; none where
    /// a single set is its own default.
    pub(super) fn default_set(&self) -> Option<&str> {
        self.default_set.as_deref()
    }

    /// How many sets answer calls: those that are not retired, one of several names once.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// The set that a call names.
    pub fn named(&self, name: &str) -> Result<Chosen<'_>, NotFound> {
        let entry = self.get(name).filter(|entry| !entry.set.is_retired());
        entry
            .map(|entry| Chosen {
                entry,
                by: SelectedBy::Name,
            })
            .ok_or(NotFound::Named)
    }

    /// The set that answers a call that names none: the one that accepts `domain`, else the default.
    pub fn choose(&self, domain: Option<&Domain>) -> Result<Chosen<'_>, NotFound> {
        let (entry, by) = match self.accepting(domain).next() {
            Some(entry) => (Some(entry), SelectedBy::AcceptedDomain),
            None => (
                self.default.and_then(|at| self.entries.get(at)),
                SelectedBy::Default,
            ),
        };
        entry
            .filter(|entry| !entry.set.is_retired())
            .map(|entry| Chosen { entry, by })
            .ok_or(NotFound::Unnamed)
    }

    /// The sets that accept `domain`, the one with the most specific claim first; retired or not.
    pub(super) fn accepting(&self, domain: Option<&Domain>) -> impl Iterator<Item = &Entry> {
        let places = domain
            .into_iter()
            .flat_map(|domain| self.accepted_domains.covering(Some(domain)));
        places.filter_map(|&at| self.entries.get(at))
    }
}
