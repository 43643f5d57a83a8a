//! What a gateway saw of an SMTP session.
//!
//! Facts are parsed once, where they come in; nothing is checked again later. They hold no local
//! part of an address, so that printing them shows none.

use std::{borrow::Cow, net::IpAddr};

use super::connector::Host;
use crate::mail::{Fingerprint, PresentedName, Recipient, ReversePath, TlsVersion};

/// A session in which a remote server is sending to us.
#[derive(Clone, Debug)]
pub struct InboundFacts<'a> {
    /// Address of the sending server; an IPv4-mapped one is the IPv4 address.
    pub client_ip: IpAddr,
    /// Envelope sender.
    pub mail_from: ReversePath,
    /// One envelope recipient; none where it is not known yet.
    pub rcpt_to: Option<Recipient>,
    /// TLS of the session; none: it is in plaintext.
    pub tls: Option<TlsFacts<'a>>,
}

/// A message that we are about to send.
#[derive(Clone, Debug)]
pub struct OutboundFacts<'a> {
    /// One envelope recipient, or just its domain.
    pub rcpt_to: Recipient,
    /// Name of the connector that a transport rule sends it through.
    pub rule_connector: Option<&'a str>,
    /// The session with the next hop; none: not connected yet.
    pub session: Option<SessionFacts<'a>>,
}

/// A session with a next hop.
#[derive(Clone, Debug)]
pub struct SessionFacts<'a> {
    /// The next hop.
    pub host: Host,
    /// The next hop as the gateway wrote it.
    pub host_text: &'a str,
    /// TLS of the session; none: it is in plaintext.
    pub tls: Option<TlsFacts<'a>>,
}

/// TLS of a session.
#[derive(Clone, Debug)]
pub struct TlsFacts<'a> {
    /// Its version.
    pub version: TlsVersion,
    /// Its version as the gateway wrote it.
    pub version_text: &'a str,
    /// The peer's certificate; none: it presented none.
    pub certificate: Option<CertificateFacts<'a>>,
    /// The gateway cannot tell whether the peer presented one: changes words, never verdicts.
    pub certificate_unavailable: bool,
}

/// The certificate that a peer presented.
#[derive(Clone, Debug)]
pub struct CertificateFacts<'a> {
    /// What the gateway found of its chain.
    pub trust: Trust,
    /// The same in the gateway's words.
    pub trust_detail: &'a str,
    /// The names that it presents: its dNSNames or, where it lists none, its common name.
    pub names: Vec<NameFact<'a>>,
    /// The gateway cannot see alternative names: changes words, never verdicts.
    pub names_unavailable: bool,
    /// SHA-256 of the certificate.
    pub sha256: Option<Fingerprint>,
    /// SHA-256 of its public key.
    pub spki_sha256: Option<Fingerprint>,
    /// It was sent in DER and cannot be read.
    pub unreadable: bool,
}

/// A name in a certificate.
#[derive(Clone, Debug)]
pub struct NameFact<'a> {
    /// As it stands there.
    pub text: Cow<'a, str>,
    /// What it means; none: malformed, so that it matches nothing.
    pub name: Option<PresentedName>,
}

/// What a gateway found when it built a chain from a certificate to a trusted root.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trust {
    /// The chain is good but for the dates.
    Expired,
    /// The chain is good.
    Trusted,
    /// Not told, or not checked.
    Unknown,
    /// There is no good chain.
    Untrusted,
    /// The chain is good, but the certificate is not for this side of a session.
    WrongPurpose,
}

impl<'a> NameFact<'a> {
    /// The name that `text` presents.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        Self {
            name: PresentedName::parse(&text),
            text,
        }
    }
}

impl CertificateFacts<'_> {
    /// The fingerprints that are known: of the certificate, then of its public key.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.sha256.into_iter().chain(self.spki_sha256)
    }
}
