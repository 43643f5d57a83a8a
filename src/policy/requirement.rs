//! What connectors demand, and whether a session meets it.

use std::net::IpAddr;

use super::{
    connector::{ReplyRule, SmartHost, Written},
    decision::Reason,
    facts::{CertificateFacts, SessionFacts, TlsFacts, Trust},
    listed::Listed,
};
use crate::mail::{AddressSet, CertificateName, Fingerprint, Network, TlsVersion};

/// The demands that an inbound connector states. Each is decided separately along a chain, by the
/// most specific connector that states it.
#[derive(Clone, Debug)]
pub struct InboundRequirement {
    /// Stated by `tls`, or by what implies `encrypt`.
    pub tls: Option<TlsDemand>,
    /// The lowest version of sessions that have TLS.
    pub min_version: Option<Written<TlsVersion>>,
    /// Where the mail may come from; replaced as a whole by a more specific connector's.
    pub origin: Option<Origin>,
}

/// What a session with a next hop must be.
#[derive(Clone, Debug)]
pub struct OutboundRequirement {
    /// The level, with what the other keys imply.
    pub level: TlsLevel,
    /// The lowest version of the session.
    pub min_version: Option<Written<TlsVersion>>,
    /// The certificates that will do; none where none are listed.
    pub certificate: Option<CertificateDemand>,
}

/// Whether mail from a partner must come over TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsDemand {
    /// It must.
    Encrypt,
    /// It need not: lifts what is inherited.
    Opportunistic,
}

/// How much a session with a next hop must prove.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TlsLevel {
    /// TLS where the server offers it.
    Opportunistic,
    /// TLS, whatever the certificate.
    Encrypt,
    /// TLS with a certificate from a trusted authority.
    Trusted,
    /// TLS with the certificate demanded.
    Domain,
}

/// Where mail may come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// From these addresses, with these certificates.
    Restricted(Box<OriginDemand>),
    /// From anywhere: lifts what is inherited.
    Unrestricted,
}

/// The proofs of origin that a connector lists; at least one of the two.
#[derive(Clone, Debug)]
pub struct OriginDemand {
    /// The addresses that the mail may come from.
    pub addresses: Option<AddressDemand>,
    /// The certificates that the peer may present.
    pub certificate: Option<CertificateDemand>,
    /// Either proof is enough (`address-or-certificate`).
    pub either: bool,
}

/// Addresses that mail may come from.
#[derive(Clone, Debug)]
pub struct AddressDemand {
    /// In the order written, equals once.
    pub networks: Listed<Written<Network>>,
    /// Where they are many.
    set: Option<Box<AddressSet>>,
}

/// Certificates that a peer may present: one with one of the fingerprints, trusted or not, or a
/// trusted one with one of the names. At least one of the two lists has an entry.
#[derive(Clone, Debug)]
pub struct CertificateDemand {
    /// In the order written, equals once.
    pub names: Listed<Written<CertificateName>>,
    /// In the order written, equals once.
    pub fingerprints: Box<[Written<Fingerprint>]>,
}

/// A demand that a session does not meet, and what a sentence about it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unmet<'a> {
    pub(super) reason: Reason,
    pub(super) by: Statement<'a>,
    pub(super) seen: Seen<'a>,
}

/// The connector that states a demand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    pub(super) connector: &'a str,
    pub(super) reply: &'a ReplyRule,
}

/// What was demanded, beside what was seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    Plaintext,
    Version {
        minimum: &'a Written<TlsVersion>,
        tls: &'a TlsFacts<'a>,
    },
    Certificate {
        demand: Option<&'a CertificateDemand>,
        tls: Option<&'a TlsFacts<'a>>,
        or_address: bool,
    },
    Address {
        demand: &'a AddressDemand,
        client_ip: IpAddr,
        or_certificate: bool,
    },
    Host {
        smart_hosts: &'a [Written<SmartHost>],
        session: &'a SessionFacts<'a>,
    },
}

impl InboundRequirement {
    /// True where it states nothing, so that it could change nothing.
    pub fn is_empty(&self) -> bool {
        self.tls.is_none() && self.min_version.is_none() && self.origin.is_none()
    }
}

impl TlsDemand {
    /// The word for it in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Opportunistic => "opportunistic",
        }
    }

    /// What `tls` must be, where the demand is met or not.
    pub(super) fn check<'a>(
        self,
        by: Statement<'a>,
        tls: Option<&TlsFacts<'_>>,
    ) -> Option<Unmet<'a>> {
        (self == Self::Encrypt && tls.is_none()).then_some(Unmet {
            reason: Reason::TlsRequired,
            by,
            seen: Seen::Plaintext,
        })
    }
}

impl TlsLevel {
    /// The word for it in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opportunistic => "opportunistic",
            Self::Encrypt => "encrypt",
            Self::Trusted => "trusted",
            Self::Domain => "domain",
        }
    }
}

impl AddressDemand {
    /// Mail from one of `networks`.
    pub fn new(networks: Vec<Written<Network>>) -> Self {
        let set = (networks.len() > FEW)
            .then(|| Box::new(networks.iter().map(|network| network.value).collect()));
        Self {
            networks: networks.into(),
            set,
        }
    }

