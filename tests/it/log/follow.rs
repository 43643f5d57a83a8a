//! `postern log follow`: what it waits for, and that it goes on whatever happens to the log.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use postern::rpc::pb;
use serde_json::{Value, json};

use super::fixture::{Log, Said, decide, decisions};
use crate::running::{PATIENCE, demands_tls, plaintext, set_with};

/// A call that waits, and what it says while it does.
pub(crate) struct Waiting {
    child: Child,
    said: mpsc::Receiver<String>,
    /// What it said that was not waited for yet. Why: its two outputs come as they like.
    before: Vec<String>,
}

impl Waiting {
    fn on(log: &Log, arguments: &[&str]) -> Self {
        Self::for_connector(log, "ContosoBank", arguments)
    }

    pub(crate) fn for_connector(log: &Log, name: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["follow", "--connector", name];
        all.extend(arguments);
        let mut child = log
            .command(&all)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = mpsc::channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            said,
            before: Vec::new(),
        }
    }

    /// Waits until it says this.
    pub(crate) fn says(&mut self, what: &str) {
        if let Some(at) = self.before.iter().position(|line| line.contains(what)) {
            self.before.remove(at);
            return;
        }
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else {
                panic!("it does not say `{what}`: {:#?}", self.before)
            };
            if line.contains(what) {
                return;
            }
            self.before.push(line);
        }
    }

    /// Waits for its end: the exit code, and what it said before it.
    pub(crate) fn ends(mut self) -> (Option<i32>, Vec<String>) {
        let mut said = std::mem::take(&mut self.before);
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {said:#?}"),
            }
        }
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(at: usize) -> Value {
    decide(at, &demands_tls("one"), plaintext())
}

fn accepted(at: usize) -> Value {
    let question = pb::CheckInboundRequest {
        tls: Some(pb::TlsSession {
            version: "TLSv1.3".into(),
            ..pb::TlsSession::default()
        }),
        ..plaintext()
    };
    decide(at, &demands_tls("one"), question)
}

/// Mail of somebody else.
fn other(at: usize) -> Value {
    let question = pb::CheckInboundRequest {
        mail_from: "ann@fabrikam.com".into(),
        ..plaintext()
    };
    decide(at, &demands_tls("one"), question)
}

#[test]
fn waits_for_new_mail_and_ends_with_what_became_of_it() {
    let log = Log::of(&[refused(0)]);
    let mut waiting = Waiting::on(&log, &["decisions.jsonl"]);
    waiting.says("waiting for mail that concerns `ContosoBank`");
    log.append("decisions.jsonl", &[other(1), accepted(2)]);
    let (code, said) = waiting.ends();
    assert_eq!(code, Some(0), "{said:#?}");
    let said = said.join("\n");
    assert!(
        said.contains("ACCEPTED") && said.contains("id-2") && !said.contains("id-0"),
        "{said}"
    );

    let mut waiting = Waiting::on(&log, &["decisions.jsonl", "--count", "2"]);
    waiting.says("waiting");
    log.append("decisions.jsonl", &[accepted(3)]);
    waiting.says("id-3");
    // A line that is written in two parts is one.
    let line = format!("{}\n", refused(4));
    let (first, rest) = line.split_at(100);
    log.append_text("decisions.jsonl", first);
    log.append_text("decisions.jsonl", rest);
    let (code, said) = waiting.ends();
    assert_eq!(code, Some(1), "{said:#?}");
    assert!(
        said.join("\n")
            .contains("to mend: their server 192.0.2.7 did not use TLS"),
        "{said:#?}"
    );
}

