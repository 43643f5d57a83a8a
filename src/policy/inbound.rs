//! The decision about mail that a remote server is sending to us.

use super::{
    connector::Partner,
    decision::{Decision, Matched, MatchedBy, Report, Verdict},
    facts::InboundFacts,
    index::{Chain, Id, NodeId, Slot, World},
    requirement::{Origin, Statement, Unmet, check_version},
    set::ConnectorSet,
    words::{self, Audience},
};
use crate::mail::Recipient;

/// Decides whether a session may hand us mail.
pub fn decide_inbound<'a>(set: &'a ConnectorSet, facts: &'a InboundFacts<'a>) -> Decision<'a> {
    let starts = Starts::of(set, facts);
    let mut decision = decide(set, &starts.chains(set, World::Enforced, facts), facts);
    if starts.has_reports(set) {
        let chains = starts.chains(set, World::IfEnforced, facts);
        if chains.sender.reported || chains.address.reported {
            let Decision {
                verdict,
                connector,
                rejections,
                ..
            } = decide(set, &chains, facts);
            decision.if_enforced = Some(Box::new(Report {
                verdict,
                connector,
                rejections,
            }));
        }
    }
    decision
}

/// Where both chains begin.
#[derive(Clone, Copy, Debug)]
struct Starts {
    sender: Option<NodeId>,
    address: Option<NodeId>,
}

impl Starts {
    fn of(set: &ConnectorSet, facts: &InboundFacts<'_>) -> Self {
        Self {
            sender: set.by_inbound.by_sender(facts.mail_from.domain()),
            address: set.by_inbound.by_address(facts.client_ip),
        }
    }

    /// Whether a connector in report may apply.
    fn has_reports(self, set: &ConnectorSet) -> bool {
        set.by_inbound.has_reports(self.sender) || set.by_inbound.has_reports(self.address)
    }

    fn chains(self, set: &ConnectorSet, world: World, facts: &InboundFacts<'_>) -> Chains {
        let recipient: Option<&Recipient> = facts.rcpt_to.as_ref();
        let chain = |start| set.by_inbound.chain(world, start, recipient, set.inbound());
        Chains {
            sender: chain(self.sender),
            address: chain(self.address),
        }
    }
}

/// What both chains come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chains {
    pub(super) sender: Chain,
    pub(super) address: Chain,
}

impl Chains {
    pub(super) fn of(set: &ConnectorSet, world: World, facts: &InboundFacts<'_>) -> Self {
        Starts::of(set, facts).chains(set, world, facts)
    }
}

fn decide<'a>(set: &'a ConnectorSet, chains: &Chains, facts: &'a InboundFacts<'a>) -> Decision<'a> {
    let by_sender = chains.sender.first.and_then(|slot| matched(set, slot));
    let by_address = chains.address.first.and_then(|slot| matched(set, slot));
    let mut decision = Decision::bare(Verdict::Accept);
    let mut sender_is_first = by_sender.is_some();

    if chains.sender.open || chains.address.open {
        decision.verdict = Verdict::Conditional;
    } else {
        let mut first: Option<(Unmet<'a>, bool)> = None;
        for (chain, is_sender) in [(&chains.sender, true), (&chains.address, false)] {
            let given = decision.rejections.len();
            check(set, chain, facts, &mut |unmet| {
                first.get_or_insert((unmet, is_sender));
                let earlier = decision.rejections.iter().take(given);
                if !earlier
                    .into_iter()
                    .any(|rejection| rejection.reason == unmet.reason)
                {
                    decision.rejections.push(words::rejection(&unmet));
                }
            });
        }
        if let Some((unmet, is_sender)) = first {
            let audience = if is_sender && facts.mail_from.domain().is_some() {
                Audience::SendingDomain
            } else {
                Audience::SendingAddress
            };
            sender_is_first = is_sender;
            decision.verdict = unmet.by.reply.action.into();
            decision.reply = Some(words::reply(&unmet, audience));
        }
    }
    (decision.connector, decision.also_matched) = if sender_is_first {
        (by_sender, by_address)
    } else {
        (by_address, by_sender)
    };
    decision
}

/// Gives all demands of a chain that the session does not meet to `unmet`, in the fixed order.
pub(super) fn check<'a>(
    set: &'a ConnectorSet,
    chain: &Chain,
    facts: &'a InboundFacts<'a>,
    unmet: &mut impl FnMut(Unmet<'a>),
) {
    let connector = |id: Id| set.inbound().get(id.at());
    let tls = facts.tls.as_ref();
    let mut tls_refused = false;
    if let Some(connector) = chain.tls.and_then(connector)
        && let Some(demand) = connector.require.tls
        && let Some(plaintext) = demand.check(statement(connector), tls)
    {
        tls_refused = true;
        unmet(plaintext);
    }
    if let Some(connector) = chain.min_version.and_then(connector)
        && let Some(minimum) = &connector.require.min_version
        && let Some(too_low) = check_version(minimum, statement(connector), tls)
    {
        unmet(too_low);
    }
    if let Some(connector) = chain.origin.and_then(connector)
        && let Some(Origin::Restricted(demand)) = &connector.require.origin
    {
        demand.check(
            statement(connector),
            facts.client_ip,
            tls,
            tls_refused,
            unmet,
        );
    }
}

pub(super) fn statement(connector: &super::connector::InboundConnector) -> Statement<'_> {
    Statement {
        connector: &connector.name,
        reply: &connector.reply,
    }
}

/// The connector of `slot`, with the pattern that matched as written.
pub(super) fn matched(set: &ConnectorSet, slot: Slot) -> Option<Matched<'_>> {
    let connector = set.inbound().get(slot.connector.at())?;
    let value = slot.value as usize;
    let (by, value) = match &connector.partner {
        Partner::SenderDomains(patterns) => (MatchedBy::SenderDomain, patterns.get(value)?.text()),
        Partner::ClientIps(networks) => (MatchedBy::ClientIp, networks.get(value)?.text()),
    };
    Some(Matched {
        name: &connector.name,
        by,
        value,
    })
}
