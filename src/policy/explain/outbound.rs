//! Why an outbound decision is as it is.

use super::{
    super::{
        connector::{OutboundConnector, Scope},
        decision::{MatchedBy, Reason},
        facts::OutboundFacts,
        index::{Id, World},
        outbound::{self, Governing},
        requirement::TlsLevel,
        set::ConnectorSet,
    },
    ByName, Chain, Considered, Demand, DemandKind, Explanation, breadth, certificate_expected,
    certificate_seen, certificate_text, kept_out, named, not_in, version_seen,
};

/// Explains the decision about a message; `asked` names connectors to account for in any case.
pub fn explain_outbound<'a>(
    set: &'a ConnectorSet,
    facts: &'a OutboundFacts<'a>,
    asked: &'a [String],
) -> Explanation<'a> {
    let decision = outbound::decide_outbound(set, facts);
    let mut chains = Vec::new();
    for (world, if_enforced) in set.worlds() {
        chains.extend(chain(set, world, facts, if_enforced));
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

fn chain<'a>(
    set: &'a ConnectorSet,
    world: World,
    facts: &'a OutboundFacts<'a>,
    if_enforced: bool,
) -> Option<Chain<'a>> {
    let governs = Governing::of(set, facts).ok();
    let governs = governs.and_then(|(enforced, other)| match world {
        World::Enforced => enforced,
        World::IfEnforced => other,
    });
    let (by, considered) = match facts.rule_connector {
        Some(name) => (
            MatchedBy::Rule,
            by_rule(set, name, if_enforced).into_iter().collect(),
        ),
        None => (
            MatchedBy::RecipientDomain,
            by_recipient(set, world, facts, governs, if_enforced),
        ),
    };
    if Vec::is_empty(&considered) {
        return None;
    }
    let replaced: Vec<&str> = considered
        .iter()
        .filter(|(_, considered)| considered.because.starts_with(LESS_SPECIFIC))
        .map(|(_, considered)| considered.connector)
        .collect();
    let demands = match governs {
        Some(governs) if if_enforced || governs.connector.mode.enforces() => {
            demands(&governs, facts, &replaced)
        }
        Some(_) | None => Vec::new(),
    };
    let considered = considered
        .into_iter()
        .map(|(_, considered)| considered)
        .collect();
    Some(Chain {
        by,
        if_enforced,
        considered,
        demands,
    })
}

fn by_rule<'a>(
    set: &'a ConnectorSet,
    name: &str,
    if_enforced: bool,
) -> Option<(usize, Considered<'a>)> {
    let is_rule = |connector: &&OutboundConnector| matches!(connector.scope, Scope::Rule);
    let mut rules = set.outbound().iter().filter(is_rule);
    let connector = rules.find(|connector| &*connector.name == name)?;
    let because = match kept_out(connector.mode, if_enforced) {
        Some(why) if connector.mode.reports() => {
            format!("{why}: it keeps its route and demands nothing")
        }
        why => why.unwrap_or_default().to_owned(),
    };
    let applies = because.is_empty() || connector.mode.reports();
    let line = Some(connector.line);
    Some((
        0,
        Considered {
            connector: &connector.name,
            value: "",
            applies,
            because,
            line,
        },
    ))
}

fn by_recipient<'a>(
    set: &'a ConnectorSet,
    world: World,
    facts: &OutboundFacts<'_>,
    governs: Option<Governing<'a>>,
    if_enforced: bool,
) -> Vec<(usize, Considered<'a>)> {
    let recipient = facts.rcpt_to.domain();
    let mut all = Vec::new();
    for (at, connector) in set.outbound().iter().enumerate() {
        let id = Id::new(at);
        let Scope::Domains(patterns) = &connector.scope else {
            continue;
        };
        let matching = patterns
            .iter()
            .filter(|pattern| pattern.value.covers(recipient));
        let holder = |pattern: &_| set.by_outbound.holder(world, pattern);
        let rank = |pattern: &_| (holder(pattern) != Some(id), breadth(pattern));
        let Some(pattern) = matching.min_by_key(|pattern| rank(&pattern.value)) else {
            continue;
        };
        let holder = holder(&pattern.value)
            .filter(|&holder| holder != id)
            .and_then(|id| set.outbound().get(id.at()));
        let because = match (kept_out(connector.mode, if_enforced), holder, governs) {
            (Some(why), _, _) => why.to_owned(),
            (None, Some(holder), _) => {
                format!("`{}`, which is in report, takes its place", holder.name)
            }
            (None, None, Some(governs)) if governs.connector.name != connector.name => {
                format!("{LESS_SPECIFIC}`{}`", governs.connector.name)
            }
            (None, None, _) => String::new(),
        };
        let considered = Considered {
            connector: &connector.name,
            value: pattern.text(),
            applies: because.is_empty(),
            because,
            line: Some(connector.line),
        };
        all.push((breadth(&pattern.value), considered));
    }
    all.sort_by_key(|&(breadth, _)| breadth);
    all
}

