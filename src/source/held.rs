//! What is held of each connector set: what is in force, and what is in its file.

use std::{cmp::Reverse, collections::HashSet, sync::Arc, time::SystemTime};

use super::{
    file::Digest,
    journal::{Event, Events, Problem, Trouble},
    settle::Contender,
};
use crate::policy::{ConnectorSet, Entry};

/// A connector set, and what is known of its file.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The set that calls are answered from.
    pub(super) current: Option<Current>,
    /// The good text in the file, in force or not.
    pub(super) newest: Option<Good>,
    /// The octets in the file when it was last read.
    pub(super) digest: Option<Digest>,
    /// What is wrong with the text in the file, or with reading it.
    pub(super) refused: Vec<Problem>,
    /// What is worth a thought in the newest text.
    pub(super) warnings: Vec<Problem>,
    /// Why what is in the file is not in force.
    pub(super) trouble: Option<Trouble>,
    /// The file was there when the directory was last read.
    pub(super) there: bool,
    /// Since which pass it yields its claims to others, since its file was gone; until a text of
    /// its own comes into force again.
    pub(super) yields: Option<u64>,
    /// Its file has another name now, whatever is in that by now; until a text of its own comes
    /// into force again.
    pub(super) renamed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) set: Arc<ConnectorSet>,
    pub(super) digest: Digest,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) good: Good,
    pub(super) loaded_at: SystemTime,
}

impl Held {
    pub(super) fn contender(&self) -> Contender<'_> {
        let current = self.current.as_ref().map(|current| &current.good);
        let newest = self.newest.as_ref().filter(|_| self.there);
        let same = matches!((newest, current), (Some(new), Some(old)) if new.digest == old.digest);
        Contender {
            newest: newest.map(|good| &*good.set),
            current: current
                .filter(|_| self.yields.is_none())
                .map(|good| &*good.set),
            changed: !same || self.yields.is_some(),
        }
    }

    /// Puts the newest text in force.
    pub(super) fn accept(&mut self, now: SystemTime, events: &mut Events) {
        let Some(newest) = &self.newest else { return };
        self.yields = None;
        self.renamed = false;
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.good.digest == newest.digest)
        {
            return;
        }
        let current = Current {
            good: newest.clone(),
            loaded_at: now,
        };
        let old = self.current.replace(current).map(|old| old.good.set);
        let (set, warnings) = (Arc::clone(&newest.set), self.warnings.clone());
        events.list.push(Event::Loaded { set, old, warnings });
    }
}

/// Takes note of which sets' files have another name: they are gone, and another has their text.
pub(super) fn note_renamed<'h>(held: impl Iterator<Item = &'h mut Held>) {
    let (gone, there): (Vec<_>, Vec<_>) = held.partition(|held| held.yields.is_some());
    let digest = |held: &Held| held.current.as_ref().map(|current| current.good.digest);
    let texts: HashSet<Digest> = there.iter().filter_map(|held| digest(held)).collect();
    for held in gone {
        held.renamed |= digest(held).is_some_and(|digest| texts.contains(&digest));
    }
}

/// The sets in force of all that are `held`; all are `stale` where the directory cannot be trusted.
pub(super) fn entries<'h>(held: impl Iterator<Item = &'h Held>, stale: bool) -> Vec<Entry> {
    let mut in_force: Vec<_> = held
        .filter_map(|held| held.current.as_ref().map(|current| (held, current)))
        .collect();
    // Why: of those that yield, the one whose file went last had the claims until then.
    in_force.sort_by_key(|(held, _)| Reverse(held.yields.unwrap_or(u64::MAX)));
    let mut entries: Vec<Entry> = Vec::with_capacity(in_force.len());
    for (held, current) in in_force {
        let mut entry = Entry::new(Arc::clone(&current.good.set));
        entry.stale = held.trouble.is_some() || stale;
        if held.yields.is_some() {
            entry.renamed = held.renamed;
            entry.claims.retain(|claim| {
                let mut taken = entries.iter().flat_map(|entry| &entry.claims);
                // Why: the new name took the domains along, for good; it may be retired since.
                !held.renamed && !taken.any(|other| other.includes(claim) || claim.includes(other))
            });
        }
        entries.push(entry);
    }
    entries
}
