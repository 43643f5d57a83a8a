//! Laws that hold for every connector set and every question: what Postern decides is what a
//! naive reading of the semantics decides, and changes to a set change no more than they say.

use std::{collections::BTreeMap, sync::Arc};

use postern::{
    config,
    live::Snapshot,
    mail::{DomainPattern, Network, Recipient, ReversePath, TlsVersion},
    policy::{
        self, Catalog, ConnectorSet, Entry, InboundFacts, OutboundFacts,
        connector::Host,
        decision::{self, Decision, Matched, MatchedBy, Rejection, Verdict},
        facts::{CertificateFacts, NameFact, SessionFacts, TlsFacts, Trust},
        requirement::TlsLevel,
    },
    rpc::{answer, pb},
};
use proptest::prelude::*;

use crate::naive::{self, model, outcome, some_sets::without_duplicates};

fn load(set: &naive::Set) -> Arc<ConnectorSet> {
    let text = set.to_toml();
    let outcome = config::load_str("law", &text);
    outcome.set.unwrap_or_else(|| {
        panic!(
            "{}",
            config::render::carets("law.toml", &text, &outcome.findings, false)
        )
    })
}

/// What Postern decides, in the words of the naive reading.
fn inbound(set: &ConnectorSet, facts: &naive::InboundFacts) -> outcome::Outcome {
    let Ok(mail_from) = ReversePath::parse(&facts.mail_from) else {
        return malformed(policy::Reason::MailFromInvalid, &facts.mail_from);
    };
    let rcpt_to = match facts.rcpt_to.as_str() {
        "" => None,
        text => match Recipient::parse(text) {
            Ok(recipient) => Some(recipient),
            Err(_) => return malformed(policy::Reason::RcptToInvalid, text),
        },
    };
    let client_ip = postern::mail::parse_address(&facts.client_ip).unwrap();
    let facts = InboundFacts {
        client_ip,
        mail_from,
        rcpt_to,
        tls: facts.tls.as_ref().map(tls),
    };
    told(&policy::decide_inbound(set, &facts), set)
}

fn outbound(set: &ConnectorSet, facts: &naive::OutboundFacts) -> outcome::Outcome {
    if ReversePath::parse(&facts.mail_from).is_err() {
        return malformed(policy::Reason::MailFromInvalid, &facts.mail_from);
    }
    let Ok(rcpt_to) = Recipient::parse_or_domain(&facts.rcpt_to) else {
        return malformed(policy::Reason::RcptToInvalid, &facts.rcpt_to);
    };
    let session = facts.session.as_ref().map(|session| SessionFacts {
        host: postern::mail::parse_address(&session.host)
            .map_or_else(|_| Host::Name(session.host.parse().unwrap()), Host::Address),
        host_text: &session.host,
        tls: session.tls.as_ref().map(tls),
    });
    let rule_connector = Some(facts.rule_connector.as_str()).filter(|name| !name.is_empty());
    told(
        &policy::decide_outbound(
            set,
            &OutboundFacts {
                rcpt_to,
                rule_connector,
                session,
            },
        ),
        set,
    )
}

fn malformed(reason: policy::Reason, given: &str) -> outcome::Outcome {
    let empty = config::load_str("law", "version = 1\n[end]\n").set.unwrap();
    told(
        &policy::malformed_address(reason, given, "it is malformed"),
        &empty,
    )
}

fn tls(tls: &naive::TlsSession) -> TlsFacts<'_> {
    TlsFacts {
        version: TlsVersion::observed(&tls.version),
        version_text: &tls.version,
        certificate: tls
            .peer_certificate
            .as_ref()
            .map(|certificate| CertificateFacts {
                trust: match certificate.trust {
                    naive::Trust::Unspecified => Trust::Unknown,
                    naive::Trust::Trusted => Trust::Trusted,
                    naive::Trust::Untrusted => Trust::Untrusted,
                    naive::Trust::Expired => Trust::Expired,
                    naive::Trust::WrongPurpose => Trust::WrongPurpose,
                },
                trust_detail: &certificate.trust_detail,
                names: match (
                    certificate.dns_names.as_slice(),
                    certificate.common_name.as_str(),
                ) {
                    ([], "") => Vec::new(),
                    ([], name) => vec![NameFact::new(name)],
                    (names, _) => names
                        .iter()
                        .map(|name| NameFact::new(name.as_str()))
                        .collect(),
                },
                names_unavailable: certificate.alternative_names_unavailable,
                sha256: certificate.sha256.parse().ok(),
                spki_sha256: certificate.spki_sha256.parse().ok(),
                unreadable: false,
            }),
        certificate_unavailable: tls.certificate_unavailable,
    }
}