fn demands<'a>(
    governs: &Governing<'a>,
    facts: &'a OutboundFacts<'a>,
    replaced: &[&'a str],
) -> Vec<Demand<'a>> {
    let connector = governs.connector;
    let require = &connector.require;
    let session = facts.session.as_ref();
    let tls = session.and_then(|session| session.tls.as_ref());
    let certificate = tls.and_then(|tls| tls.certificate.as_ref());
    let mut unmet = Vec::new();
    if let Some(session) = session {
        governs.check(session, &mut |reason| unmet.push(reason.reason));
    }
    // Why: without a session nothing is met yet, but for what asks nothing of it.
    let met = |reasons: &[Reason]| {
        session.is_some() && !unmet.iter().any(|reason| reasons.contains(reason))
    };
    let demand = |kind, text, expected: Vec<String>, observed: Vec<String>, met| Demand {
        kind,
        text,
        connector: &connector.name,
        replaces: replaced.to_vec(),
        expected,
        observed: if session.is_some() {
            observed
        } else {
            Vec::new()
        },
        met,
    };
    let mut demands = Vec::new();
    let (text, free) = match require.level {
        TlsLevel::Opportunistic => ("TLS where the next hop offers it", true),
        TlsLevel::Encrypt | TlsLevel::Trusted | TlsLevel::Domain => ("TLS", false),
    };
    demands.push(demand(
        DemandKind::Tls,
        text.into(),
        vec![require.level.as_str().into()],
        version_seen(tls),
        free || met(&[Reason::TlsRequired]),
    ));
    if let Some(minimum) = &require.min_version {
        demands.push(demand(
            DemandKind::TlsMinVersion,
            format!("{} or later", minimum.value),
            vec![minimum.text().to_owned()],
            version_seen(tls),
            met(&[Reason::TlsRequired, Reason::TlsVersionTooLow]),
        ));
    }
    let text = match (&require.certificate, require.level) {
        (Some(demand), _) => Some(certificate_text(demand)),
        (None, TlsLevel::Trusted) => Some("with a certificate from a trusted authority".into()),
        (None, _) => None,
    };
    if let Some(text) = text {
        let expected = require
            .certificate
            .iter()
            .flat_map(certificate_expected)
            .collect();
        let reasons = [
            Reason::TlsRequired,
            Reason::CertificateRequired,
            Reason::CertificateExpired,
            Reason::CertificateUntrusted,
            Reason::CertificateNameMismatch,
            Reason::CertificateFingerprintMismatch,
        ];
        demands.push(demand(
            DemandKind::Certificate,
            text,
            expected,
            certificate_seen(certificate),
            met(&reasons),
        ));
    }
    if !connector.smart_hosts.is_empty() {
        demands.push(demand(
            DemandKind::Route,
            format!("by {}", super::joined(&connector.smart_hosts)),
            super::texts(&connector.smart_hosts).collect(),
            session
                .map(|session| session.host_text.to_owned())
                .into_iter()
                .collect(),
            met(&[Reason::HostNotAllowed]),
        ));
    }
    demands
}

fn not_matched<'a>(
    set: &'a ConnectorSet,
    facts: &OutboundFacts<'_>,
    by_name: &ByName<'a>,
    name: &'a str,
) -> Considered<'a> {
    let connector = by_name.outbound.get(name);
    let because = match (
        connector.map(|connector| &connector.scope),
        facts.rule_connector,
    ) {
        (Some(Scope::Rule), Some(rule)) => format!("the call names `{rule}` instead"),
        (Some(Scope::Rule), None) => {
            "it has scope = \"rule\", and the call does not name it in rule_connector".into()
        }
        (Some(Scope::Domains(_)), Some(rule)) => {
            format!("the call names `{rule}` in rule_connector, which alone governs")
        }
        (Some(Scope::Domains(_)), None) => {
            format!(
                "{} is not among its recipient_domains",
                named(facts.rcpt_to.domain(), "recipient")
            )
        }
        (None, _) if by_name.inbound.contains_key(name) => "it is an inbound connector".into(),
        (None, _) => format!(
            "there is no outbound connector of this name in the set `{}`",
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

const LESS_SPECIFIC: &str = "a more specific one governs: ";
