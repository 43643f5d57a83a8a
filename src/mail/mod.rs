//! The words of mail: domains, envelope addresses, networks, TLS versions and certificate names,
//! each in one canonical form.
//!
//! What mail servers hold equal compares equal here, so that maps and comparisons elsewhere need
//! no further care. Nothing in this module does I/O or knows of connectors.

pub mod address;
pub mod address_set;
pub mod certificate;
pub mod domain;
pub mod domain_table;
pub mod network;
pub mod tls;

pub use address::{MalformedAddress, Recipient, ReversePath};
pub use address_set::AddressSet;
pub use certificate::{
    CertificateName, CertificateNameError, Fingerprint, FingerprintError, PresentedName,
};
pub use domain::{Domain, DomainError, DomainPattern, PatternError};
pub use domain_table::DomainTable;
pub use network::{
    AddressError, HostBits, Network, NetworkError, NetworkRanges, NetworkTable, parse_address,
};
pub use tls::{TlsVersion, TlsVersionError};

/// `text` in backticks, fit for one line of an error: escaped where it does not print, and cut
/// where it is long.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARACTERS {
            quoted.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => quoted.push(character),
            _ => quoted.extend(character.escape_debug()),
        }
    }
    quoted.push('`');
    quoted
}

/// How much of a text an error shows; longer than any label of a domain.
const QUOTED_CHARACTERS: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_on_one_line() {
        assert_eq!(quoted("it's \"a\\b\""), "`it's \"a\\b\"`");
        assert_eq!(quoted("a\nb\u{202e}c"), "`a\\nb\\u{202e}c`");
        assert_eq!(quoted(&"x".repeat(72)), format!("`{}`", "x".repeat(72)));
        assert_eq!(quoted(&"ü".repeat(73)), format!("`{}…`", "ü".repeat(72)));
    }
}
