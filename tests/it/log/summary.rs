//! `postern log summary`: what it counts and how it prints, and what may be wrong with a log.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::{Value, json};

use super::fixture::{Log, Said, decide, decisions};
use crate::running::{demands_tls, plaintext};

/// A whole log of the cases that Microsoft's examples and reports make.
fn log() -> Log {
    let mut lines = decisions("microsoft");
    lines.extend(decisions("report"));
    lines.push(json!({"schema": 1, "time": "2026-11-21T00:00:00Z",
        "dropped": {"accepts": 120, "rejects": 3}, "since": "2026-11-20T23:00:00Z"}));
    Log::of(&lines)
}

const UNTIL: &str = "2026-11-24";

#[test]
fn tables_show_what_an_administrator_looks_for() {
    let said = log().run(&["summary", "decisions.jsonl", "--until", UNTIL]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    insta::assert_snapshot!(said.out);
}

#[test]
fn numbers_are_those_of_the_lines() {
    let log = log();
    let said = log.run(&[
        "summary",
        "decisions.jsonl",
        "--until",
        UNTIL,
        "--format",
        "json",
        "--top",
        "1000",
    ]);
    assert_eq!(said.code, Some(0));
    let summary = said.json();
    let lines: Vec<Value> = log
        .text("decisions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let decisions: Vec<_> = lines
        .iter()
        .filter(|line| line.get("answer").is_some())
        .collect();
    assert_eq!(summary["lines"], lines.len());
    assert_eq!(summary["verdicts"]["decisions"], decisions.len());
    for (verdict, name) in [
        ("VERDICT_ACCEPT", "accepted"),
        ("VERDICT_CONDITIONAL", "conditional"),
        ("VERDICT_REJECT", "rejected"),
        ("VERDICT_DEFER", "deferred"),
    ] {
        let count = decisions
            .iter()
            .filter(|line| line["answer"]["verdict"] == verdict)
            .count();
        assert!(count > 0, "{verdict}");
        assert_eq!(summary["verdicts"][name], count, "{verdict}");
        let over_time = summary["over_time"]["steps"].as_array().unwrap();
        let steps: u64 = over_time
            .iter()
            .map(|step| step[name].as_u64().unwrap())
            .sum();
        assert_eq!(steps, count as u64, "{verdict}");
    }
    assert_connectors(&summary, &decisions);
    assert_eq!(summary["lost"], json!({"accepts": 120, "rejects": 3}));
    let asked = |summary: &Value| -> u64 {
        let callers = summary["callers"].as_array().unwrap().iter();
        callers.map(|it| it["decisions"].as_u64().unwrap()).sum()
    };
    assert_eq!(asked(&summary), decisions.len() as u64);
    // What is rare goes to the others, and is not lost.
    let few = log
        .run(&[
            "summary",
            "decisions.jsonl",
            "--format",
            "json",
            "--top",
            "1",
        ])
        .json();
    assert_eq!(few["callers"].as_array().unwrap().len(), 1);
    let others = few["other_callers"].as_u64().unwrap();
    assert!(others > 0);
    assert_eq!(asked(&few) + others, decisions.len() as u64);
}

/// Counted a second time, from the lines as they stand.
fn assert_connectors(summary: &Value, decisions: &[&Value]) {
    for connector in summary["connectors"].as_array().unwrap() {
        let (set, name, direction) = (
            &connector["set"],
            &connector["connector"],
            &connector["direction"],
        );
        let its: Vec<_> = decisions
            .iter()
            .filter(|line| {
                line["answer"]["revision"]["connector_set"] == *set
                    && line["direction"] == *direction
            })
            .collect();
        let naming = its
            .iter()
            .filter(|line| line["answer"].to_string().contains(&name.to_string()))
            .count();
        assert_eq!(connector["decisions"], naming, "{name}");
        let unmet = |line: &&&&Value| {
            let rejections = line["answer"]["rejections"].as_array();
            rejections.is_some_and(|all| all.iter().any(|it| it["connector"] == *name))
        };
        let reasons = connector["reasons"].as_array().unwrap();
        let reasons: u64 = reasons.iter().map(|it| it["count"].as_u64().unwrap()).sum();
        let not_met = connector["not_met"].as_array().unwrap();
        let not_met: u64 = not_met.iter().map(|it| it["count"].as_u64().unwrap()).sum();
        assert_eq!(reasons, not_met, "{name}");
        assert!(reasons >= its.iter().filter(unmet).count() as u64, "{name}");
        assert_eq!(reasons > 0, its.iter().any(|line| unmet(&line)), "{name}");
    }
    let passes = |verdict: &Value| verdict == "VERDICT_ACCEPT" || verdict == "VERDICT_CONDITIONAL";
    let would = decisions.iter().filter(|line| {
        let answer = &line["answer"];
        answer
            .get("if_enforced")
            .is_some_and(|report| passes(&answer["verdict"]) && !passes(&report["verdict"]))
    });
    assert!(would.count() > 0);
    let reported = summary["connectors"].as_array().unwrap().iter();
    assert!(
        reported
            .clone()
            .any(|it| it["report"]["would_reject"] != json!([])
                && it["report"]["correlation_ids"] != json!([]))
    );
}

#[test]
fn every_decision_can_be_read() {
    let lines = decisions("");
    assert!(lines.len() > 500, "{}", lines.len());
    let log = Log::of(&lines);
    let summary = log
        .run(&["summary", "decisions.jsonl", "--format", "json"])
        .json();
    assert_eq!(summary["unreadable"]["lines"], 0);
    assert_eq!(summary["verdicts"]["decisions"], lines.len());
}

#[test]
fn only_what_is_asked_for_counts() {
    let log = log();
    let count = |arguments: &[&str]| {
        let mut all = vec!["summary", "decisions.jsonl", "--format", "json"];
        all.extend(arguments);
        log.run(&all).json()["verdicts"]["decisions"]
            .as_u64()
            .unwrap()
    };
    let all = count(&[]);
    let first = count(&["--until", "2026-11-20T02:00"]);
    assert_eq!(count(&["--since", "2026-11-20T02:00"]) + first, all);
    assert!(first > 0 && first < all);
    assert_eq!(count(&["--since", "1s"]), 0);
    assert_eq!(count(&["--set", "nowhere"]), 0);
    let json = log
        .run(&["summary", "decisions.jsonl", "--format", "json"])
        .json();
    let some = &json["connectors"][0];
    let (name, set) = (
        some["connector"].as_str().unwrap(),
        some["set"].as_str().unwrap(),
    );
    let only = log
        .run(&[
            "summary",
            "decisions.jsonl",
            "--format",
            "json",
            "--connector",
            name,
            "--set",
            set,
        ])
        .json();
    let connectors = only["connectors"].as_array().unwrap();
    assert!(
        connectors
            .iter()
            .all(|it| it["connector"] == name && it["set"] == set)
    );
    assert_eq!(connectors[0]["decisions"], some["decisions"]);
}

#[test]
fn several_files_and_standard_input_are_one_log() {
    let lines = decisions("microsoft");
    let (first, rest) = lines.split_at(5);
    let log = Log::of(rest);
    log.append("decisions.jsonl.1", first);
    let mut command = log.command(&["summary", "decisions.jsonl.1", "-", "--format", "json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(log.text("decisions.jsonl").as_bytes())
        .unwrap();
    drop(stdin);
    let said = Said::of(&child.wait_with_output().unwrap());
    assert_eq!(said.json()["verdicts"]["decisions"], lines.len());
    assert_eq!(
        said.json()["files"],
        json!(["decisions.jsonl.1", "standard input"])
    );
}

#[test]
fn the_log_of_the_settings_is_read_with_its_rotated_files() {
    let lines = decisions("microsoft");
    let (first, rest) = lines.split_at(5);
    let log = Log::of(rest);
    log.append("decisions.jsonl.20261120T010000.000Z", first);
    let settings =
        |table: &str| fs::write(log.path("postern.toml"), format!("version = 1\n{table}")).unwrap();
    let summary = || log.run(&["summary", "--config", "postern.toml", "--format", "json"]);
    settings("[decision_log]\nfile = \"decisions.jsonl\"\n");
    let json = summary().json();
    assert_eq!(json["verdicts"]["decisions"], lines.len());
    let files = json["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    assert!(
        files[1].as_str().unwrap().ends_with("decisions.jsonl"),
        "the newest is last"
    );
    let shown = log.run(&[
        "show",
        "--config",
        "postern.toml",
        "--correlation-id",
        "id-0",
    ]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let followed = log.run(&[
        "follow",
        "--config",
        "postern.toml",
        "--connector",
        "ContosoBank",
        "--since",
        "2026-11-01",
    ]);
    assert_ne!(followed.out, "", "{}", followed.err);
    // Just after a rotation, and before there is anything.
    fs::remove_file(log.path("decisions.jsonl")).unwrap();
    assert_eq!(summary().json()["verdicts"]["decisions"], 5);
    fs::remove_file(log.path("decisions.jsonl.20261120T010000.000Z")).unwrap();
    let said = summary();
    assert!(
        said.code == Some(2) && said.err.contains("cannot be read"),
        "{}",
        said.err
    );
    for (table, remedy) in [
        ("", "[decision_log]"),
        ("[decision_log]\noutput = \"stdout\"\n", "pipe it in"),
    ] {
        settings(table);
        let said = summary();
        assert!(
            said.code == Some(2) && said.err.contains(remedy),
            "{}",
            said.err
        );
    }
}

#[test]
fn what_is_broken_is_said_and_the_rest_counts() {
    let line = decide(0, &demands_tls("one"), plaintext());
    let log = Log::empty();
    let huge = "x".repeat(2 * 1024 * 1024);
    let later = line.to_string().replace("\"schema\":1", "\"schema\":2");
    let unknown = line
        .to_string()
        .replace("{\"answer\"", "{\"added\":{\"later\":[1]},\"answer\"");
    assert!(unknown.contains("added"));
    let text = format!(
        "{line}\n\n{{\"schema\":1,\"time\n{huge}\n{later}\n{unknown}\n\u{0}\u{0}\n[1,2]\n{}",
        line.to_string().split_at(200).0
    );
    log.append_text("decisions.jsonl", &text);
    let said = log.run(&["summary", "decisions.jsonl", "--until", UNTIL]);
    assert_eq!(said.code, Some(0));
    insta::assert_snapshot!(said.out);
    let json = log
        .run(&["summary", "decisions.jsonl", "--format", "json"])
        .json();
    assert_eq!(json["verdicts"]["decisions"], 2);
    assert_eq!(json["unreadable"]["lines"], 5);
    assert_eq!(json["unreadable"]["first"]["line"], 3);
    assert_eq!(json["torn"], json!(["decisions.jsonl"]));
    // A last line that is whole counts, also without its end.
    log.append_text("whole.jsonl", &line.to_string());
    let json = log
        .run(&["summary", "whole.jsonl", "--format", "json"])
        .json();
    assert_eq!(
        (&json["verdicts"]["decisions"], &json["torn"]),
        (&json!(1), &json!([]))
    );
}

#[test]
fn an_empty_log_has_nothing_to_say() {
    let log = Log::empty();
    log.append_text("decisions.jsonl", "");
    for format in ["human", "json", "html"] {
        let said = log.run(&["summary", "decisions.jsonl", "--format", format]);
        assert_eq!((said.code, &*said.err), (Some(0), ""), "{format}");
        assert!(
            said.out.contains("0 decisions")
                || said.out.contains("\"decisions\": 0")
                || said.out.contains("No decision."),
            "{format}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_a_wrong_call() {
    let log = Log::empty();
    for arguments in [
        &["summary", "nowhere.jsonl"][..],
        &["summary", "."],
        &["summary", "--since", "yesterday", "nowhere.jsonl"],
    ] {
        let said = log.run(arguments);
        assert_eq!((said.code, &*said.out), (Some(2), ""), "{}", said.err);
    }
    fs::write(log.path("log.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let said = log.run(&["summary", "log.gz"]);
    assert!(
        said.code == Some(2) && said.err.contains("`log.gz` cannot be read"),
        "{}",
        said.err
    );
}

/// What peers choose is shown, and does nothing.
#[test]
fn a_page_of_hostile_lines_runs_nothing() {
    let hostile = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
    let set = demands_tls("one").replace(
        "name = \"ContosoBank\"",
        "name = \"<b onclick='x'>Contoso & \\\"Bank\\\"\"",
    );
    let mut lines: Vec<_> = (0..3)
        .map(|at| {
            let mut line = decide(at, &set, plaintext());
            line["correlation_id"] = hostile.into();
            line["caller"] = hostile.into();
            line["facts"]["helo"] = hostile.into();
            line["facts"]["mail_from"] = format!("*@{hostile}").into();
            line["facts"]["tls"] = json!({"peer_certificate": {"dns_names": [hostile], "issuer": hostile,
                "not_after": "2026-11-25T00:00:00Z"}});
            line["answer"]["rejections"][0]["observed"] = json!([hostile]);
            line
        })
        .collect();
    lines[2]["answer"]["revision"]["connector_set"] = hostile.into();
    lines.push(json!({"schema": 1, "time": "2026-11-20T01:00:00Z", "dropped": {hostile: 1}}));
    let log = Log::of(&lines);
    log.append_text(
        "decisions.jsonl",
        &format!("{{\"schema\":1,\"time\":\"{hostile}\n"),
    );
    let said = log.run(&[
        "summary",
        "decisions.jsonl",
        "--until",
        UNTIL,
        "--format",
        "html",
        "--output",
        "page.html",
    ]);
    assert_eq!((said.code, &*said.out, &*said.err), (Some(0), "", ""));
    let page = log.text("page.html");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "it is shown"
    );
    for bad in [
        "<script", "<img", "<b ", "\u{202e}", "\u{1b}", "http://", "https://", "src=\"", "url(",
        "@import",
    ] {
        assert!(!page.contains(bad), "{bad}");
    }
    // Every tag is one that the page itself has, and every attribute of ours.
    let ours = log.run(&["summary", "/dev/null", "--format", "html"]).out;
    assert!(ours.contains("Content-Security-Policy"));
    assert_well_formed(&page);
    let said = log.run(&["summary", "decisions.jsonl", "--until", UNTIL]);
    assert!(
        !said.out.contains('\u{1b}') && !said.out.contains('\u{202e}'),
        "{}",
        said.out
    );
    assert!(said.out.contains("<script>"), "a terminal does not mind");
}

#[test]
fn a_page_needs_nothing_else_and_can_be_heard() {
    let log = log();
    let said = log.run(&[
        "summary",
        "decisions.jsonl",
        "--until",
        UNTIL,
        "--format",
        "html",
    ]);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    let page = said.out;
    for bad in ["http://", "https://", "<script", "src=", "url(", "<link"] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert_well_formed(&page);
    let charts = page.matches("role=\"img\"").count();
    assert_eq!(charts, 5, "time, reasons, report, certificates, callers");
    assert_eq!(page.matches("<desc id=").count(), charts);
    assert!(
        page.matches("<table>").count() >= charts,
        "each chart has its table"
    );
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
}

/// Every element that is opened is closed, in order.
fn assert_well_formed(page: &str) {
    let (_, mut rest) = page.split_once("</style>").unwrap();
    let mut open = vec!["html", "head"];
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            let name = tag.split(' ').next().unwrap();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}
