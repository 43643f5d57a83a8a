//! The charts of the page, drawn as SVG in whole units, ten to a pixel.

use maud::{Markup, html};

use super::super::{
    human::{caller, number},
    report::{Certificate, Connector, Counts, ReasonCount, Report},
};
use crate::cli::output::shown;

/// Decisions over time, a column for each step, stacked by verdict.
pub(super) fn over_time(report: &Report) -> Markup {
    let steps = &report.over_time.steps;
    let most = steps.iter().map(|step| step.counts.decisions).max();
    let most = ceiling(most.unwrap_or(0));
    let width = BREADTH / units(steps.len()).max(1);
    let labelled = steps.len().div_ceil(LABELS).max(1);
    let columns = || (0..).map(|at| LEFT + width * at).zip(steps);
    let level = |part: u64| TOP + HEIGHT - HEIGHT * part / 2;
    html! {
        svg viewBox=(format!("0 0 {} {}", LEFT + BREADTH + 100, TOP + HEIGHT + 260)) role="img"
            aria-labelledby="time-title time-desc" {
            title id="time-title" { "Decisions over time, by verdict" }
            desc id="time-desc" {
                "A column for every " (length(report.over_time.step_seconds)) ", stacked from below: accepted, "
                "on a condition, deferred, rejected. The table below has the same numbers."
            }
            @for part in 0..=2 {
                line class="grid" x1=(LEFT) x2=(LEFT + BREADTH) y1=(level(part)) y2=(level(part)) {}
                text class="small" x=(LEFT - 60) y=(level(part) + 40) text-anchor="end" { (number(most * part / 2)) }
            }
            @for (x, step) in columns() {
                g {
                    title { (step.from) ": " (in_words(&step.counts)) }
                    @for (class, y, height) in stacked(&step.counts, most) {
                        rect class=(class) x=(x) y=(y) width=(width.max(12)) height=(height) {}
                    }
                }
            }
            @for (x, step) in columns().step_by(labelled) {
                text class="small" x=(x) y=(TOP + HEIGHT + 170) { (moment(&step.from, report.over_time.step_seconds)) }
            }
        }
        (legend(VERDICTS.iter().map(|(class, word)| (*class, (*word).to_owned()))))
    }
}

/// How often each connector's restrictions were not met, a bar for each connector, stacked by
/// reason.
pub(super) fn by_reason<'a>(
    id: &str,
    title: &str,
    connectors: impl Iterator<Item = (&'a Connector, &'a [ReasonCount])>,
) -> Markup {
    let mut rows: Vec<_> = connectors
        .map(|(connector, reasons)| (connector, reasons, all(reasons)))
        .filter(|(_, _, all)| *all > 0)
        .collect();
    rows.sort_by_key(|(_, _, all)| std::cmp::Reverse(*all));
    rows.truncate(BARS);
    let most = rows.iter().map(|(_, _, all)| *all).max().unwrap_or(1);
    let colours = Colours::of(rows.iter().map(|(_, reasons, _)| *reasons));
    let bars = (0..).map(|at| at * ROW).zip(&rows);
    html! {
        svg viewBox=(format!("0 0 {} {}", NAMES + BREADTH + 100, units(rows.len()) * ROW + 40)) role="img"
            aria-labelledby=(format!("{id}-title {id}-desc")) {
            title id=(format!("{id}-title")) { (title) }
            desc id=(format!("{id}-desc")) { "A bar for each connector, by reason. The table below has the same numbers." }
            @for (y, (connector, reasons, all)) in bars {
                g {
                    title { (shown(&labelled(connector))) ", set " (shown(&connector.set)) ": " (number(*all)) }
                    text x=(NAMES - 80) y=(y + 160) text-anchor="end" { (short(&labelled(connector))) }
                    @for (class, x, breadth) in colours.laid(reasons, most) {
                        rect class=(class) x=(x) y=(y + 30) width=(breadth) height=(ROW - 60) {}
                    }
                    text class="small" x=(NAMES + breadth(*all, most) + 80) y=(y + 160) { (number(*all)) }
                }
            }
        }
        (legend(colours.legend()))
    }
}

