//! Which calls are traced, decided before anything is made for one.

use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};

use crate::config::settings::otlp;

/// Decides which calls are traced, as the samplers of OpenTelemetry do.
#[derive(Debug)]
pub(super) struct Sampling {
    parent_based: bool,
    root: Sampler,
}

impl From<otlp::Sampling> for Sampling {
    fn from(settings: otlp::Sampling) -> Self {
        Self {
            parent_based: settings.parent_based,
            root: Sampler::TraceIdRatioBased(settings.ratio),
        }
    }
}

impl Sampling {
    /// Whether a call is traced whose caller's span is `parent`.
    pub(super) fn takes(&self, parent: Option<&SpanContext>) -> bool {
        let trace_id = match parent {
            Some(parent) if self.parent_based => return parent.is_sampled(),
            Some(parent) => parent.trace_id(),
            // Why one of its own: the SDK draws the trace's later, and nobody else has seen it yet
            // who would have to decide alike.
            None => RandomIdGenerator::default().new_trace_id(),
        };
        let sampled = self
            .root
            .should_sample(None, trace_id, "", &SpanKind::Server, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn sampling(parent_based: bool, ratio: f64) -> Sampling {
        otlp::Sampling {
            parent_based,
            ratio,
        }
        .into()
    }

    fn parent(trace_id: u128, flags: TraceFlags) -> SpanContext {
        let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(1));
        SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
    }

    #[test]
    fn the_caller_decides_where_it_is_asked() {
        for ratio in [0.0, 1.0] {
            let sampling = sampling(true, ratio);
            assert!(sampling.takes(Some(&parent(u128::MAX, TraceFlags::SAMPLED))));
            assert!(!sampling.takes(Some(&parent(0, TraceFlags::NOT_SAMPLED))));
        }
        for flags in [TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED] {
            let sampling = sampling(false, 0.5);
            assert!(sampling.takes(Some(&parent(1, flags))));
            assert!(!sampling.takes(Some(&parent(u128::MAX, flags))));
        }
    }

    #[test]
    fn the_share_of_the_others_is_kept() {
        let taken = |ratio| {
            let sampling = sampling(true, ratio);
            (0..10_000).filter(|_| sampling.takes(None)).count()
        };
        assert_eq!(taken(0.0), 0);
        assert_eq!(taken(1.0), 10_000);
        // Nine standard deviations.
        assert!((2_000..3_000).contains(&taken(0.25)));
    }
}
