//! Lines over a connection, in the clear or over TLS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::running::PATIENCE;

/// One side of a dialogue.
pub(super) struct Lines {
    stream: BufReader<Box<dyn Stream>>,
}

/// What carries it.
pub(super) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl Lines {
    pub(super) fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
        }
    }

    /// The next line without its end; none where the peer has gone away or says nothing.
    pub(super) fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(1..) => {
                let line = String::from_utf8_lossy(&line);
                Some(line.trim_end_matches(['\r', '\n']).to_owned())
            }
            _ => None,
        }
    }

    /// Sends octets as they are; false where the peer has gone away.
    pub(super) fn send(&mut self, octets: &[u8]) -> bool {
        let stream = self.stream.get_mut();
        stream
            .write_all(octets)
            .and_then(|()| stream.flush())
            .is_ok()
    }
}

/// A connection that waits no longer than patience lasts.
pub(super) fn patient(tcp: &TcpStream) -> TcpStream {
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.try_clone().unwrap()
}
