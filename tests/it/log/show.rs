//! `postern log show`: one decision in words.

use std::{fmt::Write as _, io::Write as _, process::Stdio};

use serde_json::json;

use super::fixture::{Log, Said, decide, decisions};
use crate::running::{demands_tls, plaintext, postern, set_with};

#[test]
fn shows_what_was_decided_and_what_to_mend() {
    let mut lines = decisions("microsoft");
    lines.extend(decisions("report"));
    lines.extend(decisions("outbound"));
    let log = Log::of(&lines);
    let mut all = String::new();
    for (direction, verdict, report) in [
        ("inbound", "VERDICT_REJECT", false),
        ("inbound", "VERDICT_ACCEPT", true),
        ("outbound", "VERDICT_DEFER", false),
        ("outbound", "VERDICT_CONDITIONAL", false),
    ] {
        let line = lines.iter().find(|line| {
            let answer = &line["answer"];
            line["direction"] == direction
                && answer["verdict"] == verdict
                && answer.get("if_enforced").is_some() == report
                && line.get("caller").is_some()
        });
        let line = line.unwrap_or_else(|| panic!("{direction} {verdict}"));
        // Two cases have the same place in their folders, and so the same id.
        let log = Log::of(std::slice::from_ref(line));
        let said = log.run(&[
            "show",
            "--correlation-id",
            line["correlation_id"].as_str().unwrap(),
            "decisions.jsonl",
        ]);
        assert_eq!((said.code, &*said.err), (Some(0), ""));
        let _ = writeln!(all, "# {direction} {verdict}\n{}", said.out);
    }
    insta::assert_snapshot!(all);
    let said = log.run(&["show", "--correlation-id", "id-0", "decisions.jsonl"]);
    assert_eq!(
        said.out.matches("correlation id id-0").count(),
        3,
        "all that have the id"
    );
}

#[test]
fn shows_every_decision_that_there_is() {
    let mut lines = decisions("");
    for line in &mut lines {
        line["correlation_id"] = "the same".into();
    }
    let log = Log::of(&lines);
    let said = log.run(&["show", "--correlation-id", "the same", "decisions.jsonl"]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    assert_eq!(
        said.out.matches(", correlation id the same").count(),
        lines.len()
    );
}

#[test]
fn says_where_it_looked() {
    let log = Log::of(&[decide(0, &demands_tls("one"), plaintext())]);
    log.append(
        "other.jsonl",
        &[json!({"schema": 1, "time": "2026-11-20T01:00:00Z", "dropped": {"accepts": 7}})],
    );
    log.append_text("other.jsonl", "no line\n");
    let said = log.run(&[
        "show",
        "--correlation-id",
        "none",
        "decisions.jsonl",
        "other.jsonl",
    ]);
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    insta::assert_snapshot!(said.err);
}

/// A line's facts are a question that `postern explain` takes, and its answer is the same.
#[test]
fn can_be_asked_again() {
    let set = set_with("one", "certificate_names = [\"*.contosobank.com\"]");
    let log = Log::of(&[decide(4, &set, plaintext())]);
    std::fs::create_dir(log.path("connectors")).unwrap();
    std::fs::write(log.path("connectors/default.toml"), &set).unwrap();
    let said = log.run(&[
        "show",
        "--correlation-id",
        "id-4",
        "decisions.jsonl",
        "--format",
        "json",
    ]);
    let line = said.json();
    let mut explain = postern();
    explain.current_dir(log.path(""));
    explain.args(["explain", "inbound", "--facts", "-", "--format", "json"]);
    let mut child = explain
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "{}", line["facts"]).unwrap();
    let again = Said::of(&child.wait_with_output().unwrap());
    assert_eq!(again.code, Some(1));
    assert_eq!(again.json()["decision"], line["answer"]);
}

#[test]
fn hostile_lines_do_nothing_to_a_terminal() {
    let hostile = "\u{1b}[2J\u{202e}<script>";
    let mut line = decide(0, &demands_tls("one"), plaintext());
    line["caller"] = hostile.into();
    line["facts"]["helo"] = hostile.into();
    line["answer"]["rejections"][0]["message"] = hostile.into();
    line["answer"]["rejections"][0]["observed"] = json!([hostile]);
    line["facts"]["tls"] =
        json!({"version": hostile, "peer_certificate": {"dns_names": [hostile]}});
    let log = Log::of(&[line]);
    for arguments in [
        &["show", "--correlation-id", "id-0", "decisions.jsonl"][..],
        &[
            "follow",
            "--connector",
            "ContosoBank",
            "--since",
            "2026-11-01",
            "decisions.jsonl",
        ],
    ] {
        let said = log.run(arguments);
        assert!(
            said.out.contains("\\u{1b}[2J\\u{202e}<script>"),
            "{}{}",
            said.out,
            said.err
        );
        assert!(!said.out.contains('\u{202e}'));
    }
}
