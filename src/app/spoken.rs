//! What is spoken over a connection that was accepted: gRPC, or HTTP with JSON.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::listener::Way;
use crate::{
    rpc::{
        Services, connect::Connect, connection::Connection, limits::Bounds, tls::Tls, transport,
    },
    telemetry::Lag,
};

/// What is spoken over connections; a clone speaks the same.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    services: Services,
    connect: Connect,
    tls: Option<Tls>,
    bounds: Bounds,
}

impl Spoken {
    /// Lets `services` answer over `tls`, where there is some, and within `bounds`.
    pub(super) fn new(services: Services, tls: Option<Tls>, bounds: Bounds) -> Self {
        Self {
            connect: services.over_http(),
            services,
            tls,
            bounds,
        }
    }

    /// Serves one connection, on a core that is so late (`lag`).
    pub(super) async fn serve(
        self,
        way: Way,
        connection: Connection,
        lag: Arc<Lag>,
        drain: CancellationToken,
    ) {
        let Self {
            services,
            connect,
            tls,
            bounds,
        } = self;
        match way {
            Way::Grpc => {
                let service = |peer, line| services.to(peer, line);
                transport::serve(connection, tls, service, bounds, lag, drain).await;
            }
            Way::Http => {
                let service = |peer, line| connect.to(peer, line);
                transport::serve_http(connection, tls, service, bounds, lag, drain).await;
            }
        }
    }
}
