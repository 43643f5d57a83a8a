//! The facts of a line, asked again, have the answer of the line.

use std::fs;

use postern::{
    cli::expectations::{Answer, Question},
    rpc::json,
};
use serde_json::{Value, json};

use super::{block_on, lines, stop};
use crate::{
    cases::{Decider as _, Policy, Table},
    running::Running,
};

#[test]
fn of_every_case_with_domains_alone() {
    every_case(&["addresses = \"domain\""]);
}

#[test]
fn of_every_case_with_hashes_or_whole_addresses() {
    every_case(&[
        "addresses = \"hashed\"\naddress_key_file = \"key\"",
        "addresses = \"whole\"",
    ]);
}

/// Asks each case of a server, and each of the lines that it left of the decision itself; the
/// tables take the settings in turn.
fn every_case(settings: &[&str]) {
    let mut asked = 0;
    for (table, settings) in Table::all().into_iter().zip(settings.iter().cycle()) {
        let (folder, more) = table.folder();
        fs::write(folder.path().join("key"), "a secret of more than 16 octets").unwrap();
        let settings = format!(
            "{more}[shutdown]\ndrain_delay = \"0s\"\n\
             [decision_log]\nfile = \"decisions.jsonl\"\n{settings}\n"
        );
        let mut running = Running::serve_folder(folder, &settings);
        let answered = block_on(async {
            let mut decisions = running.client().await.decisions;
            let mut answered = 0;
            for case in &table.cases {
                let answer = match case.question.clone() {
                    Question::Inbound(question) => {
                        decisions.check_inbound(question).await.map(drop)
                    }
                    Question::Outbound(question) => {
                        decisions.check_outbound(question).await.map(drop)
                    }
                };
                answered += usize::from(answer.is_ok());
            }
            answered
        });
        stop(&mut running);
        let lines = lines(&running.folder.path().join("decisions.jsonl"));
        assert_eq!(lines.len(), answered, "{}", table.path.display());
        let mut policy = Policy::new(&table.sets, table.default_set.as_deref());
        for line in lines {
            let (again, logged) = (again(&mut policy, &line), line["answer"].clone());
            let (again, logged) = (worded(again, &line), worded(logged, &line));
            assert_eq!(again, logged, "{}: {line:#}", table.path.display());
            asked += 1;
        }
    }
    assert!(asked > 200, "{asked}");
}

/// The answer to the facts of `line`.
fn again(policy: &mut Policy, line: &Value) -> Value {
    let facts = line["facts"].clone();
    let question = if line["direction"] == "inbound" {
        Question::Inbound(json::from_json("postern.v1.CheckInboundRequest", facts).unwrap())
    } else {
        Question::Outbound(json::from_json("postern.v1.CheckOutboundRequest", facts).unwrap())
    };
    match policy.ask(&question) {
        Answer::Inbound(answer) => json::to_json("postern.v1.CheckInboundResponse", &*answer),
        Answer::Outbound(answer) => json::to_json("postern.v1.CheckOutboundResponse", &*answer),
        Answer::Failure { status, .. } => panic!("{status}: {line:#}"),
    }
}

/// The words of an answer cannot be the same where octets of a certificate were no certificate:
/// only its fields say so.
fn worded(mut answer: Value, line: &Value) -> Value {
    let detail = |tls: &Value| tls["peer_certificate"]["trust_detail"] == UNREADABLE;
    if detail(&line["facts"]["tls"]) || detail(&line["facts"]["session"]["tls"]) {
        for report in ["", "/if_enforced"] {
            let rejections = answer.pointer_mut(&format!("{report}/rejections"));
            for rejection in rejections
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                rejection["message"] = json!("");
                rejection["observed"] = json!([]);
            }
        }
        answer["smtp_reply"]["text"] = json!("");
    }
    answer
}

const UNREADABLE: &str = "its octets cannot be read as a certificate";
