//! Single values: words, patterns, networks, certificates, texts.

use std::{ops::Range, str::FromStr};

use super::{
    super::{
        finding::{Finding, Findings},
        table::At,
        words::shown,
    },
    PATTERN_HELP,
};
use crate::{
    mail::{
        CertificateName, Domain, DomainPattern, DomainTable, Fingerprint, HostBits, Network,
        NetworkTable, TlsVersion,
    },
    policy::{
        connector::{Host, Mode, ReplyRule, SmartHost, Written},
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

pub(super) fn level(written: &At<String>, findings: &mut Findings) -> Option<TlsLevel> {
    let known = [
        TlsLevel::Opportunistic,
        TlsLevel::Encrypt,
        TlsLevel::Trusted,
        TlsLevel::Domain,
    ]
    .map(|level| (level.as_str(), level));
    let foreign: &[Foreign] = &[
        ("may", "opportunistic"),
        ("none", "opportunistic"),
        ("optional", "opportunistic"),
        ("disabled", "opportunistic"),
        ("require", "encrypt"),
        ("required", "encrypt"),
        ("mandatory", "encrypt"),
        ("true", "encrypt"),
        ("starttls", "encrypt"),
        ("encryptiononly", "encrypt"),
        ("certificatevalidation", "trusted"),
        ("verify", "domain"),
        ("secure", "domain"),
        ("domainvalidation", "domain"),
    ];
    word(written, "level-unknown", "level", &known, foreign, findings)
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
        .find(|(word, _)| *word == folded)
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
fn list<T>(
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
    let help = format!("{PATTERN_HELP}, `*` for everything");
    let (patterns, spans) = list(written, whole, findings, |entry, findings| {
        findings.keep_with_help(entry, "pattern-bad", &help, entry.value.parse())
    });
    covered_patterns(&patterns, &spans, findings);
    (patterns, spans)
}

/// Points out patterns of one list of which one does nothing beside another.
pub(super) fn covered_patterns(
    patterns: &[Written<DomainPattern>],
    spans: &[Range<usize>],
    findings: &mut Findings,
) {
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
            covered(&pattern.text, &wider.text, here, there, findings);
        }
    }
}

pub(super) fn networks(
    written: &At<Vec<At<String>>>,
    whole: bool,
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
            covered(&network.text, &wider.text, here, there, findings);
        }
    }
    (networks, spans)
}

fn twice(here: &Range<usize>, there: &Range<usize>, findings: &mut Findings) {
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
    text: &str,
    wider: &str,
    here: &Range<usize>,
    there: &Range<usize>,
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
            .help("remove the narrower one: it changes nothing"),
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
        let as_patterns: Vec<_> = listed
            .iter()
            .filter_map(|name| {
                Some(Written {
                    value: name.text.parse().ok()?,
                    text: name.text.clone(),
                })
            })
            .collect();
        if as_patterns.len() == listed.len() {
            covered_patterns(&as_patterns, &spans, findings);
        }
        once(listed)
    });
    let fingerprints = fingerprints.map_or_else(Vec::new, |fingerprints| {
        let (listed, _) = list(
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
        once(listed)
    });
    CertificateDemand {
        names,
        fingerprints,
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

pub(super) fn smart_hosts(
    written: &At<Vec<At<String>>>,
    whole: bool,
    findings: &mut Findings,
) -> Vec<Written<SmartHost>> {
    let (listed, spans) = list(written, whole, findings, |entry, findings| {
        let help = "write a host name or an address, with a port if it is not 25: \
                    `\"mail.contosobank.com\"`, `\"192.0.2.7:2525\"`, `\"[2001:db8::7]:2525\"`";
        findings.keep_with_help(entry, "smart-host-bad", help, smart_host(&entry.value))
    });
    let mut kept: Vec<Written<SmartHost>> = Vec::with_capacity(listed.len());
    for (written, span) in listed.into_iter().zip(spans) {
        if kept.iter().any(|kept| kept.value == written.value) {
            findings.push(
                Finding::warning(
                    "pattern-twice",
                    span,
                    "this next hop stands in the list already",
                )
                .help("remove one of the two"),
            );
        } else {
            kept.push(written);
        }
    }
    kept
}

/// Reads a host name, an IPv4 address, or an IPv6 address (in brackets, or bare without a port),
/// with a port behind `:`.
fn smart_host(text: &str) -> Result<SmartHost, String> {
    let quoted = || format!("`{}`", shown(text));
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest
            .split_once(']')
            .ok_or_else(|| format!("{} has no `]` behind its address", quoted()))?;
        let address: std::net::Ipv6Addr = address.parse().map_err(|_| {
            format!(
                "in brackets stands an IPv6 address, and {} has none",
                quoted()
            )
        })?;
        let port = match port.strip_prefix(':') {
            Some(port) => self::port(port).ok_or_else(|| bad_port(port))?,
            None if port.is_empty() => SMTP,
            None => return Err(format!("behind the `]` of {} stands no port", quoted())),
        };
        return Ok(SmartHost {
            host: Host::Address(std::net::IpAddr::from(address).to_canonical()),
            port,
        });
    }
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(SmartHost {
            host: Host::Address(std::net::IpAddr::from(address).to_canonical()),
            port: SMTP,
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err(format!(
                "{} is no IPv6 address; one with a port stands in brackets",
                quoted()
            ));
        }
        Some((host, port)) => (host, self::port(port).ok_or_else(|| bad_port(port))?),
        None => (text, SMTP),
    };
    if let Ok(address) = host.parse::<std::net::Ipv4Addr>() {
        return Ok(SmartHost {
            host: Host::Address(address.into()),
            port,
        });
    }
    let name = Domain::from_str(host).map_err(|error| error.to_string())?;
    // Why: such a name cannot exist (RFC 3696 section 2); it is an address with a slip in it.
    let top = name.as_str().rsplit('.').next().unwrap_or_default();
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{} is neither a host name nor an IPv4 address",
            quoted()
        ));
    }
    Ok(SmartHost {
        host: Host::Name(name),
        port,
    })
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn bad_port(text: &str) -> String {
    format!("`{}` is no port: a port is 1 to 65535", shown(text))
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
        let fault = if text.value.is_empty() || text.value.len() > REPLY_OCTETS {
            Some("a reply text has 1 to 200 characters")
        } else if !text
            .value
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        {
            Some("a reply text is one line of printable ASCII")
        } else if text.value.contains(['{', '}']) {
            Some("a reply text holds no braces: they are kept for later")
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

const SMTP: u16 = 25;
const REPLY_OCTETS: usize = 200;
