use std::collections::BTreeMap;

use super::*;
use crate::{config, policy::Entry};

const CONTOSO: &str = r#"
version = 1
accepted_domains = ["contoso.com"]

[[inbound]]
name = "Bank"
match.sender_domains = ["bank.example"]
require.tls = "encrypt"

[[outbound]]
name = "Bank out"
match.recipient_domains = ["bank.example"]
require.tls = "encrypt"

[end]
"#;

const FABRIKAM: &str = "version = 1\naccepted_domains = [\"fabrikam.com\"]\n[end]\n";

const GONE: &str = "version = 1\nretired = true\n[end]\n";

fn snapshot(sets: &[(&str, &str)], default: Option<&str>) -> Snapshot {
    let entry =
        |&(name, text): &(&str, &str)| Entry::new(config::load_str(name, text).set.unwrap());
    Snapshot {
        catalog: Catalog::new(sets.iter().map(entry).collect(), default),
        status: BTreeMap::new(),
        directory_fault: None,
    }
}

fn both() -> Snapshot {
    snapshot(
        &[("contoso", CONTOSO), ("fabrikam", FABRIKAM), ("gone", GONE)],
        None,
    )
}

fn receiving(set: &str, mail_from: &str, rcpt_to: &str) -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        connector_set: set.into(),
        client_ip: "192.0.2.1".into(),
        mail_from: mail_from.into(),
        rcpt_to: rcpt_to.into(),
        ..Default::default()
    }
}

fn sending(set: &str, mail_from: &str, rcpt_to: &str) -> pb::CheckOutboundRequest {
    pb::CheckOutboundRequest {
        connector_set: set.into(),
        mail_from: mail_from.into(),
        rcpt_to: rcpt_to.into(),
        ..Default::default()
    }
}

fn revision(revision: Option<pb::SetRevision>) -> Option<(String, pb::SelectedBy)> {
    revision.map(|revision| (revision.connector_set.clone(), revision.selected_by()))
}

#[test]
fn chooses_the_set() {
    for (set, rcpt_to, expected, by) in [
        (
            "fabrikam",
            "a@contoso.com",
            "fabrikam",
            pb::SelectedBy::Name,
        ),
        (
            "",
            "a@contoso.com",
            "contoso",
            pb::SelectedBy::AcceptedDomain,
        ),
    ] {
        let response = inbound(&both(), &receiving(set, "", rcpt_to)).unwrap();
        assert_eq!(revision(response.revision), Some((expected.into(), by)));
        let response = outbound(&both(), &sending(set, rcpt_to, "x.example")).unwrap();
        assert_eq!(revision(response.revision), Some((expected.into(), by)));
    }
    let response = inbound(
        &snapshot(&[("contoso", CONTOSO)], None),
        &receiving("", "", ""),
    )
    .unwrap();
    assert_eq!(
        revision(response.revision),
        Some(("contoso".into(), pb::SelectedBy::Default))
    );
}

#[test]
fn a_set_that_is_not_there_is_not_echoed() {
    for set in ["nowhere", "gone", "../etc", "Contoso"] {
        let failure = inbound(&both(), &receiving(set, "a@", "")).unwrap_err();
        assert_eq!(failure.reason(), "CONNECTOR_SET_NOT_FOUND");
        assert!(!failure.message().contains(set), "{failure}");
    }
    let failure = inbound(&both(), &receiving("", "", "a@x.example")).unwrap_err();
    assert_eq!(failure.code(), tonic::Code::NotFound);
}

#[test]
fn what_the_gateway_wrote_comes_first() {
    let request = pb::CheckInboundRequest {
        client_ip: String::new(),
        ..receiving("nowhere", "a@", "")
    };
    let failure = inbound(&both(), &request).unwrap_err();
    assert_eq!(failure.reason(), "FACT_INVALID");
    assert_eq!(failure.fields()[0].field, "client_ip");
    let request = pb::ExplainInboundRequest {
        facts: Some(request),
        connectors: Vec::new(),
    };
    let failure = explain_inbound(&both(), None, &request).unwrap_err();
    assert_eq!(failure.fields()[0].field, "facts.client_ip");
    let failure =
        explain_inbound(&both(), None, &pb::ExplainInboundRequest::default()).unwrap_err();
    assert_eq!(failure.fields()[0].field, "facts.client_ip");
}

#[test]
fn malformed_addresses_are_refused_with_the_set_that_would_answer() {
    let response = inbound(&both(), &receiving("", "a@", "b@contoso.com")).unwrap();
    assert_eq!(response.verdict(), pb::Verdict::Reject);
    assert_eq!(response.rejections[0].reason(), pb::Reason::MailFromInvalid);
    assert_eq!(revision(response.revision).unwrap().0, "contoso");
    let response = inbound(&both(), &receiving("", "", "b@")).unwrap();
    assert_eq!(response.rejections[0].reason(), pb::Reason::RcptToInvalid);
    assert_eq!(response.revision, None);
    let response = outbound(&both(), &sending("", "a@contoso.com", "b@")).unwrap();
    assert_eq!(response.rejections[0].reason(), pb::Reason::RcptToInvalid);
    assert_eq!(revision(response.revision).unwrap().0, "contoso");
}