fn told(decision: &Decision<'_>, set: &ConnectorSet) -> outcome::Outcome {
    let own_text = |name: &str| {
        let inbound = set
            .inbound()
            .iter()
            .find(|c| &*c.name == name)
            .map(|c| &c.reply);
        let outbound = set
            .outbound()
            .iter()
            .find(|c| &*c.name == name)
            .map(|c| &c.reply);
        let reply = if decision.delivery.is_some() || decision.also_matched.is_some() {
            inbound
        } else {
            inbound.or(outbound)
        };
        reply
            .and_then(|reply| reply.text.as_ref())
            .map(ToString::to_string)
    };
    let first = decision
        .rejections
        .first()
        .and_then(|rejection| rejection.connector);
    outcome::Outcome {
        verdict: verdict(decision.verdict),
        connector: decision.connector.map(matched),
        also_matched: decision.also_matched.map(matched),
        rejections: decision.rejections.iter().map(rejection).collect(),
        reply: decision.reply.as_ref().map(|reply| outcome::ReplyCodes {
            code: reply.code.into(),
            enhanced: reply.enhanced,
            text: Some(reply.text.to_string())
                .filter(|text| first.and_then(own_text).as_ref() == Some(text)),
        }),
        if_enforced: decision.if_enforced.as_ref().map(|report| outcome::Report {
            verdict: verdict(report.verdict),
            connector: report.connector.map(matched),
            rejections: report.rejections.iter().map(rejection).collect(),
        }),
        delivery: decision.delivery.as_ref().map(delivery),
    }
}

fn verdict(verdict: Verdict) -> naive::Verdict {
    match verdict {
        Verdict::Accept => naive::Verdict::Accept,
        Verdict::Conditional => naive::Verdict::Conditional,
        Verdict::Defer => naive::Verdict::Defer,
        Verdict::Reject => naive::Verdict::Reject,
    }
}

fn matched(matched: Matched<'_>) -> outcome::Matched {
    let by = match matched.by {
        MatchedBy::SenderDomain => naive::MatchedBy::SenderDomain,
        MatchedBy::ClientIp => naive::MatchedBy::ClientIp,
        MatchedBy::RecipientDomain => naive::MatchedBy::RecipientDomain,
        MatchedBy::Rule => naive::MatchedBy::Rule,
    };
    outcome::Matched {
        name: matched.name.into(),
        by,
        value: matched.value.into(),
    }
}

fn rejection(rejection: &Rejection<'_>) -> outcome::Rejection {
    use naive::Reason as Naive;
    use postern::policy::Reason;
    let reason = match rejection.reason {
        Reason::TlsRequired => Naive::TlsRequired,
        Reason::TlsVersionTooLow => Naive::TlsVersionTooLow,
        Reason::CertificateRequired => Naive::CertificateRequired,
        Reason::CertificateExpired => Naive::CertificateExpired,
        Reason::CertificateUntrusted => Naive::CertificateUntrusted,
        Reason::CertificateNameMismatch => Naive::CertificateNameMismatch,
        Reason::CertificateFingerprintMismatch => Naive::CertificateFingerprintMismatch,
        Reason::ClientIpNotAllowed => Naive::ClientIpNotAllowed,
        Reason::HostNotAllowed => Naive::HostNotAllowed,
        Reason::RuleConnectorNotFound => Naive::RuleConnectorNotFound,
        Reason::MailFromInvalid => Naive::MailFromInvalid,
        Reason::RcptToInvalid => Naive::RcptToInvalid,
    };
    outcome::Rejection {
        reason,
        connector: rejection.connector.unwrap_or_default().into(),
        expected: rejection.expected.clone(),
        observed: rejection.observed.clone(),
    }
}

fn delivery(delivery: &decision::Delivery<'_>) -> outcome::Delivery {
    let level = match delivery.level {
        TlsLevel::Opportunistic => naive::Level::Opportunistic,
        TlsLevel::Encrypt => naive::Level::Encrypt,
        TlsLevel::Trusted => naive::Level::Trusted,
        TlsLevel::Domain => naive::Level::Domain,
    };
    outcome::Delivery {
        smart_hosts: delivery
            .smart_hosts
            .iter()
            .map(|host| (host.value.host.to_string(), host.value.port))
            .collect(),
        level,
        names: delivery
            .names
            .iter()
            .map(|name| name.value.to_string())
            .collect(),
        min_version: delivery
            .min_version
            .map(|version| version.to_string())
            .unwrap_or_default(),
        fingerprints: delivery
            .fingerprints
            .iter()
            .map(|pin| pin.value.to_string())
            .collect(),
    }
}

