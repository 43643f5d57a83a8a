//! What waits to be written: bounded in memory, and never in the way of a decision.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
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
    // INVARIANT (bounded): what is in them is counted in `octets` before it comes, and until it goes.
    little: SegQueue<Waiting<T>>,
    much: SegQueue<Waiting<T>>,
    octets: AtomicUsize,
    most_octets: usize,
    next: AtomicU64,
    state: Arc<State>,
    writer: OnceLock<Thread>,
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// A record that waits.
#[derive(Debug)]
struct Waiting<T> {
    /// Its place in the order of all.
    number: u64,
    /// How much memory it takes.
    weight: usize,
    verdict: Verdict,
    record: T,
}

/// The records that come next, one of each worth: they have left the queue.
#[derive(Debug)]
pub struct Front<T> {
    little: Option<Waiting<T>>,
    much: Option<Waiting<T>>,
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
            little: SegQueue::new(),
            much: SegQueue::new(),
            octets: AtomicUsize::new(0),
            most_octets,
            next: AtomicU64::new(0),
            state,
            writer: OnceLock::new(),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Takes the record of a decision of that verdict, which holds `octets` beside itself, or counts
    /// it as lost where there is no room. What is worth little leaves some room for the rest, and
    /// gives way to it where that was not enough, from the oldest on.
    pub fn offer(&self, verdict: Verdict, worth: Worth, octets: usize, record: impl FnOnce() -> T) {
        let weight = octets + OWN + size_of::<Waiting<T>>();
        let before = self.octets.fetch_add(weight, Relaxed);
        let has_room = match worth {
            Worth::Little => before + weight <= self.most_octets / 4 * 3,
            Worth::Much => before + weight <= self.most_octets || self.make_room(weight),
        };
        if !has_room {
            self.octets.fetch_sub(weight, Relaxed);
            self.state.lost(verdict, SystemTime::now());
            return;
        }
        let waiting = Waiting {
            // Why not relaxed: who has a later number also comes later into its queue.
            number: self.next.fetch_add(1, AcqRel),
            weight,
            verdict,
            record: record(),
        };
        match worth {
            Worth::Little => self.little.push(waiting),
            Worth::Much => self.much.push(waiting),
        }
        // Why only then: to wake a thread costs more than a decision, and it looks by itself soon.
        let enough = self.most_octets / 8;
        if before <= enough && enough < before + weight {
            self.wake();
        }
    }

    /// Drops what is worth little until all that is counted has room; false where it has none even
    /// so. `weight`: of what is to come, and counted already.
    fn make_room(&self, weight: usize) -> bool {
        if weight > self.most_octets {
            return false;
        }
        while self.octets.load(Relaxed) > self.most_octets {
            let Some(oldest) = self.little.pop() else {
                return false;
            };
            self.octets.fetch_sub(oldest.weight, Relaxed);
            self.state.lost(oldest.verdict, SystemTime::now());
        }
        true
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

    /// The record that has waited longest. `front` is that of the only one who takes.
    pub fn take(&self, front: &mut Front<T>) -> Option<T> {
        self.look(&self.little, &mut front.little);
        self.look(&self.much, &mut front.much);
        // Why again: what came before the other one did is there by now.
        self.look(&self.little, &mut front.little);
        let first = match (&front.little, &front.much) {
            (Some(little), Some(much)) if little.number < much.number => &mut front.little,
            (Some(_), None) => &mut front.little,
            _ => &mut front.much,
        };
        first.take().map(|first| first.record)
    }

    /// Takes the first of `queue` to the front, where there is none.
    fn look(&self, queue: &SegQueue<Waiting<T>>, front: &mut Option<Waiting<T>>) {
        if front.is_none() {
            *front = queue.pop();
            if let Some(first) = front {
                self.octets.fetch_sub(first.weight, Relaxed);
            }
        }
    }

    /// Whether nothing waits, not even at `front`.
    pub(super) fn is_empty(&self, front: &Front<T>) -> bool {
        let at_front = front.little.is_some() || front.much.is_some();
        !at_front && self.little.is_empty() && self.much.is_empty()
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

impl<T> Default for Front<T> {
    fn default() -> Self {
        Self {
            little: None,
            much: None,
        }
    }
}

/// About what the queue itself and the memory allocator need for a record.
const OWN: usize = 48;

#[cfg(test)]
mod tests;
