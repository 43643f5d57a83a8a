//! Inbound connectors that lift or replace what a more general one demands.
//!
//! Each connector is compared, for each of its patterns and each of its recipient patterns, with
//! the one that would decide in its place: the nearest more general one that states the same
//! demand. Where nothing is taken from that one, the connectors for narrower recipients than its
//! own are looked at, too.

mod taking;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    ops::Bound,
};

use foldhash::fast::RandomState;

use self::taking::{Asked, KINDS, Kind, Taking};
use super::super::{check::Placed, finding::Findings};
use crate::{
    mail::{DomainPattern, DomainTable, Network, NetworkTable},
    policy::connector::{InboundConnector, Mode, Partner},
};

/// A connector of the list that is judged.
type At = usize;

/// The connectors that match by one pattern.
#[derive(Debug, Default)]
struct Place<'a> {
    unscoped: Option<At>,
    scoped: Option<Box<DomainTable<At>>>,
    /// The scoped ones that ask something, by what they ask.
    asking: BTreeMap<(Kind, Asked), BTreeMap<Downwards<'a>, At>>,
}

/// A recipient pattern in an order in which all that it includes follow it directly.
#[derive(Clone, Copy, Debug)]
struct Downwards<'a>(&'a DomainPattern);

/// One connector on the way through its patterns.
struct Special<'a> {
    at: At,
    connector: &'a InboundConnector,
    all: &'a [Placed<InboundConnector>],
}

/// Points out inbound connectors that take away what a more general one demands.
pub(super) fn inbound(connectors: &[Placed<InboundConnector>], findings: &mut Findings) {
    let mut senders: DomainTable<Place<'_>> = DomainTable::default();
    let mut networks: NetworkTable<Place<'_>> = NetworkTable::new();
    let enforcing = || {
        let all = connectors.iter().enumerate();
        all.filter(|(_, placed)| placed.connector.mode.own == Mode::Enforce)
    };
    for (at, Placed { connector, .. }) in enforcing() {
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for pattern in patterns {
                    senders
                        .slot(&pattern.value)
                        .get_or_insert_default()
                        .add(at, connector);
                }
            }
            Partner::ClientIps(list) => {
                for network in list {
                    if networks.get(&network.value).is_none() {
                        networks.insert(network.value, Place::default());
                    }
                    if let Some(place) = networks.get_mut(&network.value) {
                        place.add(at, connector);
                    }
                }
            }
        }
    }
    for (at, placed) in enforcing() {
        if !KINDS
            .iter()
            .any(|kind| kind.could_take(&placed.connector.require))
        {
            continue;
        }
        let special = Special {
            at,
            connector: &placed.connector,
            all: connectors,
        };
        let mut told: HashMap<(At, Kind), usize, RandomState> = HashMap::default();
        let mut takings: Vec<Taking<'_>> = Vec::new();
        for nth in 0..placed.patterns.len() {
            let above = match &placed.connector.partner {
                Partner::SenderDomains(patterns) => patterns
                    .get(nth)
                    .map(|pattern| above_domain(&senders, &pattern.value))
                    .unwrap_or_default(),
                Partner::ClientIps(list) => list
                    .get(nth)
                    .map(|network| above_network(&networks, network.value))
                    .unwrap_or_default(),
            };
            for kind in KINDS {
                if !kind.could_take(&placed.connector.require) {
                    continue;
                }
                for (general, to) in special.takes_from(&above, kind) {
                    match told.entry((general, kind)) {
                        Entry::Vacant(entry) => {
                            entry.insert(takings.len());
                            takings.extend(connectors.get(general).map(|general| Taking {
                                kind,
                                general,
                                nth,
                                to,
                                others: false,
                            }));
                        }
                        Entry::Occupied(entry) => {
                            if let Some(taking) = takings.get_mut(*entry.get()) {
                                taking.others |= taking.nth == nth;
                            }
                        }
                    }
                }
            }
        }
        for taking in takings {
            taking.tell(placed, findings);
        }
    }
}

impl<'a> Place<'a> {
    fn add(&mut self, at: At, connector: &'a InboundConnector) {
        if connector.recipient_domains.is_empty() {
            self.unscoped.get_or_insert(at);
            return;
        }
        let scoped = self.scoped.get_or_insert_default();
        for recipients in &connector.recipient_domains {
            scoped.slot(&recipients.value).get_or_insert(at);
        }
        for kind in KINDS {
            if let Some(asked) = kind.asked(&connector.require) {
                let asking = self.asking.entry((kind, asked)).or_default();
                for recipients in &connector.recipient_domains {
                    asking.entry(Downwards(&recipients.value)).or_insert(at);
                }
            }
        }
    }

    /// The connectors that apply to mail to all of `recipients`, the most specific first.
    fn covering(&self, recipients: &DomainPattern) -> impl Iterator<Item = At> {
        let scoped = self.scoped.iter().flat_map(|scoped| {
            let own = scoped.get(recipients).into_iter();
            own.chain(scoped.parents(recipients))
        });
        scoped.chain(self.unscoped.as_ref()).copied()
    }

