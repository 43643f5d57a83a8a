//! Calls over real sockets, by the clients that users have.

use std::{
    process::{Command, Output},
    time::Duration,
};

use postern::rpc::pb::{self, check_stream_request::Question, check_stream_response::Answer};
use prost::Message as _;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::Code;
use tonic_types::{ErrorDetail, StatusExt as _};

use crate::running::{PATIENCE, Running, block_on, demands_tls, field, plaintext, tool};

fn serve() -> Running {
    Running::serve(&[("default", &demands_tls("one"))])
}

fn grpcurl(running: &Running, arguments: &[&str]) -> Output {
    let (last, flags) = arguments.split_last().unwrap();
    Command::new(tool("grpcurl"))
        .args(["-plaintext", "-max-time", "20"])
        .args(flags)
        .arg(running.listen.to_string())
        .args(last.split(' ').filter(|word| !word.is_empty()))
        .output()
        .unwrap()
}

#[test]
fn the_request_of_the_readme_has_its_answer() {
    let example = include_str!("../../config/connectors/default.toml");
    let running = Running::serve(&[("default", example)]);
    let readme = include_str!("../../README.md");
    let request = readme
        .split("grpcurl -plaintext -d '")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let call = "postern.v1.PolicyDecisionService/CheckInbound";
    let output = grpcurl(&running, &["-d", request, call]);
    assert!(output.status.success(), "{output:?}");
    let answer = String::from_utf8(output.stdout).unwrap();
    let shown = readme
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("  ...\n")
        .next()
        .unwrap();
    assert!(answer.starts_with(shown), "{answer}");
}

#[test]
fn reflection_lists_all() {
    let running = serve();
    let output = grpcurl(&running, &["list"]);
    let services = String::from_utf8(output.stdout).unwrap();
    for service in [
        "grpc.health.v1.Health",
        "postern.v1.PolicyDecisionService",
        "postern.v1.PolicyExplanationService",
    ] {
        assert!(services.contains(service), "{services}");
    }
    let output = grpcurl(&running, &["describe postern.v1.CheckStreamRequest"]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("oneof question")
    );
    // The old version, which some clients know alone.
    block_on(async {
        use tonic_reflection::pb::v1alpha::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let channel = endpoint(&running).connect().await.unwrap();
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = ServerReflectionClient::new(channel)
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap()
            .into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else {
            panic!("{answer:?}")
        };
        assert!(
            list.service
                .iter()
                .any(|service| service.name == "postern.v1.PolicyDecisionService")
        );
    });
}

#[test]
fn every_error_says_why() {
    let running = serve();
    block_on(async {
        let mut client = running.client().await;
        let nothing = pb::CheckInboundRequest::default();
        let status = client.decisions.check_inbound(nothing).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "FACT_INVALID");
        let fields = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields.first().unwrap().field, "client_ip");

        let two = pb::CheckOutboundRequest {
            session: Some(pb::OutboundSession {
                host: "mx:25".into(),
                server_ip: "nowhere".into(),
                ..pb::OutboundSession::default()
            }),
            ..pb::CheckOutboundRequest::default()
        };
        let status = client.decisions.check_outbound(two).await.unwrap_err();
        let fields = status.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<_> = fields
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(fields, ["rcpt_to", "session.host", "session.server_ip"]);

        let elsewhere = pb::CheckInboundRequest {
            connector_set: "else\nwhere".into(),
            ..plaintext()
        };
        let status = client.decisions.check_inbound(elsewhere).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "CONNECTOR_SET_NOT_FOUND")
        );
        assert!(!status.message().contains("else"), "{status:?}");

        // What tonic itself answers has details, too: a message that is too large, and no such call.
        let large = pb::CheckInboundRequest {
            helo: "x".repeat(2_000_000),
            ..plaintext()
        };
        let status = client.decisions.check_inbound(large).await.unwrap_err();
        assert_eq!(reason(&status), "MESSAGE_TOO_LARGE", "{status:?}");
        let channel = endpoint(&running).connect().await.unwrap();
        let mut unknown = tonic::client::Grpc::new(channel);
        unknown.ready().await.unwrap();
        let status = unknown
            .unary::<_, pb::CheckInboundResponse, _>(
                tonic::Request::new(plaintext()),
                http::uri::PathAndQuery::from_static("/postern.v1.PolicyDecisionService/Nothing"),
                tonic_prost::ProstCodec::default(),
            )
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "METHOD_UNKNOWN")
        );
    });
}

