//! What goes wrong: mail is deferred, and never passes unasked.

use std::time::{Duration, Instant};

use super::{Haraka, Setup};
use crate::{
    mta::{pki::Pki, place::free_port},
    running::{Running, demands_tls},
};

const LATER: &str = "451 4.7.1 connector policy unavailable, try later";
const FAULT: &str = "451 4.3.5 connector policy cannot be asked";

fn serve() -> Running {
    Running::serve(&[("default", &demands_tls("one"))])
}

fn asks(haraka: &Haraka) -> String {
    haraka
        .from("192.0.2.7")
        .asks("ann@elsewhere.test", "bob@contoso.com")
}

#[test]
fn nobody_to_ask_is_a_defer_or_what_the_operator_says() {
    let pki = Pki::new();
    let nowhere = format!("endpoints = 127.0.0.1:{}", free_port());
    let haraka = Haraka::start(&pki, &Setup::asking(&[]).with(&nowhere)).listening();
    assert_eq!(asks(&haraka), LATER);
    let setup = Setup::asking(&[])
        .with(&nowhere)
        .with("on_unavailable = accept");
    let haraka = Haraka::start(&pki, &setup).listening();
    assert!(asks(&haraka).starts_with("250 "));
    assert!(haraka.log().contains("accepted without asking"));
    // An answer that is an error is no unavailability.
    let running = serve();
    let setup = Setup::asking(&[&running])
        .with("on_unavailable = accept")
        .with("connector_set = no-such-set");
    let haraka = Haraka::start(&pki, &setup).listening();
    assert_eq!(asks(&haraka), FAULT);
    assert!(haraka.log().contains("NOT_FOUND"), "{}", haraka.log());
}

#[test]
fn a_service_that_hangs_is_waited_for_no_longer_than_the_deadline() {
    let pki = Pki::new();
    let (hangs, answers) = (serve(), serve());
    let setup = Setup::asking(&[&hangs]).with("deadline_ms = 2000");
    let alone = Haraka::start(&pki, &setup).listening();
    let both = Haraka::start(&pki, &Setup::asking(&[&hangs, &answers])).listening();
    assert!(asks(&both).starts_with("250 "));
    hangs.signal("STOP");
    let begin = Instant::now();
    assert_eq!(asks(&alone), LATER);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    // With another one up, nothing is deferred.
    for _ in 0..4 {
        assert!(asks(&both).starts_with("250 "));
    }
    hangs.signal("CONT");
}

#[test]
fn one_that_is_killed_under_load_defers_nothing() {
    let pki = Pki::new();
    let (killed, stays) = (serve(), serve());
    let setup = Setup::asking(&[&killed, &stays]);
    let haraka = Haraka::start(&pki, &setup).listening();
    let replies: Vec<String> = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut smtp = haraka.from("192.0.2.7");
                    let mut replies = Vec::new();
                    for _ in 0..60 {
                        replies.push(smtp.asks("ann@elsewhere.test", "bob@contoso.com"));
                        smtp.says("RSET");
                    }
                    replies
                })
            })
            .collect();
        let mut smtp = haraka.from("192.0.2.7");
        for _ in 0..20 {
            smtp.asks("ann@elsewhere.test", "bob@contoso.com");
            smtp.says("RSET");
        }
        killed.signal("KILL");
        sessions
            .into_iter()
            .flat_map(|session| session.join().unwrap())
            .collect()
    });
    assert_eq!(replies.len(), 240);
    let deferred: Vec<_> = replies
        .iter()
        .filter(|reply| !reply.starts_with("250 "))
        .collect();
    assert!(deferred.is_empty(), "{deferred:?}\n{}", haraka.log());
}

#[test]
fn an_exception_fails_closed() {
    let pki = Pki::new();
    let running = serve();
    let plugins = ["tls", "test_throw", "postern", "test_take"];
    let setup = Setup::asking(&[&running]).plugged(&plugins);
    let haraka = Haraka::start(&pki, &setup).listening();
    for planted in ["helo", "cipher", "later"] {
        let mut smtp = haraka.from("192.0.2.7").starttls(None);
        let reply = smtp.asks(&format!("{planted}@elsewhere.test"), "bob@contoso.com");
        assert_eq!(reply, FAULT, "{planted}: {}", haraka.log());
        assert!(haraka.log().contains("planted in"), "{}", haraka.log());
    }
    assert!(asks(&haraka).starts_with("250 "), "{}", haraka.log());
}

#[test]
fn a_plugin_that_accepts_first_opens_nothing() {
    let pki = Pki::new();
    let running = serve();
    let plugins = ["test_early", "tls", "postern", "test_take"];
    let setup = Setup::asking(&[&running]).plugged(&plugins);
    let haraka = Haraka::start(&pki, &setup).listening();
    assert_eq!(asks(&haraka), FAULT);
    let told = "put postern first in config/plugins";
    assert!(haraka.log().contains(told), "{}", haraka.log());
}

#[test]
fn settings_that_are_wrong_are_told_at_the_start() {
    let pki = Pki::new();
    let setup = Setup::asking(&[])
        .with("endpoints = http://postern")
        .with("deadline = 1s");
    let said = Haraka::start(&pki, &setup).ended();
    for wanted in [
        "postern.ini: deadline: there is no such setting",
        "postern.ini: endpoints = http://postern: write host:port without a scheme",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
}
