//! Mail that goes out: delivered or kept as the connectors say, and nothing weaker.

use std::{collections::BTreeMap, fmt::Write as _, net::Ipv4Addr, time::Instant};

use serde_json::Value;

use super::{Haraka, Setup};
use crate::{
    mta::{
        pki::{Pki, Shown, sha256},
        place::free_port,
        sink::Sink,
    },
    running::{PATIENCE, Running},
};

const PLUGINS: [&str; 4] = ["tls", "postern", "test_route", "test_relay"];
const HOPS: [(&str, Option<Shown>); 6] = [
    ("plain", None),
    ("self", Some(Shown::SelfSigned)),
    ("untrusted", Some(Shown::Untrusted)),
    ("expired", Some(Shown::Expired)),
    ("other", Some(Shown::WrongName)),
    ("right", Some(Shown::Good)),
];
/// What each level demands, and over which hops mail may go.
const LEVELS: [(&str, &str, &[&str]); 7] = [
    (
        "may",
        "require.tls = \"opportunistic\"",
        &["plain", "self", "untrusted", "expired", "other", "right"],
    ),
    (
        "encrypt",
        "require.tls = \"encrypt\"",
        &["self", "untrusted", "expired", "other", "right"],
    ),
    ("trusted", "require.tls = \"trusted\"", &["other", "right"]),
    (
        "domain",
        "require.tls = \"domain\"\nrequire.certificate_names = [\"mx.gateway.test\"]",
        &["right"],
    ),
    (
        "names",
        "require.tls = \"domain\"\nrequire.certificate_names = [\"mx.nobody.test\", \"*.gateway.test\"]",
        &["right"],
    ),
    (
        "pin",
        "require.tls = \"encrypt\"\nrequire.certificate_fingerprints = [\"PIN\"]",
        &["untrusted"],
    ),
    (
        "pinned",
        "require.tls = \"domain\"\nrequire.certificate_names = [\"mx.gateway.test\"]\nrequire.certificate_fingerprints = [\"PIN\"]",
        &["untrusted", "right"],
    ),
];

fn connector(name: &str, domain: &str, route: &str, require: &str) -> String {
    format!(
        "[[outbound]]\nname = \"{name}\"\nmatch.recipient_domains = [\"{domain}\"]\n{route}\n{require}\n"
    )
}

