//! Source to live: the only writer of the state that calls are answered from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    background,
    file::{Content, Directory, File},
    held::{Current, Good, Held, entries, note_renamed},
    journal::{Event, Events, News, Problem, Trouble},
    load::load_beside,
    settle::settle,
    start::{StartError, start},
    watch::{Due, Ended, OFTEN, Watch},
};
use crate::{
    config::{
        finding::{Finding, Lines},
        settings::{Settings, bounds::Bounds},
    },
    live::{Live, Snapshot, Status},
    policy::Catalog,
    telemetry::Metrics,
};

/// Keeps the live state as the connectors' directory says, as far as that is good.
#[derive(Debug)]
pub struct Reload {
    directory: Directory,
    default_set: Option<String>,
    bounds: Bounds,
    metrics: Metrics,
    /// Every set that is in force or has a file, by name.
    held: BTreeMap<String, Held>,
    /// What is wrong with files whose names cannot be a set's, by file name.
    misnamed: BTreeMap<String, Option<Trouble>>,
    /// What is wrong with the directory as a whole.
    trouble: Option<Trouble>,
    /// How often the directory was read.
    passes: u64,
    /// What was in force before, while calls that began then may still hold it.
    outgoing: Vec<Arc<Snapshot>>,
}

impl Reload {
    /// Reads the connectors' directory for the first time. Here everything must be good: the error
    /// is all that is wrong.
    pub fn start(settings: &Settings, metrics: Metrics) -> Result<(Self, Arc<Live>), StartError> {
        let directory = Directory::new(&settings.connectors);
        let default_set = settings.default_set.clone();
        let started = start(&directory, default_set.as_deref(), &settings.bounds)?;
        let loaded_at = SystemTime::now();
        let mut warnings: BTreeMap<_, _> = started
            .warnings
            .iter()
            .map(|checked| {
                (
                    checked.name.clone(),
                    problems(&checked.name, &checked.text, &checked.findings),
                )
            })
            .collect();
        let mut events = Events::default();
        let mut held = BTreeMap::new();
        for (set, digest) in started.sets {
            let warnings = warnings
                .remove(&format!("{}.toml", set.name()))
                .unwrap_or_default();
            let name = set.name().to_owned();
            let good = Good {
                set: Arc::clone(&set),
                digest,
            };
            events.list.push(Event::Loaded {
                set,
                old: None,
                warnings: warnings.clone(),
            });
            events.parsed += 1;
            let known = Held {
                current: Some(Current {
                    good: good.clone(),
                    loaded_at,
                }),
                newest: Some(good),
                digest: Some(digest),
                warnings,
                there: true,
                ..Held::default()
            };
            held.insert(name, known);
        }
        events.tell(&metrics);
        let misnamed = BTreeMap::new();
        let reload = Self {
            directory,
            default_set,
            bounds: settings.bounds.clone(),
            metrics,
            held,
            misnamed,
            trouble: None,
            passes: 0,
            outgoing: Vec::new(),
        };
        let live = Arc::new(Live::new(reload.snapshot()));
        Ok((reload, live))
    }

