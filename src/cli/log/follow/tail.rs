//! The end of a log while it is written: rotated, truncated, or not there yet.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::super::lines::LONGEST;

/// The end of a log.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    current: Option<Growing>,
    /// The file before the last rotation: its writer may not have let it go yet.
    previous: Option<Growing>,
}

/// What happened to a log.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// A line was written.
    Line(Vec<u8>),
    /// The file is there now.
    Appeared,
    /// Another file is in its place.
    Rotated,
    /// It was cut.
    Truncated,
}

/// Where a tail begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum From {
    /// With the lines that are there.
    Start,
    /// With the next line.
    End,
}

/// A file that grows.
#[derive(Debug)]
struct Growing {
    file: File,
    identity: (u64, u64),
    position: u64,
    /// What is read.
    pending: Vec<u8>,
    /// How much of `pending` was given out.
    given: usize,
    /// How much of `pending` was looked through for line ends.
    searched: usize,
    /// The line is too long, and passed over up to its end.
    skipping: bool,
}

impl Tail {
    /// The log at `path`; one that is not there yet is read from its start once it is.
    pub(super) fn open(path: &Path, from: From) -> io::Result<Self> {
        let mut current = Growing::open(path)?;
        if let (Some(growing), From::End) = (&mut current, from) {
            growing.seek_last_line()?;
        }
        Ok(Self {
            path: path.to_owned(),
            current,
            previous: None,
        })
    }

    /// Whether there is a file.
    pub(super) fn is_there(&self) -> bool {
        self.current.is_some()
    }

    /// Device and inode of the file.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        self.current.as_ref().map(|growing| growing.identity)
    }

    /// The next event, if something has happened.
    pub(super) fn next(&mut self) -> io::Result<Option<Event>> {
        if let Some(line) = self
            .previous
            .as_mut()
            .map(Growing::next)
            .transpose()?
            .flatten()
        {
            return Ok(Some(Event::Line(line)));
        }
        let Some(current) = &mut self.current else {
            self.current = Growing::open(&self.path)?;
            return Ok(self.is_there().then_some(Event::Appeared));
        };
        if let Some(line) = current.next()? {
            return Ok(Some(Event::Line(line)));
        }
        if current.was_truncated()? {
            current.restart()?;
            return Ok(Some(Event::Truncated));
        }
        let there = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some((metadata.dev(), metadata.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if there.is_none_or(|there| there == current.identity) {
            return Ok(None);
        }
        let Some(next) = Growing::open(&self.path)? else {
            return Ok(None);
        };
        self.previous = self.current.replace(next);
        Ok(Some(Event::Rotated))
    }
}

impl Growing {
    /// The file at `path` from its start; none where there is none.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Some(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            position: 0,
            pending: Vec::new(),
            given: 0,
            searched: 0,
            skipping: false,
        }))
    }

    /// Goes to the end of the last whole line: one that is being written is new.
    fn seek_last_line(&mut self) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let begin = end.saturating_sub(longest);
        self.file.seek(SeekFrom::Start(begin))?;
        let mut last = Vec::new();
        io::Read::take(&mut self.file, end - begin).read_to_end(&mut last)?;
        let whole = last.iter().rposition(|octet| *octet == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        self.position = match u64::try_from(whole).unwrap_or(0) {
            0 if begin > 0 => end,
            whole => begin + whole,
        };
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(())
    }

    /// The next whole line that was written, without its end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unsearched = self.pending.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|octet| *octet == b'\n') {
                let end = self.searched + at;
                let line = self.pending.get(self.given..end).map(<[u8]>::to_vec);
                (self.given, self.searched) = (end + 1, end + 1);
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(line);
            }
            self.pending.drain(..self.given);
            self.given = 0;
            if self.pending.len() > LONGEST {
                self.pending.clear();
                self.skipping = true;
            }
            self.searched = self.pending.len();
            let chunk = u64::try_from(CHUNK).unwrap_or(u64::MAX);
            let read = io::Read::take(&mut self.file, chunk).read_to_end(&mut self.pending)?;
            if read == 0 {
                return Ok(None);
            }
            self.position += u64::try_from(read).unwrap_or(0);
        }
    }

    fn was_truncated(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() < self.position)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.position = 0;
        self.pending.clear();
        (self.given, self.searched) = (0, 0);
        self.skipping = false;
        Ok(())
    }
}

/// What is read at once.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("log")
        }

        fn append(&self, text: &str) {
            let file = File::options().create(true).append(true).open(self.path());
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }
    }

    /// All that happens until nothing does.
    fn drain(tail: &mut Tail) -> Vec<String> {
        let events = std::iter::from_fn(|| tail.next().unwrap());
        let events = events.map(|event| match event {
            Event::Line(line) => String::from_utf8(line).unwrap(),
            other => format!("{other:?}"),
        });
        events.collect()
    }

    #[test]
    fn begins_after_the_last_whole_line() {
        let log = Log::new();
        log.append("one\ntw");
        let mut tail = Tail::open(&log.path(), From::End).unwrap();
        assert_eq!(drain(&mut tail), [""; 0]);
        log.append("o\nthree\nfo");
        assert_eq!(drain(&mut tail), ["two", "three"]);
        let mut whole = Tail::open(&log.path(), From::Start).unwrap();
        assert_eq!(drain(&mut whole), ["one", "two", "three"]);
    }

    #[test]
    fn waits_for_a_file_and_goes_with_its_rotations() {
        let log = Log::new();
        let mut tail = Tail::open(&log.path(), From::End).unwrap();
        assert!(!tail.is_there());
        assert_eq!(drain(&mut tail), [""; 0]);
        log.append("one\n");
        assert_eq!(drain(&mut tail), ["Appeared", "one"]);
        let mut writer = File::options().append(true).open(log.path()).unwrap();
        fs::rename(log.path(), log.folder.path().join("log.1")).unwrap();
        writer.write_all(b"two\n").unwrap();
        assert_eq!(drain(&mut tail), ["two"], "the path is not there meanwhile");
        log.append("four\n");
        assert_eq!(drain(&mut tail), ["Rotated", "four"]);
        writer.write_all(b"three\n").unwrap();
        assert_eq!(drain(&mut tail), ["three"], "its writer was late to let go");
    }

    #[test]
    fn begins_again_when_the_file_is_cut() {
        let log = Log::new();
        log.append("a line that was there\n");
        let mut tail = Tail::open(&log.path(), From::End).unwrap();
        File::options()
            .write(true)
            .open(log.path())
            .unwrap()
            .set_len(0)
            .unwrap();
        assert_eq!(drain(&mut tail), ["Truncated"]);
        log.append("new\n");
        assert_eq!(drain(&mut tail), ["new"]);
    }

    #[test]
    fn a_huge_line_is_passed_over() {
        let log = Log::new();
        log.append("");
        let mut tail = Tail::open(&log.path(), From::End).unwrap();
        log.append(&"x".repeat(3 * LONGEST));
        assert_eq!(drain(&mut tail), [""; 0]);
        assert!(tail.current.as_ref().unwrap().pending.len() <= LONGEST + CHUNK);
        log.append("\nafter\n");
        assert_eq!(drain(&mut tail), ["after"]);
        // One that is there already: its rest is not the line that is waited for.
        log.append(&"y".repeat(2 * LONGEST));
        let mut late = Tail::open(&log.path(), From::End).unwrap();
        log.append("\nlast\n");
        assert_eq!(drain(&mut late), ["", "last"]);
    }
}
