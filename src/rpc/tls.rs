//! TLS with the peers of a server: what it is spoken with, and how it begins.

pub mod material;
mod pem;
mod presented;

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::material::Material;
use super::peer::PeerCertificate;
use crate::telemetry::{Handshake, Metrics, Seldom};

/// What TLS is spoken with, until something better takes its place; a clone speaks the same.
#[derive(Clone, Debug)]
pub struct Tls {
    configs: Arc<ArcSwap<Configs>>,
    any_http: bool,
    metrics: Metrics,
    told: Arc<Seldom>,
}

/// The same certificates for what is spoken over them.
#[derive(Debug)]
struct Configs {
    /// HTTP/2.
    grpc: Arc<ServerConfig>,
    /// HTTP/2 or HTTP/1.1.
    http: Arc<ServerConfig>,
}

/// A connection that speaks TLS, and the client certificate that was verified.
pub(super) type Begun = (Box<TlsStream<TcpStream>>, Option<PeerCertificate>);

impl Tls {
    /// TLS that is spoken with `material`; handshakes are counted in `metrics`.
    pub fn new(material: Material, metrics: Metrics) -> Self {
        Self {
            configs: Arc::new(ArcSwap::from_pointee(material.into())),
            any_http: false,
            metrics,
            told: Arc::default(),
        }
    }

    /// From now on TLS is spoken with `material`; connections that there are stay as they are.
    pub fn replace(&self, material: Material) {
        self.configs.store(Arc::new(material.into()));
    }

    /// The same for who may speak HTTP/1.1, too.
    pub(super) fn over_any_http(self) -> Self {
        Self {
            any_http: true,
            ..self
        }
    }

    /// Begins TLS on `stream`; none where that fails, or takes longer than `within`, which is
    /// counted and told.
    pub(super) async fn accept(&self, stream: TcpStream, within: Duration) -> Option<Begun> {
        let peer = stream.peer_addr().ok();
        let configs = self.configs.load();
        let config = if self.any_http {
            &configs.http
        } else {
            &configs.grpc
        };
        let accepting = TlsAcceptor::from(Arc::clone(config)).accept(stream);
        drop(configs);
        match timeout(within, accepting.into_fallible()).await {
            Ok(Ok(stream)) => {
                self.metrics.tls().shook_hands(Handshake::Completed);
                let (_, session) = stream.get_ref();
                let leaf = session.peer_certificates().and_then(<[_]>::first);
                let certificate = leaf.map(|leaf| presented::certificate(leaf));
                Some((Box::new(stream), certificate))
            }
            Ok(Err((error, stream))) => {
                self.failed(outcome(&error), peer, &error);
                linger(stream).await;
                None
            }
            Err(elapsed) => {
                self.failed(Handshake::TimedOut, peer, &elapsed);
                None
            }
        }
    }

    fn failed(&self, outcome: Handshake, peer: Option<SocketAddr>, error: &(dyn Error + 'static)) {
        self.metrics.tls().shook_hands(outcome);
        let peer = peer.map(|peer| peer.to_string());
        // Why: whoever has to mend the client needs the cause, and the client is told little.
        let told = outcome.is_refusal().then(|| self.told.next()).flatten();
        if let Some(unsaid) = told {
            tracing::warn!(
                peer,
                error,
                result = outcome.as_str(),
                more_before = (unsaid > 0).then_some(unsaid),
                "a TLS client was refused"
            );
        } else {
            tracing::debug!(
                peer,
                error,
                result = outcome.as_str(),
                "TLS could not begin"
            );
        }
    }
}

impl From<Material> for Configs {
    fn from(material: Material) -> Self {
        let mut http = material.config.clone();
        http.alpn_protocols.push(b"http/1.1".to_vec());
        Self {
            grpc: Arc::new(material.config),
            http: Arc::new(http),
        }
    }
}

/// Closes `stream` once the peer had time to read why.
async fn linger(mut stream: TcpStream) {
    let closing = async {
        stream.shutdown().await?;
        // Why: closed with octets unread, the connection is reset, and the alert with it.
        let mut rest = (&mut stream).take(MOST_LINGERED);
        io::copy(&mut rest, &mut io::sink()).await
    };
    // Whether the peer reads it is its own affair.
    let _ = timeout(LINGER_TIMEOUT, closing).await;
}

/// What a handshake came to that failed with `error`.
fn outcome(error: &io::Error) -> Handshake {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => Handshake::CertificateMissing,
        Some(rustls::Error::InvalidCertificate(_)) => Handshake::CertificateRefused,
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
            Handshake::Incompatible
        }
        Some(rustls::Error::InvalidMessage(_) | rustls::Error::PeerMisbehaved(_)) => {
            Handshake::NotTls
        }
        Some(_) | None => Handshake::BrokenOff,
    }
}

/// How long, and for how many octets, a peer that was refused is listened to.
const LINGER_TIMEOUT: Duration = Duration::from_millis(500);
const MOST_LINGERED: u64 = 64 * 1024;
