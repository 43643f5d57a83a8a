//! The files of a log: those that are named, or the log of the settings with its rotated files.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    rc::Rc,
    time::SystemTime,
};

use flate2::read::MultiGzDecoder;

use super::{
    lines::{Found, Lines},
    packed::{Packed, SIGNATURE},
};
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

/// A file whose lines are read, also where it is compressed with gzip.
pub(super) struct Opened {
    lines: Lines<Box<dyn Read>>,
    octets: Rc<Cell<u64>>,
}

/// Counts what is read of `R`, into where it is seen from outside.
struct Counted<R>(R, Rc<Cell<u64>>);

/// The rotated files of a log.
#[derive(Debug, Default)]
pub(super) struct Rotated {
    /// The oldest first.
    pub(super) read: Vec<PathBuf>,
    /// Those that are compressed in a way that is not read here.
    pub(super) left_out: Vec<(PathBuf, Packed)>,
}

impl Files {
    /// The files that are named; where none is, the log of the settings, after its rotated files.
    pub(super) fn chosen(named: Vec<PathBuf>, context: &Context<'_>) -> Result<Self, Stop> {
        if !named.is_empty() {
            return Ok(Self { paths: named });
        }
        let path = of_settings(context)?;
        let rotated = rotated(&path);
        for (path, packed) in rotated.left_out {
            let (shown, printer) = (name(&path), packed.printer());
            context.output.warning(format!(
                "`{shown}` is left out, since it is compressed: pipe `{printer} {shown}` into this verb with `-`"
            ));
        }
        let mut paths = rotated.read;
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
    let unreadable = |error: io::Error| unreadable(&name(path), &error);
    if path == Path::new("-") {
        return begin(io::stdin(), "standard input");
    }
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Stop::usage(format!(
            "`{}` is a directory: name the files of the log in it",
            name(path)
        )));
    }
    begin(file, &name(path))
}

/// The lines of what `file` holds, which is called `shown`.
fn begin(mut file: impl Read + 'static, shown: &str) -> Result<Opened, Stop> {
    let mut start = Vec::new();
    let begun = Read::take(&mut file, SIGNATURE).read_to_end(&mut start);
    begun.map_err(|error| unreadable(shown, &error))?;
    let packed = Packed::starting(&start);
    let octets = Rc::new(Cell::new(0));
    let whole = Counted(Cursor::new(start).chain(file), Rc::clone(&octets));
    let reader: Box<dyn Read> = match packed {
        None => Box::new(whole),
        Some(Packed::Gzip) => Box::new(MultiGzDecoder::new(whole)),
        Some(other) => {
            let printer = other.printer();
            return Err(Stop::usage(format!(
                "`{shown}` is compressed: unpack it, or give `-` and pipe `{printer} {shown}` into it"
            )));
        }
    };
    let lines = Lines::of(reader);
    Ok(Opened { lines, octets })
}

fn unreadable(shown: &str, error: &io::Error) -> Stop {
    Stop::new(Exit::Usage, format!("`{shown}` cannot be read: {error}"))
}

impl Opened {
    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        self.lines.next()
    }

    /// The number of the line that was last given, from 1.
    pub(super) fn number(&self) -> u64 {
        self.lines.number()
    }

    /// How much of the file was read, as long as it is on disk.
    pub(super) fn octets(&self) -> u64 {
        self.octets.get()
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(to)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
}

/// The rotated files beside `path`: `decisions.jsonl.1` or `decisions-20261123.jsonl.gz` beside
/// `decisions.jsonl`.
pub(super) fn rotated(path: &Path) -> Rotated {
    let (Some(own), Some(stem)) = (text(path.file_name()), text(path.file_stem())) else {
        return Rotated::default();
    };
    let extension = text(path.extension()).map(|extension| format!(".{extension}"));
    let extension = extension.unwrap_or_default();
    let is_rotated = |name: &str| {
        let (_, name) = Packed::named(name).unwrap_or((Packed::Gzip, name));
        let behind = name
            .strip_prefix(own)
            .is_some_and(|rest| rest.starts_with(['.', '-']));
        let between = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(&extension))
            .is_some_and(|rest| rest.starts_with(['.', '-']));
        behind || between
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Rotated::default();
    };
    let entries = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = entry.metadata().ok()?;
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (metadata.is_file() && is_rotated(&name)).then_some((changed, name))
    });
    let mut found: Vec<_> = entries.collect();
    found.sort_unstable();
    let mut rotated = Rotated::default();
    for (_, name) in found {
        let path = path.with_file_name(&name);
        match Packed::named(&name) {
            // Why: it is being compressed, and removed when that is done.
            Some((_, before)) if path.with_file_name(before).exists() => {}
            None | Some((Packed::Gzip, _)) => rotated.read.push(path),
            Some((packed, _)) => rotated.left_out.push((path, packed)),
        }
    }
    rotated
}

fn text(name: Option<&std::ffi::OsStr>) -> Option<&str> {
    name?.to_str()
}

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
            "decisions.jsonl-20261121.gz",
            "decisions-20261120.jsonl.gz",
            "decisions.jsonl.1",
            "decisions.jsonl",
            "decisions.jsonl.1.gz",
            "decisions.jsonl.4.zst",
            "decisions.jsonl.gz",
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
        let of = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let read: Vec<_> = found.read.iter().map(of).collect();
        assert_eq!(read, names[..5]);
        let left_out: Vec<_> = found.left_out.iter().map(|(path, _)| of(path)).collect();
        assert_eq!(left_out, ["decisions.jsonl.4.zst"]);
        assert!(rotated(Path::new("/nowhere/log")).read.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| open(path).map(drop).unwrap_err().message().to_owned();
        assert!(said(&folder.path().join("none")).contains("cannot be read"));
        assert!(said(folder.path()).contains("is a directory"));
        let packed = folder.path().join("log");
        for (start, printer) in [
            (&b"BZh91AY"[..], "bzcat"),
            (b"\x04\x22\x4d\x18d", "lz4cat"),
            (b"\xfd7zXZ\0\0", "xzcat"),
            (b"\x28\xb5\x2f\xfd\x04", "zstdcat"),
        ] {
            fs::write(&packed, start).unwrap();
            assert!(said(&packed).contains(printer), "{printer}");
        }
    }
}
