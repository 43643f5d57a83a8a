//! What an MTA is told while the service is down, hangs, ends, or comes back; and how a bridge ends.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{REFUSED, Smtpd, bridge, metric, question, service, until};
use crate::running::{PATIENCE, Running, field};

pub(super) const DEFER: &str = "action=451 4.7.1 connector policy unavailable, try later";
const QUIET: &str = "deadline = \"1s\"\nhealth_interval = \"200ms\"";

/// An address at which nothing listens.
pub(super) fn nowhere() -> SocketAddr {
    // Held, and not listened on: nobody else gets it.
    "127.0.0.1:1".parse().unwrap()
}

pub(super) fn asked() -> String {
    question("ann@contosobank.com", "")
}

#[test]
fn a_service_that_is_down_defers_or_accepts_as_told() {
    let deferring = bridge(&[nowhere()], "", "");
    let accepting = bridge(&[nowhere()], "on_unavailable = \"accept\"", "");
    assert_eq!(Smtpd::connect(deferring.listen).asks(&asked()), DEFER);
    assert_eq!(
        Smtpd::connect(accepting.listen).asks(&asked()),
        "action=DUNNO"
    );
    assert_eq!(
        metric(&deferring, "postern_bridge_unanswered_total{did=\"defer\"}"),
        1
    );
    assert_eq!(
        metric(
            &accepting,
            "postern_bridge_unanswered_total{did=\"accept\"}"
        ),
        1
    );
    let line = "postern_bridge_endpoint_serving{endpoint=\"127.0.0.1:1\"}";
    assert!(deferring.page("/metrics").1.contains(&format!("{line} 0")));
    deferring.logged(|event| field(event, "did").is_some_and(|did| did == "defer"));
    accepting.logged(|event| field(event, "did").is_some_and(|did| did == "accept"));
}

#[test]
fn a_service_that_hangs_is_waited_for_no_longer_than_the_deadline() {
    let service = service("");
    let bridge = bridge(&[service.listen], QUIET, "");
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    service.signal("STOP");
    let begin = Instant::now();
    assert_eq!(smtpd.asks(&asked()), DEFER);
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < PATIENCE / 2,
        "{took:?}"
    );
    service.signal("CONT");
    until(&bridge, &serving(service.listen), 1);
    assert!(smtpd.asks(&asked()).starts_with(REFUSED));
}

#[test]
fn another_endpoint_answers_for_one_that_hangs() {
    let (one, other) = (service(""), service(""));
    // No check may find it out first: the questions themselves must.
    let slow = "deadline = \"10s\"\nhealth_interval = \"1h\"";
    let bridge = bridge(&[one.listen, other.listen], slow, "");
    one.signal("STOP");
    let mut smtpd = Smtpd::connect(bridge.listen);
    for _ in 0..4 {
        assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    }
    // Once it hung, the other one is asked first.
    assert_eq!(metric(&bridge, "postern_bridge_retries_total"), 1);
    assert_eq!(
        metric(
            &bridge,
            "postern_bridge_calls_total{grpc_code=\"DEADLINE_EXCEEDED\"}"
        ),
        1
    );
    one.signal("CONT");
}

#[test]
fn no_mail_is_deferred_when_one_of_two_dies_under_load() {
    let (one, other) = (service(""), service(""));
    let bridge = bridge(&[one.listen, other.listen], "deadline = \"20s\"", "");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let load: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut smtpd, mut count) = (Smtpd::connect(bridge.listen), 0);
                    while !stop.load(Relaxed) {
                        let answer = smtpd.asks(&asked());
                        assert!(answer.starts_with(REFUSED), "{answer}");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let calls = "postern_bridge_calls_total{grpc_code=\"OK\"}";
        let some = |more| {
            let (begin, now) = (Instant::now(), metric(&bridge, calls));
            while metric(&bridge, calls) < now + more && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
            }
        };
        some(200);
        one.signal("KILL");
        some(200);
        stop.store(true, Relaxed);
        for load in load {
            assert!(load.join().unwrap() > 0);
        }
    });
    assert_eq!(
        metric(&bridge, "postern_bridge_unanswered_total{did=\"defer\"}"),
        0
    );
    until(&bridge, &serving(one.listen), 0);
}

