//! A file that lines are added to, and that gives way to another one in time.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::pending::Pending;
use crate::config::settings::decision_log::Rotation;

/// A file that lines are added to.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
    /// The last rotation failed, and was told of.
    stuck: bool,
}

/// The file as it is open.
#[derive(Debug)]
struct Open {
    file: File,
    /// Its device and number.
    id: (u64, u64),
    size: u64,
    /// When it was last written to.
    last: SystemTime,
    /// It is a file, and no device or pipe.
    plain: bool,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self {
            path,
            rotation,
            open: None,
            stuck: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it, which makes it where it is missing. A line that was cut off there is ended.
    pub(super) fn open(&mut self) -> io::Result<()> {
        // Why to read: whether its last line has an end. Why not for everybody: it says who writes
        // to whom.
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)?;
        let metadata = file.metadata()?;
        let plain = metadata.is_file();
        let mut size = metadata.len();
        if plain && let Some(last) = size.checked_sub(1) {
            let mut octet = [0];
            file.read_exact_at(&mut octet, last)?;
            if octet != *b"\n" {
                file.write_all(b"\n")?;
                size += 1;
            }
        }
        self.open = Some(Open {
            file,
            id: id(&metadata),
            size,
            last: metadata.modified()?,
            plain,
        });
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Closes it where its path leads to it no longer.
    pub(super) fn forget_if_gone(&mut self) {
        if !self.is_in_place() {
            self.close();
        }
    }

    /// Writes lines of `pending` to the file that is to have them; the answer is how many octets.
    pub(super) fn write(&mut self, pending: &mut Pending, now: SystemTime) -> io::Result<usize> {
        if !self.is_in_place() {
            pending.begin_line_anew();
            self.open()?;
        }
        self.heed_truncation(pending)?;
        if self.is_of_the_past(now) && !pending.is_torn() {
            self.rotate(now);
        }
        let full = pending.fitting(self.room()).is_none();
        if full && self.open.as_ref().is_some_and(|open| open.size > 0) {
            self.rotate(now);
        }
        // Why in any case: a line that is longer than any file may be has one of its own.
        let lines = pending.fitting(self.room()).unwrap_or(pending.first());
        let Some(open) = &mut self.open else {
            // It was rotated away, and no other could be made.
            return Err(ErrorKind::NotFound.into());
        };
        let written = open.file.write(lines)?;
        open.size += written as u64;
        open.last = now;
        Ok(written)
    }

    /// Whether the file that is open is the one at its path.
    fn is_in_place(&self) -> bool {
        let there = fs::metadata(&self.path).map(|there| id(&there)).ok();
        self.open
            .as_ref()
            .is_some_and(|open| Some(open.id) == there)
    }

    /// Begins a torn line anew where somebody emptied the file.
    fn heed_truncation(&mut self, pending: &mut Pending) -> io::Result<()> {
        if let Some(open) = self.open.as_mut().filter(|open| open.plain) {
            let size = open.file.metadata()?.len();
            if size < open.size {
                pending.begin_line_anew();
            }
            open.size = size;
        }
        Ok(())
    }

    /// How many octets it may still get.
    fn room(&self) -> u64 {
        match (self.rotation, &self.open) {
            (Rotation::Internal { size, .. }, Some(open)) if open.plain => {
                size.saturating_sub(open.size)
            }
            _ => u64::MAX,
        }
    }

    /// Whether another file is due since this one was last written to.
    fn is_of_the_past(&self, now: SystemTime) -> bool {
        match (self.rotation, &self.open) {
            (Rotation::Internal { every, .. }, Some(open)) if open.plain && open.size > 0 => {
                period(open.last, every) != period(now, every)
            }
            _ => false,
        }
    }

    /// Moves the file away and begins another one. Where that fails it goes on as it is, which is
    /// told once.
    fn rotate(&mut self, now: SystemTime) {
        let Rotation::Internal { keep, .. } = self.rotation else {
            return;
        };
        let rotated = self.next_name(now);
        let rotated = rotated.and_then(|name| fs::rename(&self.path, name));
        let rotated = rotated.and_then(|()| {
            self.close();
            self.open()?;
            self.forget_all_but(keep)
        });
        match rotated {
            Ok(()) => self.stuck = false,
            Err(error) => {
                if !self.stuck {
                    let file = self.path.display();
                    tracing::warn!(%error, %file, "the decision log cannot be rotated");
                }
                self.stuck = true;
            }
        }
    }

    /// The name of the file once it is full: behind those of all other full ones, also where many
    /// come in a millisecond, or the clock goes back.
    fn next_name(&self, now: SystemTime) -> io::Result<PathBuf> {
        let now = humantime::format_rfc3339_millis(now).to_string();
        let now: String = now.chars().filter(|c| !"-:".contains(*c)).collect();
        let last = rotated(&self.path)?.pop().as_deref().and_then(stamp);
        let stamp = match last {
            Some(last) if now <= last => match last.rsplit_once('-') {
                Some((stem, number)) => {
                    let number: u32 = number.parse().unwrap_or(1);
                    format!("{stem}-{:04}", number.saturating_add(1))
                }
                None => format!("{last}-0002"),
            },
            _ => now,
        };
        let mut name = OsString::from(&self.path);
        name.push(".");
        name.push(stamp);
        Ok(name.into())
    }

    /// Removes the oldest of the full files.
    fn forget_all_but(&self, keep: usize) -> io::Result<()> {
        let mut full = rotated(&self.path)?;
        full.truncate(full.len().saturating_sub(keep));
        for file in full {
            match fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The full files of the log at `path`, which lie beside it, from the oldest on.
pub fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let own = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut full = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let stamp = name.as_encoded_bytes().strip_prefix(own);
        if stamp
            .and_then(|rest| rest.strip_prefix(b"."))
            .is_some_and(is_stamp)
        {
            full.push(folder.join(name));
        }
    }
    full.sort_unstable();
    Ok(full)
}

/// The stamp in the name of a full file.
fn stamp(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_string_lossy();
    // Why so: the stamp itself has one dot.
    let (rest, milliseconds) = name.rsplit_once('.')?;
    let (_, second) = rest.rsplit_once('.')?;
    Some(format!("{second}.{milliseconds}"))
}

/// Whether it is like `20261123T193051.123Z`, perhaps with `-0002` behind it.
fn is_stamp(text: &[u8]) -> bool {
    let shape = b"00000000T000000.000Z";
    let Some((stamp, rest)) = text.split_at_checked(shape.len()) else {
        return false;
    };
    let alike = stamp.iter().zip(shape).all(|(octet, like)| match like {
        b'0' => octet.is_ascii_digit(),
        like => octet == like,
    });
    let more = rest.strip_prefix(b"-").unwrap_or(rest);
    alike && more.iter().all(u8::is_ascii_digit) && more.is_empty() == rest.is_empty()
}

/// The number of the period of that length that `at` is in.
fn period(at: SystemTime, length: Duration) -> u128 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() / length.as_millis().max(1)
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
