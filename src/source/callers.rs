//! The file of callers: read at start, taken up live; what is broken or gone changes nothing.

use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    file::whole,
    files::{Files, FilesError},
    journal::{News, Problem, Trouble},
    start::{Checked, StartError},
};
use crate::{
    callers::Callers,
    config::{
        self,
        finding::{Finding, Lines},
        settings::callers::CallerSettings,
    },
    live::{Access, Standing},
    telemetry::{Metrics, ReloadResult},
};

/// Keeps who may ask as the file of callers says, as far as that is good.
#[derive(Debug)]
pub struct CallerFile {
    files: Files,
    state: State,
}

/// What became of the file so far.
#[derive(Debug)]
struct State {
    /// The file, as it is shown.
    name: String,
    metrics: Metrics,
    standing: Standing,
    trouble: Option<Trouble>,
}

/// The callers in a file, or what is wrong with it.
type Judged = Result<Callers, Checked>;

/// The name of a file, and its text, or why there is none.
type Text = Result<(String, String), Checked>;

impl CallerFile {
    /// Reads the file for the first time: the error is all that is wrong with it, or that it is not
    /// there though the settings name it.
    pub fn start(
        settings: &CallerSettings,
        metrics: Metrics,
    ) -> Result<(Self, Arc<Access>), StartError> {
        let mut files = Files::new("the callers are", vec![settings.file.clone()]);
        let judged = judge(settings, files.read().pop());
        let callers = judged.transpose().map_err(StartError::of)?;
        let mut state = State {
            name: settings.file.display().to_string(),
            metrics,
            standing: Standing::default(),
            trouble: None,
        };
        let loaded: Vec<_> = callers
            .map(|callers| state.accept(callers))
            .into_iter()
            .collect();
        state.tell(&loaded);
        if state.standing.callers.is_some() && !settings.required {
            warn!(
                file = state.name,
                "without this file the next start lets everybody ask, since the settings do not name \
                 it: write `file` in `[callers]`"
            );
        }
        let access = Arc::new(Access::new(state.standing.clone()));
        Ok((Self { files, state }, access))
    }

    /// Brings into `access` what is saved in the file, until it is cancelled.
    pub async fn run(
        self,
        access: Arc<Access>,
        cancel: CancellationToken,
    ) -> Result<(), FilesError> {
        let mut state = self.state;
        let taken_up = move |mut reading: Vec<io::Result<Vec<u8>>>| {
            let events = state.take(reading.pop());
            access.replace(state.standing.clone());
            state.tell(&events);
        };
        self.files.watch(taken_up, cancel).await
    }
}

/// All that is wrong with the file of callers that the settings speak of, beside the sets that are
/// there, where that is known; none where there need be no file, and is none.
pub fn check_callers(
    settings: &CallerSettings,
    sets: Option<&BTreeSet<String>>,
) -> Option<Checked> {
    let read = Files::new("the callers are", vec![settings.file.clone()])
        .read()
        .pop();
    let (name, text) = match read_for(settings, read)? {
        Ok(read) => read,
        Err(checked) => return Some(checked),
    };
    let outcome = match sets {
        Some(sets) => config::callers::load_beside(&text, sets),
        None => config::callers::load_str(&text),
    };
    Some(Checked {
        name,
        text,
        findings: outcome.findings,
    })
}

/// The callers that were read for a start; none where there need be no file, and is none.
fn judge(settings: &CallerSettings, read: Option<io::Result<Vec<u8>>>) -> Option<Judged> {
    Some(read_for(settings, read)?.and_then(load))
}

/// The name of the file that was read, and its text; none where there need be none.
fn read_for(settings: &CallerSettings, read: Option<io::Result<Vec<u8>>>) -> Option<Text> {
    let name = settings.file.display().to_string();
    let absent = matches!(&read, Some(Err(error)) if error.kind() == io::ErrorKind::NotFound);
    if absent && !settings.required && !is_link(&settings.file) {
        return None;
    }
    if absent {
        let message =
            format!("the file of callers `{name}`, which the settings name, is not there");
        let finding = whole("callers-missing", message).help(
            "create it, or remove `file` from `[callers]` of the settings to let everybody ask",
        );
        return Some(Err(about(name, finding)));
    }
    Some(text(name, read?))
}

/// Whether something stands at `path`, though it may lead nowhere.
fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn text(name: String, read: io::Result<Vec<u8>>) -> Text {
    let octets = match read {
        Ok(octets) => octets,
        Err(error) => {
            let message = format!("the file of callers `{name}` cannot be read: {error}");
            let finding = whole("callers-unreadable", message)
                .help("let the user that Postern runs as read it");
            return Err(about(name, finding));
        }
    };
    match String::from_utf8(octets) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
            let finding = Finding::error("file-not-utf8", span, format!("`{name}` is not UTF-8"))
                .here("not UTF-8 from here")
                .help("save the file in UTF-8");
            Err(Checked {
                name,
                text,
                findings: vec![finding],
            })
        }
    }
}

