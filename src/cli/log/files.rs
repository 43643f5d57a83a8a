//! The files of a log: those that are named, or the log of the settings with its rotated files.

use std::{
    fs::{self, File},
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::lines::Lines;
use crate::{
    cli::{
        Context,
        exit::{Exit, Stop},
    },
    config::settings::decision_log::Output,
};

/// The files that a verb reads, in order.
#[derive(Debug)]
pub(super) struct Files {
    /// Their paths; `-` is standard input.
    pub(super) paths: Vec<PathBuf>,
}

/// Something to read lines from.
pub(super) type Opened = Lines<Box<dyn Read>>;

impl Files {
    /// The files that are named; where none is, the log of the settings, after its rotated files.
    pub(super) fn chosen(named: Vec<PathBuf>, context: &Context<'_>) -> Result<Self, Stop> {
        if !named.is_empty() {
            return Ok(Self { paths: named });
        }
        let path = of_settings(context)?;
        let mut paths = rotated(&path);
        // Why: just after a rotation, the log itself may not be there.
        if path.exists() || paths.is_empty() {
            paths.push(path);
        }
        Ok(Self { paths })
    }

    /// How many octets there are to read; none where that cannot be told.
    pub(super) fn octets(&self) -> Option<u64> {
        let lengths = self.paths.iter().map(|path| {
            let metadata = fs::metadata(path).ok()?;
            metadata.is_file().then_some(metadata.len())
        });
        lengths.sum()
    }

    /// Their names, as they are shown.
    pub(super) fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| name(path)).collect()
    }
}

/// The log of the settings.
pub(super) fn of_settings(context: &Context<'_>) -> Result<PathBuf, Stop> {
    let resolved = context.settings(Exit::Usage)?;
    let output = resolved
        .settings
        .decision_log
        .as_ref()
        .map(|log| &log.output);
    match output {
        Some(Output::File { path, .. }) => Ok(path.clone()),
        Some(Output::Stdout) => Err(Stop::usage(
            "the settings have decisions written to standard output: name the files where it is \
             kept, or `-` and pipe it in",
        )),
        None => Err(Stop::usage(format!(
            "the settings ({}) have no `[decision_log]`: name the files of a log, or add the table \
             with `file = \"decisions.jsonl\"`",
            resolved.from()
        ))),
    }
}

/// How a file is called in what is printed.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

/// The lines of the file `path`.
pub(super) fn open(path: &Path) -> Result<Opened, Stop> {
    let unreadable = |error: io::Error| {
        let message = format!("`{}` cannot be read: {error}", name(path));
        Stop::new(Exit::Usage, message)
    };
    if path == Path::new("-") {
        return Ok(Lines::of(Box::new(io::stdin())));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Stop::usage(format!(
            "`{}` is a directory: name the files of the log in it",
            name(path)
        )));
    }
    let mut start = Vec::new();
    let begun = Read::take(&mut file, 2).read_to_end(&mut start);
    begun.map_err(unreadable)?;
    if start == GZIP {
        let shown = name(path);
        return Err(Stop::usage(format!(
            "`{shown}` is compressed: unpack it, or give `-` and pipe `zcat {shown}` into it"
        )));
    }
    Ok(Lines::of(Box::new(Cursor::new(start).chain(file))))
}

/// The rotated files beside `path`, the oldest first: `decisions.jsonl.1` or
/// `decisions-20261123.jsonl` beside `decisions.jsonl`. Compressed ones are left out.
pub(super) fn rotated(path: &Path) -> Vec<PathBuf> {
    let (Some(own), Some(stem)) = (text(path.file_name()), text(path.file_stem())) else {
        return Vec::new();
    };
    let extension = text(path.extension()).map(|extension| format!(".{extension}"));
    let extension = extension.unwrap_or_default();
    let is_rotated = |name: &str| {
        let behind = name
            .strip_prefix(own)
            .is_some_and(|rest| rest.starts_with(['.', '-']));
        let between = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(&extension))
            .is_some_and(|rest| rest.starts_with(['.', '-']));
        let packed = PACKED.iter().any(|end| name.ends_with(end));
        (behind || between) && !packed
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let metadata = entry.metadata().ok()?;
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (metadata.is_file() && is_rotated(name.to_str()?)).then_some((changed, name))
    });
    let mut found: Vec<_> = entries.collect();
    found.sort_unstable();
    let found = found.into_iter();
    found.map(|(_, name)| path.with_file_name(name)).collect()
}

fn text(name: Option<&std::ffi::OsStr>) -> Option<&str> {
    name?.to_str()
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const PACKED: [&str; 5] = [".bz2", ".gz", ".lz4", ".xz", ".zst"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rotated_files_are_found_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "decisions.jsonl.2",
            "decisions-20261122T000000Z.jsonl",
            "decisions.jsonl.1",
            "decisions.jsonl",
            "decisions.jsonl.3.gz",
            "decisions.jsonlx",
            "decisionsmore.jsonl",
            "other.jsonl",
        ];
        for (age, name) in names.iter().enumerate() {
            let file = File::create(folder.path().join(name)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64);
            file.set_modified(time).unwrap();
        }
        fs::create_dir(folder.path().join("decisions.jsonl.d")).unwrap();
        let found = rotated(&folder.path().join("decisions.jsonl"));
        let found: Vec<_> = found
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(found, names[..3]);
        assert!(rotated(Path::new("/nowhere/log")).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| open(path).map(drop).unwrap_err().message().to_owned();
        assert!(said(&folder.path().join("none")).contains("cannot be read"));
        assert!(said(folder.path()).contains("is a directory"));
        let packed = folder.path().join("log.gz");
        fs::write(&packed, [0x1f, 0x8b, 8, 0]).unwrap();
        assert!(said(&packed).contains("zcat"));
    }
}
