//! From what is written to connectors, with every finding on the way.

mod inbound;
mod outbound;
mod smart_host;
mod values;

use std::{collections::HashMap, hash::Hash, ops::Range};

use foldhash::fast::RandomState;

use self::values::Narrower;
use super::{
    finding::{Finding, Findings, Lines},
    raw::RawSet,
    table::At,
    words::shown,
};
use crate::policy::{
    connector::{InboundConnector, Mode, Modes, OutboundConnector, Written},
    set::{AcceptedDomain, Parts},
};

/// A connector with the places of what it is made of, for findings that speak of it later.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) connector: T,
    /// The name, or the header where there is none.
    pub(super) name: Range<usize>,
    /// The patterns by which it matches, in the order of the connector's list.
    pub(super) patterns: Vec<Range<usize>>,
    /// Its recipient patterns, where they only narrow the match.
    pub(super) recipients: Vec<Range<usize>>,
    /// Its mode or its recipients could not be read, so that it cannot be told what it is equal to.
    unclear: bool,
}

/// What the checks of one file share.
#[derive(Debug)]
struct Check<'a> {
    findings: &'a mut Findings,
    lines: &'a Lines<'a>,
    set_mode: Mode,
}

/// All that a set is made of, with the places of its connectors.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) mode: Mode,
    pub(super) retired: bool,
    pub(super) accepted_domains: Vec<AcceptedDomain>,
    pub(super) inbound: Vec<Placed<InboundConnector>>,
    pub(super) outbound: Vec<Placed<OutboundConnector>>,
}

/// The checks of one file on the way through its connectors, which may come in parts.
#[derive(Debug)]
pub(super) struct Checking<'l> {
    lines: &'l Lines<'l>,
    mode: Mode,
    findings: Findings,
    accepted_domains: Vec<AcceptedDomain>,
    inbound: Direction<InboundConnector>,
    outbound: Direction<OutboundConnector>,
}

/// What was seen of the connectors of one direction.
#[derive(Debug)]
struct Direction<T> {
    placed: Vec<Placed<T>>,
    names: Vec<At<String>>,
    /// Where the first one begins, good or not.
    first: Option<Range<usize>>,
    findings: Findings,
}

impl<'l> Checking<'l> {
    /// Judges all but the connectors of `raw`.
    pub(super) fn begin(raw: &RawSet, lines: &'l Lines<'l>) -> Self {
        let mut findings = Findings::default();
        let mode = raw
            .mode
            .as_ref()
            .and_then(|mode| values::mode(mode, &mut findings));
        let set_mode = mode.unwrap_or(Mode::Enforce);
        let mut check = Check {
            findings: &mut findings,
            lines,
            set_mode,
        };
        let accepted_domains = check.accepted_domains(raw);
        Self {
            lines,
            mode: set_mode,
            findings,
            accepted_domains,
            inbound: Direction::default(),
            outbound: Direction::default(),
        }
    }

    /// Judges the next connectors, each by itself, and leaves `raw` without them.
    pub(super) fn take(&mut self, raw: &mut RawSet) {
        let (lines, set_mode) = (self.lines, self.mode);
        self.inbound.take(
            &mut raw.inbound,
            |raw, findings| {
                let mut check = Check {
                    findings,
                    lines,
                    set_mode,
                };
                check.inbound(raw)
            },
            |raw| raw.name.take(),
        );
        self.outbound.take(
            &mut raw.outbound,
            |raw, findings| {
                let mut check = Check {
                    findings,
                    lines,
                    set_mode,
                };
                check.outbound(raw)
            },
            |raw| raw.name.take(),
        );
    }

    /// Judges the whole, where `raw` has what is no connector. What comes out is only good for use
    /// where `findings` has no error.
    pub(super) fn finish(self, raw: &RawSet, findings: &mut Findings) -> Checked {
        let Self {
            lines,
            mode,
            findings: first_findings,
            accepted_domains,
            inbound,
            outbound,
        } = self;
        findings.append(first_findings);
        findings.append(inbound.findings);
        findings.append(outbound.findings);
        let mut check = Check {
            findings,
            lines,
            set_mode: mode,
        };
        check.names(&inbound.names, "inbound");
        check.names(&outbound.names, "outbound");
        drop((inbound.names, outbound.names));
        let (first_inbound, first_outbound) = (inbound.first, outbound.first);
        let (inbound, outbound) = (inbound.placed, outbound.placed);
        if check.pairs(&inbound) {
            check.inbound_duplicates(&inbound);
        }
        check.outbound_duplicates(&outbound);
        let retired = raw.retired.as_ref().filter(|retired| retired.value);
        if let (Some(retired), Some(first)) = (retired, first_inbound.or(first_outbound)) {
            let message = "a retired set holds no connectors";
            check.findings.push(
                Finding::error("retired-with-connectors", retired.span.clone(), message)
                    .label(first, "the first one")
                    .help("remove the connectors, or the line `retired = true`"),
            );
        }
        Checked {
            mode,
            retired: retired.is_some(),
            accepted_domains,
            inbound,
            outbound,
        }
    }
}

