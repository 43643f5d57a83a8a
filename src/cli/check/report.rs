//! What a check found, for people and for programs.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    cli::{
        output::{Ink, counted, grouped},
        sets::Reading,
    },
    config::{
        finding::{Finding, Severity},
        render,
    },
};

/// What was found in all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<Found>,
    sets: usize,
    connectors: usize,
}

/// What was found in one file or directory.
#[derive(Debug)]
struct Found {
    path: String,
    text: String,
    findings: Vec<Finding>,
}

impl Report {
    /// Adds what was found in connector sets.
    pub(super) fn add(&mut self, reading: Reading) {
        self.sets += reading.files.len();
        let sets = reading.sets();
        self.connectors += sets
            .map(|set| set.inbound().len() + set.outbound().len())
            .sum::<usize>();
        for file in reading.files {
            self.add_file(file.path, file.text, file.findings);
        }
        for (path, finding) in reading.whole {
            self.add_file(path, String::new(), vec![finding]);
        }
    }

    /// Adds what was found in one file.
    pub(super) fn add_file(&mut self, path: String, text: String, findings: Vec<Finding>) {
        if !findings.is_empty() {
            self.files.push(Found {
                path,
                text,
                findings,
            });
        }
    }

    /// How many errors there are.
    pub(super) fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub(super) fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.files.iter().flat_map(|file| &file.findings)
    }

    /// The first findings with carets, how many more there are, and a line that sums up.
    pub(super) fn human(&self, ink: Ink) -> String {
        let mut text = String::new();
        // Why: errors before warnings, so that none is hidden behind many warnings.
        let mut errors = SHOWN;
        let mut warnings = SHOWN.saturating_sub(self.errors());
        let mut hidden: BTreeMap<&str, usize> = BTreeMap::new();
        for file in &self.files {
            let mut shown = Vec::new();
            for finding in &file.findings {
                let left = if finding.is_error() {
                    &mut errors
                } else {
                    &mut warnings
                };
                if let Some(fewer) = left.checked_sub(1) {
                    *left = fewer;
                    shown.push(finding.clone());
                } else {
                    *hidden.entry(finding.code).or_default() += 1;
                }
            }
            text.push_str(&render::carets(
                &file.path,
                &file.text,
                &shown,
                ink.is_coloured(),
            ));
        }
        if !hidden.is_empty() {
            let all: usize = hidden.values().sum();
            let codes: Vec<_> = hidden
                .iter()
                .map(|(code, count)| format!("{} {code}", grouped(*count)))
                .collect();
            text.extend([
                "and ",
                &*grouped(all),
                " more: ",
                &*codes.join(", "),
                "

",
            ]);
        }
        text.push_str(&self.summary(ink));
        text.push('\n');
        text
    }

    fn summary(&self, ink: Ink) -> String {
        let (errors, warnings) = (self.errors(), self.warnings());
        let what = format!(
            "{}, {}",
            counted(self.sets, "set"),
            counted(self.connectors, "connector")
        );
        let mut found = Vec::new();
        if errors > 0 {
            found.push(ink.red(counted(errors, "error")));
        }
        if warnings > 0 {
            found.push(ink.yellow(counted(warnings, "warning")));
        }
        if found.is_empty() {
            return format!("{what}: {}", ink.green("no findings"));
        }
        format!(
            "{what}: {} in {}",
            found.join(", "),
            counted(self.files.len(), "file")
        )
    }

    /// Every finding, and the sums.
    pub(super) fn json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .files
            .iter()
            .flat_map(|file| render::json(&file.path, &file.text, &file.findings))
            .collect();
        json!({
            "findings": findings,
            "summary": {
                "sets": self.sets,
                "connectors": self.connectors,
                "errors": self.errors(),
                "warnings": self.warnings(),
                "files_with_findings": self.files.len(),
            },
        })
    }
}

/// How many findings are shown with carets.
const SHOWN: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(errors: usize, warnings: usize) -> Report {
        let text = "version = 1\n".to_owned();
        let warning = |_| Finding::warning("network-wide", 0..7, "wide");
        let error = |_| Finding::error("key-unknown", 0..7, "unknown");
        let mut report = Report {
            sets: 2,
            connectors: 41,
            ..Report::default()
        };
        report.add_file(
            "a.toml".into(),
            text.clone(),
            (0..warnings).map(warning).collect(),
        );
        report.add_file("b.toml".into(), text, (0..errors).map(error).collect());
        report
    }

    #[test]
    fn sums_up() {
        assert_eq!(
            report(0, 0).human(Ink::NONE),
            "2 sets, 41 connectors: no findings\n"
        );
        assert_eq!(
            report(0, 1).summary(Ink::NONE),
            "2 sets, 41 connectors: 1 warning in 1 file"
        );
        assert_eq!(
            report(2, 1).summary(Ink::NONE),
            "2 sets, 41 connectors: 2 errors, 1 warning in 2 files"
        );
    }

    #[test]
    fn many_findings_are_counted_and_errors_come_first() {
        let human = report(3, 1000).human(Ink::NONE);
        assert_eq!(human.matches("key-unknown").count(), 3);
        assert_eq!(human.matches("network-wide").count(), 48);
        assert!(
            human.contains("and 953 more: 953 network-wide\n"),
            "{human}"
        );
        let human = report(60, 7).human(Ink::NONE);
        assert!(
            human.contains("and 17 more: 10 key-unknown, 7 network-wide\n"),
            "{human}"
        );
        assert_eq!(
            report(60, 7).json()["findings"].as_array().unwrap().len(),
            67
        );
    }
}
