//! What a server answers: the services of the contract, health and reflection.

use std::{convert::Infallible, sync::Arc};

use tonic::service::{Routes, RoutesBuilder};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Layer;

use super::{
    calls::Calls,
    decisions::Decisions,
    gate::{Admission, Gate},
    journal::Journal,
    limits::Bounds,
    pb::{self, policy_explanation_service_server::PolicyExplanationServiceServer},
    service::Policy,
    services::Services,
    transport::Stages,
};
use crate::{
    live::Live,
    telemetry::{Metrics, Traces},
};

/// What a server answers, from `live` to whom `admission` lets in and within `bounds`, and what keeps
/// its health as `stages` say. Decisions are left in `journal`, and in the spans of calls that
/// `traces` takes.
pub async fn services(
    live: Arc<Live>,
    admission: Admission,
    metrics: Metrics,
    bounds: &Bounds,
    journal: Option<Journal>,
    traces: Traces,
    stages: &Stages,
) -> Result<(Services, Health), ServicesError> {
    let limits = bounds.limits();
    let (reporter, health) = tonic_health::server::health_reporter();
    let gate = Gate::new(admission, metrics.clone())
        .traced(traces)
        .sharing(limits.calls);
    let policy = Policy::new(live, gate.clone(), metrics.clone()).journalled(journal);
    let mut routes = routes(policy.clone(), limits.message_octets)?;
    routes.add_service(health);
    report(&reporter, ServingStatus::Serving).await;
    let all =
        Calls::new(gate.clone(), metrics, limits.message_timeout).layer(routes.routes().prepare());
    let stages = stages.clone();
    Ok((
        Services::new(policy, gate, all),
        Health { reporter, stages },
    ))
}

/// What load balancers are told.
#[derive(Debug)]
pub struct Health {
    reporter: HealthReporter,
    stages: Stages,
}

impl Health {
    /// Says NOT_SERVING from that stage on, and ends what watches health when the server drains.
    pub async fn run(mut self) -> Result<(), Infallible> {
        let Stages {
            not_serving, drain, ..
        } = self.stages;
        tokio::select! {
            () = not_serving.cancelled() => {}
            () = drain.cancelled() => {}
        }
        report(&self.reporter, ServingStatus::NotServing).await;
        drain.cancelled().await;
        for service in HEALTH_SERVICES {
            self.reporter.clear_service_status(service).await;
        }
        Ok(())
    }
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
#[error("the contract cannot be shown by reflection: {0}")]
pub struct ServicesError(#[from] tonic_reflection::server::Error);

/// The services of the contract, and reflection in both of its versions; it knows the details of
/// errors, too, so that clients that live by it can show them.
fn routes(
    policy: Policy,
    message_octets: usize,
) -> Result<RoutesBuilder, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(Decisions::new(policy.clone(), message_octets))
        .add_service(
            PolicyExplanationServiceServer::new(policy).max_decoding_message_size(message_octets),
        )
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes)
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
