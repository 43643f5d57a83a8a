//! Expectations files as they are written, and what can be wrong with them.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

use super::{
    Asked, Case, Expect, Expectations, ExpectedDelivery, ExpectedRejection, ExpectedReport,
    Presence, Question,
};
use crate::{
    config::{
        finding::{Finding, Findings, Lines},
        settings::is_set_name,
    },
    rpc::{json, pb},
};

/// Reads `text`; a fault of the syntax or of a type hides those that come after it.
pub(super) fn read(text: &str) -> Result<Expectations, Vec<Finding>> {
    let file: RawFile = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        vec![Finding::error(
            "expectations-invalid",
            span,
            one_line(error.message()),
        )]
    })?;
    let mut findings = Findings::default();
    let expectations = check(file, &Lines::of(text), &mut findings);
    if findings.has_errors() {
        Err(findings.into_sorted())
    } else {
        Ok(expectations)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    version: Spanned<i64>,
    connectors: Option<Spanned<String>>,
    sets: Option<Spanned<BTreeMap<Spanned<String>, String>>>,
    default_set: Option<String>,
    #[serde(default)]
    case: Vec<Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: Spanned<String>,
    why: Option<String>,
    inbound: Option<Spanned<toml::Table>>,
    outbound: Option<Spanned<toml::Table>>,
    expect: Spanned<RawExpect>,
}

