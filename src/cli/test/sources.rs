//! The connectors that expectations ask, each read once.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf},
};

use super::Broken;
use crate::{
    cli::{
        Context,
        exit::{Exit, Stop},
        expectations::{Asked, Expectations},
        sets::Reading,
        settings::Resolved,
    },
    config::settings::bounds::Bounds,
    live::Snapshot,
};

/// Connectors by where they are.
pub(super) struct Sources<'a> {
    context: &'a Context<'a>,
    settings: Option<Resolved>,
    /// Each with whether it was held to the bounds of the settings.
    read: BTreeMap<(PathBuf, bool), Result<Reading, Broken>>,
}

impl<'a> Sources<'a> {
    /// Reads nothing yet.
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            settings: None,
            read: BTreeMap::new(),
        }
    }

    /// Where expectations are when no path is named.
    pub(super) fn default_path(&mut self) -> Result<PathBuf, Stop> {
        Ok(self.settings()?.settings.connectors.join("tests"))
    }

    /// What the cases of `expectations`, in the file at `path`, ask.
    pub(super) fn snapshot(
        &mut self,
        path: &Path,
        expectations: &Expectations,
    ) -> Result<Snapshot, Broken> {
        let own = expectations.default_set.as_deref();
        match &expectations.asked {
            Asked::Written(sets) => {
                let reading = Reading::written(&path.display().to_string(), sets);
                snapshot(&good(reading, "the sets of the file", self.context)?, own)
            }
            Asked::Path(_) => {
                let asked = expectations.connectors_of(path).unwrap_or_default();
                snapshot(self.reading(asked, None)?, own)
            }
            Asked::Settings => {
                let stopped = |stop: Stop| Broken::new(stop.message());
                let settings = self.settings().map_err(stopped)?.settings.clone();
                let default = own.map(str::to_owned).or(settings.default_set);
                let reading = self.reading(settings.connectors, Some(&settings.bounds))?;
                snapshot(reading, default.as_deref())
            }
        }
    }

    fn settings(&mut self) -> Result<&Resolved, Stop> {
        let resolved = match self.settings.take() {
            Some(resolved) => resolved,
            None => self.context.settings(Exit::Usage)?,
        };
        Ok(self.settings.insert(resolved))
    }

    /// The sets of a file or of a directory, which may claim what `bounds` let them, where there
    /// are some.
    fn reading(&mut self, asked: PathBuf, bounds: Option<&Bounds>) -> Result<&Reading, Broken> {
        let reading = match self.read.entry((asked, bounds.is_some())) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => {
                let (path, _) = unread.key();
                let shown = path.display().to_string();
                let none = Bounds::default();
                let reading = read(path, bounds.unwrap_or(&none));
                let reading = reading
                    .and_then(|it| good(it, &format!("the connectors in `{shown}`"), self.context));
                unread.insert(reading)
            }
        };
        reading.as_ref().map_err(Clone::clone)
    }
}

/// Reads a file with a set, or a directory of them.
fn read(asked: &Path, bounds: &Bounds) -> Result<Reading, Broken> {
    let quietly = |_: usize, _: usize| ();
    if asked.is_dir() {
        return Ok(Reading::directory(asked, None, bounds, &quietly));
    }
    let directory = asked.parent().unwrap_or_else(|| Path::new(""));
    let name = asked
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let names: BTreeSet<String> = name.into_iter().collect();
    Reading::files(directory, &names, false, bounds, &quietly).map_err(Broken::new)
}

/// The reading, where a service would start with it.
fn good(reading: Reading, what: &str, context: &Context<'_>) -> Result<Reading, Broken> {
    if !reading.has_errors() {
        return Ok(reading);
    }
    let (carets, plain) = reading.errors(ERRORS_SHOWN, context.output.ink().is_coloured());
    let message = format!("{what} cannot be used: mend what is shown");
    Err(Broken {
        message,
        carets,
        plain,
    })
}

fn snapshot(reading: &Reading, default_set: Option<&str>) -> Result<Snapshot, Broken> {
    if let Some(default) = default_set
        && !reading.sets().any(|set| set.name() == default)
    {
        let message = format!("there is no connector set `{default}`, which `default_set` names");
        return Err(Broken::new(message));
    }
    Ok(reading.snapshot(default_set))
}

const ERRORS_SHOWN: usize = 10;
