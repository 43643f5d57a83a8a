//! Metrics by OTLP, and the examples that link durations to traces.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
};

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, metric::Data, number_data_point::Value,
};

use super::{
    AT_ONCE, TRACE, gateway, in_trace,
    receiver::{Receiver, attribute, hex},
};
use crate::running::{Running, block_on, demands_tls, plaintext};

fn serve(receiver: &Receiver) -> Running {
    let settings = format!(
        "[tracing]\nendpoint = \"{}\"\n[metrics]\notlp = true\ninterval = \"50ms\"\n",
        receiver.endpoint()
    );
    let running = Running::serve_told(&demands_tls("one"), &settings, &AT_ONCE);
    block_on(async {
        let mut gateway = gateway(&running).await;
        for _ in 0..3 {
            let asked = in_trace(plaintext(), "01");
            gateway.check_inbound(asked).await.unwrap();
        }
    });
    running
}

#[test]
fn what_is_sent_is_what_the_page_shows() {
    let receiver = Receiver::new();
    let running = serve(&receiver);
    let (rejected, metrics) = receiver.wait(|received| {
        let metrics = &received.metrics;
        let decisions = metrics
            .iter()
            .find(|metric| metric.name == "postern_decisions")?;
        let Some(Data::Sum(decisions)) = &decisions.data else {
            panic!("a counter is a sum")
        };
        assert!(decisions.is_monotonic);
        assert_eq!(
            decisions.aggregation_temporality(),
            AggregationTemporality::Cumulative
        );
        let rejected = decisions.data_points.iter().find(|point| {
            let verdict = attribute(&point.attributes, "verdict");
            verdict.as_deref() == Some("REJECT")
        });
        // What was sent between two calls has fewer.
        let rejected = rejected.filter(|point| point.value == Some(Value::AsDouble(3.0)))?;
        Some((rejected.clone(), metrics.clone()))
    });
    assert!(rejected.start_time_unix_nano < rejected.time_unix_nano);
    let (_, page) = running.page("/metrics");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeSet<_> = families
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let name = match kind {
                "counter" => name.strip_suffix("_total").unwrap(),
                _ => name,
            };
            name.to_owned()
        })
        .collect();
    let sent: BTreeSet<_> = metrics.iter().map(|metric| metric.name.clone()).collect();
    assert_eq!(sent, shown);

    let data = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        metric.data.clone().unwrap()
    };
    let Data::Histogram(durations) = data("postern_decision_duration_seconds") else {
        panic!("a histogram stays one")
    };
    let inbound = durations.data_points.iter().find(|point| {
        let rpc = attribute(&point.attributes, "rpc");
        rpc.as_deref() == Some("CheckInbound")
    });
    let inbound = inbound.unwrap();
    assert_eq!(inbound.count, 3);
    assert_eq!(inbound.bucket_counts.iter().sum::<u64>(), 3);
    assert_eq!(
        inbound.bucket_counts.len(),
        inbound.explicit_bounds.len() + 1
    );
    assert!(inbound.sum.unwrap() > 0.0);
    assert!(!inbound.exemplars.is_empty());
    for example in &inbound.exemplars {
        assert_eq!(hex(&example.trace_id), TRACE);
    }
}

#[test]
fn buckets_name_a_trace_in_open_metrics_alone() {
    let receiver = Receiver::new();
    let running = serve(&receiver);
    let page = |accept: &str| {
        let mut stream = TcpStream::connect(running.admin).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nhost: postern\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    let open = page("application/openmetrics-text; version=1.0.0");
    let examples: Vec<_> = open.lines().filter(|line| line.contains(" # ")).collect();
    assert!(!examples.is_empty(), "{open}");
    for line in examples {
        let (bucket, example) = line.split_once(" # ").unwrap();
        assert!(
            bucket.starts_with("postern_decision_duration_seconds_bucket{")
                && bucket.contains("rpc=\"CheckInbound\""),
            "{line}"
        );
        let rest = example.strip_prefix(&format!("{{trace_id=\"{TRACE}\"}} "));
        let mut numbers = rest.unwrap().split(' ');
        let took: f64 = numbers.next().unwrap().parse().unwrap();
        let at: f64 = numbers.next().unwrap().parse().unwrap();
        let (_, bound) = bucket.split_once("le=\"").unwrap();
        let (bound, _) = bound.split_once('"').unwrap();
        assert!(bound == "+Inf" || took <= bound.parse().unwrap(), "{line}");
        assert!(at > 1.7e9);
    }
    assert!(!page("text/plain").contains(TRACE));
}
