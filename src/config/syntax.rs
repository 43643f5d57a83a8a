//! Text to a TOML tree: every syntax error of the file, in words that say what to write.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::{
    finding::{Finding, Findings},
    words::shown,
};

/// Parses `text`; where it is not TOML, the answer is none and `findings` has every fault.
pub(crate) fn parse<'t>(text: &'t str, findings: &mut Findings) -> Option<DeTable<'t>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(root.into_inner());
    }
    let mut faults: Vec<_> = errors.iter().map(|error| fault(text, error)).collect();
    faults.sort_by_key(|fault| fault.span.start);
    // The parser does not look at values after a key without one: look again without such lines.
    let rest = without_bare_keys(text, &faults);
    let more = rest
        .map(|rest| DeTable::parse_recoverable(&rest).1)
        .unwrap_or_default();
    faults.extend(more.iter().map(|error| fault(text, error)));
    faults.sort_by_key(|fault| fault.span.start);
    // One slip makes it stumble more than once over the same line: the first one counts.
    let mut end_of_line = None;
    for fault in faults {
        let span = fault.span.clone();
        if end_of_line.is_some_and(|end| span.start <= end) {
            continue;
        }
        let rest = text.get(span.end..).unwrap_or_default();
        end_of_line = Some(span.end + rest.find('\n').unwrap_or(rest.len()));
        if is_header(text, &span) {
            // The parser takes all that follows for entries of the list.
            let message = "the list before this table is not closed";
            let finding = Finding::error("toml-syntax", span, message);
            findings.push(finding.help("write `]` after its last entry"));
            break;
        }
        findings.push(explain(text, fault));
    }
    None
}

/// Parses `text`, of which nothing is to be said where it is not TOML.
pub(crate) fn parse_clean(text: &str) -> Option<DeTable<'_>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    errors.is_empty().then(|| root.into_inner())
}

/// Whether a file says that it is of version 1. Where it says another, the answer is none: it is
/// not to be judged by the rules of this one.
pub(crate) fn check_version(text: &str, root: &DeTable<'_>, findings: &mut Findings) -> Option<()> {
    let Some(version) = root.get("version") else {
        let first = text.trim_start_matches('\u{feff}');
        let start = text.len() - first.len();
        let end = start + first.lines().next().unwrap_or_default().len();
        let finding = Finding::error("version-missing", start..end, "`version` is missing")
            .help("write `version = 1` as the first line");
        findings.push(finding);
        return Some(());
    };
    let Some(number) = version.get_ref().as_integer() else {
        return Some(());
    };
    if i64::from_str_radix(number.as_str(), number.radix()) == Ok(1) {
        return Some(());
    }
    let message = format!("version {number} of this format is not known");
    let finding = Finding::error("version-unsupported", version.span(), message)
        .help("write `version = 1`, or read the file with a newer Postern");
    findings.push(finding);
    None
}

/// Where the parser stumbles.
struct Fault<'e> {
    span: Range<usize>,
    message: &'e str,
    /// Whether the text ends where more was to come.
    cut_off: bool,
}

fn fault<'e>(text: &str, error: &'e Error) -> Fault<'e> {
    let span = error.span().unwrap_or(0..0);
    let end = text.trim_end().len();
    let cut_off = span.start >= end;
    let span = if span.start >= text.len() {
        let last = text
            .trim_end()
            .chars()
            .next_back()
            .map_or(0, char::len_utf8);
        end - last..end
    } else if span.is_empty() || !BARE_VALUES.contains(&kind(error.message())) {
        span
    } else {
        // The parser points at the rest of a number, from where it is none.
        let before = text.get(..span.start).unwrap_or_default();
        let value =
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || ".:+_-".contains(c));
        value.len()..span.end
    };
    Fault {
        span,
        message: error.message(),
        cut_off,
    }
}

/// The text with blanks in the place of each line that has a key and no value, if there is one.
fn without_bare_keys(text: &str, faults: &[Fault<'_>]) -> Option<String> {
    let bare = faults
        .iter()
        .filter(|fault| fault.message.starts_with(BARE_KEY));
    let mut bare = bare.map(|fault| fault.span.start).peekable();
    bare.peek()?;
    let mut rest = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let end = rest.len() + line.len();
        let mut drop = false;
        while bare.next_if(|start| *start < end).is_some() {
            drop = true;
        }
        if drop {
            rest.extend(
                line.bytes()
                    .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
            );
        } else {
            rest.push_str(line);
        }
    }
    Some(rest)
}

