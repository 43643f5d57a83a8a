//! A summary as tables, for a terminal.

use std::fmt::Write as _;

use super::report::{Connector, Counts, InReport, ReasonCount, Report};
use crate::cli::{
    output::{Ink, grouped, shown},
    table::Table,
};

/// The summary.
pub(super) fn render(report: &Report, ink: Ink) -> String {
    let mut text = String::new();
    head(&mut text, report, ink);
    faults(&mut text, report, ink);
    connectors(&mut text, report, ink);
    not_met(&mut text, report, ink);
    in_report(&mut text, report, ink);
    certificates(&mut text, report, ink);
    callers(&mut text, report, ink);
    text
}

fn head(text: &mut String, report: &Report, ink: Ink) {
    let Counts {
        decisions,
        accepted,
        conditional,
        rejected,
        deferred,
    } = report.verdicts;
    let decided = ink.bold(count(decisions, "decision"));
    let span = match (&report.from, &report.to) {
        (Some(from), Some(to)) => format!(" from {from} to {to}"),
        _ => String::new(),
    };
    line(text, 0, &format!("{decided}{span}"));
    let parts = [
        ink.green(format!("{} accepted", number(accepted))),
        ink.red(format!("{} rejected", number(rejected))),
        ink.red(format!("{} deferred", number(deferred))),
        ink.yellow(format!("{} on a condition", number(conditional))),
    ];
    line(text, 1, &parts.join(", "));
    let without = report.without_connector.decisions;
    if without > 0 {
        let said = format!("{} of them without a connector", number(without));
        line(text, 1, &said);
    }
}

/// What is missing of the log.
fn faults(text: &mut String, report: &Report, ink: Ink) {
    let warning = ink.yellow("warning");
    for said in warnings(report) {
        line(text, 0, &format!("{warning}: {}", shown(&said)));
    }
    for file in &report.torn {
        let said = "ends in the middle of a line, which is not counted: it is being written, or was cut off";
        line(
            text,
            0,
            &format!("{}: {} {said}", ink.dim("note"), shown(file)),
        );
    }
}

/// What a reader must know before believing the numbers, a sentence each.
pub(super) fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let lost = report.lost_lines();
    if lost > 0 {
        let kinds = report.lost.iter();
        let kinds: Vec<_> = kinds
            .filter(|(_, lines)| **lines > 0)
            .map(|(kind, lines)| format!("{} {kind}", number(*lines)))
            .collect();
        let (lines, kinds) = (count(lost, "line"), kinds.join(", "));
        warnings.push(format!(
            "the log lost {lines}, which are not counted here: {kinds}"
        ));
    }
    if let Some(first) = &report.unreadable.first {
        let lines = count(report.unreadable.lines, "line");
        let (file, at, why) = (&first.file, first.line, &first.why);
        warnings.push(format!(
            "{lines} cannot be read, the first at {file}:{at}: {why}"
        ));
    }
    if report.other_connectors > 0 {
        warnings.push(format!(
            "there are more connectors than are kept: {} of the rarest are left out",
            count(report.other_connectors, "decision")
        ));
    }
    warnings
}

fn connectors(text: &mut String, report: &Report, ink: Ink) {
    if report.connectors.is_empty() {
        return;
    }
    heading(text, ink, "Connectors");
    let mut table = Table::new(&[
        "SET",
        "DIRECTION",
        "CONNECTOR",
        "SEEN",
        "ACCEPTED",
        "REJECTED",
        "DEFERRED",
        "CONDITIONAL",
        "NOT MET",
    ]);
    for connector in &report.connectors {
        let counts = &connector.counts;
        let mut cells = name(connector);
        cells.extend(
            [
                counts.decisions,
                counts.accepted,
                counts.rejected,
                counts.deferred,
                counts.conditional,
            ]
            .map(|count| vec![number(count)]),
        );
        cells.push(reasons(&connector.reasons));
        table.row(cells);
    }
    text.push_str(&table.render(ink));
}

fn not_met(text: &mut String, report: &Report, ink: Ink) {
    let mut table = Table::new(&[
        "SET",
        "CONNECTOR",
        "TIMES",
        "REASON",
        "FROM OR TO",
        "EXPECTED",
        "OBSERVED",
        "LAST",
        "CORRELATION ID",
    ]);
    let mut any = false;
    for connector in &report.connectors {
        for peer in &connector.not_met {
            any = true;
            table.row(vec![
                cell(&connector.set),
                cell(&connector.name),
                vec![number(peer.count)],
                cell(peer.reason),
                peer_lines(&peer.server, &peer.certificate, &peer.partner),
                cells(&peer.expected),
                cells(&peer.observed),
                cell(&peer.last),
                cell(&peer.correlation_id),
            ]);
        }
        if connector.other_not_met > 0 {
            table.row(vec![
                cell(&connector.set),
                cell(&connector.name),
                vec![number(connector.other_not_met)],
                cell("others"),
            ]);
        }
    }
    if any {
        heading(text, ink, "Not met, and by whom");
        text.push_str(&table.render(ink));
    }
}

