//! The tasks of the process. One that ends before it was told to is a fault: a service with a dead
//! part must not look healthy (I5).

use std::{collections::HashMap, error::Error, fmt, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::line_of;

/// The tasks that make up the service.
#[derive(Debug, Default)]
pub(super) struct Parts {
    tasks: JoinSet<Result<(), String>>,
    running: HashMap<Id, (Part, CancellationToken)>,
    fault: Option<Fault>,
}

impl Parts {
    /// Starts `work`, which is to end only when `told` is cancelled.
    pub(super) fn spawn<E: Error>(
        &mut self,
        part: Part,
        told: &CancellationToken,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let work = async { work.await.map_err(|error| line_of(&error)) };
        let id = self.tasks.spawn(work).id();
        self.running.insert(id, (part, told.clone()));
    }

    /// Waits until a part has a fault.
    pub(super) async fn fault(&mut self) {
        while self.fault.is_none() && self.next().await {}
    }

    /// Waits until `part` has ended.
    pub(super) async fn ended(&mut self, part: Part) {
        while self.running.values().any(|(running, _)| *running == part) && self.next().await {}
    }

    /// Waits until all have ended, but no longer than `most`; then ends them.
    pub(super) async fn end(&mut self, most: Duration) {
        let all = async { while self.next().await {} };
        if time::timeout(most, all).await.is_err() {
            tracing::warn!("what did not end in time is left behind");
        }
        self.tasks.shutdown().await;
    }

    /// The first fault.
    pub(super) fn into_fault(self) -> Option<Fault> {
        self.fault
    }

    /// Waits until another part has ended; false where none is left.
    async fn next(&mut self) -> bool {
        let (id, result) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, result))) => (id, result),
            Some(Err(error)) => (error.id(), Err(death(&error))),
            None => return false,
        };
        if let Some((part, told)) = self.running.remove(&id) {
            let fault = match result {
                Ok(()) if told.is_cancelled() => None,
                Ok(()) => Some(Fault { part, cause: None }),
                Err(cause) => Some(Fault {
                    part,
                    cause: Some(cause),
                }),
            };
            if let Some(fault) = fault {
                tracing::error!(%fault, "a part of the service ended");
                self.fault.get_or_insert(fault);
            }
        }
        true
    }
}

/// The parts of the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Health, status and metrics over HTTP.
    Admin,
    /// Takes up certificates that are renewed.
    Certificates,
    /// Answers MTAs, and looks which endpoints of the service serve.
    Bridge,
    /// Writes decisions down.
    DecisionLog,
    /// Takes up what is saved in the file of callers.
    Callers,
    /// Sends metrics.
    Metrics,
    /// Takes up what is saved in the connectors' directory.
    Reload,
    /// Answers gateways over gRPC.
    Server,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "the admin listener",
            Self::Certificates => "the reload of certificates",
            Self::Bridge => "the bridge",
            Self::DecisionLog => "the decision log",
            Self::Callers => "the reload of callers",
            Self::Metrics => "what sends metrics",
            Self::Reload => "the reload of connectors",
            Self::Server => "the gRPC server",
        })
    }
}

/// A part that ended, though nobody told it to, or not as it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    part: Part,
    cause: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{} ended: {cause}", self.part),
            None => write!(f, "{} ended by itself", self.part),
        }
    }
}

fn death(error: &JoinError) -> String {
    if error.is_panic() {
        "it panicked, which is a bug".into()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::{future, io};

    use super::*;

    type Work = fn() -> io::Result<()>;

    async fn until(told: CancellationToken) -> Result<(), io::Error> {
        told.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_part_that_ends_when_told_is_no_fault() {
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let mut parts = Parts::default();
        parts.spawn(Part::Reload, &stop, until(stop.clone()));
        parts.spawn(Part::Server, &drain, until(drain.clone()));
        drain.cancel();
        parts.ended(Part::Server).await;
        parts.ended(Part::Server).await;
        stop.cancel();
        parts.end(Duration::from_mins(1)).await;
        assert_eq!(parts.into_fault(), None);
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_a_fault() {
        let stop = CancellationToken::new();
        let cases: [(_, Work); 3] = [
            ("the reload of connectors ended by itself", || Ok(())),
            ("the reload of connectors ended: no watch", || {
                Err(io::Error::other("no watch"))
            }),
            (
                "the reload of connectors ended: it panicked, which is a bug",
                || panic!("a bug"),
            ),
        ];
        for (fault, work) in cases {
            let mut parts = Parts::default();
            parts.spawn(Part::Admin, &stop, future::pending::<io::Result<()>>());
            parts.spawn(Part::Reload, &stop, async move { work() });
            parts.fault().await;
            assert_eq!(parts.into_fault().unwrap().to_string(), fault);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_ended() {
        let stop = CancellationToken::new();
        let mut parts = Parts::default();
        parts.spawn(Part::Admin, &stop, future::pending::<io::Result<()>>());
        stop.cancel();
        parts.end(Duration::from_mins(1)).await;
        assert_eq!(parts.into_fault(), None);
    }
}
