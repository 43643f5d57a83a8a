//! Counts by key that stay few however many keys there are.

use std::hash::RandomState;

use hashbrown::HashMap;

/// Counts, each with what else is known of its key.
///
/// Once there are twice as many keys as it keeps, the rarer half goes to the others. So what is
/// frequent stays; a key that went and came again counts from then on.
#[derive(Debug)]
pub(super) struct Tally<T> {
    keep: usize,
    rows: HashMap<String, (u64, T), RandomState>,
    others: u64,
}

impl<T> Tally<T> {
    /// Counts that keep this many keys.
    pub(super) fn keeping(keep: usize) -> Self {
        Self {
            keep,
            rows: HashMap::default(),
            others: 0,
        }
    }

    /// Counts `key` once more; `new` tells what is known of one that is seen for the first time.
    pub(super) fn count(&mut self, key: &str, new: impl FnOnce() -> T) -> &mut T {
        if self.rows.len() >= self.keep * 2 && !self.rows.contains_key(key) {
            self.prune(self.keep);
        }
        let row = self.rows.entry_ref(key);
        let (count, known) = row.or_insert_with(|| (0, new()));
        *count += 1;
        known
    }

    /// Keeps only the `keep` most frequent.
    pub(super) fn prune(&mut self, keep: usize) {
        if self.rows.len() <= keep {
            return;
        }
        let mut rows: Vec<_> = self.rows.drain().collect();
        rows.select_nth_unstable_by(keep, |(one, (a, _)), (other, (b, _))| {
            b.cmp(a).then_with(|| one.cmp(other))
        });
        self.others += rows.drain(keep..).map(|(_, (count, _))| count).sum::<u64>();
        self.rows.extend(rows);
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What is known of each key that is kept.
    pub(super) fn known_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut().map(|(_, known)| known)
    }

    /// The `most` most frequent, with their counts and what is known of them, and the count of all
    /// others.
    pub(super) fn top(self, most: usize) -> (Vec<(String, u64, T)>, u64) {
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable_by(|(one, (a, _)), (other, (b, _))| {
            b.cmp(a).then_with(|| one.cmp(other))
        });
        let rest = rows.drain(most.min(rows.len())..);
        let others = self.others + rest.map(|(_, (count, _))| count).sum::<u64>();
        let rows = rows.into_iter();
        (
            rows.map(|(key, (count, known))| (key, count, known))
                .collect(),
            others,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(tally: Tally<()>, most: usize) -> (Vec<(String, u64)>, u64) {
        let (rows, others) = tally.top(most);
        let rows = rows.into_iter().map(|(key, count, ())| (key, count));
        (rows.collect(), others)
    }

    #[test]
    fn the_most_frequent_come_first() {
        let mut tally = Tally::keeping(10);
        for key in ["a", "b", "c", "b", "c", "c"] {
            tally.count(key, || ());
        }
        let (rows, others) = top(tally, 2);
        assert_eq!(rows, [("c".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(others, 1);
    }

    #[test]
    fn what_is_frequent_outlives_a_million_that_are_not() {
        let mut tally = Tally::keeping(50);
        for at in 0..100_000 {
            tally.count(&format!("once {at}"), || ());
            if at % 10 == 0 {
                tally.count("often", || ());
            }
            assert!(tally.len() <= 100);
        }
        let (rows, others) = top(tally, 1);
        assert_eq!(rows, [("often".to_owned(), 10_000)]);
        assert_eq!(others, 100_000);
    }
}
