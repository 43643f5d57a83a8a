//! Single values: words, patterns, networks, certificates, texts.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use super::{
    super::{
        finding::{Finding, Findings},
        table::At,
        words::shown,
    },
    ANY_PATTERN_HELP, taken,
};
use crate::{
    mail::{
        CertificateName, Domain, DomainPattern, DomainTable, Fingerprint, HostBits, Network,
        NetworkTable, TlsVersion,
    },
    policy::{
        connector::{Mode, ReplyRule, Spelled, Written},
        decision::Action,
        requirement::{CertificateDemand, TlsLevel},
    },
};

/// A word that a key can have, and what it means.
type Known<T> = (&'static str, T);
/// A word of another system, and the one that was likely meant.
type Foreign = (&'static str, &'static str);

pub(super) fn mode(written: &At<String>, findings: &mut Findings) -> Option<Mode> {
    let known = [Mode::Enforce, Mode::Report, Mode::Off].map(|mode| (mode.as_str(), mode));
    let foreign: &[Foreign] = &[
        ("enabled", "enforce"),
        ("on", "enforce"),
        ("true", "enforce"),
        ("audit", "report"),
        ("test", "report"),
        ("testmode", "report"),
        ("monitor", "report"),
        ("warn", "report"),
        ("disabled", "off"),
        ("false", "off"),
        ("none", "off"),
    ];
    word(written, "mode-unknown", "mode", &known, foreign, findings)
}

/// The level of an inbound connector: one that only outbound ones have is known, too, for the
/// caller to explain.
pub(super) fn inbound_level(written: &At<String>, findings: &mut Findings) -> Option<TlsLevel> {
    let outbound = [TlsLevel::Trusted, TlsLevel::Domain];
    let outbound = outbound
        .into_iter()
        .find(|level| written.value == level.as_str());
    let known = [TlsLevel::Opportunistic, TlsLevel::Encrypt].map(|level| (level.as_str(), level));
    outbound.or_else(|| word(written, "level-unknown", "level", &known, LEVELS, findings))
}

/// The level of an outbound connector.
pub(super) fn level(written: &At<String>, findings: &mut Findings) -> Option<TlsLevel> {
    let known = [
        TlsLevel::Opportunistic,
        TlsLevel::Encrypt,
        TlsLevel::Trusted,
        TlsLevel::Domain,
    ]
    .map(|level| (level.as_str(), level));
    word(written, "level-unknown", "level", &known, LEVELS, findings)
}

pub(super) fn action(written: Option<&At<String>>, findings: &mut Findings) -> Option<Action> {
    let known = [Action::Reject, Action::Defer].map(|action| (action.as_str(), action));
    let foreign: &[Foreign] = &[
        ("deny", "reject"),
        ("refuse", "reject"),
        ("bounce", "reject"),
        ("tempfail", "defer"),
        ("retry", "defer"),
        ("softfail", "defer"),
        ("queue", "defer"),
    ];
    word(
        written?,
        "action-unknown",
        "action",
        &known,
        foreign,
        findings,
    )
}

/// What an entry does beside a wider one in its list.
#[derive(Clone, Copy)]
pub(super) enum Narrower {
    /// Nothing: the list says only what is among it.
    ChangesNothing,
    /// It may put its connector before others: the most specific pattern comes first.
    OrdersConnectors,
}

/// What `written` means, or a finding that names the words there are.
pub(super) fn word<T: Copy>(
    written: &At<String>,
    code: &'static str,
    what: &str,
    known: &[Known<T>],
    foreign: &[Foreign],
    findings: &mut Findings,
) -> Option<T> {
    let text = written.value.as_str();
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let folded: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let meant = foreign
        .iter()
        .find(|(word, ours)| *word == folded && known.iter().any(|(word, _)| word == ours))
        .map(|(_, ours)| *ours)
        .or_else(|| {
            let near = known
                .iter()
                .map(|(word, _)| (strsim::damerau_levenshtein(&folded, word), *word));
            near.filter(|(distance, _)| *distance <= 2)
                .min()
                .map(|(_, word)| word)
        });
    let words: Vec<_> = known
        .iter()
        .map(|(word, _)| format!("`\"{word}\"`"))
        .collect();
    let words = words.join(", ");
    let help = meant.map_or_else(
        || format!("write one of {words}"),
        |meant| format!("did you mean `\"{meant}\"`? the words are {words}"),
    );
    let message = format!("`{}` is no {what}", shown(text));
    findings.push(Finding::error(code, written.span.clone(), message).help(help));
    None
}

/// A list that is not empty, each entry read by `read`; the places of those that are good.
pub(super) fn list<T: Spelled>(
    list: &At<Vec<At<String>>>,
    whole: bool,
    findings: &mut Findings,
    mut read: impl FnMut(&At<String>, &mut Findings) -> Option<T>,
) -> (Vec<Written<T>>, Vec<Range<usize>>) {
    if list.value.is_empty() && whole {
        findings.push(
            Finding::error("list-empty", list.span.clone(), "the list is empty")
                .help("list at least one entry, or remove the key"),
        );
    }
    list.value
        .iter()
        .filter_map(|entry| {
            let value = read(entry, findings)?;
            Some((Written::new(value, &entry.value), entry.span.clone()))
        })
        .unzip()
}

pub(super) fn patterns(
    written: &At<Vec<At<String>>>,
    whole: bool,
    findings: &mut Findings,
) -> (Vec<Written<DomainPattern>>, Vec<Range<usize>>) {
    let (patterns, spans) = list(written, whole, findings, |entry, findings| {
        findings.keep_with_help(entry, "pattern-bad", ANY_PATTERN_HELP, entry.value.parse())
    });
    covered_patterns(&patterns, &spans, Narrower::OrdersConnectors, findings);
    (patterns, spans)
}

/// Points out patterns of one list that are equal, or covered by a wider one.
pub(super) fn covered_patterns(
    patterns: &[Written<DomainPattern>],
    spans: &[Range<usize>],
    counts: Narrower,
    findings: &mut Findings,
) {
    if patterns.len() < 2 {
        return;
    }
    let mut table: DomainTable<usize> = DomainTable::default();
    for (at, pattern) in patterns.iter().enumerate() {
        let taken = table.slot(&pattern.value).get_or_insert(at);
        if let (true, Some(here), Some(there)) = (*taken != at, spans.get(at), spans.get(*taken)) {
            twice(here, there, findings);
        }
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let wider = table
            .parent(&pattern.value)
            .copied()
            .filter(|&wider| wider != at);
        let Some((wider, there)) =
            wider.and_then(|wider| patterns.get(wider).zip(spans.get(wider)))
        else {
            continue;
        };
        if let Some(here) = spans.get(at) {
            covered(
                [pattern.text(), wider.text()],
                here,
                there,
                counts,
                findings,
            );
        }
    }
}

pub(super) fn networks(
    written: &At<Vec<At<String>>>,
    whole: bool,
    counts: Narrower,
    findings: &mut Findings,
) -> (Vec<Written<Network>>, Vec<Range<usize>>) {
    let (networks, spans) = list(written, whole, findings, |entry, findings| {
        let help =
            "write an address or a network, as in `\"203.0.113.0/24\"` or `\"2001:db8:7::/48\"`";
        let read = Network::parse(&entry.value);
        let (network, bits) = findings.keep_with_help(entry, "network-bad", help, read)?;
        if bits == HostBits::Masked {
            let message = format!(
                "`{}` has host bits, and is taken for {network}",
                shown(&entry.value)
            );
            findings.push(
                Finding::warning("network-masked", entry.span.clone(), message).help(format!(
                    "write `\"{network}\"`, or the address alone if only it is meant"
                )),
            );
        }
        let shortest = if network.is_ipv4() { 8 } else { 16 };
        if network.prefix_len() < shortest {
            let message = format!("{network} is a very wide network");
            findings.push(
                Finding::warning("network-wide", entry.span.clone(), message).help(
                    "list the partner's own networks: whoever is in this one counts as the partner",
                ),
            );
        }
        Some(network)
    });
    if networks.len() < 2 {
        return (networks, spans);
    }
    let mut table: NetworkTable<usize> = NetworkTable::new();
    for (at, network) in networks.iter().enumerate() {
        match table.get(&network.value) {
            Some(&first) => {
                if let (Some(here), Some(there)) = (spans.get(at), spans.get(first)) {
                    twice(here, there, findings);
                }
            }
            None => drop(table.insert(network.value, at)),
        }
    }
    for (at, network) in networks.iter().enumerate() {
        let wider = table.parent(network.value).copied();
        let Some((wider, there)) =
            wider.and_then(|wider| networks.get(wider).zip(spans.get(wider)))
        else {
            continue;
        };
        if let Some(here) = spans.get(at) {
            covered(
                [network.text(), wider.text()],
                here,
                there,
                counts,
                findings,
            );
        }
    }
    (networks, spans)
}

/// Points out an entry that is equal to an earlier one of its list.
pub(super) fn twice(here: &Range<usize>, there: &Range<usize>, findings: &mut Findings) {
    findings.push(
        Finding::warning(
            "pattern-twice",
            here.clone(),
            "this stands in the list already",
        )
        .label(there.clone(), "here")
        .help("remove one of the two"),
    );
}

fn covered(
    [text, wider]: [&str; 2],
    here: &Range<usize>,
    there: &Range<usize>,
    counts: Narrower,
    findings: &mut Findings,
) {
    let message = format!(
        "`{}` is covered by `{}` beside it",
        shown(text),
        shown(wider)
    );
    findings.push(
        Finding::warning("pattern-covered", here.clone(), message)
            .label(there.clone(), "the wider one")
            .help(match counts {
                Narrower::ChangesNothing => "remove the narrower one: it changes nothing",
                Narrower::OrdersConnectors => {
                    "remove the narrower one, unless it is to put this connector before another one \
                     whose pattern lies between the two"
                }
            }),
    );
}

/// The certificates of a `require` table; empty where it lists none.
pub(super) fn certificates(
    names: Option<&At<Vec<At<String>>>>,
    fingerprints: Option<&At<Vec<At<String>>>>,
    whole: [bool; 2],
    findings: &mut Findings,
) -> CertificateDemand {
    let [whole_names, whole_fingerprints] = whole;
    let names = names.map_or_else(Vec::new, |names| {
        let (listed, spans) = list(names, whole_names, findings, |entry, findings| {
            let help = "write a name as certificates bear it, as in `\"mail.contosobank.com\"`, or \
                        `\"*.contosobank.com\"` for it and all names below it";
            let name: Option<CertificateName> =
                findings.keep_with_help(entry, "certificate-name-bad", help, entry.value.parse());
            if let Some(base) = name.as_ref().and_then(CertificateName::wildcard_base) {
                public_suffix(base, entry, findings);
            }
            name
        });
        if listed.len() < 2 {
            return listed;
        }
        let as_patterns: Vec<_> = listed
            .iter()
            .filter_map(|name| {
                let text = name.text();
                Some(Written::new(text.parse().ok()?, text))
            })
            .collect();
        if as_patterns.len() == listed.len() {
            covered_patterns(&as_patterns, &spans, Narrower::ChangesNothing, findings);
        }
        once(listed)
    });
    let fingerprints = fingerprints.map_or_else(Vec::new, |fingerprints| {
        let (listed, spans) = list(
            fingerprints,
            whole_fingerprints,
            findings,
            |entry, findings| {
                let help = "write the 64 hex digits of the SHA-256, with or without colons, as \
                        `openssl x509 -noout -fingerprint -sha256` prints them";
                findings.keep_with_help::<Fingerprint, _>(
                    entry,
                    "fingerprint-bad",
                    help,
                    entry.value.parse(),
                )
            },
        );
        let mut first: HashMap<Fingerprint, &Range<usize>, RandomState> = HashMap::default();
        for (fingerprint, here) in listed.iter().zip(&spans) {
            if let Some(there) = taken(&mut first, fingerprint.value, here) {
                twice(here, there, findings);
            }
        }
        once(listed)
    });
    CertificateDemand {
        names: names.into(),
        fingerprints: fingerprints.into(),
    }
}

fn public_suffix(base: &Domain, entry: &At<String>, findings: &mut Findings) {
    let suffix = psl::suffix(base.as_str().as_bytes());
    if suffix
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == base.as_str().as_bytes())
    {
        let message =
            format!("under `{base}` anybody can register a name, and get a certificate for it");
        findings.push(
            Finding::warning("certificate-public-suffix", entry.span.clone(), message)
                .help("name the partner's own domain behind the `*`"),
        );
    }
}

