//! What a caller may ask in a second, and at once.

use std::time::{Duration, Instant};

use postern::rpc::pb::{check_stream_request::Question, check_stream_response::Answer};
use tokio_stream::StreamExt as _;
use tonic_types::StatusExt as _;

use super::*;
use crate::{limits::raw::Raw, running::PATIENCE};

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
        tokio::time::sleep(Duration::from_millis(wait)).await;
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
            // Its beginning was one of the five.
            decided >= 4 && refused > 0,
            "{decided} decided, {refused} refused"
        );
    });
}

#[test]
fn what_begins_a_call_counts_whatever_it_is() {
    let running = serve(&[caller("slow", &["contoso"], "calls_per_second = 5")]);
    block_on(async {
        let client = running.client().await;
        let mut refused = 0;
        // Streams without a question, which cost as much as a call.
        for _ in 0..50 {
            let mut client = client.clone();
            let stream = by("slow", tokio_stream::iter([]));
            match client.decisions.check_stream(stream).await {
                Ok(_) => {}
                Err(status) => {
                    assert_eq!(refusal::<()>(Err(status)), limited());
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        // Reflection and what there is not.
        let mut peer = Raw::dial(&running).await;
        let bearer = format!("Bearer {}", token("slow"));
        for path in [
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/postern.v1.PolicyDecisionService/Nothing",
        ] {
            let mut refused = false;
            for _ in 0..50 {
                let header = Some(("authorization", bearer.as_str()));
                let answer = peer.begin_with(path, header).finish(&[]).await;
                refused |= answer.status().code() == Code::ResourceExhausted;
            }
            assert!(refused, "{path}");
        }
        // Health never is.
        let health = "/grpc.health.v1.Health/Check";
        let answer = peer.ask(health, &[]).await;
        assert_eq!(answer.status().code(), Code::Ok);
    });
}

#[test]
fn a_caller_has_no_more_calls_in_flight_than_it_may() {
    let callers = |calls: &str| {
        [
            caller("greedy", &["contoso"], calls),
            caller("other", &["contoso"], ""),
        ]
    };
    let with = callers("calls = 2");
    let running = serve_with(Some(&file(&with)), "[server.limits]\ncalls = 8\n");
    block_on(async {
        let mut peers = [Raw::dial(&running).await, Raw::dial(&running).await];
        let check = "/postern.v1.PolicyDecisionService/CheckInbound";
        let stream = "/postern.v1.PolicyDecisionService/CheckStream";
        let bearer = |name| format!("Bearer {}", token(name));
        let (greedy, other) = (bearer("greedy"), bearer("other"));
        let mut begin = |at: usize, path: &str, bearer: &str| {
            peers[at].begin_with(path, Some(("authorization", bearer)))
        };
        // A call whose message has not come, and a stream, over two connections.
        let mut call = begin(0, check, &greedy);
        let open = begin(1, stream, &greedy);
        until_in_flight(&running, 2).await;
        let question = prost::Message::encode_to_vec(&plaintext());
        let framed = crate::limits::raw::framed(&question);
        for path in [check, stream] {
            let answer = begin(1, path, &greedy).finish(&framed).await;
            let status = answer.status();
            assert_eq!(refusal::<()>(Err(status.clone())), limited());
            assert!(status.message().contains("in flight"), "{status:?}");
        }
        // Another one has its share: half of all that may be.
        let held: Vec<_> = (0..4).map(|_| begin(0, stream, &other)).collect();
        until_in_flight(&running, 6).await;
        let answer = begin(0, check, &other).finish(&framed).await;
        assert_eq!(refusal::<()>(Err(answer.status())), limited());
        drop(held);
        until_in_flight(&running, 2).await;
        let answer = begin(0, check, &other).finish(&framed).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        // What has been answered, or given up, makes room.
        call.send(&framed);
        let answer = call.finish(&[]).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        let answer = begin(1, check, &greedy).finish(&framed).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        drop(open);
        until_in_flight(&running, 0).await;
        let answer = begin(1, check, &greedy).finish(&framed).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
    let (_, metrics) = running.page("/metrics");
    let line = "postern_caller_calls_total{caller=\"greedy\",grpc_code=\"RESOURCE_EXHAUSTED\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

/// What a caller over a limit of its own is told.
fn limited() -> (Code, String) {
    (Code::ResourceExhausted, "CALLER_LIMIT".to_owned())
}

/// Waits until so many calls are in flight.
async fn until_in_flight(running: &Running, calls: usize) {
    let begin = Instant::now();
    let line = format!("postern_calls_in_flight {calls}\n");
    while !running.page("/metrics").1.contains(&line) {
        assert!(begin.elapsed() < PATIENCE, "{}", running.page("/metrics").1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
