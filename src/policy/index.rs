//! The indexes of a connector set: what a decision looks up, resolved when the set is made.
//!
//! There are two worlds: what is enforced, and what would be if the reports were. One look-up finds
//! what holds in both, since they differ only at and below the connectors in report.

mod inbound;
mod outbound;

use std::num::NonZero;

use super::connector::{InboundConnector, Mode, Modes};

pub(super) use self::{
    inbound::{InboundIndex, NodeId, PartnerPattern},
    outbound::OutboundIndex,
};

/// Whether reports count as enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum World {
    /// As it is.
    Enforced,
    /// As if every connector in report were enforced.
    IfEnforced,
}

/// A connector's place in a chain: it, and which of its patterns matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    pub(super) connector: ConnectorId,
    pub(super) value: u32,
}

/// Where something stands in a list.
// Why: counted from 1, so that none takes no room of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Id(NonZero<u32>);

/// Where a connector stands in its set's list.
pub(super) type ConnectorId = Id;

/// What one chain comes to for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The most specific connector that applies.
    pub(super) first: Option<Slot>,
    /// The connectors that state each demand.
    pub(super) tls: Option<ConnectorId>,
    pub(super) min_version: Option<ConnectorId>,
    pub(super) origin: Option<ConnectorId>,
    /// A connector in report is among those that apply.
    pub(super) reported: bool,
    /// Without a recipient it cannot be told whether some connector applies.
    pub(super) open: bool,
}

impl World {
    /// The connectors that count, in the order in which they take their places: a later one takes
    /// the place of an earlier one with the same pattern and scope.
    fn counts(self, mode: Modes) -> Option<Pass> {
        match (self, mode.effective, mode.own) {
            (_, Mode::Off, _) | (_, _, Mode::Off) | (Self::Enforced, Mode::Report, _) => None,
            (_, _, Mode::Enforce) => Some(Pass::First),
            (_, _, Mode::Report) => Some(Pass::Second),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Pass {
    First,
    Second,
}

impl Id {
    /// The place `at`, counted from 0.
    // Why: a set has far fewer connectors and patterns, since its text is bounded at 64 MiB.
    pub(super) fn new(at: usize) -> Self {
        let id = u32::try_from(at).ok().and_then(|at| at.checked_add(1));
        Self(id.and_then(NonZero::new).unwrap_or(NonZero::<u32>::MAX))
    }

    /// The place, counted from 0.
    pub(super) fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Slot {
    fn new(connector: ConnectorId, value: usize) -> Self {
        Self {
            connector,
            value: u32::try_from(value).unwrap_or(u32::MAX),
        }
    }

    /// Takes `place`; of two patterns of one connector that are equal, the first written stays.
    fn take(self, place: &mut Option<Self>) {
        if place.is_none_or(|taken| taken.connector != self.connector) {
            *place = Some(self);
        }
    }
}

impl Chain {
    /// A connector that applies, after all the more specific ones.
    fn add(&mut self, slot: Slot, connectors: &[InboundConnector]) {
        let Some(connector) = connectors.get(slot.connector.at()) else {
            return;
        };
        let require = &connector.require;
        self.first = self.first.or(Some(slot));
        self.tls = self.tls.or(require.tls.map(|_| slot.connector));
        self.min_version = self
            .min_version
            .or(require.min_version.as_ref().map(|_| slot.connector));
        self.origin = self
            .origin
            .or(require.origin.as_ref().map(|_| slot.connector));
        self.reported |= connector.mode.reports();
    }

    /// All the more general connectors at once.
    fn add_all(&mut self, general: &Self) {
        self.first = self.first.or(general.first);
        self.tls = self.tls.or(general.tls);
        self.min_version = self.min_version.or(general.min_version);
        self.origin = self.origin.or(general.origin);
        self.reported |= general.reported;
    }
}
