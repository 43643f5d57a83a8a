//! One serving thread for each core, each with a runtime of its own.
//!
//! A connection is accepted in one place and served by one core for as long as it lives, so that
//! nothing that a call touches is shared or stolen. A port is opened once, by this process alone
//! (I8): the cores do not listen.

use std::{
    convert::Infallible,
    future::Future,
    io,
    num::NonZero,
    sync::Arc,
    thread::{self, available_parallelism},
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    listener::{Accepted, Listener, Way},
    probe,
};
use crate::{
    rpc::{connection::Connection, transport::Stages},
    telemetry::Lag,
};

/// The serving threads of a process.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
    drain: CancellationToken,
}

/// One serving thread.
#[derive(Debug)]
struct Core {
    connections: mpsc::Sender<Given>,
    /// Held by each of its connections.
    open: Arc<()>,
    lag: Arc<Lag>,
}

/// A connection, how it is spoken over, and what its core is told by that it is open.
type Given = (Way, Accepted, Arc<()>);

impl Cores {
    /// Starts a thread for each core that the process may use, where `serve` serves one connection
    /// until it ends, or has drained once its token is cancelled; it is told how late its core is,
    /// which is measured where there is a limit `lag`. Also gives the end of each thread.
    pub fn start<F, T>(
        serve: &F,
        lag: Option<Duration>,
        stages: &Stages,
    ) -> io::Result<(Self, Vec<Ended>)>
    where
        F: Fn(Way, Connection, Arc<Lag>, CancellationToken) -> T + Clone + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let count = available_parallelism().map_or(1, NonZero::get);
        let (mut cores, mut ends) = (Vec::new(), Vec::new());
        for at in 0..count {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (connections, accepted) = mpsc::channel(WAITING);
            let (end, ended) = oneshot::channel();
            let (serve, stages) = (serve.clone(), stages.clone());
            let lag = Arc::new(Lag::new(lag));
            let measured = Arc::clone(&lag);
            thread::Builder::new()
                .name(format!("core-{at}"))
                .spawn(move || {
                    runtime.block_on(run(accepted, serve, measured, stages));
                    // Nobody waits any more where the process is at its end.
                    end.send(()).unwrap_or_default();
                })?;
            let open = Arc::default();
            cores.push(Core {
                connections,
                open,
                lag,
            });
            ends.push(Ended(ended));
        }
        let drain = stages.drain.clone();
        Ok((Self { cores, drain }, ends))
    }

    /// How late each of them is.
    pub fn lags(&self) -> Vec<Arc<Lag>> {
        self.cores
            .iter()
            .map(|core| Arc::clone(&core.lag))
            .collect()
    }

    /// Gives each connection that `listener` accepts to the core that has the fewest, until the
    /// server drains; it is spoken over in this `way`.
    pub async fn share(
        self: Arc<Self>,
        way: Way,
        listener: impl Into<Listener>,
    ) -> Result<(), Infallible> {
        let mut listener = listener.into();
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok(accepted) => self.give(way, accepted).await,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        // Why: no more file descriptors, say, does not go away at once.
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = self.drain.cancelled() => {}
        }
        Ok(())
    }

    async fn give(&self, way: Way, accepted: Accepted) {
        let cores = self.cores.iter();
        if let Some(core) = cores.min_by_key(|core| Arc::strong_count(&core.open)) {
            let given = (way, accepted, Arc::clone(&core.open));
            // Fails only where the core has ended, which ends the process.
            core.connections.send(given).await.unwrap_or_default();
        }
    }
}

/// Serves the connections that one core gets, until they have drained or are cut.
async fn run<F, T>(mut accepted: mpsc::Receiver<Given>, serve: F, lag: Arc<Lag>, stages: Stages)
where
    F: Fn(Way, Connection, Arc<Lag>, CancellationToken) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let serving = async {
        loop {
            tokio::select! {
                next = accepted.recv() => {
                    let Some((way, accepted, open)) = next else { break };
                    match accepted.arrive() {
                        Ok(connection) => {
                            let (lag, drain) = (Arc::clone(&lag), stages.drain.clone());
                            let serving = serve(way, connection, lag, drain);
                            connections.spawn(async move {
                                serving.await;
                                drop(open);
                            });
                        }
                        Err(error) => tracing::warn!(%error, "a connection could not be served"),
                    }
                }
                Some(_) = connections.join_next() => {}
                () = stages.drain.cancelled() => break,
            }
        }
        drop(accepted);
        while connections.join_next().await.is_some() {}
    };
    tokio::select! {
        () = serving => {}
        () = probe::measure(&lag) => {}
        () = stages.cut.cancelled() => {}
    }
}

/// The end of a serving thread.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// Waits until the thread has ended.
    pub async fn wait(self) -> Result<(), CoreDied> {
        self.0.await.map_err(|_| CoreDied)
    }
}

/// A serving thread did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("a serving thread panicked, which is a bug")]
pub struct CoreDied;

/// How many connections may wait for a core that has not taken them yet.
const WAITING: usize = 64;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    #[tokio::test]
    async fn a_connection_goes_to_the_core_that_has_the_fewest() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mut cores, mut inboxes) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (connections, inbox) = mpsc::channel(WAITING);
            let open = Arc::default();
            cores.push(Core {
                connections,
                open,
                lag: Arc::new(Lag::new(None)),
            });
            inboxes.push(inbox);
        }
        let drain = CancellationToken::new();
        let cores = Cores { cores, drain };
        let connect = || Accepted::Tcp(net::TcpStream::connect(address).unwrap());
        for _ in 0..6 {
            cores.give(Way::Grpc, connect()).await;
        }
        let mut held: Vec<_> = inboxes
            .iter_mut()
            .map(|inbox| [inbox.try_recv().unwrap(), inbox.try_recv().unwrap()])
            .collect();
        drop(held.remove(1));
        for _ in 0..2 {
            cores.give(Way::Grpc, connect()).await;
        }
        assert!(inboxes[1].try_recv().is_ok() && inboxes[1].try_recv().is_ok());
        assert!(inboxes[0].try_recv().is_err() && inboxes[2].try_recv().is_err());
    }

    #[tokio::test]
    async fn a_core_that_panics_is_known() {
        let (end, ended) = oneshot::channel();
        drop(end);
        let died = Ended(ended).wait().await.unwrap_err();
        assert_eq!(
            died.to_string(),
            "a serving thread panicked, which is a bug"
        );
    }
}
