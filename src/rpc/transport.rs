//! How one connection is served over HTTP/2, whatever answers, and how that stops.

use std::{convert::Infallible, error::Error, pin::pin, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use super::{connection::Connection, peer::Peer, tls::Tls};

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

/// Lets what `service` gives for a peer answer the calls of a connection, over `tls` where there is
/// some and it came over the network, until it ends; once `drain` is cancelled, calls in flight still finish. How a peer breaks off is told at debug only: it happens all the time, and
/// what it asked is counted.
pub async fn serve<S, B>(
    connection: Connection,
    tls: Option<Tls>,
    service: impl FnOnce(Peer) -> S,
    drain: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        // gRPC knows no date, and each answer would carry one.
        .auto_date_header(false)
        .keep_alive_interval(Some(KEEPALIVE_INTERVAL))
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(CONCURRENT_CALLS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let begun = tokio::select! {
        biased;
        begun = connection.begin(tls.as_ref()) => begun,
        () = drain.cancelled() => None,
    };
    let Some((stream, peer)) = begun else { return };
    let mut serving = pin!(http2.serve_connection(TokioIo::new(stream), service(peer)));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = drain.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

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
