//! What is counted, and where: calls, decisions, reloads.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::trace::TraceId;

use super::{
    callers::{CallerTallies, Unauthenticated},
    decision_log,
    exposition::{self, Format},
    load::Load,
    tally::{Counts, Durations, Names, Room},
    tls::TlsTally,
    traces::sending::{Fault, Sent},
};
use crate::{
    live::Snapshot,
    policy::{Decision, Reason, Verdict},
};

/// The counters of the process; a clone counts into the same ones.
///
/// Counting takes no lock, and an acceptance costs a few atomic additions.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Tallies>);

impl Metrics {
    /// Counters that all stand at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches one call of `rpc`. It is counted when the observer is dropped: as cancelled, unless
    /// the call was finished.
    pub fn call(&self, rpc: Rpc) -> Call {
        Call {
            metrics: self.clone(),
            rpc,
            caller: None,
            code: "CANCELLED",
        }
    }

    /// Counts a call of `rpc` that was answered with the gRPC status `code`.
    pub fn called(&self, rpc: Rpc, code: &'static str) {
        let at = CODES
            .iter()
            .position(|known| *known == code)
            .unwrap_or(UNKNOWN);
        if let Some(codes) = self.0.calls.get(rpc as usize) {
            codes.add(at);
        }
    }

    /// Counts a question of `caller` that was answered with the gRPC status `code`.
    pub fn asked(&self, caller: &str, code: &'static str) {
        self.0.callers.asked(caller, code);
    }

    /// Counts a call that was refused, since it is not known who asks.
    pub fn unauthenticated(&self, why: Unauthenticated) {
        self.0.callers.refused(why);
    }

    /// From now on shows how many requests of operators are refused.
    pub fn show_admin_refused(&self) {
        self.0.admin_refused.get_or_init(AtomicU64::default);
    }

