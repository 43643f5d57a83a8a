//! The last line `[end]`: a file that was cut off is never taken for a whole one.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::finding::{Finding, Findings};

/// Whether the file ends with a header `[end]` of its own, with nothing in it and nothing after
/// it but blank lines and comments.
// INVARIANT (whole): no beginning of a good file that stops before the `]` of its `[end]` is good.
pub(crate) fn check(text: &str, root: &DeTable<'_>, findings: &mut Findings) {
    let Some((key, value)) = root.get_key_value("end") else {
        let last = last_line(text);
        let message = "the last line `[end]` is missing: the file was cut off, or never had it";
        let finding = Finding::error("end-missing", last, message)
            .here("the file ends here")
            .help("if nothing else is missing, write `[end]` as the last line");
        return findings.push(finding);
    };
    let header = value.span();
    let own = text
        .get(header.clone())
        .is_some_and(|text| text.starts_with('['));
    let (DeValue::Table(inside), true) = (value.get_ref(), own) else {
        let message = "`end` must be a table with a header of its own";
        let finding = Finding::error("end-not-header", key.span(), message)
            .help("write `[end]` as the last line, and nothing else of that name");
        return findings.push(finding);
    };
    if let Some(first) = inside
        .keys()
        .map(Spanned::span)
        .min_by_key(|span| span.start)
    {
        let finding = Finding::error("end-not-empty", first, "nothing may stand in `[end]`")
            .label(header.clone(), "the file ends here")
            .help("move the key above `[end]`, into the table it belongs in; `[end]` stays last");
        findings.push(finding);
    }
    let others = root.iter().filter(|(key, _)| key.get_ref() != "end");
    let after = others.filter_map(|(_, value)| first_after(value, header.end));
    if let Some(first) = after.min_by_key(|span| span.start) {
        let finding = Finding::error("end-not-last", first, "nothing may come after `[end]`")
            .label(header, "the file ends here")
            .help("move `[end]` to the end of the file");
        findings.push(finding);
    }
}

/// The first table or value that begins at `end` or later.
fn first_after(value: &Spanned<DeValue<'_>>, end: usize) -> Option<Range<usize>> {
    if value.span().start >= end {
        return Some(value.span());
    }
    let firsts: Box<dyn Iterator<Item = Range<usize>>> = match value.get_ref() {
        DeValue::Table(table) => {
            Box::new(table.values().filter_map(|value| first_after(value, end)))
        }
        DeValue::Array(list) => Box::new(list.iter().filter_map(|entry| first_after(entry, end))),
        _ => return None,
    };
    firsts.min_by_key(|span| span.start)
}

/// The last line that is not blank, without the blanks around it.
fn last_line(text: &str) -> Range<usize> {
    let text = text.trim_end();
    let line = text.lines().next_back().unwrap_or_default().trim_start();
    text.len() - line.len()..text.len()
}
