//! The service that is asked: which of its endpoints serve, and how a question finds an answer.
//!
//! Why not tonic's own balancing: it takes an endpoint that cannot be reached for a ready one, and
//! hands questions to it (grpc-rust#2839); and it does not ask who serves.

mod backend;
mod keys;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{net::lookup_host, time};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response, Status};

pub use self::keys::KeyError;
use self::{
    backend::{Backend, Health, Place},
    keys::Keys,
};
use super::answer::Unanswered;
use crate::{
    config::settings::bridge,
    rpc::{
        client::{Client, DialError, host_and_port},
        pb,
    },
    telemetry::bridge::BridgeTally,
};

/// The service that is asked, at all of its endpoints.
#[derive(Debug)]
pub struct Service {
    settings: bridge::Service,
    backends: ArcSwap<Vec<Arc<Backend>>>,
    keys: ArcSwap<Keys>,
    turn: AtomicUsize,
    tally: Arc<BridgeTally>,
}

impl Service {
    /// Makes ready to ask where `settings` say; within a runtime. It need not be there yet.
    pub async fn start(
        settings: bridge::Service,
        tally: Arc<BridgeTally>,
    ) -> Result<Self, KeyError> {
        let keys = Keys::read(&settings)?;
        for endpoint in &settings.endpoints {
            Client::lazily(&keys.options(&settings, endpoint), None)?;
        }
        let service = Self {
            settings,
            backends: ArcSwap::default(),
            keys: ArcSwap::from_pointee(keys),
            turn: AtomicUsize::new(0),
            tally,
        };
        // Why bounded: who serves an MTA should not wait for a name server that does not answer.
        if time::timeout(FIRST_LOOKUP, service.resolve())
            .await
            .is_err()
        {
            tracing::warn!("the names of the endpoints could not be looked up in time");
        }
        service.check_all().await;
        Ok(service)
    }

    /// Keeps looking who is there and who serves, until `stop` is cancelled.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) -> Result<(), DialError> {
        let resolving = async {
            loop {
                time::sleep(self.settings.resolve_interval).await;
                self.renew_keys();
                self.resolve().await;
            }
        };
        let checking = async {
            loop {
                time::sleep(self.settings.health_interval).await;
                self.check_all().await;
            }
        };
        tokio::select! {
            () = resolving => {}
            () = checking => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// What the service says of mail that a remote server sends to us.
    pub async fn inbound(
        &self,
        question: pb::CheckInboundRequest,
    ) -> Result<pb::CheckInboundResponse, Unanswered> {
        self.ask(|client, within| {
            let request = timed(question.clone(), within);
            let mut decisions = client.decisions.clone();
            async move { decisions.check_inbound(request).await }
        })
        .await
    }

    /// What the service says of mail that we are about to send.
    pub async fn outbound(
        &self,
        question: pb::CheckOutboundRequest,
    ) -> Result<pb::CheckOutboundResponse, Unanswered> {
        self.ask(|client, within| {
            let request = timed(question.clone(), within);
            let mut decisions = client.decisions.clone();
            async move { decisions.check_outbound(request).await }
        })
        .await
    }

    /// Asks one endpoint, and where that cannot answer another one, within the deadline.
    async fn ask<T, F>(&self, call: impl Fn(Arc<Client>, Duration) -> F) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begin = Instant::now();
        let deadline = self.settings.deadline;
        let backends = self.backends.load_full();
        let Some(first) = self.choose(&backends, None) else {
            return Err(nobody(backends.len()));
        };
        let other = self.choose(&backends, Some(&first));
        // An endpoint that hangs leaves time for another one.
        let share = if other.is_some() {
            deadline / 2
        } else {
            deadline
        };
        let fault = match self.attempt(&first, share, &call).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        let again = match fault.kind {
            Kind::Final => None,
            Kind::Hung => other,
            // Why the same one: the server may have ended a connection of age, which is a moment.
            Kind::Broken | Kind::Turned => other.or(Some(first)),
        };
        let left = deadline.saturating_sub(begin.elapsed());
        match again {
            Some(again) if !left.is_zero() => {
                self.tally.retried();
                let attempt = self.attempt(&again, left, &call).await;
                attempt.map_err(|fault| fault.unanswered)
            }
            _ => Err(fault.unanswered),
        }
    }

    async fn attempt<T, F>(
        &self,
        backend: &Arc<Backend>,
        within: Duration,
        call: &impl Fn(Arc<Client>, Duration) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begin = Instant::now();
        let busy = backend.busy();
        let answer = time::timeout(within, call(backend.client(), within)).await;
        drop(busy);
        let fault = match answer {
            Ok(Ok(response)) => {
                self.tally.called(Code::Ok as usize);
                backend.answered();
                return Ok(response.into_inner());
            }
            Ok(Err(status)) => Fault::of(&status, begin.elapsed() >= within),
            Err(_) => Fault::hung(),
        };
        self.tally.called(fault.unanswered.code as usize);
        if matches!(fault.kind, Kind::Broken | Kind::Hung) {
            backend.fails(&fault.unanswered.message);
        }
        Err(fault)
    }

    /// The endpoint to ask: of those that serve the one with the fewest questions in hand, else one
    /// of which it is not known; never one that says that it does not serve. Beside `first` only one
    /// that is no worse.
    fn choose(
        &self,
        backends: &[Arc<Backend>],
        first: Option<&Arc<Backend>>,
    ) -> Option<Arc<Backend>> {
        let turn = self
            .turn
            .fetch_add(1, Relaxed)
            .checked_rem(backends.len())?;
        let (before, after) = backends.split_at_checked(turn)?;
        let least = match first.map(|first| first.health()) {
            Some(Health::Serving) => Health::Serving,
            _ => Health::Silent,
        };
        after
            .iter()
            .chain(before)
            .filter(|it| first.is_none_or(|first| !Arc::ptr_eq(it, first)))
            .filter(|it| it.health() >= least)
            .min_by_key(|it| (it.health() != Health::Serving, it.in_hand()))
            .cloned()
    }

