//! A collector that is gone, slow, silent or back again, and the end of the process.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use super::{AT_ONCE, gateway, receiver::Receiver, traced};
use crate::running::{PATIENCE, Running, block_on, demands_tls, field, plaintext};

/// Asks so many times, and says how long that took.
fn ask(running: &Running, count: usize) -> Duration {
    block_on(async {
        let mut gateway = gateway(running).await;
        let began = Instant::now();
        for _ in 0..count {
            gateway.check_inbound(plaintext()).await.unwrap();
        }
        began.elapsed()
    })
}

/// A server whose spans go there, which keeps `QUEUE` of them and sends few at once.
fn traced_to(endpoint: &str, settings: &str) -> Running {
    let settings = format!(
        "[tracing]\nendpoint = \"{endpoint}\"\nqueue = {QUEUE}\ntimeout = \"1m\"\n\
         {settings}[shutdown]\ndrain_delay = \"0s\"\n"
    );
    let variables = [
        AT_ONCE[0],
        AT_ONCE[1],
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
    ];
    Running::serve_told(&demands_tls("one"), &settings, &variables)
}

/// Asks so often that the queue overflows by far, and holds the time against that of a server that
/// traces nothing. Did calls wait for a collector that takes `SLOW` for each 16 spans, it were four
/// minutes more; for one that never answers, as many as there are batches.
fn assert_that_no_call_waits(running: &Running) {
    let untraced = Running::serve(&[("default", &demands_tls("one"))]);
    let alone = ask(&untraced, MANY);
    let took = ask(running, MANY);
    assert!(
        took < 10 * alone + 4 * SLOW,
        "{took:?}, and without traces {alone:?}"
    );
}

const MANY: usize = 2_000;
const QUEUE: usize = 32;
const SLOW: Duration = Duration::from_secs(2);

/// A counter of the page of metrics.
fn counter(running: &Running, name: &str) -> u64 {
    let (_, page) = running.page("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {page}"));
    line.trim().parse().unwrap()
}

/// Waits until a counter is as wanted.
fn counted(running: &Running, name: &str, wanted: impl Fn(u64) -> bool) -> u64 {
    let begin = Instant::now();
    loop {
        let count = counter(running, name);
        if wanted(count) {
            return count;
        }
        assert!(begin.elapsed() < PATIENCE, "{name} stands at {count}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn said(running: &Running, message: &str) -> usize {
    let events = running.events();
    let said = |event: &&serde_json::Value| {
        let text = field(event, "message").and_then(|text| text.as_str());
        text.is_some_and(|text| text.starts_with(message))
    };
    events.iter().filter(said).count()
}

#[test]
fn a_collector_that_is_gone_costs_no_call_anything_and_may_come_back() {
    let receiver = Receiver::new();
    let address = receiver.address;
    drop(receiver);
    let running = traced_to(&format!("http://{address}"), "");
    assert_that_no_call_waits(&running);
    let before = running.resident();
    ask(&running, 4_000);
    let grown = running.resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    let dropped = counted(&running, "postern_traces_dropped_total ", |count| count > 0);
    let failed = counted(&running, "postern_traces_failed_total ", |count| count > 0);
    assert!(dropped + failed <= 4_000 + MANY as u64);
    // One line for the fault, not one for each batch or span.
    assert_eq!(said(&running, "spans cannot be sent"), 1);
    assert_eq!(said(&running, "spans are dropped"), 1);

    let receiver = Receiver::on(address, None);
    ask(&running, 10);
    // What still waits comes first, and the connection is tried with each batch.
    let begin = Instant::now();
    while receiver.received().spans.is_empty() {
        ask(&running, 1);
        assert!(begin.elapsed() < PATIENCE, "no span comes");
    }
    running.logged(|event| field(event, "message").is_some_and(|it| it == "spans are sent again"));
    counted(&running, "postern_traces_exported_total ", |count| {
        count > 0
    });
    let all = ["exported", "failed", "dropped"];
    let asked = counter(
        &running,
        "postern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=\"OK\"} ",
    );
    let begin = Instant::now();
    loop {
        let counts = all.map(|what| counter(&running, &format!("postern_traces_{what}_total ")));
        if counts.iter().sum::<u64>() == asked {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{counts:?} of {asked}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_collector_that_takes_and_never_answers_does_not_hold_the_end() {
    // What the system accepts by itself, and nobody ever reads.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut running = traced_to(
        &format!("http://{}", hole.local_addr().unwrap()),
        "[metrics]\notlp = true\n",
    );
    assert_that_no_call_waits(&running);
    running.signal("TERM");
    let (status, took) = running.end();
    assert!(status.success());
    // One second for the parts, two for spans, and what a busy machine needs.
    assert!(took < Duration::from_secs(10), "{took:?}");
    running.logged(|event| {
        let text = field(event, "message").and_then(|text| text.as_str());
        text == Some("the last spans could not be sent in time")
    });
}

#[test]
fn a_collector_that_is_slow_costs_no_call_anything() {
    let receiver = Receiver::slow(SLOW);
    let running = traced_to(&receiver.endpoint(), "");
    assert_that_no_call_waits(&running);
    // It is slow indeed, and not gone: most had no room, and what came is answered in the end.
    let dropped = counter(&running, "postern_traces_dropped_total ");
    assert!(dropped > MANY as u64 / 2, "{dropped}");
    counted(&running, "postern_traces_exported_total ", |count| {
        count > 0
    });
    assert_eq!(counter(&running, "postern_traces_failed_total "), 0);
    assert!(!receiver.received().spans.is_empty());
}

#[test]
fn the_last_spans_and_metrics_are_sent_at_the_end() {
    let receiver = Receiver::new();
    let settings = format!(
        "[tracing]\nendpoint = \"{}\"\n[metrics]\notlp = true\ninterval = \"1h\"\n\
         [shutdown]\ndrain_delay = \"0s\"\n",
        receiver.endpoint()
    );
    let variables = [("OTEL_BSP_SCHEDULE_DELAY", "3600000"), AT_ONCE[1]];
    let mut running = Running::serve_told(&demands_tls("one"), &settings, &variables);
    ask(&running, 7);
    assert!(receiver.received().spans.is_empty());
    running.signal("TERM");
    assert!(running.end().0.success());
    assert_eq!(receiver.spans(7).len(), 7);
    receiver.wait(|received| (!received.metrics.is_empty()).then_some(()));
}

#[test]
fn calls_go_on_where_the_collector_goes_away() {
    let receiver = Receiver::new();
    let running = traced(&receiver);
    ask(&running, 1);
    receiver.spans(1);
    drop(receiver);
    ask(&running, 200);
    counted(&running, "postern_traces_failed_total ", |count| count > 0);
}
