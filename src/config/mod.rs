//! Text to policy: connector sets and process settings, with every finding at its place.
//!
//! Pure: who has the text calls [`load_str`]; nothing else makes a [`ConnectorSet`] (I4), so that
//! what serves, reloads, checks, explains and tests can never disagree.

pub mod callers;
mod check;
mod end;
pub mod finding;
mod foreign;
mod lint;
pub mod listen;
mod overlap;
mod pairs;
pub mod raw;
pub mod render;
mod rules;
mod schema;
mod segments;
pub mod settings;
mod syntax;
pub mod table;
mod value;
mod words;

use std::{fmt::Write as _, sync::Arc};

use sha2::{Digest as _, Sha256};

use self::{
    check::{Checked, Checking},
    finding::{Finding, Findings, Lines},
    raw::RawSet,
    segments::Segments,
};
use crate::policy::ConnectorSet;

pub use self::overlap::{Overlap, overlaps};

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The set; none where there is an error among the findings.
    pub set: Option<Arc<ConnectorSet>>,
    /// All that is wrong or worth a thought, in the order of the file.
    pub findings: Vec<Finding>,
}

/// What a file in the connectors' directory is, by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind<'a> {
    /// None of ours: it begins with a dot or does not end in `.toml`.
    Ignored,
    /// It ends in `.toml`, and what is before cannot name a set.
    Misnamed,
    /// The connector set of this name.
    Set(&'a str),
}

/// Makes the connector set `name` of `text`, or says all that is wrong with it.
///
/// ```
/// let text = r#"
/// version = 1
///
/// [[inbound]]
/// name = "ContosoBank"
/// match.sender_domains = ["contosobank.com"]
/// require.tls = "encrypt"
///
/// [end]
/// "#;
/// let outcome = postern::config::load_str("contoso", text);
/// assert!(outcome.findings.is_empty());
/// let set = outcome.set.expect("a set without errors");
/// assert_eq!(&*set.inbound()[0].name, "ContosoBank");
/// ```
pub fn load_str(name: &str, text: &str) -> Outcome {
    load_parts(name, text, PART)
}

/// The same, reading a `text` of more than `length` octets in parts of about as many, where that can
/// be done.
fn load_parts(name: &str, text: &str, length: usize) -> Outcome {
    let mut findings = Findings::default();
    let lines = Lines::of(text);
    let checked = in_parts(text, &lines, length, &mut findings)
        .or_else(|| as_whole(text, &lines, &mut findings));
    let Some((raw, checked)) = checked else {
        return Outcome {
            set: None,
            findings: findings.into_sorted(),
        };
    };
    if findings.has_errors() {
        return Outcome {
            set: None,
            findings: findings.into_sorted(),
        };
    }
    lint::lint(&checked, &raw, &mut findings);
    let set = ConnectorSet::new(checked.into_parts(name, &digest(text)));
    Outcome {
        set: Some(Arc::new(set)),
        findings: findings.into_sorted(),
    }
}

/// Reads and checks a text as a whole, whatever it is.
fn as_whole(text: &str, lines: &Lines<'_>, findings: &mut Findings) -> Option<(RawSet, Checked)> {
    let mut raw = raw::read(text, findings)?;
    let mut checking = Checking::begin(&raw, lines);
    checking.take(&mut raw);
    let checked = checking.finish(&raw, findings);
    Some((raw, checked))
}

/// Reads and checks a text in parts; none, and no finding, where it must be read as a whole.
fn in_parts(
    text: &str,
    lines: &Lines<'_>,
    length: usize,
    findings: &mut Findings,
) -> Option<(RawSet, Checked)> {
    let (raw, segments) = Segments::of(text, length)?;
    let mut checking = Checking::begin(&raw, lines);
    for part in segments {
        checking.take(&mut part?);
    }
    let checked = checking.finish(&raw, findings);
    Some((raw, checked))
}

/// The kind of a file in the connectors' directory.
pub fn file_kind(file_name: &str) -> FileKind<'_> {
    match file_name.strip_suffix(".toml") {
        Some(_) if file_name.starts_with('.') => FileKind::Ignored,
        Some(name) if settings::is_set_name(name) => FileKind::Set(name),
        Some(_) => FileKind::Misnamed,
        None => FileKind::Ignored,
    }
}

/// The first 16 hex digits of the SHA-256 of `text`, as `sha256sum` prints it.
pub fn digest(text: &str) -> String {
    let mut digest = String::with_capacity(16);
    for byte in Sha256::digest(text).iter().take(8) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// How much of a text is read at a time: some hundred connectors.
const PART: usize = 32 * 1024;
