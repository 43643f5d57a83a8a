//! What the strategies make: valid sets, and questions that reach every answer.

use std::collections::HashMap;

use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};

use super::super::{
    Answer, Envelope, InboundFacts, OutboundFacts, Pattern, SelectedBy, Set, answer_inbound,
    answer_outbound, decide_inbound, decide_outbound, some_inbound_facts, some_outbound_facts,
    some_set, some_sets,
};

#[test]
fn the_strategies_reach_every_verdict_and_reason() {
    let mut runner = TestRunner::deterministic();
    let mut seen: HashMap<String, u32> = HashMap::new();
    for _ in 0..SAMPLES {
        let set = some_set().new_tree(&mut runner).unwrap().current();
        let inbound = some_inbound_facts()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let outbound = some_outbound_facts()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let inbound = ("inbound", decide_inbound(&set, &inbound));
        for (direction, outcome) in [inbound, ("outbound", decide_outbound(&set, &outbound))] {
            let mut count =
                |what: String| *seen.entry(format!("{direction} {what}")).or_default() += 1;
            count(format!("{:?}", outcome.verdict));
            for rejection in &outcome.rejections {
                count(format!("{:?}", rejection.reason));
            }
            if let Some(connector) = &outcome.connector {
                count(format!("{:?}", connector.by));
            }
            if let Some(report) = &outcome.if_enforced {
                let same = report.verdict == outcome.verdict;
                count(
                    (if same {
                        "SameInReport"
                    } else {
                        "OtherInReport"
                    })
                    .into(),
                );
            }
        }
    }
    let reach = |(direction, all): &(&str, &str)| -> Vec<String> {
        all.split_whitespace()
            .map(|what| format!("{direction} {what}"))
            .collect()
    };
    let missed: Vec<_> = REACHED
        .iter()
        .flat_map(reach)
        .filter(|what| !seen.contains_key(what))
        .collect();
    assert_eq!(missed, [""; 0], "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // A set without duplicates has no ties, so that nothing hangs on the order in the file.
    #[test]
    fn no_two_connectors_are_equally_specific(
        set in some_set(),
        inbound in some_inbound_facts(),
        outbound in some_outbound_facts(),
    ) {
        let mut reversed = set.clone();
        reversed.inbound.reverse();
        reversed.outbound.reverse();
        prop_assert_eq!(decide_inbound(&set, &inbound), decide_inbound(&reversed, &inbound));
        prop_assert_eq!(decide_outbound(&set, &outbound), decide_outbound(&reversed, &outbound));
    }

    #[test]
    fn every_set_is_a_toml_file_that_ends_as_it_must(set in some_set()) {
        let text = set.to_toml();
        let table: toml::Table = text.parse().unwrap();
        prop_assert_eq!(table["version"].as_integer(), Some(1));
        let inbound = table.get("inbound").and_then(|list| list.as_array()).map_or(0, Vec::len);
        prop_assert_eq!(inbound, set.inbound.len());
        if let Some(first) = set.inbound.first() {
            prop_assert_eq!(table["inbound"][0]["name"].as_str(), Some(first.name.as_str()));
        }
        prop_assert!(text.starts_with("version = 1\n") && text.ends_with("\n[end]\n"));
    }

    #[test]
    fn no_two_sets_accept_one_domain(sets in some_sets(), facts in some_inbound_facts()) {
        let recipient = Envelope::recipient(&facts.rcpt_to);
        let accepts = |set: &Set| {
            let mut patterns = set.accepted_domains.iter().filter_map(|text| Pattern::parse(text));
            patterns.any(|pattern| pattern.covers(recipient.domain()))
        };
        prop_assert!(sets.iter().filter(|(_, set)| accepts(set)).count() <= 1);
    }

    #[test]
    fn a_set_that_is_named_decides_or_is_not_there(
        sets in some_sets(),
        named in select(&["alpha", "beta", "gamma", "nobody"][..]).prop_map(String::from),
        inbound in some_inbound_facts(),
        outbound in some_outbound_facts(),
    ) {
        let there = sets.iter().find(|(name, set)| *name == named && !set.retired);
        let inbound = InboundFacts { connector_set: named.clone(), ..inbound };
        let outbound = OutboundFacts { connector_set: named.clone(), ..outbound };
        let answers = [
            (answer_inbound(&sets, None, &inbound), there.map(|one| decide_inbound(&one.1, &inbound))),
            (answer_outbound(&sets, None, &outbound), there.map(|one| decide_outbound(&one.1, &outbound))),
        ];
        for (answer, decided) in answers {
            let expected = decided.map_or(Answer::NotFound, |outcome| Answer::Decided {
                set: Some((named.clone(), SelectedBy::Name)),
                outcome: Box::new(outcome),
            });
            prop_assert_eq!(answer, expected);
        }
    }
}

const SAMPLES: usize = 1000;

/// By direction: verdicts, reasons, and what a connector matched by.
const REACHED: &[(&str, &str)] = &[
    (
        "inbound",
        "Accept Conditional Defer Reject SenderDomain ClientIp TlsRequired TlsVersionTooLow \
         CertificateRequired CertificateExpired CertificateUntrusted CertificateNameMismatch \
         CertificateFingerprintMismatch ClientIpNotAllowed MailFromInvalid RcptToInvalid \
         SameInReport OtherInReport",
    ),
    (
        "outbound",
        "Accept Conditional Defer Reject RecipientDomain Rule TlsRequired TlsVersionTooLow \
         CertificateRequired CertificateExpired CertificateUntrusted CertificateNameMismatch \
         CertificateFingerprintMismatch HostNotAllowed RuleConnectorNotFound MailFromInvalid \
         RcptToInvalid SameInReport OtherInReport",
    ),
];
