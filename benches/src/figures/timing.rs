//! Time, taken over batches of questions: a decision is too short to be timed by itself.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// How many questions are timed at once. Their facts were read just before, so that they are in
/// the processor's caches as they are in a server; what they look up in a large set is not.
pub const BATCH: usize = 64;

/// Nanoseconds for one of the questions of each batch.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Does `work` for each of `questions`, and takes the time for one.
    pub fn take<Q, A>(&mut self, questions: &[Q], mut work: impl FnMut(&Q) -> A) {
        let begin = Instant::now();
        for question in questions {
            black_box(work(black_box(question)));
        }
        self.add(begin.elapsed(), questions.len());
    }

    /// As [`Times::take`], but stops after `patience`.
    pub fn take_within<Q, A>(
        &mut self,
        patience: Duration,
        questions: &[Q],
        mut work: impl FnMut(&Q) -> A,
    ) {
        let begin = Instant::now();
        let mut done = 0;
        for question in questions {
            black_box(work(black_box(question)));
            done += 1;
            if begin.elapsed() > patience {
                break;
            }
        }
        self.add(begin.elapsed(), done);
    }

    /// A time that was taken otherwise, for so many.
    pub fn add(&mut self, elapsed: Duration, many: usize) {
        if let Ok(many @ 1..) = u32::try_from(many) {
            self.0.push(elapsed.as_secs_f64() * 1e9 / f64::from(many));
        }
    }

    /// The time that half of the batches take longer than.
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The time that one batch in ten takes longer than.
    pub fn p90(&self) -> f64 {
        self.at(0.9)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place in a list of some thousand"
    )]
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// Runs `round` again and again until `patience` is over; at least once.
pub fn repeat(patience: Duration, mut round: impl FnMut()) {
    let begin = Instant::now();
    loop {
        round();
        if begin.elapsed() >= patience {
            break;
        }
    }
}
