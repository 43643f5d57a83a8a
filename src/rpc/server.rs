//! The server: services, health, reflection, and how it stops.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    calls::Calls,
    connection::Connection,
    pb::{
        self, policy_decision_service_server::PolicyDecisionServiceServer,
        policy_explanation_service_server::PolicyExplanationServiceServer,
    },
    service::Policy,
};
use crate::{live::Live, telemetry::Metrics};

/// How a server stops, step by step; each token is cancelled by `app`, in this order.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// Health says NOT_SERVING, all else goes on: load balancers look elsewhere.
    pub not_serving: CancellationToken,
    /// No new connections, GOAWAY on those there are; calls in flight finish, streams end.
    pub drain: CancellationToken,
    /// What is left is cut, also where a peer stays silent.
    pub cut: CancellationToken,
}

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The contract's descriptors cannot be served.
    #[error("the contract cannot be shown by reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport gave up.
    #[error("the gRPC server stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Answers calls on `listener` from `live` until it has drained or is cut.
pub async fn serve(
    listener: TcpListener,
    live: Arc<Live>,
    metrics: Metrics,
    stages: Stages,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = services(Policy::new(live, metrics.clone(), stages.drain.clone()))?;
    routes.add_service(health);
    report(&reporter, ServingStatus::Serving).await;

    let cut = stages.cut.clone();
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(KEEPALIVE_IDLE))
        .then(accepted)
        .map(move |accepted| accepted.map(|stream| Connection::new(stream, &cut)));
    let serving = Server::builder()
        .layer(Calls::new(metrics))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(CONCURRENT_CALLS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(incoming, stages.drain.clone().cancelled_owned());

    tokio::select! {
        served = serving => Ok(served?),
        () = stages.cut.cancelled() => Ok(()),
        never = stop_health(reporter, &stages) => match never {},
    }
}

/// The services of the contract, and reflection in both of its versions; it knows the details of
/// errors, too, so that clients that live by it can show them.
fn services(policy: Policy) -> Result<RoutesBuilder, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(
            PolicyDecisionServiceServer::new(policy.clone())
                .max_decoding_message_size(MESSAGE_OCTETS),
        )
        .add_service(
            PolicyExplanationServiceServer::new(policy).max_decoding_message_size(MESSAGE_OCTETS),
        )
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes)
}

/// Passes a connection on, or waits a little: what keeps one from being accepted (no more file
/// descriptors, say) does not go away at once.
async fn accepted<T>(accepted: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &accepted {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// Says NOT_SERVING from that stage on, and ends what watches health when the server drains.
async fn stop_health(mut reporter: HealthReporter, stages: &Stages) -> Infallible {
    tokio::select! {
        () = stages.not_serving.cancelled() => {}
        () = stages.drain.cancelled() => {}
    }
    report(&reporter, ServingStatus::NotServing).await;
    stages.drain.cancelled().await;
    for service in HEALTH_SERVICES {
        reporter.clear_service_status(service).await;
    }
    std::future::pending().await
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for service in HEALTH_SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// What health knows of; the empty name is the whole server.
const HEALTH_SERVICES: [&str; 3] = [
    "",
    "postern.v1.PolicyDecisionService",
    "postern.v1.PolicyExplanationService",
];

/// How large a message may be. A session with a certificate of many names has a few thousand.
const MESSAGE_OCTETS: usize = 1024 * 1024;

/// How many calls of one connection may be open; more wait at the peer.
const CONCURRENT_CALLS: u32 = 1024;

/// How many octets of one stream, and of all streams of a connection, may wait to be read.
///
/// Why the one is small and the other large: h2 cuts a connection where small frames wait whose
/// overhead (what they lack of 256 octets) exceeds half of the connection's window. A stream that
/// is not read must fill its own window first, so that its peer is paused and not cut: a window of
/// frames of 50 octets takes a thirtieth of that half.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// After how much silence an HTTP/2 ping is sent, and how long its answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// After how much silence TCP probes a peer.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