/// How many days each certificate has left.
pub(super) fn expiring(certificates: &[Certificate]) -> Markup {
    let shown_here = certificates.get(..BARS).unwrap_or(certificates);
    let days = |it: &Certificate| u64::try_from(it.days_left).unwrap_or(0);
    let most = shown_here.iter().map(days).max().unwrap_or(0).max(1);
    let bars = (0..).map(|at| at * ROW).zip(shown_here);
    html! {
        svg viewBox=(format!("0 0 {} {}", NAMES + BREADTH + 100, units(shown_here.len()) * ROW + 40)) role="img"
            aria-labelledby="expiry-title expiry-desc" {
            title id="expiry-title" { "Days left until certificates expire" }
            desc id="expiry-desc" { "A bar for each certificate. The table below has the same numbers." }
            @for (y, it) in bars {
                @let name = it.names.first().map_or("without a name", String::as_str);
                @let long = if it.days_left < 0 { 12 } else { breadth(days(it), most) };
                g {
                    title { (shown(name)) ": " (it.left()) }
                    text x=(NAMES - 80) y=(y + 160) text-anchor="end" { (short(name)) }
                    rect class=(if it.days_left < 3 { "rejected" } else { "deferred" })
                        x=(NAMES) y=(y + 30) width=(long) height=(ROW - 60) {}
                    text class="small" x=(NAMES + long + 80) y=(y + 160) { (it.left()) }
                }
            }
        }
    }
}

/// Who asked, and how often.
pub(super) fn callers(report: &Report) -> Markup {
    let most = report.callers.iter().map(|it| it.counts.decisions).max();
    let most = most.unwrap_or(0).max(1);
    let bars = (0..).map(|at| at * ROW).zip(&report.callers);
    html! {
        svg viewBox=(format!("0 0 {} {}", NAMES + BREADTH + 100, units(report.callers.len()) * ROW + 40)) role="img"
            aria-labelledby="callers-title callers-desc" {
            title id="callers-title" { "Decisions for each caller" }
            desc id="callers-desc" { "A bar for each caller. The table below has the same numbers." }
            @for (y, it) in bars {
                g {
                    text x=(NAMES - 80) y=(y + 160) text-anchor="end" { (short(&caller(&it.name, &it.peer))) }
                    rect class="r0" x=(NAMES) y=(y + 30) width=(breadth(it.counts.decisions, most)) height=(ROW - 60) {}
                    text class="small" x=(NAMES + breadth(it.counts.decisions, most) + 80) y=(y + 160) {
                        (number(it.counts.decisions))
                    }
                }
            }
        }
    }
}

/// The colours of reasons: the most frequent have one each, the rest share one.
struct Colours(Vec<&'static str>);

impl Colours {
    fn of<'a>(rows: impl Iterator<Item = &'a [ReasonCount]>) -> Self {
        let mut counts: Vec<(&'static str, u64)> = Vec::new();
        for it in rows.flatten() {
            match counts.iter_mut().find(|(reason, _)| *reason == it.reason) {
                Some((_, count)) => *count += it.count,
                None => counts.push((it.reason, it.count)),
            }
        }
        counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        Self(counts.into_iter().map(|(reason, _)| reason).collect())
    }

    fn class(&self, reason: &str) -> &'static str {
        let at = self.0.iter().position(|it| *it == reason);
        at.and_then(|at| REASONS.get(at).copied()).unwrap_or(OTHERS)
    }

    /// The parts of a bar: their colours, where they begin and how long they are.
    fn laid(&self, reasons: &[ReasonCount], most: u64) -> Vec<(&'static str, u64, u64)> {
        let mut reasons: Vec<_> = reasons.iter().collect();
        reasons.sort_by_key(|it| self.0.iter().position(|reason| *reason == it.reason));
        let mut before = 0;
        let parts = reasons.into_iter().map(|it| {
            let begin = breadth(before, most);
            before += it.count;
            let long = breadth(before, most).saturating_sub(begin).max(LEAST);
            (self.class(it.reason), NAMES + begin, long)
        });
        parts.collect()
    }

    fn legend(&self) -> impl Iterator<Item = (&'static str, String)> {
        let own = self.0.iter().zip(REASONS);
        let own = own.map(|(reason, class)| (class, (*reason).to_owned()));
        let others = (self.0.len() > REASONS.len()).then(|| (OTHERS, "other reasons".to_owned()));
        own.chain(others)
    }
}

