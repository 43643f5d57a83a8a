//! What is open, and what was turned away for a limit.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::tally::Counts;

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Level(AtomicUsize);

impl Level {
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
    pub(super) shed: Counts<{ Limit::ALL.len() }>,
    pub(super) closed: Counts<{ Closed::ALL.len() }>,
}

impl Load {
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
}

impl Limit {
    /// Every limit, in order.
    pub const ALL: [Self; 4] = [
        Self::Calls,
        Self::StreamsPerConnection,
        Self::Connections,
        Self::MessageTimeout,
    ];

    /// Its key in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::StreamsPerConnection => "streams_per_connection",
            Self::Connections => "connections",
            Self::MessageTimeout => "message_timeout",
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
