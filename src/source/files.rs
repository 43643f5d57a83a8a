//! A few named files that are taken up live: read once at start, and again whenever they change.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{
    background,
    file::{self, ATTEMPTS, BETWEEN_ATTEMPTS, Digest, Still},
    watch::{Ended, OFTEN, Watch},
};

/// A few files that belong together.
#[derive(Debug)]
pub struct Files {
    what: &'static str,
    paths: Vec<PathBuf>,
    /// As they were when they were last read.
    last: Vec<Mark>,
}

/// What is in each of the files, in their order, or why it cannot be read.
pub type Reading = Vec<io::Result<Vec<u8>>>;

/// What tells whether a file is as before, without keeping what is in it.
type Mark = Result<Digest, String>;

impl Files {
    /// The files `paths`; none need be there. The log calls them `what`: "the certificates are".
    pub fn new(what: &'static str, paths: Vec<PathBuf>) -> Self {
        Self {
            what,
            paths,
            last: Vec::new(),
        }
    }

    /// What is in them now. Where one changes while they are read, all are read again.
    pub fn read(&mut self) -> Reading {
        let mut reading = self.read_once();
        for _ in 1..ATTEMPTS {
            let again = self.read_once();
            let same = marks(&again) == marks(&reading);
            reading = again;
            if same {
                break;
            }
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        self.last = marks(&reading);
        reading
    }

    /// Hands to `changed` what is in them whenever it is another than when they were last read,
    /// until it is cancelled: once they have been quiet for 200 ms, on SIGHUP, and where the system
    /// tells of no change within 30 s. It is called on a thread of its own that steps back behind
    /// those that serve.
    ///
    /// It ends by itself only where the files can no longer be watched at all.
    pub async fn watch(
        self,
        changed: impl FnMut(Reading) + Send + 'static,
        cancel: CancellationToken,
    ) -> Result<(), FilesError> {
        let what = self.what;
        let fault = |cause| FilesError { what, cause };
        let (mut watch, mut alarm) =
            Watch::files(what, &self.paths).map_err(|error| fault(Cause::Watch(error)))?;
        let (mut files, mut changed) = (self, changed);
        loop {
            // The watch is renewed before the files are read, so that no save falls between.
            let pass = background::work(move || {
                let poll = watch.renew();
                let before = files.last.clone();
                let reading = files.read();
                // Why: what keeps a file from being read may end without an event; one that comes
                // back is seen.
                let unread = |read: &io::Result<_>| {
                    read.as_ref()
                        .is_err_and(|error: &io::Error| error.kind() != io::ErrorKind::NotFound)
                };
                let unread = reading.iter().any(unread);
                if files.last != before {
                    changed(reading);
                }
                let poll = if unread { poll.min(OFTEN) } else { poll };
                (watch, files, changed, poll)
            });
            let pass = pass.map_err(|error| fault(Cause::Thread(error)))?;
            let poll;
            (watch, files, changed, poll) = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                passed = pass => passed.map_err(|error| fault(Cause::Pass(error)))?,
            };
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                due = alarm.next(poll) => due.map_err(|error| fault(Cause::Ended(error)))?,
            };
        }
    }

    fn read_once(&self) -> Reading {
        self.paths.iter().map(|path| octets(path)).collect()
    }
}

