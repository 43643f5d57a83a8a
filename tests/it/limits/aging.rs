//! Connections end when they are idle or of age, and no call is lost by that.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{CHECK, HEALTH, Raw, counter, raw, reaches, serve};
use crate::running::{PATIENCE, block_on, plaintext, tool};

const OF_AGE: &str = "postern_connections_closed_total{limit=\"age\"}";

#[test]
fn no_call_is_lost_while_connections_rotate() {
    let running = serve("age = \"300ms\"\nage_grace = \"20s\"\n");
    let data = r#"{"client_ip": "192.0.2.7", "mail_from": "ann@contosobank.com"}"#;
    // What users run: it makes another connection where one is told to end, at a fixed rate.
    let output = Command::new(tool("ghz"))
        .args([
            "--insecure",
            "--async",
            "--connections",
            "8",
            "--concurrency",
            "64",
        ])
        .args([
            "--rps", "1500", "--total", "6000", "--format", "json", "--data", data,
        ])
        .args(["--call", "postern.v1.PolicyDecisionService/CheckInbound"])
        .arg(running.listen.to_string())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    // Why not these alone: it counts attempts, and those that gRPC made on a connection that was
    // just told to end, and made anew on the next one, come beside the 6,000 calls.
    let answered = &report["statusCodeDistribution"];
    let errors = &report["errorDistribution"];
    // Why not all: one that gRPC for Go was just writing when its connection ended is not always
    // made anew, since ghz has no retries; it was seen on a starved machine.
    let most = 3;
    let lost = 6000 - answered["OK"].as_u64().unwrap();
    assert!(lost <= most, "{answered}: {errors}");
    let codes: Vec<_> = answered.as_object().unwrap().keys().collect();
    assert!(
        codes
            .iter()
            .all(|code| ["OK", "Unavailable"].contains(&code.as_str())),
        "{answered}: {errors}"
    );
    let rotated = counter(&running, OF_AGE);
    assert!(rotated > 40, "{rotated}");
    let cut = "postern_connections_closed_total{limit=\"age_grace\"}";
    assert_eq!(counter(&running, cut), 0);
}

#[test]
fn a_call_in_flight_finishes_on_a_connection_of_age() {
    let running = serve("age = \"100ms\"\nage_grace = \"20s\"\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        let call = peer.begin(CHECK);
        tokio::task::block_in_place(|| reaches(&running, OF_AGE, 1));
        let answer = call.end(&plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        assert!(peer.is_sent_away().await.is_no_error());
    });
}

#[test]
fn a_stream_is_told_to_ask_again_when_its_connection_is_of_age() {
    let running = serve("age = \"1s\"\n");
    block_on(async {
        let mut client = running.client().await;
        let (questions, receiver) = tokio::sync::mpsc::channel(8);
        questions.send(raw::question(7)).await.unwrap();
        let stream = client.decisions.check_stream(ReceiverStream::new(receiver));
        let mut answers = stream.await.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 7);
        let end = answers.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::Unavailable);
        assert_eq!(end.get_details_error_info().unwrap().reason, "DRAINING");
        // The next one is on another connection.
        let mut client = running.client().await;
        let again = client
            .decisions
            .check_stream(tokio_stream::iter([raw::question(8)]));
        let answered: Vec<_> = again.await.unwrap().into_inner().collect().await;
        assert_eq!(answered.len(), 1);
    });
}

#[test]
fn what_does_not_finish_in_its_grace_is_cut() {
    let running = serve("age = \"100ms\"\nage_grace = \"300ms\"\nmessage_timeout = \"5s\"\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        let begin = Instant::now();
        let call = peer.begin(CHECK);
        call.try_answer().await.unwrap_err();
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(350), "{took:?}");
        assert!(took < PATIENCE / 2, "{took:?}");
    });
    assert_eq!(
        counter(
            &running,
            "postern_connections_closed_total{limit=\"age_grace\"}"
        ),
        1
    );
}

#[test]
fn a_connection_without_a_call_ends_and_one_with_a_call_does_not() {
    let running = serve("idle = \"400ms\"\n");
    block_on(async {
        let mut busy = Raw::dial(&running).await;
        let call = busy.begin(CHECK);
        let mut idle = Raw::dial(&running).await;
        let begin = Instant::now();
        idle.ask(HEALTH, &[]).await;
        assert!(idle.is_sent_away().await.is_no_error());
        assert!(begin.elapsed() >= Duration::from_millis(400));
        let answer = call.end(&plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        let answered = Instant::now();
        assert!(busy.is_sent_away().await.is_no_error());
        assert!(answered.elapsed() >= Duration::from_millis(200));
    });
    assert_eq!(
        counter(&running, "postern_connections_closed_total{limit=\"idle\"}"),
        2
    );
}
