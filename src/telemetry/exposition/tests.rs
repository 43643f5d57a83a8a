use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    config,
    live::{Fault, Status},
    mail::ReversePath,
    policy::{self, Catalog, Entry, InboundFacts, Verdict, decide_inbound, decision::Decision},
    telemetry::Metrics,
};

const SET: &str = r#"version = 1
[[inbound]]
name = "say \"hi\" \\ there"
match.sender_domains = ["contosobank.com"]
require.client_ips = ["192.0.2.0/24"]
[[inbound]]
name = "Everyone"
mode = "report"
match.sender_domains = ["*"]
require.client_ips = ["198.51.100.0/24"]
[end]
"#;

fn facts(client_ip: &str) -> InboundFacts<'static> {
    InboundFacts {
        client_ip: client_ip.parse().unwrap(),
        mail_from: ReversePath::parse("ann@contosobank.com").unwrap(),
        rcpt_to: None,
        tls: None,
    }
}

/// A set in force whose newest text is refused, and one that never was good.
fn snapshot() -> Arc<Snapshot> {
    let set = config::load_str("contoso", SET).set.unwrap();
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_millis(1_800_000_000_500 + seconds * 1_000);
    let fault = Fault {
        place: "contoso.toml:7:1".into(),
        code: "key-unknown".into(),
        message: "unknown key `tsl`".into(),
        since: at(7),
    };
    let in_force = Status {
        loaded_at: Some(at(0)),
        fault: Some(fault.clone()),
    };
    let never = Status {
        loaded_at: None,
        fault: Some(fault),
    };
    Arc::new(Snapshot {
        catalog: Catalog::new(vec![Entry::new(set)], None),
        status: BTreeMap::from([("contoso".into(), in_force), ("new".into(), never)]),
        directory_fault: None,
    })
}

fn counted(snapshot: &Snapshot) -> Metrics {
    let metrics = Metrics::new();
    let set = &snapshot.catalog.get("contoso").unwrap().set;
    for client_ip in ["192.0.2.1", "198.51.100.1", "203.0.113.1"] {
        let facts = facts(client_ip);
        let decision = decide_inbound(set, &facts);
        metrics.decided(
            Rpc::CheckInbound,
            Some("contoso"),
            &decision,
            Duration::from_nanos(1_500),
        );
        metrics.call(Rpc::CheckInbound).finish("OK");
    }
    let malformed = policy::malformed_address(Reason::MailFromInvalid, "x", "no domain");
    metrics.decided(
        Rpc::CheckStream,
        None,
        &malformed,
        Duration::from_micros(30),
    );
    drop(metrics.call(Rpc::CheckStream));
    metrics.call(Rpc::ExplainInbound).finish("INVALID_ARGUMENT");
    assert!(metrics.load().calls.enter(1) && metrics.load().connections.enter(1));
    metrics.load().shed(Limit::Connections);
    metrics.load().closed(Closed::Idle);
    metrics.reloaded("contoso", ReloadResult::Loaded);
    metrics.reloaded("contoso", ReloadResult::Refused);
    metrics.reloaded("new", ReloadResult::Refused);
    metrics
}

#[test]
fn the_page_shows_all_that_is_counted() {
    let snapshot = snapshot();
    let page = counted(&snapshot).encode(snapshot, Format::Classic);
    let page = page.replace(&config::digest(SET), "DIGEST");
    let page = page.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(page);
}

#[test]
fn the_page_of_a_process_that_was_not_asked_yet() {
    let page = Metrics::new().encode(snapshot(), Format::OpenMetrics);
    assert!(
        page.contains("\npostern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=\"OK\"} 0\n")
    );
    assert!(!page.contains("postern_decisions_total{"));
    assert!(page.ends_with("\n# EOF\n"));
}

#[test]
fn without_its_directory_no_set_is_as_it_was_saved() {
    let Snapshot {
        catalog, status, ..
    } = Arc::into_inner(snapshot()).unwrap();
    let fault = status["new"].fault.clone();
    let status = status
        .into_iter()
        .map(|(name, status)| {
            (
                name,
                Status {
                    fault: None,
                    ..status
                },
            )
        })
        .collect();
    let snapshot = Snapshot {
        catalog,
        status,
        directory_fault: fault,
    };
    let page = Metrics::new().encode(Arc::new(snapshot), Format::Classic);
    let name = "postern_connector_set_refused_since_timestamp_seconds";
    assert!(page.contains(&format!(
        "\n{name}{{connector_set=\"contoso\"}} 1800000007.5\n"
    )));
}

fn rejection(connector: &str) -> Decision<'_> {
    Decision {
        rejections: vec![policy::decision::Rejection {
            reason: Reason::TlsRequired,
            connector: Some(connector),
            message: String::new(),
            expected: Vec::new(),
            observed: Vec::new(),
        }],
        ..policy::malformed_address(Reason::MailFromInvalid, "x", "no domain")
    }
}

#[test]
fn the_number_of_series_is_bounded() {
    let metrics = Metrics::new();
    for at in 0..3_000 {
        let name = at.to_string();
        metrics.decided(
            Rpc::CheckInbound,
            Some("contoso"),
            &rejection(&name),
            Duration::ZERO,
        );
        metrics.reloaded(&name, ReloadResult::Loaded);
    }
    let page = metrics.encode(snapshot(), Format::Classic);
    let lines = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(lines("postern_rejections_total{"), 1_001);
    assert_eq!(lines("postern_reloads_total{"), 3 * 1_000);
    assert!(page.contains(
        "\npostern_rejections_total{connector_set=\"contoso\",connector=\"_other\",reason=\"TLS_REQUIRED\"} 2000\n"
    ));
}

#[test]
fn verdicts_are_counted_in_their_order() {
    for (at, verdict) in VERDICTS.into_iter().enumerate() {
        assert_eq!(verdict as usize, at);
        match verdict {
            Verdict::Accept | Verdict::Conditional | Verdict::Defer | Verdict::Reject => {}
        }
    }
    assert!(
        Reason::ALL
            .into_iter()
            .enumerate()
            .all(|(at, reason)| reason as usize == at)
    );
    assert!(
        Rpc::ALL
            .into_iter()
            .enumerate()
            .all(|(at, rpc)| rpc as usize == at)
    );
    assert!(
        ReloadResult::ALL
            .into_iter()
            .enumerate()
            .all(|(at, result)| result as usize == at)
    );
}