fn load((name, text): (String, String)) -> Judged {
    let outcome = config::callers::load_str(&text);
    outcome.callers.ok_or(Checked {
        name,
        text,
        findings: outcome.findings,
    })
}

fn about(name: String, finding: Finding) -> Checked {
    Checked {
        name,
        text: String::new(),
        findings: vec![finding],
    }
}

impl State {
    /// Takes up what the file is now, and says what is to be told of it.
    fn take(&mut self, read: Option<io::Result<Vec<u8>>>) -> Vec<Event> {
        let Some(read) = read else { return Vec::new() };
        let absent = matches!(&read, Err(error) if error.kind() == io::ErrorKind::NotFound);
        let mut events = Vec::new();
        let problems = if absent {
            let in_force = self.standing.callers.iter();
            in_force.map(|_| gone(&self.name)).collect()
        } else {
            match text(self.name.clone(), read).and_then(load) {
                Ok(callers) => {
                    events.push(self.accept(callers));
                    Vec::new()
                }
                Err(checked) => problems(&checked),
            }
        };
        match Trouble::update(&mut self.trouble, problems, SystemTime::now()) {
            News::None => {}
            News::Mended => events.push(Event::Mended),
            News::Refused => {
                let problems = self.trouble.as_ref().map(Trouble::problems);
                events.push(Event::Refused {
                    problems: problems.unwrap_or_default().to_vec(),
                    in_force: self.standing.callers.is_some(),
                });
            }
        }
        self.standing.fault = self.trouble.as_ref().and_then(Trouble::fault);
        events
    }

    fn accept(&mut self, callers: Callers) -> Event {
        let before = self.standing.callers.take();
        let callers = match &before {
            Some(before) => callers.keeping(before),
            None => callers,
        };
        let (old, new) = (
            before.as_deref().map(names).unwrap_or_default(),
            names(&callers),
        );
        let event = Event::Loaded {
            count: new.len(),
            added: missing_in(&old, &new),
            removed: missing_in(&new, &old),
        };
        self.standing.version += 1;
        self.standing.callers = Some(Arc::new(callers));
        self.standing.loaded_at = Some(SystemTime::now());
        event
    }

    /// Tells what happened to the metrics and the log, once it is in force: whoever reads of it in
    /// the log finds it everywhere else.
    fn tell(&self, events: &[Event]) {
        let Standing {
            callers,
            loaded_at,
            fault,
            ..
        } = &self.standing;
        self.metrics.callers_now(
            callers.as_ref().map(|callers| callers.list().len()),
            *loaded_at,
            fault.as_ref().map(|fault| fault.since),
        );
        for event in events {
            match event {
                Event::Loaded { .. } => self.metrics.callers_reloaded(ReloadResult::Loaded),
                Event::Mended => {}
                Event::Refused { .. } => self.metrics.callers_reloaded(ReloadResult::Refused),
            }
            event.log(&self.name);
        }
    }
}

/// What happened to the callers.
#[derive(Debug)]
enum Event {
    Loaded {
        count: usize,
        added: Option<String>,
        removed: Option<String>,
    },
    Mended,
    Refused {
        problems: Vec<Problem>,
        in_force: bool,
    },
}

impl Event {
    fn log(&self, file: &str) {
        match self {
            Self::Loaded {
                count,
                added,
                removed,
            } => info!(file, callers = count, added, removed, "callers loaded"),
            Self::Mended => info!(file, "the file of callers is mended"),
            Self::Refused { problems, in_force } => {
                let becomes = if *in_force {
                    "not in force: the callers stay as they are"
                } else {
                    "not in force: there are no callers, and everybody may ask"
                };
                for problem in problems.iter().take(MOST_LINES) {
                    let Problem {
                        place,
                        code,
                        message,
                        help,
                    } = problem;
                    let help = help.as_deref();
                    warn!(place, code, problem = message, help, "{becomes}");
                }
            }
        }
    }
}

fn names(callers: &Callers) -> Vec<&str> {
    callers.list().iter().map(|caller| caller.name()).collect()
}

/// The first of `names` that are not among `others`, where there are any.
fn missing_in(others: &[&str], names: &[&str]) -> Option<String> {
    let missing = names.iter().filter(|name| !others.contains(name));
    let missing: Vec<_> = missing.take(MOST_NAMES).copied().collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

fn problems(checked: &Checked) -> Vec<Problem> {
    let lines = Lines::of(&checked.text);
    let problem = |finding: &Finding| Problem::new(&checked.name, &lines, finding);
    checked.findings.iter().map(problem).collect()
}

fn gone(name: &str) -> Problem {
    Problem {
        place: name.to_owned(),
        code: "callers-gone",
        message: format!("the file of callers `{name}` is gone"),
        help: Some("put it back; to let everybody ask, start Postern anew without it".to_owned()),
    }
}

/// How many lines the findings of the file take, and how many names a line has.
const MOST_LINES: usize = 20;
const MOST_NAMES: usize = 50;