    /// True where `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        match &self.set {
            Some(set) => set.contains(address),
            None => self
                .networks
                .iter()
                .any(|network| network.value.contains(address)),
        }
    }
}

impl CertificateDemand {
    /// True where no entry is listed, so that it could not be met.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.fingerprints.is_empty()
    }

    fn pins(&self, certificate: &CertificateFacts<'_>) -> bool {
        certificate
            .fingerprints()
            .any(|seen| self.fingerprints.iter().any(|pinned| pinned.value == seen))
    }

    fn names(&self, certificate: &CertificateFacts<'_>) -> bool {
        certificate
            .names
            .iter()
            .filter_map(|seen| seen.name.as_ref())
            .any(|seen| self.names.iter().any(|listed| listed.value.matches(seen)))
    }

    /// The reasons for which `certificate` does not meet the demand, in their order.
    fn reasons(&self, certificate: Option<&CertificateFacts<'_>>) -> [Option<Reason>; 2] {
        let Some(certificate) = certificate else {
            return [Some(Reason::CertificateRequired), None];
        };
        if self.pins(certificate) {
            return [None, None];
        }
        if self.names.is_empty() {
            return [Some(Reason::CertificateFingerprintMismatch), None];
        }
        [
            certificate.trust.reason(),
            (!self.names(certificate)).then_some(Reason::CertificateNameMismatch),
        ]
    }
}

impl Trust {
    /// The reason for which a certificate of this trust proves no name.
    fn reason(self) -> Option<Reason> {
        match self {
            Self::Trusted => None,
            Self::Expired => Some(Reason::CertificateExpired),
            Self::Unknown | Self::Untrusted | Self::WrongPurpose => {
                Some(Reason::CertificateUntrusted)
            }
        }
    }
}

impl OriginDemand {
    /// The reasons for which a session does not come from here, given to `unmet` in their order.
    /// `tls_refused`: plaintext is a reason already, so that none speaks of certificates.
    pub(super) fn check<'a>(
        &'a self,
        by: Statement<'a>,
        client_ip: IpAddr,
        tls: Option<&'a TlsFacts<'a>>,
        tls_refused: bool,
        unmet: &mut impl FnMut(Unmet<'a>),
    ) {
        let address = self
            .addresses
            .as_ref()
            .map(|demand| (demand, demand.contains(client_ip)));
        if self.either && address.is_some_and(|(_, met)| met) {
            return;
        }
        if let Some(demand) = &self.certificate {
            let reasons = demand.reasons(tls.and_then(|tls| tls.certificate.as_ref()));
            if self.either && reasons == [None, None] {
                return;
            }
            if !tls_refused {
                let seen = Seen::Certificate {
                    demand: Some(demand),
                    tls,
                    or_address: self.either,
                };
                for reason in reasons.into_iter().flatten() {
                    unmet(Unmet { reason, by, seen });
                }
            }
        }
        if let Some((demand, false)) = address {
            let seen = Seen::Address {
                demand,
                client_ip,
                or_certificate: self.either,
            };
            unmet(Unmet {
                reason: Reason::ClientIpNotAllowed,
                by,
                seen,
            });
        }
    }
}

/// The reason for which the TLS of a session is of too low a version, if it is.
pub(super) fn check_version<'a>(
    minimum: &'a Written<TlsVersion>,
    by: Statement<'a>,
    tls: Option<&'a TlsFacts<'a>>,
) -> Option<Unmet<'a>> {
    tls.filter(|tls| tls.version < minimum.value)
        .map(|tls| Unmet {
            reason: Reason::TlsVersionTooLow,
            by,
            seen: Seen::Version { minimum, tls },
        })
}

impl OutboundRequirement {
    /// The reasons for which a session may not carry the mail, given to `unmet` in their order.
    pub(super) fn check<'a>(
        &'a self,
        by: Statement<'a>,
        tls: Option<&'a TlsFacts<'a>>,
        unmet: &mut impl FnMut(Unmet<'a>),
    ) {
        if self.level == TlsLevel::Opportunistic {
            return;
        }
        let Some(tls) = tls else {
            unmet(Unmet {
                reason: Reason::TlsRequired,
                by,
                seen: Seen::Plaintext,
            });
            return;
        };
        if let Some(minimum) = &self.min_version
            && let Some(too_low) = check_version(minimum, by, Some(tls))
        {
            unmet(too_low);
        }
        let certificate = tls.certificate.as_ref();
        let reasons = match (self.level, &self.certificate, certificate) {
            (TlsLevel::Trusted, _, None) => [Some(Reason::CertificateRequired), None],
            (TlsLevel::Trusted, _, Some(certificate)) => [certificate.trust.reason(), None],
            (_, Some(demand), certificate) => demand.reasons(certificate),
            (_, None, _) => [None, None],
        };
        let demand = self.certificate.as_ref();
        let seen = Seen::Certificate {
            demand,
            tls: Some(tls),
            or_address: false,
        };
        for reason in reasons.into_iter().flatten() {
            unmet(Unmet { reason, by, seen });
        }
    }
}

/// How many networks are asked one by one.
const FEW: usize = 4;