/// The set with every connector in report enforced, and those whose place they take without it.
fn enforced(set: &naive::Set) -> naive::Set {
    use naive::Mode;
    let mut set = set.clone();
    let set_mode = set.mode;
    set.mode = None;
    if set_mode == Some(Mode::Off) {
        set.inbound.clear();
        set.outbound.clear();
        return set;
    }
    let reports: Vec<_> = set
        .inbound
        .iter()
        .filter(|c| c.mode == Some(Mode::Report))
        .cloned()
        .collect();
    for connector in &mut set.inbound {
        if connector.mode != Some(Mode::Report) && connector.mode != Some(Mode::Off) {
            lose_pairs(connector, &reports);
        }
    }
    let taken: Vec<DomainPattern> = set
        .outbound
        .iter()
        .filter(|c| c.mode == Some(Mode::Report) && c.scope != Some(model::Scope::Rule))
        .flat_map(|c| c.recipient_domains.iter().map(|text| text.parse().unwrap()))
        .collect();
    for connector in &mut set.outbound {
        if connector.mode != Some(Mode::Report) {
            connector
                .recipient_domains
                .retain(|text| !taken.contains(&text.parse().unwrap()));
        }
    }
    set.outbound
        .retain(|c| c.scope == Some(model::Scope::Rule) || !c.recipient_domains.is_empty());
    for mode in set
        .inbound
        .iter_mut()
        .map(|c| &mut c.mode)
        .chain(set.outbound.iter_mut().map(|c| &mut c.mode))
    {
        if *mode == Some(Mode::Report) {
            *mode = Some(Mode::Enforce);
        }
    }
    set.inbound
        .retain(|c| !c.matches.sender_domains.is_empty() || !c.matches.client_ips.is_empty());
    set
}

/// Takes from an enforcing connector what reports share with it, where that leaves whole patterns.
fn lose_pairs(connector: &mut naive::Inbound, reports: &[naive::Inbound]) {
    let pattern = |text: &String| text.parse::<DomainPattern>().unwrap();
    let network = |text: &String| Network::parse(text).unwrap().0;
    for report in reports {
        let scopes = |c: &naive::Inbound| -> Vec<DomainPattern> {
            c.matches.recipient_domains.iter().map(pattern).collect()
        };
        if scopes(connector) != scopes(report) {
            continue;
        }
        let senders: Vec<_> = report.matches.sender_domains.iter().map(pattern).collect();
        let addresses: Vec<_> = report.matches.client_ips.iter().map(network).collect();
        connector
            .matches
            .sender_domains
            .retain(|text| !senders.contains(&pattern(text)));
        connector
            .matches
            .client_ips
            .retain(|text| !addresses.contains(&network(text)));
    }
}

/// True where each report shares its pairs with enforcing ones in a way that whole patterns go.
fn shares_whole_patterns(set: &naive::Set) -> bool {
    let loaded = config::load_str("law", &enforced(set).to_toml());
    loaded.set.is_some()
}

/// The question as the contract has it.
fn inbound_question(facts: &naive::InboundFacts) -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        connector_set: facts.connector_set.clone(),
        client_ip: facts.client_ip.clone(),
        mail_from: facts.mail_from.clone(),
        rcpt_to: facts.rcpt_to.clone(),
        tls: facts.tls.as_ref().map(tls_question),
        ..pb::CheckInboundRequest::default()
    }
}

fn outbound_question(facts: &naive::OutboundFacts) -> pb::CheckOutboundRequest {
    pb::CheckOutboundRequest {
        connector_set: facts.connector_set.clone(),
        mail_from: facts.mail_from.clone(),
        rcpt_to: facts.rcpt_to.clone(),
        rule_connector: facts.rule_connector.clone(),
        session: facts.session.as_ref().map(|session| pb::OutboundSession {
            host: session.host.clone(),
            tls: session.tls.as_ref().map(tls_question),
            ..pb::OutboundSession::default()
        }),
        ..pb::CheckOutboundRequest::default()
    }
}

fn tls_question(tls: &naive::TlsSession) -> pb::TlsSession {
    let certificate = tls.peer_certificate.as_ref();
    pb::TlsSession {
        version: tls.version.clone(),
        certificate_unavailable: tls.certificate_unavailable,
        peer_certificate: certificate.map(|certificate| pb::Certificate {
            trust: certificate.trust as i32,
            trust_detail: certificate.trust_detail.clone(),
            dns_names: certificate.dns_names.clone(),
            common_name: certificate.common_name.clone(),
            alternative_names_unavailable: certificate.alternative_names_unavailable,
            sha256: certificate.sha256.clone(),
            spki_sha256: certificate.spki_sha256.clone(),
            ..pb::Certificate::default()
        }),
        ..pb::TlsSession::default()
    }
}

