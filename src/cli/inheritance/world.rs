//! The connectors that count, so that what lies above a pattern is found in few steps.
//!
//! It stays about as large as what the file lists, though each connector stands for every pair of
//! its patterns and recipient patterns.

use std::{cmp::Reverse, collections::HashMap, rc::Rc};

use super::{By, Company, Stated};
use crate::{
    mail::{DomainPattern, DomainTable, NetworkTable},
    policy::connector::{InboundConnector, Mode, Partner},
};

/// The connectors that count, by their patterns.
#[derive(Debug, Default)]
pub(super) struct World<'a> {
    by_sender: DomainTable<Node<'a>>,
    by_address: NetworkTable<Node<'a>>,
    by_recipients: DomainTable<Company>,
    companies: Companies<'a>,
}

impl<'a> World<'a> {
    /// The connectors whose effective mode is among `modes`. One with report written on it takes
    /// the place of an enforcing one with the same pattern and scope.
    pub(super) fn of(connectors: &'a [InboundConnector], modes: &[Mode]) -> Self {
        let mut world = Self::default();
        for own in [Mode::Enforce, Mode::Report] {
            let counting = connectors.iter().filter(|connector| {
                connector.mode.own == own && modes.contains(&connector.mode.effective)
            });
            for connector in counting {
                world.place(connector);
            }
        }
        world
    }

    fn place(&mut self, connector: &'a InboundConnector) {
        let placed = Placed::of(connector);
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for pattern in patterns {
                    let node = self.by_sender.slot(&pattern.value);
                    node.get_or_insert_default()
                        .put(&placed, &mut self.companies);
                }
            }
            Partner::ClientIps(networks) => {
                for network in networks {
                    if let Some(node) = self.by_address.get_mut(&network.value) {
                        node.put(&placed, &mut self.companies);
                    } else {
                        let mut node = Node::default();
                        node.put(&placed, &mut self.companies);
                        self.by_address.insert(network.value, node);
                    }
                }
            }
        }
        for recipients in &connector.recipient_domains {
            let company = self.by_recipients.slot(&recipients.value);
            let company = company.get_or_insert_default();
            *company = self.companies.join(*company, connector);
        }
    }

    /// Adds what mail matching `by` and `recipients` inherits, the most specific first.
    pub(super) fn inherit(
        &self,
        stated: &mut Stated<'a>,
        by: By<'_>,
        recipients: Option<&DomainPattern>,
    ) {
        for node in self.nodes(by) {
            node.inherit(stated, recipients);
            if stated.is_complete() {
                return;
            }
        }
    }

    /// Who is met on the way up from `by`, but for `connector` where it is alone.
    pub(super) fn above(&self, connector: &'a InboundConnector, by: By<'_>) -> Vec<Company> {
        let companies = self.nodes(by).map(|node| node.company);
        self.companies.without(connector, companies)
    }

    /// Who is met on the way up from `recipients`, but for `connector` where it is alone.
    pub(super) fn above_scope(
        &self,
        connector: &'a InboundConnector,
        recipients: &DomainPattern,
    ) -> Vec<Company> {
        let companies = upwards(&self.by_recipients, recipients).copied();
        self.companies.without(connector, companies)
    }

    /// The nodes of `by` and of all above it, the most specific first.
    fn nodes<'w>(&'w self, by: By<'w>) -> Box<dyn Iterator<Item = &'w Node<'a>> + 'w> {
        match by {
            By::Sender(pattern) => Box::new(upwards(&self.by_sender, pattern)),
            By::Address(network) => {
                Box::new(self.by_address.covering(*network).map(|(_, node)| node))
            }
        }
    }
}

/// A connector that is put at each of its patterns.
struct Placed<'a> {
    connector: &'a InboundConnector,
    /// Its recipient patterns, where nodes share them because copies would be too many.
    shared: Option<Rc<Wide<'a>>>,
}

