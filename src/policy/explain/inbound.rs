//! Why an inbound decision is as it is.

use super::{
    super::{
        connector::{InboundConnector, Partner, Written},
        decision::MatchedBy,
        facts::InboundFacts,
        inbound::{self, Chains},
        index::{self, Id, PartnerPattern, World},
        requirement::{InboundRequirement, Origin, TlsDemand, check_version},
        set::ConnectorSet,
    },
    ByName, Chain, Considered, Demand, DemandKind, Explanation, address_text, breadth,
    certificate_expected, certificate_seen, certificate_text, kept_out, named, not_in,
    version_seen,
};
use crate::mail::{DomainPattern, Network, Recipient};

/// Explains the decision about a session; `asked` names connectors to account for in any case.
pub fn explain_inbound<'a>(
    set: &'a ConnectorSet,
    facts: &'a InboundFacts<'a>,
    asked: &'a [String],
) -> Explanation<'a> {
    let decision = inbound::decide_inbound(set, facts);
    let mut chains = Vec::new();
    for (world, if_enforced) in set.worlds() {
        let resolved = Chains::of(set, world, facts);
        for (by, resolved) in [
            (MatchedBy::SenderDomain, resolved.sender),
            (MatchedBy::ClientIp, resolved.address),
        ] {
            let reading = Reading {
                set,
                facts,
                world,
                by,
                if_enforced,
            };
            chains.extend(reading.chain(&resolved));
        }
    }
    let not_matched = not_in(&chains, set, asked, |by_name, name| {
        not_matched(set, facts, by_name, name)
    });
    Explanation {
        decision,
        chains,
        not_matched,
    }
}

/// One chain of one world.
struct Reading<'a> {
    set: &'a ConnectorSet,
    facts: &'a InboundFacts<'a>,
    world: World,
    by: MatchedBy,
    if_enforced: bool,
}

