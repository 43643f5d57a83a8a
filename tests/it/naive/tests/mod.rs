//! The naive reading, held against the five Microsoft examples and the sentences that are easily
//! misread.

use super::{
    Answer, Certificate, Inbound, InboundFacts, InboundMatch, InboundRequire, InboundTls, Level,
    MatchedBy, Mode, Origin, Outbound, OutboundFacts, OutboundRequire, OutboundSession, Reason,
    ReplyCodes, Scope, SelectedBy, Set, TlsSession, Trust, Verdict, answer_inbound, choose,
    decide_inbound, decide_outbound,
};

mod readings;
mod strategies;

#[test]
fn example_1_tls_for_a_domain() {
    let set = one(inbound(
        "bank",
        &["contosobank.com"],
        tls(InboundTls::Encrypt),
    ));
    let plain = asked("192.0.2.1", "ann@contosobank.com");
    assert_eq!(reasons(&set, &plain), [Reason::TlsRequired]);
    let reply = decide_inbound(&set, &plain).reply;
    assert_eq!(
        reply,
        Some(ReplyCodes {
            code: 530,
            enhanced: "5.7.0",
            text: None
        })
    );
    assert_eq!(verdict(&set, &over_tls(&plain, None)), Verdict::Accept);
    assert_eq!(
        verdict(&set, &asked("192.0.2.1", "ann@mail.contosobank.com")),
        Verdict::Accept
    );
}

#[test]
fn example_2_and_their_certificate() {
    let require = names(&["*.contosobank.com"]);
    let set = one(inbound("bank", &["contosobank.com"], require));
    let plain = asked("192.0.2.1", "ann@contosobank.com");
    assert_eq!(reasons(&set, &plain), [Reason::TlsRequired]);
    assert_eq!(
        reasons(&set, &over_tls(&plain, None)),
        [Reason::CertificateRequired]
    );
    let good = certificate(Trust::Trusted, "mail.contosobank.com");
    assert_eq!(
        verdict(&set, &over_tls(&plain, Some(good))),
        Verdict::Accept
    );
    let other = certificate(Trust::Expired, "mail.fabrikam.com");
    assert_eq!(
        reasons(&set, &over_tls(&plain, Some(other))),
        [Reason::CertificateExpired, Reason::CertificateNameMismatch]
    );
}

#[test]
fn example_3_a_domain_only_from_its_addresses() {
    let set = one(inbound(
        "bank",
        &["contosobank.com"],
        addresses(&["203.0.113.0/24"]),
    ));
    assert_eq!(
        verdict(&set, &asked("203.0.113.7", "ann@contosobank.com")),
        Verdict::Accept
    );
    let outcome = decide_inbound(&set, &asked("::ffff:192.0.2.1", "ann@contosobank.com"));
    assert_eq!(outcome.rejections[0].reason, Reason::ClientIpNotAllowed);
    assert_eq!(outcome.rejections[0].expected, ["203.0.113.0/24"]);
    assert_eq!(outcome.rejections[0].observed, ["192.0.2.1"]);
}

#[test]
fn example_3_own_domain_behind_a_gateway_is_conditional_without_a_recipient() {
    let mut lock = inbound("mx", &["*"], addresses(&["203.0.113.0/24"]));
    lock.matches.recipient_domains = vec!["contoso.com".into()];
    let set = one(lock);
    let open = asked("192.0.2.1", "");
    assert_eq!(verdict(&set, &open), Verdict::Conditional);
    let to = |rcpt_to: &str| InboundFacts {
        rcpt_to: rcpt_to.into(),
        ..open.clone()
    };
    assert_eq!(
        reasons(&set, &to("<bob@CONTOSO.com.>")),
        [Reason::ClientIpNotAllowed]
    );
    assert_eq!(verdict(&set, &to("bob@mail.contoso.com")), Verdict::Accept);
    assert_eq!(verdict(&set, &to("postmaster")), Verdict::Accept);
}

