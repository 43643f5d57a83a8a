//! Traces and metrics by OTLP: the real binary, and a collector that takes what it sends.

mod metrics;
mod outages;
mod receiver;
mod settings;
mod shed;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use postern::rpc::pb::{
    self, check_stream_request::Question,
    policy_decision_service_client::PolicyDecisionServiceClient,
    policy_explanation_service_client::PolicyExplanationServiceClient,
};
use tonic::{Code, Request, transport::Channel};

use self::receiver::{Receiver, attribute, hex};
use crate::running::{Running, block_on, demands_tls, field, plaintext};

/// Spans are sent at once, and every call has one.
const AT_ONCE: [(&str, &str); 2] = [
    ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A server whose spans `receiver` takes.
fn traced(receiver: &Receiver) -> Running {
    let settings = format!(
        "[tracing]\nendpoint = \"{}\"\n[shutdown]\ndrain_delay = \"0s\"\n",
        receiver.endpoint()
    );
    Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE)
}

async fn gateway(running: &Running) -> PolicyDecisionServiceClient<Channel> {
    PolicyDecisionServiceClient::connect(format!("http://{}", running.listen))
        .await
        .unwrap()
}

/// `message` in the caller's trace, with these flags.
fn in_trace<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", parent.parse().unwrap());
    metadata.insert("tracestate", "vendor=4711".parse().unwrap());
    request
}

fn of<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

/// The attributes that do not change from run to run, one on each line.
fn told(span: &Span) -> String {
    let attributes = span.attributes.iter();
    let mut lines: Vec<_> = attributes
        .filter(|pair| !["network.peer.port", "server.port"].contains(&&*pair.key))
        .map(|pair| {
            let value = attribute(&span.attributes, &pair.key).unwrap();
            format!("{} = {value}\n", pair.key)
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}

#[test]
fn a_call_is_a_span_in_the_trace_of_its_caller() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    let question = pb::CheckInboundRequest {
        correlation_id: "4XyZ12".into(),
        ..plaintext()
    };
    block_on(async {
        let mut gateway = gateway(&running).await;
        let answer = gateway.check_inbound(in_trace(question, "01")).await;
        assert_eq!(answer.unwrap().into_inner().verdict(), pb::Verdict::Reject);
    });
    let [span] = &receiver.spans(1)[..] else {
        panic!("one span")
    };
    assert_eq!(span.name, "postern.v1.PolicyDecisionService/CheckInbound");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(span.trace_state, "vendor=4711");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let digest = attribute(&span.attributes, "postern.digest").unwrap();
    insta::assert_snapshot!(told(span).replace(&digest, "DIGEST"), @r"
    network.peer.address = 127.0.0.1
    network.transport = tcp
    postern.connector = ContosoBank
    postern.connector_set = default
    postern.correlation_id = 4XyZ12
    postern.digest = DIGEST
    postern.reasons = TLS_REQUIRED
    postern.verdict = REJECT
    rpc.method = postern.v1.PolicyDecisionService/CheckInbound
    rpc.response.status_code = OK
    rpc.system.name = grpc
    server.address = 127.0.0.1
    ");
    let port = attribute(&span.attributes, "server.port").unwrap();
    assert_eq!(port, running.listen.port().to_string());
    // That mail is kept out is no error of the call.
    assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Unset);
    let decided = running.logged(|event| field(event, "message").is_some_and(|it| it == "decided"));
    assert_eq!(field(&decided, "trace_id").unwrap(), TRACE);
}

#[test]
fn who_traces_decides_and_else_the_share() {
    let receiver = Receiver::new();
    for (share, roots) in [("0.0", 0), ("1", 3)] {
        let settings = format!(
            "[tracing]\nendpoint = \"{}\"\nsample = {share}\n",
            receiver.endpoint()
        );
        let delay = [("OTEL_BSP_SCHEDULE_DELAY", "20")];
        let before = receiver.received().spans.len();
        let running = Running::serve_told(&demands_tls("one"), &settings, &delay);
        block_on(async {
            let mut gateway = gateway(&running).await;
            for _ in 0..3 {
                gateway.check_inbound(plaintext()).await.unwrap();
                gateway
                    .check_inbound(in_trace(plaintext(), "00"))
                    .await
                    .unwrap();
            }
            // Spans leave in their order: what comes after this one was not made before it.
            gateway
                .check_inbound(in_trace(plaintext(), "01"))
                .await
                .unwrap();
        });
        let spans = receiver.wait(|received| {
            let joined = |span: &Span| hex(&span.parent_span_id) == PARENT;
            let spans = &received.spans[before..];
            spans.iter().any(joined).then(|| spans.to_vec())
        });
        assert_eq!(spans.len(), roots + 1, "{share}: {spans:#?}");
        for root in &spans[..roots] {
            assert!(root.parent_span_id.is_empty() && hex(&root.trace_id) != TRACE);
        }
    }
}

#[test]
fn a_malformed_parent_begins_a_trace() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    block_on(async {
        let mut request = Request::new(plaintext());
        let malformed = format!("00-{TRACE}-{PARENT}-0x").parse().unwrap();
        request.metadata_mut().insert("traceparent", malformed);
        gateway(&running)
            .await
            .check_inbound(request)
            .await
            .unwrap();
    });
    let spans = receiver.spans(1);
    assert!(spans[0].parent_span_id.is_empty());
    assert_ne!(hex(&spans[0].trace_id), TRACE);
}

