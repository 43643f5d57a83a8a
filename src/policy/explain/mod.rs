//! Explanations: the decision, and how it came about.
//!
//! Decisions and demands come from the same code as without an explanation; what is added here is
//! why each connector does or does not apply. It reads all connectors of a set, one by one.

mod inbound;
mod outbound;

use std::collections::{HashMap, HashSet};

use super::{
    connector::{InboundConnector, Mode, Modes, OutboundConnector, Spelled, Written},
    decision::{Decision, MatchedBy},
    facts::{CertificateFacts, TlsFacts},
    requirement::{AddressDemand, CertificateDemand},
    set::ConnectorSet,
};
use crate::mail::{Domain, DomainPattern};

pub use inbound::explain_inbound;
pub use outbound::explain_outbound;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'a> {
    /// The decision.
    pub decision: Decision<'a>,
    /// The chains in which a connector matches: as enforced, then as if the reports were enforced.
    pub chains: Vec<Chain<'a>>,
    /// The connectors asked for that are in no chain.
    pub not_matched: Vec<Considered<'a>>,
}

/// The connectors whose patterns match, and what the mail must meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain<'a> {
    /// What its connectors were recognised by.
    pub by: MatchedBy,
    /// As if the connectors in report were in force, too.
    pub if_enforced: bool,
    /// From the most specific to the most general; those, too, that do not apply.
    pub considered: Vec<Considered<'a>>,
    /// Each demand, from the connector that states it.
    pub demands: Vec<Demand<'a>>,
}

/// A connector, and whether it applies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Considered<'a> {
    /// Its name.
    pub connector: &'a str,
    /// The pattern that matches, as written; empty where none does.
    pub value: &'a str,
    /// Whether it applies.
    pub applies: bool,
    /// Why it does not.
    pub because: String,
    /// The line at which it begins; none where there is no such connector.
    pub line: Option<u32>,
}

/// What mail must meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Demand<'a> {
    /// Of which kind.
    pub kind: DemandKind,
    /// It, in a sentence.
    pub text: String,
    /// Name of the connector that states it.
    pub connector: &'a str,
    /// The more general connectors whose demand of this kind it replaces.
    pub replaces: Vec<&'a str>,
    /// What will do, as written.
    pub expected: Vec<String>,
    /// What was seen.
    pub observed: Vec<String>,
    /// Whether it is met.
    pub met: bool,
}

/// The kinds of demands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DemandKind {
    /// The certificate of the next hop.
    Certificate,
    /// Where the mail comes from.
    Origin,
    /// The next hop itself.
    Route,
    /// That there is TLS.
    Tls,
    /// The lowest version of TLS.
    TlsMinVersion,
}

/// The connectors of a set by name, for calls that ask for many.
struct ByName<'a> {
    inbound: HashMap<&'a str, &'a InboundConnector>,
    outbound: HashMap<&'a str, &'a OutboundConnector>,
}

impl<'a> ByName<'a> {
    fn of(set: &'a ConnectorSet) -> Self {
        let inbound = set.inbound().iter();
        let outbound = set.outbound().iter();
        Self {
            inbound: inbound.map(|own| (&*own.name, own)).collect(),
            outbound: outbound.map(|own| (&*own.name, own)).collect(),
        }
    }
}

/// The names in `asked` that are in none of `chains`, each with what `account` says of it.
fn not_in<'a>(
    chains: &[Chain<'a>],
    set: &'a ConnectorSet,
    asked: &'a [String],
    account: impl Fn(&ByName<'a>, &'a str) -> Considered<'a>,
) -> Vec<Considered<'a>> {
    if asked.is_empty() {
        return Vec::new();
    }
    let considered = chains.iter().flat_map(|chain| &chain.considered);
    let known: HashSet<&str> = considered.map(|considered| considered.connector).collect();
    let by_name = ByName::of(set);
    asked
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| account(&by_name, name))
        .collect()
}

/// Orders patterns from the most specific to the most general.
fn breadth(pattern: &DomainPattern) -> usize {
    match pattern {
        DomainPattern::Exact(_) => 0,
        DomainPattern::Subtree(domain) => {
            Domain::MAX_LABELS.saturating_sub(domain.label_count()) + 1
        }
        DomainPattern::Any => usize::MAX - 1,
    }
}

