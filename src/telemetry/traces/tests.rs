use std::sync::mpsc;

use opentelemetry::trace::Status;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{span::From, *};

#[derive(Clone, Debug)]
struct Kept(mpsc::Sender<SpanData>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            self.0.send(span).unwrap();
        }
        Ok(())
    }
}

const EVERY_CALL: otlp::Sampling = otlp::Sampling {
    parent_based: true,
    ratio: 1.0,
};

fn ends() -> Ends<'static> {
    Ends {
        peer: From::Unix,
        server: None,
    }
}

/// The spans that `calls` makes.
fn spans(calls: impl FnOnce(&Traces)) -> Vec<SpanData> {
    let (kept, spans) = mpsc::channel();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(Kept(kept))
        .build();
    let subscriber = tracing_subscriber::registry().with(layer(provider.tracer("test")));
    tracing::subscriber::with_default(subscriber, || calls(&Traces::new(EVERY_CALL)));
    spans.try_iter().collect()
}

fn begin(traces: &Traces, rpc: Rpc) -> Arc<CallSpan> {
    traces.begin(|| Some(rpc), &HeaderMap::new(), ends).unwrap()
}

#[test]
fn what_is_logged_in_a_call_joins_its_trace() {
    let spans = spans(|traces| {
        let call = begin(traces, Rpc::CheckInbound);
        call.within(|| {
            assert_eq!(current(), Some(call.trace_id()));
            tracing::info!("of the log alone");
            tracing::error!("this is a bug");
        });
        assert_eq!(current(), None);
        tracing::error!("of another call");
        call.finish("INTERNAL");
    });
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    let events: Vec<_> = span.events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["this is a bug"]);
    assert_eq!(span.status, Status::error(""));
}

#[test]
fn what_is_given_up_is_cancelled_and_what_is_finished_stays_so() {
    let spans = spans(|traces| {
        drop(begin(traces, Rpc::CheckInbound));
        let call = begin(traces, Rpc::CheckOutbound);
        call.finish("OK");
        call.finish("INTERNAL");
    });
    let codes = spans.iter().map(|span| {
        let mut attributes = span.attributes.iter();
        let code = attributes.find(|pair| pair.key.as_str() == "rpc.response.status_code");
        code.unwrap().value.to_string()
    });
    assert_eq!(codes.collect::<Vec<_>>(), ["CANCELLED", "OK"]);
    assert!(spans.iter().all(|span| span.status == Status::Unset));
}

#[test]
fn off_nothing_is_looked_at() {
    let off = Traces::off();
    let call = off.begin(|| panic!("asked"), &HeaderMap::new(), || panic!("asked"));
    assert!(call.is_none());
    let on = Traces::new(EVERY_CALL);
    assert!(on.begin(|| None, &HeaderMap::new(), ends).is_none());
    // Nothing takes spans here, as in a test of something else.
    assert!(
        on.begin(|| Some(Rpc::CheckInbound), &HeaderMap::new(), ends)
            .is_none()
    );
}