type Word = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    verdict: Option<Word>,
    connector: Option<String>,
    also_matched: Option<String>,
    matched_by: Option<Word>,
    matched_value: Option<String>,
    reasons: Option<Vec<Word>>,
    rejected_by: Option<Vec<String>>,
    rejections: Option<Vec<RawRejection>>,
    reply: Option<String>,
    if_enforced: Option<Written<RawReport>>,
    set: Option<String>,
    selected_by: Option<Word>,
    delivery: Option<Written<RawDelivery>>,
    error: Option<Word>,
    bad_fields: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRejection {
    reason: Option<Word>,
    connector: Option<String>,
    message: Option<String>,
    expected: Option<Vec<String>>,
    observed: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport {
    verdict: Option<Word>,
    connector: Option<String>,
    reasons: Option<Vec<Word>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelivery {
    smart_hosts: Option<Vec<String>>,
    level: Option<Word>,
    names: Option<Vec<String>>,
    min_version: Option<String>,
    fingerprints: Option<Vec<String>>,
}

/// `false`, or a table.
struct Written<T>(Presence<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for WrittenVisitor<T> {
    type Value = Written<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`false`, or a table")
    }

    fn visit_bool<E: de::Error>(self, present: bool) -> Result<Written<T>, E> {
        if present {
            return Err(E::invalid_value(de::Unexpected::Bool(true), &self));
        }
        Ok(Written(Presence::Absent))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
            .map(|value| Written(Presence::Present(value)))
    }
}

fn check(file: RawFile, lines: &Lines<'_>, findings: &mut Findings) -> Expectations {
    if *file.version.get_ref() != 1 {
        let message = format!("version {} is not known", file.version.get_ref());
        let finding = Finding::error("version-unsupported", file.version.span(), message);
        findings.push(finding.help("write `version = 1`"));
    }
    if file.case.is_empty() {
        let finding = Finding::error("cases-missing", 0..0, "there is no `[[case]]`");
        findings.push(finding.help("write at least one case"));
    }
    let asked = match (file.connectors, file.sets) {
        (Some(connectors), Some(sets)) => {
            let message = "`connectors` and `[sets]` cannot be given together";
            let finding = Finding::error("connectors-twice", connectors.span(), message)
                .label(sets.span(), "the sets are here")
                .help("remove one of the two");
            findings.push(finding);
            Asked::Settings
        }
        (Some(connectors), None) => Asked::Path(connectors.into_inner().into()),
        (None, Some(sets)) => Asked::Written(written(sets.into_inner(), findings)),
        (None, None) => Asked::Settings,
    };
    let mut names = BTreeMap::new();
    let mut cases = Vec::new();
    for case in file.case {
        let line = lines.line_of(case.span().start);
        let case = case.into_inner();
        let (name, span) = (case.name.get_ref().clone(), case.name.span());
        if let Some(first) = names.insert(name.clone(), span.clone()) {
            let message = format!("two cases have the name `{name}`");
            let finding = Finding::error("case-name-twice", span, message)
                .label(first, "the first is here")
                .help("give one of them another name");
            findings.push(finding);
        }
        cases.extend(check_case(case, line, findings));
    }
    Expectations {
        asked,
        default_set: file.default_set,
        cases,
    }
}

fn written(
    sets: BTreeMap<Spanned<String>, String>,
    findings: &mut Findings,
) -> Vec<(String, String)> {
    let named = |(name, text): (Spanned<String>, String)| {
        if !is_set_name(name.get_ref()) {
            let message = format!("`{}` cannot be the name of a set", name.get_ref());
            let help = "use `a` to `z`, `0` to `9`, `.`, `_` and `-`, a letter or digit first";
            findings.push(Finding::error("set-name-invalid", name.span(), message).help(help));
        }
        (name.into_inner(), text)
    };
    sets.into_iter().map(named).collect()
}

fn check_case(case: RawCase, line: usize, findings: &mut Findings) -> Option<Case> {
    let name_span = case.name.span();
    let question = match (case.inbound, case.outbound) {
        (Some(inbound), None) => {
            question(inbound, "postern.v1.CheckInboundRequest", findings).map(Question::Inbound)
        }
        (None, Some(outbound)) => {
            question(outbound, "postern.v1.CheckOutboundRequest", findings).map(Question::Outbound)
        }
        (inbound, _) => {
            let both = if inbound.is_some() { "both" } else { "neither" };
            let message = format!("the case has {both} of `inbound` and `outbound`");
            let finding = Finding::error("question-missing", name_span, message);
            findings.push(finding.help("ask one question: `[case.inbound]` or `[case.outbound]`"));
            None
        }
    };
    let is_outbound = matches!(question, Some(Question::Outbound(_)));
    let span = case.expect.span();
    let raw = case.expect.into_inner();
    if raw.delivery.is_some() && !is_outbound && question.is_some() {
        let message = "`delivery` is expected of a case that asks no `[case.outbound]`";
        findings.push(Finding::error("expect-invalid", span.clone(), message).help("remove it"));
    }
    let expect = check_expect(raw, findings);
    let nothing = expect == Expect::default();
    if nothing {
        let finding = Finding::error("expect-empty", span.clone(), "the case expects nothing");
        findings.push(finding.help("write at least `verdict = \"ACCEPT\"`"));
    }
    let beside = Expect {
        error: None,
        bad_fields: None,
        ..expect.clone()
    };
    if expect.error.is_some() && beside != Expect::default() {
        let message = "a call that ends with an `error` has no decision to look at";
        let finding = Finding::error("expect-invalid", span.clone(), message);
        findings.push(finding.help("remove the other keys, or `error`"));
    }
    if expect.bad_fields.is_some() && expect.error.as_deref() != Some("INVALID_ARGUMENT") {
        let message = "`bad_fields` belong to INVALID_ARGUMENT alone";
        let finding = Finding::error("expect-invalid", span, message);
        findings.push(finding.help("write `error = \"INVALID_ARGUMENT\"` beside them"));
    }
    Some(Case {
        name: case.name.into_inner(),
        why: case.why,
        line,
        question: question?,
        expect,
    })
}

/// The request that the table stands for: proto3 JSON, written as TOML.
fn question<M: prost::Message + Default>(
    table: Spanned<toml::Table>,
    message: &'static str,
    findings: &mut Findings,
) -> Option<M> {
    let span = table.span();
    let value = json_of(toml::Value::Table(table.into_inner()));
    match json::from_json(message, value) {
        Ok(question) => Some(question),
        Err(error) => {
            let text = one_line(&error.to_string());
            let finding = Finding::error("question-invalid", span, text);
            findings.push(finding.help(format!(
                "the fields are those of `{}`",
                message.rsplit('.').next().unwrap_or(message)
            )));
            None
        }
    }
}

fn json_of(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key, json_of(value)))
            .collect(),
    }
}