impl<T> Default for Direction<T> {
    fn default() -> Self {
        Self {
            placed: Vec::new(),
            names: Vec::new(),
            first: None,
            findings: Findings::default(),
        }
    }
}

impl<T> Direction<T> {
    fn take<R>(
        &mut self,
        list: &mut Vec<At<R>>,
        mut check: impl FnMut(&At<R>, &mut Findings) -> Option<Placed<T>>,
        name: impl Fn(&mut R) -> Option<At<String>>,
    ) {
        for mut raw in list.drain(..) {
            self.first.get_or_insert_with(|| raw.span.clone());
            self.placed.extend(check(&raw, &mut self.findings));
            self.names.extend(name(&mut raw.value));
        }
    }
}

impl Checked {
    /// The parts of a set of this name and digest.
    pub(super) fn into_parts(self, name: &str, digest: &str) -> Parts {
        Parts {
            name: name.into(),
            digest: digest.into(),
            mode: self.mode,
            retired: self.retired,
            accepted_domains: self.accepted_domains,
            inbound: self
                .inbound
                .into_iter()
                .map(|placed| placed.connector)
                .collect(),
            outbound: self
                .outbound
                .into_iter()
                .map(|placed| placed.connector)
                .collect(),
        }
    }
}

impl Check<'_> {
    fn accepted_domains(&mut self, raw: &RawSet) -> Vec<AcceptedDomain> {
        let Some(list) = &raw.accepted_domains else {
            return Vec::new();
        };
        let mut accepted = Vec::with_capacity(list.value.len());
        let mut patterns = Vec::with_capacity(list.value.len());
        let mut spans = Vec::with_capacity(list.value.len());
        for entry in &list.value {
            if entry.value == "*" {
                let message = "`*` cannot be an accepted domain";
                self.findings.push(
                    Finding::error("accepted-any", entry.span.clone(), message).help(
                        "list the organization's own domains; a set for everything else is the \
                         `default_set` of the settings",
                    ),
                );
            } else if let Some(pattern) = self.findings.keep_with_help(
                entry,
                "pattern-bad",
                PATTERN_HELP,
                entry.value.parse(),
            ) {
                let line = self.line(&entry.span);
                let pattern = Written::new(pattern, &entry.value);
                patterns.push(pattern.clone());
                spans.push(entry.span.clone());
                accepted.push(AcceptedDomain {
                    pattern,
                    span: entry.span.clone(),
                    line,
                });
            }
        }
        values::covered_patterns(&patterns, &spans, Narrower::ChangesNothing, self.findings);
        accepted
    }

    fn line(&self, span: &Range<usize>) -> u32 {
        u32::try_from(self.lines.line_of(span.start)).unwrap_or(u32::MAX)
    }

    /// The modes of a connector; none where what is written is no mode.
    fn modes(&mut self, written: Option<&At<String>>) -> Option<Modes> {
        let own = match written {
            Some(mode) => values::mode(mode, self.findings)?,
            None => Mode::Enforce,
        };
        Some(Modes::of(own, self.set_mode))
    }

    /// What stands for modes that could not be read; the file is refused.
    fn default_modes(&self) -> Modes {
        Modes::of(Mode::Enforce, self.set_mode)
    }

    /// Whether the name of a connector is one.
    fn name(&mut self, name: Option<&At<String>>, header: &Range<usize>, unread: bool) -> Box<str> {
        let Some(name) = name else {
            if !unread {
                self.findings.push(
                    Finding::error("name-missing", header.clone(), "the connector has no name")
                        .help("write `name = \"ContosoBank\"`, say: it stands in answers, logs and metrics"),
                );
            }
            return "".into();
        };
        let text = &name.value;
        let length = text.chars().count();
        let fault = if text.is_empty() {
            Some("a name cannot be empty".to_owned())
        } else if length > NAME_CHARACTERS {
            Some(format!(
                "a name has at most 64 characters, and this one {length}"
            ))
        } else if text.chars().any(char::is_control) {
            Some("a name has no control characters".to_owned())
        } else if text.trim() != text {
            Some("a name has no blanks at its ends".to_owned())
        } else {
            None
        };
        if let Some(fault) = fault {
            self.findings.push(
                Finding::error("name-bad", name.span.clone(), fault)
                    .help("write 1 to 64 printable characters, as in `name = \"ContosoBank\"`"),
            );
        }
        text.as_str().into()
    }

    /// No two connectors of one direction have one name.
    fn names(&mut self, names: &[At<String>], direction: &str) {
        let mut first: HashMap<&str, &Range<usize>, RandomState> = HashMap::default();
        for name in names.iter().filter(|name| !name.value.is_empty()) {
            if let Some(earlier) = first.get(name.value.as_str()) {
                let message = format!(
                    "two {direction} connectors have the name `{}`",
                    shown(&name.value)
                );
                self.findings.push(
                    Finding::error("name-duplicate", name.span.clone(), message)
                        .label((*earlier).clone(), "the other one")
                        .help("give each connector a name of its own: answers and metrics tell them apart by it"),
                );
            } else {
                first.insert(&name.value, &name.span);
            }
        }
    }

    /// Whether the pairs of sender or address pattern and recipient pattern can all be held.
    fn pairs(&mut self, connectors: &[Placed<InboundConnector>]) -> bool {
        let mut pairs: usize = 0;
        for placed in connectors {
            let recipients = placed.connector.recipient_domains.len();
            pairs = pairs.saturating_add(placed.patterns.len().saturating_mul(recipients));
            if pairs > MOST_PAIRS {
                let message = format!(
                    "with `{}` this set has more than a million pairs of a sender or address and a \
                     recipient",
                    shown(&placed.connector.name)
                );
                self.findings.push(
                    Finding::error("pairs-too-many", placed.name.clone(), message).help(
                        "each entry of `sender_domains` or `client_ips` counts once for each of \
                         `recipient_domains`: write wildcards, or leave `recipient_domains` out",
                    ),
                );
                return false;
            }
        }
        true
    }

    /// Records that two connectors share a place in a chain.
    fn duplicate(
        &mut self,
        here: &Range<usize>,
        there: &Range<usize>,
        names: [&str; 2],
        what: &str,
    ) {
        let [name, other] = names;
        let message = format!("`{name}` and `{other}` match the same mail, {what}");
        self.findings.push(
            Finding::error("connector-duplicate", here.clone(), message)
                .here(format!("`{name}`"))
                .label(there.clone(), format!("`{other}`"))
                .help(
                    "one of the two could never apply: put their demands together into one connector, \
                     narrow one of them, or set one to `mode = \"off\"`",
                ),
        );
    }
}

