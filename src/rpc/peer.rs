//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use super::known::Known;

/// The other end of a connection, for as long as it lives.
#[derive(Debug)]
pub struct Peer {
    /// Where it connects from.
    pub origin: Origin,
    /// Nobody on the way can read or change what is said: TLS.
    pub encrypted: bool,
    /// The certificate that it proved to be its own, and that an authority of ours vouches for.
    pub certificate: Option<PeerCertificate>,
    /// As whom its last call was known.
    pub(super) known: Known,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Over the network; none where the system no longer tells from which address.
    Network(Option<SocketAddr>),
    /// From a process of this machine that may open the socket's file.
    Unix,
}

/// A client certificate that was verified: whom it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate {
    /// It itself.
    pub der: Vec<u8>,
    /// The dNSNames of its alternative names, in lower case, in their order.
    pub dns_names: Vec<String>,
    /// The URIs of its alternative names as they are written, in their order.
    pub uris: Vec<String>,
}

impl Peer {
    /// A peer that speaks in plaintext, and of which only `origin` is known.
    pub fn plaintext(origin: Origin) -> Self {
        Self {
            origin,
            encrypted: false,
            certificate: None,
            known: Known::default(),
        }
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self.origin {
            Origin::Network(address) => address.is_some_and(|address| is_loopback(address.ip())),
            Origin::Unix => true,
        }
    }

    /// Whether nobody else can listen: it is on this machine, or speaks TLS.
    pub fn is_private(&self) -> bool {
        self.encrypted || self.is_local()
    }
}

/// Whether an address is this machine's alone, also one of IPv4 that is written in IPv6.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_local_and_who_is_private() {
        let network = |address: &str| Peer::plaintext(Origin::Network(address.parse().ok()));
        for local in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(network(local).is_local() && network(local).is_private());
        }
        for remote in ["192.0.2.1:1", "[2001:db8::1]:1", "unknown"] {
            let mut peer = network(remote);
            assert!(!peer.is_local() && !peer.is_private(), "{remote}");
            peer.encrypted = true;
            assert!(!peer.is_local() && peer.is_private(), "{remote}");
        }
        assert!(Peer::plaintext(Origin::Unix).is_local());
    }
}