impl<'a> Reading<'a> {
    fn chain(&self, resolved: &index::Chain) -> Option<Chain<'a>> {
        let connectors = self.set.inbound().iter().enumerate();
        let mut considered: Vec<_> = connectors
            .filter_map(|(at, connector)| self.consider(Id::new(at), connector))
            .collect();
        if considered.is_empty() {
            return None;
        }
        considered.sort_by_key(|&(breadth, _, _)| breadth);
        let demands = self.demands(resolved, &considered);
        let considered = considered
            .into_iter()
            .map(|(_, _, considered)| considered)
            .collect();
        Some(Chain {
            by: self.by,
            if_enforced: self.if_enforced,
            considered,
            demands,
        })
    }

    /// The connector as it stands in this chain, by the most specific of its patterns that applies,
    /// else by the most specific that matches.
    fn consider(
        &self,
        id: Id,
        connector: &'a InboundConnector,
    ) -> Option<((usize, usize), &'a InboundConnector, Considered<'a>)> {
        let mut best: Option<((usize, usize), &str, Option<String>)> = None;
        for (partner_breadth, pattern, text) in self.matching(connector) {
            let none = [None];
            let some: Vec<_> = connector.recipient_domains.iter().map(Some).collect();
            let scopes = if some.is_empty() { &none[..] } else { &some };
            for &scope in scopes {
                let breadth = (
                    partner_breadth,
                    scope.map_or(usize::MAX, |scope| breadth(&scope.value)),
                );
                let because = self.because(id, connector, pattern, scope);
                let better = best.as_ref().is_none_or(|(known, _, why)| {
                    (because.is_some(), breadth) < (why.is_some(), *known)
                });
                if better {
                    best = Some((breadth, text, because));
                }
            }
        }
        let (breadth, value, because) = best?;
        let considered = Considered {
            connector: &connector.name,
            value,
            applies: because.is_none(),
            because: because.unwrap_or_default(),
            line: Some(connector.line),
        };
        Some((breadth, connector, considered))
    }

    /// The patterns of the connector that match in this chain.
    fn matching(
        &self,
        connector: &'a InboundConnector,
    ) -> Vec<(usize, PartnerPattern<'a>, &'a str)> {
        let sender = self.facts.mail_from.domain();
        match (&connector.partner, self.by) {
            (Partner::SenderDomains(patterns), MatchedBy::SenderDomain) => patterns
                .iter()
                .filter(|pattern| pattern.value.covers(sender))
                .map(|pattern| {
                    (
                        breadth(&pattern.value),
                        PartnerPattern::Sender(&pattern.value),
                        pattern.text(),
                    )
                })
                .collect(),
            (Partner::ClientIps(networks), MatchedBy::ClientIp) => networks
                .iter()
                .filter(|network| network.value.contains(self.facts.client_ip))
                .map(|network| {
                    (
                        span(&network.value),
                        PartnerPattern::Address(&network.value),
                        network.text(),
                    )
                })
                .collect(),
            (Partner::SenderDomains(_) | Partner::ClientIps(_), _) => Vec::new(),
        }
    }

    /// Why the connector does not apply by this pair of patterns, if it does not.
    fn because(
        &self,
        id: Id,
        connector: &InboundConnector,
        pattern: PartnerPattern<'_>,
        scope: Option<&Written<DomainPattern>>,
    ) -> Option<String> {
        if let Some(why) = kept_out(connector.mode, self.if_enforced) {
            return Some(why.into());
        }
        if let Some(scope) = scope {
            let Some(recipient) = &self.facts.rcpt_to else {
                return Some("it is meant for some recipients only, and none is given".into());
            };
            if !scope.value.covers(recipient.domain()) {
                return Some(outside(recipient));
            }
        }
        let scope = scope.map(|scope| &scope.value);
        let holder = self.set.by_inbound.holder(self.world, pattern, scope);
        if holder == Some(id) {
            return None;
        }
        let holder = holder.and_then(|id| self.set.inbound().get(id.at()));
        Some(holder.map_or_else(
            || "another connector has its place".into(),
            |holder| format!("`{}`, which is in report, takes its place", holder.name),
        ))
    }

    /// The demands of the chain, with what each replaces.
    fn demands(
        &self,
        resolved: &index::Chain,
        considered: &[((usize, usize), &'a InboundConnector, Considered<'a>)],
    ) -> Vec<Demand<'a>> {
        let connector = |id: Option<Id>| self.set.inbound().get(id?.at());
        let replaced = |by: &InboundConnector, states: fn(&InboundRequirement) -> bool| {
            considered
                .iter()
                .filter(|(_, connector, considered)| {
                    considered.applies && connector.name != by.name && states(&connector.require)
                })
                .map(|(_, connector, _)| &*connector.name)
                .collect()
        };
        let tls = self.facts.tls.as_ref();
        let mut demands = Vec::new();
        if let Some(connector) = connector(resolved.tls)
            && let Some(demand) = connector.require.tls
        {
            demands.push(Demand {
                kind: DemandKind::Tls,
                text: match demand {
                    TlsDemand::Encrypt => "TLS".into(),
                    TlsDemand::Opportunistic => "TLS is not required".into(),
                },
                connector: &connector.name,
                replaces: replaced(connector, |require| require.tls.is_some()),
                expected: vec![demand.as_str().into()],
                observed: version_seen(tls),
                met: demand == TlsDemand::Opportunistic || tls.is_some(),
            });
        }
        if let Some(connector) = connector(resolved.min_version)
            && let Some(minimum) = &connector.require.min_version
        {
            demands.push(Demand {
                kind: DemandKind::TlsMinVersion,
                text: format!("{} or later, where there is TLS", minimum.value),
                connector: &connector.name,
                replaces: replaced(connector, |require| require.min_version.is_some()),
                expected: vec![minimum.text().to_owned()],
                observed: version_seen(tls),
                met: check_version(minimum, inbound::statement(connector), tls).is_none(),
            });
        }
        if let Some(connector) = connector(resolved.origin)
            && let Some(origin) = &connector.require.origin
        {
            demands.push(Demand {
                connector: &connector.name,
                replaces: replaced(connector, |require| require.origin.is_some()),
                ..self.origin(connector, origin)
            });
        }
        demands
    }

    fn origin(&self, connector: &'a InboundConnector, origin: &'a Origin) -> Demand<'a> {
        let certificate = self
            .facts
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref());
        let mut observed = Vec::new();
        let (text, expected, met) = match origin {
            Origin::Unrestricted => ("from anywhere".into(), Vec::new(), true),
            Origin::Restricted(demand) => {
                let addresses = demand.addresses.as_ref();
                let proofs: Vec<_> = addresses
                    .map(address_text)
                    .into_iter()
                    .chain(demand.certificate.as_ref().map(certificate_text))
                    .collect();
                let networks = addresses
                    .into_iter()
                    .flat_map(|demand| super::texts(&demand.networks));
                let certificates = demand.certificate.iter().flat_map(certificate_expected);
                if addresses.is_some() {
                    observed.push(self.facts.client_ip.to_string());
                }
                if demand.certificate.is_some() {
                    observed.extend(certificate_seen(certificate));
                }
                let mut met = true;
                let by = inbound::statement(connector);
                let tls = self.facts.tls.as_ref();
                demand.check(by, self.facts.client_ip, tls, false, &mut |_| met = false);
                let text = proofs.join(if demand.either { ", or " } else { ", and " });
                (text, networks.chain(certificates).collect(), met)
            }
        };
        Demand {
            kind: DemandKind::Origin,
            text,
            connector: &connector.name,
            replaces: Vec::new(),
            expected,
            observed,
            met,
        }
    }
}

fn not_matched<'a>(
    set: &'a ConnectorSet,
    facts: &InboundFacts<'_>,
    by_name: &ByName<'a>,
    name: &'a str,
) -> Considered<'a> {
    let connector = by_name.inbound.get(name);
    let because = match connector.map(|connector| &connector.partner) {
        Some(Partner::SenderDomains(_)) => {
            format!(
                "{} is not among its sender_domains",
                named(facts.mail_from.domain(), "sender")
            )
        }
        Some(Partner::ClientIps(_)) => format!("{} is in none of its client_ips", facts.client_ip),
        None if by_name.outbound.contains_key(name) => "it is an outbound connector".into(),
        None => format!(
            "there is no inbound connector of this name in the set `{}`",
            set.name()
        ),
    };
    let line = connector.map(|connector| connector.line);
    Considered {
        connector: name,
        value: "",
        applies: false,
        because,
        line,
    }
}

fn outside(recipient: &Recipient) -> String {
    format!(
        "{} is not among its recipient_domains",
        named(recipient.domain(), "recipient")
    )
}

/// Orders networks from the longest prefix to the shortest.
fn span(network: &Network) -> usize {
    usize::from(u8::MAX - network.prefix_len())
}
