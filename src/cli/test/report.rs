//! What became of the cases, for people and for programs.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::Broken;
use crate::cli::{
    exit::{Exit, Stop},
    expectations::Mismatch,
    output::{Ink, counted, shown},
};

/// What became of one case.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Its name.
    pub(super) name: String,
    /// What it stands for.
    pub(super) why: Option<String>,
    /// The line at which it begins.
    pub(super) line: usize,
    /// What is not as expected; empty: it passed.
    pub(super) mismatches: Vec<Mismatch>,
    /// What the answer says, for who must find out why it failed.
    pub(super) sentences: Vec<String>,
}

/// What became of all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<(String, Result<Vec<Outcome>, Broken>)>,
}

impl Report {
    /// The cases of `file` ran.
    pub(super) fn ran(&mut self, file: String, outcomes: Vec<Outcome>) {
        self.files.push((file, Ok(outcomes)));
    }

    /// The cases of `file` could not run.
    pub(super) fn unusable(&mut self, file: String, broken: Broken) {
        self.files.push((file, Err(broken)));
    }

    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How the run ends.
    pub(super) fn exit(&self) -> Exit {
        if self.unusable_files() > 0 {
            Exit::Usage
        } else if self
            .outcomes()
            .any(|(_, outcome)| !outcome.mismatches.is_empty())
        {
            Exit::Failure
        } else {
            Exit::Success
        }
    }

    fn outcomes(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        let ran = self
            .files
            .iter()
            .filter_map(|(file, ran)| Some((file, ran.as_ref().ok()?)));
        ran.flat_map(|(file, outcomes)| outcomes.iter().map(|outcome| (file.as_str(), outcome)))
    }

    fn unusable_files(&self) -> usize {
        self.files.iter().filter(|(_, ran)| ran.is_err()).count()
    }

    /// What failed, and a line that sums up.
    pub(super) fn human(&self, ink: Ink) -> String {
        let mut text = String::new();
        for (file, ran) in &self.files {
            match ran {
                Ok(outcomes) => {
                    for outcome in outcomes.iter().filter(|it| !it.mismatches.is_empty()) {
                        text.push_str(&failure(file, outcome, ink));
                    }
                }
                Err(broken) => {
                    let mark = ink.red("✗");
                    text.push_str(&broken.carets);
                    text.extend([&*mark, " ", file, ": ", &broken.message, "\n\n"]);
                }
            }
        }
        text.push_str(&self.summary(ink));
        text.push('\n');
        text
    }

    fn summary(&self, ink: Ink) -> String {
        let cases = self.outcomes().count();
        let failed = self
            .outcomes()
            .filter(|(_, outcome)| !outcome.mismatches.is_empty())
            .count();
        let unusable = self.unusable_files();
        let what = format!(
            "{} in {}",
            counted(cases, "case"),
            counted(self.files.len(), "file")
        );
        let mut found = Vec::new();
        if failed > 0 {
            found.push(ink.red(format!("{failed} failed")));
        }
        if unusable > 0 {
            found.push(ink.red(format!("{} cannot be used", counted(unusable, "file"))));
        }
        if found.is_empty() {
            return format!("{what}: {}", ink.green("all as expected"));
        }
        format!("{what}: {}", found.join(", "))
    }

    /// Every case, and the sums.
    pub(super) fn json(&self) -> serde_json::Value {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|(file, ran)| match ran {
                Ok(outcomes) => {
                    let cases: Vec<_> = outcomes.iter().map(case_json).collect();
                    json!({ "file": file, "error": null, "cases": cases })
                }
                Err(broken) => json!({ "file": file, "error": broken.message, "findings": broken.plain, "cases": [] }),
            })
            .collect();
        let failed = self
            .outcomes()
            .filter(|(_, outcome)| !outcome.mismatches.is_empty())
            .count();
        json!({
            "files": files,
            "summary": {
                "cases": self.outcomes().count(),
                "failed": failed,
                "unusable_files": self.unusable_files(),
            },
        })
    }

    /// Every case as JUnit XML, a suite for each file.
    pub(super) fn junit(&self) -> Result<String, Stop> {
        let mut report = quick_junit::Report::new("postern test");
        for (file, ran) in &self.files {
            let mut suite = TestSuite::new(file.as_str());
            match ran {
                Ok(outcomes) => {
                    suite.add_test_cases(outcomes.iter().map(|it| junit_case(file, it)))
                }
                Err(broken) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                    status.set_message(broken.message.as_str());
                    status.set_description(broken.plain.as_str());
                    suite.add_test_case(TestCase::new(file.as_str(), status))
                }
            };
            report.add_test_suite(suite);
        }
        report
            .to_string()
            .map_err(|error| Stop::usage(format!("no JUnit report: {error}")))
    }
}

fn failure(file: &str, outcome: &Outcome, ink: Ink) -> String {
    let (mark, name) = (ink.red("✗"), ink.bold(shown(&outcome.name)));
    let place = ink.dim(format!("{file}:{}", outcome.line));
    let mut lines = vec![format!("{mark} {name} {place}")];
    for Mismatch { key, expected, got } in &outcome.mismatches {
        let got = ink.red(shown(got));
        lines.push(format!(
            "    {key}: expected {}, got {got}",
            shown(expected)
        ));
    }
    lines.extend(
        outcome
            .sentences
            .iter()
            .map(|sentence| format!("    {}", shown(sentence))),
    );
    lines.extend(
        outcome
            .why
            .iter()
            .map(|why| format!("    the case stands for: {}", shown(why))),
    );
    lines.join("\n") + "\n\n"
}

fn case_json(outcome: &Outcome) -> serde_json::Value {
    let mismatches: Vec<_> = outcome
        .mismatches
        .iter()
        .map(|it| json!({ "key": it.key, "expected": it.expected, "got": it.got }))
        .collect();
    json!({
        "name": outcome.name,
        "why": outcome.why,
        "line": outcome.line,
        "passed": outcome.mismatches.is_empty(),
        "mismatches": mismatches,
        "sentences": outcome.sentences,
    })
}

fn junit_case(file: &str, outcome: &Outcome) -> TestCase {
    let status = if outcome.mismatches.is_empty() {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let each = |it: &Mismatch| format!("{}: expected {}, got {}", it.key, it.expected, it.got);
        let said: Vec<_> = outcome.mismatches.iter().map(each).collect();
        status.set_message(said.join("; "));
        status.set_description(outcome.sentences.join("\n"));
        status
    };
    let mut case = TestCase::new(outcome.name.as_str(), status);
    case.set_classname(file);
    case
}
