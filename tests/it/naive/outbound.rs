//! "Outbound", "What is checked" and "Report", for one set.

use super::{
    checks::{certificate, distrust, first_of_equals, version_too_low},
    facts::{OutboundFacts, OutboundSession},
    model::{Action, Level, Mode, Outbound, OutboundRequire, Scope, Set},
    names::{Envelope, Pattern, fingerprint, host_name, smart_host, version},
    outcome::{
        Delivery, Matched, MatchedBy, Outcome, Reason, Rejection, ReplyCodes, Report, Verdict,
    },
};

/// Decides an outbound question by `set`.
pub(crate) fn decide_outbound(set: &Set, facts: &OutboundFacts) -> Outcome {
    if let Some(malformed) = malformed(facts) {
        return malformed;
    }
    if facts.rule_connector.is_empty() {
        return by_domain(set, facts);
    }
    // "`rule_connector` names no connector with `scope = "rule"` that is in force or in report";
    // "Names of connectors are compared octet by octet."
    let named = set.outbound.iter().find(|connector| {
        connector.name == facts.rule_connector
            && connector.scope == Some(Scope::Rule)
            && set.weaker_mode(connector.mode) != Mode::Off
    });
    named.map_or_else(
        || rule_not_found(facts),
        |connector| by_rule(set, facts, connector),
    )
}

/// The decision where `mail_from` or else `rcpt_to` is malformed.
pub(crate) fn malformed(facts: &OutboundFacts) -> Option<Outcome> {
    if Envelope::sender(&facts.mail_from) == Envelope::Malformed {
        return Some(Outcome::malformed(
            Reason::MailFromInvalid,
            &facts.mail_from,
        ));
    }
    (Envelope::next_recipient(&facts.rcpt_to) == Envelope::Malformed)
        .then(|| Outcome::malformed(Reason::RcptToInvalid, &facts.rcpt_to))
}

/// "A rule never falls back silently: RULE_CONNECTOR_NOT_FOUND is a DEFER, without connector or
/// `if_enforced`".
fn rule_not_found(facts: &OutboundFacts) -> Outcome {
    let observed = vec![facts.rule_connector.clone()];
    Outcome {
        verdict: Verdict::Defer,
        connector: None,
        also_matched: None,
        rejections: vec![Rejection::new(
            Reason::RuleConnectorNotFound,
            "",
            Vec::new(),
            observed,
        )],
        reply: Some(ReplyCodes {
            code: 451,
            enhanced: "4.3.5",
            text: None,
        }),
        if_enforced: None,
        delivery: None,
    }
}

fn by_rule(set: &Set, facts: &OutboundFacts, connector: &Outbound) -> Outcome {
    let matched = Matched {
        name: connector.name.clone(),
        by: MatchedBy::Rule,
        // "Empty by rule."
        value: String::new(),
    };
    let governed = Governed { connector, matched };
    if set.weaker_mode(connector.mode) == Mode::Enforce {
        return outcome(facts, Some(&governed), None);
    }
    // "A connector with `scope = "rule"` in report that a call names keeps its route, at level
    // opportunistic; its demands, the next hop's name included, are only reported."
    let report = outcome(facts, Some(&governed), None);
    let smart_hosts = delivery(connector).smart_hosts;
    Outcome {
        verdict: if facts.session.is_none() && !smart_hosts.is_empty() {
            Verdict::Conditional
        } else {
            Verdict::Accept
        },
        connector: Some(governed.matched),
        also_matched: None,
        rejections: Vec::new(),
        reply: None,
        if_enforced: Some(Report {
            verdict: report.verdict,
            connector: report.connector,
            rejections: report.rejections,
        }),
        delivery: Some(Delivery {
            smart_hosts,
            ..opportunistic_by_mx()
        }),
    }
}

