//! Domains, patterns, envelope addresses, networks, certificate names, fingerprints and TLS
//! versions, read as "Names and addresses" says.

use std::net::IpAddr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use ipnet::IpNet;

/// A domain pattern, canonical.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pattern {
    /// "`contoso.com` is that domain alone"
    Exact(String),
    /// "`*.contoso.com` is that domain **and** every domain below it"
    Below(String),
    /// "`*` is everything, mail without a domain included"
    Everything,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everything);
        }
        match text.strip_prefix("*.") {
            Some(base) => domain(base).map(Self::Below),
            None => domain(text).map(Self::Exact),
        }
    }

    pub(crate) fn covers(&self, domain: Option<&str>) -> bool {
        match (self, domain) {
            (Self::Everything, _) => true,
            (_, None) => false,
            (Self::Exact(exact), Some(domain)) => exact == domain,
            (Self::Below(base), Some(domain)) => is_or_below(domain, base),
        }
    }

    /// "the exact domain; then wildcards, the longest first; then `*`": the greater, the more
    /// specific.
    pub(crate) fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (3, 0),
            Self::Below(base) => (2, base.len()),
            Self::Everything => (1, 0),
        }
    }

    /// The one spelling of it.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Exact(domain) => domain.clone(),
            Self::Below(base) => format!("*.{base}"),
            Self::Everything => "*".into(),
        }
    }
}

/// What an envelope address says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Envelope {
    Domain(String),
    Malformed,
    /// "Without a domain, so that only `*` and address connectors match"
    NoDomain,
}

impl Envelope {
    /// Reads `mail_from`.
    pub(crate) fn sender(text: &str) -> Self {
        let text = without_brackets(text);
        // "the null reverse-path (`mail_from` alone)"
        if text.is_empty() {
            Self::NoDomain
        } else {
            Self::mailbox(text)
        }
    }

    /// Reads `rcpt_to` of an inbound question, where it is given.
    pub(crate) fn recipient(text: &str) -> Self {
        Self::mailbox(without_brackets(text))
    }

    /// Reads `rcpt_to` of an outbound question.
    pub(crate) fn next_recipient(text: &str) -> Self {
        let bare = without_brackets(text);
        // "In an outbound check `rcpt_to` may be a bare domain."
        match (Self::mailbox(bare), domain(bare)) {
            (Self::Malformed, Some(domain)) if !bare.contains('@') => Self::Domain(domain),
            (read, _) => read,
        }
    }

    pub(crate) fn domain(&self) -> Option<&str> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Malformed | Self::NoDomain => None,
        }
    }

    fn mailbox(text: &str) -> Self {
        // "and `postmaster` by itself, in any case"
        if text.eq_ignore_ascii_case("postmaster") {
            return Self::NoDomain;
        }
        // "What follows the last `@` is the domain; what precedes it is not looked at."
        let Some((_, host)) = text.rsplit_once('@') else {
            return Self::Malformed;
        };
        // "an address literal (`a@[192.0.2.1]`, from `[` to `]`, what is between is not looked at)"
        if host
            .strip_prefix('[')
            .is_some_and(|rest| rest.ends_with(']'))
        {
            return Self::NoDomain;
        }
        domain(host).map_or(Self::Malformed, Self::Domain)
    }
}

/// A domain in its one spelling, or none where it is malformed.
pub(crate) fn domain(text: &str) -> Option<String> {
    // "Ideographic dots count as dots; then one trailing dot is dropped."
    let text = text.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    let text = text.strip_suffix('.').unwrap_or(&text);
    let labels: Option<Vec<String>> = text.split('.').map(label).collect();
    let name = labels?.join(".");
    // "and the name at most 253 octets"
    (name.len() <= 253).then_some(name)
}

fn label(text: &str) -> Option<String> {
    let ascii = if text.is_ascii() {
        // "A label that is all ASCII is lower-cased and otherwise kept"
        text.to_ascii_lowercase()
    } else {
        // "one that is not all ASCII and begins with `xn--` after mapping is malformed": behind
        // another letter the mapped label is not taken for an A-label, and stays to be seen.
        let behind_a = format!("a{text}");
        let (mapped, _) =
            UTS46.to_unicode(behind_a.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        if mapped.starts_with("axn--") {
            return None;
        }
        // "UTS 46 ToASCII, non-transitional, CheckBidi and CheckJoiners on, CheckHyphens and STD3
        // rules off, each label judged by itself"
        UTS46
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::EMPTY,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .ok()?
            .into_owned()
    };
    // "After that a label holds only letters, digits, `-` and `_`, 1 to 63 of them"
    let good = (1..=63).contains(&ascii.len())
        && ascii
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    good.then_some(ascii)
}

/// A network of the configuration, masked.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    // "A network is an address, or an address with a decimal prefix"
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let network = match address.parse().ok()? {
        IpAddr::V4(v4) => IpNet::new(v4.into(), prefix.unwrap_or(32)),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            // "An IPv4-mapped IPv6 address is its IPv4 address"; "a mapped address with a prefix
            // below 96, is an error"
            Some(v4) => IpNet::new(v4.into(), prefix.unwrap_or(128).checked_sub(96)?),
            None => IpNet::new(v6.into(), prefix.unwrap_or(128)),
        },
    };
    // "host bits are masked"
    network.ok().map(|network| network.trunc())
}