#[test]
fn a_service_that_comes_back_is_asked_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = format!("unix:{}", folder.path().join("postern.sock").display());
    let start = || {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("connectors")).unwrap();
        std::fs::write(folder.path().join("connectors/default.toml"), super::SET).unwrap();
        Running::serve_at(folder, "", &[&socket])
    };
    let bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"{socket}\"\nhealth_interval = \"1h\"\n[[policy]]\n\
         listen = \"127.0.0.1:0\"\n"
    ));
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert_eq!(smtpd.asks(&asked()), DEFER);
    for _ in 0..2 {
        let mut service = start();
        // What is not known to serve is tried all the same, when nobody else is there.
        assert!(smtpd.asks(&asked()).starts_with(REFUSED));
        service.signal("KILL");
        service.end();
        assert_eq!(smtpd.asks(&asked()), DEFER);
    }
}

#[test]
fn one_that_says_that_it_does_not_serve_is_not_asked() {
    let drain = "[shutdown]\ndrain_delay = \"25s\"\n";
    let (one, other) = (service(drain), service(""));
    let bridge = bridge(&[one.listen, other.listen], QUIET, "");
    let mut smtpd = Smtpd::connect(bridge.listen);
    until(&bridge, &serving(one.listen), 1);
    one.signal("TERM");
    until(&bridge, &serving(one.listen), 0);
    let line = "postern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=\"OK\"}";
    let before = metric(&one, line);
    for _ in 0..20 {
        assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    }
    assert_eq!(metric(&one, line), before);
}

#[test]
fn a_name_stands_for_all_of_its_addresses() {
    let service = service("");
    let port = service.listen.port();
    let bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"localhost:{port}\"\nresolve_interval = \"50ms\"\n[[policy]]\n\
         listen = \"127.0.0.1:0\"\n"
    ));
    let mut smtpd = Smtpd::connect(bridge.listen);
    for _ in 0..5 {
        assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    }
    let line =
        format!("postern_bridge_endpoint_serving{{endpoint=\"localhost:{port} at 127.0.0.1\"}}");
    until(&bridge, &line, 1);
}

#[test]
fn the_question_in_hand_is_answered_before_the_end() {
    let service = service("");
    let mut bridge = bridge(
        &[service.listen],
        "deadline = \"20s\"\nhealth_interval = \"20s\"",
        "",
    );
    let mut idle = Smtpd::connect(bridge.listen);
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    service.signal("STOP");
    smtpd.send(asked());
    // What is asked of the service shows that the question has come: its answer cannot.
    let begun = "request=smtpd_access_policy\n";
    idle.send(begun);
    idle.finish();
    assert_eq!(idle.rest(), "");
    bridge.signal("TERM");
    bridge.logged(|event| field(event, "signal").is_some());
    service.signal("CONT");
    assert!(smtpd.answer().starts_with(REFUSED));
    assert_eq!(smtpd.rest(), "");
    let (status, _) = bridge.end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_hangs_does_not_keep_it_from_its_end() {
    let service = service("");
    let slow = "deadline = \"1h\"\nhealth_interval = \"1h\"";
    let drain = "[shutdown]\ndrain_deadline = \"300ms\"";
    let mut bridge = bridge(&[service.listen], slow, drain);
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert!(smtpd.asks(&asked()).starts_with(REFUSED));
    let _idle: Vec<_> = (0..20).map(|_| Smtpd::connect(bridge.listen)).collect();
    service.signal("STOP");
    smtpd.send(asked());
    bridge.signal("TERM");
    let (status, took) = bridge.end();
    assert_eq!(status.code(), Some(0));
    assert!(took < PATIENCE / 2, "{took:?}");
    assert_eq!(smtpd.rest(), "");
}

fn serving(endpoint: SocketAddr) -> String {
    format!("postern_bridge_endpoint_serving{{endpoint=\"{endpoint}\"}}")
}
