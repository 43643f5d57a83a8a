//! How one connection is served over HTTP, whatever answers, and how that stops.

use std::{
    convert::Infallible,
    error::Error,
    hash::{BuildHasher, RandomState},
    pin::{Pin, pin},
    sync::Arc,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http2,
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Connection, Stream},
    frames::Frames,
    life::{Life, Step},
    limits::Bounds,
    line::Line,
    peer::Peer,
    tasks::Tasks,
    tls::Tls,
};
use crate::telemetry::{Closed, Lag};

/// Binds HTTP/2 by the limits; a macro, since it has two builders of the same methods.
macro_rules! bound {
    ($http2:expr, $limits:expr) => {
        $http2
            .timer(TokioTimer::new())
            .keep_alive_interval($limits.keepalive_interval)
            .keep_alive_timeout($limits.keepalive_timeout)
            .max_concurrent_streams($limits.calls_per_connection)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(ERRORS)
            .max_header_list_size(HEADER_OCTETS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
    };
}

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

/// Lets what `service` gives for a peer answer the calls of a connection over HTTP/2, over `tls` where there is
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
    let Some((line, stream, peer)) = begin(connection, tls, &bounds, lag, &drain).await else {
        return;
    };
    let service = service(peer, Arc::clone(&line));
    let io = TokioIo::new(Frames::new(stream, Arc::clone(&line)));
    let http2 = http2(&line);
    let serving = http2.serve_connection(io, service);
    keep(serving, http2::Connection::graceful_shutdown, &line, &drain).await;
}

/// As [`serve`], over whichever HTTP the peer speaks.
pub async fn serve_http<S, B>(
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
    let tls = tls.map(Tls::over_any_http);
    let Some((line, stream, peer)) = begin(connection, tls, &bounds, lag, &drain).await else {
        return;
    };
    let service = service(peer, Arc::clone(&line));
    let io = TokioIo::new(Frames::of_either(stream, Arc::clone(&line)));
    let mut http = auto::Builder::new(Tasks(Arc::clone(&line)));
    bound!(http.http2(), line.bounds().limits());
    // Why no timeout here: it would end who waits for its next call. `Line` knows when one begins.
    http.http1()
        .header_read_timeout(None)
        .max_buf_size(HEADER_OCTETS as usize);
    let serving = http.serve_connection(io, service);
    keep(serving, auto::Connection::graceful_shutdown, &line, &drain).await;
}

/// Begins a connection: TLS, where there is some; none where that fails, or there are too many.
async fn begin(
    connection: Connection,
    tls: Option<Tls>,
    bounds: &Bounds,
    lag: Arc<Lag>,
    drain: &CancellationToken,
) -> Option<(Arc<Line>, Stream, Peer)> {
    let Some(line) = Line::open(bounds, lag, drain) else {
        bounds.closed(Closed::Connections);
        return None;
    };
    let within = bounds.limits().handshake_timeout;
    let (stream, peer) = tokio::select! {
        biased;
        begun = connection.begin(tls.as_ref(), within) => begun,
        () = drain.cancelled() => None,
    }?;
    Some((line, stream, peer))
}

/// Keeps a connection until it ends; `end` lets it end once calls in flight have finished.
async fn keep<C, E>(serving: C, end: impl Fn(Pin<&mut C>), line: &Line, drain: &CancellationToken)
where
    C: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let bounds = line.bounds();
    let mut serving = pin!(serving);
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
                end(serving.as_mut());
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
        let error: Box<dyn Error + Send + Sync> = error.into();
        tracing::debug!(%error, "a connection broke off");
    }
}

/// HTTP/2 as gRPC is spoken over, within the limits of `line`.
fn http2(line: &Arc<Line>) -> http2::Builder<Tasks> {
    let mut http2 = http2::Builder::new(Tasks(Arc::clone(line)));
    bound!(http2, line.bounds().limits());
    // gRPC knows no date, and each answer would carry one.
    http2.auto_date_header(false);
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