#[test]
fn grpcurl_shows_why() {
    let running = serve();
    let call = "postern.v1.PolicyDecisionService/CheckInbound";
    let output = grpcurl(&running, &["-format-error", "-d", "{}", call]);
    assert!(!output.status.success(), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stderr)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let details = status["details"].as_array().unwrap();
    let detail = |name: &str| {
        let url = format!("type.googleapis.com/google.rpc.{name}");
        let found = details.iter().find(|detail| detail["@type"] == url);
        found.unwrap_or_else(|| panic!("{status}"))
    };
    assert_eq!(detail("ErrorInfo")["reason"], "FACT_INVALID", "{status}");
    assert_eq!(detail("ErrorInfo")["domain"], "postern");
    let violation = &detail("BadRequest")["fieldViolations"][0];
    assert_eq!(violation["field"], "client_ip", "{status}");
}

#[test]
fn what_is_no_message_is_told_in_words_of_our_own() {
    let running = serve();
    block_on(async {
        // A number stands where an inbound question has a text.
        let channel = endpoint(&running).connect().await.unwrap();
        let mut wrong = tonic::client::Grpc::new(channel);
        wrong.ready().await.unwrap();
        let status = wrong
            .unary::<_, pb::CheckInboundResponse, _>(
                tonic::Request::new(pb::CheckStreamRequest {
                    id: 7,
                    question: None,
                }),
                http::uri::PathAndQuery::from_static(
                    "/postern.v1.PolicyDecisionService/CheckInbound",
                ),
                tonic_prost::ProstCodec::default(),
            )
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Internal, "MESSAGE_INVALID")
        );
        assert_eq!(
            status.message(),
            "the request is no message of the contract: compare the client's proto files with it"
        );
    });
}

#[test]
fn no_call_waits_for_the_log() {
    // More than may wait, beside what is in the pipe.
    const QUESTIONS: u64 = 20_000;
    let running = serve();
    let log = running.hold_log();
    block_on(async {
        let mut client = running.client().await;
        let questions = tokio_stream::iter(0..QUESTIONS).map(|id| pb::CheckStreamRequest {
            id,
            question: Some(Question::Inbound(plaintext())),
        });
        let answers = client.decisions.check_stream(questions).await.unwrap();
        let answers = answers.into_inner().filter(Result::is_ok);
        let answered = answers.fold(0, |count, _| count + 1).await;
        assert_eq!(answered, QUESTIONS);
    });
    let (_, page) = running.page("/metrics");
    let lost = page
        .lines()
        .find_map(|line| line.strip_prefix("postern_log_lines_dropped_total "));
    let lost: u64 = lost.unwrap().parse().unwrap();
    assert!((1..QUESTIONS).contains(&lost), "{lost}");
    drop(log);
}