fn check_expect(raw: RawExpect, findings: &mut Findings) -> Expect {
    let mut words = Words(findings);
    Expect {
        verdict: raw.verdict.map(|word| words.verdict(word)),
        connector: raw.connector,
        also_matched: raw.also_matched,
        matched_by: raw.matched_by.map(|word| {
            let known = |name: &str| pb::MatchedBy::from_str_name(name).is_some();
            words.known(
                word,
                "MATCHED_BY_",
                known,
                "SENDER_DOMAIN, CLIENT_IP, RECIPIENT_DOMAIN, RULE",
            )
        }),
        matched_value: raw.matched_value,
        reasons: raw.reasons.map(|reasons| words.reasons(reasons)),
        rejected_by: raw.rejected_by,
        rejections: raw.rejections.map(|rejections| {
            rejections
                .into_iter()
                .map(|it| words.rejection(it))
                .collect()
        }),
        reply: raw.reply,
        if_enforced: raw.if_enforced.map(|Written(report)| match report {
            Presence::Absent => Presence::Absent,
            Presence::Present(report) => Presence::Present(ExpectedReport {
                verdict: report.verdict.map(|word| words.verdict(word)),
                connector: report.connector,
                reasons: report.reasons.map(|reasons| words.reasons(reasons)),
            }),
        }),
        set: raw.set,
        selected_by: raw.selected_by.map(|word| {
            let known = |name: &str| pb::SelectedBy::from_str_name(name).is_some();
            words.known(
                word,
                "SELECTED_BY_",
                known,
                "NAME, ACCEPTED_DOMAIN, DEFAULT",
            )
        }),
        delivery: raw.delivery.map(|Written(delivery)| match delivery {
            Presence::Absent => Presence::Absent,
            Presence::Present(delivery) => Presence::Present(words.delivery(delivery)),
        }),
        error: raw.error.map(|word| {
            let known = |name: &str| ["NOT_FOUND", "INVALID_ARGUMENT"].contains(&name);
            words.known(word, "", known, "NOT_FOUND, INVALID_ARGUMENT")
        }),
        bad_fields: raw.bad_fields,
    }
}

/// Checks the words of the contract.
struct Words<'f>(&'f mut Findings);

impl Words<'_> {
    fn known(
        &mut self,
        word: Word,
        prefix: &str,
        is_known: impl Fn(&str) -> bool,
        all: &str,
    ) -> String {
        let name = format!("{prefix}{}", word.get_ref());
        if !is_known(&name) || word.get_ref() == "UNSPECIFIED" {
            let message = format!(
                "`{}` is not one of the words of the contract",
                word.get_ref()
            );
            let finding = Finding::error("word-unknown", word.span(), message);
            self.0.push(finding.help(format!("write one of {all}")));
        }
        word.into_inner()
    }

    fn verdict(&mut self, word: Word) -> String {
        let known = |name: &str| pb::Verdict::from_str_name(name).is_some();
        self.known(
            word,
            "VERDICT_",
            known,
            "ACCEPT, REJECT, CONDITIONAL, DEFER",
        )
    }

    fn reason(&mut self, word: Word) -> String {
        let known = |name: &str| pb::Reason::from_str_name(name).is_some();
        let all = crate::policy::Reason::ALL
            .map(crate::policy::Reason::as_str)
            .join(", ");
        self.known(word, "REASON_", known, &all)
    }

    fn reasons(&mut self, words: Vec<Word>) -> Vec<String> {
        words.into_iter().map(|word| self.reason(word)).collect()
    }

    fn rejection(&mut self, raw: RawRejection) -> ExpectedRejection {
        ExpectedRejection {
            reason: raw.reason.map(|word| self.reason(word)),
            connector: raw.connector,
            message: raw.message,
            expected: raw.expected,
            observed: raw.observed,
        }
    }

    fn delivery(&mut self, raw: RawDelivery) -> ExpectedDelivery {
        let known = |name: &str| pb::TlsLevel::from_str_name(name).is_some();
        ExpectedDelivery {
            smart_hosts: raw.smart_hosts,
            level: raw.level.map(|word| {
                self.known(
                    word,
                    "TLS_LEVEL_",
                    known,
                    "OPPORTUNISTIC, ENCRYPT, TRUSTED, DOMAIN",
                )
            }),
            names: raw.names,
            min_version: raw.min_version,
            fingerprints: raw.fingerprints,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
