//! The traces that show what took so long, in an OpenMetrics page.

use std::fmt::Write as _;

use super::{super::metrics::Tallies, DURATIONS, unix};

/// `page` with the examples of durations behind their buckets.
///
/// Why so late: the library shows none of a histogram that is not its own.
pub(super) fn shown(page: String, tallies: &Tallies) -> String {
    let durations = tallies.durations();
    let mut examples = durations.flat_map(|(_, durations)| durations.examples());
    if tallies
        .durations()
        .all(|(_, durations)| durations.examples().all(|example| example.is_none()))
    {
        return page;
    }
    let mut with = String::with_capacity(page.len() + 1024);
    for line in page.lines() {
        with.push_str(line);
        let rest = line.strip_prefix(DURATIONS);
        let bucket = rest.is_some_and(|rest| rest.starts_with("_bucket{"));
        if bucket && let Some(example) = examples.next().flatten() {
            let (took, at) = (example.took.as_secs_f64(), unix(example.at));
            let trace_id = example.trace_id;
            write!(with, " # {{trace_id=\"{trace_id}\"}} {took} {at}").unwrap_or_default();
        }
        with.push('\n');
    }
    with
}
