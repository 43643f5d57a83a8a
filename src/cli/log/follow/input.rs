//! A log that comes in by standard input.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin, stdin};

use super::super::lines::LONGEST;

/// The lines of standard input, as they come.
#[derive(Debug)]
pub(super) struct Input(BufReader<Stdin>);

impl Input {
    /// The lines from now on.
    pub(super) fn new() -> Self {
        Self(BufReader::new(stdin()))
    }

    /// The next whole line, without its end; none at the end of the input. One that is too long is
    /// passed over.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let mut whole = true;
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.0).take(limit);
            limited.read_until(b'\n', &mut line).await?;
            let ended = line.pop_if(|last| *last == b'\n').is_some();
            match (ended, whole) {
                (true, true) => return Ok(Some(line)),
                (true, false) => whole = true,
                (false, _) if line.len() < LONGEST => return Ok(None),
                (false, _) => whole = false,
            }
        }
    }
}
