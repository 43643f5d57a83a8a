use std::collections::{BTreeMap, BTreeSet};

use postern::{
    config,
    live::Snapshot,
    policy::{Catalog, catalog::Entry},
    rpc::{answer, pb},
};

use super::*;

/// The set, which must be good, and without warnings.
fn loaded(shape: Shape) -> Snapshot {
    let text = shape.text();
    let outcome = config::load_str("generated", &text);
    let findings: Vec<_> = outcome.findings.iter().take(5).collect();
    assert!(outcome.findings.is_empty(), "{findings:#?}");
    let set = outcome.set.unwrap();
    assert_eq!(set.inbound().len() + set.outbound().len(), shape.connectors);
    Snapshot {
        catalog: Catalog::new(vec![Entry::new(set)], None),
        status: BTreeMap::new(),
        directory_fault: None,
    }
}

fn verdict(number: i32) -> pb::Verdict {
    pb::Verdict::try_from(number).unwrap()
}

fn asked(shape: Shape) {
    let snapshot = loaded(shape);
    let size = shape.connectors;
    for scenario in [
        Scenario::InboundAccept,
        Scenario::InboundReject,
        Scenario::Miss,
    ] {
        let questions = inbound(scenario, size, 2_000);
        assert_eq!(questions.len(), 2_000);
        let mut connectors = BTreeSet::new();
        for question in questions {
            let answer = answer::inbound(&snapshot, &question).unwrap();
            let seen = (verdict(answer.verdict), answer.rejections.len());
            let both = answer.connector.is_some() && answer.also_matched.is_some();
            let expected = match scenario {
                Scenario::InboundReject => (pb::Verdict::Reject, 3),
                _ => (pb::Verdict::Accept, 0),
            };
            assert_eq!(seen, expected, "{question:#?} {answer:#?}");
            assert!(answer.if_enforced.is_none(), "{question:#?}");
            match scenario {
                Scenario::InboundAccept => assert!(both, "{question:#?} {answer:#?}"),
                Scenario::Miss => assert!(answer.connector.is_none(), "{answer:#?}"),
                _ => {}
            }
            connectors.extend(answer.connector.map(|connector| connector.name));
        }
        spread(scenario, shape, connectors.len());
    }
    for scenario in [
        Scenario::OutboundPlan,
        Scenario::OutboundEnforce,
        Scenario::Miss,
    ] {
        let questions = outbound(scenario, size, 2_000);
        assert_eq!(questions.len(), 2_000);
        let mut connectors = BTreeSet::new();
        for question in questions {
            let answer = answer::outbound(&snapshot, &question).unwrap();
            let expected = match scenario {
                Scenario::OutboundPlan => pb::Verdict::Conditional,
                _ => pb::Verdict::Accept,
            };
            assert_eq!(
                verdict(answer.verdict),
                expected,
                "{question:#?} {answer:#?}"
            );
            assert!(answer.rejections.is_empty() && answer.if_enforced.is_none());
            let matched = answer.connector.is_some();
            assert_eq!(matched, scenario != Scenario::Miss, "{question:#?}");
            connectors.extend(answer.connector.map(|connector| connector.name));
        }
        spread(scenario, shape, connectors.len());
    }
}

/// Every question is about another connector, as far as there are so many of a kind.
fn spread(scenario: Scenario, shape: Shape, seen: usize) {
    let most = shape.connectors.min(2_000);
    let least = match scenario {
        Scenario::InboundAccept => most / 2,
        Scenario::InboundReject => most / 5,
        Scenario::OutboundPlan | Scenario::OutboundEnforce => most / 10,
        Scenario::Miss => 0,
    };
    assert!(
        seen >= least,
        "{scenario:?} at {}: {seen}",
        shape.connectors
    );
}

#[test]
fn questions_get_the_answers_that_they_claim() {
    for connectors in [10, 11, 37, 1_000, 5_000] {
        asked(Shape::of(connectors));
    }
}

#[test]
fn questions_are_the_same_without_reports() {
    asked(Shape {
        connectors: 1_000,
        reports: false,
    });
}

#[test]
fn some_are_in_report() {
    let text = set(1_000);
    let reports = text.matches("mode = \"report\"").count();
    assert!((5..40).contains(&reports), "{reports}");
    assert_eq!(text, set(1_000));
}

#[test]
fn is_of_every_kind() {
    let text = set(1_000);
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("[[inbound]]"), 850);
    assert_eq!(count("[[outbound]]"), 150);
    assert_eq!(count("sender_domains = [\"*."), 150);
    assert_eq!(count("[inbound.match]\nclient_ips"), 150);
    assert_eq!(count("[inbound.match]\nsender_domains"), 700);
    assert!(count("scope = \"rule\"") >= 20);
    assert!(count("smart_hosts") >= 50);
    assert!(count("2001:db8") > 20);
}
