//! One event about each decision: at info where mail is kept out, else at debug.
//!
//! Envelope addresses are reduced to their domains, and what a gateway sends is cut.

use std::time::Duration;

use opentelemetry::trace::TraceId;

use super::question;
use crate::{
    mail::{Recipient, ReversePath},
    policy::{ConnectorSet, Decision, Verdict},
    telemetry::Rpc,
};

/// What an event says of a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    rpc: Rpc,
    caller: Option<&'a str>,
    trace_id: Option<TraceId>,
    client_ip: Option<&'a str>,
    host: Option<&'a str>,
    mail_from: &'a str,
    rcpt_to: &'a str,
    correlation_id: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A question about a sending server.
    pub(super) fn inbound(rpc: Rpc, question: &question::Inbound<'a>) -> Self {
        Self {
            rpc,
            caller: None,
            trace_id: None,
            client_ip: kept(question.client_ip),
            host: None,
            mail_from: question.mail_from,
            rcpt_to: question.rcpt_to,
            correlation_id: kept(question.correlation_id),
        }
    }

    /// A question about a next hop.
    pub(super) fn outbound(rpc: Rpc, question: &question::Outbound<'a>) -> Self {
        Self {
            rpc,
            caller: None,
            trace_id: None,
            client_ip: None,
            host: question
                .session
                .as_ref()
                .and_then(|session| kept(session.host)),
            mail_from: question.mail_from,
            rcpt_to: question.rcpt_to,
            correlation_id: kept(question.correlation_id),
        }
    }

    /// Asked by the caller of this name.
    pub(super) fn by(mut self, caller: Option<&'a str>) -> Self {
        self.caller = caller;
        self
    }

    /// A part of this trace.
    pub(super) fn in_trace(mut self, trace_id: Option<TraceId>) -> Self {
        self.trace_id = trace_id;
        self
    }

    /// The caller's own name for the message or session.
    pub(super) fn correlation_id(&self) -> Option<&'a str> {
        self.correlation_id
    }

    /// Leaves the event of a decision by `set`, which took this long.
    pub(super) fn decided(
        self,
        set: Option<&ConnectorSet>,
        decision: &Decision<'_>,
        took: Duration,
    ) {
        let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Why a macro: tracing fixes the level of an event where it is written.
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    rpc = self.rpc.as_str(),
                    caller = self.caller,
                    connector_set = set.map(ConnectorSet::name),
                    digest = set.map(ConnectorSet::digest),
                    verdict = decision.verdict.as_str(),
                    reason = decision
                        .rejections
                        .first()
                        .map(|first| first.reason.as_str()),
                    connector = decision.connector.map(|connector| connector.name),
                    mail_from = sender(self.mail_from),
                    rcpt_to = recipient(self.rcpt_to),
                    client_ip = self.client_ip,
                    host = self.host,
                    correlation_id = self.correlation_id,
                    trace_id = self.trace_id.map(tracing::field::display),
                    elapsed_us,
                    "decided"
                )
            };
        }
        match decision.verdict {
            Verdict::Accept | Verdict::Conditional => event!(debug),
            Verdict::Defer | Verdict::Reject => event!(info),
        }
    }
}

/// The domain of an envelope sender, or what stands for it.
fn sender(text: &str) -> String {
    match ReversePath::parse(text) {
        Ok(ReversePath::Null) => "<>".into(),
        Ok(path) => path
            .domain()
            .map_or_else(|| NO_DOMAIN.into(), ToString::to_string),
        Err(_) => "malformed".into(),
    }
}

/// The domain of an envelope recipient, or what stands for it.
fn recipient(text: &str) -> String {
    match Recipient::parse_or_domain(text) {
        Ok(recipient) => recipient
            .domain()
            .map_or_else(|| NO_DOMAIN.into(), ToString::to_string),
        Err(_) if text.is_empty() => String::new(),
        Err(_) => "malformed".into(),
    }
}

/// The beginning of `text`, at most [`KEPT_OCTETS`] of it; none where it is empty.
fn kept(text: &str) -> Option<&str> {
    text.get(..text.floor_char_boundary(KEPT_OCTETS))
        .filter(|kept| !kept.is_empty())
}

/// What stands for an address literal, and for `postmaster` by itself.
const NO_DOMAIN: &str = "no domain";

/// How much is kept of a text that a gateway sends.
pub(super) const KEPT_OCTETS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(kept(""), None);
        assert_eq!(kept("4711"), Some("4711"));
        assert_eq!(kept(&"x".repeat(300)).map(str::len), Some(256));
        assert_eq!(
            kept(&format!("x{}", "ü".repeat(200))).map(str::len),
            Some(255)
        );
    }

    #[test]
    fn shows_no_local_part() {
        assert_eq!(sender("secret@Contoso.com"), "contoso.com");
        assert_eq!(sender("secret@[192.0.2.1]"), "no domain");
        assert_eq!(sender("<>"), "<>");
        assert_eq!(sender("secret"), "malformed");
        assert_eq!(recipient("secret@Contoso.com"), "contoso.com");
        assert_eq!(recipient("secret@"), "malformed");
        assert_eq!(recipient(""), "");
    }
}
