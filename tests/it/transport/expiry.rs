//! The server's own certificate, when its time is over.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rcgen::{CertificateParams, date_time_ymd};
use rustls::version::TLS13;

use super::{Authority, Pair, Served, handshakes::shown, metric};
use crate::running::{PATIENCE, field};

/// A certificate of a day that ends after `left`.
fn ends_in(authority: &Authority, left: Duration) -> Pair {
    authority.issue(
        &["postern.test", "127.0.0.1"],
        |params: &mut CertificateParams| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let end = date_time_ymd(1970, 1, 1) + now + left;
            params.not_before = end - Duration::from_hours(24);
            params.not_after = end;
        },
    )
}

#[test]
fn one_that_expires_while_it_is_in_force_is_said_and_measured() {
    let served = Served::new("");
    let says = |message: &str| {
        served.running.logged(|event| {
            field(event, "message").is_some_and(|it| it.as_str().unwrap().starts_with(message))
        })
    };
    // Where the machine is too busy for it to be in force in time, it takes a longer one.
    let mut left = Duration::from_secs(3);
    loop {
        let short = ends_in(&served.authority, left);
        let until = |event: &serde_json::Value| {
            field(event, "until").and_then(|at| at.as_str().map(str::to_owned))
        };
        let before = served.running.events().len();
        short.write(served.path(), "tls");
        let seen = Cell::new(0);
        let told = served.running.logged(|event| {
            seen.set(seen.get() + 1);
            let refused = field(event, "code").is_some_and(|code| code == "certificate-expired");
            let soon = field(event, "message")
                .is_some_and(|message| message == "the certificate expires soon");
            seen.get() > before && (refused || soon) && until(event).is_some()
        });
        if field(&told, "code").is_none() {
            break;
        }
        left *= 2;
    }
    let expired = says("the certificate has expired");
    assert_eq!(field(&expired, "level").unwrap(), "ERROR", "{expired}");
    let name = "postern_tls_certificate_not_after_timestamp_seconds";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(metric(&served.running, name).unwrap() <= now.as_secs());
    // It stays all the same, and who looks refuses it: within the second, which counts as its last.
    let begin = Instant::now();
    let told = loop {
        if let Err(told) = shown(&served, &TLS13) {
            break told;
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert!(
        told.contains("expired") || told.contains("Expired"),
        "{told}"
    );

    let next = served.authority.server("second");
    next.write(served.path(), "tls");
    let begin = Instant::now();
    while shown(&served, &TLS13).ok() != Some(next.der.clone()) {
        assert!(begin.elapsed() < PATIENCE);
    }
    assert!(metric(&served.running, name).unwrap() > now.as_secs());
}
