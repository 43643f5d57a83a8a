//! How much a caller may ask: a steady rate, and what one second of it comes to at once.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a caller may still ask. Every thread takes from the same one, and none waits for another.
///
/// It is a leaky bucket kept as one number (GCRA): the moment at which all that was taken would
/// have been earned.
#[derive(Debug)]
pub struct Allowance {
    calls_per_second: u32,
    /// What one question takes, in nanoseconds.
    step: u64,
    /// In nanoseconds.
    earned: AtomicU64,
}

/// Nothing is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spent {
    /// After this time there is something again.
    pub again_in: Duration,
}

impl Allowance {
    /// So many questions in a second, at least one.
    pub fn per_second(calls: u32) -> Self {
        let calls_per_second = calls.max(1);
        Self {
            calls_per_second,
            step: SECOND / u64::from(calls_per_second),
            earned: AtomicU64::new(0),
        }
    }

    /// Its rate.
    pub fn calls_per_second(&self) -> u32 {
        self.calls_per_second
    }

    /// Takes one question at the moment `now`, in nanoseconds since a moment that is the same for
    /// all.
    pub fn take(&self, now: u64) -> Result<(), Spent> {
        let full = now.saturating_add(SECOND);
        let taken = self.earned.fetch_update(Relaxed, Relaxed, |earned| {
            let next = earned.max(now).saturating_add(self.step);
            (next <= full).then_some(next)
        });
        taken.map(drop).map_err(|earned| Spent {
            again_in: Duration::from_nanos(earned.saturating_add(self.step).saturating_sub(full)),
        })
    }
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_second_at_once_and_then_the_rate() {
        let allowance = Allowance::per_second(10);
        let start = 7 * SECOND;
        for _ in 0..10 {
            assert_eq!(allowance.take(start), Ok(()));
        }
        let again_in = Duration::from_millis(100);
        assert_eq!(allowance.take(start), Err(Spent { again_in }));
        assert!(allowance.take(start + SECOND / 10 - 1).is_err());
        assert_eq!(allowance.take(start + SECOND / 10), Ok(()));
        assert!(allowance.take(start + SECOND / 10).is_err());
        // What is not asked for a while is not saved up beyond a second.
        for _ in 0..10 {
            assert_eq!(allowance.take(start + 60 * SECOND), Ok(()));
        }
        assert!(allowance.take(start + 60 * SECOND).is_err());
    }

    #[test]
    fn threads_share_it() {
        let allowance = Allowance::per_second(1_000);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000)
                            .filter(|_| allowance.take(SECOND).is_ok())
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(taken, 1_000);
    }
}
