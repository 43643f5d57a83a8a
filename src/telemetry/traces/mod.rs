//! Traces: one span for each call that is sampled.
//!
//! Off, a call costs one branch. On, a call that is not sampled costs a look at its headers and a
//! random number; only a sampled one makes a span.

mod parent;
mod sampling;
pub(super) mod sending;
pub(super) mod span;

use std::{sync::Arc, time::Duration};

use hyper::HeaderMap;
use opentelemetry::{
    KeyValue,
    trace::{TraceContextExt as _, TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use self::{
    sampling::Sampling,
    sending::{Bounded, Counted},
    span::{CallSpan, Ends},
};
use super::{
    Metrics, Rpc,
    collector::{Connection, OtlpError},
};
use crate::config::settings::otlp;

/// Decides which calls are traced, and begins their spans; a clone does the same.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Sampling>>);

impl Traces {
    /// Traces the calls that `sampling` takes.
    pub fn new(sampling: otlp::Sampling) -> Self {
        Self(Some(Arc::new(sampling.into())))
    }

    /// Traces no call.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether no call is traced.
    pub fn are_off(&self) -> bool {
        self.0.is_none()
    }

    /// The span of a call of `rpc` that begins with `headers`; none where it is not traced.
    #[inline]
    pub fn begin<'a>(
        &self,
        rpc: impl FnOnce() -> Option<Rpc>,
        headers: &HeaderMap,
        ends: impl FnOnce() -> Ends<'a>,
    ) -> Option<Arc<CallSpan>> {
        let sampling = self.0.as_ref()?;
        let rpc = rpc()?;
        let parent = parent::of(headers);
        if !sampling.takes(parent.as_ref()) {
            return None;
        }
        CallSpan::begin(rpc, parent, ends()).map(Arc::new)
    }
}

/// What sends spans, until it is ended.
#[derive(Debug)]
pub struct Sender(SdkTracerProvider);

impl Sender {
    /// Sends spans over `connection`; what becomes of them is counted in `metrics`.
    pub fn start(
        settings: &otlp::Traces,
        connection: Connection,
        resource: &[(String, String)],
        metrics: &Metrics,
    ) -> Result<Self, OtlpError> {
        let sent = metrics.sent();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(connection.channel)
            .with_metadata(connection.headers)
            .with_timeout(settings.collector.timeout)
            .build()
            .map_err(|error| OtlpError::exporter(&error))?;
        let exporter = Counted {
            exporter,
            sent: Arc::clone(&sent),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue)
            .with_max_export_batch_size(settings.batch.min(settings.queue))
            .with_scheduled_delay(settings.delay)
            .build();
        let processor = BatchSpanProcessor::new(exporter, config);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded {
                processor,
                most: settings.queue,
                sent,
            })
            // Why: `Traces` has decided before a span is made.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource_of(resource))
            .build();
        Ok(Self(provider))
    }

    /// What makes spans that it sends.
    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer("postern")
    }

    /// Sends what still waits, for `most` at most; blocks for so long.
    pub fn end(self, most: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(most) {
            tracing::warn!(%error, "the last spans could not be sent in time");
        }
    }
}

/// Makes the spans of calls, and lets what is logged at warn and above join them.
pub(super) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_context_activation(false)
        .with_level(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target("postern", LevelFilter::WARN))
}

/// The trace that whatever runs now is a part of.
pub(super) fn current() -> Option<TraceId> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id())
}

fn resource_of(pairs: &[(String, String)]) -> Resource {
    let pairs = pairs.iter().cloned();
    Resource::builder_empty()
        .with_attributes(pairs.map(|(name, value)| KeyValue::new(name, value)))
        .build()
}

#[cfg(test)]
mod tests;
