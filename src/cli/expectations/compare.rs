//! Compares what came out with what was expected.

use std::fmt::Debug;

use super::{
    Answer, Case, Expect, ExpectedDelivery, ExpectedRejection, ExpectedReport, Mismatch, Presence,
};
use crate::{cli::explanation::host_and_port, rpc::pb};

/// What of `answer` is not as `case` expects it, in the order of the documentation.
pub fn check(case: &Case, answer: &Answer) -> Vec<Mismatch> {
    let expect = &case.expect;
    let mut against = Against::default();
    match answer {
        Answer::Failure {
            status,
            message,
            bad_fields,
        } => {
            against.failure(expect, status, message, bad_fields);
        }
        Answer::Inbound(answer) => against.decision(expect, &Decision::inbound(answer)),
        Answer::Outbound(answer) => against.decision(expect, &Decision::outbound(answer)),
    }
    against.0
}

/// What both directions' answers have.
struct Decision<'a> {
    verdict: pb::Verdict,
    connector: Option<&'a pb::MatchedConnector>,
    also_matched: Option<&'a pb::MatchedConnector>,
    rejections: &'a [pb::Rejection],
    reply: Option<&'a pb::SmtpReply>,
    if_enforced: Option<&'a pb::Report>,
    revision: Option<&'a pb::SetRevision>,
    delivery: Option<&'a pb::Delivery>,
}

impl<'a> Decision<'a> {
    fn inbound(answer: &'a pb::CheckInboundResponse) -> Self {
        Self {
            verdict: answer.verdict(),
            connector: answer.connector.as_ref(),
            also_matched: answer.also_matched.as_ref(),
            rejections: &answer.rejections,
            reply: answer.smtp_reply.as_ref(),
            if_enforced: answer.if_enforced.as_ref(),
            revision: answer.revision.as_ref(),
            delivery: None,
        }
    }

    fn outbound(answer: &'a pb::CheckOutboundResponse) -> Self {
        Self {
            verdict: answer.verdict(),
            connector: answer.connector.as_ref(),
            also_matched: None,
            rejections: &answer.rejections,
            reply: answer.smtp_reply.as_ref(),
            if_enforced: answer.if_enforced.as_ref(),
            revision: answer.revision.as_ref(),
            delivery: answer.delivery.as_ref(),
        }
    }
}

/// What is not as expected.
#[derive(Default)]
struct Against(Vec<Mismatch>);

impl Against {
    fn failure(&mut self, expect: &Expect, status: &str, message: &str, bad_fields: &[String]) {
        match &expect.error {
            Some(error) => self.same("error", Some(error), status),
            None => self.add("error", "a decision".into(), format!("{status}: {message}")),
        }
        self.equal(
            "bad_fields",
            expect.bad_fields.as_ref(),
            &bad_fields.to_vec(),
        );
    }

    fn decision(&mut self, expect: &Expect, got: &Decision<'_>) {
        let verdict = less("VERDICT_", got.verdict.as_str_name());
        if let Some(error) = &expect.error {
            return self.add("error", error.clone(), format!("the verdict {verdict}"));
        }
        self.same("verdict", expect.verdict.as_ref(), verdict);
        self.same("connector", expect.connector.as_ref(), name(got.connector));
        self.same(
            "also_matched",
            expect.also_matched.as_ref(),
            name(got.also_matched),
        );
        let by = got
            .connector
            .map_or("", |it| less("MATCHED_BY_", it.matched_by().as_str_name()));
        self.same("matched_by", expect.matched_by.as_ref(), by);
        let value = got.connector.map_or("", |it| it.matched_value.as_str());
        self.same("matched_value", expect.matched_value.as_ref(), value);
        self.equal("reasons", expect.reasons.as_ref(), &reasons(got.rejections));
        let by: Vec<_> = got
            .rejections
            .iter()
            .map(|it| it.connector.clone())
            .collect();
        self.equal("rejected_by", expect.rejected_by.as_ref(), &by);
        if let Some(rejections) = &expect.rejections {
            self.rejections(rejections, got.rejections);
        }
        let reply = got.reply.map(reply_line).unwrap_or_default();
        if let Some(expected) = &expect.reply
            && (expected.is_empty() != reply.is_empty() || !reply.starts_with(expected))
        {
            self.add("reply", quoted(expected), quoted(&reply));
        }
        if let Some(report) = &expect.if_enforced {
            self.report(report, got.if_enforced);
        }
        let set = got.revision.map_or("", |it| it.connector_set.as_str());
        self.same("set", expect.set.as_ref(), set);
        let by = got.revision.map_or("", |it| {
            less("SELECTED_BY_", it.selected_by().as_str_name())
        });
        self.same("selected_by", expect.selected_by.as_ref(), by);
        if let Some(delivery) = &expect.delivery {
            self.delivery(delivery, got.delivery);
        }
    }