#[test]
fn a_stream_of_100_000_questions() {
    const QUESTIONS: u64 = 100_000;
    let running = serve();
    block_on(async {
        let mut client = running.client().await;
        let (sender, receiver) = tokio::sync::mpsc::channel(512);
        let mut asking = tokio::task::JoinSet::new();
        asking.spawn(async move {
            for id in 0..QUESTIONS {
                // Every 1,000th has no body, every 1,001st is wrong: the stream goes on.
                let question = match id {
                    _ if id % 1_000 == 999 => None,
                    _ if id % 1_001 == 1_000 => {
                        Some(Question::Inbound(pb::CheckInboundRequest::default()))
                    }
                    _ if id % 2 == 0 => Some(Question::Inbound(plaintext())),
                    _ => Some(Question::Outbound(pb::CheckOutboundRequest {
                        rcpt_to: "contoso.com".into(),
                        ..pb::CheckOutboundRequest::default()
                    })),
                };
                sender
                    .send(pb::CheckStreamRequest { id, question })
                    .await
                    .unwrap();
            }
        });
        let stream = client
            .decisions
            .check_stream(ReceiverStream::new(receiver))
            .await
            .unwrap();
        let mut answers = stream.into_inner();
        let mut seen = vec![false; usize::try_from(QUESTIONS).unwrap()];
        while let Some(answer) = answers.next().await {
            let pb::CheckStreamResponse { id, answer } = answer.unwrap();
            assert!(!std::mem::replace(
                &mut seen[usize::try_from(id).unwrap()],
                true
            ));
            match answer.unwrap() {
                Answer::Inbound(answer) => assert_eq!(answer.verdict(), pb::Verdict::Reject),
                Answer::Outbound(answer) => assert_eq!(answer.verdict(), pb::Verdict::Accept),
                Answer::Failure(failure) => {
                    assert_eq!(failure.code, Code::InvalidArgument as i32);
                    let reasons: Vec<_> = failure
                        .details
                        .iter()
                        .map(|any| any.type_url.clone())
                        .collect();
                    assert!(
                        reasons.contains(&"type.googleapis.com/google.rpc.ErrorInfo".to_owned())
                    );
                    assert!(id % 1_000 == 999 || id % 1_001 == 1_000, "{failure:?}");
                }
            }
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    let running = serve();
    block_on(async {
        let mut client = running.client().await;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let stream = client
            .decisions
            .check_stream(ReceiverStream::new(receiver))
            .await
            .unwrap();
        // Questions are sent until none is taken any more; no answer is read.
        let mut sent = 0_u64;
        loop {
            let question = Some(Question::Inbound(plaintext()));
            let asked = sender.send(pb::CheckStreamRequest { id: sent, question });
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(sending) => sending.unwrap(),
                Err(_) => break,
            }
            sent += 1;
            assert!(sent < 1_000_000, "it reads without end");
        }
        drop(sender);
        let mut answers = stream.into_inner();
        let mut answered = 0;
        while let Some(answer) = answers.next().await {
            answer.unwrap();
            answered += 1;
        }
        assert_eq!(answered, sent);
    });
}

#[test]
fn a_message_in_parts_is_answered_as_a_whole_one() {
    const INBOUND: &str = "CheckInbound";
    const OUTBOUND: &str = "CheckOutbound";
    let running = serve();
    let accepted = pb::CheckInboundRequest {
        client_ip: "192.0.2.1".into(),
        ..pb::CheckInboundRequest::default()
    };
    let plan = pb::CheckOutboundRequest {
        rcpt_to: "contoso.com".into(),
        ..pb::CheckOutboundRequest::default()
    };
    let none_such = pb::CheckInboundRequest {
        connector_set: "none-such".into(),
        ..plaintext()
    };
    block_on(async {
        let mut asking = Octets::dial(&running).await;
        for (method, message) in [
            (INBOUND, accepted.encode_to_vec()),
            (INBOUND, plaintext().encode_to_vec()),
            (INBOUND, none_such.encode_to_vec()),
            (INBOUND, Vec::new()),
            (INBOUND, vec![0xff; 20]),
            (OUTBOUND, plan.encode_to_vec()),
            (OUTBOUND, Vec::new()),
        ] {
            let framed = framed(&message);
            let whole = asking.ask(method, &[&framed]).await;
            for at in [1, 5, framed.len() - 1] {
                let (first, rest) = framed.split_at(at);
                assert_eq!(
                    asking.ask(method, &[first, rest]).await,
                    whole,
                    "{message:?}"
                );
            }
            assert_eq!(
                asking.ask(method, &[&framed, &[]]).await,
                whole,
                "{message:?}"
            );
        }
    });
    let (_, page) = running.page("/metrics");
    let counted = |code: &str, rpc: &str, count: u32| {
        let labels = format!("rpc=\"{rpc}\",grpc_code=\"{code}\"");
        let line = page.lines().find(|line| line.contains(&labels));
        let line = line.unwrap_or_else(|| panic!("{labels}: {page}"));
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    };
    counted("OK", INBOUND, 10);
    counted("NOT_FOUND", INBOUND, 5);
    counted("INVALID_ARGUMENT", INBOUND, 5);
    counted("INTERNAL", INBOUND, 5);
    counted("OK", OUTBOUND, 5);
}

/// A connection on which calls are made octet by octet.
struct Octets {
    sender: h2::client::SendRequest<bytes::Bytes>,
    listen: std::net::SocketAddr,
    _driver: tokio::task::JoinSet<Result<(), h2::Error>>,
}

impl Octets {
    async fn dial(running: &Running) -> Self {
        let listen = running.listen;
        let tcp = tokio::net::TcpStream::connect(listen).await.unwrap();
        let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        Self {
            sender,
            listen,
            _driver: driver,
        }
    }

    /// The headers, the octets and the trailers that answer a request whose body comes in `parts`.
    async fn ask(
        &mut self,
        method: &str,
        parts: &[&[u8]],
    ) -> (http::HeaderMap, Vec<u8>, Option<http::HeaderMap>) {
        let path = format!(
            "http://{}/postern.v1.PolicyDecisionService/{method}",
            self.listen
        );
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (response, mut body) = self.sender.send_request(request, false).unwrap();
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            body.send_data(bytes::Bytes::copy_from_slice(part), last)
                .unwrap();
        }
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut octets = Vec::new();
        while let Some(part) = body.data().await {
            octets.extend(part.unwrap());
        }
        (head.headers, octets, body.trailers().await.unwrap())
    }
}

/// A message behind the five octets that gRPC puts before it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

#[test]
fn a_peer_that_is_not_read_is_paused_and_not_cut() {
    let running = serve();
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(running.listen)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::Builder::new()
            .initial_connection_window_size(1024 * 1024)
            .handshake::<_, bytes::Bytes>(tcp)
            .await
            .unwrap();
        let mut driver = tokio::task::JoinSet::new();
        driver.spawn(connection);
        let ask = |path: &str| {
            http::Request::post(format!("http://{}{path}", running.listen))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .unwrap()
        };
        let stream = ask("/postern.v1.PolicyDecisionService/CheckStream");
        let (answers, mut questions) = sender.send_request(stream, false).unwrap();
        // Each question is a small frame of its own; no answer is read.
        let message = pb::CheckStreamRequest {
            id: 1,
            question: Some(Question::Inbound(plaintext())),
        };
        let question = framed(&message.encode_to_vec());
        let question = bytes::Bytes::from(question);
        loop {
            questions.reserve_capacity(question.len());
            while questions.capacity() < question.len() {
                let more = std::future::poll_fn(|context| questions.poll_capacity(context));
                match tokio::time::timeout(Duration::from_secs(1), more).await {
                    Ok(more) => assert!(more.unwrap().is_ok(), "the connection was cut"),
                    Err(_) => break,
                }
            }
            if questions.capacity() < question.len() {
                break;
            }
            questions.send_data(question.clone(), false).unwrap();
        }
        let (answer, _) = sender.send_request(ask("/nowhere"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        drop((answers, questions, driver));
    });
}

#[test]
fn metrics_count_and_promtool_likes_them() {
    let running = serve();
    block_on(async {
        let mut client = running.client().await;
        for _ in 0..3 {
            client.decisions.check_inbound(plaintext()).await.unwrap();
        }
        let nothing = pb::CheckInboundRequest::default();
        client.decisions.check_inbound(nothing).await.unwrap_err();
    });
    let (code, page) = running.page("/metrics");
    assert_eq!(code, 200);
    let rejected = "postern_decisions_total{rpc=\"CheckInbound\",connector_set=\"default\",verdict=\"REJECT\"} 3";
    let reason = "postern_rejections_total{connector_set=\"default\",connector=\"ContosoBank\",reason=\"TLS_REQUIRED\"} 3";
    let invalid =
        "postern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=\"INVALID_ARGUMENT\"} 1";
    for line in [
        rejected,
        reason,
        invalid,
        "postern_decision_duration_seconds_count{rpc=\"CheckInbound\"} 3",
    ] {
        assert!(page.lines().any(|have| have == line), "{line}\n{page}");
    }
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn the_log_shows_no_local_part() {
    let running = serve();
    block_on(async {
        let mut client = running.client().await;
        let request = pb::CheckInboundRequest {
            mail_from: "secret.sender@contosobank.com".into(),
            rcpt_to: "secret.recipient@contoso.com".into(),
            correlation_id: "4F2A".into(),
            ..plaintext()
        };
        client.decisions.check_inbound(request).await.unwrap();
        let malformed = pb::CheckInboundRequest {
            mail_from: "secret.sender".into(),
            ..plaintext()
        };
        client.decisions.check_inbound(malformed).await.unwrap();
    });
    let event =
        running.logged(|event| field(event, "correlation_id").is_some_and(|id| id == "4F2A"));
    assert_eq!(field(&event, "mail_from").unwrap(), "contosobank.com");
    assert_eq!(field(&event, "connector_set").unwrap(), "default");
    let digest = &running.status()["connector_sets"][0]["digest"];
    assert_eq!(field(&event, "digest").unwrap(), digest);
    assert!(field(&event, "elapsed_us").unwrap().is_u64(), "{event}");
    running
        .logged(|event| field(event, "reason").is_some_and(|reason| reason == "MAIL_FROM_INVALID"));
    for event in running.events() {
        assert!(!event.to_string().contains("secret"), "{event}");
    }
}

#[test]
fn the_first_load_script_runs() {
    let running = serve();
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/ghz"))
        .args([running.listen.to_string().as_str(), "200", "1"])
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", tool("ghz").parent().unwrap().display()),
        )
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && report.contains("[OK]   200 responses"),
        "{report}"
    );
}

