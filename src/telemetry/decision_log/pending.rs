//! Lines that were made and are not all written yet.

/// Lines on their way to a file, each of which ends with a newline.
#[derive(Debug, Default)]
pub(super) struct Pending {
    octets: Vec<u8>,
    /// How many of the octets the file has.
    // INVARIANT (begun): less than all of them, or zero.
    written: usize,
}

impl Pending {
    /// Adds the line that `make` writes; false where it writes none.
    pub(super) fn add(&mut self, make: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let before = self.octets.len();
        let is_one = make(&mut self.octets);
        if is_one {
            self.octets.push(b'\n');
        } else {
            self.octets.truncate(before);
        }
        is_one
    }

    pub(super) fn len(&self) -> usize {
        self.rest().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        self.octets.get(self.written..).unwrap_or_default()
    }

    /// The lines that a file with room for so many octets can take; none where not even the first
    /// one fits. The rest of a line that is torn is taken in any case.
    pub(super) fn fitting(&self, room: u64) -> Option<&[u8]> {
        let rest = self.rest();
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if rest.len() <= room {
            return Some(rest);
        }
        let fitting = rest.get(..room)?;
        let end = fitting.iter().rposition(|octet| *octet == b'\n');
        match end {
            Some(end) => rest.get(..=end),
            None if self.is_torn() => Some(self.first()),
            None => None,
        }
    }

    /// The first line, or what is left of it.
    pub(super) fn first(&self) -> &[u8] {
        let rest = self.rest();
        rest.split_inclusive(|octet| *octet == b'\n')
            .next()
            .unwrap_or(rest)
    }

    /// The file has so many octets more; the answer is how many lines that completed.
    pub(super) fn wrote(&mut self, octets: usize) -> u64 {
        let written = self.rest().get(..octets).unwrap_or_default();
        let lines = ends(written);
        self.written += octets;
        if self.written >= self.octets.len() {
            self.octets.clear();
            self.written = 0;
        }
        lines as u64
    }

    /// Whether the file has the beginning of a line, but not its end.
    pub(super) fn is_torn(&self) -> bool {
        let before = self.written.checked_sub(1);
        before.is_some_and(|before| self.octets.get(before) != Some(&b'\n'))
    }

    /// A line that is torn is written once more from its beginning, since another file goes on.
    pub(super) fn begin_line_anew(&mut self) {
        let written = self.octets.get(..self.written).unwrap_or_default();
        let end = written.iter().rposition(|octet| *octet == b'\n');
        self.written = end.map_or(0, |end| end + 1);
    }

    /// How many lines are still to be written.
    pub(super) fn lines(&self) -> usize {
        ends(self.rest())
    }
}

/// How many lines end in `octets`.
fn ends(octets: &[u8]) -> usize {
    octets.split(|octet| *octet == b'\n').skip(1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(lines: &[&str]) -> Pending {
        let mut pending = Pending::default();
        for line in lines {
            assert!(pending.add(|to| {
                to.extend_from_slice(line.as_bytes());
                true
            }));
        }
        pending
    }

    #[test]
    fn a_line_that_is_none_leaves_nothing() {
        let mut pending = pending(&["one"]);
        assert!(!pending.add(|to| {
            to.extend_from_slice(b"half");
            false
        }));
        assert_eq!(pending.rest(), b"one\n");
    }

    #[test]
    fn whole_lines_fit() {
        let pending = pending(&["one", "two", "three"]);
        assert_eq!(pending.fitting(3), None);
        assert_eq!(pending.fitting(4), Some(&b"one\n"[..]));
        assert_eq!(pending.fitting(9), Some(&b"one\ntwo\n"[..]));
        assert_eq!(pending.fitting(14), Some(&b"one\ntwo\nthree\n"[..]));
        assert_eq!(pending.first(), b"one\n");
        assert_eq!(pending.lines(), 3);
    }

    #[test]
    fn a_torn_line_goes_on_or_begins_anew() {
        let mut pending = pending(&["one", "two"]);
        assert_eq!(pending.wrote(5), 1);
        assert!(pending.is_torn());
        assert_eq!(pending.rest(), b"wo\n");
        assert_eq!(pending.fitting(0), Some(&b"wo\n"[..]));
        pending.begin_line_anew();
        assert!(!pending.is_torn());
        assert_eq!(pending.rest(), b"two\n");
        assert_eq!(pending.wrote(4), 1);
        assert!(pending.is_empty() && !pending.is_torn());
        pending.begin_line_anew();
        assert_eq!(pending.len(), 0);
    }
}