fn explain(text: &str, fault: Fault<'_>) -> Finding {
    let Fault {
        span,
        message,
        cut_off,
    } = fault;
    let found = if cut_off {
        ""
    } else {
        text.get(span.clone()).unwrap_or_default()
    };
    let (message, help) = match kind(message) {
        "duplicate key" => (
            format!("`{}` stands twice in the same table", shown(found)),
            if text.contains("bound]]") {
                "keep one of the two; what is for another connector comes after its own \
                 `[[inbound]]` or `[[outbound]]`"
                    .to_owned()
            } else {
                "keep one of the two".to_owned()
            },
        ),
        "string values must be quoted" if found.is_empty() => (
            "a value is missing after `=`".to_owned(),
            "write the value, texts in quotes, or remove the line".to_owned(),
        ),
        "string values must be quoted" => (
            format!("a text must stand in quotes: `{}`", shown(found)),
            format!("write `\"{}\"`", shown(unquoted(found))),
        ),
        what if BARE_VALUES.contains(&what) => (
            "neither a number nor a date".to_owned(),
            "put texts, networks and versions in quotes, as in `\"192.0.2.0/24\"`".to_owned(),
        ),
        "invalid basic string" | "invalid literal string" if found.is_empty() => (
            "the quote that ends this text is missing".to_owned(),
            "end the text with the quote it began with, on the same line".to_owned(),
        ),
        "missing comma between array elements" => (
            "a comma is missing between two entries".to_owned(),
            "write `,` after the entry before".to_owned(),
        ),
        "unclosed array" => (
            "the list is not closed".to_owned(),
            "write `]` after its last entry".to_owned(),
        ),
        "unclosed table" | "unclosed array table" => (
            "the header of a table is not closed".to_owned(),
            "write as many `]` as there are `[`".to_owned(),
        ),
        BARE_KEY => (
            "a key without a value".to_owned(),
            "write `key = value`, begin the line with `#` for a comment, or with `[` for a table"
                .to_owned(),
        ),
        "invalid unquoted key" => (
            "a key holds only letters, digits, `_` and `-`".to_owned(),
            "write `key = value`; what is no key or table begins with `#`".to_owned(),
        ),
        "extra `=`" => (
            "one `=` stands between a key and its value".to_owned(),
            "write `key = value`".to_owned(),
        ),
        "missing escaped value" => (
            "what follows the `\\` is no escape".to_owned(),
            "domains, networks and names need no `\\`; where one is meant, write `\\\\`".to_owned(),
        ),
        "unexpected key or value" => (
            "something follows on the same line".to_owned(),
            "write each key on a line of its own, and comments after `#`".to_owned(),
        ),
        _ => (
            shown(message),
            "the file is TOML: `key = \"text\"`, `key = [\"text\", \"text\"]`, `[table]`, and \
             comments after `#`"
                .to_owned(),
        ),
    };
    let finding = Finding::error("toml-syntax", span, message);
    if cut_off {
        return finding.help(format!(
            "{help}; if the end of the file is lost, restore it"
        ));
    }
    finding.help(help)
}

/// The parser's message without what it says it expected.
fn kind(message: &str) -> &str {
    message.split_once(',').map_or(message, |(what, _)| what)
}

/// Whether what stands at `span` is a whole line in brackets, as tables begin.
fn is_header(text: &str, span: &Range<usize>) -> bool {
    if span.is_empty() {
        return false;
    }
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.end..).unwrap_or_default();
    let before = before.rsplit('\n').next().unwrap_or_default();
    let after = after.lines().next().unwrap_or_default();
    matches!((before.trim(), after.trim()), ("[", "]") | ("[[", "]]"))
}

/// Without the quotes that word processors make.
fn unquoted(text: &str) -> &str {
    text.trim_matches(|letter| matches!(letter, '“' | '”' | '„' | '‘' | '’' | '«' | '»'))
}

/// What the parser calls a key without a value.
const BARE_KEY: &str = "key with no value";

/// What the parser calls values without quotes that begin like a number or a date and are none.
const BARE_VALUES: [&str; 5] = [
    "invalid date",
    "invalid datetime",
    "invalid float",
    "invalid integer",
    "invalid time",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        let mut findings = Findings::default();
        assert!(parse(text, &mut findings).is_none(), "{text:?}");
        let findings = findings.into_sorted();
        findings
            .into_iter()
            .map(|finding| (finding.span().start, finding.message))
            .collect()
    }

    #[test]
    fn every_fault_is_found_once() {
        let text = "a = x\nb\nc = ['1' 2]\nd = \"x\ne =\nf: 1\n[g\n";
        let expected = [
            (4, "a text must stand in quotes: `x`"),
            (7, "a key without a value"),
            (17, "a comma is missing between two entries"),
            (26, "the quote that ends this text is missing"),
            (30, "a value is missing after `=`"),
            (34, "a key without a value"),
            (38, "the header of a table is not closed"),
        ];
        assert_eq!(
            faults(text),
            expected.map(|(at, what)| (at, what.to_owned()))
        );
    }

    #[test]
    fn what_is_written_twice_is_named() {
        assert_eq!(
            faults("a = 1\na = 2\n"),
            [(6, "`a` stands twice in the same table".to_owned())]
        );
    }
}
