//! The figures as tables, and what was aimed at beside what was reached.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::sets::MOST;

/// All that was measured, as JSON, with the targets added.
pub fn complete(mut figures: Value) -> Value {
    let targets = targets(&figures);
    if let Some(fields) = figures.as_object_mut() {
        fields.insert("targets".to_owned(), targets.into());
    }
    figures
}

/// The same as tables in Markdown.
pub fn tables(figures: &Value) -> String {
    let mut text = String::new();
    // Why: writing to a String cannot fail.
    decisions(&mut text, figures).ok();
    peers(&mut text, figures).ok();
    loading(&mut text, figures).ok();
    aims(&mut text, figures).ok();
    text
}

fn decisions(text: &mut String, figures: &Value) -> std::fmt::Result {
    writeln!(text, "## Decisions\n")?;
    writeln!(
        text,
        "| scenario | connectors | reports | decision, busy | decision, all | p90 | facts | answer \
         | allocations: decision, answer |"
    )?;
    writeln!(text, "|---|--:|---|--:|--:|--:|--:|--:|--:|")?;
    for row in rows(figures, "decisions") {
        let counted = rows(&figures["allocations"], "decisions").find(|counted| {
            ["scenario", "connectors", "reports"]
                .iter()
                .all(|key| counted[key] == row[key])
        });
        let [decide, answer] = ["decide", "answer"].map(|key| match counted {
            Some(counted) => format!("{:.1}", number(&counted[key])),
            None => "–".to_owned(),
        });
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {decide}, {answer} |",
            word(&row["scenario"]),
            row["connectors"],
            if row["reports"] == true {
                "some"
            } else {
                "none"
            },
            time(&row["decide_busy_ns"]),
            time(&row["decide_ns"]),
            time(&row["decide_p90_ns"]),
            time(&row["facts_ns"]),
            time(&row["answer_ns"]),
        )?;
    }
    writeln!(text)
}

fn peers(text: &mut String, figures: &Value) -> std::fmt::Result {
    writeln!(text, "## Peers\n")?;
    writeln!(
        text,
        "| scenario | connectors | who | a decision | times Postern's |"
    )?;
    writeln!(text, "|---|--:|---|--:|--:|")?;
    let mut ours = f64::NAN;
    for row in rows(figures, "peers") {
        if row["peer"] == "postern" {
            ours = number(&row["decide_ns"]);
        }
        writeln!(
            text,
            "| {} | {} | {} | {} | {:.1} |",
            word(&row["scenario"]),
            row["connectors"],
            word(&row["peer"]),
            time(&row["decide_ns"]),
            number(&row["decide_ns"]) / ours,
        )?;
    }
    writeln!(text)
}

fn loading(text: &mut String, figures: &Value) -> std::fmt::Result {
    writeln!(text, "## Loading, on one core\n")?;
    writeln!(
        text,
        "| connectors | text to live, a connector | in all | saved file to live, a connector | \
         bytes a connector |"
    )?;
    writeln!(text, "|--:|--:|--:|--:|--:|")?;
    for row in rows(figures, "loading") {
        let size = &row["connectors"];
        let mut kept = rows(&figures["allocations"], "memory");
        let kept = kept.find(|kept| kept["connectors"] == *size);
        let load = number(&row["load_ns_per_connector"]);
        writeln!(
            text,
            "| {size} | {} | {} | {} | {} |",
            time(&json!(load)),
            time(&json!(load * number(size))),
            time(&row["reload_ns_per_connector"]),
            kept.map_or_else(
                || "–".to_owned(),
                |kept| kept["bytes_per_connector"].to_string()
            ),
        )?;
    }
    let reload = &figures["reload"];
    writeln!(
        text,
        "\nOne file among {} saved: {}; none: {}.\n",
        reload["files"],
        time(&reload["one_ns"]),
        time(&reload["none_ns"]),
    )
}

fn aims(text: &mut String, figures: &Value) -> std::fmt::Result {
    writeln!(text, "## Targets\n")?;
    writeln!(text, "| what | target | value | |\n|---|--:|--:|---|")?;
    for row in rows(figures, "targets") {
        let value = number(&row["value"]);
        let met = if row["met"] == true { "met" } else { "missed" };
        writeln!(
            text,
            "| {} | {} | {value:.2} | {met} |",
            word(&row["what"]),
            row["target"]
        )?;
    }
    Ok(())
}

fn targets(figures: &Value) -> Vec<Value> {
    let accept = |connectors: usize, reports: bool| {
        let mut rows = rows(figures, "decisions").filter(move |row| {
            row["scenario"] == "inbound accept" && row["connectors"] == connectors
        });
        rows.find(|row| row["reports"] == reports)
    };
    let mut targets = Vec::new();
    let mut add = |what: &str, target: f64, value: f64| {
        if value.is_finite() {
            let met = value <= target;
            targets.push(json!({ "what": what, "target": target, "value": value, "met": met }));
        }
    };
    for (reports, which) in [(false, "no reports"), (true, "2 % in report")] {
        let of = |connectors, key: &str| {
            accept(connectors, reports).map_or(f64::NAN, |row| number(&row[key]))
        };
        for (key, questions) in [
            ("decide_busy_ns", "1,024 questions"),
            ("decide_ns", "all questions"),
        ] {
            add(
                &format!("inbound accept at 100,000 connectors, ns ({which}, {questions})"),
                300.0,
                of(100_000, key),
            );
        }
        for (key, questions) in [
            ("decide_busy_ns", "1,024 questions"),
            ("decide_ns", "all questions"),
        ] {
            add(
                &format!("{MOST} over 1,000 connectors ({which}, {questions})"),
                4.0,
                of(MOST, key) / of(1_000, key),
            );
        }
    }
    let counted = rows(&figures["allocations"], "decisions");
    let accepted = counted.filter(|row| row["scenario"] == "inbound accept");
    let most = accepted
        .map(|row| number(&row["decide"]))
        .fold(f64::NAN, f64::max);
    add(
        "allocations in `policy`, inbound accept, the most at any size",
        0.0,
        most,
    );
    for row in rows(figures, "loading") {
        if row["connectors"] == 100_000 {
            let seconds = number(&row["load_ns_per_connector"]) * 1e5 / 1e9;
            add(
                "100,000 connectors from text to live on one core, s",
                1.0,
                seconds,
            );
        }
    }
    for row in rows(&figures["allocations"], "memory") {
        let what = format!("bytes a connector of a loaded set of {}", row["connectors"]);
        if number(&row["connectors"]) >= 1_000.0 {
            add(&what, 500.0, number(&row["bytes_per_connector"]));
        }
    }
    targets
}

fn rows<'f>(figures: &'f Value, key: &str) -> impl Iterator<Item = &'f Value> {
    figures[key].as_array().into_iter().flatten()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Nanoseconds, in the unit that suits them.
fn time(value: &Value) -> String {
    let nanoseconds = number(value);
    for (unit, many) in [("s", 1e9), ("ms", 1e6), ("µs", 1e3)] {
        if nanoseconds >= many * if unit == "µs" { 10.0 } else { 1.0 } {
            return format!("{:.2} {unit}", nanoseconds / many);
        }
    }
    format!("{nanoseconds:.0} ns")
}
