//! What is wrong with a file, and where: findings are data, how they look is the business of
//! `render`.

use std::{fmt::Display, ops::Range};

/// One thing to mend in a file, or to think about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Names the kind of finding, for good: people search for it and scripts compare it.
    pub code: &'static str,
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// The places it speaks of; the first is where it is to be mended.
    pub labels: Vec<Label>,
    /// What is wrong, in one line of lower case without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Finding {
    /// A finding for which the file is refused.
    pub fn error(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A finding that is only pointed out.
    pub fn warning(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    fn new(severity: Severity, code: &'static str, span: Range<usize>, message: String) -> Self {
        let labels = vec![Label {
            span,
            text: String::new(),
        }];
        Self {
            code,
            severity,
            labels,
            message,
            help: None,
        }
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Writes `text` at the first place.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Self {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    /// Shows another place that has to do with it.
    #[must_use]
    pub fn label(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// The bytes of the file where it is to be mended.
    pub fn span(&self) -> Range<usize> {
        self.labels.first().map_or(0..0, |label| label.span.clone())
    }

    /// Whether the file is refused for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A place in a file, and what is to be said about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// The bytes of the file; empty for a place between two characters.
    pub span: Range<usize>,
    /// What is there; empty where the finding's message says it.
    pub text: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is good, and yet it may not say what was meant.
    Warning,
}

impl Severity {
    /// The word for it in messages and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Collects the findings of one file, so that one run shows them all; of very many the first ones,
/// and a last one that counts the rest.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    more: usize,
    /// Whether an error is among those that are only counted.
    more_errors: bool,
}

impl Findings {
    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        if self.list.len() < MOST_FINDINGS {
            self.list.push(finding);
        } else {
            self.more += 1;
            self.more_errors |= finding.is_error();
        }
    }

    /// Adds those of `later` behind its own.
    pub(crate) fn append(&mut self, later: Self) {
        for finding in later.list {
            self.push(finding);
        }
        self.more += later.more;
        self.more_errors |= later.more_errors;
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Unwraps `result`, or records as an error why it failed and carries on.
    pub fn keep<T, E: Display>(
        &mut self,
        span: Range<usize>,
        code: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.push(Finding::error(code, span, error.to_string())))
            .ok()
    }

    /// Whether the file is refused.
    pub fn has_errors(&self) -> bool {
        self.more_errors || self.list.iter().any(Finding::is_error)
    }

    /// All findings in the order of their places in the file.
    pub fn into_sorted(self) -> Vec<Finding> {
        let Self {
            mut list,
            more,
            more_errors,
        } = self;
        list.sort_by_key(|finding| {
            let span = finding.span();
            (span.start, span.end)
        });
        if more > 0 {
            let end = list.last().map_or(0..0, Finding::span);
            let message = format!("{more} more findings in this file are not shown");
            let severity = if more_errors {
                Severity::Error
            } else {
                Severity::Warning
            };
            let rest = Finding::new(severity, "findings-too-many", end, message);
            list.push(rest.help("mend those that are shown, and check again"));
        }
        list
    }
}

/// A place in a file as editors count.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
}

/// Where the lines of a text begin: turns byte offsets into places without reading the text again.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`. A byte order mark at its beginning is no character of them.
    pub fn of(text: &'t str) -> Self {
        let first = if text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len_utf8()
        } else {
            0
        };
        let rest = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(first)
            .chain(rest.map(|(offset, _)| offset + 1))
            .collect();
        Self { text, starts }
    }

    /// The place of the character that holds the byte `offset`; past the end, the end.
    pub fn place(&self, offset: usize) -> Place {
        let offset = self.within(offset);
        let line = self.line_of(offset);
        let before = self.text.get(self.start(line)..offset).unwrap_or_default();
        Place {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The line, from 1, that holds the byte `offset`; past the end, the last one.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// The offset at which `line` begins; past the last line, the end of the text.
    pub fn start(&self, line: usize) -> usize {
        self.starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len())
    }

    /// How many lines there are; at least one.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The text whose lines they are.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The nearest offset at or before `offset` that lies between two characters of the text.
    pub fn within(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// How many findings of one file are kept.
const MOST_FINDINGS: usize = 10_000;
const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn very_many_findings_are_counted() {
        let mut findings = Findings::default();
        for at in 0..MOST_FINDINGS + 3 {
            findings.push(Finding::warning("a", at..at + 1, "one of many"));
        }
        assert!(!findings.has_errors());
        findings.push(Finding::error("b", 0..1, "and an error behind them"));
        assert!(findings.has_errors());
        let findings = findings.into_sorted();
        assert_eq!(findings.len(), MOST_FINDINGS + 1);
        let last = findings.last().unwrap();
        assert!(last.is_error());
        assert_eq!(last.message, "4 more findings in this file are not shown");
    }

    #[test]
    fn findings_come_in_the_order_of_the_file() {
        let mut findings = Findings::default();
        findings.push(Finding::warning("b", 9..10, "later"));
        assert!(!findings.has_errors());
        assert_eq!(findings.keep(3..4, "a", "x".parse::<u8>()), None);
        assert_eq!(findings.keep(3..4, "a", "7".parse::<u8>()), Some(7));
        assert!(findings.has_errors());
        let codes: Vec<_> = findings
            .into_sorted()
            .iter()
            .map(|finding| finding.code)
            .collect();
        assert_eq!(codes, ["a", "b"]);
    }

    #[test]
    fn columns_count_characters() {
        let lines = Lines::of("\u{feff}a = 1\r\nbü = \"é\"\n");
        assert_eq!(lines.place(3), Place { line: 1, column: 1 });
        assert_eq!(lines.place(0), Place { line: 1, column: 1 });
        assert_eq!(lines.place(10), Place { line: 2, column: 1 });
        assert_eq!(lines.place(12), Place { line: 2, column: 2 });
        assert_eq!(lines.place(13), Place { line: 2, column: 3 });
        assert_eq!(lines.place(999), Place { line: 3, column: 1 });
        assert_eq!(Lines::of("").place(5), Place { line: 1, column: 1 });
    }

    proptest! {
        #[test]
        fn every_offset_has_a_place(text in "(\\PC|\n|\r\n|\u{feff}){0,40}", offset in 0usize..200) {
            let lines = Lines::of(&text);
            let place = lines.place(offset);
            prop_assert!(place.line <= lines.count());
            prop_assert!(lines.start(place.line) <= lines.start(place.line + 1));
        }
    }
}
