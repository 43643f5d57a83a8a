//! Certificates in DER, read into what connectors look at (RFC 5280, RFC 9525).

use sha2::{Digest, Sha256};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{
    mail::Fingerprint,
    policy::facts::{CertificateFacts, NameFact, Trust},
};

/// What the certificate `der` shows.
///
/// One that cannot be read, or has octets behind it, is untrusted whatever `trust` says, without
/// names and public key.
pub(super) fn facts<'a>(
    der: &'a [u8],
    trust: Trust,
    trust_detail: &'a str,
) -> CertificateFacts<'a> {
    let sha256 = Some(digest(der));
    let unreadable = CertificateFacts {
        trust: Trust::Untrusted,
        trust_detail,
        names: Vec::new(),
        names_unavailable: false,
        sha256,
        spki_sha256: None,
        unreadable: true,
    };
    let Some(certificate) = read(der) else {
        return unreadable;
    };
    let Some(names) = names(&certificate) else {
        return unreadable;
    };
    CertificateFacts {
        trust,
        names,
        spki_sha256: Some(digest(certificate.public_key().raw)),
        unreadable: false,
        ..unreadable
    }
}

/// Reads the certificate `der`; none where it cannot be read, or has octets behind it.
pub(super) fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(behind, _)| behind.is_empty())
        .map(|(_, leaf)| leaf)
}

/// The names that a certificate presents; none where its alternative names cannot be read.
fn names<'a>(certificate: &X509Certificate<'a>) -> Option<Vec<NameFact<'a>>> {
    let mut names = dns_names(certificate)?;
    if names.is_empty() {
        names.extend(common_name(certificate).map(NameFact::new));
    }
    Some(names)
}

/// The dNSNames among its alternative names; none where these cannot be read.
pub(super) fn dns_names<'a>(certificate: &X509Certificate<'a>) -> Option<Vec<NameFact<'a>>> {
    let alternative = certificate.subject_alternative_name().ok()?;
    let mut names = Vec::new();
    for name in alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
    {
        match name {
            GeneralName::DNSName(name) => names.push(NameFact::new(*name)),
            // Why: one that is no text is listed all the same, so that the common name does not count.
            GeneralName::Invalid(tag, octets) if tag.0 == DNS_NAME => {
                names.push(NameFact::new(String::from_utf8_lossy(octets)));
            }
            _ => {}
        }
    }
    Some(names)
}

/// The common name of its subject, where there is just one.
pub(super) fn common_name<'a>(certificate: &X509Certificate<'a>) -> Option<&'a str> {
    let mut common = certificate.tbs_certificate.subject.iter_common_name();
    match (common.next(), common.next()) {
        (Some(name), None) => name.as_str().ok(),
        _ => None,
    }
}

fn digest(octets: &[u8]) -> Fingerprint {
    Fingerprint::from(<[u8; 32]>::from(Sha256::digest(octets)))
}

/// The tag of a dNSName in a GeneralName (RFC 5280, section 4.2.1.6).
const DNS_NAME: u32 = 2;

#[cfg(test)]
mod tests;
