//! What could flood the log is said once in a second.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// Lets something be said once in a second, and counts how often it was not.
#[derive(Debug)]
pub struct Seldom {
    begin: Instant,
    /// From when on it may be said again, in nanoseconds since then.
    again: AtomicU64,
    unsaid: AtomicU64,
}

impl Seldom {
    /// How often it was not said since it last was; none where it is not to be said now.
    pub fn next(&self) -> Option<u64> {
        self.at(u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn at(&self, now: u64) -> Option<u64> {
        let again = self.again.load(Relaxed);
        let later = now.saturating_add(SECOND);
        let mine = now >= again
            && self
                .again
                .compare_exchange(again, later, Relaxed, Relaxed)
                .is_ok();
        if mine {
            return Some(self.unsaid.swap(0, Relaxed));
        }
        self.unsaid.fetch_add(1, Relaxed);
        None
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            again: AtomicU64::default(),
            unsaid: AtomicU64::default(),
        }
    }
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seldom_said_is_counted() {
        let seldom = Seldom::default();
        assert_eq!(seldom.at(0), Some(0));
        assert_eq!(seldom.at(1), None);
        assert_eq!(seldom.at(SECOND - 1), None);
        assert_eq!(seldom.at(SECOND), Some(2));
        assert_eq!(seldom.at(3 * SECOND), Some(0));
    }
}
