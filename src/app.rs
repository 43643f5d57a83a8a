//! The composition root: builds the service, watches over its parts, and stops it in order.

pub mod bridge;
mod certificates;
pub mod cores;
mod decision_log;
mod expiry;
mod limits;
pub mod listener;
mod otlp;
mod parts;
mod probe;
mod signals;
mod spoken;

use std::{
    fmt::Write as _,
    io::{self, ErrorKind},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{net::TcpListener, runtime, time};
use tokio_util::sync::CancellationToken;

use self::{
    certificates::Certificates,
    cores::{Cores, Ended},
    decision_log::DecisionLog,
    limits::open_enough,
    listener::{Listener, Way},
    otlp::Otlp,
    parts::{Part, Parts},
    signals::Signals,
    spoken::Spoken,
};
pub use self::{decision_log::DecisionLogError, parts::Fault};
use crate::{
    admin::{Admin, Ready},
    config::{
        listen::Endpoint,
        render,
        settings::{Settings, callers::HealthFor},
    },
    live::{Access, Live, Snapshot},
    rpc::{
        gate::Admission,
        limits::Bounds,
        server::{self, ServicesError},
        tls::material::Unusable,
        transport::Stages,
    },
    source::{CallerFile, Reload, StartError},
    telemetry::{Metrics, collector::OtlpError, logging},
};

/// Serves with `settings` until a signal stops the process; `from` says where they come from.
///
/// Everything must be good before a port is opened, and both ports before a call is answered.
pub fn run(settings: &Settings, from: &str) -> Result<(), AppError> {
    let started = SystemTime::now();
    let metrics = Metrics::new();
    let otlp = Otlp::start(&settings.otlp, &metrics)?;
    let _log = logging::init(otlp.sender());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AppError::Threads)?;
    {
        // Why so early: what reloads listens later, and reading many sets takes a while.
        let _within = runtime.enter();
        signals::outlive_hangup().map_err(AppError::Signals)?;
    }
    let decision_log = settings.decision_log.as_ref();
    let decision_log = decision_log
        .map(|log| DecisionLog::start(log, &settings.connectors, &metrics))
        .transpose()?;
    let (reload, live) =
        Reload::start(settings, metrics.clone()).map_err(|error| AppError::Connectors {
            directory: settings.connectors.clone(),
            error,
        })?;
    let certificates = settings.tls.clone();
    let certificates = certificates
        .map(|settings| Certificates::start(settings, metrics.clone()))
        .transpose()?;
    let (callers, access) =
        CallerFile::start(&settings.callers, metrics.clone()).map_err(|error| {
            AppError::Callers {
                file: settings.callers.file.clone(),
                error,
            }
        })?;
    let app = App {
        settings,
        from,
        started,
        metrics,
        live,
        access,
        decision_log,
        otlp: &otlp,
    };
    let ended = runtime.block_on(app.serve(reload, callers, certificates));
    otlp.end();
    // Reading a directory that does not answer must not keep the process alive.
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

/// Why the service could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// TLS cannot be spoken as the settings say.
    #[error("TLS cannot be spoken: {0}")]
    Certificates(#[from] Unusable),
    /// The callers are not as they must be.
    #[error("the callers in `{}` cannot be used: mend what is shown", file.display())]
    Callers {
        /// Where they are.
        file: PathBuf,
        /// All that is wrong.
        error: StartError,
    },
    /// The connectors are not as they must be.
    #[error("the connectors in `{}` cannot be used: mend what is shown", directory.display())]
    Connectors {
        /// Where they are.
        directory: PathBuf,
        /// All that is wrong.
        error: StartError,
    },
    /// Decisions cannot be written down.
    #[error("{0}")]
    DecisionLog(#[from] DecisionLogError),
    /// A port or a socket could not be opened.
    #[error("cannot listen on `{at}` for {purpose}: {}", remedy(at, cause, flag))]
    Listen {
        /// Where.
        at: Endpoint,
        /// Who asks there.
        purpose: &'static str,
        /// The flag, or the setting, that says another one.
        flag: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// What traces and metrics are to be sent with cannot be used.
    #[error("{0}")]
    Otlp(#[from] OtlpError),
    /// A part of the service ended by itself.
    #[error("{0}")]
    Part(Fault),
    /// There is nothing to serve.
    #[error("{0}")]
    Services(#[from] ServicesError),
    /// Without signals nobody could stop it.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// No threads.
    #[error("the threads of the service could not be started: {0}")]
    Threads(io::Error),
}

impl AppError {
    /// What the process says to who started it: 78 where its configuration has to be mended
    /// (EX_CONFIG), else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Callers { .. }
            | Self::Certificates(_)
            | Self::Connectors { .. }
            | Self::DecisionLog(_)
            | Self::Otlp(_) => 78,
            Self::Listen { .. }
            | Self::Part(_)
            | Self::Services(_)
            | Self::Signals(_)
            | Self::Threads(_) => 1,
        }
    }

    /// All that was found in files, with carets; empty where that is not what is wrong.
    pub fn findings(&self, colour: bool) -> String {
        let (directory, error) = match self {
            Self::Callers { file, error } => (file, error),
            Self::Connectors { directory, error } => (directory, error),
            _ => return String::new(),
        };
        let checked = error.checked().iter();
        checked
            .map(|checked| {
                let whole = Path::new(&checked.name) == directory;
                let path = if whole {
                    directory.clone()
                } else {
                    directory.join(&checked.name)
                };
                let path = path.display().to_string();
                render::carets(&path, &checked.text, &checked.findings, colour)
            })
            .collect()
    }
}

/// A service that is about to run.
struct App<'a> {
    settings: &'a Settings,
    from: &'a str,
    started: SystemTime,
    metrics: Metrics,
    live: Arc<Live>,
    access: Arc<Access>,
    decision_log: Option<DecisionLog>,
    otlp: &'a Otlp,
}

impl App<'_> {
    async fn serve(
        mut self,
        reload: Reload,
        callers: CallerFile,
        certificates: Option<Certificates>,
    ) -> Result<(), AppError> {
        let mut signals = Signals::new().map_err(AppError::Signals)?;
        let (listeners, listens) = listen_all(self.settings).await?;
        let (operators, admin_listens) = listen_admin(self.settings.admin_listen).await?;

        let (ready, stages, stop) = (
            Ready::default(),
            Stages::default(),
            CancellationToken::new(),
        );
        let live = Arc::clone(&self.live);
        let admin = Admin::new(
            Arc::clone(&live),
            self.metrics.clone(),
            ready.clone(),
            self.started,
        )
        .with_access(Arc::clone(&self.access))
        .guarded_by(&self.settings.admin_tokens);
        let mut parts = Parts::default();
        parts.spawn(
            Part::Reload,
            &stop,
            reload.run(Arc::clone(&live), stop.clone()),
        );
        parts.spawn(
            Part::Callers,
            &stop,
            callers.run(Arc::clone(&self.access), stop.clone()),
        );
        if let Some(pushing) = self.otlp.pushing(&self.metrics, &live) {
            parts.spawn(Part::Metrics, &stop, pushing.run(stop.clone()));
        }
        parts.spawn(Part::Admin, &stop, admin.serve(operators, stop.clone()));
        let tls = certificates.as_ref().map(Certificates::tls);
        if let Some(certificates) = certificates {
            parts.spawn(Part::Certificates, &stop, certificates.run(stop.clone()));
        }
        let journal = self.decision_log.as_ref().map(DecisionLog::journal);
        if let Some(log) = self.decision_log.take() {
            parts.spawn(Part::DecisionLog, &stop, log.keep(stop.clone()));
        }
        let bounds = Bounds::new((&self.settings.limits).into(), self.metrics.clone());
        let (services, health) = server::services(
            live,
            self.admission(),
            self.metrics.clone(),
            &bounds,
            journal,
            self.otlp.traces(),
            &stages,
        )
        .await?;
        let spoken = Spoken::new(services, tls, bounds);
        let (cores, ends) = self.cores(spoken, &stages)?;
        for ended in ends {
            parts.spawn(Part::Server, &stages.drain, ended.wait());
        }
        parts.spawn(Part::Server, &stages.drain, health.run());
        let cores = Arc::new(cores);
        for (way, listener) in listeners {
            parts.spawn(
                Part::Server,
                &stages.drain,
                Arc::clone(&cores).share(way, listener),
            );
        }
        drop(cores);
        ready.set(true);
        self.announce(&listens, admin_listens);

        tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "stopping; a second signal stops at once");
            }
            () = parts.fault() => tracing::error!("stopping, since a part of the service ended"),
        }
        ready.set(false);
        stages.not_serving.cancel();
        self.drain(&mut signals, &mut parts, &stages).await;
        stages.drain.cancel();
        stages.cut.cancel();
        stop.cancel();
        // Why by itself: what waits there is worth more than a moment.
        let flushed = parts.ended(Part::DecisionLog);
        if time::timeout(FLUSH_WAIT, flushed).await.is_err() {
            tracing::warn!("decisions that could not be written down in time are lost");
        }
        parts.end(LAST_WAIT).await;
        tracing::info!("stopped");
        parts
            .into_fault()
            .map_or(Ok(()), |fault| Err(AppError::Part(fault)))
    }

    /// Starts the cores, and shows how late each is.
    fn cores(&self, spoken: Spoken, stages: &Stages) -> Result<(Cores, Vec<Ended>), AppError> {
        let serve =
            move |way, connection, lag, drain| spoken.clone().serve(way, connection, lag, drain);
        let lag = self.settings.limits.lag;
        let (cores, ends) = Cores::start(&serve, lag, stages).map_err(AppError::Threads)?;
        if lag.is_some() {
            self.metrics.load().measured_by(cores.lags());
        }
        Ok((cores, ends))
    }

    fn admission(&self) -> Admission {
        Admission {
            access: Arc::clone(&self.access),
            health_for_callers: self.settings.callers.health == HealthFor::Callers,
        }
    }

    /// Lets the load balancers look elsewhere, then the calls in flight finish; not for longer than
    /// the settings allow, and not once there is a further signal.
    async fn drain(&self, signals: &mut Signals, parts: &mut Parts, stages: &Stages) {
        let Settings {
            drain_delay,
            drain_deadline,
            ..
        } = *self.settings;
        tokio::select! {
            () = time::sleep(drain_delay) => {}
            () = parts.ended(Part::Server) => return,
            signal = signals.next() => return tracing::warn!(signal, "stopping at once"),
        }
        let began = Instant::now();
        tracing::info!("draining");
        stages.drain.cancel();
        tokio::select! {
            () = parts.ended(Part::Server) => {
                tracing::info!(took = ?began.elapsed(), "drained");
            }
            () = time::sleep(drain_deadline) => {
                tracing::warn!("what was still open at the deadline is cut");
            }
            signal = signals.next() => tracing::warn!(signal, "what is still open is cut"),
        }
    }

    /// The one line that says what is running.
    fn announce(&self, listens: &[(Way, Endpoint)], admin_listen: SocketAddr) {
        if self.settings.tls.is_none() {
            for (_, at) in listens.iter().filter(|(_, at)| at.is_exposed()) {
                tracing::warn!(
                    %at,
                    "other machines may ask in plaintext, as `allow_plaintext` says: whoever is on \
                     the way can read and change what is said"
                );
            }
        }
        let admin_exposed = Endpoint::Tcp(admin_listen).is_exposed();
        if admin_exposed {
            tracing::warn!(
                %admin_listen,
                "other machines may come to the admin listener, as `allow_plaintext` in `[admin]` \
                 says: whoever is on the way can read what it shows, and the tokens it is sent"
            );
        }
        if self.settings.admin_tokens.is_empty() && admin_exposed {
            tracing::warn!(
                %admin_listen,
                "whoever reaches the admin listener sees all that it shows: set `token_sha256` in \
                 `[admin]`, as `postern token` prints it"
            );
        }
        let at = |way| {
            let of_way = listens.iter().filter(|(of, _)| *of == way);
            let places: Vec<_> = of_way.map(|(_, at)| at.to_string()).collect();
            (!places.is_empty()).then(|| places.join(" "))
        };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = at(Way::Grpc),
            http_listen = at(Way::Http),
            %admin_listen,
            settings = self.from,
            connectors = %self.settings.connectors.display(),
            sets = self.live.with(sets),
            "serving"
        );
    }
}

