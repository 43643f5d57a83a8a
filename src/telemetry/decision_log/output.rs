//! Where lines go, and what is said where they cannot.

use std::{
    fs::File,
    io::{self, ErrorKind, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{file::LogFile, pending::Pending};
use crate::config::settings::decision_log as settings;

/// Where the lines of the decision log go.
#[derive(Debug)]
pub enum Output {
    /// To the end of a file.
    File(LogFile),
    /// To standard output.
    Stdout(File),
}

impl Output {
    /// Opens what `settings` name; it is an error where lines could not be written there.
    pub fn open(settings: &settings::Output) -> Result<Self, OutputError> {
        Ok(match settings {
            settings::Output::File { path, rotation } => {
                let mut file = LogFile::new(path.clone(), *rotation);
                file.open().map_err(|cause| OutputError::of(path, cause))?;
                Self::File(file)
            }
            settings::Output::Stdout => {
                // Why not as it is: its buffer would keep what could not be written.
                let own = io::stdout().as_fd().try_clone_to_owned();
                let own = own.map_err(|cause| OutputError::of(Path::new(STDOUT), cause))?;
                Self::Stdout(own.into())
            }
        })
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Stdout(_) => STDOUT.to_owned(),
        }
    }

    /// Writes all of `pending`, or as much as goes; the answer is how many lines that completed.
    pub(super) fn write(
        &mut self,
        pending: &mut Pending,
        now: SystemTime,
    ) -> (u64, Result<(), OutputError>) {
        let mut lines = 0;
        while !pending.is_empty() {
            let written = match self {
                Self::File(file) => file.write(pending, now),
                Self::Stdout(stdout) => stdout.write(pending.rest()),
            };
            match written {
                Ok(0) => return (lines, Err(self.fault(ErrorKind::WriteZero.into()))),
                Ok(octets) => lines += pending.wrote(octets),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (lines, Err(self.fault(error))),
            }
        }
        (lines, Ok(()))
    }

    /// Opens the file anew, where it is one.
    pub(super) fn reopen(&mut self, pending: &mut Pending) {
        if let Self::File(file) = self {
            file.close();
            pending.begin_line_anew();
        }
    }

    fn fault(&mut self, cause: io::Error) -> OutputError {
        match self {
            Self::File(file) => {
                // Why not for want of room: what is open is good, and goes on where it stopped.
                if !wants_room(cause.kind()) {
                    file.forget_if_gone();
                }
                OutputError::of(file.path(), cause)
            }
            Self::Stdout(_) => OutputError::of(Path::new(STDOUT), cause),
        }
    }
}

/// Lines of the decision log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the decision log `{}` cannot be written: {}", path.display(), remedy(cause))]
pub struct OutputError {
    path: PathBuf,
    cause: io::Error,
}

impl OutputError {
    fn of(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self { path, cause }
    }
}

fn wants_room(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// What the system says, and what to do about it.
fn remedy(cause: &io::Error) -> String {
    let remedy = match cause.kind() {
        ErrorKind::NotFound => "create its directory",
        ErrorKind::PermissionDenied => "let the user that Postern runs as write there",
        ErrorKind::ReadOnlyFilesystem => "name a file on a file system that can be written to",
        ErrorKind::IsADirectory => "name a file, not a directory",
        ErrorKind::BrokenPipe => "what reads it has ended",
        kind if wants_room(kind) => "make room",
        _ => return cause.to_string(),
    };
    format!("{cause}: {remedy}")
}

const STDOUT: &str = "standard output";
