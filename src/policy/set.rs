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
    inbound: Box<[InboundConnector]>,
    outbound: Box<[OutboundConnector]>,
    pub(super) by_inbound: InboundIndex,
    pub(super) by_outbound: OutboundIndex,
    /// A connector is in report; where none is, both worlds are one.
    reports: bool,
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
    pub inbound: Box<[InboundConnector]>,
    /// In the order written.
    pub outbound: Box<[OutboundConnector]>,
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
        let reports = inbound.iter().any(|connector| connector.mode.reports())
            || outbound.iter().any(|connector| connector.mode.reports());
        let by_inbound = InboundIndex::new(&inbound);
        let by_outbound = OutboundIndex::new(&outbound);
        Self {
            name,
            digest,
            mode,
            retired,
            accepted_domains,
            inbound,
            outbound,
            by_inbound,
            by_outbound,
            reports,
        }
    }

    /// The worlds that there are, with whether the reports are enforced.
    pub(super) fn worlds(&self) -> impl Iterator<Item = (World, bool)> + use<> {
        let other = self.reports.then_some((World::IfEnforced, true));
        [(World::Enforced, false)].into_iter().chain(other)
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