/// Several sets in force.
fn snapshot(sets: &[(String, naive::Set)], default_set: Option<&str>) -> Snapshot {
    let entries = sets
        .iter()
        .map(|(name, set)| Entry::new(config::load_str(name, &set.to_toml()).set.unwrap()));
    Snapshot {
        catalog: Catalog::new(entries.collect(), default_set),
        status: BTreeMap::new(),
        directory_fault: None,
    }
}

/// What an answer comes to: who decided and why it, the verdict, the connector, the reasons.
type Gist = Result<(Option<(String, i32)>, i32, String, Vec<i32>), tonic::Code>;

fn inbound_gist(answer: Result<pb::CheckInboundResponse, postern::rpc::Failure>) -> Gist {
    let answer = answer.map_err(|failure| failure.code())?;
    Ok((
        answer.revision.map(chosen),
        answer.verdict,
        answer.connector.unwrap_or_default().name,
        reasons(&answer.rejections),
    ))
}

fn outbound_gist(answer: Result<pb::CheckOutboundResponse, postern::rpc::Failure>) -> Gist {
    let answer = answer.map_err(|failure| failure.code())?;
    Ok((
        answer.revision.map(chosen),
        answer.verdict,
        answer.connector.unwrap_or_default().name,
        reasons(&answer.rejections),
    ))
}

fn chosen(revision: pb::SetRevision) -> (String, i32) {
    (revision.connector_set, revision.selected_by)
}

fn reasons(rejections: &[pb::Rejection]) -> Vec<i32> {
    rejections
        .iter()
        .map(|rejection| rejection.reason)
        .collect()
}

