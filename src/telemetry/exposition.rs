//! The page of metrics that a scraper reads.

mod examples;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet,
        prometheus_protobuf::{self, prometheus_data_model::MetricFamily},
        text,
    },
    metrics::MetricType,
    registry::Registry,
};

use super::{
    decision_log::{Presented, State},
    load::{Closed, Limit},
    logging,
    metrics::{CODES, ReloadResult, Rpc, SetTally, Tallies, VERDICTS},
};
use crate::{
    live::Snapshot,
    policy::{ConnectorSet, Reason, connector::Mode},
};

/// The two texts that Prometheus reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// The Prometheus text format 0.0.4, which everything reads.
    Classic,
    /// OpenMetrics 1.0, for those that ask for it.
    OpenMetrics,
}

impl Format {
    /// The one to answer with, by the `accept` header of the question.
    pub fn for_accept(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// What it is called in a `content-type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How many connectors `set` has, by direction and by the mode that holds.
pub fn connector_counts(set: &ConnectorSet) -> [(&'static str, &'static str, u64); 6] {
    let count = |modes: &mut dyn Iterator<Item = Mode>| {
        modes.fold([0; 3], |[enforce, report, off], mode| match mode {
            Mode::Enforce => [enforce + 1, report, off],
            Mode::Report => [enforce, report + 1, off],
            Mode::Off => [enforce, report, off + 1],
        })
    };
    let inbound = count(
        &mut set
            .inbound()
            .iter()
            .map(|connector| connector.mode.effective),
    );
    let outbound = count(
        &mut set
            .outbound()
            .iter()
            .map(|connector| connector.mode.effective),
    );
    let [inbound_enforce, inbound_report, inbound_off] = inbound;
    let [outbound_enforce, outbound_report, outbound_off] = outbound;
    [
        ("inbound", "enforce", inbound_enforce),
        ("inbound", "report", inbound_report),
        ("inbound", "off", inbound_off),
        ("outbound", "enforce", outbound_enforce),
        ("outbound", "report", outbound_report),
        ("outbound", "off", outbound_off),
    ]
}

/// The page of what was counted and of what is in force.
pub(super) fn page(tallies: Arc<Tallies>, snapshot: Arc<Snapshot>, format: Format) -> String {
    let registry = registry(Arc::clone(&tallies), snapshot);
    let mut open = String::new();
    // Why: writing to a string cannot fail, and half a page would be better than none.
    text::encode(&mut open, &registry).unwrap_or_default();
    match format {
        Format::Classic => classic(&open),
        Format::OpenMetrics => examples::shown(open, &tallies),
    }
}

/// The page of what `collector` has counted, which knows no examples.
pub(super) fn rendered(collector: Box<dyn Collector>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(collector);
    let mut open = String::new();
    text::encode(&mut open, &registry).unwrap_or_default();
    match format {
        Format::Classic => classic(&open),
        Format::OpenMetrics => open,
    }
}

/// The same as data.
pub(super) fn families(tallies: Arc<Tallies>, snapshot: Arc<Snapshot>) -> Vec<MetricFamily> {
    let registry = registry(tallies, snapshot);
    prometheus_protobuf::encode(&registry).unwrap_or_default()
}

fn registry(tallies: Arc<Tallies>, snapshot: Arc<Snapshot>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { tallies, snapshot }));
    registry
}