    /// Watches the directory and brings into `live` what is saved there, until it is cancelled.
    ///
    /// It ends by itself only where the directory can no longer be watched at all.
    pub async fn run(self, live: Arc<Live>, cancel: CancellationToken) -> Result<(), ReloadError> {
        let directory = self.directory.path();
        let (mut watch, mut alarm) = Watch::directory("the connectors' directory is", directory)
            .map_err(ReloadError::Watch)?;
        let mut reload = self;
        loop {
            let live = Arc::clone(&live);
            // The watch is renewed before the directory is read, so that no save falls between.
            let pass = background::work(move || {
                let poll = watch.renew();
                reload.pass(&live).tell(&reload.metrics);
                reload.let_go();
                let poll = reload.patience(poll);
                (watch, reload, poll)
            });
            let pass = pass.map_err(ReloadError::Thread)?;
            let poll;
            (watch, reload, poll) = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                passed = pass => passed.map_err(ReloadError::Pass)?,
            };
            let due = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                due = alarm.next(poll) => due.map_err(ReloadError::Ended)?,
            };
            if due == Due::Hangup {
                info!("reading the connectors, as SIGHUP asks");
            }
        }
    }

    /// After which time the directory is read in any case, where `poll` is for one that is well.
    fn patience(&self, poll: Duration) -> Duration {
        // Why: what keeps a directory from being read (no more file descriptors, say) may end
        // without an event.
        if self.trouble.is_some() {
            poll.min(OFTEN)
        } else {
            poll
        }
    }

    /// Reads the directory once, and puts in force in `live` what is new and good; says what
    /// happened.
    pub fn pass(&mut self, live: &Live) -> Events {
        self.passes += 1;
        let mut events = Events::default();
        let known = |file: &str| self.held.get(file.strip_suffix(".toml")?)?.digest;
        let read = self.directory.read(known);
        let fault = match read {
            Err(finding) => Some(finding),
            Ok(files) => {
                let fault = files
                    .iter()
                    .all(|file| file.set.is_none())
                    .then(|| self.directory.empty());
                self.take(files, fault.is_some(), &mut events);
                fault
            }
        };
        let mended = fault.is_none();
        self.note_directory(fault, &mut events);
        if mended {
            self.settle(&mut events);
        }
        if !events.list.is_empty() {
            self.outgoing.retain(is_held);
            self.outgoing.push(live.replace(self.snapshot()));
        }
        events
    }

    /// Drops what was in force before here, once no call holds it: to drop a large set takes longer
    /// than a call may. What is held for long is left to a later pass.
    fn let_go(&mut self) {
        for _ in 0..HELD_FOR {
            self.outgoing.retain(is_held);
            if self.outgoing.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes note of what the directory's files are now; where it is `empty`, all are as they were.
    fn take(&mut self, files: Vec<File>, empty: bool, events: &mut Events) {
        let mut seen = BTreeSet::new();
        let mut wrong_names = BTreeMap::new();
        for file in &files {
            match &file.set {
                Some(name) => {
                    seen.insert(name.clone());
                    if matches!(file.content, Content::Same) {
                        self.held.entry(name.clone()).or_default().there = true;
                    }
                }
                None => {
                    wrong_names.insert(file.name.clone(), Vec::new());
                }
            }
        }
        for loaded in load_beside(files, &self.bounds) {
            events.parsed += usize::from(loaded.digest.is_some());
            let lines = Lines::of(&loaded.text);
            let of = |errors: bool| {
                let findings = loaded
                    .findings
                    .iter()
                    .filter(|finding| finding.is_error() == errors);
                findings
                    .map(|finding| Problem::new(&loaded.file, &lines, finding))
                    .collect::<Vec<_>>()
            };
            let (refused, warnings) = (of(true), of(false));
            match loaded.name {
                Some(name) => {
                    let held = self.held.entry(name).or_default();
                    held.there = true;
                    held.digest = loaded.digest;
                    held.newest = loaded.set.map(|(set, digest)| Good { set, digest });
                    (held.refused, held.warnings) = (refused, warnings);
                }
                None => {
                    wrong_names.insert(loaded.file, refused);
                }
            }
        }
        self.note_misnamed(wrong_names, events);
        if !empty {
            self.note_gone(&seen, events);
        }
    }

    fn note_misnamed(&mut self, mut now: BTreeMap<String, Vec<Problem>>, events: &mut Events) {
        for name in self.misnamed.keys() {
            now.entry(name.clone()).or_default();
        }
        for (name, problems) in now {
            let trouble = self.misnamed.entry(name.clone()).or_default();
            let news = Trouble::update(trouble, problems, SystemTime::now());
            tell(news, &name, trouble.as_ref(), false, events);
        }
        self.misnamed.retain(|_, trouble| trouble.is_some());
    }

    /// Takes note of the sets whose files are not among those `seen`.
    fn note_gone(&mut self, seen: &BTreeSet<String>, events: &mut Events) {
        let passes = self.passes;
        self.held.retain(|name, held| {
            if seen.contains(name) {
                return true;
            }
            held.there = false;
            let Some(current) = &held.current else {
                tell(News::Mended, name, None, false, events);
                return false;
            };
            if current.good.set.is_retired() {
                events.list.push(Event::Forgotten { set: name.clone() });
                return false;
            }
            held.yields.get_or_insert(passes);
            true
        });
    }

    fn note_directory(&mut self, fault: Option<Finding>, events: &mut Events) {
        let place = self.directory.path().display().to_string();
        let problems = fault
            .map(|finding| Problem::at(place, &finding))
            .into_iter()
            .collect();
        match Trouble::update(&mut self.trouble, problems, SystemTime::now()) {
            News::Mended => events.list.push(Event::DirectoryMended),
            News::None => {}
            News::Refused => {
                let problem = self
                    .trouble
                    .iter()
                    .flat_map(Trouble::problems)
                    .next()
                    .cloned();
                events.list.extend(problem.map(Event::DirectoryRefused));
            }
        }
    }

    /// Decides which texts come into force, and takes note of why the others do not.
    fn settle(&mut self, events: &mut Events) {
        let contenders: Vec<_> = self.held.values().map(Held::contender).collect();
        let settled = settle(&contenders);
        let now = SystemTime::now();
        for ((name, held), settled) in self.held.iter_mut().zip(settled) {
            let problems = if settled.accepted {
                held.accept(now, events);
                Vec::new()
            } else if !held.there {
                vec![gone(name)]
            } else if held.refused.is_empty() {
                let overlaps = settled.overlaps.iter();
                overlaps
                    .map(|(line, finding)| Problem::at(format!("{name}.toml:{line}"), finding))
                    .collect()
            } else {
                held.refused.clone()
            };
            let news = Trouble::update(&mut held.trouble, problems, now);
            tell(
                news,
                name,
                held.trouble.as_ref(),
                held.current.is_some(),
                events,
            );
        }
        note_renamed(self.held.values_mut());
    }

    /// All that is in force, with what is wrong.
    fn snapshot(&self) -> Snapshot {
        let directory_fault = self.trouble.as_ref().and_then(Trouble::fault);
        let status = |trouble: Option<&Trouble>, loaded_at| Status {
            loaded_at,
            fault: trouble
                .and_then(Trouble::fault)
                .or_else(|| directory_fault.clone()),
        };
        let of_sets = self.held.iter().map(|(name, held)| {
            let loaded_at = held.current.as_ref().map(|current| current.loaded_at);
            (name.clone(), status(held.trouble.as_ref(), loaded_at))
        });
        let of_names = self
            .misnamed
            .iter()
            .map(|(name, trouble)| (name.clone(), status(trouble.as_ref(), None)));
        let status = of_sets.chain(of_names).collect();
        let catalog = Catalog::new(
            entries(self.held.values(), directory_fault.is_some()),
            self.default_set.as_deref(),
        );
        Snapshot {
            catalog,
            status,
            directory_fault,
        }
    }
}

/// Why the live state is no longer kept as the directory says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// What watches the directory ended by itself.
    #[error("the watch over the connectors' directory ended")]
    Ended(#[source] Ended),
    /// Reading the directory, or making sets of it, did not come to its end.
    #[error("a reload of the connectors did not come to its end")]
    Pass(#[source] RecvError),
    /// There was no thread to read it on.
    #[error("a reload of the connectors could not begin")]
    Thread(#[source] std::io::Error),
    /// The watch could not begin.
    #[error("the connectors' directory cannot be watched")]
    Watch(#[source] std::io::Error),
}

/// Whether another one holds the snapshot that was taken out of `Live`.
// Why: a swap turns what calls have borrowed without counting into counted references.
fn is_held(snapshot: &Arc<Snapshot>) -> bool {
    Arc::strong_count(snapshot) > 1
}

fn problems(name: &str, text: &str, findings: &[Finding]) -> Vec<Problem> {
    let lines = Lines::of(text);
    findings
        .iter()
        .map(|finding| Problem::new(name, &lines, finding))
        .collect()
}

fn gone(name: &str) -> Problem {
    Problem {
        place: format!("{name}.toml"),
        code: "file-gone",
        message: format!("`{name}.toml` is gone"),
        help: Some(
            "put it back; to give the set up, put back a file with `version = 1`, `retired = true` \
             and `[end]`, and then remove that"
                .to_owned(),
        ),
    }
}

fn tell(news: News, name: &str, trouble: Option<&Trouble>, in_force: bool, events: &mut Events) {
    let set = name.to_owned();
    match (news, trouble) {
        (News::Mended, _) => events.list.push(Event::Mended { set }),
        (News::Refused, Some(trouble)) => {
            let problems = trouble.problems().to_vec();
            events.list.push(Event::Refused {
                set,
                problems,
                in_force,
            });
        }
        (News::None, _) | (News::Refused, None) => {}
    }
}

/// For how many milliseconds a pass waits for calls to finish on what was in force before.
const HELD_FOR: u32 = 1_000;

#[cfg(test)]
mod tests;
