//! `postern log show`: one decision of the log, in words.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::{
    files::{self, Files},
    line::{self, Entry, Text},
    lines::{Found, is_blank},
    mend::mend,
};
use crate::{
    cli::{
        Context, Format,
        exit::{Exit, Stop},
        explanation::Explanation,
        output::{Ink, Progress, counted, shown},
    },
    rpc::{json, pb},
};

/// What `postern log show` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The gateway's name for the session or message: a queue id, say
    #[arg(long, value_name = "ID")]
    correlation_id: String,
    /// Files of the log, `-` for standard input; without any, the log of the settings with its
    /// rotated files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print; `json` is the lines as they stand in the log
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// What of a line says whether it is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow)]
    correlation_id: Text<'a>,
    dropped: Option<BTreeMap<String, u64>>,
}

/// What was not looked at.
#[derive(Debug, Default)]
struct Missing {
    unreadable: usize,
    lost: u64,
}

impl ShowArgs {
    /// Shows what was decided.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let files = Files::chosen(self.files.clone(), context)?;
        let mut shown_already = 0;
        let mut missing = Missing::default();
        let (mut before, total) = (0, files.octets());
        for path in &files.paths {
            let name = files::name(path);
            let mut lines = files::open(path)?;
            let mut progress = Progress::begin();
            loop {
                let found = lines
                    .next()
                    .map_err(|error| Stop::usage(format!("`{name}` cannot be read: {error}")))?;
                let line = match found {
                    Some(Found::Line(line) | Found::Unfinished(line)) => line,
                    Some(Found::TooLong) => {
                        missing.unreadable += 1;
                        continue;
                    }
                    None => break,
                };
                if self.is_looked_for(line, &mut missing) {
                    drop(progress);
                    shown_already += usize::from(self.show(line, shown_already > 0, context)?);
                    progress = Progress::begin();
                }
                if lines.number().is_multiple_of(1_024) {
                    progress.show_octets(before + lines.octets(), total);
                }
            }
            before += lines.octets();
        }
        if shown_already > 0 {
            return Ok(Exit::Success);
        }
        Err(Stop::new(
            Exit::Failure,
            self.not_found(&files.names(), &missing),
        ))
    }

    fn is_looked_for(&self, line: &[u8], missing: &mut Missing) -> bool {
        if is_blank(line) {
            return false;
        }
        // Why looked at alone first: that is three times as fast as reading all of a line.
        let Ok(head) = serde_json::from_slice::<Head<'_>>(line) else {
            missing.unreadable += 1;
            return false;
        };
        if let Some(lost) = head.dropped {
            missing.lost += lost.values().sum::<u64>();
            return false;
        }
        let id = &*head.correlation_id.0;
        // Why: of a long one, the service keeps the beginning.
        let cut = self.correlation_id.len() > KEPT && id.len() + 3 >= KEPT;
        id == self.correlation_id || cut && self.correlation_id.starts_with(id)
    }

    /// Shows the decision of a line; whether there was one.
    fn show(&self, line: &[u8], again: bool, context: &Context<'_>) -> Result<bool, Stop> {
        if self.format == Format::Json {
            context.output.line(&String::from_utf8_lossy(line));
            return Ok(true);
        }
        let unusable = |error: String| {
            let id = shown(&self.correlation_id);
            Stop::usage(format!("the line of `{id}` cannot be shown: {error}"))
        };
        let ink = context.output.ink();
        let text = in_words(line, ink).map_err(unusable)?;
        if again {
            context.output.line("");
        }
        context.output.print(&text);
        Ok(true)
    }

    fn not_found(&self, files: &[String], missing: &Missing) -> String {
        let id = shown(&self.correlation_id);
        let searched: Vec<_> = files.iter().map(|file| format!("`{file}`")).collect();
        let Missing { unreadable, lost } = missing;
        let unreadable = (*unreadable > 0)
            .then(|| format!("; {} could not be read", counted(*unreadable, "line")));
        let lost = usize::try_from(*lost).unwrap_or(usize::MAX);
        let lost = (lost > 0).then(|| format!("; the log lost {}", counted(lost, "line")));
        format!(
            "no decision with the correlation id `{id}` in {}: accepts may be sampled (`accepts` of \
             `[decision_log]`), and files that were rotated away hold older ones{}{}",
            searched.join(", "),
            unreadable.unwrap_or_default(),
            lost.unwrap_or_default()
        )
    }
}

