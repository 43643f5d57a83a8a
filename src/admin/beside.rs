//! What a bridge shows of itself over HTTP: is it alive, is it ready, what was counted.

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{NOT_KEPT, Ready, bounded::Bounded, text};
use crate::telemetry::{Format, bridge::BridgeTally};

/// What the operators of a bridge are shown.
#[derive(Clone, Debug)]
pub struct Beside {
    tally: Arc<BridgeTally>,
    ready: Ready,
}

impl Beside {
    /// Shows `tally` and `ready`.
    pub fn new(tally: Arc<BridgeTally>, ready: Ready) -> Self {
        Self { tally, ready }
    }

    /// Answers on `listener` until `stop` is cancelled.
    pub fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let router = Router::new()
            .route("/", get(async || text(StatusCode::OK, INDEX)))
            .route("/livez", get(async || text(StatusCode::OK, "alive\n")))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .fallback(async || text(StatusCode::NOT_FOUND, INDEX))
            .with_state(self);
        axum::serve(Bounded::new(listener), router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .into_future()
    }
}

async fn readyz(State(beside): State<Beside>) -> Response {
    super::readiness(&beside.ready)
}

async fn metrics(State(beside): State<Beside>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::for_accept(accept.unwrap_or_default());
    let headers = [(header::CONTENT_TYPE, format.content_type()), NOT_KEPT];
    (headers, beside.tally.page(format)).into_response()
}

const INDEX: &str = "\
Postern's bridge, beside a mail server; the service that it asks is another process.

/livez    200 while the process runs
/readyz   200 while MTAs may ask, 503 from the signal to stop on
/metrics  what was counted, for Prometheus
";
