//! Settling which texts come into force where sets claim the same domain.

use crate::{
    config::{self, finding::Finding},
    policy::ConnectorSet,
};

/// A set, and what could be in force of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contender<'a> {
    /// The good text in its file; none where that is not good, or the file is gone.
    pub(super) newest: Option<&'a ConnectorSet>,
    /// The text in force, with all its claims; none where there is none, or where it yields.
    pub(super) current: Option<&'a ConnectorSet>,
    /// The newest is not the one in force.
    pub(super) changed: bool,
}

/// What comes into force of a contender.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The newest text does.
    pub(super) accepted: bool,
    /// Why it does not: the line of its file, and what is to be said there.
    pub(super) overlaps: Vec<(u32, Finding)>,
}

/// Decides which texts come into force: of those that overlap, each changed one keeps what was;
/// again, until nothing overlaps.
pub(super) fn settle(contenders: &[Contender<'_>]) -> Vec<Settled> {
    let mut settled: Vec<Settled> = contenders
        .iter()
        .map(|contender| Settled {
            accepted: contender.newest.is_some(),
            overlaps: Vec::new(),
        })
        .collect();
    while refuse_overlapping(contenders, &mut settled) {}
    settled
}

/// True where one was refused, so that what is then in force must be looked at again.
fn refuse_overlapping(contenders: &[Contender<'_>], settled: &mut [Settled]) -> bool {
    let candidates = contenders.iter().zip(&*settled).enumerate();
    let (places, sets): (Vec<usize>, Vec<&ConnectorSet>) = candidates
        .filter_map(|(at, (contender, settled))| {
            let set = if settled.accepted {
                contender.newest
            } else {
                contender.current
            };
            set.map(|set| (at, set))
        })
        .unzip();
    let mut refused = Vec::new();
    for overlap in config::overlaps(&sets) {
        let [one, other] = overlap.findings(&sets);
        for ((at, claim), finding) in [(overlap.one, one), (overlap.other, other)] {
            let Some(&at) = places.get(at) else { continue };
            let changed = contenders
                .get(at)
                .is_some_and(|contender| contender.changed);
            if let Some(settled) = settled.get_mut(at)
                && changed
                && settled.accepted
            {
                settled.overlaps.push((claim.line, finding));
                refused.push(at);
            }
        }
    }
    for &at in &refused {
        if let Some(settled) = settled.get_mut(at) {
            settled.accepted = false;
        }
    }
    !refused.is_empty()
}
