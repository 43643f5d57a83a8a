//! What a caller may ask in a second.

use postern::rpc::pb::{check_stream_request::Question, check_stream_response::Answer};
use tokio_stream::StreamExt as _;
use tonic_types::StatusExt as _;

use super::*;

#[test]
fn a_caller_over_its_limit_waits_and_others_do_not() {
    let running = serve(&[
        caller("slow", &["contoso"], "calls_per_second = 1"),
        caller("free", &["contoso"], ""),
    ]);
    block_on(async {
        let mut client = running.client().await;
        check(&mut client, "slow", plaintext()).await.unwrap();
        // Whatever the machine is busy with: of calls in a row, some come within the second.
        let mut refused = None;
        for _ in 0..50 {
            match check(&mut client, "slow", plaintext()).await {
                Ok(_) => {}
                Err(status) => refused = Some(status),
            }
            check(&mut client, "free", plaintext()).await.unwrap();
        }
        let status = refused.expect("no call was refused");
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "CALLER_LIMIT"
        );
        let wait = status.metadata().get("grpc-retry-pushback-ms").unwrap();
        let wait: u64 = wait.to_str().unwrap().parse().unwrap();
        assert!((1..=1000).contains(&wait), "{wait}");
        let told = status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .unwrap();
        assert!(told.as_millis() <= 1000);
        // Over another connection it is the same allowance; and after the wait there is something.
        let mut other = running.client().await;
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        check(&mut other, "slow", plaintext()).await.unwrap();
    });
    let (_, metrics) = running.page("/metrics");
    let line = "postern_caller_calls_total{caller=\"slow\",grpc_code=\"RESOURCE_EXHAUSTED\"} ";
    assert!(metrics.contains(line), "{metrics}");
    assert!(!metrics.contains("{caller=\"free\",grpc_code=\"RESOURCE_EXHAUSTED\""));
}

#[test]
fn each_question_of_a_stream_counts() {
    let running = serve(&[caller("slow", &["contoso"], "calls_per_second = 5")]);
    block_on(async {
        let mut client = running.client().await;
        let asked = (1..=200).map(|id| pb::CheckStreamRequest {
            id,
            question: Some(Question::Inbound(plaintext())),
        });
        let asked: Vec<_> = asked.collect();
        let stream = by("slow", tokio_stream::iter(asked));
        let answers = client.decisions.check_stream(stream).await.unwrap();
        let answers: Vec<_> = answers.into_inner().collect().await;
        assert_eq!(answers.len(), 200);
        let (mut decided, mut refused) = (0, 0);
        for answer in answers {
            match answer.unwrap().answer.unwrap() {
                Answer::Inbound(_) => decided += 1,
                Answer::Failure(failure) => {
                    assert_eq!(failure.code, i32::from(Code::ResourceExhausted));
                    refused += 1;
                }
                Answer::Outbound(_) => panic!("an answer to another question"),
            }
        }
        assert!(
            decided >= 5 && refused > 0,
            "{decided} decided, {refused} refused"
        );
    });
}