#[test]
fn goes_on_through_rotation_and_truncation() {
    let log = Log::empty();
    let mut waiting = Waiting::on(&log, &["decisions.jsonl", "--forever"]);
    waiting.says("which is not there yet");
    log.append("decisions.jsonl", &[refused(0)]);
    waiting.says("the log is there now");
    waiting.says("id-0");
    for round in 1..4 {
        let mut late = fs::File::options()
            .append(true)
            .open(log.path("decisions.jsonl"))
            .unwrap();
        fs::rename(
            log.path("decisions.jsonl"),
            log.path(&format!("decisions.jsonl.{round}")),
        )
        .unwrap();
        log.append("decisions.jsonl", &[refused(10 * round)]);
        waiting.says("the log was rotated");
        waiting.says(&format!("id-{}", 10 * round));
        // Its writer had not let go of the old one.
        let line = format!("{}\n", refused(10 * round + 1));
        std::io::Write::write_all(&mut late, line.as_bytes()).unwrap();
        waiting.says(&format!("id-{}", 10 * round + 1));
    }
    let file = fs::File::options()
        .write(true)
        .open(log.path("decisions.jsonl"))
        .unwrap();
    file.set_len(0).unwrap();
    waiting.says("the log was cut");
    log.append("decisions.jsonl", &[accepted(90)]);
    waiting.says("id-90");
    fs::remove_file(log.path("decisions.jsonl")).unwrap();
    log.append_text("decisions.jsonl", "this is no line\n");
    log.append(
        "decisions.jsonl",
        &[
            json!({"schema": 1, "time": "2026-11-20T01:00:00Z", "dropped": {"rejects": 2}}),
            accepted(91),
        ],
    );
    waiting.says("a line cannot be read");
    waiting.says("the log lost 2 lines");
    waiting.says("id-91");
    interrupt(&waiting);
    assert_eq!(waiting.ends().0, Some(1), "some were refused");
}

#[test]
fn looks_back_first_also_into_rotated_files() {
    let log = Log::empty();
    log.append("decisions.jsonl.1", &[refused(0), accepted(1)]);
    log.append("decisions.jsonl", &[other(2), accepted(3)]);
    let arguments = [
        "decisions.jsonl",
        "--since",
        "2026-11-20T00:10",
        "--count",
        "2",
    ];
    let (code, said) = Waiting::on(&log, &arguments).ends();
    let said = said.join("\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !said.contains("id-0") && said.contains("id-1") && said.contains("id-3"),
        "{said}"
    );
    let arguments = [
        "decisions.jsonl",
        "--since",
        "2026-11-20",
        "--format",
        "json",
    ];
    let (code, said) = Waiting::on(&log, &arguments).ends();
    assert_eq!(code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&said[0]).unwrap(), refused(0));
}

#[test]
fn a_name_that_no_connector_has_is_pointed_out() {
    let log = Log::of(&[]);
    log.append_text("decisions.jsonl", "");
    fs::create_dir(log.path("connectors")).unwrap();
    fs::write(log.path("connectors/default.toml"), demands_tls("one")).unwrap();
    let said = |name: &str| {
        let arguments = [
            "follow",
            "decisions.jsonl",
            "--timeout",
            "1ms",
            "--connector",
        ];
        log.run(&[&arguments[..], &[name]].concat()).err
    };
    let place = "no connector in `connectors` is called";
    let wrong = said("contosobnak");
    assert!(
        wrong.contains(&format!(
            "{place} `contosobnak`: did you mean `ContosoBank`?"
        )),
        "{wrong}"
    );
    assert!(said("Fabrikam").contains("`postern list` shows"));
    assert!(!said("ContosoBank").contains(place));
    fs::remove_dir_all(log.path("connectors")).unwrap();
    assert!(
        !said("contosobnak").contains(place),
        "the log of another machine"
    );
}

#[test]
fn says_what_came_instead() {
    let log = Log::of(&[]);
    log.append_text("decisions.jsonl", "");
    let (code, said) = Waiting::on(&log, &["decisions.jsonl", "--timeout", "10ms"]).ends();
    assert_eq!(code, Some(3), "{said:#?}");
    assert!(
        said.join("\n").contains("no decision at all came"),
        "{said:#?}"
    );
    let elsewhere = decide(
        0,
        &demands_tls("one").replace("name = \"ContosoBank\"", "name = \"Bank\""),
        plaintext(),
    );
    log.append("decisions.jsonl", &[elsewhere, other(1)]);
    let mut waiting = Waiting::on(&log, &["decisions.jsonl", "--since", "2026-11-01"]);
    waiting.says("waiting");
    // What was there is read before the first pause, and so before it sees that it is to stop.
    interrupt(&waiting);
    let (code, said) = waiting.ends();
    assert_eq!(code, Some(3), "{said:#?}");
    assert!(
        said.join("\n")
            .contains("2 decisions on other mail came meanwhile, by `Bank` for example"),
        "{said:#?}"
    );
    let log = Log::of(&[refused(0)]);
    let arguments = [
        "decisions.jsonl",
        "--since",
        "2026-11-01",
        "--set",
        "another",
        "--timeout",
        "1ms",
    ];
    assert_eq!(Waiting::on(&log, &arguments).ends().0, Some(3));
}

