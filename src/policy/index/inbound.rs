//! The chains of inbound connectors.
//!
//! A pattern that some inbound connector matches by is a node, and knows the next more general
//! one. What the unscoped connectors from a node upwards demand is settled here, once; only the
//! nodes with connectors that are meant for some recipients are walked for each decision.

mod building;

use std::net::IpAddr;

use self::building::Building;
use super::{Chain, ConnectorId, Id, Slot, World};
use crate::{
    mail::{Domain, DomainPattern, DomainTable, Network, NetworkRanges, Recipient},
    policy::connector::InboundConnector,
};

/// Both chains of a set's inbound connectors.
#[derive(Clone, Debug)]
pub(in crate::policy) struct InboundIndex {
    by_sender: DomainTable<NodeId>,
    by_address: NetworkRanges<NodeId>,
    /// As enforced.
    nodes: Box<[Node]>,
    /// As if the reports were enforced: those that then differ.
    if_enforced: Box<[Node]>,
    /// The connectors that are meant for some recipients, for the nodes that have such.
    scoped: Box<[DomainTable<Slot>]>,
}

/// Where a chain begins, in both worlds.
pub(in crate::policy) type NodeId = Id;

/// One pattern, and all that is more general.
#[derive(Clone, Debug)]
struct Node {
    /// What the unscoped connectors from here upwards come to.
    resolved: Chain,
    parent: Option<NodeId>,
    scoped: Option<Id>,
    /// What it is if the reports are enforced; none where it is the same.
    other: Option<Id>,
    /// How long the prefix of its network is; 0 for a domain.
    prefix: u8,
    /// The first connector of `resolved` is its own.
    own: bool,
    /// No connector from here upwards is scoped to recipients.
    settled: bool,
}

/// One pattern by which an inbound connector recognises its partner.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) enum PartnerPattern<'a> {
    Sender(&'a DomainPattern),
    Address(&'a Network),
}

impl InboundIndex {
    pub(in crate::policy) fn new(connectors: &[InboundConnector]) -> Self {
        Building::new(connectors).finish(connectors)
    }

    /// Where the chain by sender domain begins.
    pub(in crate::policy) fn by_sender(&self, sender: Option<&Domain>) -> Option<NodeId> {
        self.by_sender.most_specific(sender).copied()
    }

    /// Where the chain by client address begins.
    pub(in crate::policy) fn by_address(&self, client_ip: IpAddr) -> Option<NodeId> {
        self.by_address.get_longest(client_ip)
    }

    /// Whether the chain from `start` may be another one if the reports were enforced.
    pub(in crate::policy) fn has_reports(&self, start: Option<NodeId>) -> bool {
        self.node(World::Enforced, start)
            .is_some_and(|node| node.other.is_some())
    }

    /// The chain from `start` upwards.
    pub(in crate::policy) fn chain(
        &self,
        world: World,
        start: Option<NodeId>,
        recipient: Option<&Recipient>,
        connectors: &[InboundConnector],
    ) -> Chain {
        let mut chain = Chain::default();
        let mut next = start;
        while let Some(node) = self.node(world, next) {
            if node.settled {
                chain.add_all(&node.resolved);
                break;
            }
            match (self.scoped(node), recipient) {
                (Some(scoped), Some(recipient)) => {
                    for &slot in scoped.covering(recipient.domain()) {
                        chain.add(slot, connectors);
                    }
                }
                (Some(_), None) => chain.open = true,
                (None, _) => {}
            }
            if let (Some(slot), true) = (node.resolved.first, node.own) {
                chain.add(slot, connectors);
            }
            next = node.parent;
        }
        chain
    }

    /// The connector that has the place of this pair of patterns.
    pub(in crate::policy) fn holder(
        &self,
        world: World,
        partner: PartnerPattern<'_>,
        recipients: Option<&DomainPattern>,
    ) -> Option<ConnectorId> {
        let node = match partner {
            PartnerPattern::Sender(pattern) => {
                self.node(world, self.by_sender.get(pattern).copied())
            }
            PartnerPattern::Address(network) => {
                // Of the networks that contain an address, no two are of one length.
                let longest = self.node(world, self.by_address(network.addr()));
                let mut covering =
                    std::iter::successors(longest, |node| self.node(world, node.parent));
                covering.find(|node| node.prefix == network.prefix_len())
            }
        }?;
        let slot = match recipients {
            None => node.resolved.first.filter(|_| node.own),
            Some(pattern) => self.scoped(node)?.get(pattern).copied(),
        };
        slot.map(|slot| slot.connector)
    }

    fn node(&self, world: World, id: Option<NodeId>) -> Option<&Node> {
        let node = self.nodes.get(id?.at())?;
        match (world, node.other) {
            (World::IfEnforced, Some(other)) => self.if_enforced.get(other.at()),
            (World::Enforced, _) | (World::IfEnforced, None) => Some(node),
        }
    }

    fn scoped(&self, node: &Node) -> Option<&DomainTable<Slot>> {
        self.scoped.get(node.scoped?.at())
    }
}