fn naive_gist(answer: naive::Answer) -> Gist {
    match answer {
        naive::Answer::InvalidArgument(_) => Err(tonic::Code::InvalidArgument),
        naive::Answer::NotFound => Err(tonic::Code::NotFound),
        naive::Answer::Decided { set, outcome } => {
            let connector = outcome
                .connector
                .map(|connector| connector.name)
                .unwrap_or_default();
            let reasons = outcome
                .rejections
                .iter()
                .map(|rejection| rejection.reason as i32)
                .collect();
            let set = set.map(|(name, by)| (name, by as i32));
            Ok((set, outcome.verdict as i32, connector, reasons))
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Index look-up equals the linear reading.
    #[test]
    fn inbound_is_what_the_text_says(set in naive::some_set(), facts in prop::collection::vec(naive::some_inbound_facts(), 8)) {
        let loaded = load(&set);
        for facts in &facts {
            prop_assert_eq!(inbound(&loaded, facts), naive::decide_inbound(&set, facts), "{:?}\n{}", facts, set.to_toml());
        }
    }

    #[test]
    fn outbound_is_what_the_text_says(set in naive::some_set(), facts in prop::collection::vec(naive::some_outbound_facts(), 8)) {
        let loaded = load(&set);
        for facts in &facts {
            prop_assert_eq!(outbound(&loaded, facts), naive::decide_outbound(&set, facts), "{:?}\n{}", facts, set.to_toml());
        }
    }

    /// Among several sets, the one that the text says answers, or none.
    #[test]
    fn the_set_that_answers_is_the_one_the_text_says(
        sets in naive::some_sets(),
        named in prop::sample::select(vec!["", "", "", "alpha", "beta", "nowhere", "Not a name"]),
        default_set in prop::sample::select(vec![None, None, Some("alpha"), Some("gamma")]),
        asked in naive::some_inbound_facts(),
        sent in naive::some_outbound_facts(),
    ) {
        let snapshot = snapshot(&sets, default_set);
        let asked = naive::InboundFacts { connector_set: named.into(), ..asked };
        prop_assert_eq!(
            inbound_gist(answer::inbound(&snapshot, &inbound_question(&asked))),
            naive_gist(naive::answer_inbound(&sets, default_set, &asked)),
        );
        let sent = naive::OutboundFacts { connector_set: named.into(), ..sent };
        prop_assert_eq!(
            outbound_gist(answer::outbound(&snapshot, &outbound_question(&sent))),
            naive_gist(naive::answer_outbound(&sets, default_set, &sent)),
        );
    }

    /// The order of the connectors in the file is irrelevant.
    #[test]
    fn order_is_irrelevant(
        (set, shuffled) in naive::some_set().prop_flat_map(|set| {
            let inbound = Just(set.inbound.clone()).prop_shuffle();
            let outbound = Just(set.outbound.clone()).prop_shuffle();
            (Just(set), inbound, outbound).prop_map(|(set, inbound, outbound)| {
                let shuffled = naive::Set { inbound, outbound, ..set.clone() };
                (set, shuffled)
            })
        }),
        asked in naive::some_inbound_facts(),
        sent in naive::some_outbound_facts(),
    ) {
        let (set, shuffled) = (load(&set), load(&shuffled));
        prop_assert_eq!(inbound(&set, &asked), inbound(&shuffled, &asked));
        prop_assert_eq!(outbound(&set, &sent), outbound(&shuffled, &sent));
    }

    /// A connector that does not match changes nothing.
    #[test]
    fn what_does_not_match_changes_nothing(
        set in naive::some_set(),
        extra in naive::some_connectors::some_inbound("an unrelated one".into()),
        facts in naive::some_inbound_facts(),
    ) {
        let mut extra = extra;
        if extra.matches.client_ips.is_empty() {
            extra.matches.sender_domains = vec!["*.unrelated.example".into()];
        } else {
            extra.matches.client_ips = vec!["198.18.0.0/15".into(), "2001:2::/48".into()];
        }
        let mut more = set.clone();
        more.inbound.insert(more.inbound.len() / 2, extra);
        prop_assert_eq!(inbound(&load(&set), &facts), inbound(&load(&more), &facts));
    }

    /// Nor does one that mail is not sent to, and that no call names.
    #[test]
    fn what_does_not_govern_changes_nothing(
        set in naive::some_set(),
        extra in naive::some_connectors::some_outbound("an unrelated one".into()),
        facts in naive::some_outbound_facts(),
    ) {
        let mut extra = extra;
        if !extra.recipient_domains.is_empty() {
            extra.recipient_domains = vec!["*.unrelated.example".into()];
        }
        let mut more = set.clone();
        more.outbound.insert(more.outbound.len() / 2, extra);
        prop_assert_eq!(outbound(&load(&set), &facts), outbound(&load(&more), &facts));
    }

    /// A connector that states only `tls = "encrypt"` never turns a refusal into an accept.
    #[test]
    fn demanding_tls_never_opens(
        set in naive::some_set(),
        extra in naive::some_connectors::some_inbound("only TLS".into()),
        facts in naive::some_inbound_facts(),
    ) {
        let before = inbound(&load(&set), &facts);
        let mut more = set.clone();
        let require = naive::InboundRequire { tls: Some(naive::InboundTls::Encrypt), ..naive::InboundRequire::default() };
        more.inbound.push(naive::Inbound { require, mode: None, ..extra });
        let after = inbound(&load(&without_duplicates(more)), &facts);
        if before.verdict != naive::Verdict::Accept {
            prop_assert_ne!(after.verdict, naive::Verdict::Accept);
        }
    }

    /// Enforcing what is in report gives what `if_enforced` said and, where it said nothing, what is
    /// decided already: a set that is off stays off, and a rule's connector in report always says.
    ///
    /// Where a question without a recipient was told nothing, it may become one for the recipient:
    /// connectors in report that are scoped to recipients are in no chain of it, and ask once enforced.
    #[test]
    fn reports_come_true(set in naive::some_set(), asked in naive::some_inbound_facts(), sent in naive::some_outbound_facts()) {
        prop_assume!(shares_whole_patterns(&set));
        let (now, then) = (load(&set), load(&enforced(&set)));
        for (now, then, has_recipient) in [
            (inbound(&now, &asked), inbound(&then, &asked), !asked.rcpt_to.is_empty()),
            (outbound(&now, &sent), outbound(&then, &sent), true),
        ] {
            if now.if_enforced.is_none() && !has_recipient && then.verdict == naive::Verdict::Conditional {
                continue;
            }
            let said = now.if_enforced.unwrap_or(outcome::Report {
                verdict: now.verdict,
                connector: now.connector,
                rejections: now.rejections,
            });
            prop_assert_eq!((said.verdict, said.connector, said.rejections), (then.verdict, then.connector, then.rejections));
        }
    }

    /// Every beginning of a valid file that stops before the `]` of `[end]` is refused.
    #[test]
    fn a_file_cut_off_is_refused(set in naive::some_set(), at in any::<prop::sample::Index>()) {
        let text = set.to_toml();
        let whole = text.rfind("[end]").unwrap() + "[end".len();
        let cut = text.get(..text.floor_char_boundary(at.index(whole + 1))).unwrap();
        prop_assert!(config::load_str("law", cut).set.is_none(), "{}", cut);
        prop_assert!(config::load_str("law", text.get(..=whole).unwrap()).set.is_some());
    }
}
