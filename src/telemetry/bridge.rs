//! What a bridge counts: questions of MTAs, calls to the service, connections, endpoints.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{
    exposition::{Format, counter, family, rendered},
    load::Level,
    logging,
    metrics::CODES,
    tally::Counts,
};

/// All that a bridge counts.
#[derive(Debug, Default)]
pub struct BridgeTally {
    /// By protocol, then by what was answered.
    questions: [Counts<{ Answered::ALL.len() }>; Protocol::ALL.len()],
    /// By protocol, then by how long it took.
    took: [Counts<{ BOUNDS.len() + 1 }>; Protocol::ALL.len()],
    /// By protocol, in nanoseconds.
    time: [AtomicU64; Protocol::ALL.len()],
    /// By protocol.
    open: [Level; Protocol::ALL.len()],
    /// By protocol, then by cause.
    closed: [Counts<{ Closed::ALL.len() }>; Protocol::ALL.len()],
    /// By status code as [`CODES`] has them.
    calls: Counts<{ CODES.len() }>,
    retries: AtomicU64,
    /// Deferred, accepted.
    unasked: Counts<2>,
    endpoints: ArcSwap<Vec<(Arc<str>, Arc<AtomicBool>)>>,
}

impl BridgeTally {
    /// Counts a question of an MTA that was answered after `took`.
    pub fn answered(&self, protocol: Protocol, answered: Answered, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(questions) = self.questions.get(protocol as usize) {
            questions.add(answered as usize);
        }
        if let Some(buckets) = self.took.get(protocol as usize) {
            buckets.add(BOUNDS.partition_point(|bound| *bound < took));
        }
        if let Some(time) = self.time.get(protocol as usize) {
            time.fetch_add(nanoseconds, Relaxed);
        }
    }

    /// Counts a call to an endpoint that ended with the status of this number.
    pub fn called(&self, code: usize) {
        self.calls.add(code);
    }

    /// Counts a second attempt.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Counts a question that the service did not answer, for which mail was accepted or deferred.
    pub fn unasked(&self, accepted: bool) {
        self.unasked.add(usize::from(accepted));
    }

    /// Counts a connection, where fewer than `most` are open over all protocols.
    pub fn opened(&self, protocol: Protocol, most: usize) -> bool {
        let open: usize = self.open.iter().map(Level::now).sum();
        if open >= most {
            return false;
        }
        let level = self.open.get(protocol as usize);
        level.is_some_and(|level| level.enter(usize::MAX))
    }

    /// Counts the end of a connection that was counted when it was opened.
    pub fn closed(&self, protocol: Protocol, cause: Closed) {
        if let Some(level) = self.open.get(protocol as usize) {
            level.leave();
        }
        self.turned_away(protocol, cause);
    }

    /// Counts the end of a connection that was not let in.
    pub fn turned_away(&self, protocol: Protocol, cause: Closed) {
        if let Some(causes) = self.closed.get(protocol as usize) {
            causes.add(cause as usize);
        }
    }

    /// From now on these are the endpoints, each with whether it serves.
    pub fn endpoints(&self, endpoints: Vec<(Arc<str>, Arc<AtomicBool>)>) {
        self.endpoints.store(Arc::new(endpoints));
    }

    /// The page for a scraper.
    pub fn page(self: Arc<Self>, format: Format) -> String {
        rendered(Box::new(Page(self)), format)
    }
}

/// What MTAs speak with a bridge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Milter.
    Milter,
    /// Postfix policy delegation.
    Policy,
    /// Postfix socketmap.
    Socketmap,
}

impl Protocol {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Milter, Self::Policy, Self::Socketmap];

    /// The word for it in settings, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milter => "milter",
            Self::Policy => "policy",
            Self::Socketmap => "socketmap",
        }
    }
}

/// What an MTA was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered {
    /// Not now.
    Deferred,
    /// There is no such key.
    NotFound,
    /// Nothing stands against it; or what the key stands for.
    Passed,
    /// Never.
    Refused,
}

impl Answered {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Deferred, Self::NotFound, Self::Passed, Self::Refused];

    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::NotFound => "notfound",
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }
}

/// Why a connection of an MTA ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// There were too many.
    Connections,
    /// It was still busy when the process had to end.
    Cut,
    /// The process ends.
    Drained,
    /// What came is no request of the protocol.
    Garbled,
    /// No request came for long.
    Idle,
    /// A request did not come whole in time, or its answer was not taken.
    Late,
    /// The MTA left.
    Peer,
    /// A request was larger than any may be.
    TooLarge,
}

impl Closed {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Connections,
        Self::Cut,
        Self::Drained,
        Self::Garbled,
        Self::Idle,
        Self::Late,
        Self::Peer,
        Self::TooLarge,
    ];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Cut => "cut",
            Self::Drained => "drained",
            Self::Garbled => "garbled",
            Self::Idle => "idle",
            Self::Late => "late",
            Self::Peer => "peer",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether somebody has to look at what came.
    pub const fn is_fault(self) -> bool {
        match self {
            Self::Connections | Self::Garbled | Self::Late | Self::TooLarge => true,
            Self::Cut | Self::Drained | Self::Idle | Self::Peer => false,
        }
    }
}

