//! One endpoint of the service, and whether it serves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU8, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use crate::rpc::client::Client;

/// An endpoint, at one address.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) place: Place,
    client: ArcSwap<Client>,
    /// A [`Health`].
    health: AtomicU8,
    /// For the metrics.
    serving: Arc<AtomicBool>,
    in_hand: AtomicUsize,
    /// How many checks in a row had no answer.
    misses: AtomicUsize,
}

/// Where an endpoint is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// As the settings have it.
    pub(super) endpoint: Arc<str>,
    /// Where its name was looked up.
    pub(super) address: Option<SocketAddr>,
    /// Both, for people.
    pub(super) shown: Arc<str>,
}

/// Whether an endpoint serves, from what must not be asked to what should be.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Health {
    /// It says that it does not.
    NotServing,
    /// It has not said yet, or cannot be reached.
    Silent,
    /// It says that it does.
    Serving,
}

/// A question is in hand for as long as this lives.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Place {
    /// That of an address or a socket.
    pub(super) fn fixed(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.into(),
            address: None,
            shown: endpoint.into(),
        }
    }

    /// That of a name that was looked up.
    pub(super) fn at(endpoint: &str, address: SocketAddr) -> Self {
        Self {
            endpoint: endpoint.into(),
            address: Some(address),
            shown: format!("{endpoint} at {}", address.ip()).into(),
        }
    }
}

impl Backend {
    pub(super) fn new(place: Place, client: Client) -> Self {
        Self {
            place,
            client: ArcSwap::from_pointee(client),
            health: AtomicU8::new(Health::Silent as u8),
            serving: Arc::default(),
            in_hand: AtomicUsize::new(0),
            misses: AtomicUsize::new(0),
        }
    }

    pub(super) fn client(&self) -> Arc<Client> {
        self.client.load_full()
    }

    /// From now on it is asked by `client`.
    pub(super) fn renew(&self, client: Client) {
        self.client.store(Arc::new(client));
    }

    pub(super) fn health(&self) -> Health {
        match self.health.load(Acquire) {
            0 => Health::NotServing,
            1 => Health::Silent,
            _ => Health::Serving,
        }
    }

    /// What the metrics show of it.
    pub(super) fn shown(&self) -> (Arc<str>, Arc<AtomicBool>) {
        (Arc::clone(&self.place.shown), Arc::clone(&self.serving))
    }

    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.load(Relaxed)
    }

    /// A question is in hand.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.in_hand.fetch_add(1, Relaxed);
        Busy(&self.in_hand)
    }

    /// It answered a question: it can be reached.
    pub(super) fn answered(&self) {
        let (silent, serving) = (Health::Silent as u8, Health::Serving as u8);
        // Why not where it said that it does not serve: it answers while it drains.
        if self.health.load(Relaxed) == silent
            && self
                .health
                .compare_exchange(silent, serving, AcqRel, Relaxed)
                .is_ok()
        {
            self.serving.store(true, Relaxed);
        }
    }

    /// A question found nobody there, or no answer in time: others go first until it says that it
    /// serves.
    pub(super) fn fails(&self, message: &str) {
        let (silent, serving) = (Health::Silent as u8, Health::Serving as u8);
        if self
            .health
            .compare_exchange(serving, silent, AcqRel, Relaxed)
            .is_ok()
        {
            self.serving.store(false, Relaxed);
            tracing::warn!(endpoint = %self.place.shown, message, "an endpoint does not answer");
        }
    }

    /// Asks it whether it serves.
    pub(super) async fn check(&self, within: Duration) -> Checked {
        let mut health = self.client().health.clone();
        let asked = health.check(HealthCheckRequest::default());
        let (now, message) = match time::timeout(within, asked).await {
            Ok(Ok(answer)) if answer.get_ref().status == ServingStatus::Serving as i32 => {
                (Health::Serving, String::new())
            }
            Ok(Ok(_)) => (
                Health::NotServing,
                "it says that it does not serve".to_owned(),
            ),
            // Why: what does not know how to say it may still serve; a proxy may stand before it.
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                (Health::Serving, String::new())
            }
            Ok(Err(status)) => (
                Health::Silent,
                format!("{:?}: {}", status.code(), status.message()),
            ),
            Err(_) => (Health::Silent, "no answer came in time".to_owned()),
        };
        let before = self.health.swap(now as u8, AcqRel);
        self.serving.store(now == Health::Serving, Relaxed);
        if before != now as u8 {
            let endpoint = &self.place.shown;
            match now {
                Health::Serving => tracing::info!(%endpoint, "an endpoint serves"),
                Health::NotServing | Health::Silent => {
                    tracing::warn!(%endpoint, message, "an endpoint does not serve");
                }
            }
        }
        if now != Health::Silent {
            self.misses.store(0, Relaxed);
            return Checked(false);
        }
        let misses = self.misses.fetch_add(1, Relaxed) + 1;
        Checked(misses.is_multiple_of(MISSES))
    }
}

/// What a check came to.
pub(super) struct Checked(bool);

impl Checked {
    /// Whether its connection is to be given up: a machine that went away says nothing.
    pub(super) fn is_lost(&self) -> bool {
        self.0
    }
}

/// After how many checks without an answer a new connection is tried.
const MISSES: usize = 3;
