//! `postern check`: what is wrong with connectors and settings, and where.

mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use self::report::Report;
use super::{
    Context, Format, bridge,
    exit::{Exit, Stop},
    output::Progress,
    sets::Reading,
    settings::{Flags, SettingsError},
};
use crate::{
    config::{
        FileKind, callers, file_kind,
        settings::{Settings, callers::CallerSettings},
    },
    source::check_callers,
};

/// What `postern check` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Connector sets, or directories of them; without one the settings, and the connectors'
    /// directory and the file of callers that they name; a bridge.toml has the settings of a bridge
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Warnings count as errors
    #[arg(long)]
    deny_warnings: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

impl CheckArgs {
    /// Checks the files.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let mut report = Report::default();
        if self.paths.is_empty() {
            check_all(context, &mut report)?;
        } else {
            check_paths(context, &self.paths, &mut report)?;
        }
        match self.format {
            Format::Human => context.output.print(&report.human(context.output.ink())),
            Format::Json => context.output.line(&format!("{:#}", report.json())),
        }
        let bad = report.errors() > 0 || (self.deny_warnings && report.warnings() > 0);
        Ok(if bad { Exit::Failure } else { Exit::Success })
    }
}

/// The settings, and the connectors and callers that a service would start with.
fn check_all(context: &Context<'_>, report: &mut Report) -> Result<(), Stop> {
    let resolved = match context.resolve(Flags::default()) {
        Ok(resolved) => resolved,
        Err(SettingsError::Findings {
            file,
            text,
            findings,
        }) => {
            report.add_file(file.display().to_string(), text, findings);
            return Ok(());
        }
        Err(error) => return Err(context.no_settings(&error, Exit::Failure)),
    };
    let settings = resolved.settings;
    let progress = Progress::begin();
    let told = |done: usize, total: usize| progress.show(done, total);
    let default_set = settings.default_set.as_deref();
    let reading = Reading::directory(&settings.connectors, default_set, &settings.bounds, &told);
    report.add(reading);
    if let Some(checked) = check_callers(&settings.callers, sets(&settings).as_ref()) {
        report.add_file(checked.name, checked.text, checked.findings);
    }
    Ok(())
}

/// The names of the connector sets that are there, or that the settings speak of; none where the
/// directory cannot be read.
fn sets(settings: &Settings) -> Option<BTreeSet<String>> {
    let entries = fs::read_dir(&settings.connectors).ok()?;
    let mut sets: BTreeSet<_> = settings.bounds.names().map(str::to_owned).collect();
    for entry in entries.flatten() {
        if let FileKind::Set(name) = file_kind(&entry.file_name().to_string_lossy()) {
            sets.insert(name.to_owned());
        }
    }
    Some(sets)
}

/// The settings of a bridge.
fn check_bridge(context: &Context<'_>, path: &Path, report: &mut Report) -> Result<(), Stop> {
    match bridge::read(path) {
        Ok(_) => report.add_file(path.display().to_string(), String::new(), Vec::new()),
        Err(SettingsError::Findings {
            file,
            text,
            findings,
        }) => report.add_file(file.display().to_string(), text, findings),
        Err(error) => return Err(context.no_settings(&error, Exit::Failure)),
    }
    Ok(())
}

/// Directories, each for itself, and files with what is beside them.
fn check_paths(context: &Context<'_>, paths: &[PathBuf], report: &mut Report) -> Result<(), Stop> {
    // Why default: files can be checked where there are no settings, or bad ones.
    let settings = context.resolve(Flags::default()).map(|it| it.settings);
    let settings = settings.unwrap_or_default();
    let bounds = &settings.bounds;
    let mut directories = BTreeSet::new();
    let mut files: BTreeMap<&Path, BTreeSet<String>> = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            directories.insert(path);
            continue;
        }
        if let Some(callers) = callers_at(path, &settings.connectors) {
            if let Some(checked) = check_callers(&callers, sets(&settings).as_ref()) {
                report.add_file(checked.name, checked.text, checked.findings);
            }
            continue;
        }
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| {
            Stop::usage(format!(
                "`{}` does not exist: name files or directories of connector sets",
                path.display()
            ))
        })?;
        if name == bridge::FILE {
            check_bridge(context, path, report)?;
            continue;
        }
        files
            .entry(path.parent().unwrap_or_else(|| Path::new("")))
            .or_default()
            .insert(name);
    }
    let progress = Progress::begin();
    let told = |done: usize, total: usize| progress.show(done, total);
    for directory in &directories {
        report.add(Reading::directory(directory, None, bounds, &told));
    }
    for (directory, names) in files {
        if !directories.iter().any(|known| **known == *directory) {
            report
                .add(Reading::files(directory, &names, true, bounds, &told).map_err(Stop::usage)?);
        }
    }
    Ok(())
}

/// What to read at `path`, where a file of callers is. Among the `connectors` it would be read as a
/// set, and so it is here.
fn callers_at(path: &Path, connectors: &Path) -> Option<CallerSettings> {
    let file = path.canonicalize().ok()?;
    let connectors = connectors.canonicalize().ok();
    if connectors.is_some_and(|connectors| file.parent() == Some(&connectors)) {
        return None;
    }
    let text = path.is_file().then(|| fs::read(path).ok())??;
    callers::is_meant(&String::from_utf8_lossy(&text)).then(|| CallerSettings {
        file: path.to_owned(),
        required: true,
        ..CallerSettings::default()
    })
}

const EXAMPLES: &str = "\
It reads exactly as `postern serve` does: what passes here is taken up there. A set that is checked
alone is compared with those beside it, which must not accept the same domains. A file that is named
`bridge.toml` has the settings of a bridge, and is no set; one with `[[callers]]` has callers.

Examples:
  postern check
  postern check connectors/contoso.toml
  postern check /etc/postern/bridge.toml
  postern check callers.toml
  postern check --deny-warnings /etc/postern/connectors
  postern check --format json | jq '.findings[] | select(.severity == \"error\")'

Exit codes: 0 no errors, 1 errors (with --deny-warnings: or warnings), 2 wrong call.";
