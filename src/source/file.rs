//! Reading the connectors' directory.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::config::{self, FileKind, finding::Finding};

/// The directory that the connector sets are in.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// A file of the directory that is a connector set, or would be under another name.
#[derive(Debug)]
pub struct File {
    /// Its name, with `.toml`; what is not UTF-8 in it is shown as `U+FFFD`.
    pub name: String,
    /// The set that it holds; none where its name cannot be a set's.
    pub set: Option<String>,
    /// What is in it.
    pub content: Content,
}

/// What was found in a file.
#[derive(Debug)]
pub enum Content {
    /// Nothing that could be judged, and why: it cannot be read, is too large, is not UTF-8, or has
    /// a wrong name.
    Refused {
        /// The text that the finding's place is in; empty where it has no place.
        text: String,
        /// What is wrong.
        finding: Finding,
    },
    /// The same octets as known before.
    Same,
    /// A text.
    Text {
        /// The text.
        text: String,
        /// Of its octets.
        digest: Digest,
    },
}

/// The SHA-256 of a file's octets: two texts are the same where it is.
pub type Digest = [u8; 32];

impl Directory {
    /// The directory `path`; a relative one is relative to the working directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the sets in the order of their names. `known` tells the digest of a file's octets by
    /// its name, so that what did not change is not handed out again.
    ///
    /// What changes while it is read is read again. The error is about the directory as a whole:
    /// it is not there, or cannot be read.
    pub fn read(&self, known: impl Fn(&str) -> Option<Digest>) -> Result<Vec<File>, Finding> {
        let mut files = Vec::new();
        for _ in 0..ATTEMPTS {
            let before = Stamp::of(&self.path);
            files = self.list(&known).map_err(|error| self.unreadable(&error))?;
            // Why: a link swapped meanwhile would give some files as they were and some as they are.
            if before.is_ok_and(|before| Stamp::of(&self.path).is_ok_and(|after| after == before)) {
                break;
            }
        }
        Ok(files)
    }

    /// What is to be said where none of its files is a set.
    pub fn empty(&self) -> Finding {
        let message = format!(
            "no connector set is in the connectors' directory `{}`",
            self.path.display()
        );
        whole("directory-empty", message)
            .help("a set is a file `<name>.toml` directly in the directory")
    }

    fn list(&self, known: &impl Fn(&str) -> Option<Digest>) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let shown = name.to_string_lossy();
            let set = match config::file_kind(&shown) {
                FileKind::Ignored => continue,
                FileKind::Misnamed => None,
                FileKind::Set(set) => Some(set.to_owned()),
            };
            let content = match &set {
                None => Some(refused(misnamed(&shown))),
                Some(_) => content(&self.path.join(&name), &shown, known(&shown)),
            };
            if let Some(content) = content {
                files.push(File {
                    name: shown.into_owned(),
                    set,
                    content,
                });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn unreadable(&self, error: &io::Error) -> Finding {
        let path = self.path.display();
        let (code, message) = match error.kind() {
            io::ErrorKind::NotFound => (
                "directory-missing",
                format!("the connectors' directory `{path}` is not there"),
            ),
            io::ErrorKind::NotADirectory => (
                "directory-missing",
                format!("the connectors' directory `{path}` is no directory"),
            ),
            _ => (
                "directory-unreadable",
                format!("the connectors' directory `{path}` cannot be read: {error}"),
            ),
        };
        whole(code, message).help(
            "create it with at least one set, `<name>.toml`, or name another one with \
             `--connectors`",
        )
    }
}

/// A finding about a file or a directory as a whole, without a place in it.
pub(super) fn whole(code: &'static str, message: String) -> Finding {
    let mut finding = Finding::error(code, 0..0, message);
    finding.labels.clear();
    finding
}

fn misnamed(name: &str) -> Finding {
    let shown: String = name.escape_debug().collect();
    whole(
        "file-name",
        format!("`{shown}` cannot be the name of a connector set's file"),
    )
    .help(
        "name it with up to 63 of `a` to `z`, `0` to `9`, `.`, `_` and `-`, a letter or digit \
         first, and `.toml`; a name that begins with `.` is passed over",
    )
}

/// What is in the file `path`; none where it is gone since it was listed.
fn content(path: &Path, name: &str, known: Option<Digest>) -> Option<Content> {
    let octets = match octets(path, name) {
        Ok(octets) => octets?,
        Err(finding) => return Some(refused(finding)),
    };
    let digest: Digest = Sha256::digest(&octets).into();
    if known == Some(digest) {
        return Some(Content::Same);
    }
    Some(match String::from_utf8(octets) {
        Ok(text) => Content::Text { text, digest },
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
            let finding = Finding::error("file-not-utf8", span, format!("`{name}` is not UTF-8"))
                .here("not UTF-8 from here")
                .help("save the file in UTF-8");
            Content::Refused { text, finding }
        }
    })
}

fn refused(finding: Finding) -> Content {
    Content::Refused {
        text: String::new(),
        finding,
    }
}

