//! The file of callers: who may ask what, as it is written and as it is meant.

pub mod raw;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use foldhash::fast::RandomState;

use self::raw::RawCaller;
use super::{
    finding::{Finding, Findings},
    settings::{is_set_name, name_of_set},
    table::At,
    words::shown,
};
use crate::{
    callers::{Caller, Callers, Rights, TokenHash, Ways},
    mail::Domain,
    policy::Scope,
};

pub use self::raw::schema;

/// What became of the text of a file of callers.
#[derive(Debug)]
pub struct Outcome {
    /// The callers; none where there is an error among the findings.
    pub callers: Option<Callers>,
    /// All that is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Makes the callers of `text`, or says all that is wrong with it: the only way to them.
pub fn load_str(text: &str) -> Outcome {
    load(text, None)
}

/// As [`load_str`], with a warning for each set that is not among `sets`, which are there.
pub fn load_beside(text: &str, sets: &BTreeSet<String>) -> Outcome {
    load(text, Some(sets))
}

fn load(text: &str, sets: Option<&BTreeSet<String>>) -> Outcome {
    let mut findings = Findings::default();
    let callers = raw::read(text, &mut findings).map(|raw| {
        if raw.callers.is_empty() && !raw.unread.has("callers") {
            let message = "no caller is listed: nobody could ask";
            let help = "begin each one with `[[callers]]`; to let everybody ask, remove the file \
                        and start Postern anew";
            findings.push(Finding::error("callers-none", 0..0, message).help(help));
        }
        let mut check = Check {
            findings: &mut findings,
            sets,
            names: HashMap::default(),
            ways: HashMap::default(),
        };
        let callers: Vec<_> = raw.callers.iter().map(|raw| check.caller(raw)).collect();
        Callers::new(callers)
    });
    Outcome {
        callers: callers.filter(|_| !findings.has_errors()),
        findings: findings.into_sorted(),
    }
}

/// Whether `text` is meant for a file of callers: it begins a caller, well or badly.
pub fn is_meant(text: &str) -> bool {
    let begins = |line: &str| {
        let header = line.strip_prefix("[[")?;
        let (name, _) = header.split_once("]]")?;
        (name.trim() == "callers").then_some(())
    };
    text.lines().any(|line| begins(line.trim_start()).is_some())
}

/// The hash of a token that is written, or a finding that says what to write.
pub(super) fn token_hash(entry: &At<String>, findings: &mut Findings) -> Option<TokenHash> {
    let hash = TokenHash::parse(&entry.value);
    if hash.is_none() {
        // Why the text is not shown: it may be a token that was written in place of its hash.
        let message = "this is no SHA-256 of a token: it has 64 hex digits";
        let help = "write the `token_sha256` that `postern token` prints for a new token, or \
                    `postern token --hash` for one that you have; never the token itself";
        findings.push(Finding::error("token-hash-bad", entry.span.clone(), message).help(help));
    }
    hash
}

/// What the checks of one file share.
#[derive(Debug)]
struct Check<'a> {
    findings: &'a mut Findings,
    /// The sets that are there, where that is known.
    sets: Option<&'a BTreeSet<String>>,
    names: HashMap<&'a str, Range<usize>, RandomState>,
    /// Each way by which a caller is known: its key and value, and where it stands.
    ways: HashMap<(&'static str, String), Range<usize>, RandomState>,
}

impl<'a> Check<'a> {
    fn caller(&mut self, raw: &'a At<RawCaller>) -> (Caller, Ways) {
        let At { value, span } = raw;
        let name = self.name(value, span);
        let ways = self.ways(value, span);
        let scope = self.scope(value, span);
        let may = self.may(value.may.as_ref());
        let rate = value
            .calls_per_second
            .as_ref()
            .and_then(|rate| self.rate(rate));
        let calls = value.calls.as_ref().and_then(|calls| self.calls(calls));
        let caller = Caller::new(name, scope, may, rate).with_calls(calls);
        (caller, ways)
    }

