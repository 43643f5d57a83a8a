//! Stopping: what is in flight finishes, and nothing can keep the process from its end.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use postern::rpc::pb;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::running::{PATIENCE, Running, block_on, demands_tls, field, plaintext};

const QUICK: &str = "[shutdown]\ndrain_delay = \"300ms\"\ndrain_deadline = \"1500ms\"\n";
const PATIENT: &str = "[shutdown]\ndrain_delay = \"0s\"\ndrain_deadline = \"25s\"\n";

fn serve(settings: &str) -> Running {
    Running::serve_with(&[("default", &demands_tls("one"))], settings)
}

#[test]
fn an_idle_server_ends_at_once() {
    let mut running = serve(PATIENT);
    running.signal("TERM");
    let (status, took) = running.end();
    assert_eq!(status.code(), Some(0));
    assert!(took < PATIENCE / 2, "{took:?}");
}

#[test]
fn health_tells_the_whole_life() {
    let mut running = serve(QUICK);
    assert_eq!(running.page("/livez").0, 200);
    assert_eq!(running.page("/readyz").0, 200);
    block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", running.listen))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut health = HealthClient::new(channel);
        for service in ["", "postern.v1.PolicyDecisionService"] {
            let request = HealthCheckRequest {
                service: service.into(),
            };
            let answer = health.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status, SERVING, "{service}");
        }
        let unknown = HealthCheckRequest {
            service: "postern.v1.Nothing".into(),
        };
        assert_eq!(
            health.check(unknown).await.unwrap_err().code(),
            Code::NotFound
        );

        let watch = HealthCheckRequest {
            service: "postern.v1.PolicyDecisionService".into(),
        };
        let mut watch = health.watch(watch).await.unwrap().into_inner();
        assert_eq!(watch.next().await.unwrap().unwrap().status, SERVING);
        running.signal("TERM");
        assert_eq!(watch.next().await.unwrap().unwrap().status, NOT_SERVING);
        assert_eq!(running.page("/readyz").0, 503);
        assert_eq!(running.page("/livez").0, 200);
        // Calls are still answered: load balancers need a moment to look elsewhere.
        let answer = running
            .client()
            .await
            .decisions
            .check_inbound(plaintext())
            .await
            .unwrap();
        assert_eq!(answer.into_inner().verdict(), pb::Verdict::Reject);
    });
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn a_call_in_flight_finishes() {
    let mut running = serve(PATIENT);
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(running.listen)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        let (answer, mut body) = sender.send_request(ask(running.listen), false).unwrap();
        // The server knows of the call when it has answered a later one on the same connection.
        ping(&mut sender, running.listen).await;
        running.signal("TERM");
        draining(&running);
        body.send_data(frame(&plaintext()), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let mut octets = Vec::new();
        while let Some(chunk) = body.data().await {
            octets.extend(chunk.unwrap());
        }
        let decision: pb::CheckInboundResponse =
            prost::Message::decode(octets.get(5..).unwrap()).unwrap();
        assert_eq!(decision.verdict(), pb::Verdict::Reject);
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.get("grpc-status").unwrap(), "0");
        drop((sender, driver));
    });
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn nothing_new_begins_while_a_call_is_in_flight() {
    let mut running = serve(PATIENT);
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(running.listen)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        let (answer, mut body) = sender.send_request(ask(running.listen), false).unwrap();
        ping(&mut sender, running.listen).await;
        running.signal("TERM");
        draining(&running);

        refused(running.listen).await;
        let away = loop {
            match sender.send_request(ask(running.listen), true) {
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => break error,
            }
        };
        assert!(away.is_go_away() && away.is_remote(), "{away:?}");
        assert_eq!(away.reason(), Some(h2::Reason::NO_ERROR));

        body.send_data(frame(&plaintext()), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn a_call_without_end_is_cut() {
    let mut running = serve(QUICK);
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(running.listen)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        let (answer, _body) = sender.send_request(ask(running.listen), false).unwrap();
        ping(&mut sender, running.listen).await;
        running.signal("TERM");
        let (status, took) = running.end();
        assert_eq!(status.code(), Some(0));
        assert!(
            took >= Duration::from_millis(1500),
            "it did not wait for the call: {took:?}"
        );
        assert!(took < PATIENCE / 2, "{took:?}");
        answer.await.unwrap_err();
    });
    running.logged(|event| {
        field(event, "message").is_some_and(|m| m == "what was still open at the deadline is cut")
    });
}