/// What became of the mail to each domain, once there are so many.
fn became(haraka: &Haraka, count: usize) -> BTreeMap<String, Value> {
    let begin = Instant::now();
    loop {
        let lines = haraka.wrote("became");
        if lines.len() >= count {
            let by_domain = |line: Value| (line["domain"].as_str().unwrap().to_owned(), line);
            return lines.into_iter().map(by_domain).collect();
        }
        assert!(
            begin.elapsed() < 4 * PATIENCE,
            "{count} wanted: {lines:#?}\n{}",
            haraka.log()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn mail_goes_over_sessions_that_meet_the_demand_alone() {
    let pki = Pki::new();
    let mut sinks = Vec::new();
    let mut pin = String::new();
    for (hop, shown) in HOPS {
        let pair = shown.map(|shown| pki.server(shown));
        if hop == "untrusted" {
            pin = sha256(pair.as_ref().unwrap());
        }
        let at = (Ipv4Addr::LOCALHOST, free_port()).into();
        sinks.push((hop, Sink::start(at, pair.as_ref())));
    }
    let mut set = "version = 1\n".to_owned();
    let mut wanted = Vec::new();
    for (level, require, passes) in LEVELS {
        let require = require.replace("PIN", &pin);
        for (hop, sink) in &sinks {
            let port = sink.address().port();
            let smart = format!("route.smart_hosts = [\"127.0.0.1:{port}\"]");
            for (way, domain, route) in [
                ("smart", format!("{level}-{hop}.test"), &*smart),
                ("mx", format!("mx-{port}-{level}.test"), ""),
            ] {
                let name = format!("{way} {level} {hop}");
                set.push_str(&connector(&name, &domain, route, &require));
                // By MX the guard is the same, whatever the level.
                if way == "smart" || ["may", "domain"].contains(&level) {
                    wanted.push((domain, *hop, passes.contains(hop)));
                }
            }
        }
    }
    set.push_str("[end]\n");
    let running = Running::serve(&[("default", &set)]);
    let setup = Setup::asking(&[&running])
        .with("inbound = false")
        .plugged(&PLUGINS);
    let haraka = Haraka::start(&pki, &setup).listening();
    let mut smtp = haraka.from("192.0.2.7");
    for (domain, ..) in &wanted {
        let body = format!("Subject: to {domain}\r\n\r\nfor {domain} alone");
        let reply = smtp.sends("ann@gateway.test", &format!("bob@{domain}"), &body);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let became = became(&haraka, wanted.len());
    let mut wrong = String::new();
    for (domain, hop, passes) in &wanted {
        let line = &became[domain];
        let what = if *passes { "delivered" } else { "deferred" };
        if line["became"] != what {
            writeln!(wrong, "{what} wanted: {line}").unwrap();
        }
        let sink = &sinks.iter().find(|(name, _)| name == hop).unwrap().1;
        let got = sink
            .mails()
            .iter()
            .any(|mail| mail.body.contains(&format!("for {domain} alone")));
        assert_eq!(got, *passes, "{line}");
        // Not even who writes to whom.
        let demands = !domain.starts_with("may-") && !domain.ends_with("-may.test");
        if demands {
            assert!(!sink.plaintext().contains(domain), "{domain} in the clear");
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{}", haraka.log());
    let codes = |domain: &str| became[domain]["codes"][0].as_str().unwrap().to_owned();
    assert_eq!(
        codes("domain-other.test"),
        "4.7.5",
        "{:?}",
        became["domain-other.test"]
    );
}

#[test]
fn what_is_to_bounce_bounces_and_the_rest_waits() {
    let pki = Pki::new();
    let at = || (Ipv4Addr::LOCALHOST, free_port()).into();
    let other = Sink::start(at(), Some(&pki.server(Shown::WrongName)));
    let right = Sink::start(at(), Some(&pki.server(Shown::Good)));
    let (first, second) = (other.address().port(), right.address().port());
    let named = "require.tls = \"domain\"\nrequire.certificate_names = [\"mx.gateway.test\"]";
    let reject = format!("{named}\nreply.action = \"reject\"");
    let set = [
        "version = 1\n".to_owned(),
        connector("Bounces", "bounces.test", &format!("route.smart_hosts = [\"127.0.0.1:{first}\"]"), &reject),
        // The first smart host is refused, the second is right.
        connector(
            "Second",
            "second.test",
            &format!("route.smart_hosts = [\"127.0.0.1:{first}\", \"127.0.0.1:{second}\"]"),
            &reject,
        ),
        // The second is not there: it may come back.
        connector(
            "Half",
            "half.test",
            &format!("route.smart_hosts = [\"127.0.0.1:{first}\", \"127.0.0.1:{}\"]", free_port()),
            &reject,
        ),
        connector("Newest", "newest.test", &format!("route.smart_hosts = [\"127.0.0.1:{second}\"]"), "require.tls_min_version = \"TLSv1.3\""),
        format!("[[outbound]]\nname = \"By rule\"\nscope = \"rule\"\nroute.smart_hosts = [\"127.0.0.1:{second}\"]\n{named}\n"),
        "[end]\n".to_owned(),
    ]
    .concat();
    let running = Running::serve(&[("default", &set)]);
    let setup = Setup::asking(&[&running])
        .with("inbound = false")
        .plugged(&PLUGINS);
    let haraka = Haraka::start(&pki, &setup).listening();
    let mut smtp = haraka.from("192.0.2.7");
    let mails = [
        ("bounces.test", "", "bounced", "5.7.5"),
        ("second.test", "", "delivered", ""),
        ("half.test", "", "deferred", "4.7.5"),
        ("newest.test", "", "delivered", ""),
        ("ruled.test", "X-Rule: By rule\r\n", "delivered", ""),
        ("unruled.test", "X-Rule: No such\r\n", "deferred", "4.3.5"),
    ];
    for (domain, header, ..) in mails {
        // The null sender, too.
        let body = format!("{header}Subject: {domain}\r\n\r\nbody");
        let reply = smtp.sends("", &format!("bob@{domain}"), &body);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let became = became(&haraka, mails.len());
    for (domain, _, what, code) in mails {
        let line = &became[domain];
        assert_eq!(line["became"], what, "{line}\n{}", haraka.log());
        if !code.is_empty() {
            assert_eq!(line["codes"][0], code, "{line}");
        }
    }
    assert!(other.mails().is_empty());
}

#[test]
fn nothing_leaves_unasked() {
    let pki = Pki::new();
    let sink = Sink::start((Ipv4Addr::LOCALHOST, free_port()).into(), None);
    let port = sink.address().port();
    let domain = format!("mx-{port}-any.test");
    // Nobody to ask: mail that goes out waits, whatever is done with mail that comes in.
    let nowhere = format!("endpoints = 127.0.0.1:{}", free_port());
    let setup = Setup::asking(&[])
        .with(&nowhere)
        .with("inbound = false")
        .with("on_unavailable = accept")
        .plugged(&PLUGINS);
    let down = Haraka::start(&pki, &setup).listening();
    // Another plugin routes it before we are asked.
    let set = format!(
        "version = 1\n{}[end]\n",
        connector("Any", &domain, "", "require.tls = \"encrypt\"")
    );
    let running = Running::serve(&[("default", &set)]);
    let plugins = ["test_early", "tls", "postern", "test_relay"];
    let setup = Setup::asking(&[&running])
        .with("inbound = false")
        .plugged(&plugins);
    let early = Haraka::start(&pki, &setup).listening();
    for haraka in [&down, &early] {
        let reply = haraka.from("192.0.2.7").sends(
            "ann@gateway.test",
            &format!("bob@{domain}"),
            "Subject: a\r\n\r\nb",
        );
        assert!(reply.starts_with("250 "), "{reply}");
        let became = became(haraka, 1);
        assert_eq!(became[&domain]["became"], "deferred", "{}", haraka.log());
    }
    assert!(sink.mails().is_empty());
    assert_eq!(sink.plaintext(), "");
}
