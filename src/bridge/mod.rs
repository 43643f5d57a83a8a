//! Other ways in: protocols that MTAs speak, turned into questions to a Postern service.
//!
//! A bridge runs beside an MTA and decides nothing. It reads what the MTA tells ([`facts`]), asks a
//! service ([`service`]), and says what to do ([`answer`]); what it does not know it does not say.
//! Each protocol is one function over one connection.

pub mod answer;
mod desk;
pub mod facts;
pub mod milter;
pub mod policy;
pub mod service;
pub mod socketmap;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

pub use self::{desk::Desk, socketmap::Maps};
use crate::{
    config::{
        listen::Endpoint,
        settings::bridge::{BridgeSettings, Milter, Policy},
    },
    telemetry::bridge::{Closed, Protocol},
};

/// Where MTAs come to, and what is spoken there.
#[derive(Debug)]
pub enum Door {
    /// Milter: Sendmail, Postfix.
    Milter(Milter),
    /// Policy delegation: Postfix, and Exim by readsocket.
    Policy(Policy),
    /// Socketmap: Postfix.
    Socketmap(Maps),
}

impl Door {
    /// All that `settings` open.
    pub fn all(settings: &BridgeSettings) -> Vec<Self> {
        let policy = settings.policy.iter().cloned().map(Self::Policy);
        let socketmap = settings.socketmap.iter().cloned();
        let socketmap = socketmap.map(|settings| Self::Socketmap(Maps::new(settings)));
        let milter = settings.milter.iter().cloned().map(Self::Milter);
        policy.chain(socketmap).chain(milter).collect()
    }

    /// Where it is.
    pub fn listen(&self) -> &[Endpoint] {
        match self {
            Self::Milter(milter) => &milter.listen,
            Self::Policy(policy) => &policy.listen,
            Self::Socketmap(maps) => maps.listen(),
        }
    }

    /// What is spoken.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Milter(_) => Protocol::Milter,
            Self::Policy(_) => Protocol::Policy,
            Self::Socketmap(_) => Protocol::Socketmap,
        }
    }

    /// Answers what comes over `stream` until the peer leaves, has to be cut, or `drain` is
    /// cancelled and no question is in hand.
    pub async fn converse<S>(&self, stream: S, desk: &Desk, drain: &CancellationToken) -> Closed
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        match self {
            Self::Milter(settings) => milter::converse(stream, desk, settings, drain).await,
            Self::Policy(settings) => policy::converse(stream, desk, settings, drain).await,
            Self::Socketmap(maps) => socketmap::converse(stream, desk, maps, drain).await,
        }
    }
}