/// The decision of a line, as `postern explain` says it.
fn in_words(line: &[u8], ink: Ink) -> Result<String, String> {
    let Entry::Decision(decision) = line::read(line)? else {
        return Err("it is no decision".into());
    };
    let mut value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let mut taken = |name| value.get_mut(name).map(Value::take).unwrap_or_default();
    let (answer, facts) = (taken("answer"), understood(&taken("facts")));
    let rendered = if decision.outbound {
        let answer: pb::CheckOutboundResponse = tolerant("CheckOutboundResponse", answer)?;
        Explanation::outbound_decision(&answer, &facts).render(ink)
    } else {
        let answer: pb::CheckInboundResponse = tolerant("CheckInboundResponse", answer)?;
        Explanation::inbound_decision(&answer, &facts).render(ink)
    };
    let mut text = head(&value) + &rendered;
    let answer = &decision.answer;
    let would = answer.if_enforced.as_ref().map(|report| &report.rejections);
    let (title, rejections) = match (&answer.rejections, would) {
        (rejections, Some(would)) if rejections.is_empty() => {
            ("What to mend before the report is enforced", would)
        }
        (rejections, _) => ("What to mend", rejections),
    };
    if !rejections.is_empty() {
        text.extend(["\n", &ink.bold(title), "\n"]);
    }
    for rejection in rejections {
        let said = mend(&decision, rejection);
        text.extend(["  ", &said, "\n"]);
    }
    Ok(text)
}

fn tolerant<M: prost::Message + Default>(message: &str, json: Value) -> Result<M, String> {
    json::from_later_json(&format!("postern.v1.{message}"), json).map_err(|error| error.to_string())
}

/// When, by whom and how it was asked.
fn head(line: &Value) -> String {
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(shown);
    let rpc = text("rpc").unwrap_or_else(|| "a decision".into());
    let who = match (text("caller"), text("peer")) {
        (Some(caller), Some(peer)) => format!(" for {caller} at {peer}"),
        (Some(who), None) | (None, Some(who)) => format!(" for {who}"),
        (None, None) => String::new(),
    };
    let id = text("correlation_id").map(|id| format!(", correlation id {id}"));
    let took = line.get("took_us").and_then(Value::as_u64);
    let took = took.map(|took| format!(", in {took} µs"));
    let time = text("time").unwrap_or_default();
    let (id, took) = (id.unwrap_or_default(), took.unwrap_or_default());
    format!("{time}  {rpc}{who}{id}{took}\n")
}

/// The facts of a line, one for each field.
fn understood(facts: &Value) -> Vec<pb::UnderstoodFact> {
    let mut all = Vec::new();
    flatten(facts, "", &mut all);
    all
}

fn flatten(value: &Value, field: &str, all: &mut Vec<pb::UnderstoodFact>) {
    let given = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if field.is_empty() { "" } else { "." };
                flatten(value, &format!("{field}{dot}{name}"), all);
            }
            return;
        }
        Value::Array(values) => {
            let texts: Vec<_> = values.iter().map(plain).collect();
            texts.join(", ")
        }
        value => plain(value),
    };
    all.push(pb::UnderstoodFact {
        field: field.to_owned(),
        understood: given.clone(),
        given,
    });
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The octets of a correlation id that a service keeps.
const KEPT: usize = 256;

const EXAMPLES: &str = "\
Says when, by whom and about what it was asked, what was decided by which connectors, what was not
met and what to mend. A message to several recipients has a decision for each.

Examples:
  postern log show --correlation-id 4XyZ12
  postern log show --correlation-id 4XyZ12 /var/log/postern/decisions.jsonl*
  postern log show --correlation-id 4XyZ12 --format json | jq .facts |
      postern explain inbound --facts -            ask it again, of the connectors as they are now

Exit codes: 0 shown, 1 no such decision, 2 wrong call, or a file cannot be read.";