/// Files are no longer taken up when they change.
#[derive(Debug, thiserror::Error)]
#[error("{what} no longer watched")]
pub struct FilesError {
    what: &'static str,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("the watch ended")]
    Ended(#[source] Ended),
    #[error("taking them up did not come to its end")]
    Pass(#[source] RecvError),
    #[error("no thread could be started")]
    Thread(#[source] io::Error),
    #[error("the watch could not begin")]
    Watch(#[source] io::Error),
}

fn octets(path: &Path) -> io::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        match file::still(path)? {
            Still::Octets(octets) => return Ok(octets),
            Still::NoFile => return Err(io::Error::other("it is not a file")),
            Still::TooLarge => return Err(io::Error::other("it is larger than 64 MiB")),
            Still::Changing => thread::sleep(BETWEEN_ATTEMPTS),
        }
    }
    Err(io::Error::other(
        "it changes again and again while it is read",
    ))
}

fn marks(reading: &Reading) -> Vec<Mark> {
    let mark = |read: &io::Result<Vec<u8>>| match read {
        Ok(octets) => Ok(Sha256::digest(octets).into()),
        Err(error) => Err(error.to_string()),
    };
    reading.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, time::Duration};

    use tokio::{sync::mpsc, task::JoinSet, time::timeout};

    use super::*;

    /// The files `a` and `b` of `root`, watched: what they are whenever that changes.
    struct Watched {
        seen: mpsc::UnboundedReceiver<Vec<Result<String, io::ErrorKind>>>,
        part: JoinSet<Result<(), FilesError>>,
        cancel: CancellationToken,
    }

    impl Watched {
        fn begin(root: &Path) -> Self {
            let mut files = Files::new("they are", vec![root.join("a"), root.join("b")]);
            files.read();
            let (sender, seen) = mpsc::unbounded_channel();
            let cancel = CancellationToken::new();
            let changed = move |reading: Reading| {
                let shown = reading.into_iter().map(|read| {
                    read.map(|octets| String::from_utf8(octets).unwrap())
                        .map_err(|error| error.kind())
                });
                let _ = sender.send(shown.collect());
            };
            let mut part = JoinSet::new();
            part.spawn(files.watch(changed, cancel.clone()));
            Self { seen, part, cancel }
        }

        /// Waits until `a` and `b` were seen to be just so.
        async fn sees(&mut self, a: Result<&str, io::ErrorKind>, b: Result<&str, io::ErrorKind>) {
            let wanted = [a.map(str::to_owned), b.map(str::to_owned)];
            let seen = async { while self.seen.recv().await.unwrap() != wanted {} };
            timeout(Duration::from_secs(20), seen)
                .await
                .expect("not seen");
        }
    }

    #[tokio::test]
    async fn files_are_taken_up_however_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let gone = Err(io::ErrorKind::NotFound);
        fs::write(root.join("a"), "1").unwrap();
        let mut watched = Watched::begin(root);
        fs::write(root.join("b"), "1").unwrap();
        watched.sees(Ok("1"), Ok("1")).await;
        fs::write(root.join("a"), "2").unwrap();
        watched.sees(Ok("2"), Ok("1")).await;
        fs::write(root.join("new"), "3").unwrap();
        fs::rename(root.join("new"), root.join("a")).unwrap();
        watched.sees(Ok("3"), Ok("1")).await;
        fs::create_dir(root.join("elsewhere")).unwrap();
        fs::write(root.join("elsewhere/b"), "4").unwrap();
        fs::remove_file(root.join("b")).unwrap();
        watched.sees(Ok("3"), gone).await;
        symlink("elsewhere/b", root.join("b")).unwrap();
        watched.sees(Ok("3"), Ok("4")).await;
        fs::write(root.join("elsewhere/b"), "5").unwrap();
        watched.sees(Ok("3"), Ok("5")).await;
        watched.cancel.cancel();
        watched.part.join_next().await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_swapped_directory_is_taken_up_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for at in ["1", "2"] {
            fs::create_dir(root.join(at)).unwrap();
            fs::write(root.join(at).join("a"), at).unwrap();
            fs::write(root.join(at).join("b"), at).unwrap();
        }
        symlink("1", root.join("..data")).unwrap();
        symlink("..data/a", root.join("a")).unwrap();
        symlink("..data/b", root.join("b")).unwrap();
        let mut watched = Watched::begin(root);
        symlink("2", root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("..data")).unwrap();
        let first = timeout(Duration::from_secs(20), watched.seen.recv()).await;
        assert_eq!(first.unwrap().unwrap(), [Ok("2".into()), Ok("2".into())]);
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::new("they are", vec![directory.path().into()]);
        let error = files.read().pop().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "it is not a file");
    }
}