#[test]
fn example_4_a_lock_stays_until_an_origin_replaces_it() {
    let lock = inbound("filter", &["*"], addresses(&["203.0.113.0/24"]));
    let bank = inbound("bank", &["contosobank.com"], tls(InboundTls::Encrypt));
    let own = inbound("own", &["fabrikam.com"], addresses(&["198.51.100.0/24"]));
    let set = Set {
        inbound: vec![lock, bank, own],
        ..Set::default()
    };
    let outcome = decide_inbound(&set, &asked("192.0.2.1", "ann@contosobank.com"));
    let said: Vec<_> = outcome
        .rejections
        .iter()
        .map(|one| (one.reason, &*one.connector))
        .collect();
    let (tls, address) = (Reason::TlsRequired, Reason::ClientIpNotAllowed);
    assert_eq!(said, [(tls, "bank"), (address, "filter")]);
    assert_eq!(
        outcome.connector.map(|matched| matched.name).as_deref(),
        Some("bank")
    );
    assert_eq!(
        verdict(&set, &asked("198.51.100.7", "ann@fabrikam.com")),
        Verdict::Accept
    );
    assert_eq!(
        reasons(&set, &asked("203.0.113.1", "ann@fabrikam.com")),
        [address]
    );
    assert_eq!(reasons(&set, &asked("192.0.2.1", "<>")), [address]);
}

#[test]
fn example_5_tls_for_an_address_range() {
    let range = by_address("range", &["203.0.113.0/24"], tls(InboundTls::Encrypt));
    let set = one(range);
    let outcome = decide_inbound(&set, &asked("203.0.113.7", "<>"));
    assert_eq!(outcome.verdict, Verdict::Reject);
    let matched_by = outcome.connector.map(|matched| (matched.by, matched.value));
    assert_eq!(
        matched_by,
        Some((MatchedBy::ClientIp, "203.0.113.0/24".into()))
    );
    assert_eq!(verdict(&set, &asked("203.0.112.7", "<>")), Verdict::Accept);
}

#[test]
fn a_reason_of_both_chains_is_the_domain_chains() {
    let bank = inbound("bank", &["*"], tls(InboundTls::Encrypt));
    let range = by_address("range", &["192.0.2.1"], tls(InboundTls::Encrypt));
    let set = Set {
        inbound: vec![range, bank],
        ..Set::default()
    };
    let outcome = decide_inbound(&set, &asked("192.0.2.1", ""));
    assert_eq!(outcome.rejections.len(), 1);
    assert_eq!(outcome.rejections[0].connector, "bank");
    assert_eq!(
        outcome.also_matched.map(|matched| matched.name).as_deref(),
        Some("range")
    );
}

#[test]
fn lifted_tls_leaves_the_certificate_to_be_required_in_plaintext() {
    let general = inbound("general", &["*"], names(&["*.contoso.com"]));
    let lifted = inbound("lifted", &["contoso.com"], tls(InboundTls::Opportunistic));
    let set = Set {
        inbound: vec![general, lifted],
        ..Set::default()
    };
    let facts = asked("192.0.2.1", "ann@contoso.com");
    assert_eq!(reasons(&set, &facts), [Reason::CertificateRequired]);
}

#[test]
fn a_replaced_origin_does_not_lift_the_tls_it_implied() {
    let general = inbound("general", &["*"], names(&["*.contoso.com"]));
    let own = inbound("own", &["contoso.com"], addresses(&["192.0.2.1"]));
    let set = Set {
        inbound: vec![general, own],
        ..Set::default()
    };
    let facts = asked("192.0.2.1", "ann@contoso.com");
    assert_eq!(reasons(&set, &facts), [Reason::TlsRequired]);
    assert_eq!(verdict(&set, &over_tls(&facts, None)), Verdict::Accept);
}

#[test]
fn either_proof_is_enough_and_without_both_the_reasons_of_both_are_given() {
    let require = InboundRequire {
        origin: Some(Origin::AddressOrCertificate),
        client_ips: vec!["203.0.113.0/24".into()],
        ..names(&["*.contoso.com"])
    };
    let set = one(inbound("either", &["*"], require.clone()));
    let both = [Reason::CertificateRequired, Reason::ClientIpNotAllowed];
    assert_eq!(reasons(&set, &asked("192.0.2.1", "")), both);
    assert_eq!(verdict(&set, &asked("203.0.113.7", "")), Verdict::Accept);
    let good = certificate(Trust::Trusted, "contoso.com");
    let by_certificate = over_tls(&asked("192.0.2.1", ""), Some(good));
    assert_eq!(verdict(&set, &by_certificate), Verdict::Accept);

    let require = InboundRequire {
        tls: Some(InboundTls::Encrypt),
        ..require
    };
    let set = one(inbound("either", &["*"], require));
    assert_eq!(
        reasons(&set, &asked("203.0.113.7", "")),
        [Reason::TlsRequired]
    );
    let both = [Reason::TlsRequired, Reason::ClientIpNotAllowed];
    assert_eq!(reasons(&set, &asked("192.0.2.1", "")), both);
}