#[test]
fn standard_input_is_a_log_too() {
    let log = Log::empty();
    let said = |text: &str, arguments: &[&str]| {
        let all = [&["follow", "-", "--connector", "ContosoBank"], arguments].concat();
        let mut command = log.command(&all);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, text.as_bytes()).unwrap();
        // The input does not end before it does, where it is to have enough.
        let ends = arguments.is_empty();
        let output = if ends {
            drop(stdin);
            child.wait_with_output().unwrap()
        } else {
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            output
        };
        Said::of(&output)
    };
    let huge = "x".repeat(3 * 1024 * 1024);
    let text = format!("{}\n{huge}\n{}\n", other(0), accepted(1));
    let enough = said(&text, &["--count", "1"]);
    assert_eq!(enough.code, Some(0), "{}", enough.err);
    assert!(enough.out.contains("id-1"), "{}", enough.out);
    let over = said(&format!("{}\n", other(0)), &[]);
    assert_eq!(over.code, Some(3));
    assert!(over.err.contains("the input ended"), "{}", over.err);
}

#[test]
fn a_report_is_judged_as_if_it_were_enforced() {
    let set = demands_tls("one").replace("name =", "mode = \"report\"\nname =");
    let log = Log::of(&[decide(0, &set, plaintext())]);
    let (code, said) = Waiting::on(&log, &["decisions.jsonl", "--since", "2026-11-01"]).ends();
    let said = said.join("\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("would be refused if the report were enforced") && said.contains("to mend:"),
        "{said}"
    );
}

#[test]
fn the_example_of_the_documentation_holds() {
    let set = set_with("one", "certificate_names = [\"*.contosobank.com\"]");
    let certificate = pb::Certificate {
        trust: pb::CertificateTrust::Trusted.into(),
        dns_names: vec!["mx.fabrikam.com".into()],
        ..pb::Certificate::default()
    };
    let question = pb::CheckInboundRequest {
        mail_from: "*@contosobank.com".into(),
        rcpt_to: "*@contoso.com".into(),
        tls: Some(pb::TlsSession {
            version: "TLSv1.3".into(),
            peer_certificate: Some(certificate),
            ..pb::TlsSession::default()
        }),
        ..plaintext()
    };
    let set = set.replace("name =", "mode = \"report\"\nname =");
    let mut line = decide(0, &set, question);
    line["time"] = "2026-11-23T19:30:51.123456Z".into();
    line["correlation_id"] = "4XyZ12".into();
    let log = Log::of(&[line]);
    let arguments = [
        "follow",
        "--connector",
        "ContosoBank",
        "--since",
        "2026-11-01",
    ];
    let said = log.run(&[&arguments[..], &["decisions.jsonl"]].concat());
    let docs = include_str!("../../../docs/decision-log.md");
    let (_, example) = docs.split_once("waiting for mail that concerns").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (_, example) = example.split_once('\n').unwrap();
    assert_eq!(said.out, example);
}

#[test]
fn a_decision_on_a_condition_is_not_the_last_word() {
    let lines = decisions("outbound");
    let line = lines.iter().find(|line| {
        let answer = &line["answer"];
        answer["verdict"] == "VERDICT_CONDITIONAL" && answer.get("connector").is_some()
    });
    let line = line.unwrap();
    let name = line["answer"]["connector"]["name"].as_str().unwrap();
    let log = Log::of(std::slice::from_ref(line));
    let said = log.run(&[
        "follow",
        "decisions.jsonl",
        "--since",
        "2026-11-01",
        "--timeout",
        "1ms",
        "--connector",
        name,
    ]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.out.contains("ON A CONDITION"), "{}", said.out);
}

/// Each reason says what to mend.
#[test]
fn names_what_to_mend_for_every_reason() {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut all = String::new();
    for line in decisions("") {
        let Some(rejection) = line["answer"]["rejections"].get(0) else {
            continue;
        };
        let Some(name) = rejection["connector"].as_str() else {
            continue;
        };
        let kind = (
            line["direction"].to_string(),
            rejection["reason"].to_string(),
        );
        if seen.contains(&kind) {
            continue;
        }
        let log = Log::of(std::slice::from_ref(&line));
        let mut command: Command = log.command(&[
            "follow",
            "--since",
            "2026-11-01",
            "decisions.jsonl",
            "--connector",
            name,
        ]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let _ = writeln!(all, "# {} {}\n{said}", kind.0, kind.1);
        seen.push(kind);
    }
    assert!(seen.len() > 10, "{seen:?}");
    insta::assert_snapshot!(all);
}

fn interrupt(waiting: &Waiting) {
    let pid = waiting.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
}
