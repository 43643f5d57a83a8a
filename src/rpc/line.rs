//! What one connection has open, and what ends it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    decisions::CHECK_STREAM,
    limits::{Bounds, Limits},
};
use crate::telemetry::{Lag, Limit};

/// A connection, as far as limits go: shared by what reads it, what answers it and what ends it.
#[derive(Debug)]
pub struct Line {
    bounds: Bounds,
    /// How late its core is.
    lag: Arc<Lag>,
    /// Cancelled where it is to end: calls in flight finish, streams end.
    ending: CancellationToken,
    began: Instant,
    /// There were too many connections when it came.
    in_reserve: bool,
    calls: AtomicUsize,
    begun: AtomicUsize,
    streams: AtomicUsize,
    health: AtomicUsize,
    /// The call that was let in last is not answered at once and for all.
    lasts: AtomicBool,
    /// Its peer speaks HTTP.
    speaks: AtomicBool,
    /// Since when its peer takes nothing: milliseconds from the beginning on; 0 where it does.
    stuck: AtomicU64,
    /// Since when a call of HTTP/1.1 begins whose head is not whole; as `stuck`.
    coming: AtomicU64,
}

impl Line {
    /// A new connection of a core as late as `lag` says, which ends at the latest when `drain` is cancelled; none where there are
    /// too many.
    pub(super) fn open(
        bounds: &Bounds,
        lag: Arc<Lag>,
        drain: &CancellationToken,
    ) -> Option<Arc<Self>> {
        let (load, most) = (bounds.load(), bounds.limits().connections);
        let regular = load.connections.enter(most);
        if !regular && !load.connections.enter(most.saturating_add(RESERVE)) {
            return None;
        }
        Some(Arc::new(Self {
            bounds: bounds.clone(),
            lag,
            ending: drain.child_token(),
            began: Instant::now(),
            in_reserve: !regular,
            calls: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            health: AtomicUsize::new(0),
            lasts: AtomicBool::new(false),
            speaks: AtomicBool::new(false),
            stuck: AtomicU64::new(0),
            coming: AtomicU64::new(0),
        }))
    }

    /// Lets a call of `path` in, or gives the limit and the headers of the answer that turns it away.
    pub(super) fn admit(self: &Arc<Self>, path: &str) -> Result<Permit, (Limit, HeaderMap)> {
        let kind = Kind::of(path);
        self.lasts.store(kind.lasts(), Relaxed);
        let Some(limit) = self.over(kind) else {
            self.calls.fetch_add(1, Relaxed);
            let begun = self.begun.fetch_add(1, Relaxed);
            if begun.is_multiple_of(LOOK) {
                // Why here, too: many calls that wait on few connections are read in one turn.
                self.lag.look();
            }
            let line = Arc::clone(self);
            return Ok(Permit { line, kind });
        };
        self.bounds.shed(limit);
        if limit == Limit::Connections {
            // Why: the peer does better on another connection, and one that asks for health here.
            self.end();
        }
        Err((limit, self.bounds.refusals().headers(limit)))
    }

    /// The limit that keeps a call of this kind out; else it counts from now on.
    fn over(&self, kind: Kind) -> Option<Limit> {
        let (load, limits) = (self.bounds.load(), self.bounds.limits());
        let (streams, most) = match kind {
            Kind::Health => (&self.health, HEALTH_CALLS),
            Kind::Stream | Kind::Reflection => (&self.streams, limits.streams_per_connection),
            Kind::Unary => (&self.streams, usize::MAX),
        };
        if streams.load(Relaxed) >= most {
            return Some(Limit::StreamsPerConnection);
        }
        if kind == Kind::Health {
            self.health.fetch_add(1, Relaxed);
            return None;
        }
        if self.in_reserve && load.connections.now() > limits.connections {
            return Some(Limit::Connections);
        }
        if self.lag.is_over() {
            return Some(Limit::Lag);
        }
        if !load.calls.enter(limits.calls) {
            return Some(Limit::Calls);
        }
        if kind != Kind::Unary {
            streams.fetch_add(1, Relaxed);
        }
        None
    }

    /// How long it may live. One that came when there were too many makes room for the next soon:
    /// it is for the questions of a probe.
    pub(super) fn lifetime(&self) -> Limits {
        let limits = *self.bounds.limits();
        if !self.in_reserve {
            return limits;
        }
        Limits {
            idle: Some(limits.handshake_timeout),
            age: Some(RESERVE_AGE),
            ..limits
        }
    }