    fn name(&mut self, raw: &'a RawCaller, header: &Range<usize>) -> &'a str {
        let Some(At { value, span }) = &raw.name else {
            if !raw.unread.has("name") {
                self.findings.push(
                    Finding::error("name-missing", header.clone(), "the caller has no name").help(
                        "write `name = \"contoso-edge\"`, say: it stands in logs and metrics",
                    ),
                );
            }
            return "";
        };
        if !is_set_name(value) {
            let message = format!("`{}` cannot be the name of a caller", shown(value));
            let help = "a name has up to 63 of `a` to `z`, `0` to `9`, `.`, `_` and `-`, and begins \
                        with a letter or digit";
            self.findings
                .push(Finding::error("name-bad", span.clone(), message).help(help));
        } else if let Some(other) = self.names.insert(value, span.clone()) {
            let message = format!("two callers have the name `{value}`");
            self.findings.push(
                Finding::error("name-duplicate", span.clone(), message)
                    .label(other, "the other one")
                    .help("give each caller a name of its own: logs and metrics tell them apart by it"),
            );
        }
        value
    }

    fn ways(&mut self, raw: &RawCaller, header: &Range<usize>) -> Ways {
        let keys = ["certificate_names", "certificate_uris", "token_sha256"];
        let lists = [
            &raw.certificate_names,
            &raw.certificate_uris,
            &raw.token_sha256,
        ];
        let unread = keys.iter().any(|key| raw.unread.has(key));
        if !unread && lists.iter().all(|list| list.is_none()) {
            self.findings.push(
                Finding::error(
                    "caller-unknowable",
                    header.clone(),
                    "nothing tells who is this caller",
                )
                .help(
                    "write `certificate_names`, `certificate_uris` or `token_sha256`, which \
                         `postern token` makes",
                ),
            );
        }
        let [names, uris, tokens] = lists;
        Ways {
            certificate_names: self.list("certificate_names", names.as_ref(), |entry, findings| {
                certificate_name(entry, findings).map(|name| (name.clone(), name))
            }),
            certificate_uris: self.list("certificate_uris", uris.as_ref(), |entry, findings| {
                certificate_uri(entry, findings).map(|uri| (uri.clone(), uri))
            }),
            tokens: self.list("token_sha256", tokens.as_ref(), |entry, findings| {
                token_hash(entry, findings).map(|hash| (hash.to_string(), hash))
            }),
        }
    }

    /// What is listed under `key`; `read` gives the one spelling of an entry, and what it is.
    fn list<T>(
        &mut self,
        key: &'static str,
        list: Option<&At<Vec<At<String>>>>,
        read: impl Fn(&At<String>, &mut Findings) -> Option<(String, T)>,
    ) -> Vec<T> {
        let Some(list) = list else { return Vec::new() };
        self.not_empty(list);
        let mut taken = Vec::with_capacity(list.value.len());
        for entry in &list.value {
            let Some((spelling, value)) = read(entry, self.findings) else {
                continue;
            };
            taken.push(value);
            if let Some(other) = self.ways.insert((key, spelling), entry.span.clone()) {
                let message = format!("this stands twice among `{key}`");
                let help = "a caller must be known by it alone: remove one of the two";
                self.findings.push(
                    Finding::error("caller-ambiguous", entry.span.clone(), message)
                        .label(other, "the other one")
                        .help(help),
                );
            }
        }
        taken
    }

    fn scope(&mut self, raw: &RawCaller, header: &Range<usize>) -> Scope {
        let Some(list) = &raw.sets else {
            if !raw.unread.has("sets") {
                let message = "the caller may ask no connector set";
                let help = "write `sets = [\"contoso\"]` with the names of connector sets, or \
                            `sets = [\"*\"]` for every set";
                self.findings
                    .push(Finding::error("sets-missing", header.clone(), message).help(help));
            }
            return Scope::Sets(BTreeSet::default());
        };
        self.not_empty(list);
        if let [only] = &*list.value
            && only.value == "*"
        {
            return Scope::All;
        }
        let mut names = BTreeSet::new();
        for entry in &list.value {
            if entry.value == "*" {
                let message = "`*` stands beside names of sets";
                let help = "write `sets = [\"*\"]` for every set, or leave it out";
                self.findings.push(
                    Finding::error("sets-any-beside", entry.span.clone(), message).help(help),
                );
            } else if let Some(name) = name_of_set(entry, self.findings) {
                if self.sets.is_some_and(|sets| !sets.contains(&name)) {
                    let message = format!("there is no connector set `{name}`");
                    let help = "write the name of a file of the connectors' directory without \
                                `.toml`; until it is there, asking for it is PERMISSION_DENIED";
                    self.findings.push(
                        Finding::warning("set-unknown", entry.span.clone(), message).help(help),
                    );
                }
                names.insert(name.into_boxed_str());
            }
        }
        Scope::Sets(names)
    }

    fn may(&mut self, list: Option<&At<Vec<At<String>>>>) -> Rights {
        let Some(list) = list else {
            return Rights {
                check: true,
                explain: false,
            };
        };
        self.not_empty(list);
        let mut rights = Rights::default();
        for entry in &list.value {
            match entry.value.as_str() {
                "check" => rights.check = true,
                "explain" => rights.explain = true,
                other => {
                    let message = format!("a caller cannot be allowed to `{}`", shown(other));
                    let help =
                        "write `\"check\"` for decisions, `\"explain\"` for how they come about";
                    let finding = Finding::error("right-unknown", entry.span.clone(), message);
                    self.findings.push(finding.help(help));
                }
            }
        }
        rights
    }

    fn rate(&mut self, rate: &At<i64>) -> Option<u32> {
        let calls = u32::try_from(rate.value)
            .ok()
            .filter(|calls| (1..=MOST_CALLS).contains(calls));
        if calls.is_none() {
            let message = format!("`calls_per_second` must be from 1 to {MOST_CALLS}");
            let help = "write how many questions it may ask in a second, as in `calls_per_second = \
                        2000`, or remove the line";
            self.findings
                .push(Finding::error("rate-bad", rate.span.clone(), message).help(help));
        }
        calls
    }

    fn calls(&mut self, calls: &At<i64>) -> Option<usize> {
        let most = usize::try_from(calls.value)
            .ok()
            .filter(|calls| (1..=MOST_IN_FLIGHT).contains(calls));
        if most.is_none() {
            let message = format!("`calls` must be from 1 to {MOST_IN_FLIGHT}");
            let help = "write how many calls it may have in flight, as in `calls = 500`, or remove \
                        the line";
            self.findings
                .push(Finding::error("calls-bad", calls.span.clone(), message).help(help));
        }
        most
    }

    fn not_empty<T>(&mut self, list: &At<Vec<T>>) {
        if list.value.is_empty() {
            let finding = Finding::error("list-empty", list.span.clone(), "the list is empty");
            self.findings
                .push(finding.help("list at least one entry, or remove the key"));
        }
    }
}

/// The name of a host in the one spelling that it is compared in.
fn certificate_name(entry: &At<String>, findings: &mut Findings) -> Option<String> {
    let name: Result<Domain, _> = entry.value.parse();
    let finding = match name {
        Ok(name) => return Some(name.as_str().to_owned()),
        Err(_) if entry.value.contains('*') => {
            let message = format!("`{}` stands for many names", shown(&entry.value));
            Finding::error("certificate-name-bad", entry.span.clone(), message)
                .help("a caller is known by whole names: list each one")
        }
        Err(error) => Finding::error(
            "certificate-name-bad",
            entry.span.clone(),
            error.to_string(),
        )
        .help("write a dNSName of its certificate, as in `\"mx1.contoso.com\"`"),
    };
    findings.push(finding);
    None
}

/// A URI as it is compared: as it is written.
fn certificate_uri(entry: &At<String>, findings: &mut Findings) -> Option<String> {
    let uri = &entry.value;
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let letter = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let fault = if !letter || !scheme.chars().all(plain) || uri.len() <= scheme.len() + 1 {
        "is no URI: it begins with a scheme and `:`"
    } else if !uri.chars().all(|c| c.is_ascii_graphic()) {
        "has a blank, or a character outside of ASCII"
    } else if uri.contains('*') {
        "stands for many URIs: a caller is known by whole ones"
    } else {
        return Some(uri.clone());
    };
    let message = format!("`{}` {fault}", shown(uri));
    let help = "write a URI as its certificate has it, as in \
                `\"spiffe://contoso.com/ns/mail/sa/gateway\"`";
    findings.push(Finding::error("certificate-uri-bad", entry.span.clone(), message).help(help));
    None
}

/// As many as can be told apart by the nanosecond well enough.
const MOST_CALLS: u32 = 1_000_000;

/// As many as `calls` in `[server.limits]` can be.
const MOST_IN_FLIGHT: usize = 10_000_000;

#[cfg(test)]
mod tests;
