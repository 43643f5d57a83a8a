//! The HTTP edge for operators: is it alive, is it ready, what is in force, what was counted.

mod beside;
mod bounded;
mod guard;
mod status;

use std::{
    fmt::Display,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::beside::Beside;
use self::{
    bounded::Bounded,
    guard::{Guard, Visitor, guarded},
    status::Page,
};
use crate::{
    callers::TokenHash,
    live::{Access, Live},
    telemetry::{Format, Metrics},
};

/// What the operators' edge shows.
#[derive(Clone, Debug)]
pub struct Admin {
    live: Arc<Live>,
    metrics: Metrics,
    ready: Ready,
    started: SystemTime,
    access: Arc<Access>,
    guard: Guard,
}

impl Admin {
    /// Shows `live`, `metrics` and `ready` of a process that began at `started`.
    pub fn new(live: Arc<Live>, metrics: Metrics, ready: Ready, started: SystemTime) -> Self {
        Self {
            live,
            metrics,
            ready,
            started,
            access: Arc::default(),
            guard: Guard::default(),
        }
    }

    /// Shows who may ask, too.
    #[must_use]
    pub fn with_access(mut self, access: Arc<Access>) -> Self {
        self.access = access;
        self
    }

    /// Shows all but whether it is alive and ready to those alone who have one of the tokens with
    /// these hashes, where there are any.
    #[must_use]
    pub fn guarded_by(mut self, tokens: &[TokenHash]) -> Self {
        self.guard = Guard::new(tokens, self.metrics.clone());
        self
    }

    /// Answers on `listener` until `stop` is cancelled; requests in flight are finished. Who is slow
    /// to ask or to take an answer is cut.
    pub fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let router = self
            .router()
            .into_make_service_with_connect_info::<Visitor>();
        axum::serve(Bounded::new(listener), router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .into_future()
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(async || text(StatusCode::OK, INDEX)))
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .fallback(unknown)
            .layer(middleware::from_fn_with_state(self.guard.clone(), guarded))
            // Behind the guard: what probes ask is open.
            .route("/livez", get(async || text(StatusCode::OK, "alive\n")))
            .route("/readyz", get(readyz))
            .with_state(self)
    }
}

/// Whether the process wants to be asked: not before it listens, and not from the signal to stop on.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// From now on it does, or does not.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Relaxed);
    }

    /// True where it does.
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    readiness(&admin.ready)
}

fn readiness(ready: &Ready) -> Response {
    if ready.get() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn status(State(admin): State<Admin>) -> Response {
    let snapshot = admin.live.snapshot();
    let (tls, log) = (admin.metrics.tls().status(), admin.metrics.decision_log());
    let standing = admin.access.with(Clone::clone);
    let page = Page::new(
        &snapshot,
        &standing,
        tls.as_deref(),
        log,
        admin.ready.get(),
        admin.started,
    );
    match serde_json::to_string_pretty(&page) {
        Ok(page) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), NOT_KEPT];
            (headers, page + "\n").into_response()
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format_args!("{error}\n")),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::for_accept(accept.unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, format.content_type()), NOT_KEPT];
    (headers, admin.metrics.encode(admin.live.snapshot(), format)).into_response()
}

async fn unknown(uri: Uri) -> Response {
    text(
        StatusCode::NOT_FOUND,
        format_args!("there is no {} here\n\n{INDEX}", uri.path()),
    )
}

fn text(status: StatusCode, text: impl Display) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        NOT_KEPT,
    ];
    (status, headers, text.to_string()).into_response()
}

const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

const INDEX: &str = "\
Postern, the policy service for mail gateways; gateways ask on another port.

/livez    200 while the process runs
/readyz   200 while it wants to be asked, 503 from the signal to stop on
/status   what is in force, as JSON
/metrics  what was counted, for Prometheus
";

#[cfg(test)]
mod tests;
