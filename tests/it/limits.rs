//! The limits of a process: what is over one of them is told so at once, and health is not
//! concerned.

use std::time::{Duration, Instant};

use postern::rpc::pb;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::running::{PATIENCE, Running, block_on, demands_tls, plaintext};
use raw::Raw;

mod aging;
mod attacks;
mod halves;
mod overload;
pub(crate) mod raw;

const CHECK: &str = "/postern.v1.PolicyDecisionService/CheckInbound";
const STREAM: &str = "/postern.v1.PolicyDecisionService/CheckStream";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

fn serve(limits: &str) -> Running {
    let settings = format!("[server.limits]\n{limits}");
    Running::serve_with(&[("default", &demands_tls("one"))], &settings)
}

/// What a counter stands at.
fn counter(running: &Running, sample: &str) -> u64 {
    let (_, page) = running.page("/metrics");
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample}: {page}"))
        .parse()
        .unwrap()
}

/// Waits until a counter stands at least there.
fn reaches(running: &Running, sample: &str, least: u64) {
    let begin = Instant::now();
    while counter(running, sample) < least {
        assert!(begin.elapsed() < PATIENCE, "{sample} stays below {least}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asserts that a call was turned away in the way that lets a client ask another replica.
fn overloaded(answer: &raw::Answer) {
    let status = answer.status();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("OVERLOADED", "postern")
    );
    // Without a message: the headers are all there is.
    assert!(
        answer.trailers.is_none() && answer.octets.is_empty(),
        "{answer:?}"
    );
    let wait = &answer.headers["grpc-retry-pushback-ms"];
    let wait: u32 = wait.to_str().unwrap().parse().unwrap();
    assert!((1..1000).contains(&wait), "{wait}");
}

/// Health, asked and watched over a connection of its own, says SERVING.
async fn healthy(running: &Running) {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", running.listen))
        .unwrap()
        .timeout(PATIENCE)
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest::default();
    let answer = health.check(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.status, 1);
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status, 1);
}

#[test]
fn calls_beyond_the_limit_are_sent_to_another_replica() {
    let running = serve("calls = 3\n");
    block_on(async {
        let mut one = Raw::dial(&running).await;
        let mut two = Raw::dial(&running).await;
        // Three calls whose message has not come yet, over two connections.
        let held = [one.begin(CHECK), one.begin(CHECK), two.begin(CHECK)];
        two.ask(HEALTH, &[]).await;
        one.ask(HEALTH, &[]).await;
        let in_flight = "postern_calls_in_flight";
        assert_eq!(counter(&running, in_flight), 3);
        for (connection, path) in [(&mut one, CHECK), (&mut two, STREAM)] {
            overloaded(&connection.ask_for(path, &plaintext()).await);
        }
        healthy(&running).await;
        for call in held {
            let answer = call.end(&plaintext()).await;
            assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
            assert_eq!(answer.inbound().verdict(), pb::Verdict::Reject);
        }
        let answer = one.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
    assert_eq!(
        counter(&running, "postern_calls_shed_total{limit=\"calls\"}"),
        2
    );
    for rpc in ["CheckInbound", "CheckStream"] {
        let sample =
            format!("postern_rpc_requests_total{{rpc=\"{rpc}\",grpc_code=\"UNAVAILABLE\"}}");
        assert_eq!(counter(&running, &sample), 1);
    }
    assert_eq!(counter(&running, "postern_calls_in_flight"), 0);
    running.logged(|event| event["limit"] == "calls" && event["level"] == "WARN");
}

#[test]
fn a_connection_has_no_more_calls_than_it_may() {
    let running = serve("calls_per_connection = 2\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        peer.ask(HEALTH, &[]).await;
        assert_eq!(peer.most_calls(), 2);
    });
    // One that does not care is told so by the transport: its third call was not looked at.
    let mut rude = raw::Frames::dial(&running);
    for id in [1, 3, 5] {
        rude.headers(id, CHECK, false);
    }
    let refused = rude.until(|frame| frame.kind == raw::RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (5, raw::REFUSED_STREAM));
}

#[test]
fn a_connection_has_no_more_streams_than_it_may() {
    let running = serve("streams_per_connection = 1\n");
    block_on(async {
        let mut client = running.client().await;
        let (questions, receiver) = tokio::sync::mpsc::channel(8);
        questions.send(raw::question(7)).await.unwrap();
        let stream = client.decisions.check_stream(ReceiverStream::new(receiver));
        let mut answers = stream.await.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 7);
        let second = client
            .decisions
            .check_stream(tokio_stream::iter([raw::question(8)]));
        let refused = second.await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(info.reason, "OVERLOADED");
        assert!(refused.message().contains("streams"), "{refused:?}");
        // Other calls are not concerned, nor is another connection; and a stream that ends makes room.
        client.decisions.check_inbound(plaintext()).await.unwrap();
        let mut other = running.client().await;
        let streamed = other
            .decisions
            .check_stream(tokio_stream::iter([raw::question(9)]));
        let answered: Vec<_> = streamed.await.unwrap().into_inner().collect().await;
        assert_eq!(answered.len(), 1);
        drop(questions);
        assert!(answers.next().await.is_none());
        let third = client
            .decisions
            .check_stream(tokio_stream::iter([raw::question(10)]));
        let answered: Vec<_> = third.await.unwrap().into_inner().collect().await;
        assert_eq!(answered.len(), 1);
    });
    let shed = "postern_calls_shed_total{limit=\"streams_per_connection\"}";
    assert_eq!(counter(&running, shed), 1);
}

#[test]
fn connections_beyond_the_limit_may_ask_for_health_alone() {
    let running = serve("connections = 2\n");
    block_on(async {
        let mut first = Raw::dial(&running).await;
        let mut second = Raw::dial(&running).await;
        for peer in [&mut first, &mut second] {
            let answer = peer.ask_for(CHECK, &plaintext()).await;
            assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        }
        let mut third = Raw::dial(&running).await;
        let answer = third.ask(HEALTH, &[]).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        healthy(&running).await;
        // Who asks for more is turned away, and told to leave.
        overloaded(&third.ask_for(CHECK, &plaintext()).await);
        assert!(third.is_sent_away().await.is_no_error());
        assert_eq!(
            counter(&running, "postern_calls_shed_total{limit=\"connections\"}"),
            1
        );
        // Beyond the reserve nobody is let in.
        let mut more = Vec::new();
        let closed = "postern_connections_closed_total{limit=\"connections\"}";
        let begin = Instant::now();
        while counter(&running, closed) == 0 {
            more.push(
                tokio::net::TcpStream::connect(running.listen)
                    .await
                    .unwrap(),
            );
            assert!(more.len() < 200 && begin.elapsed() < PATIENCE);
        }
        assert!(more.len() > 60, "{}", more.len());
        assert!(counter(&running, "postern_connections") <= 66);
        let answer = first.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        // And all is as before once they have gone.
        drop(more);
        while counter(&running, "postern_connections") > 2 {
            assert!(begin.elapsed() < PATIENCE, "they stay");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(second);
        while counter(&running, "postern_connections") > 1 {
            assert!(begin.elapsed() < PATIENCE, "it stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut third = Raw::dial(&running).await;
        let answer = third.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
}

#[test]
fn a_message_has_no_more_octets_than_it_may() {
    let running = serve("message_octets = 4096\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        for (octets, code) in [(4_000, Code::Ok), (5_000, Code::OutOfRange)] {
            let question = pb::CheckInboundRequest {
                helo: "x".repeat(octets),
                ..plaintext()
            };
            let answer = peer.ask_for(CHECK, &question).await;
            assert_eq!(answer.status().code(), code, "{octets}: {answer:?}");
        }
    });
}

#[test]
fn a_message_that_does_not_come_is_not_waited_for() {
    let running = serve("message_timeout = \"300ms\"\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        for begun in [&[][..], &[0, 0, 0, 0, 9, 1, 2]] {
            let mut call = peer.begin(CHECK);
            call.send(begun);
            let answer = call.answer().await;
            let status = answer.status();
            assert_eq!(status.code(), Code::DeadlineExceeded);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "MESSAGE_TIMEOUT");
        }
        // The connection goes on, and so does a stream that is open for longer.
        let mut client = running.client().await;
        let (questions, receiver) = tokio::sync::mpsc::channel(8);
        questions.send(raw::question(1)).await.unwrap();
        let stream = client.decisions.check_stream(ReceiverStream::new(receiver));
        let mut answers = stream.await.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 1);
        tokio::time::sleep(Duration::from_millis(900)).await;
        questions.send(raw::question(2)).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 2);
        let answer = peer.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
}

#[test]
fn nothing_is_decided_for_a_call_whose_deadline_has_passed() {
    let running = serve("");
    let question = raw::framed(&prost::Message::encode_to_vec(&plaintext()));
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        // Nothing of the message has come in time, some of it, and all but an octet. (A message that
        // has come with its call is answered in the same moment: there is no time to pass.)
        for come in [0, 3, question.len() - 1] {
            let begin = Instant::now();
            let mut call = peer.begin_within(CHECK, "200m");
            call.send(&question[..come]);
            let (answer, mut rest) = call.split();
            let status = raw::taken(answer).await.unwrap().status();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{come}: {status:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "DEADLINE_EXCEEDED");
            let took = begin.elapsed();
            assert!(took >= Duration::from_millis(200), "{took:?}");
            assert!(took < PATIENCE / 3, "{took:?}");
            // What comes then is for nobody: the call may have been reset.
            let late = question[come..].to_vec();
            let _ = rest.send_data(late.into(), true);
        }
        // One that comes late, and in time.
        let mut call = peer.begin_within(CHECK, "25S");
        call.send(&question[..3]);
        peer.ask(HEALTH, &[]).await;
        call.send(&question[3..question.len() - 1]);
        let answer = call.finish(&question[question.len() - 1..]).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
    let of = |code| {
        let name = "postern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=";
        counter(&running, &format!("{name}\"{code}\"}}"))
    };
    assert_eq!((of("DEADLINE_EXCEEDED"), of("OK")), (3, 1));
    let decided = "postern_decision_duration_seconds_count{rpc=\"CheckInbound\"}";
    assert_eq!(counter(&running, decided), 1);
}

#[test]
fn a_stream_ends_with_the_deadline_of_its_caller() {
    let running = serve("");
    block_on(async {
        let mut client = running.client().await;
        let (questions, receiver) = tokio::sync::mpsc::channel(8);
        questions.send(raw::question(1)).await.unwrap();
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        // Why not by the client's own means: it would give the call up itself.
        let deadline = "300m".parse().unwrap();
        request.metadata_mut().insert("grpc-timeout", deadline);
        let begin = Instant::now();
        let mut answers = client
            .decisions
            .check_stream(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 1);
        let end = answers.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::DeadlineExceeded);
        let info = end.get_details_error_info().unwrap();
        assert_eq!(info.reason, "DEADLINE_EXCEEDED");
        assert!(begin.elapsed() >= Duration::from_millis(300));
    });
    let ended = "postern_rpc_requests_total{rpc=\"CheckStream\",grpc_code=\"DEADLINE_EXCEEDED\"}";
    assert_eq!(counter(&running, ended), 1);
}
