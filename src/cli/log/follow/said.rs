//! What `postern log follow` says of a decision: what became of the mail, and what to mend.

use std::fmt::Write as _;

use super::super::{
    line::{Decision, Rejection, reason_word},
    mend::{mend, names},
};
use crate::{
    cli::output::{Ink, shown},
    rpc::pb::Verdict,
};

/// What became of a mail, for the connector that is to be proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It passes, also with the connector enforced.
    Accepted,
    /// It is asked about again.
    NotFinal,
    /// It is refused, or would be if the connector were enforced.
    Refused,
}

/// What became of the mail of `decision`, for `connector`.
pub(super) fn outcome(decision: &Decision<'_>, connector: &str) -> Outcome {
    match decision.verdict {
        Verdict::Reject | Verdict::Defer | Verdict::Unspecified => Outcome::Refused,
        _ if !would_refuse(decision, connector).is_empty() => Outcome::Refused,
        Verdict::Accept => Outcome::Accepted,
        Verdict::Conditional => Outcome::NotFinal,
    }
}

/// What the report of `connector` would refuse of mail that passes.
fn would_refuse<'a>(decision: &'a Decision<'_>, connector: &str) -> Vec<&'a Rejection<'a>> {
    let Some(report) = &decision.answer.if_enforced else {
        return Vec::new();
    };
    let refuses = matches!(report.verdict(), Verdict::Reject | Verdict::Defer);
    let its = report.rejections.iter();
    its.filter(|it| refuses && it.connector.0 == connector)
        .collect()
}

/// The decision in words, as it matters to `connector`.
pub(super) fn said(decision: &Decision<'_>, connector: &str, ink: Ink) -> String {
    let mut text = String::new();
    let rejections = &decision.answer.rejections;
    let would = would_refuse(decision, connector);
    let passes = matches!(decision.verdict, Verdict::Accept | Verdict::Conditional);
    let verdict = match decision.verdict {
        Verdict::Accept if would.is_empty() => ink.green("ACCEPTED"),
        Verdict::Accept => {
            ink.yellow("ACCEPTED, but it would be refused if the report were enforced")
        }
        Verdict::Conditional => ink.yellow("ON A CONDITION, to be asked again"),
        Verdict::Defer => ink.red("DEFERRED"),
        Verdict::Reject | Verdict::Unspecified => ink.red("REJECTED"),
    };
    line(&mut text, 0, &format!("{}  {verdict}", decision.time));
    line(&mut text, 1, &session(decision));
    if !decision.correlation_id.0.is_empty() {
        let id = shown(&decision.correlation_id.0);
        line(&mut text, 1, &format!("correlation id {id}"));
    }
    line(&mut text, 1, &matched(decision, ink));
    if rejections.is_empty() && would.is_empty() && decision.verdict == Verdict::Accept {
        line(
            &mut text,
            1,
            &format!("all that `{}` demands is met", shown(connector)),
        );
    }
    for rejection in rejections {
        not_met(&mut text, decision, rejection, ink);
    }
    let by_others = !passes && rejections.iter().all(|it| it.connector.0 != connector);
    if by_others {
        let connector = shown(connector);
        line(
            &mut text,
            1,
            &format!("`{connector}` is not what it was refused by"),
        );
    }
    if let Some(reply) = &decision.answer.smtp_reply {
        let what = if decision.outbound {
            "bounced or delayed with"
        } else {
            "answered"
        };
        let (code, enhanced) = (reply.code, shown(&reply.enhanced_code.0));
        let reply = format!("{code} {enhanced} {}", shown(&reply.text.0));
        line(&mut text, 1, &format!("{what}: {}", ink.bold(reply)));
    }
    if !would.is_empty() {
        line(&mut text, 1, "if the report were enforced:");
        for rejection in would {
            not_met(&mut text, decision, rejection, ink);
        }
    }
    text
}

/// The envelope and the session.
fn session(decision: &Decision<'_>) -> String {
    let facts = &decision.facts;
    let sender = match &*facts.mail_from.0 {
        "" | "<>" => "the null sender".to_owned(),
        text => shown(text),
    };
    let recipient = match &*facts.rcpt_to.0 {
        "" => String::new(),
        text => format!(" to {}", shown(text)),
    };
    let server = shown(decision.server());
    let server = match (decision.outbound, &*server) {
        (true, "") => "not connected yet".into(),
        (true, server) => format!("to {server}, {}", transport(decision)),
        (false, server) => format!("by {server}, {}", transport(decision)),
    };
    format!("from {sender}{recipient}, {server}")
}

/// TLS of the session.
fn transport(decision: &Decision<'_>) -> String {
    let Some(tls) = decision.tls() else {
        return "in plaintext".into();
    };
    let version = match &*tls.version.0 {
        "" => "TLS".into(),
        version => shown(version),
    };
    match decision.certificate() {
        Some(_) => format!("{version}, certificate for {}", names(decision)),
        None => format!("{version}, without a certificate"),
    }
}

/// The connectors that apply.
fn matched(decision: &Decision<'_>, ink: Ink) -> String {
    let answer = &decision.answer;
    let set = shown(decision.set());
    let both = [&answer.connector, &answer.also_matched];
    let applying: Vec<_> = both
        .into_iter()
        .flatten()
        .map(|it| {
            let (name, value) = (ink.bold(shown(&it.name.0)), shown(&it.matched_value.0));
            if value.is_empty() {
                name
            } else {
                format!("{name} ({value})")
            }
        })
        .collect();
    if applying.is_empty() {
        return format!("set {set}, no enforced connector applies");
    }
    format!("set {set}, connector {}", applying.join(" and "))
}

fn not_met(text: &mut String, decision: &Decision<'_>, rejection: &Rejection<'_>, ink: Ink) {
    let reason = ink.red(reason_word(rejection.reason()));
    line(
        text,
        1,
        &format!("{reason}: {}", shown(&rejection.message.0)),
    );
    line(
        text,
        2,
        &format!("{} {}", ink.bold("to mend:"), mend(decision, rejection)),
    );
}

fn line(text: &mut String, depth: usize, said: &str) {
    // Why: writing to a string cannot fail.
    writeln!(text, "{:width$}{said}", "", width = depth * 2).ok();
}