fn by_domain(set: &Set, facts: &OutboundFacts) -> Outcome {
    let tried = governing(set, facts, true);
    // "It is present where a connector in report […] governs"
    let in_report =
        |governed: &&Governed<'_>| set.weaker_mode(governed.connector.mode) == Mode::Report;
    let report = tried.as_ref().filter(in_report).map(|tried| {
        let report = outcome(facts, Some(tried), None);
        Report {
            verdict: report.verdict,
            connector: report.connector,
            rejections: report.rejections,
        }
    });
    outcome(facts, governing(set, facts, false).as_ref(), report)
}

/// The connector that governs, and how it came to.
struct Governed<'a> {
    connector: &'a Outbound,
    matched: Matched,
}

/// "the most specific match of the recipient's domain (exact, the longest wildcard, `*`) with
/// `scope = "domains"`".
fn governing<'a>(set: &'a Set, facts: &OutboundFacts, with_reports: bool) -> Option<Governed<'a>> {
    let recipient = Envelope::next_recipient(&facts.rcpt_to);
    let mut best: Option<((u8, usize), Governed<'a>)> = None;
    for connector in &set.outbound {
        let in_force = match set.weaker_mode(connector.mode) {
            Mode::Off => false,
            Mode::Report => with_reports,
            Mode::Enforce => true,
        };
        if !in_force || connector.scope == Some(Scope::Rule) {
            continue;
        }
        for text in &connector.recipient_domains {
            let Some(pattern) = Pattern::parse(text) else {
                continue;
            };
            if !pattern.covers(recipient.domain())
                || (with_reports && is_replaced(set, connector, &pattern))
            {
                continue;
            }
            let specificity = pattern.specificity();
            // Of equals the first written stays.
            if best
                .as_ref()
                .is_none_or(|(so_far, _)| specificity > *so_far)
            {
                let matched = Matched {
                    name: connector.name.clone(),
                    by: MatchedBy::RecipientDomain,
                    value: text.clone(),
                };
                best = Some((specificity, Governed { connector, matched }));
            }
        }
    }
    best.map(|(_, governed)| governed)
}

/// "one that shares its pattern and scope with an enforcing one takes its place"; "a connector
/// with `scope = "rule"` replaces none"; "the modes written on them still say which takes whose
/// place".
fn is_replaced(set: &Set, connector: &Outbound, pattern: &Pattern) -> bool {
    connector.mode.unwrap_or_default() == Mode::Enforce
        && set.outbound.iter().any(|other| {
            other.mode == Some(Mode::Report)
                && other.scope != Some(Scope::Rule)
                && other
                    .recipient_domains
                    .iter()
                    .any(|theirs| Pattern::parse(theirs).as_ref() == Some(pattern))
        })
}

/// The decision of the connector that governs, if any does.
fn outcome(
    facts: &OutboundFacts,
    governed: Option<&Governed<'_>>,
    if_enforced: Option<Report>,
) -> Outcome {
    // "None: by MX, opportunistic TLS, ACCEPT."
    let mut outcome = Outcome {
        verdict: Verdict::Accept,
        connector: None,
        also_matched: None,
        rejections: Vec::new(),
        reply: None,
        if_enforced,
        delivery: Some(opportunistic_by_mx()),
    };
    let Some(Governed { connector, matched }) = governed else {
        return outcome;
    };
    let delivery = delivery(connector);
    outcome.connector = Some(matched.clone());
    let Some(session) = &facts.session else {
        // "Without a session the verdict is CONDITIONAL where the connector has smart hosts or a
        // level above opportunistic, else ACCEPT"
        if !delivery.smart_hosts.is_empty() || delivery.level > Level::Opportunistic {
            outcome.verdict = Verdict::Conditional;
        }
        outcome.delivery = Some(delivery);
        return outcome;
    };
    outcome.rejections = unmet(connector, session);
    outcome.reply = outcome
        .rejections
        .first()
        .map(|first| ReplyCodes::outbound(first.reason, &connector.reply));
    if outcome.rejections.is_empty() {
        outcome.delivery = Some(delivery);
    } else {
        outcome.verdict = connector.reply.action.unwrap_or(Action::Defer).into();
        // "Present on ACCEPT and CONDITIONAL"
        outcome.delivery = None;
    }
    outcome
}

