//! Lines of the decision log, made of what is really decided about the cases of `tests/cases`.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use postern::{
    cli::expectations::{Answer, Question},
    rpc::{json, pb},
};
use prost_types::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{cases::answered, running::postern};

/// A folder with a log, in which `postern` is called.
pub(crate) struct Log {
    folder: PathBuf,
    /// It goes with the log.
    _own: Option<TempDir>,
}

/// What a call said, and how it ended.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

impl Log {
    /// The log `decisions.jsonl` of these lines.
    pub(crate) fn of(lines: &[Value]) -> Self {
        let log = Self::empty();
        log.append("decisions.jsonl", lines);
        log
    }

    pub(crate) fn empty() -> Self {
        let own = TempDir::new().unwrap();
        Self {
            folder: own.path().into(),
            _own: Some(own),
        }
    }

    /// That in the folder of somebody else.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            _own: None,
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(crate) fn append(&self, file: &str, lines: &[Value]) {
        let lines = lines.iter().map(|line| format!("{line}\n"));
        self.append_text(file, &lines.collect::<String>());
    }

    pub(crate) fn append_text(&self, file: &str, text: &str) {
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.path(file));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// `postern log …`, in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = postern();
        command.current_dir(&self.folder);
        command.arg("log").args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let out = String::from_utf8(output.stdout.clone()).unwrap();
        let err = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "no colours into a pipe"
        );
        Self {
            out,
            err,
            code: output.status.code(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// The decisions about the cases in `folder`, a quarter of an hour after each other, with
/// certificates that expire some days after the last.
pub(crate) fn decisions(folder: &str) -> Vec<Value> {
    let decided = answered(folder, |question| {
        if let Some(certificate) = certificate(question) {
            let days = certificate.dns_names.len() * 5;
            let end = SystemTime::UNIX_EPOCH
                + BEGIN
                + Duration::from_hours(24) * (2 + u32::try_from(days).unwrap());
            certificate.not_after = Some(Timestamp::from(end));
            certificate.issuer = "CN=Some Authority".into();
        }
    });
    let decided = decided.iter().enumerate();
    decided
        .filter_map(|(at, (question, answer))| line(at, question, answer))
        // The log never has a certificate as it was sent.
        .filter(|line| !line["facts"].to_string().contains("\"der\":"))
        .collect()
}

/// The decision about this question by the set `default` of this text.
pub(crate) fn decide(at: usize, set: &str, question: pb::CheckInboundRequest) -> Value {
    use postern::{config, live::Snapshot, policy};
    let set = config::load_str("default", set).set.unwrap();
    let snapshot = Snapshot {
        catalog: policy::Catalog::new(vec![policy::Entry::new(set)], None),
        status: std::collections::BTreeMap::new(),
        directory_fault: None,
    };
    let answer = postern::rpc::answer::inbound(&snapshot, &question).into();
    line(at, &Question::Inbound(question), &answer).unwrap()
}

/// The line of a decision; none of a call that failed.
fn line(at: usize, question: &Question, answer: &Answer) -> Option<Value> {
    let (rpc, direction, facts, answer) = match (question, answer) {
        (Question::Inbound(question), Answer::Inbound(answer)) => (
            "CheckInbound",
            "inbound",
            json::to_json("postern.v1.CheckInboundRequest", question),
            json::to_json("postern.v1.CheckInboundResponse", &**answer),
        ),
        (Question::Outbound(question), Answer::Outbound(answer)) => (
            "CheckOutbound",
            "outbound",
            json::to_json("postern.v1.CheckOutboundRequest", question),
            json::to_json("postern.v1.CheckOutboundResponse", &**answer),
        ),
        _ => return None,
    };
    let time =
        SystemTime::UNIX_EPOCH + BEGIN + Duration::from_mins(15) * u32::try_from(at).unwrap();
    let mut line = json!({
        "schema": 1,
        "time": humantime::format_rfc3339_micros(time).to_string(),
        "rpc": rpc,
        "direction": direction,
        "peer": "192.0.2.1",
        "correlation_id": format!("id-{at}"),
        "took_us": 3,
        "facts": facts,
        "answer": answer,
    });
    if !at.is_multiple_of(3) {
        line["caller"] = format!("edge-{}", at % 3).into();
    }
    for field in ["mail_from", "rcpt_to"] {
        if let Some(Value::String(address)) = line["facts"].get_mut(field)
            && let Some((_, domain)) = address.rsplit_once('@')
        {
            *address = format!("*@{domain}");
        }
    }
    Some(line)
}

fn certificate(question: &mut Question) -> Option<&mut pb::Certificate> {
    let tls = match question {
        Question::Inbound(question) => question.tls.as_mut(),
        Question::Outbound(question) => question.session.as_mut()?.tls.as_mut(),
    };
    tls?.peer_certificate.as_mut()
}

/// 2026-11-20.
const BEGIN: Duration = Duration::from_hours(24 * 20_777);
