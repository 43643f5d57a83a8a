//! Decisions over time, in as many steps as a chart can show.

use std::collections::BTreeMap;

use super::{super::moment::Moment, account::Verdicts};
use crate::rpc::pb::Verdict;

/// Verdicts by steps of time, which get longer as the time does.
#[derive(Debug)]
pub(super) struct Times {
    /// The length of a step, as a place in [`STEPS`].
    step: usize,
    /// Verdicts by the beginning of the step, in steps since 1970.
    counts: BTreeMap<i64, Verdicts>,
}

impl Times {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            step: 0,
            counts: BTreeMap::new(),
        }
    }

    /// Counts a verdict.
    pub(super) fn add(&mut self, time: Moment, verdict: Verdict) {
        let at = time.seconds().div_euclid(self.seconds());
        self.counts.entry(at).or_default().add(verdict);
        while self.counts.len() > MOST && self.lengthen() {}
    }

    /// The length of a step in seconds.
    pub(super) fn seconds(&self) -> i64 {
        STEPS.get(self.step).copied().unwrap_or(LAST)
    }

    /// The verdicts of each step, with the steps between that had none: at most [`SHOWN`] steps, but
    /// for a log of more than a century.
    pub(super) fn steps(&mut self) -> Vec<(Moment, Verdicts)> {
        while self.span() > SHOWN && self.lengthen() {}
        let (Some(first), seconds) = (self.counts.keys().next(), self.seconds()) else {
            return Vec::new();
        };
        let span = self.span().min(SHOWN * 4);
        let steps = (*first..).take(usize::try_from(span).unwrap_or(0));
        steps
            .map(|at| {
                let counts = self.counts.get(&at).copied().unwrap_or_default();
                (Moment::at_second(at.saturating_mul(seconds)), counts)
            })
            .collect()
    }

    /// How many steps there are from the first to the last.
    fn span(&self) -> i64 {
        let first = self.counts.keys().next().copied().unwrap_or(0);
        let last = self.counts.keys().next_back().copied().unwrap_or(first - 1);
        last - first + 1
    }

    /// Goes on to longer steps; false where there are none.
    fn lengthen(&mut self) -> bool {
        let before = self.seconds();
        if self.step + 1 >= STEPS.len() {
            return false;
        }
        self.step += 1;
        let after = self.seconds();
        let counts = std::mem::take(&mut self.counts);
        for (at, verdicts) in counts {
            let at = (at * before).div_euclid(after);
            self.counts.entry(at).or_default().merge(verdicts);
        }
        true
    }
}

/// The lengths of steps in seconds, each a multiple of the one before: a second to a year.
const STEPS: [i64; 13] = [
    1,
    10,
    60,
    300,
    900,
    3_600,
    21_600,
    86_400,
    7 * 86_400,
    28 * 86_400,
    84 * 86_400,
    336 * 86_400,
    LAST,
];
const LAST: i64 = 3_360 * 86_400;
/// Steps that are kept while they are counted.
const MOST: usize = 1_000;
/// Steps that are shown.
const SHOWN: i64 = 72;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).unwrap()
    }

    #[test]
    fn steps_are_as_long_as_the_time_asks() {
        for (last, seconds) in [
            ("2026-11-23T00:00:30Z", 1),
            ("2026-11-23T01:00:00Z", 60),
            ("2026-11-23T23:59:00Z", 3_600),
            ("2026-12-23T00:00:00Z", 86_400),
            ("9999-12-31T00:00:00Z", LAST),
        ] {
            let mut times = Times::new();
            times.add(moment(last), Verdict::Reject);
            times.add(moment("2026-11-23T00:00:00Z"), Verdict::Accept);
            let steps = times.steps();
            assert_eq!(times.seconds(), seconds, "{last}");
            assert_eq!(steps.first().unwrap().1.accepted, 1, "{last}");
            assert!(steps.len() <= 4 * 72, "{last}");
        }
        assert_eq!(Times::new().steps(), []);
    }

    #[test]
    fn nothing_is_lost_when_steps_lengthen() {
        let mut times = Times::new();
        let begin = moment("2026-11-23T00:00:00Z").seconds();
        for at in 0..100_000 {
            times.add(Moment::at_second(begin + at * 7), Verdict::Accept);
            assert!(times.counts.len() <= MOST + 1);
        }
        let all: u64 = times.steps().iter().map(|(_, counts)| counts.all()).sum();
        assert_eq!(all, 100_000);
    }
}
