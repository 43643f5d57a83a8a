//! What happens to connector sets, told to the log and the metrics.

use std::{num::NonZeroUsize, sync::Arc, time::SystemTime};

use tracing::{
    field::{DisplayValue, display},
    info, warn,
};

use super::{
    changes::{Difference, Names},
    lifted::lifted,
};
use crate::{
    config::finding::{Finding, Lines},
    live::Fault,
    policy::ConnectorSet,
    telemetry::{Metrics, ReloadResult},
};

/// What happened, in the order in which it is to be told.
#[derive(Debug, Default)]
pub struct Events {
    /// One each.
    pub list: Vec<Event>,
    /// How many texts were parsed for it.
    pub parsed: usize,
}

/// What happened to a connector set, or to the directory of all.
#[derive(Debug)]
pub enum Event {
    /// The directory is not as it must be: every set stays as it is.
    DirectoryRefused(Problem),
    /// The directory is as it must be again.
    DirectoryMended,
    /// A retired set's file is gone, and so the set is forgotten.
    Forgotten {
        /// The set.
        set: String,
    },
    /// A text came into force.
    Loaded {
        /// The set as it is now.
        set: Arc<ConnectorSet>,
        /// The set as it was; none where it is new.
        old: Option<Arc<ConnectorSet>>,
        /// What is worth a thought in the text.
        warnings: Vec<Problem>,
    },
    /// What was wrong is so no longer.
    Mended {
        /// The set, or the file where its name was wrong.
        set: String,
    },
    /// What is in the file now does not come into force.
    Refused {
        /// The set, or the file where its name is wrong.
        set: String,
        /// All that is wrong.
        problems: Vec<Problem>,
        /// A set of this name is in force: the last good one.
        in_force: bool,
    },
}

/// A finding as it is told where the text is not at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, and where a place in it is known the line and the column: `contoso.toml:7:12`.
    pub place: String,
    /// The stable code of the finding.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All that is wrong with something, and since when something was.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    // INVARIANT (some): there is at least one.
    problems: Vec<Problem>,
    since: SystemTime,
}

impl Events {
    /// Tells them to the log, and to `metrics`.
    pub fn tell(&self, metrics: &Metrics) {
        for event in &self.list {
            event.log();
            if let Some((set, result)) = event.result() {
                metrics.reloaded(set, result);
            }
        }
    }
}

impl Event {
    fn result(&self) -> Option<(&str, ReloadResult)> {
        match self {
            Self::DirectoryRefused(_) => Some(("", ReloadResult::Refused)),
            Self::Forgotten { set } => Some((set, ReloadResult::Forgotten)),
            Self::Loaded { set, .. } => Some((set.name(), ReloadResult::Loaded)),
            Self::Refused { set, .. } => Some((set, ReloadResult::Refused)),
            Self::DirectoryMended | Self::Mended { .. } => None,
        }
    }

    fn log(&self) {
        match self {
            Self::DirectoryRefused(Problem {
                place,
                code,
                message,
                help,
            }) => {
                let help = help.as_deref();
                warn!(
                    place,
                    code,
                    problem = message,
                    help,
                    "every connector set stays as it is"
                );
            }
            Self::DirectoryMended => info!("the connectors' directory is mended"),
            Self::Forgotten { set } => {
                info!(connector_set = set, "retired connector set forgotten");
            }
            Self::Loaded { set, old, warnings } => {
                log_loaded(set, old.as_deref());
                log_problems(set.name(), warnings, "worth a thought");
            }
            Self::Mended { set } => info!(connector_set = set, "fault mended"),
            Self::Refused {
                set,
                problems,
                in_force,
            } => {
                let becomes = if *in_force {
                    "not in force: the last good connector set stays"
                } else {
                    "not in force"
                };
                log_problems(set, problems, becomes);
            }
        }
    }
}

