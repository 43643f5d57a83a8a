//! What peers may ask of one process, and for how long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tonic::Status;

use super::{failure::Failure, shed::Refusals};
use crate::telemetry::{Closed, Limit, Load, Metrics};

/// What peers may ask of one process, and for how long; `docs/operations.md` explains each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many octets a message may have.
    pub message_octets: usize,
    /// How many calls may be in flight in all.
    pub calls: usize,
    /// How many calls of one connection may be in flight.
    pub calls_per_connection: u32,
    /// How many of those may be streams of questions.
    pub streams_per_connection: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// How many octets of messages that have not come whole may be held in all.
    pub partial_octets: usize,
    /// How long what is ready may wait on a core until it is run; none: that is not measured.
    pub lag: Option<Duration>,
    /// How long a question may take to arrive whole, and as long again its answer to be taken.
    pub message_timeout: Duration,
    /// How long a peer may take until it speaks HTTP/2.
    pub handshake_timeout: Duration,
    /// For how long a connection may be without a call; none: for ever.
    pub idle: Option<Duration>,
    /// How old a connection may become; none: of any age.
    pub age: Option<Duration>,
    /// How long the calls of a connection that is to end may take.
    pub age_grace: Duration,
    /// After how much silence a peer is asked whether it is there; none: never.
    pub keepalive_interval: Option<Duration>,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
    /// How far apart the pings of a peer must be; none: as near as it likes.
    pub ping_interval: Option<Duration>,
}

/// The limits of a process, and what is open of what they bound; a clone counts the same.
#[derive(Clone, Debug)]
pub struct Bounds(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    metrics: Metrics,
    refusals: Refusals,
    began: Instant,
    /// When it was last said in the log that calls are shed: milliseconds from the beginning on.
    said: AtomicU64,
}

impl Bounds {
    /// Keeps to `limits`, and counts into `metrics`.
    pub fn new(limits: Limits, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            limits,
            metrics,
            refusals: Refusals::new(),
            began: Instant::now(),
            said: AtomicU64::new(0),
        }))
    }

    /// What may be.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What is.
    pub(super) fn load(&self) -> &Load {
        self.0.metrics.load()
    }

    /// The answers to calls that are turned away.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// Counts a call that was turned away, and says so in the log from time to time.
    pub(super) fn shed(&self, limit: Limit) {
        self.load().shed(limit);
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let said = self.0.said.load(Relaxed);
        let due = said == 0 || now.saturating_sub(said) >= SAY_EVERY;
        let mine = || {
            let said = self
                .0
                .said
                .compare_exchange(said, now.max(1), Relaxed, Relaxed);
            said.is_ok()
        };
        if due && mine() {
            tracing::warn!(
                limit = limit.as_str(),
                "calls are turned away for a limit of `[server.limits]`: \
                 postern_calls_shed_total counts them"
            );
        }
    }

    /// Counts a call that is turned away, and gives its status.
    pub(super) fn turned_away(&self, limit: Limit) -> Status {
        self.shed(limit);
        let status = Status::from_header_map(&self.refusals().headers(limit));
        status.unwrap_or_else(|| Failure::overloaded(limit).into())
    }

    /// Counts a connection that was closed from this side.
    pub(super) fn closed(&self, why: Closed) {
        self.load().closed(why);
        tracing::debug!(limit = why.as_str(), "a connection was closed");
    }
}

/// How often, in milliseconds, the log says that calls are turned away.
const SAY_EVERY: u64 = 10_000;