#[test]
fn the_contract_is_linted() {
    let output = Command::new(tool("buf"))
        .args(["lint", concat!(env!("CARGO_MANIFEST_DIR"), "/proto")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn clients_can_use_the_service_config() {
    let config: serde_json::Value =
        serde_json::from_str(include_str!("../../proto/postern/v1/service_config.json")).unwrap();
    assert_eq!(
        config["loadBalancingConfig"][0]["round_robin"],
        serde_json::json!({})
    );
    assert_eq!(
        config["healthCheckConfig"]["serviceName"],
        "postern.v1.PolicyDecisionService"
    );
    let retry = &config["methodConfig"][0]["retryPolicy"];
    assert_eq!(retry["maxAttempts"], 2);
    assert_eq!(
        retry["retryableStatusCodes"],
        serde_json::json!(["UNAVAILABLE"])
    );
}

fn endpoint(running: &Running) -> tonic::transport::Endpoint {
    tonic::transport::Endpoint::from_shared(format!("http://{}", running.listen))
        .unwrap()
        .timeout(PATIENCE)
}

/// The reason of the ErrorInfo that every error has.
fn reason(status: &tonic::Status) -> String {
    let details = status.check_error_details_vec().unwrap();
    let info = details.into_iter().find_map(|detail| match detail {
        ErrorDetail::ErrorInfo(info) => Some(info),
        _ => None,
    });
    let info = info.unwrap_or_else(|| panic!("{status:?}"));
    assert_eq!(info.domain, "postern");
    info.reason
}
