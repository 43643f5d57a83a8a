//! How one connection is served over HTTP/2, whatever answers, and how that stops.

use std::{
    convert::Infallible,
    error::Error,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::Arc,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    connection::Connection,
    frames::Frames,
    life::{Life, Step},
    limits::Bounds,
    line::Line,
    peer::Peer,
    tasks::Tasks,
    tls::Tls,
};
use crate::telemetry::{Closed, Lag};

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
/// some and it came over the network, until it ends: by itself, by one of its limits (`bounds`), or
/// once `drain` is cancelled, where calls in flight still finish. While its core is too late (`lag`),
/// calls are turned away. How a peer breaks off is told at
/// debug only: it happens all the time, and what it asked is counted.
pub async fn serve<S, B>(
    connection: Connection,
    tls: Option<Tls>,
    service: impl FnOnce(Peer, Arc<Line>) -> S,
    bounds: Bounds,
    lag: Arc<Lag>,
    drain: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Some(line) = Line::open(&bounds, lag, &drain) else {
        return bounds.closed(Closed::Connections);
    };
    let within = bounds.limits().handshake_timeout;
    let begun = tokio::select! {
        biased;
        begun = connection.begin(tls.as_ref(), within) => begun,
        () = drain.cancelled() => None,
    };
    let Some((stream, peer)) = begun else { return };
    let service = service(peer, Arc::clone(&line));
    let io = TokioIo::new(Frames::new(stream, Arc::clone(&line)));
    let http2 = http2(&line);
    let mut serving = pin!(http2.serve_connection(io, service));
    let mut clock = Life::new(line.lifetime(), line.began(), chance());
    let mut next = pin!(sleep_until(line.began()));
    let mut ending = false;
    let served = loop {
        tokio::select! {
            served = serving.as_mut() => break served,
            () = line.ending().cancelled(), if !ending => {
                ending = true;
                // Why none: how long a drain takes is for who drains.
                clock.ends((!drain.is_cancelled()).then(Instant::now));
                serving.as_mut().graceful_shutdown();
            }
            () = next.as_mut() => match clock.step(Instant::now(), line.standing()) {
                Step::Wait(until) => next.as_mut().reset(until),
                Step::End(why) => {
                    bounds.closed(why);
                    line.end();
                    next.as_mut().reset(Instant::now());
                }
                Step::Cut(why) => return bounds.closed(why),
            },
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// HTTP/2 as it is spoken here, within the limits of `line`.
fn http2(line: &Arc<Line>) -> http2::Builder<Tasks> {
    let limits = line.bounds().limits();
    let mut http2 = http2::Builder::new(Tasks(Arc::clone(line)));
    http2
        .timer(TokioTimer::new())
        // gRPC knows no date, and each answer would carry one.
        .auto_date_header(false)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(limits.calls_per_connection)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(ERRORS)
        .max_header_list_size(HEADER_OCTETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    http2
}

/// A number from 0 to 1, another one for each connection.
fn chance() -> f64 {
    // The seed of a table is as random as it has to be here.
    let random = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX)
}

/// How many calls may be given up before they are looked at, and how many streams may be reset for
/// what the peer did wrong, before its connection is cut (rapid reset).
const RESETS: usize = 20;
const ERRORS: usize = 1024;

/// How many octets the headers of a call may have, its trace context and token included.
const HEADER_OCTETS: u32 = 16 * 1024;

/// How many octets of one stream, and of all streams of a connection, may wait to be read.
///
/// Why the one is small and the other large: h2 cuts a connection where small frames wait whose
/// overhead (what they lack of 256 octets) exceeds half of the connection's window. A stream that
/// is not read must fill its own window first, so that its peer is paused and not cut: a window of
/// frames of 50 octets takes a thirtieth of that half.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