    /// Counts a request of an operator that bears no good token.
    pub fn admin_refused(&self) {
        if let Some(count) = self.0.admin_refused.get() {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts what became of a text of the file of callers.
    pub fn callers_reloaded(&self, result: ReloadResult) {
        self.0.callers.reloaded(result);
    }

    /// Takes note of how many callers there are, where not everybody may ask, since when, and since
    /// when the newest text is not in force.
    pub fn callers_now(
        &self,
        count: Option<usize>,
        loaded_at: Option<SystemTime>,
        refused_since: Option<SystemTime>,
    ) {
        self.0.callers.now(count, loaded_at, refused_since);
    }

    /// Counts a decision that was given to a gateway: by the connector set `set`, or by none where
    /// none could be chosen, in the time `took`.
    pub fn decided(&self, rpc: Rpc, set: Option<&str>, decision: &Decision<'_>, took: Duration) {
        let tallies = &*self.0;
        if let Some(durations) = tallies.took.get(rpc as usize) {
            durations.add(took);
        }
        tallies.set(set.unwrap_or_default(), |tally| {
            if let Some(verdicts) = tally.decisions.get(rpc as usize) {
                verdicts.add(decision.verdict as usize);
            }
            for rejection in &decision.rejections {
                tally.connectors.with(
                    rejection.connector.unwrap_or_default(),
                    &tallies.connectors_left,
                    |connector| connector.rejections.add(rejection.reason as usize),
                );
            }
            if let Some(report) = &decision.if_enforced {
                tally.connectors.with(
                    report.connector.map_or("", |connector| connector.name),
                    &tallies.connectors_left,
                    |connector| {
                        if let Some(verdicts) = connector.reports.get(decision.verdict as usize) {
                            verdicts.add(report.verdict as usize);
                        }
                    },
                );
            }
        });
    }

    /// What is open, and what was turned away.
    pub fn load(&self) -> &Load {
        &self.0.load
    }

    /// Remembers the trace of a decision that took `took`, as an example of those that take so long.
    pub fn traced(&self, rpc: Rpc, trace_id: TraceId, took: Duration) {
        if let Some(durations) = self.0.took.get(rpc as usize) {
            durations.exemplify(trace_id, took);
        }
    }

    /// What became of the spans of the process.
    pub(super) fn sent(&self) -> Arc<Sent> {
        Arc::clone(&self.0.spans)
    }

    /// All counters.
    pub(super) fn tallies(&self) -> &Arc<Tallies> {
        &self.0
    }

    /// Counts what became of a text of the connector set `set` that was read.
    pub fn reloaded(&self, set: &str, result: ReloadResult) {
        self.0.set(set, |tally| tally.reloads.add(result as usize));
    }

    /// What is counted of TLS.
    pub fn tls(&self) -> &TlsTally {
        &self.0.tls
    }

    /// From now on shows what becomes of the decision log.
    pub fn show_decision_log(&self, state: Arc<decision_log::State>) {
        self.0.decision_log.get_or_init(|| state);
    }

    /// What has become of the decision log; none where there is none.
    pub fn decision_log(&self) -> Option<&decision_log::State> {
        self.0.decision_log.get().map(AsRef::as_ref)
    }

    /// The page that a scraper reads. What it says about connector sets is taken from `snapshot`,
    /// so that it is never older than the decisions.
    pub fn encode(&self, snapshot: Arc<Snapshot>, format: Format) -> String {
        exposition::page(Arc::clone(&self.0), snapshot, format)
    }
}

/// Counts one call when it is dropped, however it ended.
#[derive(Debug)]
#[must_use = "the call is counted when this is dropped"]
pub struct Call {
    metrics: Metrics,
    rpc: Rpc,
    caller: Option<Arc<str>>,
    code: &'static str,
}

impl Call {
    /// It is a question of the caller of this name.
    pub fn by(&mut self, caller: Arc<str>) {
        self.caller = Some(caller);
    }

    /// The call was answered with the gRPC status `code`: "OK", "INVALID_ARGUMENT" and so on.
    pub fn finish(mut self, code: &'static str) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.called(self.rpc, self.code);
        if let Some(caller) = &self.caller {
            self.metrics.asked(caller, self.code);
        }
    }
}

/// The calls of the contract.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Rpc {
    /// May this mail to us pass?
    CheckInbound,
    /// How is this mail to be delivered, and may it be over this session?
    CheckOutbound,
    /// Many questions over one stream.
    CheckStream,
    /// Why an inbound decision is as it is.
    ExplainInbound,
    /// Why an outbound decision is as it is.
    ExplainOutbound,
}

impl Rpc {
    /// Every call, in order.
    pub const ALL: [Self; 5] = [
        Self::CheckInbound,
        Self::CheckOutbound,
        Self::CheckStream,
        Self::ExplainInbound,
        Self::ExplainOutbound,
    ];

    /// Its name in the contract, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CheckInbound => "CheckInbound",
            Self::CheckOutbound => "CheckOutbound",
            Self::CheckStream => "CheckStream",
            Self::ExplainInbound => "ExplainInbound",
            Self::ExplainOutbound => "ExplainOutbound",
        }
    }

    /// Its full name in the contract.
    pub const fn method(self) -> &'static str {
        match self {
            Self::CheckInbound => "postern.v1.PolicyDecisionService/CheckInbound",
            Self::CheckOutbound => "postern.v1.PolicyDecisionService/CheckOutbound",
            Self::CheckStream => "postern.v1.PolicyDecisionService/CheckStream",
            Self::ExplainInbound => "postern.v1.PolicyExplanationService/ExplainInbound",
            Self::ExplainOutbound => "postern.v1.PolicyExplanationService/ExplainOutbound",
        }
    }

    /// The call that is made at `path`; none where it is another service's.
    pub fn at(path: &str) -> Option<Self> {
        let method = path.strip_prefix('/')?;
        Self::ALL.into_iter().find(|rpc| rpc.method() == method)
    }

    /// True where its answers are decisions that a gateway acts on.
    pub const fn decides(self) -> bool {
        match self {
            Self::CheckInbound | Self::CheckOutbound | Self::CheckStream => true,
            Self::ExplainInbound | Self::ExplainOutbound => false,
        }
    }
}

