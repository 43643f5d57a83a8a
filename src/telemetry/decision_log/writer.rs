//! The thread that writes the decision log.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    super::metrics::VERDICTS,
    output::{Output, OutputError},
    pending::Pending,
    queue::{Front, Queue},
    state::{Failing, Lost},
};

/// Takes what waits in a queue, and adds it to the log.
#[derive(Debug)]
pub struct Writer<T> {
    queue: Arc<Queue<T>>,
    front: Front<T>,
    output: Output,
    pending: Pending,
    /// How many lost lines of each verdict the log has told of, and when it last did.
    told: [u64; VERDICTS.len()],
    told_at: Option<Instant>,
    /// Why it cannot write just now.
    failing: Option<Failing>,
}

impl<T> Writer<T> {
    /// What takes from `queue` and adds to `output`.
    pub fn new(queue: Arc<Queue<T>>, output: Output) -> Self {
        Self {
            queue,
            front: Front::default(),
            output,
            pending: Pending::default(),
            told: [0; VERDICTS.len()],
            told_at: None,
            failing: None,
        }
    }

    /// Writes, with the lines that `line` makes of records, until the queue is told to stop and is
    /// empty. What cannot be written is tried again until then.
    pub fn run(mut self, mut line: impl FnMut(T, &mut Vec<u8>) -> bool) {
        self.queue.is_written_here();
        let mut pause = SHORTEST_PAUSE;
        loop {
            // Why before all else: what comes after it is not waited for.
            let last = self.queue.is_to_stop();
            if self.queue.is_to_reopen() {
                self.output.reopen(&mut self.pending);
            }
            self.fill(&mut line);
            if !self.flush() {
                if last {
                    return self.give_up();
                }
                Queue::<T>::sleep(pause);
                pause = LONGEST_PAUSE.min(2 * pause);
                continue;
            }
            pause = SHORTEST_PAUSE;
            if self.queue.is_empty(&self.front) {
                if last {
                    return;
                }
                Queue::<T>::sleep(TICK);
            }
        }
    }

    /// Makes lines of what waits, until there are enough of them for once.
    fn fill(&mut self, line: &mut impl FnMut(T, &mut Vec<u8>) -> bool) {
        self.tell_what_was_lost();
        while self.pending.len() < ENOUGH {
            let Some(record) = self.queue.take(&mut self.front) else {
                return;
            };
            if !self.pending.add(|to| line(record, to)) {
                self.queue.state().could_not_read();
            }
        }
    }

    /// Adds a line about the lines that were lost, but not too often.
    fn tell_what_was_lost(&mut self) {
        let soon = self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY);
        if soon && !self.queue.is_empty(&self.front) && !self.queue.is_to_stop()
            || self.failing.is_some()
        {
            return;
        }
        if let Some(lost) = self.queue.state().untold(&mut self.told) {
            self.told_at = Some(Instant::now());
            self.pending.add(|to| loss(&lost, SystemTime::now(), to));
            tracing::warn!(
                accepts = lost.accepts,
                rejects = lost.rejects,
                "decisions came faster than they could be written down: some are lost"
            );
        }
    }

    /// Writes what is pending; false where that did not go well.
    fn flush(&mut self) -> bool {
        let now = SystemTime::now();
        let (lines, written) = self.output.write(&mut self.pending, now);
        self.queue.state().wrote(lines);
        match written {
            Ok(()) => self.is_well(),
            Err(error) => self.fails(&error, now),
        }
        self.failing.is_none()
    }

    /// Tells a fault, unless it has been told.
    fn fails(&mut self, error: &OutputError, now: SystemTime) {
        let message = error.to_string();
        let known = self.failing.as_ref();
        if known.is_some_and(|failing| failing.message == message) {
            return;
        }
        let since = known.map_or(now, |failing| failing.since);
        self.failing = Some(Failing { message, since });
        self.queue.state().fails(self.failing.clone());
        tracing::error!(%error, "decisions are not written down; it is tried again and again");
    }

    fn is_well(&mut self) {
        if self.failing.take().is_some() {
            self.queue.state().fails(None);
            let output = self.output.name();
            tracing::info!(output, "decisions are written down again");
        }
    }

    /// Says how much is lost with the end of the process.
    fn give_up(mut self) {
        let waiting = std::iter::from_fn(|| self.queue.take(&mut self.front)).count();
        let lines = self.pending.lines() + waiting;
        tracing::error!(lines, "decisions that could not be written down are lost");
    }
}

/// Writes the line about lost lines.
fn loss(lost: &Lost, now: SystemTime, to: &mut Vec<u8>) -> bool {
    let Lost {
        accepts,
        rejects,
        since,
    } = *lost;
    let (now, since) = (
        humantime::format_rfc3339_micros(now),
        humantime::format_rfc3339_micros(since),
    );
    let mut line = String::new();
    let written = write!(
        line,
        "{{\"schema\":1,\"time\":\"{now}\",\"dropped\":{{\"accepts\":{accepts},\"rejects\":{rejects}}},\"since\":\"{since}\"}}"
    );
    written.is_ok() && to.write_all(line.as_bytes()).is_ok()
}

/// How many octets are written at once.
const ENOUGH: usize = 64 * 1024;

/// How long lines may wait that are too few to be worth waking this thread for.
const TICK: Duration = Duration::from_millis(100);

/// After how long a write that failed is tried again, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often lost lines are told of while lines are being lost.
const TELL_EVERY: Duration = Duration::from_secs(1);
