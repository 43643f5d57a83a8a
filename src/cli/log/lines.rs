//! The lines of a log, one after the other, in memory that does not grow with them.

use std::io::{self, BufRead, BufReader, Read};

/// The lines of `R`.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

/// A line of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found<'a> {
    /// A whole line.
    Line(&'a [u8]),
    /// What stands behind the last line end: a line that is still being written, or was cut off.
    Unfinished(&'a [u8]),
    /// One that is too long to be one of ours.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// The lines from where `reader` stands.
    pub(super) fn of(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line, without its end; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        self.line.clear();
        let limit = u64::try_from(LONGEST + 1).unwrap_or(u64::MAX);
        let read = Read::take(&mut self.reader, limit).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(Found::Line(&self.line)));
        }
        if read > LONGEST {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Found::TooLong));
        }
        Ok(Some(Found::Unfinished(&self.line)))
    }

    /// The number of the line that was last given, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// Whether nothing stands in `line`.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// What is said of a line that is too long.
pub(super) const TOO_LONG: &str = "it is longer than 1 MiB";

const BUFFER: usize = 256 * 1024;
/// Why: our longest question is some 10 KB; a file without line ends must not fill the memory.
pub(super) const LONGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_a_cut_one_is_told_apart() {
        let mut lines = Lines::of(&b"one\n\r\ntwo"[..]);
        assert_eq!(lines.next().unwrap(), Some(Found::Line(b"one")));
        assert_eq!(lines.next().unwrap(), Some(Found::Line(b"\r")));
        assert_eq!(lines.next().unwrap(), Some(Found::Unfinished(b"two")));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next().unwrap(), None);
        assert!(is_blank(b" \r") && !is_blank(b"{}"));
    }

    #[test]
    fn a_huge_line_is_passed_over() {
        let mut text = vec![b'x'; 3 * LONGEST];
        text.extend(b"\nafter\n");
        let mut lines = Lines::of(&*text);
        assert_eq!(lines.next().unwrap(), Some(Found::TooLong));
        assert!(lines.line.capacity() < 3 * LONGEST);
        assert_eq!(lines.next().unwrap(), Some(Found::Line(b"after")));
        assert_eq!(lines.number(), 2);
        let longest = vec![b'x'; LONGEST];
        let mut lines = Lines::of(&*longest);
        assert_eq!(lines.next().unwrap(), Some(Found::Unfinished(&longest[..])));
    }
}
