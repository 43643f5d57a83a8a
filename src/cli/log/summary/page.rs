//! A summary as one page for a browser: nothing of it comes from elsewhere, and nothing in it runs.
//!
//! What a log says was chosen by peers: `html!` escapes all of it.

mod charts;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    human::{caller, changed, count, number, warnings},
    report::{Certificate, Connector, Counts, NotMet, ReasonCount, Report},
};
use crate::cli::output::shown;

/// The page.
pub(super) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Postern: decisions" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report))
                    (over_time(report))
                    (connectors(report))
                    (not_met(report))
                    (in_report(report))
                    (certificates(report))
                    (callers(report))
                }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    let counts = &report.verdicts;
    html! {
        h1 { "Decisions" }
        p class="faint" {
            @if let (Some(from), Some(to)) = (&report.from, &report.to) { "From " (from) " to " (to) ", " }
            (count(report.lines, "line")) " of "
            @match report.files.as_slice() {
                [file] => { (shown(file)) "." }
                files => { (files.len()) " files." }
            }
        }
        @for said in warnings(report) { p class="warn" { (shown(&said)) "." } }
        @for file in &report.torn {
            p class="faint" { (shown(file)) " ends in the middle of a line, which is not counted." }
        }
        dl class="counts" {
            (tile("", "decisions", counts.decisions))
            (tile("accepted", "accepted", counts.accepted))
            (tile("rejected", "rejected", counts.rejected))
            (tile("deferred", "deferred", counts.deferred))
            (tile("conditional", "on a condition", counts.conditional))
            (tile("", "without a connector", report.without_connector.decisions))
        }
    }
}

fn tile(class: &str, word: &str, count: u64) -> Markup {
    html! { div class=(class) { dt { (word) } dd { (number(count)) } } }
}

fn over_time(report: &Report) -> Markup {
    html! {
        h2 { "Over time" }
        @if report.over_time.steps.is_empty() {
            p { "No decision." }
        } @else {
            figure { (charts::over_time(report)) }
            details {
                summary { "As a table" }
                div class="wide" { table {
                    caption { "Decisions by " (charts::length(report.over_time.step_seconds)) }
                    thead { tr { th scope="col" { "From" } (count_headings()) } }
                    tbody {
                        @for step in report.over_time.steps.iter().filter(|step| step.counts.decisions > 0) {
                            tr { td class="time" { (step.from) } (count_cells(&step.counts)) }
                        }
                    }
                } }
            }
        }
    }
}

fn connectors(report: &Report) -> Markup {
    let refused = || {
        report
            .connectors
            .iter()
            .map(|it| (it, it.reasons.as_slice()))
    };
    html! {
        h2 { "Connectors" }
        @if refused().any(|(_, reasons)| !reasons.is_empty()) {
            figure { (charts::by_reason("reasons", "What was not met, by connector and reason", refused())) }
        }
        @if report.connectors.is_empty() {
            p { "No decision concerned a connector." }
        } @else {
            div class="wide" { table {
                caption { "Mail that each connector concerned, and what was not met" }
                thead { tr { (connector_headings()) (count_headings()) th scope="col" { "Not met" } } }
                tbody {
                    @for it in &report.connectors {
                        tr { (connector_cells(it)) (count_cells(&it.counts)) td { (reasons(&it.reasons)) } }
                    }
                }
            } }
        }
    }
}

