//! Names, domains, networks and fingerprints of partners, each from its number.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::random::{below, mix, number, wide, word};

/// The domains that the organization receives mail for; wildcards cover those below.
pub(crate) const ACCEPTED: [&str; 6] = [
    "*.contoso.com",
    "fabrikam.com",
    "*.northwindtraders.com",
    "tailspintoys.com",
    "wingtip.co.uk",
    "woodgrove.example",
];

/// Recipient domains that mail is asked for.
pub(crate) const RECIPIENTS: [&str; 9] = [
    "contoso.com",
    "sales.contoso.com",
    "hr.contoso.com",
    "legal.emea.contoso.com",
    "fabrikam.com",
    "mail.northwindtraders.com",
    "tailspintoys.com",
    "wingtip.co.uk",
    "woodgrove.example",
];

/// The name of the connector `at`: `Adatum-Bank-00042`.
pub(crate) fn connector(at: usize) -> String {
    let (first, second) = words(at);
    format!("{}-{}-{at:05}", capital(first), capital(second))
}

/// The registered domain of the partner of the connector `at`; no two have the same.
pub(crate) fn domain(at: usize) -> String {
    let (first, second) = words(at);
    let suffix = word("suffix", at, &SUFFIXES);
    match below("form", at, 4) {
        0 => format!("{first}{at}.{suffix}"),
        1 => format!("{first}-{second}-{at}.{suffix}"),
        2 => format!("{first}{second}{at}.{suffix}"),
        _ => format!("{second}.{first}-{at}.{suffix}"),
    }
}

/// A label for something below a domain.
pub(crate) fn label(at: usize) -> &'static str {
    word("label", at, &LABELS)
}

/// The local part of an address.
pub(crate) fn local(at: usize) -> String {
    format!("{}.{}", word("given", at, &PEOPLE), at % 997)
}

fn words(at: usize) -> (&'static str, &'static str) {
    (word("first", at, &FIRST), word("second", at, &SECOND))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// 64 hex digits: the fingerprint of the certificate number `at`.
pub(crate) fn fingerprint(at: usize) -> String {
    let mut seed = number("fingerprint", at);
    let parts = std::iter::repeat_with(|| {
        seed = mix(seed);
        format!("{seed:016x}")
    });
    parts.take(4).collect()
}

/// A network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Network {
    V4 { base: u32, prefix: u32 },
    V6 { base: u128, prefix: u32 },
}

impl Network {
    /// The client network number `at`: no two have an address in common.
    pub(crate) fn of_partner(at: usize, six: bool) -> Self {
        if six {
            let base = (0x2001_0db8_u128 << 96) | (u128::from(wide(at)) << 72);
            return Self::V6 { base, prefix: 56 };
        }
        // Each lies in a /20 of its own below 192.0.0.0, in an order that looks random.
        let place = (wide(at) * 611_953) % V4_PLACES;
        let prefix = match below("prefix", at, 10) {
            0 => 20,
            1 => 22,
            2 | 3 => 24,
            4 => 26,
            5 | 6 => 28,
            7 => 29,
            _ => 32,
        };
        let base = low(((place + V4_FIRST) << 12) | (number("host", at) & 0xfff));
        Self::V4 {
            base: masked(base, prefix),
            prefix,
        }
    }

    /// The network number `at` of those that hold many others: a /14.
    pub(crate) fn of_provider(at: usize) -> Self {
        let place = (wide(at) * 7_919) % (V4_PLACES >> 6);
        let base = low((place + (V4_FIRST >> 6)) << 18);
        Self::V4 { base, prefix: 14 }
    }

    /// A network inside it: at most 16 addresses, or an IPv6 /64.
    pub(crate) fn within(self, at: usize) -> Self {
        match self {
            Self::V4 { prefix, .. } => {
                let prefix = prefix.max(28);
                let IpAddr::V4(inside) = self.host(at) else {
                    return self;
                };
                let base = masked(inside.to_bits(), prefix);
                Self::V4 { base, prefix }
            }
            Self::V6 { base, .. } => Self::V6 { base, prefix: 64 },
        }
    }

    /// One of its addresses.
    pub(crate) fn host(self, at: usize) -> IpAddr {
        let host = number("address", at);
        match self {
            Self::V4 { base, prefix } => {
                let room = u32::MAX.checked_shr(prefix).unwrap_or(0);
                Ipv4Addr::from_bits(base | (low(host) & room)).into()
            }
            Self::V6 { base, .. } => Ipv6Addr::from_bits(base | u128::from(host >> 8)).into(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { base, prefix: 32 } => write!(f, "{}", Ipv4Addr::from_bits(*base)),
            Self::V4 { base, prefix } => write!(f, "{}/{prefix}", Ipv4Addr::from_bits(*base)),
            Self::V6 { base, prefix } => write!(f, "{}/{prefix}", Ipv6Addr::from_bits(*base)),
        }
    }
}

/// An address that no connector knows, of the range for benchmarks (RFC 2544).
pub(crate) fn unknown_address(at: usize) -> IpAddr {
    let base = Ipv4Addr::new(198, 18, 0, 0).to_bits();
    Ipv4Addr::from_bits(base | (low(number("unknown", at)) & 0x1_ffff)).into()
}

fn masked(base: u32, prefix: u32) -> u32 {
    base & !u32::MAX.checked_shr(prefix).unwrap_or(0)
}

/// The low half.
fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

/// The /20 networks from 1.0.0.0 up to 191.255.255.255.
const V4_FIRST: u64 = 1 << 12;
const V4_PLACES: u64 = 191 << 12;

const FIRST: [&str; 24] = [
    "contoso",
    "fabrikam",
    "adatum",
    "litware",
    "proseware",
    "lucerne",
    "margie",
    "relecloud",
    "alpine",
    "trey",
    "wide",
    "southridge",
    "humongous",
    "graphic",
    "fourth",
    "consolidated",
    "blue",
    "city",
    "coho",
    "bellows",
    "nod",
    "vanarsdel",
    "first",
    "liberty",
];
const SECOND: [&str; 20] = [
    "bank",
    "insurance",
    "logistics",
    "publishers",
    "research",
    "systems",
    "video",
    "winery",
    "airlines",
    "power",
    "health",
    "messenger",
    "design",
    "farm",
    "college",
    "consulting",
    "pharma",
    "it",
    "law",
    "works",
];
const SUFFIXES: [&str; 12] = [
    "com", "com", "com", "com", "net", "org", "de", "fr", "co.uk", "com.br", "io", "example",
];
const LABELS: [&str; 12] = [
    "mail", "smtp", "eu", "finance", "emea", "edi", "it", "mx", "news", "apac", "outbound", "a",
];
const PEOPLE: [&str; 12] = [
    "ann",
    "bob",
    "chidi",
    "dolores",
    "emil",
    "fatima",
    "giuseppe",
    "hanna",
    "ivan",
    "jo",
    "konstantinos",
    "li",
];
