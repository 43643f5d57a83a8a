//! `postern test`: what the connectors decide, compared with what is expected.

mod files;
mod report;
mod sources;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::{
    report::{Outcome, Report},
    sources::Sources,
};
use super::{
    Context,
    exit::{Exit, Stop},
    expectations::{Answer, Case, Question, check},
};
use crate::{live::Snapshot, rpc::answer};

/// What `postern test` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArgs {
    /// Expectations files, or directories of them; without one `tests` in the connectors' directory
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the cases with this text in their name or in that of their file
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ReportFormat,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ReportFormat {
    /// For people: what failed
    #[default]
    Human,
    /// For programs
    Json,
    /// JUnit XML, for continuous integration
    Junit,
}

/// Something that must be mended before cases can run.
#[derive(Clone, Debug, Default)]
struct Broken {
    /// What is wrong, in one line.
    message: String,
    /// What was found in files, with carets; empty where no place is known.
    carets: String,
    /// The same in plain lines.
    plain: String,
}

impl Broken {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

impl TestArgs {
    /// Runs the cases.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let mut sources = Sources::new(context);
        let paths = if self.paths.is_empty() {
            vec![sources.default_path()?]
        } else {
            self.paths
        };
        let mut report = Report::default();
        for file in files::find(&paths, context)? {
            let name = file.path.display().to_string();
            let expectations = match file.read {
                Ok(expectations) => expectations,
                Err(broken) => {
                    report.unusable(name, broken);
                    continue;
                }
            };
            let wanted = |case: &&Case| match &self.filter {
                Some(text) => case.name.contains(text) || name.contains(text),
                None => true,
            };
            let cases: Vec<&Case> = expectations.cases.iter().filter(wanted).collect();
            if cases.is_empty() {
                continue;
            }
            match sources.snapshot(&file.path, &expectations) {
                Ok(snapshot) => {
                    let outcomes = cases.into_iter().map(|case| run(&snapshot, case)).collect();
                    report.ran(name, outcomes);
                }
                Err(broken) => report.unusable(name, broken),
            }
        }
        if report.is_empty() {
            return Err(Stop::usage(self.filter.map_or_else(
                || "there is no expectations file: name a file, or a directory of them".to_owned(),
                |text| format!("no case has `{text}` in its name: write another text, or leave `--filter` out"),
            )));
        }
        match self.format {
            ReportFormat::Human => context.output.print(&report.human(context.output.ink())),
            ReportFormat::Json => context.output.line(&format!("{:#}", report.json())),
            ReportFormat::Junit => context.output.line(&report.junit()?),
        }
        Ok(report.exit())
    }
}

/// Asks what the case asks.
fn run(snapshot: &Snapshot, case: &Case) -> Outcome {
    let answer: Answer = match &case.question {
        Question::Inbound(question) => answer::inbound(snapshot, question).into(),
        Question::Outbound(question) => answer::outbound(snapshot, question).into(),
    };
    Outcome {
        name: case.name.clone(),
        why: case.why.clone(),
        line: case.line,
        mismatches: check(case, &answer),
        sentences: answer.sentences(),
    }
}

const EXAMPLES: &str = "\
An expectations file holds questions and what must be decided about them:

  version = 1
  [[case]]
  name = \"ContosoBank in plaintext is refused\"
  inbound = { client_ip = \"192.0.2.7\", mail_from = \"ann@contosobank.com\" }
  expect = { verdict = \"REJECT\", reasons = [\"TLS_REQUIRED\"] }

Examples:
  postern test
  postern test connectors/tests/contosobank.toml
  postern test --filter ContosoBank --connectors ./edited
  postern test --format junit > postern.xml

Exit codes: 0 all as expected, 1 not all, 2 wrong call, or files that cannot be used.";
