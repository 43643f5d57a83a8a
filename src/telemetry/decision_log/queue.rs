//! What waits to be written: bounded in memory, and never in the way of a decision.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::Thread,
    time::{Duration, SystemTime},
};

use crossbeam_queue::SegQueue;

use super::State;
use crate::policy::Verdict;

/// Records that wait to be written, in the order in which each thread put them there.
#[derive(Debug)]
pub struct Queue<T> {
    // INVARIANT (bounded): what is in it is counted in `octets` before it comes, and until it goes.
    waiting: SegQueue<(usize, T)>,
    octets: AtomicUsize,
    most_octets: usize,
    state: Arc<State>,
    writer: OnceLock<Thread>,
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// How much it is worth to keep a record where there is little room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Worth {
    /// It may be lost before others are.
    Little,
    /// It is kept for as long as there is any room.
    Much,
}

impl<T> Queue<T> {
    /// A queue that takes `most_octets` of memory at most; what it loses is counted in `state`.
    pub fn new(most_octets: usize, state: Arc<State>) -> Self {
        Self {
            waiting: SegQueue::new(),
            octets: AtomicUsize::new(0),
            most_octets,
            state,
            writer: OnceLock::new(),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Takes the record of a decision of that verdict, which holds `octets` beside itself, or counts
    /// it as lost where there is no room. Of what is worth little some room is left for the rest.
    pub fn offer(&self, verdict: Verdict, worth: Worth, octets: usize, record: impl FnOnce() -> T) {
        let weight = octets + OWN + size_of::<T>();
        let room = match worth {
            Worth::Little => self.most_octets / 4 * 3,
            Worth::Much => self.most_octets,
        };
        let before = self.octets.fetch_add(weight, Relaxed);
        if before + weight > room {
            self.octets.fetch_sub(weight, Relaxed);
            self.state.lost(verdict, SystemTime::now());
            return;
        }
        self.waiting.push((weight, record()));
        // Why only then: to wake a thread costs more than a decision, and it looks by itself soon.
        let enough = self.most_octets / 8;
        if before <= enough && enough < before + weight {
            self.wake();
        }
    }

    /// From now on the writer ends when nothing waits any longer.
    pub fn stop(&self) {
        self.stop.store(true, Release);
        self.wake();
    }

    /// Has the writer open its file anew.
    pub fn reopen(&self) {
        self.reopen.store(true, Release);
        self.wake();
    }

    /// What has become of the log.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The record that has waited longest.
    pub fn take(&self) -> Option<T> {
        let (weight, record) = self.waiting.pop()?;
        self.octets.fetch_sub(weight, Relaxed);
        Some(record)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// This thread is the one to wake.
    pub(super) fn is_written_here(&self) {
        self.writer.get_or_init(std::thread::current);
    }

    /// Sleeps for so long, or until there is something to do at once.
    pub(super) fn sleep(length: Duration) {
        std::thread::park_timeout(length);
    }

    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.load(Acquire)
    }

    /// Whether the file is to be opened anew; asking takes the wish away.
    pub(super) fn is_to_reopen(&self) -> bool {
        self.reopen.load(Relaxed) && self.reopen.swap(false, Acquire)
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// About what the queue itself and the memory allocator need for a record.
const OWN: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: usize = 1_000;

    /// A queue with room for so many records of [`RECORD`] octets.
    fn queue(records: usize) -> Queue<usize> {
        let weight = RECORD + OWN + size_of::<usize>();
        Queue::new(records * weight, Arc::default())
    }

    fn lost(queue: &Queue<usize>) -> Vec<u64> {
        let dropped = queue.state.dropped();
        dropped.into_iter().map(|(_, count)| count).collect()
    }

    #[test]
    fn accepts_go_before_rejects() {
        let queue = queue(8);
        for at in 0..20 {
            queue.offer(Verdict::Accept, Worth::Little, RECORD, || at);
        }
        for at in 20..30 {
            queue.offer(Verdict::Reject, Worth::Much, RECORD, || at);
        }
        let kept: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 5, 20, 21]);
        assert_eq!(lost(&queue), [14, 0, 0, 8]);
    }

    #[test]
    fn what_was_taken_leaves_room() {
        let queue = queue(4);
        for at in 0..100 {
            queue.offer(Verdict::Accept, Worth::Little, RECORD, || at);
            assert_eq!(queue.take(), Some(at));
        }
        assert!(queue.is_empty());
        assert_eq!(lost(&queue), [0; 4]);
        assert_eq!(queue.octets.load(Relaxed), 0);
    }

    #[test]
    fn a_record_larger_than_all_room_is_lost() {
        let queue = queue(4);
        queue.offer(Verdict::Defer, Worth::Much, 5 * RECORD, || 1);
        queue.offer(Verdict::Defer, Worth::Much, RECORD, || 2);
        assert_eq!(queue.take(), Some(2));
        assert_eq!(lost(&queue), [0, 0, 1, 0]);
    }

    #[test]
    fn each_thread_keeps_its_order() {
        let queue = queue(4_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    for at in 0..500 {
                        let record = thread * 1_000 + at;
                        queue.offer(Verdict::Accept, Worth::Little, RECORD, || record);
                    }
                });
            }
        });
        let mut next = [0; 4];
        while let Some(record) = queue.take() {
            assert_eq!(record % 1_000, next[record / 1_000]);
            next[record / 1_000] += 1;
        }
        assert_eq!(next, [500; 4]);
    }

    #[test]
    fn what_it_is_told_is_heard_once() {
        let queue = queue(1);
        assert!(!queue.is_to_reopen() && !queue.is_to_stop());
        queue.reopen();
        queue.stop();
        assert!(queue.is_to_reopen() && !queue.is_to_reopen());
        assert!(queue.is_to_stop());
    }
}
