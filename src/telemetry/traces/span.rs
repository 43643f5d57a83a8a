//! The span of one call, with what OpenTelemetry's conventions for RPC and our own words say of it.
//!
//! It names no envelope address, not even its domain.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{SpanContext, Status, TraceContextExt as _, TraceId},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::super::{Limit, Rpc};
use crate::policy::{ConnectorSet, Decision};

/// The two ends of a call.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// Where it comes from.
    pub peer: From,
    /// The host and port that the caller asked for.
    pub server: Option<(&'a str, Option<u16>)>,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// Over TCP; none where the address is not known.
    Tcp(Option<std::net::SocketAddr>),
    /// Over a unix-domain socket.
    Unix,
}

/// What a decision says of itself in a trace.
#[derive(Clone, Copy, Debug)]
pub struct TracedDecision<'a> {
    /// The set that decided; none could be chosen.
    pub set: Option<&'a ConnectorSet>,
    /// It itself.
    pub decision: &'a Decision<'a>,
    /// The caller's own name for the message or session.
    pub correlation_id: Option<&'a str>,
}

/// A call that is traced. Its span ends when it is finished, or given up.
pub struct CallSpan {
    rpc: Rpc,
    /// Where events of the log join the trace.
    log: tracing::Span,
    context: Context,
    questions: AtomicU64,
    finished: AtomicBool,
}

impl CallSpan {
    /// Begins the span of a call of `rpc` below the caller's; none where tracing has not started.
    pub(super) fn begin(rpc: Rpc, parent: Option<SpanContext>, ends: Ends<'_>) -> Option<Self> {
        // Why an error: whatever RUST_LOG asks for, this is not a line of the log.
        let log = tracing::error_span!(
            target: TARGET,
            parent: None,
            "call",
            otel.name = rpc.method(),
            otel.kind = "server",
        );
        if let Some(parent) = parent {
            let parent = Context::new().with_remote_span_context(parent);
            log.set_parent(parent).ok()?;
        }
        let context = log.context();
        if !context.span().span_context().is_valid() {
            return None;
        }
        context.span().set_attributes(conventional(rpc, ends));
        Some(Self {
            rpc,
            log,
            context,
            questions: AtomicU64::new(0),
            finished: AtomicBool::new(false),
        })
    }

    /// The trace that it belongs to.
    pub fn trace_id(&self) -> TraceId {
        self.context.span().span_context().trace_id()
    }

    /// Runs `work` as a part of the call: what it logs at warn and above joins the trace.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.log.in_scope(work)
    }

    /// Notes a decision: of the whole call, or of one question of a stream.
    pub fn decided(&self, decided: TracedDecision<'_>) {
        if self.rpc == Rpc::CheckStream {
            self.question("decided", || decided.words());
        } else {
            self.context.span().set_attributes(decided.words());
        }
    }

    /// Notes a question of a stream that was answered with this gRPC status code.
    pub fn refused(&self, code: &'static str) {
        let words = || vec![KeyValue::new("rpc.response.status_code", code)];
        self.question("refused", words);
    }

    /// Notes who asked.
    pub fn asked_by(&self, caller: &str) {
        let caller = KeyValue::new("postern.caller", caller.to_owned());
        self.context.span().set_attribute(caller);
    }

    /// Notes that nobody looked at the call, for a limit of this replica.
    pub fn turned_away(&self, limit: Limit) {
        let limit = KeyValue::new("postern.limit", limit.as_str());
        self.context.span().set_attribute(limit);
    }

    /// Ends the span of a call that was answered with this gRPC status code; what comes later
    /// changes nothing.
    pub fn finish(&self, code: &'static str) {
        if self.finished.swap(true, Relaxed) {
            return;
        }
        let span = self.context.span();
        span.set_attribute(KeyValue::new("rpc.response.status_code", code));
        if self.rpc == Rpc::CheckStream {
            let questions = i64::try_from(self.questions.load(Relaxed)).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("postern.questions", questions));
        }
        if SERVER_ERRORS.contains(&code) {
            span.set_attribute(KeyValue::new("error.type", code));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Leaves an event for a question, while there are few; all are counted.
    fn question(&self, name: &'static str, words: impl FnOnce() -> Vec<KeyValue>) {
        if self.questions.fetch_add(1, Relaxed) < MOST_QUESTIONS {
            self.context.span().add_event(name, words());
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.finish("CANCELLED");
    }
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSpan")
            .field("rpc", &self.rpc)
            .field("trace_id", &self.trace_id())
            .finish_non_exhaustive()
    }
}

impl TracedDecision<'_> {
    fn words(&self) -> Vec<KeyValue> {
        let decision = self.decision;
        let reasons = decision.rejections.iter();
        let reasons: Vec<StringValue> = reasons
            .map(|rejection| rejection.reason.as_str().into())
            .collect();
        let mut words = vec![KeyValue::new("postern.verdict", decision.verdict.as_str())];
        if !reasons.is_empty() {
            let reasons = Value::Array(Array::String(reasons));
            words.push(KeyValue::new("postern.reasons", reasons));
        }
        if let Some(set) = self.set {
            words.push(KeyValue::new(
                "postern.connector_set",
                set.name().to_owned(),
            ));
            words.push(KeyValue::new("postern.digest", set.digest().to_owned()));
        }
        if let Some(connector) = decision.connector {
            words.push(KeyValue::new(
                "postern.connector",
                connector.name.to_owned(),
            ));
        }
        if let Some(report) = &decision.if_enforced {
            words.push(KeyValue::new(
                "postern.if_enforced",
                report.verdict.as_str(),
            ));
        }
        if let Some(correlation_id) = self.correlation_id {
            let correlation_id = correlation_id.to_owned();
            words.push(KeyValue::new("postern.correlation_id", correlation_id));
        }
        words
    }
}

/// What the conventions want from the beginning.
fn conventional(rpc: Rpc, ends: Ends<'_>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new("rpc.system.name", "grpc"));
    attributes.push(KeyValue::new("rpc.method", rpc.method()));
    if let Some((host, port)) = ends.server {
        attributes.push(KeyValue::new("server.address", host.to_owned()));
        attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    match ends.peer {
        From::Tcp(address) => {
            attributes.push(KeyValue::new("network.transport", "tcp"));
            if let Some(address) = address {
                let host = address.ip().to_canonical().to_string();
                attributes.push(KeyValue::new("network.peer.address", host));
                let port = i64::from(address.port());
                attributes.push(KeyValue::new("network.peer.port", port));
            }
        }
        From::Unix => attributes.push(KeyValue::new("network.transport", "unix")),
    }
    attributes
}

/// The codes that are the server's fault, as the conventions for gRPC have it. That mail is kept out
/// is no fault.
const SERVER_ERRORS: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// How many questions of a stream have an event of their own: a stream may have any number, and its
/// span is kept until it ends.
const MOST_QUESTIONS: u64 = 32;

/// The target of spans, which the log does not show.
pub(in super::super) const TARGET: &str = "postern::call";