/// The names of the sets with their digests: `contoso=0123456789abcdef fabrikam=...`.
fn sets(snapshot: &Snapshot) -> String {
    let entries = snapshot.catalog.entries();
    let mut text = String::new();
    for set in entries.iter().take(MOST_SETS).map(|entry| &entry.set) {
        let blank = if text.is_empty() { "" } else { " " };
        write!(text, "{blank}{}={}", set.name(), set.digest()).unwrap_or_default();
    }
    if let Some(more) = entries
        .len()
        .checked_sub(MOST_SETS)
        .filter(|more| *more > 0)
    {
        write!(text, " and {more} more").unwrap_or_default();
    }
    text
}

/// What is listened at, in which way, and where that is.
type Opened = (Vec<(Way, Listener)>, Vec<(Way, Endpoint)>);

/// Opens all that gateways ask at.
async fn listen_all(settings: &Settings) -> Result<Opened, AppError> {
    open_enough(settings.limits.connections);
    let (mut listeners, mut listens) = (Vec::new(), Vec::new());
    let grpc = settings.listen.iter().map(|at| (Way::Grpc, at));
    let http = settings.http_listen.iter().map(|at| (Way::Http, at));
    for (way, endpoint) in grpc.chain(http) {
        let (listener, at) = listen(way, endpoint, settings.socket_mode).await?;
        listeners.push((way, listener));
        listens.push((way, at));
    }
    Ok((listeners, listens))
}

