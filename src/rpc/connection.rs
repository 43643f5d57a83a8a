//! A connection that was accepted, and the octets that it carries.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use tokio_rustls::server::TlsStream;

use super::{
    peer::{Origin, Peer},
    tls::Tls,
};

/// A connection that was accepted.
#[derive(Debug)]
pub enum Connection {
    /// Over the network.
    Tcp(TcpStream),
    /// Through the file of a socket.
    Unix(UnixStream),
}

/// What HTTP/2 is spoken over.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Connection {
    /// What to speak over, and with whom; none where `tls` is to be spoken and cannot be, or not
    /// `within` that time.
    pub(super) async fn begin(self, tls: Option<&Tls>, within: Duration) -> Option<(Stream, Peer)> {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => {
                return Some((Stream::Unix(stream), Peer::plaintext(Origin::Unix)));
            }
        };
        let peer = Peer::plaintext(Origin::Network(stream.peer_addr().ok()));
        let Some(tls) = tls else {
            return Some((Stream::Tcp(stream), peer));
        };
        let (stream, certificate) = tls.accept(stream, within).await?;
        let peer = Peer {
            encrypted: true,
            certificate,
            ..peer
        };
        Some((Stream::Tls(stream), peer))
    }
}

/// Hands a call on to whatever carries the octets.
macro_rules! carried {
    ($stream:ident, $carrier:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($carrier) => $call,
            Stream::Tls($carrier) => $call,
            Stream::Unix($carrier) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        carried!(stream, it => Pin::new(it).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        carried!(stream, it => Pin::new(it).poll_write(context, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        carried!(stream, it => Pin::new(it).poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        carried!(self, it => it.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        carried!(stream, it => Pin::new(it).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        carried!(stream, it => Pin::new(it).poll_shutdown(context))
    }
}
