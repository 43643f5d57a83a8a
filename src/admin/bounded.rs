//! The connections of operators: not too many at once, and none that keeps its place for nothing.
//!
//! HTTP is served by axum, which bounds neither. So what it accepts is bounded here: a request must
//! come, and its answer be taken, in some seconds, and a connection without one ends after a while.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// A listener whose connections are bounded.
#[derive(Debug)]
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Bounded {
    /// Accepts what `listener` does, within bounds.
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

impl Listener for Bounded {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        loop {
            // Each place is free again in some seconds at the latest: more wait in the system's
            // queue. It is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                continue;
            };
            let (stream, address) = Listener::accept(&mut self.listener).await;
            return (Visit::new(stream, place), address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection of an operator.
#[derive(Debug)]
pub(super) struct Visit {
    stream: TcpStream,
    /// When its peer has taken too long.
    late: Pin<Box<Sleep>>,
    /// A request has begun, or its answer has not been taken whole.
    asking: bool,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            late: Box::pin(sleep(REQUEST)),
            asking: true,
            _place: place,
        }
    }

    /// Whether a request is under way from now on.
    fn asks(&mut self, asking: bool) {
        if self.asking != asking {
            self.asking = asking;
            let most = if asking { REQUEST } else { QUIET };
            self.late.as_mut().reset(Instant::now() + most);
        }
    }

    /// What waits for the peer fails once it has taken too long.
    fn in_time<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && buffer.filled().len() > before {
            self.asks(true);
        }
        self.in_time(read, context)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.asks(written.is_pending());
        self.in_time(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How many connections operators may have: scrapers, probes and some people.
const CONNECTIONS: usize = 256;

/// How long a request may take to come, and its answer to be taken.
const REQUEST: Duration = Duration::from_secs(5);

/// For how long a connection may be without a request: longer than scrapers let pass.
const QUIET: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn visit() -> (Visit, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let mut listener = Bounded::new(listener);
        let ((visit, _), peer) = tokio::join!(listener.accept(), peer);
        (visit, peer.unwrap())
    }

    /// How long it takes until a read fails for being late.
    async fn late(visit: &mut Visit) -> Duration {
        let begin = Instant::now();
        let mut octets = [0; 100];
        loop {
            match visit.read(&mut octets).await {
                Ok(count) => assert_ne!(count, 0),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    return begin.elapsed();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_its_time_and_silence_after_an_answer_more() {
        let (mut visit, mut peer) = visit().await;
        let took = late(&mut visit).await;
        assert!(took.abs_diff(REQUEST) < Duration::from_secs(1), "{took:?}");

        let (mut visit, mut peer_two) = self::visit().await;
        peer_two.write_all(b"GET /").await.unwrap();
        visit.read_u8().await.unwrap();
        visit.write_all(b"HTTP/1.1 200").await.unwrap();
        visit.read_exact(&mut [0; 4]).await.unwrap();
        visit.write_all(b" OK").await.unwrap();
        let took = late(&mut visit).await;
        assert!(took.abs_diff(QUIET) < Duration::from_secs(1), "{took:?}");
        peer.write_all(b"?").await.unwrap();
    }
}