impl Findings {
    /// Unwraps `result`, or records why `entry` is no good, and what to write.
    fn keep_with_help<T, E: std::fmt::Display>(
        &mut self,
        entry: &At<String>,
        code: &'static str,
        help: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                let finding = Finding::error(code, entry.span.clone(), error.to_string());
                self.push(finding.help(help));
            })
            .ok()
    }
}

/// Finds the first that had the same key, or takes the key.
fn taken<K: Eq + Hash, V: Clone>(
    seen: &mut HashMap<K, V, RandomState>,
    key: K,
    value: V,
) -> Option<V> {
    match seen.entry(key) {
        std::collections::hash_map::Entry::Occupied(entry) => Some(entry.get().clone()),
        std::collections::hash_map::Entry::Vacant(entry) => {
            entry.insert(value);
            None
        }
    }
}

/// How many pairs a set may hold: each is a place in an index.
const MOST_PAIRS: usize = 1_000_000;
const NAME_CHARACTERS: usize = 64;
const PATTERN_HELP: &str =
    "write `contoso.com` for that domain alone, `*.contoso.com` for it and all below it";
/// The same, where `*` can be written, too.
const ANY_PATTERN_HELP: &str = "write `contoso.com` for that domain alone, `*.contoso.com` for it and all below it, \
                                `*` for everything";
