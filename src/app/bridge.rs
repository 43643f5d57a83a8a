//! The bridge as a process: opens its doors, watches over them, and closes them in order.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, runtime, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use super::{
    Fault,
    limits::open_enough,
    listener::{Accepted, Listener},
    parts::{Part, Parts},
    remedy,
    signals::{Signals, outlive_hangup},
};
use crate::{
    admin::{Beside, Ready},
    bridge::{
        Desk, Door,
        service::{KeyError, Service},
    },
    config::{listen::Endpoint, settings::bridge::BridgeSettings},
    rpc::connection::Connection,
    telemetry::{
        bridge::{BridgeTally, Closed},
        logging,
    },
};

/// Answers MTAs as `settings` say until a signal stops the process; `from` says where they come
/// from.
pub fn run(settings: &BridgeSettings, from: &str) -> Result<(), BridgeError> {
    let _log = logging::init(None);
    // Why one thread: an MTA asks some hundred times a second, which takes a tenth of a core.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BridgeError::Threads)?;
    {
        let _within = runtime.enter();
        outlive_hangup().map_err(BridgeError::Signals)?;
    }
    let ended = runtime.block_on(serve(settings, from));
    // Looking up a name that nobody answers must not keep the process alive.
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

/// Why the bridge could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The service cannot be asked as the settings say.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// A port or a socket could not be opened.
    #[error(
        "cannot listen on `{at}` for {purpose}: {}",
        remedy(at, cause, "listen")
    )]
    Listen {
        /// Where.
        at: Endpoint,
        /// Who comes there.
        purpose: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A part of the bridge ended by itself.
    #[error("{0}")]
    Part(Fault),
    /// Without signals nobody could stop it.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    /// No threads.
    #[error("the threads of the bridge could not be started: {0}")]
    Threads(std::io::Error),
}

impl BridgeError {
    /// What the process says to who started it: 78 where its configuration has to be mended
    /// (EX_CONFIG), else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Keys(_) => 78,
            Self::Listen { .. } | Self::Part(_) | Self::Signals(_) | Self::Threads(_) => 1,
        }
    }
}

/// When what is told: to take no more connections and finish what is in hand; to end.
#[derive(Clone, Debug, Default)]
struct Told {
    drain: CancellationToken,
    cut: CancellationToken,
}

async fn serve(settings: &BridgeSettings, from: &str) -> Result<(), BridgeError> {
    let mut signals = Signals::new().map_err(BridgeError::Signals)?;
    open_enough(settings.listeners.connections);
    let (mut doors, mut listens) = (Vec::new(), Vec::new());
    for door in Door::all(settings) {
        let door = Arc::new(door);
        for at in door.listen() {
            let purpose = door.protocol().as_str();
            let opened = Listener::open(at, settings.listeners.socket_mode).await;
            let (listener, at) = opened.map_err(|cause| BridgeError::Listen {
                at: at.clone(),
                purpose,
                cause,
            })?;
            listens.push(format!("{purpose}={at}"));
            if at.is_exposed() {
                tracing::warn!(
                    %at,
                    "other machines may ask in plaintext, as `allow_plaintext` says: what they \
                     tell of a session is believed"
                );
            }
            doors.push((Arc::clone(&door), listener));
        }
    }
    let (operators, admin_listen) = listen_admin(settings.admin_listen).await?;
    let (ready, told, stop) = (Ready::default(), Told::default(), CancellationToken::new());
    let tally = Arc::new(BridgeTally::default());
    let service = Service::start(settings.service.clone(), Arc::clone(&tally)).await?;
    let service = Arc::new(service);
    let desk = Arc::new(Desk::new(
        Arc::clone(&service),
        settings.listeners,
        settings.service.on_unavailable,
        Arc::clone(&tally),
    ));
    let mut parts = Parts::default();
    let admin = Beside::new(Arc::clone(&tally), ready.clone());
    parts.spawn(Part::Admin, &stop, admin.serve(operators, stop.clone()));
    parts.spawn(Part::Bridge, &stop, service.watch(stop.clone()));
    for (door, listener) in doors {
        let open = Open {
            door,
            desk: Arc::clone(&desk),
            tally: Arc::clone(&tally),
            most: settings.listeners.connections,
        };
        parts.spawn(
            Part::Server,
            &told.drain,
            open.accept(listener, told.clone()),
        );
    }
    ready.set(true);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = listens.join(" "),
        %admin_listen,
        settings = from,
        endpoints = settings.service.endpoints.join(" "),
        "bridging"
    );
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping; a second signal stops at once");
        }
        () = parts.fault() => tracing::error!("stopping, since a part of the bridge ended"),
    }
    ready.set(false);
    told.drain.cancel();
    tokio::select! {
        () = parts.ended(Part::Server) => {}
        () = time::sleep(settings.drain_deadline) => {
            tracing::warn!("questions that were still in hand at the deadline are cut");
        }
        signal = signals.next() => tracing::warn!(signal, "what is still open is cut"),
    }
    told.cut.cancel();
    stop.cancel();
    parts.end(LAST_WAIT).await;
    tracing::info!("stopped");
    parts
        .into_fault()
        .map_or(Ok(()), |fault| Err(BridgeError::Part(fault)))
}

