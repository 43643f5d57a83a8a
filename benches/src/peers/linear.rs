//! A scan of all connectors, one by one, keeping the most specific that states each demand: what
//! one writes first, and what is fastest while there are few.
//!
//! It reads the very connectors that Postern made of the text, parsed and compared as Postern
//! does; only the look-up differs. It gives verdicts and reasons, and builds neither sentences nor
//! a reply, which Postern does for a refusal.

use postern::{
    mail::{Domain, DomainPattern},
    policy::{
        ConnectorSet, InboundFacts, Reason, Verdict,
        connector::{InboundConnector, Partner},
        facts::{TlsFacts, Trust},
        requirement::{CertificateDemand, Origin, OriginDemand, TlsDemand},
    },
};

use super::Meaning;

/// How specific a match is: of the partner, then of the recipient.
type Rank = (usize, usize);

/// The most specific connector that states something, so far.
#[derive(Clone, Copy, Default)]
struct Best<'s>(Option<(Rank, &'s InboundConnector)>);

/// What one chain comes to.
#[derive(Clone, Copy, Default)]
struct Chain<'s> {
    tls: Best<'s>,
    min_version: Best<'s>,
    origin: Best<'s>,
    open: bool,
}

impl<'s> Best<'s> {
    fn offer(&mut self, rank: Rank, connector: &'s InboundConnector) {
        if self.0.is_none_or(|(best, _)| best < rank) {
            self.0 = Some((rank, connector));
        }
    }

    fn get(self) -> Option<&'s InboundConnector> {
        self.0.map(|(_, connector)| connector)
    }
}

/// The answer for a session, found by looking at every connector.
pub fn decide(set: &ConnectorSet, facts: &InboundFacts<'_>) -> Meaning {
    let (mut sender, mut address) = (Chain::default(), Chain::default());
    let domain = facts.mail_from.domain();
    for connector in set.inbound() {
        if !connector.mode.enforces() {
            continue;
        }
        let (chain, partner) = match &connector.partner {
            Partner::SenderDomains(patterns) => {
                let covering = patterns.iter().filter(|p| p.value.covers(domain));
                (&mut sender, covering.map(|p| domain_rank(&p.value)).max())
            }
            Partner::ClientIps(networks) => {
                let holding = networks
                    .iter()
                    .filter(|n| n.value.contains(facts.client_ip));
                let longest = holding.map(|n| usize::from(n.value.prefix_len())).max();
                (&mut address, longest)
            }
        };
        let Some(partner) = partner else { continue };
        let recipient = if connector.recipient_domains.is_empty() {
            Some(0)
        } else if let Some(recipient) = &facts.rcpt_to {
            recipient_rank(connector, recipient.domain())
        } else {
            chain.open = true;
            None
        };
        let Some(recipient) = recipient else { continue };
        let rank = (partner, recipient);
        if connector.require.tls.is_some() {
            chain.tls.offer(rank, connector);
        }
        if connector.require.min_version.is_some() {
            chain.min_version.offer(rank, connector);
        }
        if connector.require.origin.is_some() {
            chain.origin.offer(rank, connector);
        }
    }
    if sender.open || address.open {
        return Meaning {
            verdict: Verdict::Conditional,
            reasons: Vec::new(),
        };
    }
    let mut unmet: Vec<(Reason, &InboundConnector)> = Vec::new();
    check(&sender, facts, &mut unmet);
    let of_sender = unmet.len();
    check(&address, facts, &mut unmet);
    let mut reasons: Vec<Reason> = Vec::with_capacity(unmet.len());
    for (at, (reason, _)) in unmet.iter().enumerate() {
        if at < of_sender
            || !unmet
                .iter()
                .take(of_sender)
                .any(|(given, _)| given == reason)
        {
            reasons.push(*reason);
        }
    }
    let first = unmet.first();
    Meaning {
        verdict: first.map_or(Verdict::Accept, |(_, by)| by.reply.action.into()),
        reasons,
    }
}

fn domain_rank(pattern: &DomainPattern) -> usize {
    match pattern {
        DomainPattern::Any => 1,
        DomainPattern::Subtree(base) => 1 + base.label_count(),
        DomainPattern::Exact(_) => 2 + Domain::MAX_LABELS,
    }
}

fn recipient_rank(connector: &InboundConnector, domain: Option<&Domain>) -> Option<usize> {
    let patterns = connector.recipient_domains.iter();
    let covering = patterns.filter(|pattern| pattern.value.covers(domain));
    covering.map(|pattern| domain_rank(&pattern.value)).max()
}

fn check<'s>(
    chain: &Chain<'s>,
    facts: &InboundFacts<'_>,
    unmet: &mut Vec<(Reason, &'s InboundConnector)>,
) {
    let tls = facts.tls.as_ref();
    let mut tls_refused = false;
    if let Some(by) = chain.tls.get()
        && by.require.tls == Some(TlsDemand::Encrypt)
        && tls.is_none()
    {
        tls_refused = true;
        unmet.push((Reason::TlsRequired, by));
    }
    if let Some(by) = chain.min_version.get()
        && let Some(minimum) = &by.require.min_version
        && tls.is_some_and(|tls| tls.version < minimum.value)
    {
        unmet.push((Reason::TlsVersionTooLow, by));
    }
    if let Some(by) = chain.origin.get()
        && let Some(Origin::Restricted(demand)) = &by.require.origin
    {
        let reasons = origin(demand, facts, tls_refused);
        unmet.extend(reasons.into_iter().flatten().map(|reason| (reason, by)));
    }
}

fn origin(
    demand: &OriginDemand,
    facts: &InboundFacts<'_>,
    tls_refused: bool,
) -> [Option<Reason>; 3] {
    let addresses = demand.addresses.as_ref();
    let at_home = addresses.map(|addresses| {
        let mut networks = addresses.networks.iter();
        networks.any(|network| network.value.contains(facts.client_ip))
    });
    if demand.either && at_home == Some(true) {
        return [None; 3];
    }
    let mut reasons = [None; 3];
    if let Some(certificate) = &demand.certificate {
        let [first, second] = proof(certificate, facts.tls.as_ref());
        if demand.either && first.is_none() && second.is_none() {
            return reasons;
        }
        if !tls_refused {
            reasons = [first, second, None];
        }
    }
    if at_home == Some(false) {
        reasons = [reasons[0], reasons[1], Some(Reason::ClientIpNotAllowed)];
    }
    reasons
}

fn proof(demand: &CertificateDemand, tls: Option<&TlsFacts<'_>>) -> [Option<Reason>; 2] {
    let Some(certificate) = tls.and_then(|tls| tls.certificate.as_ref()) else {
        return [Some(Reason::CertificateRequired), None];
    };
    let mut seen = certificate.fingerprints();
    if seen.any(|seen| demand.fingerprints.iter().any(|pin| pin.value == seen)) {
        return [None, None];
    }
    if demand.names.is_empty() {
        return [Some(Reason::CertificateFingerprintMismatch), None];
    }
    let trust = match certificate.trust {
        Trust::Trusted => None,
        Trust::Expired => Some(Reason::CertificateExpired),
        _ => Some(Reason::CertificateUntrusted),
    };
    let mut presented = certificate
        .names
        .iter()
        .filter_map(|name| name.name.as_ref());
    let named = presented.any(|seen| demand.names.iter().any(|name| name.value.matches(seen)));
    [trust, (!named).then_some(Reason::CertificateNameMismatch)]
}