    /// The narrower patterns than `recipients` for which something is asked that `special` could
    /// take, the most that is asked first.
    fn within(
        &self,
        recipients: &'a DomainPattern,
        kind: Kind,
        special: &InboundConnector,
    ) -> impl Iterator<Item = &'a DomainPattern> {
        let asking = self.asking.iter().rev();
        let asking = asking
            .filter(move |&(&(of, asked), _)| of == kind && kind.takes_of(asked, &special.require));
        asking.flat_map(move |(_, asking)| {
            let after = (Bound::Excluded(Downwards(recipients)), Bound::Unbounded);
            let after = asking.range(after).map(|(narrower, _)| narrower.0);
            after.take_while(|narrower| recipients.includes(narrower))
        })
    }
}

impl<'a> Special<'a> {
    /// The connectors from which it takes, each with the recipients for whose mail, where not for
    /// everyone's. `above` are its place and the more general ones.
    fn takes_from(
        &self,
        above: &[&Place<'a>],
        kind: Kind,
    ) -> impl Iterator<Item = (At, Option<&'a DomainPattern>)> {
        let scopes = self.connector.recipient_domains.iter();
        let scopes = scopes.map(|scope| Some(&scope.value));
        let unscoped = self.connector.recipient_domains.is_empty();
        let scopes = scopes.chain(unscoped.then_some(None));
        scopes.filter_map(move |scope| {
            let recipients = scope.unwrap_or(&DomainPattern::Any);
            self.taken_for(above, recipients, kind)
                .map(|general| (general, scope))
                .or_else(|| self.taken_within(above, recipients, kind))
        })
    }

    /// The connector from which it takes for mail to any of `recipients`.
    fn taken_for(
        &self,
        above: &[&Place<'_>],
        recipients: &DomainPattern,
        kind: Kind,
    ) -> Option<At> {
        let general = self.general(above, recipients, kind)?;
        let wider = &self.all.get(general)?.connector.require;
        kind.takes(&self.connector.require, wider)
            .then_some(general)
    }

    /// The first connector from which it takes only for mail to fewer than `recipients`, and which.
    fn taken_within(
        &self,
        above: &[&Place<'a>],
        recipients: &'a DomainPattern,
        kind: Kind,
    ) -> Option<(At, Option<&'a DomainPattern>)> {
        // Why: at its own place those for narrower recipients are the more specific ones.
        let places = above.iter().skip(1);
        places
            .flat_map(|place| place.within(recipients, kind, self.connector))
            .take(MOST_WITHIN)
            .find_map(|narrower| {
                let general = self.taken_for(above, narrower, kind)?;
                Some((general, Some(narrower)))
            })
    }

    /// The connector that would decide for mail to `recipients` in its place; none where another
    /// decides already, or nothing would be demanded.
    fn general(&self, above: &[&Place<'_>], recipients: &DomainPattern, kind: Kind) -> Option<At> {
        let mut passed = false;
        for place in above {
            for at in place.covering(recipients) {
                if at == self.at {
                    passed = true;
                } else if self
                    .all
                    .get(at)
                    .is_some_and(|placed| kind.stated(&placed.connector.require))
                {
                    return passed.then_some(at);
                }
            }
        }
        None
    }
}

impl Ord for Downwards<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (domain, exact) = self.parts();
        let (its, its_exact) = other.parts();
        match (domain, its) {
            (Some(domain), Some(its)) => domain.rsplit('.').cmp(its.rsplit('.')),
            (domain, its) => domain.is_some().cmp(&its.is_some()),
        }
        .then(exact.cmp(&its_exact))
    }
}

impl PartialOrd for Downwards<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Downwards<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Downwards<'_> {}

impl<'a> Downwards<'a> {
    /// Its name, and whether it is that alone.
    fn parts(self) -> (Option<&'a str>, bool) {
        match self.0 {
            DomainPattern::Any => (None, false),
            DomainPattern::Subtree(domain) => (Some(domain.as_str()), false),
            DomainPattern::Exact(domain) => (Some(domain.as_str()), true),
        }
    }
}

/// The places of a pattern and of all that are more general, the most specific first.
fn above_domain<'t, 'a>(
    table: &'t DomainTable<Place<'a>>,
    pattern: &DomainPattern,
) -> Vec<&'t Place<'a>> {
    let mut places: Vec<_> = table.get(pattern).into_iter().collect();
    places.extend(table.parents(pattern));
    places
}

fn above_network<'t, 'a>(
    table: &'t NetworkTable<Place<'a>>,
    network: Network,
) -> Vec<&'t Place<'a>> {
    table.covering(network).map(|(_, place)| place).collect()
}

/// How many narrower recipient patterns are looked at for each pattern and recipient pattern of a
/// connector, so that large sets are judged quickly. Every one of them asks something that the
/// connector could take: the first is missed only where so many are decided by others.
const MOST_WITHIN: usize = 32;

#[cfg(test)]
mod tests;