#[test]
fn an_open_stream_is_told_to_ask_again() {
    let mut running = serve(PATIENT);
    block_on(async {
        let mut client = running.client().await;
        let (questions, receiver) = tokio::sync::mpsc::channel(8);
        let stream = client.decisions.check_stream(ReceiverStream::new(receiver));
        questions.send(question(7)).await.unwrap();
        let mut answers = stream.await.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 7);
        running.signal("TERM");
        let end = loop {
            match answers.next().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => break status,
                None => panic!("the stream ended as if all was answered"),
            }
        };
        assert_eq!(end.code(), Code::Unavailable);
        assert_eq!(end.get_details_error_info().unwrap().reason, "DRAINING");
    });
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn neither_silence_nor_watching_health_keeps_it_alive() {
    let mut running = serve(QUICK);
    let mut silent = TcpStream::connect(running.listen).unwrap();
    let mut half = TcpStream::connect(running.listen).unwrap();
    std::io::Write::write_all(&mut half, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let watch = HealthCheckRequest::default();
    let (status, took) = block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", running.listen))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut watch = HealthClient::new(channel)
            .watch(watch)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(watch.next().await.unwrap().unwrap().status, SERVING);
        running.signal("TERM");
        let ended = running.end();
        while let Some(Ok(_)) = watch.next().await {}
        ended
    });
    assert_eq!(status.code(), Some(0));
    assert!(
        took >= Duration::from_millis(300),
        "it did not wait for the load balancers: {took:?}"
    );
    // The peer sees the end, however it looks.
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
    let _ = half.read_to_end(&mut rest);
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut running = serve("[shutdown]\ndrain_delay = \"10m\"\ndrain_deadline = \"10m\"\n");
    let _silent = TcpStream::connect(running.listen).unwrap();
    running.signal("INT");
    let begin = std::time::Instant::now();
    while running.page("/readyz").0 != 503 {
        assert!(begin.elapsed() < PATIENCE, "it is still ready");
    }
    running.signal("INT");
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let first = serve(QUICK);
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("default.toml"), demands_tls("one")).unwrap();
    for (flag, other, taken) in [
        ("--listen", "--admin-listen", first.listen),
        ("--admin-listen", "--listen", first.admin),
    ] {
        let output = crate::running::postern()
            .args([
                "serve",
                flag,
                &taken.to_string(),
                other,
                "127.0.0.1:0",
                "--connectors",
            ])
            .arg(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&taken.to_string()), "{stderr}");
    }
}

fn question(id: u64) -> pb::CheckStreamRequest {
    let question = Some(pb::check_stream_request::Question::Inbound(plaintext()));
    pb::CheckStreamRequest { id, question }
}

/// The head of a call of CheckInbound, whose message comes later.
fn ask(listen: SocketAddr) -> http::Request<()> {
    let call = "postern.v1.PolicyDecisionService/CheckInbound";
    http::Request::post(format!("http://{listen}/{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A message as it goes over the wire.
fn frame(message: &impl prost::Message) -> bytes::Bytes {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// Waits until it drains.
fn draining(running: &Running) {
    running.logged(|event| field(event, "message").is_some_and(|message| message == "draining"));
}

/// Connects until that is refused: the listener is closed soon after draining began, which resets
/// what was about to be accepted.
async fn refused(listen: SocketAddr) {
    let refused = async {
        loop {
            match tokio::net::TcpStream::connect(listen).await {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("new connections are still accepted");
}

/// A whole call on the connection, so that all that was sent before has been read.
async fn ping(sender: &mut h2::client::SendRequest<bytes::Bytes>, listen: SocketAddr) {
    let request = http::Request::post(format!("http://{listen}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(vec![0; 5].into(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    while body.data().await.is_some() {}
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