/// What of the connector's demands the session does not meet, in the order of the table.
fn unmet(connector: &Outbound, session: &OutboundSession) -> Vec<Rejection> {
    let (name, require) = (connector.name.as_str(), &connector.require);
    let level = level(require);
    let mut rejections = Vec::new();
    // "TLS is demanded, and the session is in plaintext. The chain then gives no certificate
    // reason"
    let tls_required = level > Level::Opportunistic && session.tls.is_none();
    if tls_required {
        let none = Vec::new();
        rejections.push(Rejection::new(
            Reason::TlsRequired,
            name,
            none.clone(),
            none,
        ));
    }
    if let Some(minimum) = &require.tls_min_version {
        rejections.extend(version_too_low(name, minimum, session.tls.as_ref()));
    }
    let presented = session
        .tls
        .as_ref()
        .and_then(|tls| tls.peer_certificate.as_ref());
    if !tls_required {
        match level {
            Level::Opportunistic => {}
            // "`encrypt` demands TLS and, where fingerprints are listed, one of them"
            Level::Encrypt => {
                let pins = &require.certificate_fingerprints;
                rejections.extend(certificate(name, &[], pins, presented));
            }
            // "`trusted` TLS and a trusted certificate"
            Level::Trusted => match presented {
                Some(presented) => rejections.extend(distrust(name, presented)),
                None => rejections.push(Rejection::new(
                    Reason::CertificateRequired,
                    name,
                    Vec::new(),
                    Vec::new(),
                )),
            },
            // "`domain` the certificate demand as above"
            Level::Domain => rejections.extend(certificate(
                name,
                &require.certificate_names,
                &require.certificate_fingerprints,
                presented,
            )),
        }
    }
    rejections.extend(wrong_host(connector, session));
    rejections
}

/// `HOST_NOT_ALLOWED`: "the next hop is none of the smart hosts: names compared as domains,
/// addresses as addresses, ports not at all"; "hosts; the host".
fn wrong_host(connector: &Outbound, session: &OutboundSession) -> Option<Rejection> {
    let hosts = &connector.smart_hosts;
    let given = host_name(&session.host);
    let is_it = |text: &String| smart_host(text).is_some_and(|(host, _)| Some(host) == given);
    if hosts.is_empty() || hosts.iter().any(is_it) {
        return None;
    }
    let expected = first_of_equals(hosts, smart_host);
    let observed = vec![session.host.clone()];
    Some(Rejection::new(
        Reason::HostNotAllowed,
        &connector.name,
        expected,
        observed,
    ))
}

/// The level as stated; `tls_min_version` "implies at least "encrypt"".
fn level(require: &OutboundRequire) -> Level {
    let stated = require.tls.unwrap_or(Level::Opportunistic);
    if require.tls_min_version.is_some() {
        stated.max(Level::Encrypt)
    } else {
        stated
    }
}

/// "everything in `delivery` is canonical (…; lists in the order written, equals once)"
fn delivery(connector: &Outbound) -> Delivery {
    let require = &connector.require;
    let names = require
        .certificate_names
        .iter()
        .filter_map(|name| Pattern::parse(name));
    let minimum = require.tls_min_version.as_deref().and_then(version);
    Delivery {
        smart_hosts: once(
            connector
                .smart_hosts
                .iter()
                .filter_map(|text| smart_host(text)),
        ),
        level: level(require),
        names: once(names.map(|name| name.canonical())),
        min_version: minimum
            .map(|(_, canonical)| canonical.into())
            .unwrap_or_default(),
        fingerprints: once(
            require
                .certificate_fingerprints
                .iter()
                .filter_map(|text| fingerprint(text)),
        ),
    }
}

fn opportunistic_by_mx() -> Delivery {
    Delivery {
        smart_hosts: Vec::new(),
        level: Level::Opportunistic,
        names: Vec::new(),
        min_version: String::new(),
        fingerprints: Vec::new(),
    }
}

fn once<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