#[test]
fn a_report_takes_the_place_of_its_twin_pair_by_pair() {
    let enforced = inbound("enforced", &["contoso.com", "*"], tls(InboundTls::Encrypt));
    let mut tried = inbound("tried", &["Contoso.com."], tls(InboundTls::Opportunistic));
    tried.mode = Some(Mode::Report);
    let mut set = Set {
        inbound: vec![enforced, tried],
        ..Set::default()
    };
    let outcome = decide_inbound(&set, &asked("192.0.2.1", "ann@contoso.com"));
    assert_eq!(outcome.verdict, Verdict::Reject);
    let report = outcome.if_enforced.unwrap();
    assert_eq!(report.verdict, Verdict::Accept);
    assert_eq!(report.connector.unwrap().value, "Contoso.com.");
    assert_eq!(
        decide_inbound(&set, &asked("192.0.2.1", "ann@a.com")).if_enforced,
        None
    );

    set.mode = Some(Mode::Report);
    let outcome = decide_inbound(&set, &asked("192.0.2.1", "ann@contoso.com"));
    assert_eq!(
        (outcome.verdict, outcome.connector),
        (Verdict::Accept, None)
    );
    assert_eq!(outcome.if_enforced.unwrap().verdict, Verdict::Accept);
    let other = decide_inbound(&set, &asked("192.0.2.1", "ann@a.com"));
    assert_eq!(other.if_enforced.unwrap().verdict, Verdict::Reject);
}

#[test]
fn a_malformed_address_is_a_decision_whatever_the_set() {
    let set = Set {
        mode: Some(Mode::Off),
        ..Set::default()
    };
    let facts = InboundFacts {
        rcpt_to: "<>".into(),
        ..asked("192.0.2.1", "ann")
    };
    assert_eq!(reasons(&set, &facts), [Reason::MailFromInvalid]);
    let facts = InboundFacts {
        mail_from: String::new(),
        ..facts
    };
    assert_eq!(reasons(&set, &facts), [Reason::RcptToInvalid]);
    let several = vec![
        ("a".to_owned(), Set::default()),
        ("b".to_owned(), Set::default()),
    ];
    let answer = answer_inbound(&several, None, &facts);
    assert!(matches!(answer, Answer::Decided { set: None, .. }));
}

#[test]
fn a_rule_connector_in_report_keeps_its_route_and_never_falls_back() {
    let rule = Outbound {
        name: "rule".into(),
        mode: Some(Mode::Report),
        scope: Some(Scope::Rule),
        smart_hosts: vec!["Mail.contoso.com".into(), "mail.contoso.com:25".into()],
        require: OutboundRequire {
            tls: Some(Level::Trusted),
            ..OutboundRequire::default()
        },
        ..Outbound::default()
    };
    let set = Set {
        outbound: vec![rule],
        ..Set::default()
    };
    let facts = OutboundFacts {
        rcpt_to: "contoso.com".into(),
        rule_connector: "rule".into(),
        session: Some(OutboundSession {
            host: "192.0.2.1".into(),
            tls: None,
        }),
        ..OutboundFacts::default()
    };
    let outcome = decide_outbound(&set, &facts);
    assert_eq!(outcome.verdict, Verdict::Accept);
    let delivery = outcome.delivery.unwrap();
    assert_eq!(delivery.smart_hosts, [("mail.contoso.com".to_owned(), 25)]);
    assert_eq!(delivery.level, Level::Opportunistic);
    let report: Vec<_> = outcome
        .if_enforced
        .unwrap()
        .rejections
        .iter()
        .map(|one| one.reason)
        .collect();
    assert_eq!(report, [Reason::TlsRequired, Reason::HostNotAllowed]);
    let wrong = OutboundFacts {
        rule_connector: "Rule".into(),
        ..facts
    };
    let outcome = decide_outbound(&set, &wrong);
    assert_eq!((outcome.verdict, outcome.delivery), (Verdict::Defer, None));
    assert_eq!(outcome.rejections[0].observed, ["Rule"]);
}

