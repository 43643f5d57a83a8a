//! How a run ends.

use std::process::ExitCode;

use super::output::{Output, complain};

/// What the exit code of a run says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// All is well; of `explain`: the mail is accepted, or is on a condition.
    Success,
    /// Something was found; of `explain`: the mail is rejected.
    Failure,
    /// The call itself is wrong.
    Usage,
    /// There is nothing that could decide.
    Undecided,
    /// The mail is deferred.
    Deferred,
    /// The service does not start with this configuration (EX_CONFIG of sysexits.h).
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Undecided => 3,
            Exit::Deferred => 4,
            Exit::Configuration => 78,
        })
    }
}

/// Why a run cannot go on.
#[derive(Debug)]
pub(crate) struct Stop {
    exit: Exit,
    /// What was found in files, as it is to be printed.
    findings: String,
    message: String,
}

impl Stop {
    /// Ends the run with `exit`; `message` is one line that says what to do.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            findings: String::new(),
            message: message.into(),
        }
    }

    /// The call is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Shows `findings`, rendered already, before the message.
    #[must_use]
    pub(crate) fn with_findings(mut self, findings: String) -> Self {
        self.findings = findings;
        self
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self, output: &Output) -> Exit {
        complain(&self.findings);
        output.error(&self.message);
        self.exit
    }

    /// The message alone.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
