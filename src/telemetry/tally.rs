//! Counters that are cheap to add to: atomics, found by name without a lock.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::RandomState;
use opentelemetry::trace::TraceId;

/// `N` counters side by side.
#[derive(Debug)]
pub(super) struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counts<N> {
    /// One more at `at`; nothing where there is no such counter.
    pub(super) fn add(&self, at: usize) {
        if let Some(count) = self.0.get(at) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// What they stand at.
    pub(super) fn values(&self) -> [u64; N] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub(super) struct Durations {
    counts: Counts<{ BOUNDS.len() + 1 }>,
    nanoseconds: AtomicU64,
    /// The last that was traced, for each bucket.
    examples: [ArcSwapOption<Example>; BOUNDS.len() + 1],
}

/// A trace that shows what took so long.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) trace_id: TraceId,
    pub(super) took: Duration,
    pub(super) at: SystemTime,
}

impl Durations {
    /// One more that took `took`.
    pub(super) fn add(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts
            .add(BOUNDS.partition_point(|bound| *bound < nanoseconds));
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Remembers the trace of what took `took` as the example of its bucket.
    pub(super) fn exemplify(&self, trace_id: TraceId, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        if let Some(example) = self.examples.get(at) {
            let at = SystemTime::now();
            example.store(Some(Arc::new(Example { trace_id, took, at })));
        }
    }

    /// The example of each bucket, where it has one.
    pub(super) fn examples(&self) -> impl Iterator<Item = Option<Arc<Example>>> {
        self.examples.iter().map(ArcSwapOption::load_full)
    }

    /// All of them together, in seconds.
    pub(super) fn sum(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64()
    }

    /// How many took at most so many seconds, and longer than the bound before; the last is endless.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let seconds = BOUNDS
            .iter()
            .map(|bound| Duration::from_nanos(*bound).as_secs_f64());
        seconds
            .chain([f64::INFINITY])
            .zip(self.counts.values())
            .collect()
    }
}

/// One tally per name, for a bounded number of names.
///
/// The first call of a name copies the table, every later one only reads it.
#[derive(Debug)]
pub(super) struct Names<V>(ArcSwap<Table<V>>);

impl<V: Default> Names<V> {
    /// Adds to the tally of `name`, or where `room` has run out to the one of all other names.
    pub(super) fn with(&self, name: &str, room: &Room, add: impl FnOnce(&V)) {
        let known = self.0.load();
        if let Some(tally) = known.get(name) {
            return add(tally);
        }
        let name = if room.take() { name } else { OTHER };
        if let Some(tally) = known.get(name) {
            return add(tally);
        }
        drop(known);
        let fresh = Arc::new(V::default());
        self.0.rcu(|known| {
            let mut known = Table::clone(known);
            known
                .entry(name.into())
                .or_insert_with(|| Arc::clone(&fresh));
            known
        });
        add(self.0.load().get(name).unwrap_or(&fresh));
    }
}

impl<V> Names<V> {
    /// All names with their tallies, in order.
    pub(super) fn sorted(&self) -> Vec<(Arc<str>, Arc<V>)> {
        let known = self.0.load();
        let mut all: Vec<_> = known
            .iter()
            .map(|(name, tally)| (Arc::clone(name), Arc::clone(tally)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Table::default()))
    }
}

/// How many names may still be added.
#[derive(Debug)]
pub(super) struct Room(AtomicUsize);

impl Room {
    /// Room for `names`.
    pub(super) fn new(names: usize) -> Self {
        Self(AtomicUsize::new(names))
    }

    /// Takes the room for one name; false where there is none left.
    fn take(&self) -> bool {
        self.0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }
}

type Table<V> = HashMap<Arc<str>, Arc<V>, RandomState>;

/// What names are called that came too late. No connector set can be named so.
pub(super) const OTHER: &str = "_other";

/// In nanoseconds, from what a decision in cache takes to what nobody should see.
const BOUNDS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for nanoseconds in [0, 250, 251, 10_000_000, 10_000_001] {
            durations.add(Duration::from_nanos(nanoseconds));
        }
        durations.add(Duration::MAX);
        let buckets = durations.buckets();
        assert_eq!(buckets.len(), BOUNDS.len() + 1);
        assert_eq!(buckets[0], (0.000_000_25, 2));
        assert_eq!(buckets[1].1, 1);
        assert_eq!(buckets[14], (0.01, 1));
        assert_eq!(buckets[15], (f64::INFINITY, 2));
    }

    #[test]
    fn names_run_out() {
        let names = Names::<Counts<1>>::default();
        let room = Room::new(2);
        for name in ["a", "b", "a", "c", "d", "c"] {
            names.with(name, &room, |count| count.add(0));
        }
        let counted: Vec<_> = names
            .sorted()
            .iter()
            .map(|(name, count)| (name.to_string(), count.values()[0]))
            .collect();
        assert_eq!(
            counted,
            [("_other".into(), 3), ("a".into(), 2), ("b".into(), 1)]
        );
    }

    #[test]
    fn threads_count_the_same_name() {
        let names = Names::<Counts<1>>::default();
        let room = Room::new(100);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..200 {
                        names.with(&format!("{}", at % 20), &room, |count| count.add(0));
                    }
                });
            }
        });
        let counted = names.sorted();
        assert_eq!(counted.len(), 20);
        assert!(counted.iter().all(|(_, count)| count.values() == [40]));
    }
}