/// All that a scrape shows.
#[derive(Debug)]
struct Page(Arc<BridgeTally>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "What is running";
        let mut build = family(&mut encoder, "postern_build", help, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        self.questions(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.service(&mut encoder)?;
        let help = "Lines of the log that were lost, since they came faster than they were taken";
        let name = "postern_log_lines_dropped";
        let mut dropped = family(&mut encoder, name, help, MetricType::Counter)?;
        dropped.encode_counter::<NoLabelSet, _, u64>(&(logging::dropped() as u64), None)
    }
}

impl Page {
    fn questions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Questions of MTAs by what they were answered";
        let name = "postern_bridge_questions";
        let mut questions = family(encoder, name, help, MetricType::Counter)?;
        for (protocol, answers) in Protocol::ALL.iter().zip(&self.0.questions) {
            for (answer, count) in Answered::ALL.iter().zip(answers.values()) {
                let labels = [("protocol", protocol.as_str()), ("answer", answer.as_str())];
                counter(&mut questions, &labels, count)?;
            }
        }
        let help = "How long questions of MTAs took, with asking the service";
        let name = "postern_bridge_question_seconds";
        let mut durations = family(encoder, name, help, MetricType::Histogram)?;
        for ((protocol, took), time) in Protocol::ALL.iter().zip(&self.0.took).zip(&self.0.time) {
            let bounds = BOUNDS.iter().map(Duration::as_secs_f64);
            let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(took.values()).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = Duration::from_nanos(time.load(Relaxed)).as_secs_f64();
            let labels = [("protocol", protocol.as_str())];
            let mut histogram = durations.encode_family(&labels)?;
            histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connections of MTAs that are open";
        let name = "postern_bridge_connections";
        let mut open = family(encoder, name, help, MetricType::Gauge)?;
        for (protocol, level) in Protocol::ALL.iter().zip(&self.0.open) {
            let now = u64::try_from(level.now()).unwrap_or(u64::MAX);
            let labels = [("protocol", protocol.as_str())];
            open.encode_family(&labels)?.encode_gauge(&now)?;
        }
        let help = "Connections of MTAs that ended, by cause";
        let name = "postern_bridge_connections_closed";
        let mut closed = family(encoder, name, help, MetricType::Counter)?;
        for (protocol, causes) in Protocol::ALL.iter().zip(&self.0.closed) {
            for (cause, count) in Closed::ALL.iter().zip(causes.values()) {
                let labels = [("protocol", protocol.as_str()), ("cause", cause.as_str())];
                counter(&mut closed, &labels, count)?;
            }
        }
        Ok(())
    }

    fn service(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls to the service, each attempt for itself, by their status";
        let mut calls = family(encoder, "postern_bridge_calls", help, MetricType::Counter)?;
        for (code, count) in CODES.iter().zip(self.0.calls.values()) {
            if count > 0 || *code == "OK" {
                counter(&mut calls, &[("grpc_code", *code)], count)?;
            }
        }
        let help = "Second attempts among the calls to the service";
        let mut retries = family(encoder, "postern_bridge_retries", help, MetricType::Counter)?;
        let count = self.0.retries.load(Relaxed);
        retries.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        let help = "Questions that the service did not answer, by what was done with the mail";
        let mut unasked = family(
            encoder,
            "postern_bridge_unanswered",
            help,
            MetricType::Counter,
        )?;
        for (did, count) in ["defer", "accept"].iter().zip(self.0.unasked.values()) {
            counter(&mut unasked, &[("did", *did)], count)?;
        }
        let help = "1 where an endpoint says that it serves";
        let name = "postern_bridge_endpoint_serving";
        let mut serving = family(encoder, name, help, MetricType::Gauge)?;
        for (endpoint, serves) in self.0.endpoints.load().iter() {
            let labels = [("endpoint", &**endpoint)];
            let serves = u64::from(serves.load(Relaxed));
            serving.encode_family(&labels)?.encode_gauge(&serves)?;
        }
        Ok(())
    }
}

/// From what a question over loopback takes to what an MTA no longer waits for.
const BOUNDS: [Duration; 13] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_the_order_of_their_counters() {
        for (at, it) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, at);
        }
        for (at, it) in Answered::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, at);
        }
        for (at, it) in Closed::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, at);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn the_page_shows_all_that_is_counted() {
        let tally = Arc::new(BridgeTally::default());
        assert!(tally.opened(Protocol::Policy, 1));
        assert!(!tally.opened(Protocol::Milter, 1));
        tally.turned_away(Protocol::Milter, Closed::Connections);
        tally.answered(
            Protocol::Policy,
            Answered::Refused,
            Duration::from_millis(2),
        );
        tally.called(14);
        tally.retried();
        tally.unasked(true);
        tally.endpoints(vec![("a:1".into(), Arc::new(AtomicBool::new(true)))]);
        let page = Arc::clone(&tally).page(Format::Classic);
        for line in [
            "postern_bridge_questions_total{protocol=\"policy\",answer=\"refused\"} 1",
            "postern_bridge_question_seconds_bucket{le=\"0.0025\",protocol=\"policy\"} 1",
            "postern_bridge_question_seconds_sum{protocol=\"policy\"} 0.002",
            "postern_bridge_connections{protocol=\"policy\"} 1",
            "postern_bridge_connections_closed_total{protocol=\"milter\",cause=\"connections\"} 1",
            "postern_bridge_calls_total{grpc_code=\"UNAVAILABLE\"} 1",
            "postern_bridge_retries_total 1",
            "postern_bridge_unanswered_total{did=\"accept\"} 1",
            "postern_bridge_endpoint_serving{endpoint=\"a:1\"} 1",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
        }
        tally.closed(Protocol::Policy, Closed::Peer);
        assert!(tally.opened(Protocol::Milter, 1));
    }
}
