//! The same questions over HTTP: curl, clients of the Connect protocol, and what is wrong with calls.

mod callers;
pub(crate) mod clients;
mod limits;

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use postern::rpc::{json, pb};
use prost::Message as _;
use serde_json::{Value, json};

use crate::running::{PATIENCE, Running, block_on, demands_tls, field, plaintext, tool};

const INBOUND: &str = "/postern.v1.PolicyDecisionService/CheckInbound";
const OUTBOUND: &str = "/postern.v1.PolicyDecisionService/CheckOutbound";
const EXPLAIN: &str = "/postern.v1.PolicyExplanationService/ExplainInbound";
const STREAM: &str = "/postern.v1.PolicyDecisionService/CheckStream";

/// A server that is asked over HTTP, too, with more settings of `[server]` and others.
fn serve(server: &str) -> (Running, SocketAddr) {
    let settings = format!("[server]\nhttp_listen = \"127.0.0.1:0\"\n{server}");
    let running = Running::serve_with(&[("default", &demands_tls("one"))], &settings);
    let at = http_of(&running);
    (running, at)
}

/// Where a server is asked over HTTP.
pub(crate) fn http_of(running: &Running) -> SocketAddr {
    let started = running.logged(|event| field(event, "http_listen").is_some());
    let places = field(&started, "http_listen").unwrap().as_str().unwrap();
    places.split(' ').next().unwrap().parse().unwrap()
}

/// What curl got: the status, the version of HTTP, the headers and the body.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The status, the code, and the reason of the error that it is.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let details = body["details"].as_array().unwrap();
        let info = details
            .iter()
            .find(|detail| detail["type"] == "google.rpc.ErrorInfo");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            self.status,
            text(&body["code"]),
            text(&info.unwrap_or_else(|| panic!("{body}"))["debug"]["reason"]),
        )
    }
}

/// Runs curl.
pub(crate) fn curl(arguments: &[&str]) -> Got {
    let folder = tempfile::TempDir::new().unwrap();
    let [headers, body] = ["headers", "body"].map(|name| folder.path().join(name));
    let patience = PATIENCE.as_secs().to_string();
    let output = Command::new(tool("curl"))
        .args([
            "-sS",
            "-m",
            &patience,
            "-w",
            "%{http_code} %{http_version}",
            "-D",
        ])
        .arg(&headers)
        .arg("-o")
        .arg(&body)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let (status, version) = said.split_once(' ').unwrap();
    // A stream that is reset (92) may take its answer with it: its status is 0 then.
    let reset = output.status.code() == Some(92);
    assert!(output.status.success() || reset, "{errors}");
    Got {
        status: status.parse().unwrap(),
        version: version.to_owned(),
        headers: fs::read_to_string(headers).unwrap().to_lowercase(),
        body: fs::read(body).unwrap_or_default(),
    }
}

/// Asks in JSON, where nothing else is said.
fn ask(at: SocketAddr, path: &str, question: &str, more: &[&str]) -> Got {
    let url = format!("http://{at}{path}");
    let told = more.iter().any(|more| more.starts_with("content-type: "));
    let json: &[_] = if told {
        &[]
    } else {
        &["-H", "content-type: application/json"]
    };
    curl(&[json, &["-d", question, &url], more].concat())
}

fn question() -> Value {
    json!({"clientIp": "192.0.2.7", "mailFrom": "ann@contosobank.com", "rcptTo": "bob@contoso.com"})
}

