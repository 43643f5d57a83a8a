//! What is open, and what was turned away for a limit.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{lag::Lag, tally::Counts};

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Level(AtomicUsize);

impl Level {
    /// So many more, where there are at most `most` then.
    pub fn enter_many(&self, count: usize, most: usize) -> bool {
        let before = self.0.fetch_add(count, Relaxed);
        if before.saturating_add(count) <= most {
            return true;
        }
        self.leave_many(count);
        false
    }

    /// So many less.
    pub fn leave_many(&self, count: usize) {
        self.0.fetch_sub(count, Relaxed);
    }

    /// One more, where there are fewer than `most`.
    pub fn enter(&self, most: usize) -> bool {
        // Why not a loop that compares first: this is one addition, and too many is rare.
        if self.0.fetch_add(1, Relaxed) < most {
            return true;
        }
        self.leave();
        false
    }

    /// One less.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// How many there are.
    pub fn now(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// What is open and what was turned away, in all.
#[derive(Debug, Default)]
pub struct Load {
    /// Calls in flight, but for those about health.
    pub calls: Level,
    /// Connections.
    pub connections: Level,
    /// Octets of messages that have not come whole.
    pub partial_octets: Level,
    /// Of each core; none where that is not measured.
    lags: OnceLock<Vec<Arc<Lag>>>,
    pub(super) shed: Counts<{ Limit::ALL.len() }>,
    pub(super) closed: Counts<{ Closed::ALL.len() }>,
}

impl Load {
    /// How late each core is, from now on.
    pub fn measured_by(&self, lags: Vec<Arc<Lag>>) {
        // Cores are started once.
        self.lags.set(lags).unwrap_or_default();
    }

    /// How late each core is, where that is measured.
    pub(super) fn lags(&self) -> &[Arc<Lag>] {
        self.lags.get().map_or(&[], Vec::as_slice)
    }

    /// Counts a call that was turned away.
    pub fn shed(&self, limit: Limit) {
        self.shed.add(limit as usize);
    }

    /// Counts a connection that was closed from this side.
    pub fn closed(&self, why: Closed) {
        self.closed.add(why as usize);
    }
}

/// The limits for which calls are turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Calls in flight in all.
    Calls,
    /// Open streams of one connection.
    StreamsPerConnection,
    /// Connections: this one may ask for health alone.
    Connections,
    /// Time: the answer was not taken.
    MessageTimeout,
    /// How late the core is.
    Lag,
    /// Octets of messages that have not come whole.
    PartialOctets,
}

impl Limit {
    /// Every limit, in order.
    pub const ALL: [Self; 6] = [
        Self::Calls,
        Self::StreamsPerConnection,
        Self::Connections,
        Self::MessageTimeout,
        Self::Lag,
        Self::PartialOctets,
    ];

    /// Its key in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::StreamsPerConnection => "streams_per_connection",
            Self::Connections => "connections",
            Self::MessageTimeout => "message_timeout",
            Self::Lag => "lag",
            Self::PartialOctets => "partial_octets",
        }
    }
}

/// Why a connection was closed from this side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// There were too many.
    Connections,
    /// It did not come to speak HTTP/2 in time.
    HandshakeTimeout,
    /// It had no call for long.
    Idle,
    /// It was of age.
    Age,
    /// Its calls did not end in time once it was to end.
    AgeGrace,
    /// Its peer took nothing.
    MessageTimeout,
    /// Its peer sent too many pings, or frames without use.
    PingInterval,
}

impl Closed {
    /// Every cause, in order.
    pub const ALL: [Self; 7] = [
        Self::Connections,
        Self::HandshakeTimeout,
        Self::Idle,
        Self::Age,
        Self::AgeGrace,
        Self::MessageTimeout,
        Self::PingInterval,
    ];

    /// Its limit's key in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::AgeGrace => "age_grace",
            Self::MessageTimeout => "message_timeout",
            Self::PingInterval => "ping_interval",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_may_be() {
        let level = Level::default();
        assert!(level.enter(2) && level.enter(2));
        assert!(!level.enter(2));
        assert_eq!(level.now(), 2);
        level.leave();
        assert!(level.enter(2));
        assert!(level.enter_many(3, 5) && !level.enter_many(1, 5));
        level.leave_many(4);
        assert_eq!(level.now(), 1);
    }

    #[test]
    fn all_are_in_the_order_of_their_counters() {
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
        }
        for (at, why) in Closed::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
    }
}
