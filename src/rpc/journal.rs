//! Decisions on their way to the decision log.
//!
//! A decision leaves the octets of its question and of its answer, and goes on. The thread that
//! writes the log makes a [`line`] of them, with what settings hide left out.

mod certificates;
mod line;
mod reduce;
mod schema;

use std::{
    hash::{BuildHasher as _, Hasher as _},
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use foldhash::fast::FixedState;

pub use self::{
    line::Lines,
    reduce::{AddressKey, Addresses},
    schema::schema,
};
use super::{gate::Asking, peer::Origin, wire::PREFIX};
use crate::{
    policy::Decision,
    telemetry::{Rpc, decision_log::Feed},
};

/// Where decisions leave their records; a clone leaves them at the same place.
pub type Journal = Feed<Record>;

/// A decision that was given to a gateway, as octets.
#[derive(Debug)]
pub struct Record {
    at: SystemTime,
    rpc: Rpc,
    direction: Direction,
    peer: Option<IpAddr>,
    took: Duration,
    /// How many of the octets are the name of the caller, and how many after it the question.
    caller: usize,
    question: usize,
    /// The caller, the question and the answer, one after the other.
    octets: Box<[u8]>,
}

/// Which way mail goes that a question is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A decision, and what it was asked and answered with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'a> {
    pub(super) rpc: Rpc,
    pub(super) direction: Direction,
    pub(super) correlation_id: &'a str,
    pub(super) decision: &'a Decision<'a>,
    pub(super) took: Duration,
    /// The message that came.
    pub(super) question: &'a [u8],
    /// The message that goes, behind the prefix of gRPC where it is not of a stream.
    pub(super) answer: &'a [u8],
}

impl Decided<'_> {
    /// Leaves a record in `journal`, unless it is not to have one.
    pub(super) fn leave(self, asking: &Asking, journal: &Journal) {
        let now = SystemTime::now();
        let verdict = self.decision.verdict;
        let report = self.decision.if_enforced.as_ref();
        let changes = report.is_some_and(|report| report.verdict != verdict);
        let Some(worth) = journal.worth(verdict, changes, || hash(self.correlation_id, now)) else {
            return;
        };
        let caller = asking.caller_name().unwrap_or_default();
        let answer = match self.rpc {
            Rpc::CheckStream => self.answer,
            _ => self.answer.get(PREFIX..).unwrap_or_default(),
        };
        let parts = [caller.as_bytes(), self.question, answer];
        let length = parts.iter().map(|part| part.len()).sum();
        journal.queue().offer(verdict, worth, length, || Record {
            at: now,
            rpc: self.rpc,
            direction: self.direction,
            peer: address(asking),
            took: self.took,
            caller: caller.len(),
            question: self.question.len(),
            octets: parts.concat().into(),
        });
    }
}

impl Record {
    /// The name of the caller, the question and the answer.
    fn parts(&self) -> Option<(&str, &[u8], &[u8])> {
        let (caller, rest) = self.octets.split_at_checked(self.caller)?;
        let (question, answer) = rest.split_at_checked(self.question)?;
        Some((std::str::from_utf8(caller).ok()?, question, answer))
    }
}

/// What tells decisions apart of which a part is written down: all questions of a correlation id
/// come to the same, on every replica; without one chance decides.
fn hash(correlation_id: &str, now: SystemTime) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    if correlation_id.is_empty() {
        hasher.write_u128(
            now.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos(),
        );
    } else {
        hasher.write(correlation_id.as_bytes());
    }
    hasher.finish()
}

/// The address that a call comes from.
fn address(asking: &Asking) -> Option<IpAddr> {
    match asking.peer.origin {
        Origin::Network(address) => address.map(|address| address.ip().to_canonical()),
        Origin::Unix => None,
    }
}

#[cfg(test)]
mod tests;