    /// Lets it end: calls in flight finish, streams end.
    pub(super) fn end(&self) {
        self.ending.cancel();
    }

    /// Cancelled once it is to end.
    pub(super) fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// What it is bound by.
    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether the call that was let in last may stay open after its answer began. Each call is
    /// asked about once, right after it was let in.
    pub(super) fn last_call_lasts(&self) -> bool {
        self.lasts.load(Relaxed)
    }

    /// Its peer speaks HTTP.
    pub(super) fn speaks(&self) {
        self.speaks.store(true, Relaxed);
    }

    /// Octets of HTTP/1.1 came: where no call is open, another one begins.
    pub(super) fn comes(&self) {
        if self.calls.load(Relaxed) == 0 && self.coming.load(Relaxed) == 0 {
            self.coming.store(self.now(), Relaxed);
        }
    }

    /// The head of a call of HTTP/1.1 has come.
    pub(super) fn has_come(&self) {
        self.speaks();
        self.coming.store(0, Relaxed);
    }

    /// Its peer takes octets, or not.
    pub(super) fn takes(&self, takes: bool) {
        let stuck = self.stuck.load(Relaxed);
        if takes && stuck != 0 {
            self.stuck.store(0, Relaxed);
        } else if !takes && stuck == 0 {
            self.stuck.store(self.now(), Relaxed);
        }
    }

    /// Milliseconds from the beginning on; never 0.
    fn now(&self) -> u64 {
        let now = u64::try_from(self.began.elapsed().as_millis());
        now.unwrap_or(u64::MAX).max(1)
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let since = |at: &AtomicU64| match at.load(Relaxed) {
            0 => None,
            at => Some(self.began + Duration::from_millis(at)),
        };
        Standing {
            speaks: self.speaks.load(Relaxed),
            calls: self.calls.load(Relaxed),
            begun: self.begun.load(Relaxed),
            stuck: since(&self.stuck),
            coming: since(&self.coming),
        }
    }

    /// When it began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bounds.load().connections.leave();
    }
}

/// How a connection stands at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Standing {
    /// Its peer speaks HTTP.
    pub(super) speaks: bool,
    /// How many of its calls are in flight.
    pub(super) calls: usize,
    /// How many calls it has had.
    pub(super) begun: usize,
    /// Since when its peer takes nothing.
    pub(super) stuck: Option<Instant>,
    /// Since when a call of HTTP/1.1 begins whose head is not whole.
    pub(super) coming: Option<Instant>,
}

/// A call that counts as in flight until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    line: Arc<Line>,
    kind: Kind,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let line = &self.line;
        line.calls.fetch_sub(1, Relaxed);
        if self.kind == Kind::Health {
            line.health.fetch_sub(1, Relaxed);
            return;
        }
        line.bounds.load().calls.leave();
        if self.kind != Kind::Unary {
            line.streams.fetch_sub(1, Relaxed);
        }
    }
}

/// Whether `path` asks about health.
pub(super) fn is_health(path: &str) -> bool {
    path.starts_with(HEALTH)
}

/// What a call is to the limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// A question about health, which no limit of others' calls concerns: who is busy must not be
    /// taken for broken, and be started anew.
    Health,
    /// A stream of questions.
    Stream,
    /// Reflection, which is a stream, too.
    Reflection,
    /// A call with one question.
    Unary,
}

impl Kind {
    fn of(path: &str) -> Self {
        if path == CHECK_STREAM {
            Self::Stream
        } else if is_health(path) {
            Self::Health
        } else if path.starts_with(REFLECTION) {
            Self::Reflection
        } else {
            Self::Unary
        }
    }

    /// Whether it may stay open after its answer began.
    fn lasts(self) -> bool {
        self != Self::Unary
    }
}

const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.";

/// How many connections beyond the limit may ask for health alone, and for how long each.
const RESERVE: usize = 64;
const RESERVE_AGE: Duration = Duration::from_mins(1);

/// At which of its calls a connection looks whether its core is late: every so many.
const LOOK: usize = 16;

/// How many calls about health a connection may have open; a client watches each service once.
const HEALTH_CALLS: usize = 16;

#[cfg(test)]
mod tests;