#[test]
fn a_failed_call_has_its_code() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    block_on(async {
        let mut gateway = gateway(&running).await;
        let empty = pb::CheckInboundRequest::default();
        let failed = gateway.check_inbound(empty).await.unwrap_err();
        assert_eq!(failed.code(), Code::InvalidArgument);
        drop(gateway.check_stream(tokio_stream::pending()).await.unwrap());
    });
    let spans = receiver.spans(2);
    let told = |span: &Span, name: &str| attribute(&span.attributes, name);
    let code = |span: &Span| told(span, "rpc.response.status_code").unwrap();
    let refused = of(&spans, "postern.v1.PolicyDecisionService/CheckInbound");
    assert_eq!(code(refused), "INVALID_ARGUMENT");
    let given_up = of(&spans, "postern.v1.PolicyDecisionService/CheckStream");
    assert_eq!(code(given_up), "CANCELLED");
    // The conventions lay these at the caller's door.
    for span in &spans {
        assert_eq!(told(span, "error.type"), None);
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Unset);
    }
    block_on(async {
        let mut gateway = gateway(&running).await;
        let answers = gateway.check_stream(tokio_stream::pending()).await;
        running.signal("TERM");
        let cut = answers.unwrap().into_inner().message().await.unwrap_err();
        assert_eq!(cut.code(), Code::Unavailable);
    });
    let spans = receiver.spans(3);
    assert_eq!(code(&spans[2]), "UNAVAILABLE");
    assert_eq!(told(&spans[2], "error.type").unwrap(), "UNAVAILABLE");
    assert_eq!(spans[2].status.as_ref().unwrap().code(), StatusCode::Error);
}

#[test]
fn a_span_names_the_caller_and_a_refusal_has_its_code() {
    let receiver = Receiver::new();
    let folder = tempfile::TempDir::new().unwrap();
    let callers = folder.path().join("callers.toml");
    let text = format!(
        "version = 1\n[[callers]]\nname = \"contoso-edge\"\ntoken_sha256 = [\"{}\"]\n\
         sets = [\"*\"]\n[end]\n",
        // What sha256sum says of the token.
        "fadc9011927d19e7881bd07f957517ce4d97014d149ecece041474b78f645bbd"
    );
    std::fs::write(&callers, text).unwrap();
    let settings = format!(
        "[callers]\nfile = {callers:?}\n[tracing]\nendpoint = \"{}\"\n",
        receiver.endpoint()
    );
    let running = Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE);
    block_on(async {
        let mut gateway = gateway(&running).await;
        let refused = gateway.check_inbound(plaintext()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let mut known = Request::new(plaintext());
        let token = "Bearer geheimnis-4711-geheimnis-4711".parse().unwrap();
        known.metadata_mut().insert("authorization", token);
        gateway.check_inbound(known).await.unwrap();
    });
    let spans = receiver.spans(2);
    let told = |at: usize, name: &str| attribute(&spans[at].attributes, name);
    let code = "rpc.response.status_code";
    assert_eq!(told(0, code).as_deref(), Some("UNAUTHENTICATED"));
    assert_eq!(told(0, "postern.caller"), None);
    assert_eq!(told(1, code).as_deref(), Some("OK"));
    assert_eq!(told(1, "postern.caller").as_deref(), Some("contoso-edge"));
    let octets = receiver.received().octets;
    assert!(!octets.windows(9).any(|part| part == b"geheimnis"));
}

