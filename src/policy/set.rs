//! Connector sets: all the connectors of one organization, ready to be asked.

use super::{
    connector::{InboundConnector, Mode, OutboundConnector, Written},
    index::{InboundIndex, OutboundIndex, World},
};
use crate::mail::DomainPattern;

/// The connectors of one organization: immutable, valid, indexed.
///
/// Only `config::load_str` makes one.
#[derive(Debug)]
pub struct ConnectorSet {
    name: Box<str>,
    digest: Box<str>,
    mode: Mode,
    retired: bool,
    accepted_domains: Vec<AcceptedDomain>,
    inbound: Vec<InboundConnector>,
    outbound: Vec<OutboundConnector>,
    pub(super) enforced: Worlds,
    /// None where no connector is in report, so that both worlds are one.
    pub(super) if_enforced: Option<Worlds>,
}

/// What a connector set is made of.
#[derive(Debug)]
pub struct Parts {
    /// Name of the set.
    pub name: Box<str>,
    /// The first 16 hex digits of the SHA-256 of its text.
    pub digest: Box<str>,
    /// The mode of the whole set.
    pub mode: Mode,
    /// It is there only to say that it is gone.
    pub retired: bool,
    /// The domains that the organization receives mail for.
    pub accepted_domains: Vec<AcceptedDomain>,
    /// In the order written.
    pub inbound: Vec<InboundConnector>,
    /// In the order written.
    pub outbound: Vec<OutboundConnector>,
}

/// A domain that an organization receives mail for.
#[derive(Clone, Debug)]
pub struct AcceptedDomain {
    /// The domain, or it and all below it.
    pub pattern: Written<DomainPattern>,
    /// Where it stands in the file, as octets.
    pub span: std::ops::Range<usize>,
    /// The line of the file, from 1.
    pub line: u32,
}

/// Both directions of a set in one of its two worlds.
#[derive(Debug)]
pub(super) struct Worlds {
    pub(super) inbound: InboundIndex,
    pub(super) outbound: OutboundIndex,
}

impl ConnectorSet {
    /// The set of `parts`, of which the caller has checked that no two connectors of one mode
    /// share a pattern and a scope.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            name,
            digest,
            mode,
            retired,
            accepted_domains,
            inbound,
            outbound,
        } = parts;
        let world = |world| Worlds {
            inbound: InboundIndex::new(&inbound, world),
            outbound: OutboundIndex::new(&outbound, world),
        };
        let reports = inbound.iter().any(|connector| connector.mode.reports())
            || outbound.iter().any(|connector| connector.mode.reports());
        let enforced = world(World::Enforced);
        let if_enforced = reports.then(|| world(World::IfEnforced));
        Self {
            name,
            digest,
            mode,
            retired,
            accepted_domains,
            inbound,
            outbound,
            enforced,
            if_enforced,
        }
    }

    /// Its name: that of its file, less `.toml`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first 16 hex digits of the SHA-256 of its text, as `sha256sum` prints it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The mode of the whole set: the weaker of it and a connector's own holds.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// True where the set is there only to say that it is gone: it answers nothing.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// The domains that the organization receives mail for; they choose the set when a call names none.
    pub fn accepted_domains(&self) -> &[AcceptedDomain] {
        &self.accepted_domains
    }

    /// Its connectors for mail that is sent to us, in the order written.
    pub fn inbound(&self) -> &[InboundConnector] {
        &self.inbound
    }

    /// Its connectors for mail that we send, in the order written.
    pub fn outbound(&self) -> &[OutboundConnector] {
        &self.outbound
    }
}