/// The octets of a file that held still while it was read; none where there is no such file.
fn octets(path: &Path, name: &str) -> Result<Option<Vec<u8>>, Finding> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        match still(path) {
            Ok(Still::Octets(octets)) => return Ok(Some(octets)),
            Ok(Still::Changing) => {}
            Ok(Still::NoFile) => {
                return Err(whole("file-unreadable", format!("`{name}` is not a file"))
                    .help("put a file in its place, or a link to one"));
            }
            Ok(Still::TooLarge) => {
                return Err(
                    whole("file-too-large", format!("`{name}` is larger than 64 MiB"))
                        .help("split the set, or write networks and wildcards instead of lists"),
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_err() {
                    return Ok(None);
                }
                return Err(whole(
                    "file-unreadable",
                    format!("`{name}` is a link to a file that is not there"),
                )
                .help("put the file where the link points, or remove the link"));
            }
            Err(error) => {
                return Err(whole(
                    "file-unreadable",
                    format!("`{name}` cannot be read: {error}"),
                )
                .help("let the user that Postern runs as read it"));
            }
        }
    }
    Err(whole(
        "file-changing",
        format!("`{name}` changes again and again while it is read"),
    )
    .help("write it under another name, and then rename it"))
}

/// Reads the file `path`, and says whether it held still meanwhile.
pub(super) fn still(path: &Path) -> io::Result<Still> {
    let before = fs::metadata(path)?;
    // Why: opening a named pipe would wait for somebody who writes to it.
    if !before.is_file() {
        return Ok(Still::NoFile);
    }
    if before.len() > MAX_OCTETS {
        return Ok(Still::TooLarge);
    }
    let mut octets = Vec::new();
    fs::File::open(path)?
        .take(MAX_OCTETS + 1)
        .read_to_end(&mut octets)?;
    let after = fs::metadata(path)?;
    let whole = u64::try_from(octets.len()).is_ok_and(|length| length == after.len());
    Ok(if whole && Stamp::new(&before) == Stamp::new(&after) {
        Still::Octets(octets)
    } else {
        Still::Changing
    })
}

/// What reading a file came to.
#[derive(Debug)]
pub(super) enum Still {
    /// It was changed while it was read.
    Changing,
    /// It is a directory, a pipe or the like.
    NoFile,
    /// All that is in it.
    Octets(Vec<u8>),
    /// It has more than 64 MiB.
    TooLarge,
}

/// What tells whether a file or a directory was changed or replaced.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::new(&metadata))
    }

    fn new(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

const MAX_OCTETS: u64 = 64 << 20;
/// How often what changes while it is read is read anew.
pub(super) const ATTEMPTS: u32 = 8;
/// How long to wait before that.
pub(super) const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

    use super::*;

    fn read(directory: &Path) -> Vec<(String, Result<String, &'static str>)> {
        let files = Directory::new(directory).read(|_| None).unwrap();
        let seen = files.into_iter().map(|file| {
            let content = match file.content {
                Content::Refused { finding, .. } => Err(finding.code),
                Content::Same => Ok("same".to_owned()),
                Content::Text { text, .. } => Ok(text),
            };
            (file.name, content)
        });
        seen.collect()
    }

    #[test]
    fn names_choose_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for name in [
            "b.toml",
            "a.toml",
            ".hidden.toml",
            "notes.txt",
            "a.toml~",
            "Contoso.toml",
        ] {
            fs::write(path.join(name), name).unwrap();
        }
        fs::create_dir(path.join("tests")).unwrap();
        fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff.toml")), "").unwrap();
        assert_eq!(
            read(path),
            [
                ("Contoso.toml".into(), Err("file-name")),
                ("a.toml".into(), Ok("a.toml".into())),
                ("b.toml".into(), Ok("b.toml".into())),
                ("\u{fffd}.toml".into(), Err("file-name")),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("directory.toml")).unwrap();
        symlink("nowhere", path.join("dangling.toml")).unwrap();
        symlink("loop.toml", path.join("loop.toml")).unwrap();
        fs::write(path.join("latin1.toml"), b"a = 1\nb = \"\xfc\"\n").unwrap();
        fs::File::create(path.join("large.toml"))
            .unwrap()
            .set_len(MAX_OCTETS + 1)
            .unwrap();
        fs::write(path.join("target"), "linked").unwrap();
        symlink("target", path.join("link.toml")).unwrap();
        assert_eq!(
            read(path),
            [
                ("dangling.toml".into(), Err("file-unreadable")),
                ("directory.toml".into(), Err("file-unreadable")),
                ("large.toml".into(), Err("file-too-large")),
                ("latin1.toml".into(), Err("file-not-utf8")),
                ("link.toml".into(), Ok("linked".into())),
                ("loop.toml".into(), Err("file-unreadable")),
            ]
        );
        let files = Directory::new(path).read(|_| None).unwrap();
        let latin1 = files
            .iter()
            .find(|file| file.name == "latin1.toml")
            .unwrap();
        let Content::Refused { text, finding } = &latin1.content else {
            panic!("{latin1:?}")
        };
        let line = config::render::plain("latin1.toml", text, std::slice::from_ref(finding));
        assert_eq!(
            line,
            "latin1.toml:2:6: error[file-not-utf8]: `latin1.toml` is not UTF-8 (help: save the file \
             in UTF-8)\n"
        );
    }

    #[test]
    fn what_is_known_is_not_handed_out_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.toml"), "1").unwrap();
        fs::write(directory.path().join("b.toml"), "2").unwrap();
        let known: Digest = Sha256::digest("1").into();
        let files = Directory::new(directory.path())
            .read(|_| Some(known))
            .unwrap();
        assert!(matches!(files[0].content, Content::Same));
        assert!(matches!(files[1].content, Content::Text { .. }));
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let code = |path: &Path| Directory::new(path).read(|_| None).unwrap_err().code;
        assert_eq!(code(&path.join("nowhere")), "directory-missing");
        fs::write(path.join("file"), "").unwrap();
        assert_eq!(code(&path.join("file")), "directory-missing");
    }
}