fn legend(entries: impl Iterator<Item = (&'static str, String)>) -> Markup {
    html! {
        ul class="legend" {
            @for (class, word) in entries {
                li {
                    svg viewBox="0 0 100 100" aria-hidden="true" { rect class=(class) width="100" height="100" {} }
                    (word)
                }
            }
        }
    }
}

/// The parts of a column from below: their colours, tops and heights.
fn stacked(counts: &Counts, most: u64) -> Vec<(&'static str, u64, u64)> {
    let parts = [
        counts.accepted,
        counts.conditional,
        counts.deferred,
        counts.rejected,
    ];
    let mut y = TOP + HEIGHT;
    let parts = VERDICTS.iter().zip(parts);
    let parts = parts.filter(|(_, count)| *count > 0);
    let parts = parts.map(|((class, _), count)| {
        // Why at least: a few refusals among very many accepts must be seen.
        let height = scaled(HEIGHT, count, most).max(LEAST);
        y = y.saturating_sub(height);
        (*class, y, height)
    });
    parts.collect()
}

fn in_words(counts: &Counts) -> String {
    let Counts {
        accepted,
        conditional,
        rejected,
        deferred,
        ..
    } = *counts;
    [
        (accepted, "accepted"),
        (conditional, "on a condition"),
        (deferred, "deferred"),
        (rejected, "rejected"),
    ]
    .map(|(count, word)| format!("{} {word}", number(count)))
    .join(", ")
}

/// `minute`, `5 minutes`: how long a step is.
pub(super) fn length(seconds: i64) -> String {
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        60.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    if count == 1 {
        unit.into()
    } else {
        format!("{count} {unit}s")
    }
}

/// The part of a moment that matters where steps are this long.
fn moment(text: &str, step: i64) -> String {
    let part = match step {
        86_400.. => text.get(..10),
        60.. => text.get(5..16),
        _ => text.get(11..19),
    };
    part.unwrap_or(text).replace('T', " ")
}

/// The next number that reads well on a scale.
fn ceiling(most: u64) -> u64 {
    let tens = (0..19).map(|power| 10_u64.pow(power));
    let steps = tens.flat_map(|ten| [2, 4, 6, 8, 10].map(|step| ten.saturating_mul(step)));
    steps.into_iter().find(|step| *step >= most).unwrap_or(most)
}

fn breadth(count: u64, most: u64) -> u64 {
    // Why less: the number stands behind the longest bar.
    scaled(BREADTH - 900, count, most)
}

fn scaled(whole: u64, count: u64, most: u64) -> u64 {
    let scaled = u128::from(whole) * u128::from(count) / u128::from(most.max(1));
    u64::try_from(scaled).unwrap_or(whole)
}

fn units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn all(reasons: &[ReasonCount]) -> u64 {
    reasons.iter().map(|it| it.count).sum()
}

/// A connector among those of both directions, which may have the same names.
fn labelled(connector: &Connector) -> String {
    match connector.direction {
        "outbound" => format!("{} (outbound)", connector.name),
        _ => connector.name.clone(),
    }
}

/// A name that fits beside its bar.
fn short(name: &str) -> String {
    let name = shown(name);
    if name.chars().count() <= LONGEST {
        return name;
    }
    let start: String = name.chars().take(LONGEST - 1).collect();
    format!("{start}…")
}

const VERDICTS: [(&str, &str); 4] = [
    ("accepted", "accepted"),
    ("conditional", "on a condition"),
    ("deferred", "deferred"),
    ("rejected", "rejected"),
];
const REASONS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
const OTHERS: &str = "r6";
const BARS: usize = 20;
const LABELS: usize = 8;
const LONGEST: usize = 34;
const LEAST: u64 = 20;
const LEFT: u64 = 900;
const NAMES: u64 = 2_600;
const BREADTH: u64 = 8_000;
const TOP: u64 = 120;
const HEIGHT: u64 = 2_200;
const ROW: u64 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_numbers_that_read_well() {
        for (most, end) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (9, 10),
            (11, 20),
            (81, 100),
            (4_001, 6_000),
        ] {
            assert_eq!(ceiling(most), end);
        }
        assert_eq!(ceiling(u64::MAX), u64::MAX);
        assert_eq!(scaled(2_200, u64::MAX, u64::MAX), 2_200);
    }

    #[test]
    fn what_is_rare_is_still_seen() {
        let counts = Counts {
            decisions: 1_000_001,
            accepted: 1_000_000,
            conditional: 0,
            rejected: 1,
            deferred: 0,
        };
        let parts = stacked(&counts, 2_000_000);
        let heights: Vec<_> = parts
            .iter()
            .map(|(class, _, height)| (*class, *height))
            .collect();
        assert_eq!(heights, [("accepted", HEIGHT / 2), ("rejected", LEAST)]);
    }

    #[test]
    fn lengths_and_moments_fit_their_steps() {
        assert_eq!(length(1), "second");
        assert_eq!(length(300), "5 minutes");
        assert_eq!(length(7 * 86_400), "7 days");
        let text = "2026-11-23T19:30:51Z";
        assert_eq!(moment(text, 86_400), "2026-11-23");
        assert_eq!(moment(text, 300), "11-23 19:30");
        assert_eq!(moment(text, 10), "19:30:51");
    }
}
