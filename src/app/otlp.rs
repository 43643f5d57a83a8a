//! What sends traces and metrics: it starts before all else, and ends after it.

use std::{sync::Arc, time::Duration};

use tokio::runtime::{self, Runtime};

use super::AppError;
use crate::{
    config::settings::otlp,
    live::Live,
    telemetry::{
        Metrics, Traces,
        collector::{self, Connection},
        pushing::Pushing,
        traces::Sender,
    },
};

/// What is sent by OTLP.
#[derive(Debug)]
pub(super) struct Otlp {
    traces: Traces,
    sender: Option<Sender>,
    metrics: Option<Connection>,
    interval: Duration,
    resource: Vec<(String, String)>,
    /// Why one of its own: at the end a thread waits for what it drives.
    runtime: Option<Runtime>,
}

impl Otlp {
    /// Makes ready what `settings` ask for; nothing is sent yet, and a collector need not be there.
    pub(super) fn start(settings: &otlp::Otlp, metrics: &Metrics) -> Result<Self, AppError> {
        let mut otlp = Self {
            traces: Traces::off(),
            sender: None,
            metrics: None,
            interval: settings.metrics.interval,
            resource: Vec::new(),
            runtime: None,
        };
        let collectors = [&settings.traces.collector, &settings.metrics.collector];
        if collectors
            .iter()
            .all(|collector| collector.endpoint.is_none())
        {
            return Ok(otlp);
        }
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(AppError::Threads)?;
        let within = runtime.enter();
        otlp.resource = collector::resource(&settings.resource);
        otlp.metrics = Connection::to(&settings.metrics.collector)?;
        if let Some(connection) = Connection::to(&settings.traces.collector)? {
            let sender = Sender::start(&settings.traces, connection, &otlp.resource, metrics)?;
            otlp.sender = Some(sender);
            otlp.traces = Traces::new(settings.traces.sampling);
        }
        drop(within);
        otlp.runtime = Some(runtime);
        Ok(otlp)
    }

    /// What decides which calls are traced.
    pub(super) fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// What sends spans, where they are sent.
    pub(super) fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// What sends metrics, where that is asked for.
    pub(super) fn pushing(&self, metrics: &Metrics, live: &Arc<Live>) -> Option<Pushing> {
        let connection = self.metrics.clone()?;
        let (resource, live) = (self.resource.clone(), Arc::clone(live));
        let pushing = Pushing::new(connection, self.interval, resource, metrics.clone(), live);
        Some(pushing)
    }

    /// Sends what still waits; blocks for two seconds at most.
    pub(super) fn end(self) {
        if let Some(sender) = self.sender {
            sender.end(FLUSH);
        }
        if let Some(runtime) = self.runtime {
            runtime.shutdown_background();
        }
    }
}

/// How long the last spans may take. With the default drain it stays below the 30 seconds that
/// Kubernetes waits.
const FLUSH: Duration = Duration::from_secs(2);
