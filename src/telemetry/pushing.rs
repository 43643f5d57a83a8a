//! Metrics that are sent by OTLP: what `/metrics` shows, as it stands, at every interval.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as page;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{
    Metrics,
    collector::Connection,
    exposition::{self, DURATIONS},
    metrics::Tallies,
};
use crate::live::Live;

/// Sends metrics, until it is told to stop.
#[derive(Debug)]
pub struct Pushing {
    connection: Connection,
    interval: Duration,
    resource: Vec<(String, String)>,
    metrics: Metrics,
    live: Arc<Live>,
    started: SystemTime,
}

impl Pushing {
    /// Sends `metrics`, which count from now on, over `connection`.
    pub fn new(
        connection: Connection,
        interval: Duration,
        resource: Vec<(String, String)>,
        metrics: Metrics,
        live: Arc<Live>,
    ) -> Self {
        Self {
            connection,
            interval,
            resource,
            metrics,
            live,
            started: SystemTime::now(),
        }
    }

    /// Sends them until `stop` is cancelled, and once more then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            self.noted(self.push().await);
            if last {
                return Ok(());
            }
        }
    }

    async fn push(&self) -> Result<(), Status> {
        let tallies = Arc::clone(self.metrics.tallies());
        let snapshot = self.live.snapshot();
        let spent = Spent {
            from: nanoseconds(self.started),
            to: nanoseconds(SystemTime::now()),
        };
        let families = exposition::families(Arc::clone(&tallies), snapshot);
        let mut metrics: Vec<_> = families
            .into_iter()
            .map(|family| metric(family, spent))
            .collect();
        exemplify(&mut metrics, &tallies);
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: "postern".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                ..InstrumentationScope::default()
            }),
            metrics,
            ..ScopeMetrics::default()
        };
        let pairs = self.resource.iter();
        let resource = Resource {
            attributes: pairs.map(|(name, value)| attribute(name, value)).collect(),
            ..Resource::default()
        };
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        }];
        let mut request = Request::new(ExportMetricsServiceRequest { resource_metrics });
        *request.metadata_mut() = self.connection.headers.clone();
        let mut client = MetricsServiceClient::new(self.connection.channel.clone());
        client.export(request).await.map(drop)
    }

    fn noted(&self, pushed: Result<(), Status>) {
        let Tallies {
            pushes, pushing, ..
        } = &**self.metrics.tallies();
        match pushed {
            Ok(()) => {
                pushes.add(0);
                if pushing.ends() {
                    tracing::info!("metrics are sent again");
                }
            }
            Err(status) => {
                pushes.add(1);
                if pushing.begins() {
                    let error = super::line_of(&status);
                    tracing::warn!(error, "metrics cannot be sent; calls are not affected");
                }
            }
        }
    }
}

/// From when to when something was counted, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Spent {
    from: u64,
    to: u64,
}

/// A family as OTLP has it: there a sum does without the `_total` that Prometheus gives it back.
fn metric(family: page::MetricFamily, spent: Spent) -> Metric {
    let kind = family.r#type();
    let numbers = |value: fn(&page::Metric) -> Option<f64>| {
        let points = family.metric.iter();
        points
            .filter_map(|point| Some(number(&point.label, value(point)?, spent)))
            .collect()
    };
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match kind {
        page::MetricType::Counter => Data::Sum(Sum {
            data_points: numbers(|point| Some(point.counter.as_ref()?.value)),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        page::MetricType::Histogram => {
            let points = family.metric.iter();
            Data::Histogram(Histogram {
                data_points: points
                    .filter_map(|point| {
                        Some(histogram(&point.label, point.histogram.as_ref()?, spent))
                    })
                    .collect(),
                aggregation_temporality: cumulative,
            })
        }
        _ => Data::Gauge(Gauge {
            data_points: numbers(|point| Some(point.gauge.as_ref()?.value)),
        }),
    };
    let name = match kind {
        page::MetricType::Counter => family.name.strip_suffix("_total"),
        _ => None,
    };
    let name = name.unwrap_or(&family.name).to_owned();
    Metric {
        unit: if name.ends_with("_seconds") { "s" } else { "" }.into(),
        name,
        description: family.help,
        data: Some(data),
        ..Metric::default()
    }
}

fn number(labels: &[page::LabelPair], value: f64, spent: Spent) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: spent.from,
        time_unix_nano: spent.to,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn histogram(
    labels: &[page::LabelPair],
    value: &page::Histogram,
    spent: Spent,
) -> HistogramDataPoint {
    let mut before = 0;
    let own = |bucket: &page::Bucket| {
        let own = bucket.cumulative_count.saturating_sub(before);
        before = bucket.cumulative_count;
        own
    };
    let bounds = value.bucket.iter().map(|bucket| bucket.upper_bound);
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: spent.from,
        time_unix_nano: spent.to,
        count: value.sample_count,
        sum: Some(value.sample_sum),
        explicit_bounds: bounds.filter(|bound| bound.is_finite()).collect(),
        bucket_counts: value.bucket.iter().map(own).collect(),
        ..HistogramDataPoint::default()
    }
}

/// Puts the traces that show what took so long to their durations.
fn exemplify(metrics: &mut [Metric], tallies: &Tallies) {
    let Some(Data::Histogram(durations)) = metrics
        .iter_mut()
        .find(|metric| metric.name == DURATIONS)
        .and_then(|metric| metric.data.as_mut())
    else {
        return;
    };
    for (point, (_, tally)) in durations.data_points.iter_mut().zip(tallies.durations()) {
        let examples = tally.examples().flatten();
        point.exemplars = examples
            .map(|example| Exemplar {
                time_unix_nano: nanoseconds(example.at),
                trace_id: example.trace_id.to_bytes().to_vec(),
                value: Some(exemplar::Value::AsDouble(example.took.as_secs_f64())),
                ..Exemplar::default()
            })
            .collect();
    }
}

fn attributes(labels: &[page::LabelPair]) -> Vec<KeyValue> {
    let labels = labels.iter();
    labels
        .map(|label| attribute(&label.name, &label.value))
        .collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
