//! One serving thread for each core, each with a runtime of its own.
//!
//! A connection is accepted in one place and served by one core for as long as it lives, so that
//! nothing that a call touches is shared or stolen. The port is opened once, by this process alone
//! (I8): the cores do not listen.

use std::{
    convert::Infallible,
    error::Error,
    io, net,
    num::NonZero,
    sync::Arc,
    thread::{self, available_parallelism},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    service::Service,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;

use crate::rpc::transport::{self, Stages};

/// The serving threads of a process.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
    stages: Stages,
}

/// One serving thread.
#[derive(Debug)]
struct Core {
    connections: mpsc::Sender<Accepted>,
    /// Held by each of its connections.
    open: Arc<()>,
}

/// A connection on its way from the runtime that accepted it to the one that serves it.
type Accepted = (net::TcpStream, Arc<()>);

impl Cores {
    /// Starts a thread for each core that the process may use; there `service` answers, until it
    /// is stopped by `stages`. Also gives the end of each.
    pub fn start<S, B>(service: &S, stages: &Stages) -> io::Result<(Self, Vec<Ended>)>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let count = available_parallelism().map_or(1, NonZero::get);
        let (mut cores, mut ends) = (Vec::new(), Vec::new());
        for at in 0..count {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (connections, accepted) = mpsc::channel(WAITING);
            let (end, ended) = oneshot::channel();
            let serving = serve(accepted, service.clone(), stages.clone());
            thread::Builder::new()
                .name(format!("core-{at}"))
                .spawn(move || {
                    runtime.block_on(serving);
                    // Nobody waits any more where the process is at its end.
                    end.send(()).unwrap_or_default();
                })?;
            let open = Arc::default();
            cores.push(Core { connections, open });
            ends.push(Ended(ended));
        }
        let stages = stages.clone();
        Ok((Self { cores, stages }, ends))
    }

    /// Gives each connection that `listener` accepts to the core that has the fewest, until the
    /// server drains.
    pub async fn share(self, listener: TcpListener) -> Result<(), Infallible> {
        let mut incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEPALIVE_IDLE));
        let accepting = async {
            while let Some(accepted) = incoming.next().await {
                match accepted.and_then(TcpStream::into_std) {
                    Ok(stream) => self.give(stream).await,
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
            () = self.stages.drain.cancelled() => {}
        }
        Ok(())
    }

    async fn give(&self, stream: net::TcpStream) {
        let cores = self.cores.iter();
        if let Some(core) = cores.min_by_key(|core| Arc::strong_count(&core.open)) {
            let accepted = (stream, Arc::clone(&core.open));
            // Fails only where the core has ended, which ends the process.
            core.connections.send(accepted).await.unwrap_or_default();
        }
    }
}

/// Serves the connections that one core gets, until they have drained or are cut.
async fn serve<S, B>(mut accepted: mpsc::Receiver<Accepted>, service: S, stages: Stages)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let serving = async {
        loop {
            tokio::select! {
                next = accepted.recv() => {
                    let Some((stream, open)) = next else { break };
                    let (service, drain) = (service.clone(), stages.drain.clone());
                    connections.spawn(async move {
                        let stream = TcpStream::from_std(stream)?;
                        // Peers that break off are no event; what they asked is counted.
                        let ended = transport::serve(stream, service, drain).await;
                        drop(open);
                        ended.map_err(io::Error::other)
                    });
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

/// After how much silence TCP probes a peer.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
