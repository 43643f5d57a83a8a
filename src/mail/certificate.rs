//! The names and fingerprints by which a partner's certificate is recognised.

use std::{error::Error, fmt, str::FromStr};

use super::{
    domain::{Domain, DomainError, below_star},
    quoted,
};

/// A name that a connector demands of a certificate.
///
/// It is compared in the manner of RFC 9525, section 6.3, and `*.contoso.com` more widely: that
/// name and every one below it will do.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertificateName(Pattern);

impl CertificateName {
    /// Whether a certificate with the name `presented` bears this one.
    ///
    /// A wildcard in the certificate stands for exactly one label, with two more behind it.
    pub fn matches(&self, presented: &PresentedName) -> bool {
        match (&self.0, presented) {
            (Pattern::Exact(name), PresentedName::Exact(presented)) => name == presented,
            (Pattern::Exact(name), PresentedName::Wildcard(base)) => {
                base.label_count() >= LABELS_BEHIND_STAR
                    && name.ancestors().nth(1) == Some(base.as_str())
            }
            (
                Pattern::Subtree(own),
                PresentedName::Exact(presented) | PresentedName::Wildcard(presented),
            ) => presented.is_within(own),
        }
    }

    /// The name itself, where it has no `*`.
    pub fn exact(&self) -> Option<&Domain> {
        match &self.0 {
            Pattern::Exact(name) => Some(name),
            Pattern::Subtree(_) => None,
        }
    }

    /// The domain behind the `*`, where the name has one.
    pub fn wildcard_base(&self) -> Option<&Domain> {
        match &self.0 {
            Pattern::Exact(_) => None,
            Pattern::Subtree(base) => Some(base),
        }
    }
}

impl FromStr for CertificateName {
    type Err = CertificateNameError;

    fn from_str(text: &str) -> Result<Self, CertificateNameError> {
        let base = below_star(text);
        if base.unwrap_or(text).contains('*') {
            return Err(CertificateNameError(NameFault::Star(quoted(text))));
        }
        let domain: Domain = base
            .unwrap_or(text)
            .parse()
            .map_err(|error| CertificateNameError(NameFault::Domain(error)))?;
        if base.is_none() {
            Ok(Self(Pattern::Exact(domain)))
        } else if domain.label_count() >= LABELS_BEHIND_STAR {
            Ok(Self(Pattern::Subtree(domain)))
        } else {
            Err(CertificateNameError(NameFault::Wide(quoted(text))))
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Exact(name) => write!(f, "{name}"),
            Pattern::Subtree(base) => write!(f, "*.{base}"),
        }
    }
}

/// A name that a certificate presents: a dNSName or its common name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PresentedName {
    /// One host or domain.
    Exact(Domain),
    /// `*.` and this domain: each name that has one label more.
    Wildcard(Domain),
}

impl PresentedName {
    /// Reads a name of a certificate; one that is malformed is none, and matches nothing.
    pub fn parse(text: &str) -> Option<Self> {
        match below_star(text) {
            Some(base) => base.parse().ok().map(Self::Wildcard),
            None => text.parse().ok().map(Self::Exact),
        }
    }
}

/// The SHA-256 of a certificate or of its public key (SubjectPublicKeyInfo).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 32]);

impl From<[u8; 32]> for Fingerprint {
    fn from(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

/// The octets that 64 hex digits stand for, with nothing between them.
fn plain_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let (mut octets, mut bad) = ([0; 32], 0);
    for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
        let (high, low) = (hex(*high), hex(*low));
        *octet = high << 4 | low & 0xf;
        bad |= high | low;
    }
    (bad & NO_DIGIT == 0).then_some(octets)
}

/// The value of a hex digit, or [`NO_DIGIT`].
// Why a table: digits are as good as random, and a branch for each is guessed wrongly half the time.
fn hex(digit: u8) -> u8 {
    HEX.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

const NO_DIGIT: u8 = 0x80;

#[expect(
    clippy::indexing_slicing,
    reason = "the compiler does it, and would fail to"
)]
static HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads 64 hex digits of either case; colons are ignored wherever they stand.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        if let Some(octets) = plain_hex(text.as_bytes()) {
            return Ok(Self(octets));
        }
        let mut octets = [0; 32];
        let mut digits = 0;
        for character in text.chars().filter(|character| *character != ':') {
            let digit = character
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or(FingerprintError(FingerprintFault::Character(character)))?;
            if let Some(octet) = octets.get_mut(digits / 2) {
                *octet = *octet << 4 | digit;
            }
            digits += 1;
        }
        if digits == 64 {
            Ok(Self(octets))
        } else {
            Err(FingerprintError(FingerprintFault::Length(digits)))
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Why a text is not the name of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateNameError(NameFault);

impl fmt::Display for CertificateNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            NameFault::Domain(error) => write!(f, "{error}"),
            NameFault::Star(text) => write!(
                f,
                "`*` may only be the whole first label: {text} is not like `*.contoso.com`"
            ),
            NameFault::Wide(text) => write!(
                f,
                "{text} covers too much: write two labels behind the `*`, as in `*.contoso.com`"
            ),
        }
    }
}

impl Error for CertificateNameError {}

/// Why a text is not a SHA-256 fingerprint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FingerprintError(FingerprintFault);

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FingerprintFault::Character(character) => write!(
                f,
                "{} is not a hex digit: a fingerprint is 64 of them, colons allowed",
                quoted(character.encode_utf8(&mut [0; 4]))
            ),
            FingerprintFault::Length(digits) => write!(
                f,
                "the fingerprint has {digits} hex digits, not 64: write the SHA-256 of the \
                 certificate or of its public key"
            ),
        }
    }
}