/// All that a scrape shows.
#[derive(Debug)]
struct Page {
    tallies: Arc<Tallies>,
    snapshot: Arc<Snapshot>,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "What is running";
        let mut build = family(&mut encoder, "postern_build", help, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        self.calls(&mut encoder)?;
        self.load(&mut encoder)?;
        self.durations(&mut encoder)?;
        let sets = self.tallies.sets.sorted();
        decisions(&sets, &mut encoder)?;
        rejections(&sets, &mut encoder)?;
        reports(&sets, &mut encoder)?;
        reloads(&sets, &mut encoder)?;
        self.sets_in_force(&mut encoder)?;
        self.tallies.tls.encode(&mut encoder)?;
        self.tallies.callers.encode(&mut encoder)?;
        if let Some(count) = self.tallies.admin_refused.get() {
            let help = "Requests of operators that were refused, since they bore no good token";
            let name = "postern_admin_refused";
            let mut refused = family(&mut encoder, name, help, MetricType::Counter)?;
            refused.encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
        let help = "Lines of the log that were lost, since they came faster than they were taken";
        let name = "postern_log_lines_dropped";
        let mut dropped = family(&mut encoder, name, help, MetricType::Counter)?;
        dropped.encode_counter::<NoLabelSet, _, u64>(&(logging::dropped() as u64), None)?;
        if let Some(log) = self.tallies.decision_log.get() {
            decision_log(log, &mut encoder)?;
        }
        self.sent(&mut encoder)?;
        self.times(&mut encoder)
    }
}

impl Page {
    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls by the gRPC status they were answered with";
        let mut calls = family(encoder, "postern_rpc_requests", help, MetricType::Counter)?;
        for (rpc, codes) in Rpc::ALL.iter().zip(&self.tallies.calls) {
            for (code, count) in CODES.iter().zip(codes.values()) {
                if count > 0 || *code == "OK" {
                    let labels = [("rpc", rpc.as_str()), ("grpc_code", code)];
                    counter(&mut calls, &labels, count)?;
                }
            }
        }
        Ok(())
    }

