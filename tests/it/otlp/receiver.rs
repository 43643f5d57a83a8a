//! A collector: it takes what is sent by OTLP over gRPC, and keeps it.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Condvar},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::running::PATIENCE;

/// What came so far.
#[derive(Clone, Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) headers: MetadataMap,
    /// Everything, as it was on the wire.
    pub(crate) octets: Vec<u8>,
}

/// A collector that listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    kept: Kept,
    runtime: Option<Runtime>,
}

#[expect(clippy::disallowed_types, reason = "a test waits for it")]
type Kept = Arc<(std::sync::Mutex<Received>, Condvar)>;

impl Receiver {
    /// One on a port of its own.
    pub(crate) fn new() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), None)
    }

    /// One at `address`, which speaks TLS where it has an identity.
    pub(crate) fn on(address: SocketAddr, identity: Option<Identity>) -> Self {
        Self::start(address, identity, Duration::ZERO)
    }

    /// One that answers each export only after `delay`.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self::start("127.0.0.1:0".parse().unwrap(), None, delay)
    }

    fn start(address: SocketAddr, identity: Option<Identity>, delay: Duration) -> Self {
        let kept = Kept::default();
        let runtime = Runtime::new().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let within = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let mut server = Server::builder();
        if let Some(identity) = identity {
            let tls = ServerTlsConfig::new().identity(identity);
            server = server.tls_config(tls).unwrap();
        }
        let serving = server
            .add_service(TraceServiceServer::new(Service(Arc::clone(&kept), delay)))
            .add_service(MetricsServiceServer::new(Service(Arc::clone(&kept), delay)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "a server of the test")]
        drop(tokio::spawn(serving));
        drop(within);
        Self {
            address,
            kept,
            runtime: Some(runtime),
        }
    }

    /// What it is called in settings.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `wanted` has something to say of what came.
    pub(crate) fn wait<T>(&self, wanted: impl Fn(&Received) -> Option<T>) -> T {
        let (received, more) = &*self.kept;
        let deadline = Instant::now() + PATIENCE;
        let mut received = received.lock().unwrap();
        loop {
            if let Some(found) = wanted(&received) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not come: {:#?}", received.spans);
            received = more.wait_timeout(received, left).unwrap().0;
        }
    }

    /// Waits for so many spans, and gives all that came.
    pub(crate) fn spans(&self, count: usize) -> Vec<Span> {
        self.wait(|received| (received.spans.len() >= count).then(|| received.spans.clone()))
    }

    /// What came so far.
    pub(crate) fn received(&self) -> Received {
        self.kept.0.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Service(Kept, Duration);

impl Service {
    fn keep(&self, octets: Vec<u8>, headers: MetadataMap, add: impl FnOnce(&mut Received)) {
        let (received, more) = &*self.0;
        let mut received = received.lock().unwrap();
        received.octets.extend(octets);
        received.headers = headers;
        add(&mut received);
        more.notify_all();
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        self.keep(message.encode_to_vec(), headers, |received| {
            for resource in message.resource_spans {
                received.resource = resource.resource.unwrap().attributes;
                let scopes = resource.scope_spans.into_iter();
                received.spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        });
        tokio::time::sleep(self.1).await;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        self.keep(message.encode_to_vec(), headers, |received| {
            received.metrics.clear();
            for resource in message.resource_metrics {
                received.resource = resource.resource.unwrap().attributes;
                let scopes = resource.scope_metrics.into_iter();
                received
                    .metrics
                    .extend(scopes.flat_map(|scope| scope.metrics));
            }
        });
        tokio::time::sleep(self.1).await;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The value of an attribute, in words; a list has a comma between them.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == name)?;
    Some(in_words(pair.value.as_ref()?.value.as_ref()?))
}

fn in_words(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(array) => {
            let values = array.values.iter().filter_map(|value| value.value.as_ref());
            values.map(in_words).collect::<Vec<_>>().join(",")
        }
        other => panic!("{other:?}"),
    }
}

/// A number in small hex digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut hex, octet| {
        write!(hex, "{octet:02x}").unwrap();
        hex
    })
}