/// A door that is open.
struct Open {
    door: Arc<Door>,
    desk: Arc<Desk>,
    tally: Arc<BridgeTally>,
    /// How many connections may be open, with those of other doors.
    most: usize,
}

impl Open {
    /// Serves who comes to `listener`, each in a task of its own, until it has drained.
    async fn accept(self, mut listener: Listener, told: Told) -> Result<(), Infallible> {
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted.and_then(Accepted::arrive) {
                    Ok(connection) => self.receive(connection, &told, &mut conversations),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        // Why: no more file descriptors, say, does not go away at once.
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = conversations.join_next() => {}
                () = told.drain.cancelled() => break,
            }
        }
        drop(listener);
        while conversations.join_next().await.is_some() {}
        Ok(())
    }

    fn receive(&self, connection: Connection, told: &Told, conversations: &mut JoinSet<()>) {
        let protocol = self.door.protocol();
        if !self.tally.opened(protocol, self.most) {
            self.tally.turned_away(protocol, Closed::Connections);
            let most = self.most;
            tracing::warn!(
                protocol = protocol.as_str(),
                most,
                "a connection is turned away: there are as many as `connections` allows"
            );
            return;
        }
        let (door, desk) = (Arc::clone(&self.door), Arc::clone(&self.desk));
        let (tally, told) = (Arc::clone(&self.tally), told.clone());
        conversations.spawn(async move {
            let counted = Counted {
                tally,
                door: Arc::clone(&door),
                cause: Closed::Cut,
            };
            let talking = async {
                match connection {
                    Connection::Tcp(stream) => door.converse(stream, &desk, &told.drain).await,
                    Connection::Unix(stream) => door.converse(stream, &desk, &told.drain).await,
                }
            };
            let cause = tokio::select! {
                cause = talking => cause,
                () = told.cut.cancelled() => Closed::Cut,
            };
            counted.end(cause);
        });
    }
}

/// A connection that counts until this is dropped, also where its conversation panics.
struct Counted {
    tally: Arc<BridgeTally>,
    door: Arc<Door>,
    cause: Closed,
}

impl Counted {
    fn end(mut self, cause: Closed) {
        self.cause = cause;
        if cause.is_fault() {
            let protocol = self.door.protocol().as_str();
            let cause = cause.as_str();
            tracing::warn!(
                protocol,
                cause,
                "a connection is closed for what came, or did not"
            );
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.closed(self.door.protocol(), self.cause);
    }
}

/// Opens the port that operators come to, and says which where the system was to choose one.
async fn listen_admin(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BridgeError> {
    let refused = |cause| BridgeError::Listen {
        at: Endpoint::Tcp(address),
        purpose: "operators",
        cause,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// How long the last of the work may take, once everything has been told to end.
const LAST_WAIT: Duration = Duration::from_secs(1);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
