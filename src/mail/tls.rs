//! TLS versions, in the spellings that mail servers use for them.

use std::{error::Error, fmt, str::FromStr};

use super::quoted;

/// A version of TLS; a later one is greater, and one that is not known is lower than all.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    /// A spelling that stands for no version.
    Unknown,
    /// SSL 3.0 (RFC 6101).
    Ssl3,
    /// TLS 1.0 (RFC 2246).
    Tls1_0,
    /// TLS 1.1 (RFC 4346).
    Tls1_1,
    /// TLS 1.2 (RFC 5246).
    Tls1_2,
    /// TLS 1.3 (RFC 8446).
    Tls1_3,
}

impl TlsVersion {
    /// The version that a gateway saw; any text is one, if only [`TlsVersion::Unknown`].
    pub fn observed(text: &str) -> Self {
        Self::spelled(text).unwrap_or(Self::Unknown)
    }

    /// The version as people write it in a sentence: `TLS 1.2`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unknown => "an unknown TLS version",
            Self::Ssl3 => "SSL 3.0",
            Self::Tls1_0 => "TLS 1.0",
            Self::Tls1_1 => "TLS 1.1",
            Self::Tls1_2 => "TLS 1.2",
            Self::Tls1_3 => "TLS 1.3",
        }
    }

    fn spelled(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("SSLv3") {
            return Some(Self::Ssl3);
        }
        let number = without_prefix(text, "TLSv")
            .or_else(|| without_prefix(text, "TLS"))
            .unwrap_or(text);
        match number.strip_prefix([' ', '_']).unwrap_or(number) {
            "1" | "1.0" | "1_0" => Some(Self::Tls1_0),
            "1.1" | "1_1" => Some(Self::Tls1_1),
            "1.2" | "1_2" => Some(Self::Tls1_2),
            "1.3" | "1_3" => Some(Self::Tls1_3),
            _ => None,
        }
    }
}

impl FromStr for TlsVersion {
    type Err = TlsVersionError;

    /// Reads a configured version; never [`TlsVersion::Unknown`].
    fn from_str(text: &str) -> Result<Self, TlsVersionError> {
        Self::spelled(text).ok_or_else(|| TlsVersionError { text: quoted(text) })
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Ssl3 => "SSLv3",
            Self::Tls1_0 => "TLSv1",
            Self::Tls1_1 => "TLSv1.1",
            Self::Tls1_2 => "TLSv1.2",
            Self::Tls1_3 => "TLSv1.3",
        })
    }
}

/// The text is no spelling of a TLS version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsVersionError {
    text: String,
}

impl fmt::Display for TlsVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not a TLS version: write `SSLv3`, `TLSv1`, `TLSv1.1`, `TLSv1.2` or `TLSv1.3`",
            self.text
        )
    }
}

impl Error for TlsVersionError {}

/// What follows `prefix` in `text`, whose case is ignored.
fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling() {
        for (version, spellings) in [
            (TlsVersion::Ssl3, "SSLv3 sslv3 SSLV3"),
            (
                TlsVersion::Tls1_0,
                "TLSv1 TLS1 1 TLSv1.0 TLS1_0 tlsv_1 _1.0",
            ),
            (TlsVersion::Tls1_1, "TLSv1.1 tlsV1_1 TLS_1.1 1.1 1_1"),
            (
                TlsVersion::Tls1_2,
                "TLSv1.2 TLS1.2 TLS1_2 TLSv1_2 1.2 tls_1_2 TLSv_1.2",
            ),
            (TlsVersion::Tls1_3, "TLSv1.3 tls1.3 TLSV1_3 1_3 _1_3"),
        ] {
            for text in spellings.split(' ') {
                assert_eq!(TlsVersion::observed(text), version, "{text}");
                assert_eq!(text.parse(), Ok(version), "{text}");
            }
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for text in ["TLS 1.2", "TLSv 1.2", " 1.2", "tls 1_2"] {
            assert_eq!(TlsVersion::observed(text), TlsVersion::Tls1_2, "{text}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in [
            "",
            "TLS",
            "TLSv",
            "v1.2",
            "TLSv1.4",
            "TLSv2",
            "2",
            "1.",
            "1.2.0",
            "TLS  1.2",
            "TLS_ 1.2",
            "TLS\t1.2",
            "TLSv1.2 ",
            "TLS-1.2",
            "TLS1,2",
            "TLSvv1",
            "SSL3",
            "SSLv2",
            "SSL 3.0",
            "DTLSv1.2",
            "unknown",
            "TLSｖ1.2",
            "１.2",
            "12",
        ] {
            assert_eq!(TlsVersion::observed(text), TlsVersion::Unknown, "{text}");
            assert!(text.parse::<TlsVersion>().is_err(), "{text}");
        }
        assert_eq!(
            "TLSv1.4".parse::<TlsVersion>().unwrap_err().to_string(),
            "`TLSv1.4` is not a TLS version: write `SSLv3`, `TLSv1`, `TLSv1.1`, `TLSv1.2` or \
             `TLSv1.3`"
        );
    }

    #[test]
    fn orders_from_unknown_to_the_latest() {
        let ascending = ["?", "SSLv3", "1", "1.1", "1.2", "1.3"].map(TlsVersion::observed);
        assert!(ascending.is_sorted_by(|lower, higher| lower < higher));
    }

    #[test]
    fn speaks_to_people_and_to_machines() {
        assert_eq!(TlsVersion::Tls1_0.to_string(), "TLSv1");
        assert_eq!(TlsVersion::Tls1_0.phrase(), "TLS 1.0");
        assert_eq!(TlsVersion::Ssl3.phrase(), "SSL 3.0");
    }
}
