//! The indexes of a connector set: what a decision looks up, resolved when the set is made.
//!
//! A pattern that some inbound connector matches by is a node, and knows the next more general
//! one. What the unscoped connectors from a node upwards demand is settled here, once; only the
//! nodes with connectors that are meant for some recipients are walked for each decision.

use std::{collections::HashMap, net::IpAddr};

use foldhash::fast::RandomState;

use super::connector::{InboundConnector, Mode, Modes, OutboundConnector, Partner, Scope};
use crate::mail::{Domain, DomainPattern, DomainTable, Network, NetworkTable, Recipient};

/// Both chains of a set's inbound connectors.
#[derive(Clone, Debug, Default)]
pub(super) struct InboundIndex {
    by_sender: DomainTable<NodeId>,
    by_address: NetworkTable<NodeId>,
    nodes: Vec<Node>,
}

/// The outbound connectors of a set, by the domains that they govern and by name.
#[derive(Clone, Debug, Default)]
pub(super) struct OutboundIndex {
    by_recipient: DomainTable<Slot>,
    rules: HashMap<Box<str>, ConnectorId, RandomState>,
}

/// Whether reports count as enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum World {
    /// As it is.
    Enforced,
    /// As if every connector in report were enforced.
    IfEnforced,
}

/// A connector's place in a chain: it, and which of its patterns matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    pub(super) connector: ConnectorId,
    pub(super) value: u32,
}

/// Where a connector stands in its set's list.
pub(super) type ConnectorId = u32;
type NodeId = u32;

/// What one chain comes to for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// The most specific connector that applies.
    pub(super) first: Option<Slot>,
    /// The connectors that state each demand.
    pub(super) tls: Option<ConnectorId>,
    pub(super) min_version: Option<ConnectorId>,
    pub(super) origin: Option<ConnectorId>,
    /// A connector in report is among those that apply.
    pub(super) reported: bool,
    /// Without a recipient it cannot be told whether some connector applies.
    pub(super) open: bool,
}

/// One pattern, and all that is more general.
#[derive(Clone, Debug)]
struct Node {
    parent: Option<NodeId>,
    scoped: Option<Box<DomainTable<Slot>>>,
    unscoped: Option<Slot>,
    /// What the unscoped connectors from here upwards come to.
    resolved: Chain,
    /// No connector from here upwards is scoped to recipients.
    settled: bool,
}

