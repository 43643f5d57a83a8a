//! Findings as people and programs read them: with carets, in plain lines, as JSON.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use serde_json::json;

use super::finding::{Finding, Label, Lines, Severity};

/// The findings of the file `name` with the lines they speak of, 100 columns wide; `colour` for
/// terminals alone. A finding on a line too long to be shown comes as in [`plain`].
pub fn carets(name: &str, text: &str, findings: &[Finding], colour: bool) -> String {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_break_words(false)
        .with_links(false);
    let lines = Lines::of(text);
    let source = Source {
        name,
        lines: &lines,
    };
    let mut rendered = String::new();
    for finding in findings {
        let report = Report {
            finding,
            source: &source,
        };
        // Why: writing to a string fails only where a place lies outside the text, and `Source`
        // moves every place inside it; a plain line is then still better than silence.
        if too_long(&lines, finding) || handler.render_report(&mut rendered, &report).is_err() {
            rendered.push_str(&line(name, &lines, finding));
        }
        rendered.push('\n');
    }
    rendered
}

/// The findings of the file `name`, each in one line: `name:line:column: error[code]: message
/// (help: ...)`; without line and column where it speaks of the whole file.
pub fn plain(name: &str, text: &str, findings: &[Finding]) -> String {
    let lines = Lines::of(text);
    findings
        .iter()
        .map(|finding| line(name, &lines, finding))
        .collect()
}

/// The findings of the file `name` as JSON objects; lines and columns count from 1, and an end is
/// the place after the last character; they are null where a finding speaks of the whole file.
pub fn json(name: &str, text: &str, findings: &[Finding]) -> Vec<serde_json::Value> {
    let lines = Lines::of(text);
    findings
        .iter()
        .map(|finding| object(name, &lines, finding))
        .collect()
}

/// Whether the lines that would be shown, one more before and after each place, are too long.
fn too_long(lines: &Lines<'_>, finding: &Finding) -> bool {
    finding.labels.iter().any(|label| {
        let first = lines.line_of(label.span.start).saturating_sub(1).max(1);
        let last = lines.line_of(label.span.end).saturating_add(2);
        lines.start(last) - lines.start(first) > SHOWN_OCTETS
    })
}

fn line(name: &str, lines: &Lines<'_>, finding: &Finding) -> String {
    let Finding {
        code,
        message,
        help,
        ..
    } = finding;
    let place = if finding.labels.is_empty() {
        String::new()
    } else {
        let place = lines.place(finding.span().start);
        format!("{}:{}:", place.line, place.column)
    };
    let severity = finding.severity.word();
    let help = help
        .as_ref()
        .map(|help| format!(" (help: {help})"))
        .unwrap_or_default();
    format!("{name}:{place} {severity}[{code}]: {message}{help}\n")
}

fn object(name: &str, lines: &Lines<'_>, finding: &Finding) -> serde_json::Value {
    let span = finding.labels.first().map(|label| label.span.clone());
    let start = span.as_ref().map(|span| lines.place(span.start));
    let end = span.map(|span| lines.place(span.end));
    let labels: Vec<_> = finding
        .labels
        .iter()
        .map(|label| label_object(lines, label))
        .collect();
    json!({
        "file": name,
        "line": start.map(|place| place.line),
        "column": start.map(|place| place.column),
        "end_line": end.map(|place| place.line),
        "end_column": end.map(|place| place.column),
        "code": finding.code,
        "severity": finding.severity.word(),
        "message": finding.message,
        "help": finding.help,
        "labels": labels,
    })
}

fn label_object(lines: &Lines<'_>, label: &Label) -> serde_json::Value {
    let (start, end) = (lines.place(label.span.start), lines.place(label.span.end));
    json!({
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "text": label.text,
    })
}

/// A finding with its file, as miette draws it.
#[derive(Debug)]
struct Report<'a> {
    finding: &'a Finding,
    source: &'a Source<'a>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let code = self.finding.code;
        if self.finding.labels.is_empty() {
            return Some(Box::new(format!("{code}: {}", self.source.name)));
        }
        Some(Box::new(code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let lines = self.source.lines;
        let labels = self
            .finding
            .labels
            .iter()
            .enumerate()
            .map(|(index, label)| {
                let start = lines.within(label.span.start);
                let end = lines.within(label.span.end).max(start);
                let text = (!label.text.is_empty()).then(|| label.text.clone());
                let span = SourceSpan::from(start..end);
                if index == 0 {
                    LabeledSpan::new_primary_with_span(text, span)
                } else {
                    LabeledSpan::new_with_span(text, span)
                }
            });
        Some(Box::new(labels))
    }
}

