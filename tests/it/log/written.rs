//! The log that a running service writes, read while it writes it.

use postern::rpc::pb;

use super::fixture::{Log, Said, decisions};
use crate::running::{Running, block_on, plaintext, set_with};

/// A partner's test mail is waited for, comes over gRPC, and is explained.
#[test]
fn a_new_connector_is_proved() {
    let set = set_with("one", "certificate_names = [\"*.contosobank.com\"]");
    let set = set.replace("name =", "mode = \"report\"\nname =");
    let running = Running::serve_with(
        &[("default", &set)],
        "[decision_log]\nfile = \"decisions.jsonl\"\n",
    );
    let log = Log::at(running.folder.path());
    let waits = |name: &str| {
        super::follow::Waiting::for_connector(
            &log,
            "ContosoBank",
            &["--config", "postern.toml", "--set", name],
        )
    };
    let mut waiting = waits("default");
    waiting.says("waiting for mail that concerns `ContosoBank`");
    let named = |name: &str, id: &str| pb::CheckInboundRequest {
        tls: Some(pb::TlsSession {
            version: "TLSv1.3".into(),
            peer_certificate: Some(pb::Certificate {
                trust: pb::CertificateTrust::Trusted.into(),
                dns_names: vec![name.into()],
                ..pb::Certificate::default()
            }),
            ..pb::TlsSession::default()
        }),
        correlation_id: id.into(),
        ..plaintext()
    };
    let ask = |question: pb::CheckInboundRequest| {
        block_on(async {
            let mut client = running.client().await;
            client.decisions.check_inbound(question).await.unwrap();
        });
    };
    ask(pb::CheckInboundRequest {
        mail_from: "ann@fabrikam.com".into(),
        ..named("mx.fabrikam.com", "other")
    });
    ask(named("mx.fabrikam.com", "first"));
    let (code, said) = waiting.ends();
    let said = said.join("\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(
            "their certificate has the name mx.fabrikam.com; the connector wants *.contosobank.com"
        ),
        "{said}"
    );
    assert!(!said.contains("ann@") && !said.contains("other"), "{said}");
    // It is mended, and rotated by another program meanwhile.
    let mut waiting = waits("default");
    waiting.says("waiting");
    std::fs::rename(log.path("decisions.jsonl"), log.path("decisions.jsonl.1")).unwrap();
    running.signal("HUP");
    ask(named("mx.contosobank.com", "second"));
    let (code, said) = waiting.ends();
    assert_eq!(code, Some(0), "{said:#?}");

    let config = ["--config", "postern.toml"];
    let run = |arguments: &[&str]| -> Said { log.run(&[arguments, &config[..]].concat()) };
    let shown = run(&["show", "--correlation-id", "first"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("CheckInbound")
            && shown
                .out
                .contains("What to mend before the report is enforced"),
        "{}",
        shown.out
    );
    let summary = run(&["summary", "--format", "json"]).json();
    assert_eq!(summary["verdicts"]["decisions"], 3);
    assert_eq!(summary["unreadable"]["lines"], 0);
    assert_eq!(summary["connectors"][0]["connector"], "ContosoBank");
    assert_eq!(
        summary["connectors"][0]["report"]["correlation_ids"][0],
        "first"
    );
}

/// The lines that the tests here are made of are such as the service writes.
#[test]
fn lines_are_such_as_a_service_writes() {
    let schema = postern::rpc::journal::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines = decisions("");
    for line in &lines {
        if let Some(error) = validator.iter_errors(line).next() {
            panic!("{error}: {line:#}");
        }
    }
    assert!(lines.len() > 500);
    assert!(!validator.is_valid(&serde_json::json!({"schema": 1})));
}
