//! The frames of the milter protocol: their length, one letter, and what belongs to it.

use std::io;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite,
    AsyncWriteExt as _, BufReader,
};

use crate::telemetry::bridge::Closed;

/// One thing that the MTA says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What it is about.
    pub letter: u8,
    /// What belongs to it.
    pub data: &'a [u8],
}

/// A connection with an MTA, frame by frame.
#[derive(Debug)]
pub(super) struct Frames<S> {
    stream: BufReader<S>,
    data: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(READ_AHEAD, stream),
            data: Vec::new(),
        }
    }

    /// Waits for the first octet of a frame; nothing is lost where the wait is given up.
    pub(super) async fn begins(&mut self) -> Result<(), Closed> {
        match self.stream.fill_buf().await {
            Ok([]) | Err(_) => Err(Closed::Peer),
            Ok(_) => Ok(()),
        }
    }

    /// The next frame, whole, but for texts of a message, of which only the beginning is kept.
    pub(super) async fn next(&mut self) -> Result<Frame<'_>, Closed> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.map_err(cut_off)?;
        let [a, b, c, d, letter] = head;
        let Some(length) = u32::from_be_bytes([a, b, c, d]).checked_sub(1) else {
            return Err(Closed::Garbled);
        };
        let keep = kept(letter).ok_or(Closed::Garbled)?;
        if length > LONGEST || length > keep && !is_text(letter) {
            return Err(Closed::TooLarge);
        }
        self.data.clear();
        self.data.shrink_to(IDLE_ROOM);
        let now = length.min(keep);
        // Why not the announced room at once: a peer that announces much must send it, too.
        let mut part = (&mut self.stream).take(now.into());
        let came = part.read_to_end(&mut self.data).await.map_err(cut_off)?;
        if came < now as usize {
            return Err(Closed::Peer);
        }
        skip(&mut self.stream, length - now).await?;
        Ok(Frame {
            letter,
            data: &self.data,
        })
    }

    /// Says `octets`, whole frames.
    pub(super) async fn say(&mut self, octets: &[u8]) -> Result<(), Closed> {
        let said = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        said.await.map_err(cut_off)
    }
}

/// Writes one frame behind `octets`.
pub(super) fn write(octets: &mut Vec<u8>, letter: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    octets.extend_from_slice(&length.to_be_bytes());
    octets.push(letter);
    for part in parts {
        octets.extend_from_slice(part);
    }
}

async fn skip(stream: &mut (impl AsyncBufRead + Unpin), mut rest: u32) -> Result<(), Closed> {
    while rest > 0 {
        let there = stream.fill_buf().await.map_err(cut_off)?.len();
        let Ok(there @ 1..) = u32::try_from(there) else {
            return Err(Closed::Peer);
        };
        let now = there.min(rest);
        stream.consume(now as usize);
        rest -= now;
    }
    Ok(())
}

/// How much of a frame is kept; none for letters that no MTA says.
fn kept(letter: u8) -> Option<u32> {
    match letter {
        b'L' | b'B' => Some(MOST_OF_A_TEXT),
        b'A' | b'C' | b'D' | b'E' | b'H' | b'K' | b'M' | b'N' | b'O' | b'Q' | b'R' | b'T'
        | b'U' => Some(MOST),
        _ => None,
    }
}

/// Headers and bodies: as long as the sender of the mail likes.
fn is_text(letter: u8) -> bool {
    matches!(letter, b'B' | b'L' | b'E')
}

fn cut_off(_: io::Error) -> Closed {
    Closed::Peer
}

/// Why so little: hundreds of connections wait for their clients, and most frames are short.
const READ_AHEAD: usize = 1024;
const IDLE_ROOM: usize = 4 * 1024;
/// libmilter's own bound for what is said in one piece.
const MOST: u32 = 64 * 1024;
/// Why no more: only the names of headers are looked at.
const MOST_OF_A_TEXT: u32 = 1024;
/// A header can be longer than `MOST`: 100 KiB in Postfix, more where its settings say so.
const LONGEST: u32 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    fn frame(letter: u8, data: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        write(&mut octets, letter, &[data]);
        octets
    }

    #[tokio::test]
    async fn frames_come_whole_however_they_are_split() {
        let texts = [
            frame(b'H', b"mx.partner.test\0"),
            frame(b'A', b""),
            frame(b'L', &[b'x'; 3000]),
        ];
        let all = texts.concat();
        for at in 0..all.len() {
            let (mut peer, ours) = duplex(64 * 1024);
            let mut frames = Frames::new(ours);
            let (first, second) = all.split_at(at);
            let say = async {
                peer.write_all(first).await.unwrap();
                tokio::task::yield_now().await;
                peer.write_all(second).await.unwrap();
            };
            let hear = async {
                frames.begins().await.unwrap();
                let helo = frames.next().await.unwrap();
                assert_eq!((helo.letter, helo.data), (b'H', &b"mx.partner.test\0"[..]));
                assert_eq!(frames.next().await.unwrap().letter, b'A');
                let header = frames.next().await.unwrap();
                assert_eq!((header.letter, header.data), (b'L', &[b'x'; 1024][..]));
            };
            tokio::join!(say, hear);
        }
    }

    #[tokio::test]
    async fn what_is_no_frame_ends_the_connection() {
        for (octets, closed) in [
            (&b"\0\0\0\0"[..], Closed::Peer),
            (b"\0\0\0\0A", Closed::Garbled),
            (b"\0\0\0\x02?x", Closed::Garbled),
            (b"GET / HTTP/1.1\r\n", Closed::Garbled),
            (b"\0\x01\0\x02Mx", Closed::TooLarge),
            (b"\x01\0\0\x02Lx", Closed::TooLarge),
            (b"\0\0\0\x05Mx", Closed::Peer),
            (b"\0\0\x0f\xffLxy", Closed::Peer),
        ] {
            let (mut peer, ours) = duplex(1024);
            peer.write_all(octets).await.unwrap();
            drop(peer);
            assert_eq!(
                Frames::new(ours).next().await.unwrap_err(),
                closed,
                "{octets:?}"
            );
        }
    }
}