#[test]
fn every_call_of_the_contract_is_traced_and_no_other() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    block_on(async {
        let mut gateway = gateway(&running).await;
        let channel = Channel::from_shared(format!("http://{}", running.listen)).unwrap();
        let channel = channel.connect().await.unwrap();
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
        let asked = tonic_health::pb::HealthCheckRequest::default();
        health.check(asked).await.unwrap();
        let outbound = pb::CheckOutboundRequest {
            rcpt_to: "bob@fabrikam.com".into(),
            ..pb::CheckOutboundRequest::default()
        };
        gateway.check_outbound(outbound.clone()).await.unwrap();
        let mut explaining = PolicyExplanationServiceClient::new(channel);
        let explained = pb::ExplainInboundRequest {
            facts: Some(plaintext()),
            ..pb::ExplainInboundRequest::default()
        };
        explaining.explain_inbound(explained).await.unwrap();
        let explained = pb::ExplainOutboundRequest {
            facts: Some(outbound),
            ..pb::ExplainOutboundRequest::default()
        };
        explaining.explain_outbound(explained).await.unwrap();
        gateway.check_inbound(plaintext()).await.unwrap();
    });
    let spans = receiver.spans(4);
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "postern.v1.PolicyDecisionService/CheckOutbound",
            "postern.v1.PolicyExplanationService/ExplainInbound",
            "postern.v1.PolicyExplanationService/ExplainOutbound",
            "postern.v1.PolicyDecisionService/CheckInbound",
        ]
    );
}

#[test]
fn a_stream_is_one_span_with_its_first_questions() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    block_on(async {
        let mut gateway = gateway(&running).await;
        let questions = (0..50).map(|id| pb::CheckStreamRequest {
            id,
            question: (id > 0).then(|| Question::Inbound(plaintext())),
        });
        let questions = in_trace(tokio_stream::iter(questions.collect::<Vec<_>>()), "01");
        let mut answers = gateway.check_stream(questions).await.unwrap().into_inner();
        let mut count = 0;
        while answers.message().await.unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 50);
    });
    let spans = receiver.spans(1);
    let stream = of(&spans, "postern.v1.PolicyDecisionService/CheckStream");
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(hex(&stream.trace_id), TRACE);
    let told = |name: &str| attribute(&stream.attributes, name).unwrap();
    assert_eq!(told("postern.questions"), "50");
    assert_eq!(told("rpc.response.status_code"), "OK");
    assert_eq!(stream.events.len(), 32);
    let first = &stream.events[0];
    assert_eq!(first.name, "refused");
    let code = attribute(&first.attributes, "rpc.response.status_code");
    assert_eq!(code.as_deref(), Some("INVALID_ARGUMENT"));
    for event in &stream.events[1..] {
        assert_eq!(event.name, "decided");
        let verdict = attribute(&event.attributes, "postern.verdict");
        assert_eq!(verdict.as_deref(), Some("REJECT"));
        let digest = attribute(&event.attributes, "postern.digest");
        assert_eq!(digest.map(|digest| digest.len()), Some(16));
    }
}

#[test]
fn no_local_part_leaves_in_a_trace() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    let marked = |address: &str| format!("geheimnis{address}");
    block_on(async {
        let mut gateway = gateway(&running).await;
        for (mail_from, rcpt_to) in [
            ("@contosobank.com", "@contoso.com"),
            ("@", "@contoso.com"),
            ("", ""),
            ("@[192.0.2.1]", "@bücher.example"),
            ("@contosobank.com", " malformed"),
        ] {
            let inbound = pb::CheckInboundRequest {
                mail_from: marked(mail_from),
                rcpt_to: marked(rcpt_to),
                ..plaintext()
            };
            let outbound = pb::CheckOutboundRequest {
                mail_from: marked(mail_from),
                rcpt_to: marked(rcpt_to),
                ..pb::CheckOutboundRequest::default()
            };
            gateway.check_inbound(inbound.clone()).await.ok();
            gateway.check_outbound(outbound).await.ok();
            let explained = pb::ExplainInboundRequest {
                facts: Some(inbound.clone()),
                ..pb::ExplainInboundRequest::default()
            };
            let channel = Channel::from_shared(format!("http://{}", running.listen)).unwrap();
            let channel = channel.connect().await.unwrap();
            let mut explaining = PolicyExplanationServiceClient::new(channel);
            explaining.explain_inbound(explained).await.ok();
            let question = Some(Question::Inbound(inbound));
            let questions = [pb::CheckStreamRequest { id: 1, question }];
            let answers = gateway.check_stream(tokio_stream::iter(questions)).await;
            let mut answers = answers.unwrap().into_inner();
            while answers.message().await.unwrap().is_some() {}
        }
    });
    receiver.spans(20);
    let octets = receiver.received().octets;
    let holds = |text: &str| {
        octets
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(!holds("geheimnis"));
    assert!(holds("postern.verdict"), "nothing was looked at");
}
