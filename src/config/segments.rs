//! Large connector sets, read a part at a time.
//!
//! A tree of the whole text costs many times its size. A file without faults can be read in parts,
//! each from the header of a connector to that of a later one. Where anything is unusual or wrong
//! the answer is none: the text is then to be read as a whole, so that nothing here ever has to say
//! what is wrong.

use std::ops::Range;

use toml::de::DeTable;

use super::{end, finding::Findings, foreign, raw::RawSet, syntax, table::Reader};

/// The parts of a text, in its order: each has some of the connectors, or is none where the text
/// must be read as a whole.
#[derive(Clone, Debug)]
pub(super) struct Segments<'t> {
    text: &'t str,
    /// What was not given out yet.
    rest: Range<usize>,
    /// How long a part is at least, but for the last one.
    length: usize,
}

impl<'t> Segments<'t> {
    /// What stands before and after the connectors of `text`, and the parts between, of at least
    /// `length` octets each; none where the text must be read as a whole.
    // INVARIANT (whole): a part ends where a line ends, and is TOML by itself; so no string, list or
    // table of it goes on behind it, and the text as a whole has the same keys and values.
    pub(super) fn of(text: &'t str, length: usize) -> Option<(RawSet, Self)> {
        if text.len() <= length {
            return None;
        }
        let first = text.find(HEADER)? + 1;
        let last = text.rfind(END)? + 1;
        if first >= last {
            return None;
        }
        let mut head = read(text, 0..first, &|text, root, findings| {
            syntax::check_version(text, root, findings).is_some()
                && !["inbound", "outbound", "end"]
                    .iter()
                    .any(|key| root.contains_key(*key))
        })?;
        let end = read(text, last..text.len(), &|text, root, findings| {
            end::check(text, root, findings);
            root.len() == 1
        })?;
        head.end = end.end;
        let segments = Self {
            text,
            rest: first..last,
            length,
        };
        Some((head, segments))
    }
}

impl Iterator for Segments<'_> {
    type Item = Option<RawSet>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let start = self.rest.start;
        let least = self.text.ceil_char_boundary(start + self.length);
        let after = self.text.get(least..self.rest.end);
        let header = after.and_then(|after| after.find(HEADER));
        let end = header.map_or(self.rest.end, |at| least + at + 1);
        self.rest.start = end;
        let connectors_only = |_: &str, root: &DeTable<'_>, _: &mut Findings| {
            root.keys()
                .all(|key| matches!(key.get_ref().as_ref(), "inbound" | "outbound"))
        };
        Some(read(self.text, start..end, &connectors_only))
    }
}

/// What stands at `range`, where it is as it must be by itself and `fits`.
fn read(
    text: &str,
    range: Range<usize>,
    fits: &dyn Fn(&str, &DeTable<'_>, &mut Findings) -> bool,
) -> Option<RawSet> {
    let base = range.start;
    let part = text.get(range)?;
    let root = syntax::parse_clean(part)?;
    let mut findings = Findings::default();
    if !fits(part, &root, &mut findings) {
        return None;
    }
    let set = Reader::read_from(base, part, &root, foreign::IN_SETS, &mut findings);
    findings.is_empty().then_some(set)
}

/// How the first connector begins, and every part.
const HEADER: &str = "\n[[";
const END: &str = "\n[end]";

#[cfg(test)]
mod tests;