/// Opens what gateways come to, and says where it is.
async fn listen(way: Way, at: &Endpoint, mode: u32) -> Result<(Listener, Endpoint), AppError> {
    let (purpose, flag) = match way {
        Way::Grpc => ("gateways", "--listen"),
        Way::Http => ("gateways over HTTP", "http_listen"),
    };
    let refused = |cause| AppError::Listen {
        at: at.clone(),
        purpose,
        flag,
        cause,
    };
    Listener::open(at, mode).await.map_err(refused)
}

/// Opens the port that operators come to, and says which where the system was to choose one. It is
/// ours alone: nothing here asks to share it with another process.
async fn listen_admin(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let refused = |cause| AppError::Listen {
        at: Endpoint::Tcp(address),
        purpose: "operators",
        flag: "--admin-listen",
        cause,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// What to do about a port or a socket that could not be opened.
fn remedy(at: &Endpoint, cause: &io::Error, flag: &str) -> String {
    match (at, cause.kind()) {
        (Endpoint::Tcp(_), ErrorKind::AddrInUse) => {
            format!(
                "something listens there already; stop it, or choose another port with `{flag}`"
            )
        }
        (Endpoint::Unix(_), ErrorKind::AddrInUse) => format!(
            "another process answers there already; stop it, or choose another path with `{flag}`"
        ),
        (Endpoint::Unix(_), ErrorKind::AlreadyExists) => {
            format!("that is no socket; remove it, or choose another path with `{flag}`")
        }
        (Endpoint::Unix(_), ErrorKind::NotFound) => {
            format!("its directory is not there; create it, or choose another path with `{flag}`")
        }
        (Endpoint::Unix(_), ErrorKind::PermissionDenied) => format!(
            "this user may not write its directory; let it, or choose another path with `{flag}`"
        ),
        (Endpoint::Tcp(_), ErrorKind::AddrNotAvailable) => {
            format!("this machine does not have that address; choose another one with `{flag}`")
        }
        (Endpoint::Tcp(_), ErrorKind::PermissionDenied) => format!(
            "this user may not open that port; choose one above 1023 with `{flag}`, or grant \
             CAP_NET_BIND_SERVICE"
        ),
        (Endpoint::Tcp(_), _) => format!("{cause}; choose another address with `{flag}`"),
        (Endpoint::Unix(_), _) => format!("{cause}; choose another path with `{flag}`"),
    }
}

/// How long the last of the work may take, once everything has been told to end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How long decisions that wait to be written down may take.
const FLUSH_WAIT: Duration = Duration::from_secs(3);

/// How many sets the line about the start names.
const MOST_SETS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (_held, at) = listen(Way::Grpc, &any, 0o660).await.unwrap();
        assert!(!at.is_any());
        let Endpoint::Tcp(address) = at else {
            panic!("no port")
        };
        let error = listen_admin(address).await.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on `{address}` for operators: something listens there already; \
                 stop it, or choose another port with `--admin-listen`"
            )
        );
        assert_eq!(error.findings(false), "");
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_told_with_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (at, remedy) in [
            (
                "192.0.2.1:1".to_owned(),
                "this machine does not have that address; choose another one with `--listen`",
            ),
            (
                format!("unix:{}", file.display()),
                "that is no socket; remove it, or choose another path with `--listen`",
            ),
            (
                format!("unix:{}/none/x", directory.path().display()),
                "its directory is not there; create it, or choose another path with `--listen`",
            ),
        ] {
            let error = listen(Way::Grpc, &at.parse().unwrap(), 0o660)
                .await
                .unwrap_err();
            let expected = format!("cannot listen on `{at}` for gateways: {remedy}");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("contoso.toml");
        std::fs::write(&file, "version = 1\ntsl = true\n[end]\n").unwrap();
        let settings = Settings {
            connectors: directory.path().into(),
            ..Settings::default()
        };
        let error = Reload::start(&settings, Metrics::new()).unwrap_err();
        let error = AppError::Connectors {
            directory: settings.connectors,
            error,
        };
        assert_eq!(error.exit_code(), 78);
        assert!(
            error
                .findings(false)
                .contains(&format!("[{}:2:1]", file.display()))
        );
        assert!(
            error
                .to_string()
                .ends_with("cannot be used: mend what is shown")
        );
    }
}