impl<'a> Placed<'a> {
    fn of(connector: &'a InboundConnector) -> Self {
        let recipients = &connector.recipient_domains;
        let patterns = match &connector.partner {
            Partner::SenderDomains(patterns) => patterns.len(),
            Partner::ClientIps(networks) => networks.len(),
        };
        let listed = patterns.saturating_add(recipients.len());
        let wide = patterns.saturating_mul(recipients.len()) > listed.saturating_mul(COPIES);
        let shared = wide.then(|| {
            let mut scopes = DomainTable::default();
            for pattern in recipients {
                *scopes.slot(&pattern.value) = Some(&pattern.value);
            }
            Rc::new(Wide { connector, scopes })
        });
        Self { connector, shared }
    }
}

/// A connector with many patterns and many recipient patterns.
#[derive(Debug)]
struct Wide<'a> {
    connector: &'a InboundConnector,
    scopes: DomainTable<&'a DomainPattern>,
}

/// The connectors of one pattern, by the recipients that they are meant for.
#[derive(Debug, Default)]
struct Node<'a> {
    company: Company,
    scoped: DomainTable<(&'a DomainPattern, &'a InboundConnector)>,
    wide: Vec<Rc<Wide<'a>>>,
    unscoped: Option<&'a InboundConnector>,
}

impl<'a> Node<'a> {
    fn put(&mut self, placed: &Placed<'a>, companies: &mut Companies<'a>) {
        let connector = placed.connector;
        self.company = companies.join(self.company, connector);
        if let Some(wide) = &placed.shared {
            self.wide.push(Rc::clone(wide));
            return;
        }
        if connector.recipient_domains.is_empty() {
            self.unscoped = Some(connector);
        }
        for recipients in &connector.recipient_domains {
            *self.scoped.slot(&recipients.value) = Some((&recipients.value, connector));
        }
    }

    /// The connectors of this pattern that apply to all of `recipients`, the most specific first.
    fn inherit(&self, stated: &mut Stated<'a>, recipients: Option<&DomainPattern>) {
        if let Some(recipients) = recipients {
            let mut applying: Vec<_> = upwards(&self.scoped, recipients).copied().collect();
            for wide in &self.wide {
                let scopes = upwards(&wide.scopes, recipients);
                applying.extend(scopes.map(|scope| (*scope, wide.connector)));
            }
            applying.sort_by_key(|(scope, connector)| {
                (Reverse(narrowness(scope)), Reverse(connector.mode.own))
            });
            // Why: of two with the same scope the one in report, which sorts first, takes the place.
            applying.dedup_by_key(|(scope, _)| narrowness(scope));
            for (_, connector) in applying {
                stated.add(connector);
            }
        }
        if let Some(connector) = self.unscoped {
            stated.add(connector);
        }
    }
}

/// Tells which connectors are together, without listing them each time.
#[derive(Debug, Default)]
struct Companies<'a> {
    /// Who joins whom, by name, and what comes of it.
    joined: HashMap<(Company, &'a str), Company>,
}

impl<'a> Companies<'a> {
    /// The company that `connector` makes with those of `company`, who all joined before.
    fn join(&mut self, company: Company, connector: &'a InboundConnector) -> Company {
        let next = Company(u32::try_from(self.joined.len() + 1).unwrap_or(u32::MAX));
        *self
            .joined
            .entry((company, &*connector.name))
            .or_insert(next)
    }

    /// Those of `companies` that are more than `connector` itself.
    fn without(
        &self,
        connector: &'a InboundConnector,
        companies: impl Iterator<Item = Company>,
    ) -> Vec<Company> {
        let alone = self.joined.get(&(Company::default(), &*connector.name));
        companies.filter(|company| Some(company) != alone).collect()
    }
}

/// The values of `pattern` and of the wildcards above it, the most specific first.
fn upwards<'t, T>(
    table: &'t DomainTable<T>,
    pattern: &'t DomainPattern,
) -> impl Iterator<Item = &'t T> {
    table.get(pattern).into_iter().chain(table.parents(pattern))
}

/// Orders patterns that all cover the same mail: the more, the more specific.
fn narrowness(pattern: &DomainPattern) -> usize {
    match pattern {
        DomainPattern::Any => 0,
        DomainPattern::Subtree(domain) => domain.label_count(),
        DomainPattern::Exact(_) => usize::MAX,
    }
}

/// How many times as many entries as its lists have a connector may make in a world.
const COPIES: usize = 16;