#[test]
fn asks_for_a_recipient_where_it_chooses_the_set() {
    let response = inbound(&both(), &receiving("", "", "")).unwrap();
    assert_eq!(response.verdict(), pb::Verdict::Conditional);
    assert_eq!(response.revision, None);
    let snapshot = snapshot(
        &[("contoso", CONTOSO), ("fabrikam", FABRIKAM)],
        Some("fabrikam"),
    );
    let response = inbound(&snapshot, &receiving("", "", "")).unwrap();
    assert_eq!(response.verdict(), pb::Verdict::Conditional);
    assert_eq!(revision(response.revision).unwrap().0, "fabrikam");
    let response = inbound(&snapshot, &receiving("fabrikam", "", "")).unwrap();
    assert_eq!(response.verdict(), pb::Verdict::Accept);
}

#[test]
fn an_answer_is_made_of_the_decision_and_its_set() {
    let request = receiving("", "a@bank.example", "b@contoso.com");
    let said = decide_inbound(&both(), None, &(&request).into(), |decision, chosen| {
        let set = chosen.map(|chosen| chosen.entry.set.name().to_owned());
        (set, decision.verdict)
    });
    assert_eq!(
        said,
        Ok((Some("contoso".to_owned()), policy::Verdict::Reject))
    );
}

#[test]
fn explains_the_same_decision() {
    let facts = receiving("", "a@bank.example", "b@contoso.com");
    let request = pb::ExplainInboundRequest {
        facts: Some(facts.clone()),
        connectors: vec!["Bank".into(), "Bank out".into()],
    };
    let explanation = explain_inbound(&both(), None, &request).unwrap();
    assert_eq!(
        explanation.decision,
        Some(inbound(&both(), &facts).unwrap())
    );
    let bank = &explanation.chains[0].considered[0];
    assert_eq!(
        (&*bank.connector, &*bank.source, bank.applies),
        ("Bank", "contoso.toml:5", true)
    );
    let other = &explanation.not_matched[0];
    assert_eq!((&*other.connector, other.applies), ("Bank out", false));

    let facts = sending("", "b@contoso.com", "a@bank.example");
    let request = pb::ExplainOutboundRequest {
        facts: Some(facts.clone()),
        connectors: Vec::new(),
    };
    let explanation = explain_outbound(&both(), None, &request).unwrap();
    assert_eq!(
        explanation.decision,
        Some(outbound(&both(), &facts).unwrap())
    );
    assert_eq!(
        explanation.chains[0].considered[0].source,
        "contoso.toml:10"
    );
}

#[test]
fn an_answer_without_connectors_is_explained_by_its_facts() {
    for (mail_from, rcpt_to) in [("a@", ""), ("", "")] {
        let facts = receiving("", mail_from, rcpt_to);
        let request = pb::ExplainInboundRequest {
            facts: Some(facts.clone()),
            connectors: Vec::new(),
        };
        let explanation = explain_inbound(&both(), None, &request).unwrap();
        assert_eq!(
            explanation.decision,
            Some(inbound(&both(), &facts).unwrap())
        );
        assert!(explanation.chains.is_empty());
        assert!(!explanation.facts.is_empty());
    }
}

#[test]
fn connectors_asked_for_are_accounted_for_where_none_is_asked() {
    let because = |considered: Vec<pb::Considered>| -> Vec<_> {
        let all = considered.into_iter();
        all.map(|one| format!("{}: {}", one.connector, one.because))
            .collect()
    };
    let connectors = vec!["Bank".to_owned(), "Nobody".to_owned()];
    for (mail_from, rcpt_to, why) in [
        ("a@", "", "the sender address is malformed"),
        ("", "b@", "the recipient address is malformed"),
        ("", "", "without a recipient no connector set can be chosen"),
    ] {
        let request = pb::ExplainInboundRequest {
            facts: Some(receiving("", mail_from, rcpt_to)),
            connectors: connectors.clone(),
        };
        let explanation = explain_inbound(&both(), None, &request).unwrap();
        let expected =
            ["Bank", "Nobody"].map(|name| format!("{name}: no connector is asked: {why}"));
        assert_eq!(because(explanation.not_matched), expected);
    }
    let request = pb::ExplainOutboundRequest {
        facts: Some(sending("", "a@contoso.com", "b@")),
        connectors: vec!["Bank out".to_owned()],
    };
    let explanation = explain_outbound(&both(), None, &request).unwrap();
    assert_eq!(
        because(explanation.not_matched),
        ["Bank out: no connector is asked: the recipient address is malformed"]
    );
}