fn log_loaded(set: &ConnectorSet, old: Option<&ConnectorSet>) {
    let (connector_set, digest) = (set.name(), set.digest());
    let Some(old) = old else {
        let (inbound, outbound) = (set.inbound().len(), set.outbound().len());
        let retired = set.is_retired();
        info!(
            connector_set,
            digest, inbound, outbound, retired, "connector set loaded"
        );
        return;
    };
    let parts = Difference::between(old, set).parts(MOST_NAMES);
    let count = parts.len();
    for (at, Difference { inbound, outbound }) in parts.iter().enumerate() {
        info!(
            connector_set,
            old_digest = old.digest(),
            digest,
            part = (count > 1).then(|| display(format!("{} of {count}", at + 1))),
            inbound_added = names(&inbound.added),
            inbound_removed = names(&inbound.removed),
            inbound_changed = names(&inbound.changed),
            outbound_added = names(&outbound.added),
            outbound_removed = names(&outbound.removed),
            outbound_changed = names(&outbound.changed),
            mode = set.mode().as_str(),
            retired = set.is_retired(),
            "connector set changed"
        );
    }
    // All of them, however many: nowhere else is it said what a text lifted.
    for demand in lifted(old, set) {
        warn!(
            connector_set,
            digest,
            lifted = demand,
            "a demand was lifted"
        );
    }
}

/// The names, where there are any.
fn names(names: &Names) -> Option<DisplayValue<&Names>> {
    (!names.0.is_empty()).then(|| display(names))
}

fn log_problems(connector_set: &str, problems: &[Problem], becomes: &str) {
    for Problem {
        place,
        code,
        message,
        help,
    } in problems.iter().take(MOST_LINES)
    {
        let help = help.as_deref();
        warn!(
            connector_set,
            place,
            code,
            problem = message,
            help,
            "{becomes}"
        );
    }
    let count = problems.len();
    if count > MOST_LINES {
        warn!(
            connector_set,
            more = count - MOST_LINES,
            "and more of these: see `postern check`"
        );
    }
}

impl Problem {
    /// `finding`, whose place is in `text` of the file or directory `name`.
    pub(super) fn new(name: &str, lines: &Lines<'_>, finding: &Finding) -> Self {
        let place = match finding.labels.first() {
            Some(label) => {
                let place = lines.place(label.span.start);
                format!("{name}:{}:{}", place.line, place.column)
            }
            None => name.to_owned(),
        };
        Self::at(place, finding)
    }

    /// `finding`, which is about what is at `place`.
    pub(super) fn at(place: String, finding: &Finding) -> Self {
        Self {
            place,
            code: finding.code,
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

impl Trouble {
    /// What `trouble` becomes where `problems` are what is wrong at `now`; tells whether that is
    /// news.
    pub(super) fn update(
        trouble: &mut Option<Self>,
        problems: Vec<Problem>,
        now: SystemTime,
    ) -> News {
        match trouble {
            None if problems.is_empty() => News::None,
            None => {
                *trouble = Some(Self {
                    problems,
                    since: now,
                });
                News::Refused
            }
            Some(_) if problems.is_empty() => {
                *trouble = None;
                News::Mended
            }
            Some(known) if known.problems == problems => News::None,
            Some(known) => {
                known.problems = problems;
                News::Refused
            }
        }
    }

    /// All that is wrong.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The first of what is wrong, and how many more there are.
    pub(super) fn fault(&self) -> Option<Fault> {
        let Problem {
            place,
            code,
            message,
            ..
        } = self.problems.first()?;
        let message = match self.problems.len() - 1 {
            0 => message.clone(),
            more => format!("{message} (and {more} more)"),
        };
        Some(Fault {
            place: place.clone(),
            code: (*code).to_owned(),
            message,
            since: self.since,
        })
    }
}

/// Whether something is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// What was wrong is so no longer.
    Mended,
    /// All is as it was.
    None,
    /// Something is wrong that was not, or not in this way.
    Refused,
}

/// How many lines the findings of one file take.
const MOST_LINES: usize = 20;
/// How many names of connectors one list of an event has.
const MOST_NAMES: NonZeroUsize = NonZeroUsize::new(50).unwrap();
