//! What of a question is not written down: local parts of addresses, octets of certificates.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use prost_types::Timestamp;
use sha2::Sha256;

use super::super::{certificate, facts, pb, question};
use crate::mail::{Recipient, ReversePath};

/// What is shown of envelope addresses.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// Their domain alone: `*@contosobank.com`.
    Domain,
    /// Their domain, behind a hash of the whole: the same address has the same hash.
    Hashed(AddressKey),
    /// All of them.
    Whole,
}

/// The secret without which nobody can find the address of a hash by trying.
#[derive(Clone)]
pub struct AddressKey(Hmac<Sha256>);

impl AddressKey {
    /// The key that is `secret`; none where that is shorter than it must be.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let mac = Hmac::new_from_slice(secret).ok()?;
        (secret.len() >= LEAST_OCTETS).then_some(Self(mac))
    }

    /// The first 16 hex digits of the HMAC-SHA256 of `text`.
    pub(super) fn hash(&self, text: &str) -> String {
        let octets = self.0.clone().chain_update(text).finalize().into_bytes();
        let mut hash = String::with_capacity(2 * SHOWN_OCTETS);
        for octet in octets.iter().take(SHOWN_OCTETS) {
            // Writing to a string cannot fail.
            write!(hash, "{octet:02x}").unwrap_or_default();
        }
        hash
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressKey(…)")
    }
}

impl Addresses {
    /// A sender, such that the decision is the same.
    pub(super) fn sender(&self, text: &mut String) {
        match ReversePath::parse(text) {
            Ok(ReversePath::Null) => {}
            Ok(ReversePath::Postmaster) => self.postmaster(text),
            Ok(ReversePath::Literal) => self.mailbox(text, None),
            Ok(ReversePath::Mailbox(domain)) => self.mailbox(text, Some(domain.as_str())),
            Err(_) => self.malformed(text),
        }
    }

    /// A recipient, of which there may be none, such that the decision is the same; where
    /// `or_domain`, a bare domain is one.
    pub(super) fn recipient(&self, text: &mut String, or_domain: bool) {
        let recipient = match or_domain {
            _ if text.is_empty() => return,
            true => Recipient::parse_or_domain(text),
            false => Recipient::parse(text),
        };
        match recipient {
            Ok(Recipient::Postmaster) => self.postmaster(text),
            Ok(Recipient::Literal) => self.mailbox(text, None),
            Ok(Recipient::Mailbox(domain)) => self.mailbox(text, Some(domain.as_str())),
            Err(_) => self.malformed(text),
        }
    }

    /// Whether malformed addresses are shown as they were given.
    pub(super) fn shows_malformed(&self) -> bool {
        matches!(self, Self::Whole)
    }

    fn mailbox(&self, text: &mut String, domain: Option<&str>) {
        if matches!(self, Self::Whole) {
            return;
        }
        let bare = text
            .strip_prefix('<')
            .and_then(|bare| bare.strip_suffix('>'));
        let bare = bare.unwrap_or(text);
        let reduced = match bare.rsplit_once('@') {
            Some((local, written)) => {
                let domain = domain.unwrap_or(written);
                let local = match self {
                    Self::Hashed(key) => {
                        key.hash(&format!("{}@{domain}", local.to_ascii_lowercase()))
                    }
                    Self::Domain | Self::Whole => STAR.to_owned(),
                };
                format!("{local}@{domain}")
            }
            None => domain.unwrap_or(STAR).to_owned(),
        };
        *text = reduced;
    }

    fn postmaster(&self, text: &mut String) {
        if !matches!(self, Self::Whole) {
            "postmaster".clone_into(text);
        }
    }

    fn malformed(&self, text: &mut String) {
        if !self.shows_malformed() {
            STAR.clone_into(text);
        }
    }
}

/// Puts into the fields of a certificate what its octets say, and takes these out: what is decided
/// about it is the same.
pub(super) fn certificate(certificate: &mut pb::Certificate) {
    if !certificate.der.is_empty() {
        let der = std::mem::take(&mut certificate.der);
        fill(certificate, &der);
    }
    if !certificate.not_after.as_ref().is_none_or(is_in_range) {
        certificate.not_after = None;
    }
    cut(&mut certificate.trust_detail);
    cut(&mut certificate.subject);
    cut(&mut certificate.issuer);
}

fn fill(given: &mut pb::Certificate, der: &[u8]) {
    let asked = question::Certificate {
        trust: given.trust,
        der,
        ..question::Certificate::default()
    };
    let read = facts::certificate(&asked);
    let hex = |print: Option<_>| print.map_or_else(String::new, |print| format!("{print}"));
    let (sha256, spki_sha256) = (hex(read.sha256), hex(read.spki_sha256));
    let mut filled = pb::Certificate {
        trust: given.trust,
        trust_detail: std::mem::take(&mut given.trust_detail),
        sha256,
        spki_sha256,
        ..pb::Certificate::default()
    };
    match certificate::read(der).filter(|_| !read.unreadable) {
        None => {
            filled.trust = pb::CertificateTrust::Untrusted.into();
            if filled.trust_detail.is_empty() {
                UNREADABLE.clone_into(&mut filled.trust_detail);
            }
        }
        Some(leaf) => {
            let names = certificate::dns_names(&leaf).unwrap_or_default();
            filled.dns_names = names.into_iter().map(|name| name.text.into()).collect();
            filled.common_name = certificate::common_name(&leaf).unwrap_or_default().into();
            filled.subject = leaf.subject().to_string();
            filled.issuer = leaf.issuer().to_string();
            filled.not_after = Some(Timestamp {
                seconds: leaf.validity().not_after.timestamp(),
                nanos: 0,
            });
        }
    }
    *given = filled;
}

/// Cuts what is logged only, and of any length.
pub(super) fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LOGGED_OCTETS));
}

/// Whether RFC 3339 can say it.
fn is_in_range(time: &Timestamp) -> bool {
    (FIRST_SECOND..=LAST_SECOND).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos)
}

/// What stands for what is not shown.
pub(super) const STAR: &str = "*";
const UNREADABLE: &str = "its octets cannot be read as a certificate";

const LEAST_OCTETS: usize = 16;
const SHOWN_OCTETS: usize = 8;
const LOGGED_OCTETS: usize = 1_024;

/// The years 1 to 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