    /// Looks up the names of the endpoints; those that cannot be looked up stay as they were.
    async fn resolve(&self) {
        let known = self.backends.load_full();
        let mut places = Vec::new();
        for endpoint in &self.settings.endpoints {
            let Some(name) = host_and_port(endpoint) else {
                places.push(Place::fixed(endpoint));
                continue;
            };
            match lookup_host(&name).await {
                Ok(addresses) => {
                    let mut addresses: Vec<_> = addresses.take(MOST_ADDRESSES).collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    places.extend(addresses.into_iter().map(|it| Place::at(endpoint, it)));
                }
                Err(error) => {
                    tracing::warn!(endpoint, %error, "the name of an endpoint cannot be looked up");
                    let kept = known.iter().map(|it| &it.place);
                    places.extend(kept.filter(|it| *it.endpoint == **endpoint).cloned());
                }
            }
        }
        let same = known.iter().map(|it| &it.place).eq(&places);
        if same {
            return;
        }
        let keys = self.keys.load();
        let mut backends = Vec::new();
        for place in places {
            if let Some(kept) = known.iter().find(|it| it.place == place) {
                backends.push(Arc::clone(kept));
                continue;
            }
            let options = keys.options(&self.settings, &place.endpoint);
            match Client::lazily(&options, place.address) {
                Ok(client) => {
                    tracing::info!(endpoint = %place.shown, "an endpoint is known");
                    backends.push(Arc::new(Backend::new(place, client)));
                }
                Err(error) => tracing::warn!(%error, "an endpoint cannot be asked"),
            }
        }
        for gone in known
            .iter()
            .filter(|it| !backends.iter().any(|kept| Arc::ptr_eq(it, kept)))
        {
            tracing::info!(endpoint = %gone.place.shown, "an endpoint is gone");
        }
        let shown = backends.iter().map(|it| it.shown());
        self.tally.endpoints(shown.collect());
        self.backends.store(Arc::new(backends));
    }

    /// Takes up certificates and tokens that changed.
    fn renew_keys(&self) {
        let old = self.keys.load();
        if old.are_current(&self.settings) {
            return;
        }
        let renewed = Keys::read(&self.settings).and_then(|keys| {
            for backend in self.backends.load().iter() {
                let options = keys.options(&self.settings, &backend.place.endpoint);
                backend.renew(Client::lazily(&options, backend.place.address)?);
            }
            Ok(keys)
        });
        match renewed {
            Ok(keys) => {
                tracing::info!("what shows who asks was read again");
                self.keys.store(Arc::new(keys));
            }
            Err(error) => tracing::warn!(%error, "the old keys stay in use"),
        }
    }

    /// Asks every endpoint whether it serves.
    async fn check_all(&self) {
        let backends = self.backends.load_full();
        let within = self.settings.health_interval;
        let checks = backends.iter().map(|backend| async {
            if backend.check(within).await.is_lost() {
                let options = self
                    .keys
                    .load()
                    .options(&self.settings, &backend.place.endpoint);
                if let Ok(client) = Client::lazily(&options, backend.place.address) {
                    backend.renew(client);
                }
            }
        });
        all(checks.map(Box::pin).collect()).await;
    }
}

/// What became of an attempt that was not answered.
struct Fault {
    kind: Kind,
    unanswered: Unanswered,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The connection is of no use.
    Broken,
    /// The answer would be the same elsewhere.
    Final,
    /// No answer came in its time.
    Hung,
    /// The server is there, and wants somebody else to be asked.
    Turned,
}

impl Fault {
    fn of(status: &Status, late: bool) -> Self {
        // Why by its source: what the transport says has one, what a server says has none.
        let transport = std::error::Error::source(status).is_some();
        let (kind, code) = match status.code() {
            Code::DeadlineExceeded | Code::Cancelled if late => return Self::hung(),
            Code::Unauthenticated | Code::PermissionDenied => (Kind::Final, status.code()),
            _ if transport => (Kind::Broken, Code::Unavailable),
            Code::Unavailable => (Kind::Turned, Code::Unavailable),
            code => (Kind::Final, code),
        };
        Self {
            kind,
            unanswered: Unanswered {
                code,
                message: status.message().to_owned(),
            },
        }
    }

    fn hung() -> Self {
        Self {
            kind: Kind::Hung,
            unanswered: Unanswered {
                code: Code::DeadlineExceeded,
                message: "no answer came in time".to_owned(),
            },
        }
    }
}

/// Nobody is to be asked, of so many endpoints that are known.
fn nobody(known: usize) -> Unanswered {
    let message = match known {
        0 => "no endpoint is known: their names cannot be looked up",
        _ => "every endpoint says that it does not serve",
    };
    Unanswered {
        code: Code::Unavailable,
        message: message.to_owned(),
    }
}

fn timed<T>(question: T, within: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(question);
    request.set_timeout(within);
    request
}

/// Waits until all `work` is done.
async fn all<F: Future<Output = ()> + Unpin>(mut work: Vec<F>) {
    std::future::poll_fn(|context| {
        work.retain_mut(|it| std::pin::Pin::new(it).poll(context).is_pending());
        if work.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// How many addresses of one name are asked.
const MOST_ADDRESSES: usize = 64;

const FIRST_LOOKUP: Duration = Duration::from_secs(5);