/// A file whose lines are known, so that showing a place does not read the whole file again.
#[derive(Debug)]
struct Source<'a> {
    name: &'a str,
    lines: &'a Lines<'a>,
}

impl SourceCode for Source<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (lines, text) = (self.lines, self.lines.text());
        let start = lines.within(span.offset());
        let end = lines.within(span.offset().saturating_add(span.len()));
        let first = lines.line_of(start).saturating_sub(lines_before).max(1);
        let last_byte = end.saturating_sub(1).max(start);
        let last = lines
            .line_of(last_byte)
            .saturating_add(lines_after)
            .min(lines.count());
        let (from, column) = match lines_before {
            0 => (start, lines.place(start).column - 1),
            _ => (lines.start(first), 0),
        };
        let to = lines.start(last.saturating_add(1)).max(from);
        let shown = text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_owned(),
            shown.as_bytes(),
            (from, to - from).into(),
            first - 1,
            column,
            last - first + 1,
        )))
    }
}

/// How much of a file one place may show.
const SHOWN_OCTETS: usize = 4096;
const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = 1\n\n\n[[inbound]]\nname = \"bü\" # x\n\n\n\n\n\n\n[end]\n";

    fn findings() -> Vec<Finding> {
        let at = |what: &str| {
            let start = TEXT.find(what).unwrap();
            start..start + what.len()
        };
        vec![
            Finding::error("name-twice", at("\"bü\""), "two connectors have one name")
                .here("the second")
                .label(at("[[inbound]]"), "the first is here")
                .label(at("[end]"), "the file ends here")
                .help("give one of them another name"),
            Finding::warning("accepts-all", 0..0, "the set accepts everything"),
            Finding::error("end-missing", 999..1009, "past the end"),
        ]
    }

    #[test]
    fn carets_show_every_place() {
        insta::assert_snapshot!(carets("default.toml", TEXT, &findings(), false), @r#"
        name-twice

          × two connectors have one name
           ╭─[default.toml:5:8]
         3 │ 
         4 │ [[inbound]]
           · ─────┬─────
           ·      ╰── the first is here
         5 │ name = "bü" # x
           ·        ──┬─
           ·          ╰── the second
         6 │ 
           ╰────
            ╭─[default.toml:12:1]
         11 │ 
         12 │ [end]
            · ──┬──
            ·   ╰── the file ends here
            ╰────
          help: give one of them another name

        accepts-all

          ⚠ the set accepts everything
           ╭─[default.toml:1:1]
         1 │ version = 1
           · ▲
         2 │ 
           ╰────

        end-missing

          × past the end
            ╭─[default.toml:13:1]
         12 │ [end]
            ╰────
        "#);
        assert!(carets("default.toml", TEXT, &findings(), true).contains("\u{1b}["));
    }

    #[test]
    fn plain_is_one_line_each() {
        insta::assert_snapshot!(plain("default.toml", TEXT, &findings()), @r#"
        default.toml:5:8: error[name-twice]: two connectors have one name (help: give one of them another name)
        default.toml:1:1: warning[accepts-all]: the set accepts everything
        default.toml:13:1: error[end-missing]: past the end
        "#);
    }

    #[test]
    fn a_line_too_long_is_not_shown() {
        let text = format!("a = [{}]\n", "\"x\", ".repeat(2_000));
        let finding = Finding::error("code", 5..8, "wrong");
        let rendered = carets("f.toml", &text, &[finding], false);
        assert_eq!(rendered, "f.toml:1:6: error[code]: wrong\n\n");
    }

    #[test]
    fn json_counts_as_editors_do() {
        let objects = json("default.toml", TEXT, &findings());
        insta::assert_snapshot!(format!("{:#}", objects[0]), @r#"
        {
          "code": "name-twice",
          "column": 8,
          "end_column": 12,
          "end_line": 5,
          "file": "default.toml",
          "help": "give one of them another name",
          "labels": [
            {
              "column": 8,
              "end_column": 12,
              "end_line": 5,
              "line": 5,
              "text": "the second"
            },
            {
              "column": 1,
              "end_column": 12,
              "end_line": 4,
              "line": 4,
              "text": "the first is here"
            },
            {
              "column": 1,
              "end_column": 6,
              "end_line": 12,
              "line": 12,
              "text": "the file ends here"
            }
          ],
          "line": 5,
          "message": "two connectors have one name",
          "severity": "error"
        }
        "#);
        assert_eq!(objects[1]["severity"], "warning");
        assert_eq!(objects[1]["help"], serde_json::Value::Null);
    }
}
