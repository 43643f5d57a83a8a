//! The outbound connectors by the domains that they govern, and by name.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{ConnectorId, Id, Pass, Slot, World};
use crate::{
    mail::{Domain, DomainPattern, DomainTable},
    policy::connector::{Mode, OutboundConnector, Scope},
};

/// The outbound connectors of a set, by the domains that they govern and by name.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct OutboundIndex {
    by_recipient: DomainTable<Place>,
    rules: HashMap<Box<str>, ConnectorId, RandomState>,
}

/// Which connector has the place of a pattern, in each world.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    enforced: Option<Slot>,
    if_enforced: Option<Slot>,
}

impl OutboundIndex {
    pub(in crate::policy) fn new(connectors: &[OutboundConnector]) -> Self {
        let mut index = Self::default();
        for (at, connector) in connectors.iter().enumerate() {
            // Why: a call that names a connector in report gets it in either world.
            if matches!(connector.scope, Scope::Rule) && connector.mode.effective != Mode::Off {
                index.rules.insert(connector.name.clone(), Id::new(at));
            }
        }
        for world in [World::Enforced, World::IfEnforced] {
            for pass in [Pass::First, Pass::Second] {
                for (at, connector) in connectors.iter().enumerate() {
                    if let Scope::Domains(patterns) = &connector.scope
                        && world.counts(connector.mode) == Some(pass)
                    {
                        for (value, pattern) in patterns.iter().enumerate() {
                            let place = index.by_recipient.slot(&pattern.value);
                            let place = place.get_or_insert_default().of(world);
                            Slot::new(Id::new(at), value).take(place);
                        }
                    }
                }
            }
        }
        index.by_recipient.shrink();
        index.rules.shrink_to_fit();
        index
    }

    /// The connectors that govern mail to `recipient`: as enforced, and as if the reports were.
    pub(in crate::policy) fn by_recipient(
        &self,
        recipient: Option<&Domain>,
    ) -> (Option<Slot>, Option<Slot>) {
        let mut governing = Place::default();
        for place in self.by_recipient.covering(recipient) {
            governing.enforced = governing.enforced.or(place.enforced);
            governing.if_enforced = governing.if_enforced.or(place.if_enforced);
            if governing.enforced.is_some() && governing.if_enforced.is_some() {
                break;
            }
        }
        (governing.enforced, governing.if_enforced)
    }

    /// The connector of this name that is meant for transport rules.
    pub(in crate::policy) fn by_rule(&self, name: &str) -> Option<ConnectorId> {
        self.rules.get(name).copied()
    }

    /// The connector that has the place of this pattern.
    pub(in crate::policy) fn holder(
        &self,
        world: World,
        pattern: &DomainPattern,
    ) -> Option<ConnectorId> {
        let mut place = *self.by_recipient.get(pattern)?;
        place.of(world).map(|slot| slot.connector)
    }
}

impl Place {
    fn of(&mut self, world: World) -> &mut Option<Slot> {
        match world {
            World::Enforced => &mut self.enforced,
            World::IfEnforced => &mut self.if_enforced,
        }
    }
}
