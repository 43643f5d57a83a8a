//! What connectors demand along their cascades, for mail that matches nothing more specific.

mod world;

use self::world::World;
use crate::{
    mail::{DomainPattern, Network},
    policy::{
        ConnectorSet,
        connector::{InboundConnector, Mode},
    },
};

/// The cascades of one connector set's inbound connectors.
#[derive(Debug)]
pub(crate) struct Inheritance<'a> {
    enforced: World<'a>,
    if_enforced: World<'a>,
}

/// What holds of each demand; none where nothing states it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stated<'a> {
    /// The connector that states whether TLS is needed.
    pub(crate) tls: Option<&'a InboundConnector>,
    /// The connector that states the minimum version.
    pub(crate) min_version: Option<&'a InboundConnector>,
    /// The connector that states the origin.
    pub(crate) origin: Option<&'a InboundConnector>,
}

/// The connectors that share a pattern, or a recipient pattern: equal where they are the same.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Company(u32);

/// A pattern by which a connector recognises its partner.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By<'a> {
    /// The domain of the envelope sender.
    Sender(&'a DomainPattern),
    /// The address of the sending server.
    Address(&'a Network),
}

impl<'a> Inheritance<'a> {
    /// The cascades of `set`, as enforced and as if the reports were.
    pub(crate) fn of(set: &'a ConnectorSet) -> Self {
        let enforced = World::of(set.inbound(), &[Mode::Enforce]);
        let reports = set.inbound().iter().any(|it| it.mode.reports());
        let if_enforced = if reports {
            World::of(set.inbound(), &[Mode::Enforce, Mode::Report])
        } else {
            World::default()
        };
        Self {
            enforced,
            if_enforced,
        }
    }

    /// What mail must meet that `connector` matches by this pair of patterns and no other more
    /// specifically. One in report is looked at as if the reports were enforced; one that is off
    /// inherits nothing.
    pub(crate) fn stated(
        &self,
        connector: &'a InboundConnector,
        by: By<'_>,
        recipients: Option<&DomainPattern>,
    ) -> Stated<'a> {
        let mut stated = Stated::default();
        stated.add(connector);
        if let Some(world) = self.world_above(connector) {
            world.inherit(&mut stated, by, recipients);
        }
        stated
    }

    /// What `connector` may inherit by a pattern. Two of its patterns of which this is equal
    /// inherit the same, whatever the recipients.
    pub(crate) fn above(&self, connector: &'a InboundConnector, by: By<'_>) -> Vec<Company> {
        self.world_above(connector)
            .map_or_else(Vec::new, |world| world.above(connector, by))
    }

    /// What `connector` may inherit for mail to these recipients. Two of its recipient patterns of
    /// which this is equal inherit the same, whatever the pattern.
    pub(crate) fn above_scope(
        &self,
        connector: &'a InboundConnector,
        recipients: &DomainPattern,
    ) -> Vec<Company> {
        self.world_above(connector)
            .map_or_else(Vec::new, |world| world.above_scope(connector, recipients))
    }

    /// Where `connector` inherits from; none where it is off, or states all demands itself.
    fn world_above(&self, connector: &'a InboundConnector) -> Option<&World<'a>> {
        let mut own = Stated::default();
        own.add(connector);
        match connector.mode.effective {
            _ if own.is_complete() => None,
            Mode::Enforce => Some(&self.enforced),
            Mode::Report => Some(&self.if_enforced),
            Mode::Off => None,
        }
    }
}

impl<'a> Stated<'a> {
    /// A connector after all the more specific ones.
    fn add(&mut self, connector: &'a InboundConnector) {
        let require = &connector.require;
        if require.tls.is_some() {
            self.tls.get_or_insert(connector);
        }
        if require.min_version.is_some() {
            self.min_version.get_or_insert(connector);
        }
        if require.origin.is_some() {
            self.origin.get_or_insert(connector);
        }
    }

    /// Whether each demand is stated, so that nothing more is inherited.
    fn is_complete(&self) -> bool {
        self.tls.is_some() && self.min_version.is_some() && self.origin.is_some()
    }

    /// The same connectors, for comparing.
    pub(crate) fn names(&self) -> [Option<&'a str>; 3] {
        [self.tls, self.min_version, self.origin].map(|it| it.map(|connector| &*connector.name))
    }
}

#[cfg(test)]
mod tests;