/// What became of a text of a connector set.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReloadResult {
    /// The set is gone for good: it was retired, and its file went.
    Forgotten,
    /// It is in force.
    Loaded,
    /// It is not in force; the last good one, where there is one, still is.
    Refused,
}

impl ReloadResult {
    /// Every result, in order.
    pub(super) const ALL: [Self; 3] = [Self::Forgotten, Self::Loaded, Self::Refused];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::Loaded => "loaded",
            Self::Refused => "refused",
        }
    }
}

/// All counters.
#[derive(Debug)]
pub(super) struct Tallies {
    pub(super) load: Load,
    /// By call, then by status code as [`CODES`] has them.
    pub(super) calls: [Counts<{ CODES.len() }>; Rpc::ALL.len()],
    /// By call.
    pub(super) took: [Durations; Rpc::ALL.len()],
    /// By name of the connector set; the empty name stands for no set.
    pub(super) sets: Names<SetTally>,
    /// Of TLS.
    pub(super) tls: TlsTally,
    pub(super) decision_log: OnceLock<Arc<decision_log::State>>,
    pub(super) callers: CallerTallies,
    /// Requests of operators without a good token; none where they need none.
    pub(super) admin_refused: OnceLock<AtomicU64>,
    /// What became of spans.
    pub(super) spans: Arc<Sent>,
    /// How often these very counters were sent by OTLP, and how often they could not be.
    pub(super) pushes: Counts<2>,
    pub(super) pushing: Fault,
    sets_left: Room,
    connectors_left: Room,
}

impl Tallies {
    /// The calls that decide, and how long their decisions took.
    pub(super) fn durations(&self) -> impl Iterator<Item = (Rpc, &Durations)> {
        let all = Rpc::ALL.into_iter().zip(&self.took);
        all.filter(|(rpc, _)| rpc.decides())
    }

    fn set(&self, name: &str, add: impl FnOnce(&SetTally)) {
        self.sets.with(name, &self.sets_left, add);
    }
}

impl Default for Tallies {
    fn default() -> Self {
        Self {
            load: Load::default(),
            calls: Default::default(),
            took: Default::default(),
            sets: Names::default(),
            tls: TlsTally::default(),
            decision_log: OnceLock::new(),
            callers: CallerTallies::default(),
            admin_refused: OnceLock::new(),
            spans: Arc::default(),
            pushes: Counts::default(),
            pushing: Fault::default(),
            sets_left: Room::new(SETS),
            connectors_left: Room::new(CONNECTORS),
        }
    }
}

/// The counters of one connector set.
#[derive(Debug, Default)]
pub(super) struct SetTally {
    /// By call, then by verdict.
    pub(super) decisions: [Counts<{ VERDICTS.len() }>; Rpc::ALL.len()],
    /// By result.
    pub(super) reloads: Counts<{ ReloadResult::ALL.len() }>,
    /// By name of the connector; the empty name stands for no connector.
    pub(super) connectors: Names<ConnectorTally>,
}

/// The counters of one connector.
#[derive(Debug, Default)]
pub(super) struct ConnectorTally {
    /// By reason.
    pub(super) rejections: Counts<{ Reason::ALL.len() }>,
    /// By the verdict in force, then by the one there would be.
    pub(super) reports: [Counts<{ VERDICTS.len() }>; VERDICTS.len()],
}

/// The gRPC status codes by their numbers.
pub(super) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The verdicts in the order in which they are counted.
pub(super) const VERDICTS: [Verdict; 4] = [
    Verdict::Accept,
    Verdict::Conditional,
    Verdict::Defer,
    Verdict::Reject,
];

const UNKNOWN: usize = 2;

/// How many connector sets are counted by name; those that come later are counted together.
const SETS: usize = 1_000;

/// How many connectors of all sets are counted by name; those that come later are counted together.
const CONNECTORS: usize = 1_000;