/// What a counter of the calls of `rpc` stands at.
fn counted(running: &Running, rpc: &str, code: &str) -> u64 {
    let sample = format!("postern_rpc_requests_total{{rpc=\"{rpc}\",grpc_code=\"{code}\"}} ");
    let (_, page) = running.page("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(&sample));
    line.map_or(0, |line| line.parse().unwrap())
}

/// Waits until so many calls of `rpc` have ended with `code`: a peer may know before that is counted.
fn until_counted(running: &Running, rpc: &str, code: &str, count: u64) {
    let begin = Instant::now();
    while counted(running, rpc, code) != count {
        let page = running.page("/metrics").1;
        assert!(begin.elapsed() < PATIENCE, "{rpc} {code} {count}: {page}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nobody_listens_where_nobody_said_so() {
    let running = Running::serve(&[("default", &demands_tls("one"))]);
    let started = running.logged(|event| field(event, "listen").is_some());
    assert_eq!(field(&started, "http_listen"), None);
}

#[test]
fn answers_are_those_of_grpc() {
    let (running, at) = serve("");
    let (inbound, outbound, explained) = block_on(async {
        let mut client = running.client().await;
        let inbound = client.decisions.check_inbound(plaintext()).await;
        let outbound = pb::CheckOutboundRequest {
            mail_from: "bob@contoso.com".into(),
            rcpt_to: "ann@contosobank.com".into(),
            ..pb::CheckOutboundRequest::default()
        };
        let outbound = client.decisions.check_outbound(outbound).await;
        let explained = client
            .explanations
            .explain_inbound(pb::ExplainInboundRequest {
                facts: Some(plaintext()),
                ..pb::ExplainInboundRequest::default()
            })
            .await;
        (
            inbound.unwrap().into_inner(),
            outbound.unwrap().into_inner(),
            explained.unwrap().into_inner(),
        )
    });
    let read = |got: &Got| {
        assert_eq!(got.status, 200);
        assert!(
            got.headers.contains("content-type: application/json\r\n"),
            "{}",
            got.headers
        );
        got.json()
    };
    let question = question();
    for version in [
        &["--http1.1"][..],
        &["--http2-prior-knowledge"],
        &["-H", "connect-protocol-version: 1"],
        &["-H", "content-type: application/json; charset=utf-8"],
    ] {
        let got = ask(at, INBOUND, &question.to_string(), version);
        let answer: pb::CheckInboundResponse =
            json::from_json("postern.v1.CheckInboundResponse", read(&got)).unwrap();
        assert_eq!(answer, inbound);
    }
    assert_eq!(inbound.verdict(), pb::Verdict::Reject);
    let got = ask(at, INBOUND, &question.to_string(), &[]);
    assert_eq!(got.json()["smtpReply"]["enhancedCode"], "5.7.0");

    let facts = json!({"mail_from": "bob@contoso.com", "rcpt_to": "ann@contosobank.com"});
    let got = ask(at, OUTBOUND, &facts.to_string(), &[]);
    let answer: pb::CheckOutboundResponse =
        json::from_json("postern.v1.CheckOutboundResponse", read(&got)).unwrap();
    assert_eq!(answer, outbound);

    let got = ask(at, EXPLAIN, &json!({"facts": question}).to_string(), &[]);
    let answer: pb::ExplainInboundResponse =
        json::from_json("postern.v1.ExplainInboundResponse", read(&got)).unwrap();
    assert_eq!(answer, explained);

    // In protobuf.
    let folder = tempfile::TempDir::new().unwrap();
    let message = folder.path().join("message");
    fs::write(&message, plaintext().encode_to_vec()).unwrap();
    let body = format!("@{}", message.display());
    let url = format!("http://{at}{INBOUND}");
    let proto = "content-type: application/proto";
    let got = curl(&["-H", proto, "--data-binary", &body, &url]);
    assert!(got.headers.contains("content-type: application/proto\r\n"));
    let answer = pb::CheckInboundResponse::decode(&*got.body).unwrap();
    assert_eq!(answer, inbound);

    until_counted(&running, "CheckInbound", "OK", 7);
    until_counted(&running, "CheckOutbound", "OK", 2);
    until_counted(&running, "ExplainInbound", "OK", 2);
}

#[test]
fn both_versions_of_http_are_spoken() {
    let (_running, at) = serve("");
    let question = question().to_string();
    let one = ask(at, INBOUND, &question, &["--http1.1"]);
    let two = ask(at, INBOUND, &question, &["--http2-prior-knowledge"]);
    assert_eq!((&*one.version, &*two.version), ("1.1", "2"));
    assert_eq!(one.json(), two.json());
}

#[test]
fn what_is_wrong_is_told() {
    let (running, at) = serve("");
    let good = question().to_string();
    let told = |path: &str, question: &str, more: &[&str]| {
        let got = ask(at, path, question, more);
        assert!(
            got.headers.contains("content-type: application/json\r\n"),
            "{}",
            got.headers
        );
        let (status, code, reason) = got.error();
        format!(
            "{status} {code} {reason}: {}\n",
            got.json()["message"].as_str().unwrap()
        )
    };
    let kind = |kind: &str| format!("content-type: {kind}");
    let said = [
        told(INBOUND, "{}", &[]),
        told(INBOUND, "{\n  \"clientIp\": 7\n}", &[]),
        told(INBOUND, "{\"client-ip\": \"192.0.2.7\"}", &[]),
        told(INBOUND, "mail from ann", &[]),
        told(INBOUND, "", &[]),
        told(
            INBOUND,
            &json!({"clientIp": "192.0.2.7", "connectorSet": "none"}).to_string(),
            &[],
        ),
        told(INBOUND, &good, &["-H", &kind("text/plain")]),
        told(INBOUND, &good, &["-H", &kind("application/grpc")]),
        told(INBOUND, &good, &["-H", "content-encoding: gzip"]),
        told(INBOUND, &good, &["-H", "connect-protocol-version: 2"]),
        told(INBOUND, &good, &["-H", "connect-timeout-ms: soon"]),
        told(INBOUND, &good, &["-X", "GET"]),
        told(STREAM, &good, &[]),
        told(
            "/postern.v1.PolicyDecisionService/CheckEverything",
            &good,
            &[],
        ),
        told("/", &good, &[]),
        told("/grpc.health.v1.Health/Check", &good, &[]),
    ];
    insta::assert_snapshot!(said.concat());
    until_counted(&running, "CheckInbound", "INVALID_ARGUMENT", 7);
    until_counted(&running, "CheckInbound", "NOT_FOUND", 1);
    until_counted(&running, "CheckInbound", "UNIMPLEMENTED", 3);
    let got = ask(at, INBOUND, "{}", &[]);
    let details = got.json()["details"].clone();
    assert_eq!(
        details[1]["debug"]["fieldViolations"][0]["field"],
        "client_ip"
    );
}

#[test]
fn the_openapi_document_is_served_and_says_what_is_answered() {
    let (_running, at) = serve("");
    let got = curl(&[&format!("http://{at}/openapi.json")]);
    let document = got.json();
    assert_eq!(document, postern::rpc::connect::document());
    let schema = |name: &str| {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": document["components"],
        });
        jsonschema::validator_for(&schema).unwrap()
    };
    let question = question();
    assert!(schema("postern.v1.CheckInboundRequest").is_valid(&question));
    assert!(!schema("postern.v1.CheckInboundRequest").is_valid(&json!({"mailFrom": "a@b.com"})));
    let answers = [
        (INBOUND, question.clone(), "postern.v1.CheckInboundResponse"),
        (
            OUTBOUND,
            json!({"rcptTo": "ann@contosobank.com"}),
            "postern.v1.CheckOutboundResponse",
        ),
        (
            EXPLAIN,
            json!({"facts": question}),
            "postern.v1.ExplainInboundResponse",
        ),
        (INBOUND, json!({}), "connect.Error"),
    ];
    for (path, question, name) in answers {
        let answer = ask(at, path, &question.to_string(), &[]).json();
        let schema = schema(name);
        let faults: Vec<_> = schema
            .iter_errors(&answer)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{answer:#}: {faults:?}");
        let schema = json!({"verdict": "MAYBE"});
        assert!(
            !is_answer(&document, &schema),
            "a schema that takes everything"
        );
    }
}

fn is_answer(document: &Value, answer: &Value) -> bool {
    let schema = json!({
        "$ref": "#/components/schemas/postern.v1.CheckInboundResponse",
        "components": document["components"],
    });
    jsonschema::is_valid(&schema, answer)
}

#[test]
fn a_question_is_written_down_as_one_of_grpc_is() {
    let (running, at) = serve("[decision_log]\nfile = \"decisions.jsonl\"\n");
    block_on(async {
        let mut client = running.client().await;
        client.decisions.check_inbound(plaintext()).await.unwrap();
    });
    ask(at, INBOUND, &question().to_string(), &[]);
    let file = running.folder.path().join("decisions.jsonl");
    let begin = Instant::now();
    let lines = loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<_> = lines.filter(|line| line.get("answer").is_some()).collect();
        if lines.len() == 2 {
            break lines;
        }
        assert!(begin.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(lines[0]["question"], lines[1]["question"]);
    assert_eq!(lines[0]["answer"], lines[1]["answer"]);
    assert_eq!(lines[0]["rpc"], lines[1]["rpc"]);
}
