//! What a caller learns of another organization's set: nothing, by whatever it asks.

use postern::rpc::pb::{check_stream_request::Question, check_stream_response::Answer};
use tokio_stream::StreamExt as _;

use super::*;

/// What is asked for each set there could be: one's own, another's, and one that nobody has.
const OTHERS: [&str; 2] = ["fabrikam", "nowhere"];

#[test]
fn another_set_by_name_is_one_that_does_not_exist() {
    let running = serve(&[caller(
        "edge",
        &["contoso", "gone"],
        "may = [\"check\", \"explain\"]",
    )]);
    let denied = (Code::PermissionDenied, "CONNECTOR_SET_DENIED".to_owned());
    block_on(async {
        let mut client = running.client().await;
        let mut seen = Vec::new();
        // `gone` may be asked, and is not there.
        for name in [
            OTHERS[0],
            OTHERS[1],
            "gone",
            "Fabrikam",
            "contoso.toml",
            "*",
        ] {
            // The recipient is one's own, another's, or malformed: the name is looked at first.
            for rcpt_to in ["bob@contoso.com", "bob@fabrikam.com", "", "fabrikam.com>"] {
                let asked = check(&mut client, "edge", inbound(name, rcpt_to)).await;
                seen.push(whole(&asked.unwrap_err()));
                let request = pb::ExplainInboundRequest {
                    facts: Some(inbound(name, rcpt_to)),
                    connectors: vec!["fabrikam's own".into()],
                };
                let explained = client.explanations.explain_inbound(by("edge", request));
                seen.push(whole(&explained.await.unwrap_err()));
            }
            let sent = by("edge", outbound(name, "bob@fabrikam.com"));
            let status = client.decisions.check_outbound(sent).await.unwrap_err();
            seen.push(whole(&status));
            let request = pb::ExplainOutboundRequest {
                facts: Some(outbound(name, "bob@fabrikam.com")),
                ..pb::ExplainOutboundRequest::default()
            };
            let explained = client.explanations.explain_outbound(by("edge", request));
            let status = explained.await.unwrap_err();
            seen.push(whole(&status));
            assert_eq!(refusal::<()>(Err(status)), denied);
        }
        assert!(seen.iter().all(|told| *told == seen[0]), "{seen:?}");
    });
}

#[test]
fn another_set_by_its_domain_is_not_chosen() {
    let running = serve(&[
        caller("one", &["contoso"], "may = [\"check\", \"explain\"]"),
        caller(
            "two",
            &["contoso", "adatum"],
            "may = [\"check\", \"explain\"]",
        ),
        caller("all", &["*"], ""),
    ]);
    block_on(async {
        let mut client = running.client().await;
        // One set: whatever the domain, that one, and the same answer for every domain that is not
        // its own.
        let mut answers = Vec::new();
        for domain in OTHERS {
            let rcpt_to = format!("bob@{domain}.com");
            let answer = check(&mut client, "one", inbound("", &rcpt_to)).await;
            answers.push(answer.unwrap());
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answered(Ok(answers.remove(0))), "contoso");
        let own = check(&mut client, "one", inbound("", "bob@contoso.com")).await;
        assert_eq!(answered(own), "contoso");
        // Nor do others' sets count where a recipient is to tell which of several answers.
        let unknown = check(&mut client, "one", inbound("", "")).await;
        assert_eq!(answered(unknown), "contoso");
        let unknown = check(&mut client, "two", inbound("", "")).await.unwrap();
        assert_eq!(unknown.verdict(), pb::Verdict::Conditional);
        assert_eq!(unknown.revision, None);
        // Several sets: their own domains, and no other.
        let own = check(&mut client, "two", inbound("", "bob@adatum.com")).await;
        assert_eq!(answered(own), "adatum");
        let mut told = Vec::new();
        for domain in OTHERS {
            let rcpt_to = format!("bob@{domain}.com");
            let asked = check(&mut client, "two", inbound("", &rcpt_to)).await;
            told.push(whole(&asked.unwrap_err()));
            let sent = outbound("", &rcpt_to);
            let sent = client.decisions.check_outbound(by("two", sent)).await;
            told.push(whole(&sent.unwrap_err()));
        }
        assert!(told.iter().all(|it| *it == told[0]), "{told:?}");
        assert_eq!(told[0].0, Code::PermissionDenied);
        // Who may ask all of them finds it.
        let all = check(&mut client, "all", inbound("", "bob@fabrikam.com")).await;
        assert_eq!(answered(all), "fabrikam");
        // Malformed addresses are refused by no set, and name the one that answers, if it is one's own.
        for (caller, expected) in [("one", Some("contoso")), ("two", None)] {
            for domain in OTHERS {
                let mut question = inbound("", &format!("bob@{domain}.com"));
                question.mail_from = "ann".into();
                let answer = check(&mut client, caller, question).await.unwrap();
                assert_eq!(answer.verdict(), pb::Verdict::Reject);
                let set = answer.revision.map(|revision| revision.connector_set);
                assert_eq!(set.as_deref(), expected, "{caller} {domain}");
            }
        }
        // Explanations tell of one's own connectors alone.
        let mut explained = Vec::new();
        for domain in OTHERS {
            let request = pb::ExplainInboundRequest {
                facts: Some(inbound("", &format!("bob@{domain}.com"))),
                connectors: vec!["fabrikam's own".into(), "contoso's own".into()],
            };
            let answer = client.explanations.explain_inbound(by("one", request));
            let mut answer = answer.await.unwrap().into_inner();
            answer.facts.clear();
            explained.push(answer);
        }
        assert_eq!(explained[0], explained[1]);
    });
    // The page of metrics counts what was answered, by the set that answered.
    let (_, metrics) = running.page("/metrics");
    assert!(
        metrics.contains("postern_decisions_total{rpc=\"CheckInbound\",connector_set=\"contoso\"")
    );
}

#[test]
fn another_set_in_a_stream_is_one_that_does_not_exist() {
    let running = serve(&[caller("two", &["contoso", "adatum"], "")]);
    block_on(async {
        let mut client = running.client().await;
        let questions = [
            inbound("fabrikam", "bob@contoso.com"),
            inbound("nowhere", "bob@contoso.com"),
            inbound("", "bob@fabrikam.com"),
            inbound("", "bob@nowhere.com"),
            inbound("", "bob@contoso.com"),
        ];
        let asked = (1..)
            .zip(questions)
            .map(|(id, question)| pb::CheckStreamRequest {
                id,
                question: Some(Question::Inbound(question)),
            });
        let asked: Vec<_> = asked.collect();
        let stream = by("two", tokio_stream::iter(asked));
        let answers = client.decisions.check_stream(stream).await.unwrap();
        let answers: Vec<_> = answers.into_inner().collect().await;
        let mut answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        answers.sort_by_key(|answer| answer.id);
        let answers: Vec<_> = answers.into_iter().map(|it| it.answer.unwrap()).collect();
        let [named, nowhere, domain, no_domain, own] = answers.try_into().unwrap();
        assert_eq!(named, nowhere);
        assert_eq!(domain, no_domain);
        for refused in [named, domain] {
            let Answer::Failure(failure) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(failure.code, i32::from(Code::PermissionDenied));
        }
        assert!(matches!(own, Answer::Inbound(_)), "{own:?}");
    });
    let (_, metrics) = running.page("/metrics");
    let line = "postern_caller_calls_total{caller=\"two\",grpc_code=\"PERMISSION_DENIED\"} 4";
    assert!(metrics.contains(line), "{metrics}");
}