impl World {
    /// The connectors that count, in the order in which they take their places: a later one takes
    /// the place of an earlier one with the same pattern and scope.
    fn counts(self, mode: Modes) -> Option<Pass> {
        match (self, mode.effective, mode.own) {
            (_, Mode::Off, _) | (_, _, Mode::Off) | (Self::Enforced, Mode::Report, _) => None,
            (_, _, Mode::Enforce) => Some(Pass::First),
            (_, _, Mode::Report) => Some(Pass::Second),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Pass {
    First,
    Second,
}

impl Chain {
    /// A connector that applies, after all the more specific ones.
    fn add(&mut self, slot: Slot, connectors: &[InboundConnector]) {
        let Some(connector) = connectors.get(slot.connector as usize) else {
            return;
        };
        let require = &connector.require;
        self.first = self.first.or(Some(slot));
        self.tls = self.tls.or(require.tls.map(|_| slot.connector));
        self.min_version = self
            .min_version
            .or(require.min_version.as_ref().map(|_| slot.connector));
        self.origin = self
            .origin
            .or(require.origin.as_ref().map(|_| slot.connector));
        self.reported |= connector.mode.reports();
    }

    /// All the more general connectors at once.
    fn add_all(&mut self, general: &Self) {
        self.first = self.first.or(general.first);
        self.tls = self.tls.or(general.tls);
        self.min_version = self.min_version.or(general.min_version);
        self.origin = self.origin.or(general.origin);
        self.reported |= general.reported;
    }
}

impl InboundIndex {
    pub(super) fn new(connectors: &[InboundConnector], world: World) -> Self {
        let mut index = Self::default();
        for pass in [Pass::First, Pass::Second] {
            for (id, connector) in (0..).zip(connectors) {
                if world.counts(connector.mode) == Some(pass) {
                    index.place(id, connector);
                }
            }
        }
        index.resolve(connectors);
        index
    }

    fn place(&mut self, id: ConnectorId, connector: &InboundConnector) {
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for (value, pattern) in (0..).zip(patterns) {
                    let next = self.nodes.len();
                    let node = *self
                        .by_sender
                        .slot(&pattern.value)
                        .get_or_insert(to_id(next));
                    self.put(
                        node,
                        Slot {
                            connector: id,
                            value,
                        },
                        connector,
                    );
                }
            }
            Partner::ClientIps(networks) => {
                for (value, network) in (0..).zip(networks) {
                    let node = match self.by_address.get(&network.value) {
                        Some(&node) => node,
                        None => to_id(self.nodes.len()),
                    };
                    self.by_address.insert(network.value, node);
                    self.put(
                        node,
                        Slot {
                            connector: id,
                            value,
                        },
                        connector,
                    );
                }
            }
        }
    }

    /// Puts a connector at a node; of two patterns of one connector that are equal, the first
    /// written stays.
    fn put(&mut self, node: NodeId, slot: Slot, connector: &InboundConnector) {
        if node as usize == self.nodes.len() {
            self.nodes.push(Node {
                parent: None,
                scoped: None,
                unscoped: None,
                resolved: Chain::default(),
                settled: true,
            });
        }
        let Some(node) = self.nodes.get_mut(node as usize) else {
            return;
        };
        let take = |place: &mut Option<Slot>| {
            if place.is_none_or(|taken| taken.connector != slot.connector) {
                *place = Some(slot);
            }
        };
        if connector.recipient_domains.is_empty() {
            take(&mut node.unscoped);
        }
        for recipients in &connector.recipient_domains {
            take(node.scoped.get_or_insert_default().slot(&recipients.value));
        }
    }

    /// Links each node to the next more general one, and settles what can be.
    fn resolve(&mut self, connectors: &[InboundConnector]) {
        let mut order: Vec<(usize, NodeId, Option<NodeId>)> = Vec::with_capacity(self.nodes.len());
        for (pattern, &node) in self.by_sender.iter() {
            // Why: parents first. A wildcard is more general than every name with its labels.
            let depth = match &pattern {
                DomainPattern::Any => 0,
                DomainPattern::Subtree(domain) => domain.label_count(),
                DomainPattern::Exact(domain) => domain.label_count() + 1,
            };
            order.push((depth, node, self.by_sender.parent(&pattern).copied()));
        }
        for (network, &node) in self.by_address.iter() {
            order.push((
                network.prefix_len().into(),
                node,
                self.by_address.parent(network).copied(),
            ));
        }
        order.sort_unstable_by_key(|&(depth, _, _)| depth);
        for (_, id, parent) in order {
            let above = parent.and_then(|parent| self.nodes.get(parent as usize));
            let above = above.map(|node| (node.resolved, node.settled));
            let Some(node) = self.nodes.get_mut(id as usize) else {
                continue;
            };
            let mut resolved = Chain::default();
            if let Some(slot) = node.unscoped {
                resolved.add(slot, connectors);
            }
            if let Some((general, _)) = above {
                resolved.add_all(&general);
            }
            node.parent = parent;
            node.resolved = resolved;
            node.settled = node.scoped.is_none() && above.is_none_or(|(_, settled)| settled);
        }
    }

    /// The chain by sender domain.
    pub(super) fn by_sender(
        &self,
        sender: Option<&Domain>,
        recipient: Option<&Recipient>,
        connectors: &[InboundConnector],
    ) -> Chain {
        let node = self.by_sender.covering(sender).next().copied();
        self.walk(node, recipient, connectors)
    }

    /// The chain by client address.
    pub(super) fn by_address(
        &self,
        client_ip: IpAddr,
        recipient: Option<&Recipient>,
        connectors: &[InboundConnector],
    ) -> Chain {
        let node = self
            .by_address
            .get_longest(client_ip)
            .map(|(_, &node)| node);
        self.walk(node, recipient, connectors)
    }

    fn walk(
        &self,
        start: Option<NodeId>,
        recipient: Option<&Recipient>,
        connectors: &[InboundConnector],
    ) -> Chain {
        let mut chain = Chain::default();
        let mut next = start;
        while let Some(node) = next.and_then(|id| self.nodes.get(id as usize)) {
            if node.settled {
                chain.add_all(&node.resolved);
                break;
            }
            match (&node.scoped, recipient) {
                (Some(scoped), Some(recipient)) => {
                    for &slot in scoped.covering(recipient.domain()) {
                        chain.add(slot, connectors);
                    }
                }
                (Some(_), None) => chain.open = true,
                (None, _) => {}
            }
            if let Some(slot) = node.unscoped {
                chain.add(slot, connectors);
            }
            next = node.parent;
        }
        chain
    }

    /// The connector that has the place of this pair of patterns.
    pub(super) fn holder(
        &self,
        partner: PartnerPattern<'_>,
        recipients: Option<&DomainPattern>,
    ) -> Option<ConnectorId> {
        let node = match partner {
            PartnerPattern::Sender(pattern) => self.by_sender.get(pattern),
            PartnerPattern::Address(network) => self.by_address.get(network),
        };
        let node = self.nodes.get(*node? as usize)?;
        let slot = match recipients {
            None => node.unscoped.as_ref(),
            Some(pattern) => node.scoped.as_ref()?.get(pattern),
        };
        slot.map(|slot| slot.connector)
    }
}

/// One pattern by which an inbound connector recognises its partner.
#[derive(Clone, Copy, Debug)]
pub(super) enum PartnerPattern<'a> {
    Sender(&'a DomainPattern),
    Address(&'a Network),
}

impl OutboundIndex {
    pub(super) fn new(connectors: &[OutboundConnector], world: World) -> Self {
        let mut index = Self::default();
        for pass in [Pass::First, Pass::Second] {
            for (id, connector) in (0..).zip(connectors) {
                match &connector.scope {
                    // Why: a call that names a connector in report gets it in either world.
                    Scope::Rule => {
                        if connector.mode.effective != Mode::Off && pass == Pass::First {
                            index.rules.insert(connector.name.clone(), id);
                        }
                    }
                    Scope::Domains(patterns) if world.counts(connector.mode) == Some(pass) => {
                        for (value, pattern) in (0..).zip(patterns) {
                            let place = index.by_recipient.slot(&pattern.value);
                            if place.is_none_or(|taken| taken.connector != id) {
                                *place = Some(Slot {
                                    connector: id,
                                    value,
                                });
                            }
                        }
                    }
                    Scope::Domains(_) => {}
                }
            }
        }
        index
    }

    /// The connector that governs mail to `recipient`.
    pub(super) fn by_recipient(&self, recipient: Option<&Domain>) -> Option<Slot> {
        self.by_recipient.covering(recipient).next().copied()
    }

    /// The connector of this name that is meant for transport rules.
    pub(super) fn by_rule(&self, name: &str) -> Option<ConnectorId> {
        self.rules.get(name).copied()
    }

    /// The connector that has the place of this pattern.
    pub(super) fn holder(&self, pattern: &DomainPattern) -> Option<ConnectorId> {
        self.by_recipient.get(pattern).map(|slot| slot.connector)
    }
}

/// A set has far fewer nodes: its text is bounded at 64 MiB.
fn to_id(count: usize) -> NodeId {
    NodeId::try_from(count).unwrap_or(NodeId::MAX)
}
