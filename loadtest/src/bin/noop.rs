//! A server that answers without deciding, in the runtime that Postern serves in: a thread for each
//! core, connections shared out among them, the same settings of HTTP/2 and the same allocator.
//! What answers is tonic's, as its documentation shows how to write it.

use std::{error::Error, sync::Arc};

use hyper::{Request, body::Incoming};
use hyper_util::service::TowerToHyperService;
use postern::{
    app::{cores::Cores, listener::Way},
    config::settings::Settings,
    rpc::{
        limits::{Bounds, Limits},
        pb::policy_decision_service_server::PolicyDecisionServiceServer,
        transport::{self, Stages},
    },
    telemetry::Metrics,
};
use postern_loadtest::noop::Options;
use tonic::{body::Body, service::Routes};
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let routes = Routes::new(PolicyDecisionServiceServer::new(options.service())).prepare();
    let service = routes.map_request(|request: Request<Incoming>| request.map(Body::new));
    let service = TowerToHyperService::new(service);
    let bounds = Bounds::new(Limits::from(&Settings::default().limits), Metrics::new());
    let serve = move |_, connection, lag, drain| {
        let (service, bounds) = (service.clone(), bounds.clone());
        transport::serve(connection, None, |_, _| service, bounds, lag, drain)
    };
    let (cores, ends) = Cores::start(&serve, None, &Stages::default())?;
    Arc::new(cores)
        .share(Way::Grpc, options.listener().await?)
        .await?;
    for end in ends {
        end.wait().await?;
    }
    Ok(())
}