/// The first written of those that are equal.
pub(super) fn once<T: PartialEq + Clone + Ord>(listed: Vec<Written<T>>) -> Vec<Written<T>> {
    if listed.len() < 2 {
        return listed;
    }
    let mut seen = std::collections::BTreeSet::new();
    listed
        .into_iter()
        .filter(|written| seen.insert(written.value.clone()))
        .collect()
}

pub(super) fn version(
    written: Option<&At<String>>,
    findings: &mut Findings,
) -> Option<Written<TlsVersion>> {
    let written = written?;
    let help = "write `\"TLSv1.2\"` or `\"TLSv1.3\"`";
    let version = findings.keep_with_help(written, "version-bad", help, written.value.parse())?;
    Some(Written::new(version, &written.value))
}

/// What to say to the peer, where `action` is what happens unless written otherwise.
pub(super) fn reply(
    action: Option<&At<String>>,
    text: Option<&At<String>>,
    default: Action,
    findings: &mut Findings,
) -> ReplyRule {
    let action = self::action(action, findings).unwrap_or(default);
    let text = text.map(|text| {
        let length = text.value.chars().count();
        let printable = |byte| byte == b' ' || u8::is_ascii_graphic(&byte);
        let fault = if text.value.is_empty() {
            Some("a reply text cannot be empty".to_owned())
        } else if !text.value.bytes().all(printable) {
            Some("a reply text is one line of printable ASCII".to_owned())
        } else if length > REPLY_CHARACTERS {
            Some(format!(
                "a reply text has at most 200 characters, and this one {length}"
            ))
        } else if text.value.contains(['{', '}']) {
            Some("a reply text holds no braces: they are kept for later".to_owned())
        } else {
            None
        };
        if let Some(fault) = fault {
            let help =
                "write a short sentence in plain ASCII; the codes before it are set by the reason";
            findings.push(Finding::error("text-bad", text.span.clone(), fault).help(help));
        }
        text.value.as_str().into()
    });
    ReplyRule { action, text }
}

/// What others call the levels.
const LEVELS: &[Foreign] = &[
    ("may", "opportunistic"),
    ("none", "opportunistic"),
    ("optional", "opportunistic"),
    ("disabled", "opportunistic"),
    ("no", "opportunistic"),
    ("always", "encrypt"),
    ("require", "encrypt"),
    ("required", "encrypt"),
    ("mandatory", "encrypt"),
    ("true", "encrypt"),
    ("yes", "encrypt"),
    ("starttls", "encrypt"),
    ("encryptiononly", "encrypt"),
    ("certificatevalidation", "trusted"),
    ("verify", "domain"),
    ("secure", "domain"),
    ("domainvalidation", "domain"),
];
const REPLY_CHARACTERS: usize = 200;
