//! The frames of a connection, seen as they go by: a thin layer between HTTP/2 and the octets.
//!
//! HTTP/2 answers pings and settings by itself and tells nobody. Here they are counted, as gRPC
//! has it: a peer may ping now and then, and as it likes after it was sent something; after the third
//! ping that comes too soon, or a flood of frames without use, it is told so and cut. Only the nine
//! octets at the head of each frame are looked at. HTTP/1.1 has no frames: of it is only seen that a
//! call begins.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::line::Line;
use crate::telemetry::Closed;

/// A connection whose frames are watched.
#[derive(Debug)]
pub(super) struct Frames<I> {
    io: I,
    line: Arc<Line>,
    version: Version,
    read: Heads,
    written: Heads,
    peer: Manners,
}

impl<I> Frames<I> {
    /// Watches the HTTP/2 that goes over `io`, for `line`.
    pub(super) fn new(io: I, line: Arc<Line>) -> Self {
        Self::of(Version::Http2, io, line)
    }

    /// Watches whichever HTTP goes over `io`, for `line`.
    pub(super) fn of_either(io: I, line: Arc<Line>) -> Self {
        Self::of(Version::Open(0), io, line)
    }

    fn of(version: Version, io: I, line: Arc<Line>) -> Self {
        let peer = Manners::new(line.bounds().limits().ping_interval);
        Self {
            io,
            line,
            version,
            read: Heads::after(PREFACE.len()),
            written: Heads::after(0),
            peer,
        }
    }

    fn wrote(&mut self, octets: &[u8]) {
        let Self { written, peer, .. } = self;
        if self.version == Version::Http1 {
            return;
        }
        written.pass(octets, |kind, _| {
            if matches!(kind, DATA | HEADERS) {
                peer.was_served();
            }
        });
    }
}

