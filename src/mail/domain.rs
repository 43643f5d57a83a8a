//! Domains in one spelling, and the patterns that connectors are configured with.

use std::{borrow::Borrow, error::Error, fmt, iter, str::FromStr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::quoted;

/// A domain in its one canonical spelling: A-labels, lower case, no dot at the end.
///
/// A label is 1 to 63 of `a-z`, `0-9`, `-` and `_`, the whole at most 253 octets (RFC 1035,
/// section 2.3.4). Labels that are not ASCII went through UTS 46 ToASCII, non-transitional, each
/// by itself; ASCII labels are kept as they are but for case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Domain(Box<str>);

impl Domain {
    /// The domain of which `text` is known to be the canonical spelling.
    pub(super) fn canonical(text: &str) -> Self {
        Self(text.into())
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain itself, then each domain above it: `a.b.c`, `b.c`, `c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        iter::successors(Some(self.as_str()), |name| {
            name.split_once('.').map(|(_, above)| above)
        })
    }

    /// Whether this is `base` or lies below it.
    pub fn is_within(&self, base: &Self) -> bool {
        self.as_str()
            .strip_suffix(base.as_str())
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// No name has more labels: each takes two octets at least.
    pub const MAX_LABELS: usize = 127;

    /// How many labels the name has: 2 for `contoso.com`.
    pub fn label_count(&self) -> usize {
        self.as_str().split('.').count()
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// Reads a domain in any spelling; ideographic dots count as dots, and one dot at the end is
    /// dropped.
    fn from_str(text: &str) -> Result<Self, DomainError> {
        if is_canonical(text) {
            return Ok(Self(text.into()));
        }
        let name = text.strip_suffix(DOTS).unwrap_or(text);
        if name.is_empty() {
            return Err(DomainError(Fault::Empty));
        }
        let name = if name.is_ascii() {
            check_length(name)?;
            name.to_ascii_lowercase()
        } else {
            let mut ascii = String::new();
            for (index, label) in name.split(DOTS).enumerate() {
                if index > 0 {
                    ascii.push('.');
                }
                push_ascii_label(&mut ascii, index, label)?;
                check_length(&ascii)?;
            }
            ascii
        };
        for (index, label) in name.split('.').enumerate() {
            check_label(index, label, label)?;
        }
        Ok(Self(name.into_boxed_str()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The domains that a connector speaks of, as an operator writes them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum DomainPattern {
    /// `*`: everything, mail without a domain included.
    Any,
    /// `contoso.com`: that domain alone.
    Exact(Domain),
    /// `*.contoso.com`: that domain and every domain below it.
    Subtree(Domain),
}

impl DomainPattern {
    /// Whether mail of `domain` falls under the pattern; `None` is mail without a domain.
    pub fn covers(&self, domain: Option<&Domain>) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => domain == Some(own),
            Self::Subtree(base) => domain.is_some_and(|domain| domain.is_within(base)),
        }
    }

    /// Whether every name that `other` covers is covered here, too.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(own), Self::Exact(name)) => own == name,
            (Self::Subtree(base), Self::Exact(name) | Self::Subtree(name)) => name.is_within(base),
            (Self::Exact(_), Self::Any | Self::Subtree(_)) | (Self::Subtree(_), Self::Any) => false,
        }
    }
}

impl FromStr for DomainPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (base, pattern): (_, fn(Domain) -> Self) = match below_star(text) {
            Some(base) => (base, Self::Subtree),
            None => (text, Self::Exact),
        };
        if base.contains('*') {
            return Err(PatternError(PatternFault::Star(quoted(text))));
        }
        match base.parse() {
            Ok(domain) => Ok(pattern(domain)),
            Err(_) if text.starts_with('.') => Err(PatternError(PatternFault::Dot(quoted(text)))),
            Err(error) => Err(PatternError(PatternFault::Domain(error))),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(domain) => write!(f, "{domain}"),
            Self::Subtree(base) => write!(f, "*.{base}"),
        }
    }
}

/// Why a text is not a domain: what is wrong, and with which label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DomainError(Fault);

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Character(label, '@') => {
                write!(
                    f,
                    "label {label} holds `@`: write only what follows the `@`"
                )
            }
            Fault::Character(label, character) => write!(
                f,
                "label {label} holds {}: a label has letters, digits, `-` and `_`",
                quoted(character.encode_utf8(&mut [0; 4]))
            ),
            Fault::Empty => f.write_str("a domain cannot be empty"),
            Fault::EmptyLabel(number) => {
                write!(
                    f,
                    "label {number} is empty: write one dot between labels, none in front"
                )
            }
            Fault::LabelLength(label, octets) => {
                write!(
                    f,
                    "label {label} has {octets} octets in ASCII: it may have {LABEL_OCTETS}"
                )
            }
            Fault::Length => write!(
                f,
                "the domain has more than {DOMAIN_OCTETS} octets in ASCII"
            ),
            Fault::Mapped(label) => write!(
                f,
                "label {label} stands for one that begins with `xn--`: write that in ASCII letters"
            ),
            Fault::Unicode(label) => {
                write!(
                    f,
                    "label {label} is not allowed in an internationalized domain (UTS 46)"
                )
            }
        }
    }
}

impl Error for DomainError {}

/// Why a text is not a domain pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PatternError(PatternFault);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            PatternFault::Domain(error) => write!(f, "{error}"),
            PatternFault::Dot(text) => write!(
                f,
                "{text} begins with a dot: write `*.contoso.com` for a domain and all below it"
            ),
            PatternFault::Star(text) => write!(
                f,
                "`*` may only stand alone or as the whole first label: {text} is neither `*` nor \
                 like `*.contoso.com`"
            ),
        }
    }
}

impl Error for PatternError {}

/// The faults of a domain; labels are quoted.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Fault {
    Character(String, char),
    Empty,
    EmptyLabel(usize),
    LabelLength(String, usize),
    Length,
    Mapped(String),
    Unicode(String),
}

/// The faults of a pattern; texts are quoted.
#[derive(Clone, Debug, Eq, PartialEq)]
enum PatternFault {
    Domain(DomainError),
    Dot(String),
    Star(String),
}

/// What stands behind `*` and a dot at the beginning of `text`.
pub(super) fn below_star(text: &str) -> Option<&str> {
    text.strip_prefix('*')?.strip_prefix(DOTS)
}

/// Appends the A-label of `label`, or `label` itself where that is ASCII.
fn push_ascii_label(name: &mut String, index: usize, label: &str) -> Result<(), DomainError> {
    if label.is_ascii() {
        name.extend(label.chars().map(|c| c.to_ascii_lowercase()));
        return Ok(());
    }
    let ascii = to_ascii(label).ok_or_else(|| DomainError(Fault::Unicode(quoted(label))))?;
    // A result in `xn--` is the encoded label, or the label was mapped to one: then it stays plain
    // behind another letter.
    let was_mapped = |longer: String| longer.starts_with("axn--");
    if ascii.starts_with("xn--") && to_ascii(&format!("a{label}")).is_some_and(was_mapped) {
        return Err(DomainError(Fault::Mapped(quoted(label))));
    }
    check_label(index, &ascii, label)?;
    name.push_str(&ascii);
    Ok(())
}

/// UTS 46 ToASCII of one label, non-transitional, with CheckBidi and CheckJoiners alone.
fn to_ascii(label: &str) -> Option<String> {
    Uts46::new()
        .to_ascii(
            label.as_bytes(),
            AsciiDenyList::EMPTY,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .ok()
        .map(Into::into)
}

fn check_length(name: &str) -> Result<(), DomainError> {
    if name.len() > DOMAIN_OCTETS {
        return Err(DomainError(Fault::Length));
    }
    Ok(())
}

/// Whether `text` is the canonical spelling already, as it nearly always is; in one pass.
fn is_canonical(text: &str) -> bool {
    let mut label = 0;
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'.' if (1..=LABEL_OCTETS).contains(&label) => label = 0,
            _ => return false,
        }
    }
    (1..=LABEL_OCTETS).contains(&label) && text.len() <= DOMAIN_OCTETS
}

/// Checks the ASCII form of the label at `index`, which was `written` so.
fn check_label(index: usize, label: &str, written: &str) -> Result<(), DomainError> {
    let foreign = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if label.is_empty() {
        Err(DomainError(Fault::EmptyLabel(index + 1)))
    } else if let Some(character) = label.chars().find(foreign) {
        Err(DomainError(Fault::Character(quoted(written), character)))
    } else if label.len() > LABEL_OCTETS {
        Err(DomainError(Fault::LabelLength(
            quoted(written),
            label.len(),
        )))
    } else {
        Ok(())
    }
}

const DOMAIN_OCTETS: usize = 253;
/// The full stop, and the ideographic, full-width and half-width dots that stand for it.
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
const LABEL_OCTETS: usize = 63;

#[cfg(test)]
mod tests;
