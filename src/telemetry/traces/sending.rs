//! How finished spans leave the process: they wait in a bounded queue for a thread that sends them.
//! What has no room is dropped and counted, so that no call waits for a collector.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

/// What became of the spans of the process.
#[derive(Debug, Default)]
pub(in super::super) struct Sent {
    pub(in super::super) dropped: AtomicU64,
    pub(in super::super) exported: AtomicU64,
    pub(in super::super) failed: AtomicU64,
    waiting: AtomicUsize,
    overflowing: AtomicBool,
    fault: Fault,
}

/// Whether something works that is tried again and again: said once when it no longer does, and
/// once when it does again.
#[derive(Debug, Default)]
pub(in super::super) struct Fault(AtomicBool);

impl Fault {
    /// It failed; true where that is news.
    pub(in super::super) fn begins(&self) -> bool {
        !self.0.swap(true, Relaxed)
    }

    /// It worked; true where that is news.
    pub(in super::super) fn ends(&self) -> bool {
        self.0.load(Relaxed) && self.0.swap(false, Relaxed)
    }
}

impl Sent {
    /// Takes room for one span; false where there is none.
    fn take(&self, most: usize) -> bool {
        if self.waiting.fetch_add(1, Relaxed) < most {
            return true;
        }
        self.waiting.fetch_sub(1, Relaxed);
        self.dropped.fetch_add(1, Relaxed);
        if !self.overflowing.load(Relaxed) && !self.overflowing.swap(true, Relaxed) {
            tracing::warn!(
                queue = most,
                "spans are dropped, since they come faster than they are sent; calls are not affected"
            );
        }
        false
    }

    fn sent(&self, count: usize, result: Result<(), &dyn Display>) {
        self.waiting.fetch_sub(count, Relaxed);
        let count = count as u64;
        match result {
            Ok(()) => {
                self.exported.fetch_add(count, Relaxed);
                self.overflowing.store(false, Relaxed);
                if self.fault.ends() {
                    tracing::info!("spans are sent again");
                }
            }
            Err(error) => {
                self.failed.fetch_add(count, Relaxed);
                if self.fault.begins() {
                    tracing::warn!(%error, "spans cannot be sent; calls are not affected");
                }
            }
        }
    }
}

/// An exporter whose successes and failures are counted.
#[derive(Debug)]
pub(super) struct Counted<E> {
    pub(super) exporter: E,
    pub(super) sent: Arc<Sent>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        self.sent
            .sent(count, result.as_ref().copied().map_err(|error| error as _));
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// A processor that holds a bounded number of spans.
///
/// Why beside the bound that the SDK's has: that one tells nobody what it drops.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    pub(super) processor: P,
    pub(super) most: usize,
    pub(super) sent: Arc<Sent>,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.sent.take(self.most) {
            self.processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sent: &Sent) -> [u64; 3] {
        [&sent.exported, &sent.failed, &sent.dropped].map(|count| count.load(Relaxed))
    }

    #[test]
    fn what_has_no_room_is_dropped() {
        let sent = Sent::default();
        assert_eq!([(); 4].map(|()| sent.take(3)), [true, true, true, false]);
        assert_eq!(counts(&sent), [0, 0, 1]);
        sent.sent(2, Ok(()));
        assert_eq!([(); 3].map(|()| sent.take(3)), [true, true, false]);
        sent.sent(3, Err(&"gone"));
        assert_eq!(counts(&sent), [2, 3, 2]);
        assert!(sent.take(1));
    }

    #[test]
    fn a_fault_is_news_once() {
        let fault = Fault::default();
        assert!(!fault.ends());
        assert_eq!([fault.begins(), fault.begins()], [true, false]);
        assert_eq!([fault.ends(), fault.ends()], [true, false]);
        assert!(fault.begins());
    }
}
