//! Making the index of inbound connectors.

use super::{
    super::{Pass, World},
    Chain, ConnectorId, Id, InboundIndex, Node, NodeId, Slot,
};
use crate::{
    mail::{DomainPattern, DomainTable, NetworkRanges, NetworkTable},
    policy::connector::{InboundConnector, Partner},
};

/// An index that is being made.
#[derive(Debug, Default)]
pub(super) struct Building {
    by_sender: DomainTable<NodeId>,
    by_address: NetworkTable<NodeId>,
    /// As enforced.
    nodes: Vec<Draft>,
    /// As if the reports were enforced, the same nodes; empty where there are no reports.
    if_enforced: Vec<Draft>,
}

/// A node that is being made.
#[derive(Clone, Debug, Default)]
struct Draft {
    scoped: Option<Box<DomainTable<Slot>>>,
    unscoped: Option<Slot>,
    resolved: Chain,
    settled: bool,
    prefix: u8,
    /// A connector in report is here or above.
    reports: bool,
}

/// A node with the one above it.
type Link = (NodeId, Option<NodeId>);

impl Building {
    pub(super) fn new(connectors: &[InboundConnector]) -> Self {
        let mut building = Self::default();
        let reports = connectors.iter().any(|connector| connector.mode.reports());
        building.place_all(World::Enforced, connectors);
        if reports {
            let drafts = building.nodes.iter().map(|draft| Draft {
                prefix: draft.prefix,
                ..Draft::default()
            });
            building.if_enforced = drafts.collect();
            building.place_all(World::IfEnforced, connectors);
        }
        building
    }

    fn place_all(&mut self, world: World, connectors: &[InboundConnector]) {
        for pass in [Pass::First, Pass::Second] {
            for (at, connector) in connectors.iter().enumerate() {
                if world.counts(connector.mode) == Some(pass) {
                    self.place(world, Id::new(at), connector);
                }
            }
        }
    }

    fn place(&mut self, world: World, id: ConnectorId, connector: &InboundConnector) {
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for (value, pattern) in patterns.iter().enumerate() {
                    let next = Id::new(self.nodes.len());
                    let node = *self.by_sender.slot(&pattern.value).get_or_insert(next);
                    self.put(world, node, 0, Slot::new(id, value), connector);
                }
            }
            Partner::ClientIps(networks) => {
                for (value, network) in networks.iter().enumerate() {
                    let network = &network.value;
                    let node = match self.by_address.get(network) {
                        Some(&node) => node,
                        None => Id::new(self.nodes.len()),
                    };
                    self.by_address.insert(*network, node);
                    let slot = Slot::new(id, value);
                    self.put(world, node, network.prefix_len(), slot, connector);
                }
            }
        }
    }

    fn put(
        &mut self,
        world: World,
        node: NodeId,
        prefix: u8,
        slot: Slot,
        connector: &InboundConnector,
    ) {
        if node.at() == self.nodes.len() {
            let draft = Draft {
                prefix,
                ..Draft::default()
            };
            if world == World::IfEnforced {
                self.if_enforced.push(draft.clone());
            }
            self.nodes.push(draft);
        }
        let Some(draft) = self.drafts(world).get_mut(node.at()) else {
            return;
        };
        draft.reports |= connector.mode.reports();
        if connector.recipient_domains.is_empty() {
            slot.take(&mut draft.unscoped);
        }
        for recipients in &connector.recipient_domains {
            slot.take(draft.scoped.get_or_insert_default().slot(&recipients.value));
        }
    }

    fn drafts(&mut self, world: World) -> &mut Vec<Draft> {
        match world {
            World::Enforced => &mut self.nodes,
            World::IfEnforced => &mut self.if_enforced,
        }
    }

    /// Each node with the next more general one, which comes before it.
    fn links(&self) -> Vec<Link> {
        let mut order: Vec<(usize, Link)> = Vec::with_capacity(self.nodes.len());
        for (pattern, &node) in self.by_sender.iter() {
            // Why: parents first. A wildcard is more general than every name with its labels.
            let depth = match &pattern {
                DomainPattern::Any => 0,
                DomainPattern::Subtree(domain) => domain.label_count(),
                DomainPattern::Exact(domain) => domain.label_count() + 1,
            };
            order.push((depth, (node, self.by_sender.parent(&pattern).copied())));
        }
        for (network, &node) in self.by_address.iter() {
            let parent = self.by_address.parent(network).copied();
            order.push((network.prefix_len().into(), (node, parent)));
        }
        order.sort_unstable_by_key(|&(depth, _)| depth);
        order.into_iter().map(|(_, link)| link).collect()
    }

    /// Settles what can be.
    fn resolve(&mut self, world: World, links: &[Link], connectors: &[InboundConnector]) {
        let drafts = self.drafts(world);
        for &(id, parent) in links {
            let above = parent.and_then(|parent| drafts.get(parent.at()));
            let above = above.map(|above| (above.resolved, above.settled, above.reports));
            let Some(draft) = drafts.get_mut(id.at()) else {
                continue;
            };
            if let Some(slot) = draft.unscoped {
                draft.resolved.add(slot, connectors);
            }
            draft.settled = draft.scoped.is_none();
            if let Some((general, settled, reports)) = above {
                draft.resolved.add_all(&general);
                draft.settled &= settled;
                draft.reports |= reports;
            }
        }
    }

    pub(super) fn finish(mut self, connectors: &[InboundConnector]) -> InboundIndex {
        let links = self.links();
        self.resolve(World::Enforced, &links, connectors);
        self.resolve(World::IfEnforced, &links, connectors);
        let mut parents = vec![None; self.nodes.len()];
        for (id, parent) in links {
            if let Some(place) = parents.get_mut(id.at()) {
                *place = parent;
            }
        }
        let Self {
            mut by_sender,
            by_address,
            nodes,
            if_enforced,
        } = self;
        by_sender.shrink();
        let mut others = if_enforced.into_iter();
        let mut scoped = Vec::new();
        let mut differing = Vec::new();
        let nodes: Vec<Node> = nodes
            .into_iter()
            .zip(parents)
            .map(|(draft, parent)| {
                let mut node = draft.into_node(parent, &mut scoped);
                if let Some(other) = others.next().filter(|other| other.reports) {
                    node.other = Some(Id::new(differing.len()));
                    differing.push(other.into_node(parent, &mut scoped));
                }
                node
            })
            .collect();
        InboundIndex {
            by_sender,
            by_address: NetworkRanges::new(&by_address),
            nodes: nodes.into(),
            if_enforced: differing.into(),
            scoped: scoped.into(),
        }
    }
}

impl Draft {
    fn into_node(self, parent: Option<NodeId>, scoped: &mut Vec<DomainTable<Slot>>) -> Node {
        Node {
            resolved: self.resolved,
            parent,
            scoped: self.scoped.map(|mut recipients| {
                recipients.shrink();
                scoped.push(*recipients);
                Id::new(scoped.len() - 1)
            }),
            other: None,
            prefix: self.prefix,
            own: self.unscoped.is_some(),
            settled: self.settled,
        }
    }
}
