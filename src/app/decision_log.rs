//! The decision log: opened before anything is served, written by a thread of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::settings::decision_log::{self as settings, DecisionLog as Settings},
    rpc::journal::{AddressKey, Addresses, Journal, Lines, Record},
    telemetry::{
        Metrics,
        decision_log::{Feed, Output, OutputError, Queue, State, Writer},
    },
};

/// A decision log that is being written.
#[derive(Debug)]
pub(super) struct DecisionLog {
    queue: Arc<Queue<Record>>,
    journal: Journal,
    ended: oneshot::Receiver<()>,
}

impl DecisionLog {
    /// Opens the log that `settings` ask for, which must not lie in the directory `connectors`, and
    /// begins to write it. What becomes of it is shown in `metrics`.
    pub(super) fn start(
        settings: &Settings,
        connectors: &Path,
        metrics: &Metrics,
    ) -> Result<Self, DecisionLogError> {
        if let settings::Output::File { path, .. } = &settings.output
            && lies_in(path, connectors)
        {
            return Err(DecisionLogError::AmongConnectors(path.clone()));
        }
        let addresses = addresses(&settings.addresses)?;
        let output = Output::open(&settings.output)?;
        let state = Arc::new(State::new(output.name()));
        metrics.show_decision_log(Arc::clone(&state));
        let lines = Lines::new(addresses, Arc::clone(&state));
        let queue = Arc::new(Queue::new(settings.queue, state));
        let writer = Writer::new(Arc::clone(&queue), output);
        let (end, ended) = oneshot::channel();
        let write = move || {
            writer.run(|record, to| lines.write(&record, to));
            // Nobody waits any more where the process is at its end.
            end.send(()).unwrap_or_default();
        };
        let thread = thread::Builder::new().name("decision-log".to_owned());
        thread.spawn(write).map_err(DecisionLogError::Thread)?;
        Ok(Self {
            journal: Feed::new(Arc::clone(&queue), settings.accepts),
            queue,
            ended,
        })
    }

    /// Where decisions leave their records.
    pub(super) fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Opens its file anew at each SIGHUP; once `stop` is cancelled, writes what still waits.
    pub(super) async fn keep(mut self, stop: CancellationToken) -> Result<(), DecisionLogError> {
        let mut hangup = signal(SignalKind::hangup()).map_err(DecisionLogError::Signals)?;
        loop {
            tokio::select! {
                _ = hangup.recv() => self.queue.reopen(),
                () = stop.cancelled() => break,
                _ = &mut self.ended => return Err(DecisionLogError::Died),
            }
        }
        self.queue.stop();
        self.ended.await.map_err(|_| DecisionLogError::Died)
    }
}

/// Why decisions cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum DecisionLogError {
    /// Each line would be taken for an edit.
    #[error(
        "the decision log `{}` lies in the directory of the connectors, where every line would be \
         taken for an edit: name a file elsewhere",
        .0.display()
    )]
    AmongConnectors(PathBuf),
    /// Its thread ended by itself.
    #[error("the thread that writes it panicked, which is a bug")]
    Died,
    /// There is no key to hash addresses with.
    #[error("the key for addresses in `{}` cannot be used: {cause}", path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing can be written there.
    #[error("{0}")]
    Output(#[from] OutputError),
    /// Nobody could have the file opened anew.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// No thread to write it.
    #[error("the thread that writes it could not be started: {0}")]
    Thread(io::Error),
}

/// What is shown of addresses, with the key that it takes.
fn addresses(settings: &settings::Addresses) -> Result<Addresses, DecisionLogError> {
    let key_file = match settings {
        settings::Addresses::Domain => return Ok(Addresses::Domain),
        settings::Addresses::Whole => return Ok(Addresses::Whole),
        settings::Addresses::Hashed { key_file } => key_file,
    };
    let refused = |cause: String| DecisionLogError::Key {
        path: key_file.clone(),
        cause,
    };
    let octets = fs::read(key_file).map_err(|error| refused(error.to_string()))?;
    let key = AddressKey::new(octets.trim_ascii()).ok_or_else(|| {
        let remedy = "it has fewer than 16 octets: write a secret there, \
                      as `openssl rand -hex 32` prints one";
        refused(remedy.to_owned())
    })?;
    Ok(Addresses::Hashed(key))
}

/// Whether the file is, or would be, in that directory.
fn lies_in(file: &Path, directory: &Path) -> bool {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), directory.canonicalize()) {
        (Ok(folder), Ok(directory)) => folder == directory,
        _ => false,
    }
}