/// An address among the facts, or none where it is not one.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    // "an IPv6 zone is dropped from a fact"
    let bare = match text.split_once('%') {
        Some((bare, _)) if bare.contains(':') => bare,
        _ => text,
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

/// Whether a presented certificate name is one that `configured` asks for.
pub(crate) fn certificate_name_matches(configured: &Pattern, presented: &str) -> bool {
    let (wildcard, name) = match presented.strip_prefix("*.") {
        Some(base) => (true, domain(base)),
        None => (false, domain(presented)),
    };
    // "A presented name that is malformed matches nothing."
    let Some(name) = name else {
        return false;
    };
    match configured {
        // "Configured `mail.x.com` matches presented `mail.x.com`"
        Pattern::Exact(exact) if !wildcard => *exact == name,
        // "and presented `*.x.com` (the whole left-most label, exactly one label, at least two
        // labels behind it)"
        Pattern::Exact(exact) => {
            name.contains('.') && exact.split_once('.').is_some_and(|(_, rest)| rest == name)
        }
        // "Configured `*.x.com` matches a presented name that is `x.com` or lies below it, and
        // presented `*.n` where `n` is `x.com` or lies below it"
        Pattern::Below(base) => is_or_below(&name, base),
        Pattern::Everything => false,
    }
}

/// "64 hex digits, colons and case ignored; anything else counts as unknown"
pub(crate) fn fingerprint(text: &str) -> Option<String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    (digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit())).then_some(digits)
}

/// A TLS version in its canonical spelling, with its rank: "SSLv3 < 1.0 < 1.1 < 1.2 < 1.3;
/// unknown ones are lower than all" (none is less than some).
pub(crate) fn version(text: &str) -> Option<(u8, &'static str)> {
    let text = text.to_ascii_lowercase();
    // "Written `SSLv3`, or `TLS` or `TLSv` or nothing"
    if text == "sslv3" {
        return Some((0, "SSLv3"));
    }
    let rest = text
        .strip_prefix("tlsv")
        .or(text.strip_prefix("tls"))
        .unwrap_or(&text);
    // "an optional blank or `_`"
    let rest = rest.strip_prefix([' ', '_']).unwrap_or(rest);
    // "then `1`, `1.0` … `1.3` with `.` or `_`"
    match rest {
        "1" | "1.0" | "1_0" => Some((1, "TLSv1")),
        "1.1" | "1_1" => Some((2, "TLSv1.1")),
        "1.2" | "1_2" => Some((3, "TLSv1.2")),
        "1.3" | "1_3" => Some((4, "TLSv1.3")),
        _ => None,
    }
}

/// A smart host: its name or address in canonical spelling, and its port.
pub(crate) fn smart_host(text: &str) -> Option<(String, u16)> {
    // "a host name, an IPv4 address, or an IPv6 address (in brackets, or bare without a port)"
    if let Ok(bare) = text.parse::<IpAddr>() {
        return Some((bare.to_canonical().to_string(), 25));
    }
    if let Some((inside, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let address: std::net::Ipv6Addr = inside.parse().ok()?;
        let port = if rest.is_empty() {
            25
        } else {
            port(rest.strip_prefix(':')?)?
        };
        return Some((IpAddr::V6(address).to_canonical().to_string(), port));
    }
    // "then optionally `:` and a port 1 to 65535, 25 if missing"
    let (host, port) = match text.split_once(':') {
        Some((host, number)) => (host, port(number)?),
        None => (text, 25),
    };
    Some((host_name(host)?, port))
}

/// A host name or an address without brackets and port, canonical.
pub(crate) fn host_name(text: &str) -> Option<String> {
    address(text)
        .map(|address| address.to_string())
        .or_else(|| domain(text))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port > 0)
}

fn is_or_below(domain: &str, base: &str) -> bool {
    domain == base
        || domain
            .strip_suffix(base)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn without_brackets(text: &str) -> &str {
    // "Nothing is trimmed; one pair of `<` and `>` around the whole is removed."
    text.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(text)
}

const UTS46: Uts46 = Uts46::new();