fn not_met(report: &Report) -> Markup {
    let with_peers = || report.connectors.iter().filter(|it| !it.not_met.is_empty());
    html! {
        @if with_peers().next().is_some() {
            h2 { "Not met, and by whom" }
            div class="wide" { table {
                caption { "The most frequent of each connector" }
                thead { tr {
                    th scope="col" { "Connector" }
                    th scope="col" { "Set" }
                    th scope="col" class="number" { "Times" }
                    @for heading in ["Reason", "From or to", "Expected", "Observed", "Last", "Correlation id"] {
                        th scope="col" { (heading) }
                    }
                } }
                tbody {
                    @for connector in with_peers() {
                        @for it in &connector.not_met { (peer(connector, it)) }
                        @if connector.other_not_met > 0 {
                            tr {
                                td { (shown(&connector.name)) } td { (shown(&connector.set)) }
                                td class="number" { (number(connector.other_not_met)) }
                                td colspan="6" { "others" }
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn peer(connector: &Connector, it: &NotMet) -> Markup {
    html! {
        tr {
            td { (shown(&connector.name)) }
            td { (shown(&connector.set)) }
            td class="number" { (number(it.count)) }
            td { (it.reason) }
            td {
                @if !it.server.is_empty() { div { (shown(&it.server)) } }
                @if !it.certificate.is_empty() { div { "certificate " (shown(&it.certificate)) } }
                div { @if it.partner.is_empty() { "the null sender" } @else { (shown(&it.partner)) } }
            }
            td { (lines(&it.expected)) }
            td { (lines(&it.observed)) }
            td class="time" { (it.last) }
            td { code { (shown(&it.correlation_id)) } }
        }
    }
}

fn in_report(report: &Report) -> Markup {
    let would = || changed(report).map(|it| (it, it.report.would_reject.as_slice()));
    html! {
        @if would().next().is_some() {
            h2 { "If the connectors in report were enforced" }
            @if would().any(|(_, reasons)| !reasons.is_empty()) {
                figure { (charts::by_reason("report", "What would be refused, by connector and reason", would())) }
            }
            div class="wide" { table {
                caption { "Mail whose verdict would change" }
                thead { tr {
                    (connector_headings())
                    th scope="col" { "Would be refused" }
                    th scope="col" class="number" { "Would pass" }
                    th scope="col" { "Correlation ids" }
                } }
                tbody {
                    @for it in changed(report) {
                        tr {
                            (connector_cells(it))
                            td { (reasons(&it.report.would_reject)) }
                            td class="number" { (number(it.report.would_accept)) }
                            td { @for id in &it.report.correlation_ids { div { code { (shown(id)) } } } }
                        }
                    }
                }
            } }
        }
    }
}

fn certificates(report: &Report) -> Markup {
    html! {
        h2 { "Certificates that expire soon" }
        @if report.certificates.is_empty() {
            p { "None that was seen expires before " (report.expiring_before) "." }
        } @else {
            figure { (charts::expiring(&report.certificates)) }
            div class="wide" { table {
                caption { "Seen, and not valid after " (report.expiring_before) " or before" }
                thead { tr {
                    @for heading in ["Left", "Not after", "Names", "Issuer", "Connector", "Server", "Last seen"] {
                        th scope="col" { (heading) }
                    }
                } }
                tbody { @for it in &report.certificates { (certificate(it)) } }
            } }
            @if report.more_certificates {
                p { "And more, which expire later." }
            }
        }
    }
}

fn certificate(it: &Certificate) -> Markup {
    html! {
        tr {
            td { (it.left()) }
            td class="time" { (it.not_after) }
            td { (lines(&it.names)) }
            td { (shown(&it.issuer)) }
            td { (shown(&it.connector)) }
            td { (shown(&it.server)) }
            td class="time" { (it.last) }
        }
    }
}

fn callers(report: &Report) -> Markup {
    html! {
        @if !report.callers.is_empty() {
            h2 { "Callers" }
            figure { (charts::callers(report)) }
            div class="wide" { table {
                caption { "Who asked, and what was answered" }
                thead { tr { th scope="col" { "Caller" } (count_headings()) } }
                tbody {
                    @for it in &report.callers {
                        tr { td { (caller(&it.name, &it.peer)) } (count_cells(&it.counts)) }
                    }
                    @if report.other_callers > 0 {
                        tr { td { "others" } td class="number" { (number(report.other_callers)) } }
                    }
                }
            } }
        }
    }
}

fn connector_headings() -> Markup {
    html! { @for heading in ["Connector", "Set", "Direction"] { th scope="col" { (heading) } } }
}

fn connector_cells(it: &Connector) -> Markup {
    html! { td { (shown(&it.name)) } td { (shown(&it.set)) } td { (it.direction) } }
}

fn count_headings() -> Markup {
    html! {
        @for heading in ["Decisions", "Accepted", "Rejected", "Deferred", "On a condition"] {
            th scope="col" class="number" { (heading) }
        }
    }
}

fn count_cells(counts: &Counts) -> Markup {
    let Counts {
        decisions,
        accepted,
        conditional,
        rejected,
        deferred,
    } = *counts;
    html! {
        @for count in [decisions, accepted, rejected, deferred, conditional] {
            td class="number" { (number(count)) }
        }
    }
}

fn reasons(reasons: &[ReasonCount]) -> Markup {
    html! { @for it in reasons { div { (number(it.count)) " " (it.reason) } } }
}

fn lines(texts: &[String]) -> Markup {
    html! { @for text in texts { div { (shown(text)) } } }
}

const STYLE: &str = include_str!("page/style.css");
