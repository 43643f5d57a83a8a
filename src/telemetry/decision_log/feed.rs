//! Where decisions leave their records.

use std::sync::Arc;

use super::queue::{Queue, Worth};
use crate::{config::settings::share::Share, policy::Verdict};

/// A way into the log; a clone leads into the same one.
#[derive(Debug)]
pub struct Feed<T> {
    queue: Arc<Queue<T>>,
    accepts: Share,
}

impl<T> Feed<T> {
    /// The way into `queue`, for that share of the accepts.
    pub fn new(queue: Arc<Queue<T>>, accepts: Share) -> Self {
        Self { queue, accepts }
    }

    /// What a decision of that verdict is worth; none where it is not written down. `changes`: a
    /// connector in report would decide otherwise. `hash` tells the accepts apart.
    pub fn worth(
        &self,
        verdict: Verdict,
        changes: bool,
        hash: impl FnOnce() -> u64,
    ) -> Option<Worth> {
        match verdict {
            Verdict::Defer | Verdict::Reject => Some(Worth::Much),
            Verdict::Accept | Verdict::Conditional if changes => Some(Worth::Much),
            Verdict::Accept | Verdict::Conditional => {
                self.accepts.has_hashed(hash).then_some(Worth::Little)
            }
        }
    }

    /// What records wait in.
    pub fn queue(&self) -> &Queue<T> {
        &self.queue
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            accepts: self.accepts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accepts_are_sampled() {
        let queue: Arc<Queue<()>> = Arc::new(Queue::new(0, Arc::default()));
        let feed = |share| Feed::new(Arc::clone(&queue), Share::of(share).unwrap());
        let worth = |share, verdict, changes, hash| feed(share).worth(verdict, changes, || hash);
        for verdict in [Verdict::Accept, Verdict::Conditional] {
            assert_eq!(worth(0.0, verdict, false, 0), None);
            assert_eq!(worth(0.5, verdict, false, 0), Some(Worth::Little));
            assert_eq!(worth(0.5, verdict, false, u64::MAX), None);
            assert_eq!(worth(1.0, verdict, false, u64::MAX), Some(Worth::Little));
            assert_eq!(worth(0.0, verdict, true, u64::MAX), Some(Worth::Much));
        }
        for verdict in [Verdict::Defer, Verdict::Reject] {
            assert_eq!(worth(0.0, verdict, false, u64::MAX), Some(Worth::Much));
        }
    }
}
