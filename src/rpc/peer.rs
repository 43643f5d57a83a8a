//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// The other end of a connection, for as long as it lives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Where it connects from.
    pub origin: Origin,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Over the network; none where the system no longer tells from which address.
    Network(Option<SocketAddr>),
}
