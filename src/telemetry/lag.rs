//! How late a core is: how long what is ready waits there until it is run.
//!
//! A probe is put behind all that waits, now and then; a connection that became readable at the same
//! moment is read when the probe is run. One long wait alone says nothing: a virtual machine that was
//! paused, or a process that was stopped, finds one probe that waited for all of that time and
//! nothing else that does.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How late one core is. It is written to by that core alone, and read by all.
#[derive(Debug)]
pub struct Lag {
    /// What may be; none: anything.
    limit: Option<Duration>,
    began: Instant,
    /// Since when a probe waits, in microseconds from the beginning on; 0: none does.
    waits_since: AtomicU64,
    /// How often that probe was seen to wait for too long, or how many in a row have.
    seen: AtomicU32,
    /// How long the last probe waited, in microseconds.
    last: AtomicU64,
    over: AtomicBool,
}

impl Lag {
    /// A core that is on time, and may be as late as `limit`.
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            began: Instant::now(),
            waits_since: AtomicU64::new(0),
            seen: AtomicU32::new(0),
            last: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// How late it may be; none: it is not measured.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Whether it is later than it may be.
    pub fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// How late it is: as the last probe found, or as the one that waits will find at least.
    pub fn now(&self) -> Duration {
        let waits = self.waited(self.moment());
        Duration::from_micros(self.last.load(Relaxed).max(waits))
    }

    /// A probe was put behind all that waits.
    pub fn begin(&self) {
        self.begin_at(self.moment());
    }

    /// The probe was run.
    pub fn end(&self) {
        self.end_at(self.moment());
    }

    /// Sees whether the probe waits for too long already.
    pub fn look(&self) {
        if self.waits_since.load(Relaxed) != 0 {
            self.look_at(self.moment());
        }
    }

    fn begin_at(&self, now: u64) {
        self.waits_since.store(now, Relaxed);
    }

    fn look_at(&self, now: u64) {
        if self.is_long(self.waited(now)) {
            self.seen_once_more();
        }
    }

    fn end_at(&self, now: u64) {
        let waited = self.waited(now);
        self.waits_since.store(0, Relaxed);
        self.last.store(waited, Relaxed);
        if self.is_long(waited) {
            self.seen_once_more();
        } else {
            self.seen.store(0, Relaxed);
            // Why half: what is just below the limit would be above it again at once.
            if !self.is_long(waited.saturating_mul(2)) {
                self.over.store(false, Relaxed);
            }
        }
    }

    fn seen_once_more(&self) {
        let before = self.seen.load(Relaxed);
        self.seen.store(before.saturating_add(1), Relaxed);
        if before.saturating_add(1) >= SEEN {
            self.over.store(true, Relaxed);
        }
    }

    /// Whether so many microseconds are more than may be.
    fn is_long(&self, waited: u64) -> bool {
        self.limit
            .is_some_and(|limit| Duration::from_micros(waited) > limit)
    }

    fn waited(&self, now: u64) -> u64 {
        match self.waits_since.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        }
    }

    fn moment(&self) -> u64 {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        now.max(1)
    }
}

/// How often in a row a wait must have been seen to be too long.
const SEEN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a second, and a moment in microseconds.
    const LIMIT: Duration = Duration::from_millis(500);
    const MS: u64 = 1_000;

    /// A probe that waits from `at` on for `waits`, both in milliseconds, and is looked at now and
    /// then.
    fn probe(lag: &Lag, at: u64, waits: u64, looks: &[u64]) {
        lag.begin_at(at * MS);
        for look in looks {
            lag.look_at((at + look) * MS);
        }
        lag.end_at((at + waits) * MS);
    }

    #[test]
    fn one_long_wait_is_a_pause_and_several_are_not() {
        let lag = Lag::new(Some(LIMIT));
        // Ten seconds, seen once while it waits and once when it is run; then all is well.
        probe(&lag, 1, 10_000, &[10_000]);
        assert!(!lag.is_over());
        probe(&lag, 10_100, 1, &[]);
        probe(&lag, 20_000, 10_000, &[10_000]);
        assert!(!lag.is_over());
        // Two in a row are late.
        probe(&lag, 30_100, 501, &[]);
        assert!(lag.is_over());
    }

    #[test]
    fn it_is_late_before_a_long_wait_ends_and_until_waits_are_short() {
        let lag = Lag::new(Some(LIMIT));
        lag.begin_at(MS);
        for (look, over) in [(100, false), (502, false), (510, false), (520, true)] {
            lag.look_at(look * MS);
            assert_eq!(lag.is_over(), over, "{look}");
        }
        lag.end_at(5_001 * MS);
        assert!(lag.is_over());
        // Not at once, where it is nearly as late.
        probe(&lag, 6_000, 499, &[]);
        assert!(lag.is_over());
        probe(&lag, 7_000, 250, &[]);
        assert!(!lag.is_over());
    }

    #[test]
    fn what_may_be_as_late_as_it_likes_is_never_over() {
        let lag = Lag::new(None);
        for at in 1..10 {
            probe(&lag, at * 10_000, 9_000, &[1_000, 5_000, 8_000]);
        }
        assert!(!lag.is_over());
        assert!(lag.now() >= Duration::from_secs(9));
    }
}