impl Error for FingerprintError {}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Pattern {
    Exact(Domain),
    Subtree(Domain),
}

/// The faults of a configured name; texts are quoted.
#[derive(Clone, Debug, Eq, PartialEq)]
enum NameFault {
    Domain(DomainError),
    Star(String),
    Wide(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum FingerprintFault {
    Character(char),
    Length(usize),
}

/// How many labels a wildcard must leave fixed, in a certificate and in a connector.
const LABELS_BEHIND_STAR: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(configured: &str, presented: &str) -> bool {
        let name: CertificateName = configured.parse().unwrap();
        PresentedName::parse(presented).is_some_and(|presented| name.matches(&presented))
    }

    #[test]
    fn matches_presented_names() {
        for (configured, presented, expected) in [
            ("mail.x.com", "mail.x.com", true),
            ("mail.x.com", "MAIL.X.com.", true),
            ("mail.x.com", "*.x.com", true),
            ("mail.x.com", "*.X.COM", true),
            ("mail.x.com", "x.com", false),
            ("mail.x.com", "a.mail.x.com", false),
            ("mail.x.com", "*.mail.x.com", false),
            ("a.mail.x.com", "*.x.com", false),
            ("x.com", "*.x.com", false),
            ("x.com", "*.com", false),
            ("com", "*.com", false),
            ("ail.x.com", "mail.x.com", false),
            ("mail.x.com", "ma*.x.com", false),
            ("mail.x.com", "*il.x.com", false),
            ("mail.x.com", "mail.*.com", false),
            ("mail.x.com", "*", false),
            ("mail.x.com", "*.*.com", false),
            ("mail.x.com", "mail.x.com ", false),
            ("bücher.x.com", "*.x.com", true),
            ("mail.bücher.example", "*.xn--bcher-kva.example", true),
            ("localhost", "localhost", true),
            ("*.x.com", "x.com", true),
            ("*.x.com", "mail.x.com", true),
            ("*.x.com", "a.mail.x.com", true),
            ("*.x.com", "*.x.com", true),
            ("*.x.com", "*.mail.x.com", true),
            ("*.x.com", "*.com", false),
            ("*.x.com", "mailx.com", false),
            ("*.x.com", "*.mailx.com", false),
            ("*.x.com", "x.com.example", false),
            ("*.x.com", "", false),
            ("*.mail.x.com", "*.x.com", false),
            ("*.mail.x.com", "mail.x.com", true),
        ] {
            assert_eq!(
                matches(configured, presented),
                expected,
                "{configured} {presented}"
            );
        }
    }

    #[test]
    fn shows_configured_names_canonically() {
        for (text, canonical) in [
            ("Mail.Contoso.COM.", "mail.contoso.com"),
            ("*.Contoso.COM", "*.contoso.com"),
            ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ] {
            let name: CertificateName = text.parse().unwrap();
            assert_eq!(name.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(name));
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_name() {
        for (text, message) in [
            (
                "*",
                "`*` may only be the whole first label: `*` is not like `*.contoso.com`",
            ),
            (
                "a*.x.com",
                "`*` may only be the whole first label: `a*.x.com` is not like `*.contoso.com`",
            ),
            (
                "*.*.com",
                "`*` may only be the whole first label: `*.*.com` is not like `*.contoso.com`",
            ),
            (
                "*.com",
                "`*.com` covers too much: write two labels behind the `*`, as in `*.contoso.com`",
            ),
            (
                "*.com.",
                "`*.com.` covers too much: write two labels behind the `*`, as in `*.contoso.com`",
            ),
            ("", "a domain cannot be empty"),
            ("*.", "a domain cannot be empty"),
            (
                "a b.com",
                "label `a b` holds ` `: a label has letters, digits, `-` and `_`",
            ),
        ] {
            let error = text.parse::<CertificateName>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn reads_fingerprints() {
        let mut octets = [0; 32];
        octets[0] = 0x7d;
        octets[31] = 0xaf;
        let canonical = format!("7d{}af", "00".repeat(30));
        for text in [
            canonical.clone(),
            canonical.to_uppercase(),
            format!("7D{}:AF", ":00".repeat(30)),
            format!(":{canonical}::"),
        ] {
            let fingerprint: Fingerprint = text.parse().unwrap();
            assert_eq!(fingerprint, Fingerprint::from(octets));
            assert_eq!(fingerprint.to_string(), canonical);
        }
        assert_eq!(
            format!("{:?}", Fingerprint(octets)),
            format!("Fingerprint({canonical})")
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_fingerprint() {
        let foreign = "is not a hex digit: a fingerprint is 64 of them, colons allowed";
        let length = "write the SHA-256 of the certificate or of its public key";
        for (text, message) in [
            ("SHA256:7D", format!("`S` {foreign}")),
            ("7D 7D", format!("` ` {foreign}")),
            ("７D", format!("`７` {foreign}")),
            (
                "",
                format!("the fingerprint has 0 hex digits, not 64: {length}"),
            ),
            (
                "7D:D5:7",
                format!("the fingerprint has 5 hex digits, not 64: {length}"),
            ),
            (
                &"a".repeat(65),
                format!("the fingerprint has 65 hex digits, not 64: {length}"),
            ),
        ] {
            assert_eq!(
                text.parse::<Fingerprint>().unwrap_err().to_string(),
                message
            );
        }
    }
}