    fn rejections(&mut self, expected: &[ExpectedRejection], got: &[pb::Rejection]) {
        if expected.len() != got.len() {
            let all = reasons(got).join(", ");
            let got = format!("{}: {all}", got.len());
            return self.add("rejections", expected.len().to_string(), got);
        }
        for (at, (expected, got)) in expected.iter().zip(got).enumerate() {
            let mut inner = Self::default();
            let reason = less("REASON_", got.reason().as_str_name());
            inner.same("reason", expected.reason.as_ref(), reason);
            inner.same("connector", expected.connector.as_ref(), &got.connector);
            inner.same("message", expected.message.as_ref(), &got.message);
            inner.equal("expected", expected.expected.as_ref(), &got.expected);
            inner.equal("observed", expected.observed.as_ref(), &got.observed);
            self.within(&format!("rejections[{at}]"), inner);
        }
    }

    fn report(&mut self, expected: &Presence<ExpectedReport>, got: Option<&pb::Report>) {
        let (expected, got) = match (expected, got) {
            (Presence::Absent, None) => return,
            (Presence::Present(expected), Some(got)) => (expected, got),
            (Presence::Absent, Some(got)) => {
                let verdict = less("VERDICT_", got.verdict().as_str_name());
                return self.add(
                    "if_enforced",
                    "absent".into(),
                    format!("the verdict {verdict}"),
                );
            }
            (Presence::Present(_), None) => {
                return self.add("if_enforced", "present".into(), "absent".into());
            }
        };
        let mut inner = Self::default();
        let verdict = less("VERDICT_", got.verdict().as_str_name());
        inner.same("verdict", expected.verdict.as_ref(), verdict);
        inner.same(
            "connector",
            expected.connector.as_ref(),
            name(got.connector.as_ref()),
        );
        inner.equal(
            "reasons",
            expected.reasons.as_ref(),
            &reasons(&got.rejections),
        );
        self.within("if_enforced", inner);
    }

    fn delivery(&mut self, expected: &Presence<ExpectedDelivery>, got: Option<&pb::Delivery>) {
        let (expected, got) = match (expected, got) {
            (Presence::Absent, None) => return,
            (Presence::Present(expected), Some(got)) => (expected, got),
            (Presence::Absent, Some(_)) => {
                return self.add("delivery", "absent".into(), "present".into());
            }
            (Presence::Present(_), None) => {
                return self.add("delivery", "present".into(), "absent".into());
            }
        };
        let hosts = match &got.route {
            Some(pb::delivery::Route::SmartHosts(hosts)) => {
                hosts.hosts.iter().map(host_and_port).collect()
            }
            Some(pb::delivery::Route::Mx(_)) | None => Vec::new(),
        };
        let tls = got.tls.clone().unwrap_or_default();
        let mut inner = Self::default();
        inner.equal("smart_hosts", expected.smart_hosts.as_ref(), &hosts);
        let level = less("TLS_LEVEL_", tls.level().as_str_name());
        inner.same("level", expected.level.as_ref(), level);
        inner.equal("names", expected.names.as_ref(), &tls.names);
        inner.same(
            "min_version",
            expected.min_version.as_ref(),
            &tls.min_version,
        );
        inner.equal(
            "fingerprints",
            expected.fingerprints.as_ref(),
            &tls.fingerprints,
        );
        self.within("delivery", inner);
    }

    fn same(&mut self, key: &str, expected: Option<&String>, got: &str) {
        if let Some(expected) = expected
            && expected != got
        {
            self.add(key, quoted(expected), quoted(got));
        }
    }

    fn equal<T: Debug + PartialEq>(&mut self, key: &str, expected: Option<&T>, got: &T) {
        if let Some(expected) = expected
            && expected != got
        {
            self.add(key, format!("{expected:?}"), format!("{got:?}"));
        }
    }

    fn within(&mut self, table: &str, inner: Self) {
        self.0.extend(inner.0.into_iter().map(|mismatch| Mismatch {
            key: format!("{table}.{}", mismatch.key),
            ..mismatch
        }));
    }

    fn add(&mut self, key: &str, expected: String, got: String) {
        self.0.push(Mismatch {
            key: key.into(),
            expected,
            got,
        });
    }
}

/// An SMTP reply as it goes over the wire.
fn reply_line(reply: &pb::SmtpReply) -> String {
    format!("{} {} {}", reply.code, reply.enhanced_code, reply.text)
}

fn name(connector: Option<&pb::MatchedConnector>) -> &str {
    connector.map_or("", |connector| &connector.name)
}

fn reasons(rejections: &[pb::Rejection]) -> Vec<String> {
    let reasons = rejections
        .iter()
        .map(|it| less("REASON_", it.reason().as_str_name()));
    reasons.map(str::to_owned).collect()
}

fn less<'n>(prefix: &str, name: &'n str) -> &'n str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        "nothing".into()
    } else {
        format!("{text:?}")
    }
}
