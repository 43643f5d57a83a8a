//! Watching the connectors' directory, or a few files: what tells that it is time to read again.

use std::{
    collections::HashSet,
    io,
    path::{self, Path, PathBuf},
    slice,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{info, warn};

use super::trail::{Trail, Waypoint};

/// The watch over everything that what is watched comes through.
#[derive(Debug)]
pub(super) struct Watch {
    /// What it is called in the log.
    what: &'static str,
    target: Target,
    ears: Ears,
    watched: Vec<PathBuf>,
    interest: Arc<ArcSwap<Interest>>,
    /// It cannot be watched, so that it must be read often.
    deaf: bool,
}

/// What is watched, by absolute paths.
#[derive(Debug)]
enum Target {
    Directory(PathBuf),
    Files(Vec<PathBuf>),
}

/// What waits for the watch.
#[derive(Debug)]
pub(super) struct Alarm {
    tokens: mpsc::Receiver<()>,
    hangup: Signal,
}

/// Why what is watched is to be read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// Something in it changed.
    Changed,
    /// The process was asked to, by SIGHUP.
    Hangup,
    /// It was not looked at for a while.
    Poll,
}

/// What watches for changes ended by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system tells of no more changes")]
pub struct Ended(());

#[derive(Debug)]
enum Ears {
    /// Holds the only other way to leave a token, so that its loss is seen.
    Closed(mpsc::Sender<()>),
    Open(RecommendedWatcher),
}

/// Which events matter.
#[derive(Debug, Default)]
struct Interest {
    /// Everything directly in it matters.
    directory: Option<PathBuf>,
    /// These matter by themselves.
    entries: HashSet<PathBuf>,
}

impl Watch {
    /// A watch over the directory `path` that begins with [`Watch::renew`], and what waits for it;
    /// within a runtime. The log calls it `what`.
    pub(super) fn directory(what: &'static str, path: &Path) -> io::Result<(Self, Alarm)> {
        Self::new(what, Target::Directory(path::absolute(path)?))
    }

    /// The same over the files `paths`, of which none need be there.
    pub(super) fn files(what: &'static str, paths: &[PathBuf]) -> io::Result<(Self, Alarm)> {
        let paths: io::Result<_> = paths.iter().map(path::absolute).collect();
        Self::new(what, Target::Files(paths?))
    }

    fn new(what: &'static str, target: Target) -> io::Result<(Self, Alarm)> {
        let (token, tokens) = mpsc::channel(1);
        let watch = Self {
            what,
            target,
            ears: Ears::Closed(token),
            watched: Vec::new(),
            interest: Arc::default(),
            deaf: false,
        };
        let hangup = signal(SignalKind::hangup())?;
        Ok((watch, Alarm { tokens, hangup }))
    }

    /// Watches what the contents come through now; says after which time they must be read in any
    /// case.
    ///
    /// All watches are taken anew: which of them still hold cannot be known.
    pub(super) fn renew(&mut self) -> Duration {
        match self.listen() {
            Ok(()) if self.deaf => {
                self.deaf = false;
                info!("{} watched again", self.what);
            }
            Err(error) if !self.deaf => {
                self.deaf = true;
                let paths = self.target.shown();
                warn!(paths, %error, "{} not watched, but read every second", self.what);
            }
            Ok(()) | Err(_) => {}
        }
        if self.deaf { OFTEN } else { SELDOM }
    }

    fn listen(&mut self) -> notify::Result<()> {
        if let Ears::Closed(token) = &self.ears {
            let (token, interest) = (token.clone(), Arc::clone(&self.interest));
            let watcher =
                notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                    let matters = event
                        .as_ref()
                        .is_ok_and(|event| interest.load().includes(event));
                    if matters || event.is_err() {
                        // A token that lies there already says the same.
                        let _ = token.try_send(());
                    }
                })?;
            self.ears = Ears::Open(watcher);
        }
        let mut trail = self.target.trail();
        for _ in 0..ATTEMPTS {
            self.follow(&trail)?;
            // Why: a link swapped before its own watch was there would go unseen.
            let now = self.target.trail();
            if now == trail {
                break;
            }
            trail = now;
        }
        Ok(())
    }

    fn follow(&mut self, trail: &Trail) -> notify::Result<()> {
        let Ears::Open(watcher) = &mut self.ears else {
            return Ok(());
        };
        for path in self.watched.drain(..) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(&path);
        }
        self.interest.store(Arc::new(Interest::of(trail)));
        let mut seen = HashSet::new();
        let whole = trail.directory.iter().map(|directory| (directory, true));
        let parts = trail
            .waypoints
            .iter()
            .map(|Waypoint { within, vital, .. }| (within, *vital));
        for (path, vital) in whole.chain(parts) {
            if !seen.insert(path) {
                continue;
            }
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(path.clone()),
                // It went a moment ago: the trail is different now.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) if vital => return Err(error),
                Err(_) => {
                    seen.remove(path);
                }
            }
        }
        Ok(())
    }
}

impl Target {
    fn trail(&self) -> Trail {
        match self {
            Self::Directory(path) => Trail::of(path),
            Self::Files(paths) => Trail::of_files(paths),
        }
    }

    fn shown(&self) -> String {
        let paths = match self {
            Self::Directory(path) => slice::from_ref(path),
            Self::Files(paths) => paths,
        };
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(" ")
    }
}

impl Alarm {
    /// Waits until what is watched is to be read: because of what changed once it has been quiet for
    /// a moment, at once on SIGHUP, and in any case after `poll`.
    pub(super) async fn next(&mut self, poll: Duration) -> Result<Due, Ended> {
        tokio::select! {
            token = self.tokens.recv() => token.ok_or(Ended(()))?,
            _ = self.hangup.recv() => return Ok(Due::Hangup),
            () = sleep(poll) => return Ok(Due::Poll),
        }
        let first = Instant::now();
        let mut quiet = first + QUIET;
        loop {
            tokio::select! {
                token = self.tokens.recv() => token.ok_or(Ended(()))?,
                _ = self.hangup.recv() => return Ok(Due::Hangup),
                () = sleep_until(quiet.min(first + LONGEST)) => return Ok(Due::Changed),
            }
            quiet = Instant::now() + QUIET;
        }
    }
}

impl Interest {
    fn of(trail: &Trail) -> Self {
        let mut entries = HashSet::new();
        for Waypoint { within, name, .. } in &trail.waypoints {
            entries.insert(within.join(name));
            entries.insert(within.clone());
        }
        entries.extend(trail.directory.clone());
        Self {
            directory: trail.directory.clone(),
            entries,
        }
    }

    fn includes(&self, event: &notify::Event) -> bool {
        if event.kind.is_access() {
            return false;
        }
        // An event without a path says that some were lost.
        event.paths.is_empty()
            || event.paths.iter().any(|path| {
                self.entries.contains(path)
                    || (self.directory.is_some() && path.parent() == self.directory.as_deref())
            })
    }
}

const QUIET: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(2);
const SELDOM: Duration = Duration::from_secs(30);
/// How often something is read that tells of no change, or may not.
pub(super) const OFTEN: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 4;

#[cfg(test)]
mod tests;