impl<I: AsyncWrite + Unpin> Frames<I> {
    /// Says GOAWAY where that can be said at once and between two frames.
    fn send_away(&mut self, why: &str, context: &mut Context<'_>) {
        if self.written.between() {
            let frame = goaway(why);
            // Why not awaited: who does not listen is not to be waited for.
            let _ = Pin::new(&mut self.io).poll_write(context, &frame);
            let _ = Pin::new(&mut self.io).poll_flush(context);
        }
        self.line.bounds().closed(Closed::PingInterval);
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            let Self {
                line, read, peer, ..
            } = this;
            let octets = buffer.filled().get(before..).unwrap_or_default();
            this.version = this.version.after(octets);
            if this.version == Version::Http1 {
                if !octets.is_empty() {
                    line.comes();
                }
                return polled;
            }
            let mut fault = None;
            read.pass(octets, |kind, flags| {
                if kind == SETTINGS && flags & ACK == 0 {
                    line.speaks();
                }
                fault = fault.or(peer.fault_with(kind, flags));
            });
            if let Some(why) = fault {
                this.send_away(why, context);
                return Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionAborted, why)));
            }
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Frames<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, octets);
        self.line.takes(written.is_ready());
        if let Poll::Ready(Ok(count)) = written {
            self.wrote(octets.get(..count).unwrap_or_default());
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.line.takes(written.is_ready());
        if let Poll::Ready(Ok(mut count)) = written {
            for slice in slices {
                let most = count.min(slice.len());
                self.wrote(slice.get(..most).unwrap_or_default());
                count -= most;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        // Why only this: what could not be written is not taken because there is nothing to flush.
        if flushed.is_pending() {
            self.line.takes(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Which HTTP a peer speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    /// It is not known yet: so many octets of the preface of HTTP/2 have come.
    Open(usize),
    Http1,
    Http2,
}

impl Version {
    /// What is known of it once these octets have come, too.
    fn after(self, octets: &[u8]) -> Self {
        let Self::Open(have) = self else { return self };
        let missing = PREFACE.get(have..).unwrap_or_default();
        if !missing.iter().zip(octets).all(|(one, other)| one == other) {
            return Self::Http1;
        }
        match have + missing.len().min(octets.len()) {
            have if have == PREFACE.len() => Self::Http2,
            have => Self::Open(have),
        }
    }
}

/// Finds the heads of frames in octets that come in any parts.
#[derive(Debug)]
struct Heads {
    /// How many octets come before the next head.
    skip: usize,
    /// The beginning of a head.
    head: [u8; HEAD],
    have: usize,
}

impl Heads {
    /// The first head comes after so many octets.
    fn after(skip: usize) -> Self {
        Self {
            skip,
            head: [0; HEAD],
            have: 0,
        }
    }

    /// Sees these octets go by, and tells of the kind and the flags of each frame that begins.
    fn pass(&mut self, mut octets: &[u8], mut seen: impl FnMut(u8, u8)) {
        loop {
            let Some(rest) = octets.get(self.skip..) else {
                self.skip -= octets.len();
                return;
            };
            self.skip = 0;
            octets = rest;
            let missing = HEAD - self.have;
            let (part, rest) = octets.split_at(missing.min(octets.len()));
            for (to, octet) in self.head.iter_mut().skip(self.have).zip(part) {
                *to = *octet;
            }
            self.have += part.len();
            if self.have < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.have = 0;
            octets = rest;
            seen(kind, flags);
        }
    }

    /// Whether no frame has been begun and not ended.
    fn between(&self) -> bool {
        self.skip == 0 && self.have == 0
    }
}

/// How a peer behaves.
#[derive(Debug)]
struct Manners {
    /// How far apart its pings must be; none: as near as it likes.
    interval: Option<Duration>,
    last_ping: Option<Instant>,
    strikes: u32,
    /// How many frames without use came since when.
    useless: (u32, Instant),
}

impl Manners {
    fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            last_ping: None,
            strikes: 0,
            useless: (0, Instant::now()),
        }
    }

    /// It was sent something: it may ping to measure how that went.
    fn was_served(&mut self) {
        self.last_ping = None;
        self.strikes = 0;
    }

    /// What is wrong with a frame of this kind.
    fn fault_with(&mut self, kind: u8, flags: u8) -> Option<&'static str> {
        match kind {
            DATA | HEADERS | RST_STREAM | WINDOW_UPDATE | CONTINUATION => None,
            PING if flags & ACK == 0 => {
                let interval = self.interval?;
                let now = Instant::now();
                let last = self.last_ping.replace(now);
                if last.is_some_and(|last| now < last + interval) {
                    self.strikes += 1;
                }
                (self.strikes > STRIKES).then_some("too_many_pings")
            }
            _ => {
                self.useless.0 += 1;
                if self.useless.0 <= USELESS {
                    return None;
                }
                let since = std::mem::replace(&mut self.useless, (0, Instant::now())).1;
                (since.elapsed() < self.interval.unwrap_or(USELESS_WITHIN))
                    .then_some("too_many_frames")
            }
        }
    }
}

/// A GOAWAY that says ENHANCE_YOUR_CALM, and why.
fn goaway(why: &str) -> Vec<u8> {
    let length = u32::try_from(8 + why.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEAD + 8 + why.len());
    frame.extend(length.to_be_bytes().iter().skip(1));
    frame.extend([GOAWAY, 0, 0, 0, 0, 0]);
    // Of no call is it said that it was not looked at.
    frame.extend(0x7fff_ffff_u32.to_be_bytes());
    frame.extend(ENHANCE_YOUR_CALM.to_be_bytes());
    frame.extend(why.as_bytes());
    frame
}

/// What a client sends before its first frame, and how many octets the head of a frame has.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

/// How many pings may come too soon.
const STRIKES: u32 = 2;

/// How many frames without use (settings, priorities, what is not known) may come in the time that
/// must be between pings.
const USELESS: u32 = 1_000;

/// The same time where pings may come as they like.
const USELESS_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a frame and its payload.
    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(vec![0xff; payload]);
        frame
    }

    #[test]
    fn heads_are_found_however_octets_come() {
        let all = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 18),
            frame(HEADERS, 4, 300),
            frame(SETTINGS, ACK, 0),
            frame(DATA, 1, 70_000),
            frame(PING, 0, 8),
        ]
        .concat();
        let expected = [
            (SETTINGS, 0),
            (HEADERS, 4),
            (SETTINGS, ACK),
            (DATA, 1),
            (PING, 0),
        ];
        for part in [1, 2, 7, 9, 10, 33, 1_000, all.len()] {
            let (mut heads, mut seen) = (Heads::after(PREFACE.len()), Vec::new());
            for octets in all.chunks(part) {
                heads.pass(octets, |kind, flags| seen.push((kind, flags)));
            }
            assert_eq!(seen, expected, "in parts of {part}");
            assert!(heads.between());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_that_come_too_soon_are_struck() {
        let interval = Duration::from_secs(5);
        let mut peer = Manners::new(Some(interval));
        // As far apart as they must be, for ever.
        for _ in 0..10 {
            assert_eq!(peer.fault_with(PING, 0), None);
            tokio::time::advance(interval).await;
        }
        assert_eq!(peer.fault_with(PING, 0), None);
        assert_eq!(peer.fault_with(PING, 0), None);
        assert_eq!(peer.fault_with(PING, 0), None);
        assert_eq!(peer.fault_with(PING, ACK), None);
        assert_eq!(peer.fault_with(PING, 0), Some("too_many_pings"));
        // One who was sent something measures.
        for _ in 0..10 {
            peer.was_served();
            assert_eq!(peer.fault_with(PING, 0), None);
        }
        let mut peer = Manners::new(None);
        assert!((0..10).all(|_| peer.fault_with(PING, 0).is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_useless_frames_is_a_fault() {
        let interval = Duration::from_secs(5);
        let mut peer = Manners::new(Some(interval));
        for _ in 0..3 {
            assert!((0..=USELESS).all(|at| {
                if at == USELESS / 2 {
                    peer.useless.1 -= interval;
                }
                peer.fault_with(SETTINGS, 0).is_none()
            }));
        }
        assert!((0..USELESS).all(|_| peer.fault_with(99, 0).is_none()));
        assert_eq!(peer.fault_with(99, 0), Some("too_many_frames"));
    }

    #[test]
    fn which_http_it_is_is_seen_however_octets_come() {
        let of =
            |parts: &mut dyn Iterator<Item = &[u8]>| parts.fold(Version::Open(0), Version::after);
        let get = b"GET / HTTP/1.1\r\nhost: postern\r\n\r\n";
        let nearly = b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n";
        let whole = [PREFACE, &frame(SETTINGS, 0, 18)[..]].concat();
        for part in 1..40 {
            assert_eq!(of(&mut whole.chunks(part)), Version::Http2);
            assert_eq!(of(&mut get.chunks(part)), Version::Http1);
            assert_eq!(of(&mut nearly.chunks(part)), Version::Http1);
        }
        assert_eq!(Version::Open(0).after(&PREFACE[..23]), Version::Open(23));
    }

    #[test]
    fn goaway_says_why() {
        let mut heads = Heads::after(0);
        let mut seen = Vec::new();
        let frame = goaway("too_many_pings");
        heads.pass(&frame, |kind, flags| seen.push((kind, flags)));
        assert_eq!(seen, [(GOAWAY, 0)]);
        assert!(heads.between());
        assert!(frame.ends_with(b"\0\0\0\x0btoo_many_pings"));
    }
}