#[test]
fn sets_are_chosen_by_name_then_accepted_domain_then_default() {
    let accepts = |pattern: &str, retired| Set {
        accepted_domains: vec![pattern.into()],
        retired,
        ..Set::default()
    };
    let sets = [
        ("a".to_owned(), accepts("*.contoso.com", false)),
        ("b".to_owned(), accepts("fabrikam.com", true)),
        ("c".to_owned(), Set::default()),
    ];
    let chosen = |default, named, domain| {
        choose(&sets, default, named, domain).map(|((name, _), by)| (name.as_str(), by))
    };
    assert_eq!(
        chosen(None, "c", Some("contoso.com")),
        Some(("c", SelectedBy::Name))
    );
    assert_eq!(chosen(None, "b", None), None);
    let accepted = Some(("a", SelectedBy::AcceptedDomain));
    assert_eq!(chosen(Some("c"), "", Some("mail.contoso.com")), accepted);
    assert_eq!(chosen(Some("c"), "", Some("fabrikam.com")), None);
    assert_eq!(
        chosen(Some("c"), "", None),
        Some(("c", SelectedBy::Default))
    );
    assert_eq!(chosen(None, "", None), None);
    let only = choose(&sets[1..], None, "", None).map(|((name, _), _)| name.as_str());
    assert_eq!(only, Some("c"));

    let answer = answer_inbound(&sets, Some("c"), &asked("192.0.2.1", ""));
    let Answer::Decided {
        set: Some(_),
        outcome,
    } = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!(outcome.verdict, Verdict::Conditional);
}

fn one(connector: Inbound) -> Set {
    Set {
        inbound: vec![connector],
        ..Set::default()
    }
}

fn inbound(name: &str, sender_domains: &[&str], require: InboundRequire) -> Inbound {
    let matches = InboundMatch {
        sender_domains: texts(sender_domains),
        ..InboundMatch::default()
    };
    Inbound {
        name: name.into(),
        matches,
        require,
        ..Inbound::default()
    }
}

fn by_address(name: &str, client_ips: &[&str], require: InboundRequire) -> Inbound {
    let matches = InboundMatch {
        client_ips: texts(client_ips),
        ..InboundMatch::default()
    };
    Inbound {
        name: name.into(),
        matches,
        require,
        ..Inbound::default()
    }
}

fn tls(tls: InboundTls) -> InboundRequire {
    InboundRequire {
        tls: Some(tls),
        ..InboundRequire::default()
    }
}

fn names(names: &[&str]) -> InboundRequire {
    InboundRequire {
        certificate_names: texts(names),
        ..InboundRequire::default()
    }
}

fn addresses(networks: &[&str]) -> InboundRequire {
    InboundRequire {
        client_ips: texts(networks),
        ..InboundRequire::default()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn asked(client_ip: &str, mail_from: &str) -> InboundFacts {
    InboundFacts {
        client_ip: client_ip.into(),
        mail_from: mail_from.into(),
        ..InboundFacts::default()
    }
}

fn over_tls(facts: &InboundFacts, peer_certificate: Option<Certificate>) -> InboundFacts {
    let tls = TlsSession {
        version: "1.3".into(),
        peer_certificate,
        ..TlsSession::default()
    };
    InboundFacts {
        tls: Some(tls),
        ..facts.clone()
    }
}

fn certificate(trust: Trust, name: &str) -> Certificate {
    Certificate {
        trust,
        dns_names: vec![name.into()],
        ..Certificate::default()
    }
}

fn verdict(set: &Set, facts: &InboundFacts) -> Verdict {
    decide_inbound(set, facts).verdict
}

fn reasons(set: &Set, facts: &InboundFacts) -> Vec<Reason> {
    decide_inbound(set, facts)
        .rejections
        .iter()
        .map(|one| one.reason)
        .collect()
}