    fn load(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let load = &self.tallies.load;
        let help = "Calls in flight, but for those about health";
        let name = "postern_calls_in_flight";
        let mut calls = family(encoder, name, help, MetricType::Gauge)?;
        calls.encode_gauge(&count(load.calls.now()))?;
        let help = "Connections that are open";
        let mut open = family(encoder, "postern_connections", help, MetricType::Gauge)?;
        open.encode_gauge(&count(load.connections.now()))?;
        let help = "Octets held of messages that have not come whole";
        let name = "postern_partial_octets";
        let mut partial = family(encoder, name, help, MetricType::Gauge)?;
        partial.encode_gauge(&count(load.partial_octets.now()))?;
        let help = "How long what is ready waits until it is run, by serving thread";
        let name = "postern_core_lag_seconds";
        let mut lags = family(encoder, name, help, MetricType::Gauge)?;
        for (core, lag) in load.lags().iter().enumerate() {
            lags.encode_family(&[("core", core)])?
                .encode_gauge(&lag.now().as_secs_f64())?;
        }
        let help = "Calls that were turned away, by the limit that was reached";
        let mut shed = family(encoder, "postern_calls_shed", help, MetricType::Counter)?;
        for (limit, count) in Limit::ALL.iter().zip(load.shed.values()) {
            counter(&mut shed, &[("limit", limit.as_str())], count)?;
        }
        let help = "Connections that were closed from this side, by the limit that was reached";
        let name = "postern_connections_closed";
        let mut closed = family(encoder, name, help, MetricType::Counter)?;
        for (why, count) in Closed::ALL.iter().zip(load.closed.values()) {
            counter(&mut closed, &[("limit", why.as_str())], count)?;
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = DURATIONS;
        let help = "How long decisions took";
        let mut durations = family(encoder, name, help, MetricType::Histogram)?;
        for (rpc, took) in self.tallies.durations() {
            let buckets = took.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let labels = [("rpc", rpc.as_str())];
            let mut histogram = durations.encode_family(&labels)?;
            histogram.encode_histogram::<NoLabelSet>(took.sum(), count, &buckets, None)?;
        }
        Ok(())
    }

    fn sent(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let spans = &self.tallies.spans;
        let counts = [
            (
                "postern_traces_exported",
                "Spans that were sent",
                &spans.exported,
            ),
            (
                "postern_traces_failed",
                "Spans that could not be sent, and are lost",
                &spans.failed,
            ),
            (
                "postern_traces_dropped",
                "Spans that had no room to wait, and are lost",
                &spans.dropped,
            ),
        ];
        for (name, help, count) in counts {
            let mut spans = family(encoder, name, help, MetricType::Counter)?;
            spans.encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
        let help = "How often these metrics were sent by OTLP, and how often they could not be";
        let mut pushes = family(encoder, "postern_metrics_pushes", help, MetricType::Counter)?;
        for (result, count) in PUSHES.iter().zip(self.tallies.pushes.values()) {
            counter(&mut pushes, &[("result", *result)], count)?;
        }
        Ok(())
    }

    fn sets_in_force(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sets = || {
            self.snapshot
                .catalog
                .entries()
                .iter()
                .map(|entry| &entry.set)
        };
        let help = "The connector sets and the beginning of the SHA-256 of their texts";
        let mut digests = family(encoder, "postern_connector_set", help, MetricType::Info)?;
        for set in sets() {
            digests.encode_info(&[("connector_set", set.name()), ("digest", set.digest())])?;
        }
        let help = "Connectors by direction and by the mode that holds";
        let mut connectors = family(encoder, "postern_connectors", help, MetricType::Gauge)?;
        for set in sets() {
            for (direction, mode, count) in connector_counts(set) {
                let labels = [
                    ("connector_set", set.name()),
                    ("direction", direction),
                    ("mode", mode),
                ];
                connectors.encode_family(&labels)?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }

    fn times(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Snapshot {
            status,
            directory_fault,
            ..
        } = &*self.snapshot;
        let name = "postern_connector_set_loaded_timestamp_seconds";
        let help = "When the text in force was loaded";
        let mut loaded = family(encoder, name, help, MetricType::Gauge)?;
        for (set, status) in status {
            if let Some(at) = status.loaded_at {
                loaded
                    .encode_family(&[("connector_set", set.as_str())])?
                    .encode_gauge(&unix(at))?;
            }
        }
        let name = "postern_connector_set_refused_since_timestamp_seconds";
        let help = "Since when the newest text is not in force; absent where it is";
        let mut refused = family(encoder, name, help, MetricType::Gauge)?;
        for (set, status) in status {
            // Without its directory no set is known to be as it was saved.
            if let Some(fault) = status.fault.as_ref().or(directory_fault.as_ref()) {
                let labels = [("connector_set", set.as_str())];
                refused
                    .encode_family(&labels)?
                    .encode_gauge(&unix(fault.since))?;
            }
        }
        Ok(())
    }
}

type Sets = [(Arc<str>, Arc<SetTally>)];

fn decision_log(log: &State, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let name = "postern_decision_log_lines";
    let help = "Lines that were added to the decision log";
    let mut lines = family(encoder, name, help, MetricType::Counter)?;
    lines.encode_counter::<NoLabelSet, _, u64>(&log.lines(), None)?;
    let name = "postern_decision_log_lines_dropped";
    let help = "Decisions that were not written down, since they came faster than they could be";
    let mut dropped = family(encoder, name, help, MetricType::Counter)?;
    for (verdict, count) in log.dropped() {
        counter(&mut dropped, &[("verdict", verdict.as_str())], count)?;
    }
    let name = "postern_decision_log_lines_failed";
    let help = "Decisions of which no line could be made, which is a bug";
    let mut failed = family(encoder, name, help, MetricType::Counter)?;
    failed.encode_counter::<NoLabelSet, _, u64>(&log.unreadable(), None)?;
    let name = "postern_decision_log_failing";
    let help = "1 while decisions cannot be written down";
    let mut failing = family(encoder, name, help, MetricType::Gauge)?;
    failing.encode_gauge(&u64::from(log.failing().is_some()))?;
    let name = "postern_certificate_expiry_timestamp_seconds";
    let help = "When the first certificate of a partner expires, of those that do within 14 days";
    let mut expiries = family(encoder, name, help, MetricType::Gauge)?;
    let mut first = BTreeMap::new();
    let all = log.certificates().all();
    for (presented, expiry) in &*all {
        let Presented {
            direction,
            connector_set,
            connector,
            ..
        } = presented;
        let end = first
            .entry((direction, connector_set, connector))
            .or_insert(expiry.not_after);
        *end = expiry.not_after.min(*end);
    }
    for ((direction, set, connector), end) in first {
        let labels = [
            ("direction", *direction),
            ("connector_set", &**set),
            ("connector", &**connector),
        ];
        expiries.encode_family(&labels)?.encode_gauge(&unix(end))?;
    }
    Ok(())
}

fn decisions(sets: &Sets, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Decisions by verdict; an empty connector set: none could be chosen";
    let mut decisions = family(encoder, "postern_decisions", help, MetricType::Counter)?;
    for (set, tally) in sets {
        for (rpc, verdicts) in Rpc::ALL.iter().zip(&tally.decisions) {
            let counts = verdicts.values();
            // Why: all verdicts as soon as there is one, since a series that begins at one is no
            // increase to Prometheus, and nobody would hear of the first rejection.
            if counts == [0; VERDICTS.len()] {
                continue;
            }
            for (verdict, count) in VERDICTS.iter().zip(counts) {
                let (rpc, verdict) = (rpc.as_str(), verdict.as_str());
                let labels = [("rpc", rpc), ("connector_set", set), ("verdict", verdict)];
                counter(&mut decisions, &labels, count)?;
            }
        }
    }
    Ok(())
}

fn rejections(sets: &Sets, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Restrictions that were not met, by the connector that states them";
    let mut rejections = family(encoder, "postern_rejections", help, MetricType::Counter)?;
    for (set, tally) in sets {
        for (connector, tally) in tally.connectors.sorted() {
            for (reason, count) in Reason::ALL.iter().zip(tally.rejections.values()) {
                let (connector, reason) = (&*connector, reason.as_str());
                let labels = [
                    ("connector_set", &**set),
                    ("connector", connector),
                    ("reason", reason),
                ];
                counter_of_some(&mut rejections, &labels, count)?;
            }
        }
    }
    Ok(())
}

fn reports(sets: &Sets, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Decisions that connectors in report have a part in: as it was, and if enforced";
    let mut reports = family(encoder, "postern_report", help, MetricType::Counter)?;
    for (set, tally) in sets {
        for (connector, tally) in tally.connectors.sorted() {
            for (verdict, if_enforced) in VERDICTS.iter().zip(&tally.reports) {
                for (reported, count) in VERDICTS.iter().zip(if_enforced.values()) {
                    let labels = [
                        ("connector_set", &**set),
                        ("connector", &*connector),
                        ("verdict", verdict.as_str()),
                        ("if_enforced", reported.as_str()),
                    ];
                    counter_of_some(&mut reports, &labels, count)?;
                }
            }
        }
    }
    Ok(())
}

fn reloads(sets: &Sets, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Texts of connector sets that were read, by what became of them";
    let mut reloads = family(encoder, "postern_reloads", help, MetricType::Counter)?;
    for (set, tally) in sets {
        let counts = tally.reloads.values();
        if counts == [0; ReloadResult::ALL.len()] {
            continue;
        }
        for (result, count) in ReloadResult::ALL.iter().zip(counts) {
            let labels = [("connector_set", &**set), ("result", result.as_str())];
            counter(&mut reloads, &labels, count)?;
        }
    }
    Ok(())
}

/// The beginning of a family of metrics.
pub(super) fn family<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

/// A counter of a family.
pub(super) fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> fmt::Result {
    family
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn counter_of_some(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> fmt::Result {
    if count > 0 {
        counter(family, labels, count)
    } else {
        Ok(())
    }
}

/// A gauge's value.
fn count(level: usize) -> i64 {
    i64::try_from(level).unwrap_or(i64::MAX)
}

/// Seconds since the epoch.
pub(super) fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// An OpenMetrics page as the older format has it: there a family bears the name of its samples,
/// and what OpenMetrics calls an info is a gauge.
fn classic(open: &str) -> String {
    let mut page = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            let lines = [
                "# HELP ",
                name,
                suffix,
                " ",
                help,
                "\n# TYPE ",
                name,
                suffix,
                " ",
                kind,
            ];
            page.extend(lines);
            page.push('\n');
        } else if line != "# EOF" {
            page.push_str(line);
            page.push('\n');
        }
    }
    page
}

/// The name of what [`Page::durations`] shows.
pub(super) const DURATIONS: &str = "postern_decision_duration_seconds";

/// What becomes of an attempt to send metrics.
const PUSHES: [&str; 2] = ["exported", "failed"];

#[cfg(test)]
mod tests;