/// Who a peer is: its server, the name of its certificate, its domain.
fn peer_lines(server: &str, certificate: &str, partner: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if !server.is_empty() {
        lines.push(shown(server));
    }
    if !certificate.is_empty() {
        lines.push(format!("certificate {}", shown(certificate)));
    }
    lines.push(if partner.is_empty() {
        "the null sender".into()
    } else {
        shown(partner)
    });
    lines
}

fn in_report(text: &mut String, report: &Report, ink: Ink) {
    let changed: Vec<_> = changed(report).collect();
    if changed.is_empty() {
        return;
    }
    heading(text, ink, "If the connectors in report were enforced");
    let mut table = Table::new(&[
        "SET",
        "DIRECTION",
        "CONNECTOR",
        "WOULD BE REFUSED",
        "WOULD PASS",
        "CORRELATION IDS",
    ]);
    for connector in changed {
        let InReport {
            would_reject,
            correlation_ids,
            would_accept,
        } = &connector.report;
        let mut row = name(connector);
        row.push(reasons(would_reject));
        row.push(vec![number(*would_accept)]);
        row.push(cells(correlation_ids));
        table.row(row);
    }
    text.push_str(&table.render(ink));
}

/// The connectors whose report would change something.
pub(super) fn changed(report: &Report) -> impl Iterator<Item = &Connector> {
    report.connectors.iter().filter(|it| it.report.changes())
}

fn certificates(text: &mut String, report: &Report, ink: Ink) {
    if report.certificates.is_empty() {
        return;
    }
    let before = &report.expiring_before;
    heading(
        text,
        ink,
        &format!("Certificates that expire before {before}"),
    );
    let mut table = Table::new(&[
        "LEFT",
        "NOT AFTER",
        "NAMES",
        "ISSUER",
        "CONNECTOR",
        "SERVER",
        "LAST SEEN",
    ]);
    for it in &report.certificates {
        table.row(vec![
            vec![it.left()],
            cell(&it.not_after),
            cells(&it.names),
            cell(&it.issuer),
            cell(&it.connector),
            cell(&it.server),
            cell(&it.last),
        ]);
    }
    text.push_str(&table.render(ink));
    if report.more_certificates {
        line(text, 0, "and more, which expire later");
    }
}

fn callers(text: &mut String, report: &Report, ink: Ink) {
    if report.callers.is_empty() {
        return;
    }
    heading(text, ink, "Callers");
    let mut table = Table::new(&["CALLER", "ASKED", "ACCEPTED", "REJECTED", "DEFERRED"]);
    for it in &report.callers {
        table.row(vec![
            vec![caller(&it.name, &it.peer)],
            vec![number(it.counts.decisions)],
            vec![number(it.counts.accepted)],
            vec![number(it.counts.rejected)],
            vec![number(it.counts.deferred)],
        ]);
    }
    if report.other_callers > 0 {
        table.row(vec![cell("others"), vec![number(report.other_callers)]]);
    }
    text.push_str(&table.render(ink));
}

/// How a caller is called: by its name, else by its address.
pub(super) fn caller(name: &str, peer: &str) -> String {
    match (name, peer) {
        ("", "") => "unknown".into(),
        ("", peer) => format!("unnamed, at {}", shown(peer)),
        (name, _) => shown(name),
    }
}

fn name(connector: &Connector) -> Vec<Vec<String>> {
    vec![
        cell(&connector.set),
        cell(connector.direction),
        cell(&connector.name),
    ]
}

fn reasons(reasons: &[ReasonCount]) -> Vec<String> {
    let reasons = reasons.iter();
    let reasons = reasons.map(|it| format!("{} {}", number(it.count), it.reason));
    reasons.collect()
}

fn cell(text: &str) -> Vec<String> {
    vec![shown(text)]
}

fn cells(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| shown(text)).collect()
}

/// `1,000`.
pub(super) fn number(count: u64) -> String {
    grouped(usize::try_from(count).unwrap_or(usize::MAX))
}

/// `1 line`, `2 lines`.
pub(super) fn count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(count))
}

fn heading(text: &mut String, ink: Ink, title: &str) {
    text.push('\n');
    line(text, 0, &ink.bold(title));
}

fn line(text: &mut String, depth: usize, said: &str) {
    // Why: writing to a string cannot fail.
    writeln!(text, "{:width$}{said}", "", width = depth * 2).ok();
}
