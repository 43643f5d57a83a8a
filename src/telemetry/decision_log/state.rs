//! How the decision log fares: counted, and shown to operators.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwapOption;

use super::{
    super::{metrics::VERDICTS, tally::Counts},
    Certificates,
};
use crate::policy::Verdict;

/// What became of the lines of the log.
#[derive(Debug, Default)]
pub struct State {
    output: String,
    certificates: Certificates,
    lines: AtomicU64,
    unreadable: AtomicU64,
    dropped: Counts<{ VERDICTS.len() }>,
    /// When the first line was lost of those that the log itself has not told yet, in microseconds
    /// since 1970; zero: none was.
    lost_since: AtomicU64,
    failing: ArcSwapOption<Failing>,
}

/// Why lines are not written just now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failing {
    /// What the system says, and what to do.
    pub message: String,
    /// Since when.
    pub since: SystemTime,
}

/// Lines that were lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lost {
    pub(super) accepts: u64,
    pub(super) rejects: u64,
    pub(super) since: SystemTime,
}

impl State {
    /// Nothing has become of the log yet, whose lines go to what is called `output`.
    pub fn new(output: String) -> Self {
        Self {
            output,
            ..Self::default()
        }
    }

    /// Where the lines go.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Certificates that are about to expire.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// How many lines were written.
    pub fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }

    /// How many records no line could be made of, which is a bug.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// How many lines were lost since there was no room for them, by verdict.
    pub fn dropped(&self) -> [(Verdict, u64); VERDICTS.len()] {
        let mut counts = self.dropped.values().into_iter();
        VERDICTS.map(|verdict| (verdict, counts.next().unwrap_or_default()))
    }

    /// Why lines are not written just now; none where they are.
    pub fn failing(&self) -> Option<Arc<Failing>> {
        self.failing.load_full()
    }

    pub(super) fn lost(&self, verdict: Verdict, now: SystemTime) {
        self.dropped.add(verdict as usize);
        // Why after it: who sees that something was lost finds it counted.
        let _ = self
            .lost_since
            .compare_exchange(0, microseconds(now).max(1), AcqRel, Relaxed);
    }

    /// What was lost beyond `told`, which it is added to; none where nothing was.
    pub(super) fn untold(&self, told: &mut [u64; VERDICTS.len()]) -> Option<Lost> {
        let since = match self.lost_since.swap(0, AcqRel) {
            0 => return None,
            since => UNIX_EPOCH + Duration::from_micros(since),
        };
        let (mut accepts, mut rejects) = (0, 0);
        for ((verdict, count), told) in self.dropped().into_iter().zip(told) {
            let more = count.saturating_sub(*told);
            *told = count;
            match verdict {
                Verdict::Accept | Verdict::Conditional => accepts += more,
                Verdict::Defer | Verdict::Reject => rejects += more,
            }
        }
        (accepts + rejects > 0).then_some(Lost {
            accepts,
            rejects,
            since,
        })
    }

    pub(super) fn wrote(&self, lines: u64) {
        self.lines.fetch_add(lines, Relaxed);
    }

    pub(super) fn could_not_read(&self) {
        self.unreadable.fetch_add(1, Relaxed);
    }

    pub(super) fn fails(&self, failing: Option<Failing>) {
        self.failing.store(failing.map(Arc::new));
    }
}

fn microseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_once() {
        let state = State::default();
        let mut told = Default::default();
        assert_eq!(state.untold(&mut told), None);
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (verdict, now) in [
            (Verdict::Accept, at(7)),
            (Verdict::Conditional, at(8)),
            (Verdict::Defer, at(9)),
            (Verdict::Reject, at(10)),
            (Verdict::Accept, at(11)),
        ] {
            state.lost(verdict, now);
        }
        let lost = Lost {
            accepts: 3,
            rejects: 2,
            since: at(7),
        };
        assert_eq!(state.untold(&mut told), Some(lost));
        assert_eq!(state.untold(&mut told), None);
        state.lost(Verdict::Reject, at(12));
        let lost = Lost {
            accepts: 0,
            rejects: 1,
            since: at(12),
        };
        assert_eq!(state.untold(&mut told), Some(lost));
    }
}