/// Why a connector of these modes does not count, if it does not.
fn kept_out(mode: Modes, if_enforced: bool) -> Option<&'static str> {
    match (mode.effective, mode.own) {
        (Mode::Enforce, _) => None,
        (Mode::Report, _) if if_enforced => None,
        (Mode::Report, Mode::Report) => Some("it is in report"),
        (Mode::Report, _) => Some("its set is in report"),
        (Mode::Off, Mode::Off) => Some("it is off"),
        (Mode::Off, _) => Some("its set is off"),
    }
}

/// The domain, or what stands for it in a sentence.
fn named(domain: Option<&Domain>, role: &str) -> String {
    domain.map_or_else(|| format!("a {role} without a domain"), ToString::to_string)
}

fn version_seen(tls: Option<&TlsFacts<'_>>) -> Vec<String> {
    vec![tls.map_or("plaintext", |tls| tls.version_text).to_owned()]
}

fn certificate_expected(demand: &CertificateDemand) -> impl Iterator<Item = String> {
    texts(&demand.names).chain(texts(&demand.fingerprints))
}

fn certificate_seen(certificate: Option<&CertificateFacts<'_>>) -> Vec<String> {
    certificate.map_or_else(Vec::new, |certificate| {
        let names = certificate.names.iter().map(|name| name.text.to_string());
        names
            .chain(certificate.fingerprints().map(|pin| pin.to_string()))
            .collect()
    })
}

fn certificate_text(demand: &CertificateDemand) -> String {
    match (demand.names.is_empty(), demand.fingerprints.is_empty()) {
        (false, true) => format!("with a trusted certificate for {}", joined(&demand.names)),
        (true, _) => format!(
            "with a certificate of fingerprint {}",
            joined(&demand.fingerprints)
        ),
        (false, false) => format!(
            "with a trusted certificate for {}, or one of fingerprint {}",
            joined(&demand.names),
            joined(&demand.fingerprints)
        ),
    }
}

fn address_text(demand: &AddressDemand) -> String {
    format!("from {}", joined(&demand.networks))
}

fn texts<T: Spelled>(values: &[Written<T>]) -> impl Iterator<Item = String> {
    values.iter().map(|value| value.text().to_owned())
}

fn joined<T: Spelled>(values: &[Written<T>]) -> String {
    texts(values).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mail::{Recipient, ReversePath},
        policy::{
            connector::{ReplyRule, Scope},
            decision::Action,
            facts::{InboundFacts, OutboundFacts},
            requirement::{OutboundRequirement, TlsLevel},
            set::Parts,
        },
    };

    #[test]
    fn accounts_for_names_that_are_in_no_chain() {
        let modes = Modes::of(Mode::Enforce, Mode::Enforce);
        let fax = OutboundConnector {
            name: "Fax".into(),
            comment: None,
            mode: modes,
            scope: Scope::Rule,
            smart_hosts: Box::default(),
            require: OutboundRequirement {
                level: TlsLevel::Encrypt,
                min_version: None,
                certificate: None,
            },
            reply: ReplyRule {
                action: Action::Defer,
                text: None,
            },
            line: 7,
        };
        let set = ConnectorSet::new(Parts {
            name: "contoso".into(),
            digest: "".into(),
            mode: Mode::Enforce,
            retired: false,
            accepted_domains: Vec::new(),
            inbound: Box::default(),
            outbound: [fax].into(),
        });
        let inbound = InboundFacts {
            client_ip: [192, 0, 2, 1].into(),
            mail_from: ReversePath::Null,
            rcpt_to: None,
            tls: None,
        };
        let outbound = OutboundFacts {
            rcpt_to: Recipient::Postmaster,
            rule_connector: None,
            session: None,
        };
        let asked = ["Fax", "Nobody", "Fax"].map(str::to_owned);
        let because = |explanation: Explanation<'_>| -> Vec<_> {
            let all = explanation.not_matched.into_iter();
            all.map(|one| format!("{}: {}", one.connector, one.because))
                .collect()
        };
        assert_eq!(
            because(explain_inbound(&set, &inbound, &asked)),
            [
                "Fax: it is an outbound connector",
                "Nobody: there is no inbound connector of this name in the set `contoso`",
                "Fax: it is an outbound connector",
            ]
        );
        let named = "Fax: it has scope = \"rule\", and the call does not name it in rule_connector";
        assert_eq!(
            because(explain_outbound(&set, &outbound, &asked)),
            [
                named,
                "Nobody: there is no outbound connector of this name in the set `contoso`",
                named,
            ]
        );
    }
}
