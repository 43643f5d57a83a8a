//! Mail that comes to Postfix, which asks by policy delegation: what it says to each partner.

use std::{fmt::Write as _, fs};

use super::{
    pki::{Pki, Shown, sha256},
    place::{free_port, loopback},
    postfix::{Postfix, Service, Setup},
    sink::Sink,
    smtp::Smtp,
};
use crate::running::Running;

/// What partners show: nothing, TLS without a certificate, or one.
const SESSIONS: [(&str, bool, Option<Shown>); 8] = [
    ("plaintext", false, None),
    ("no certificate", true, None),
    ("good", true, Some(Shown::Good)),
    ("untrusted", true, Some(Shown::Untrusted)),
    ("expired", true, Some(Shown::Expired)),
    ("wrong name", true, Some(Shown::WrongName)),
    ("alternative only", true, Some(Shown::AlternativeOnly)),
    ("server only", true, Some(Shown::ServerAuthOnly)),
];

/// `PIN` is the fingerprint of the untrusted certificate.
const SET: &str = r#"version = 1
[[inbound]]
name = "TLS"
match.sender_domains = ["tls.test"]
require.tls = "encrypt"
[[inbound]]
name = "Named"
match.sender_domains = ["named.test"]
require.certificate_names = ["mail.partner.test"]
[[inbound]]
name = "Pinned"
match.sender_domains = ["pinned.test"]
require.certificate_fingerprints = ["PIN"]
[[inbound]]
name = "Report"
mode = "report"
match.sender_domains = ["report.test"]
require.tls = "encrypt"
[[inbound]]
name = "Addresses"
match.sender_domains = ["addresses.test"]
require.client_ips = ["203.0.113.0/24", "2001:db8:7::/48"]
[[inbound]]
name = "Own MX"
match.sender_domains = ["*"]
match.recipient_domains = ["locked.gateway.test"]
require.client_ips = ["203.0.113.0/24"]
[[inbound]]
name = "Scoped"
match.sender_domains = ["scoped.test"]
match.recipient_domains = ["strict.gateway.test"]
require.tls = "encrypt"
[[inbound]]
name = "Range"
match.client_ips = ["198.51.100.0/24"]
require.tls = "encrypt"
[end]
"#;

/// Everything only from the filtering service.
const FILTER: &str = r#"version = 1
[[inbound]]
name = "Filter"
match.sender_domains = ["*"]
require.client_ips = ["203.0.113.0/24"]
[end]
"#;

/// Mail by the client's address; to `filter` at the door of that set.
const MAILS: [(&str, &str, &str); 14] = [
    ("203.0.113.7", "ann@addresses.test", "bob@gateway.test"),
    ("192.0.2.7", "ann@addresses.test", "bob@gateway.test"),
    ("2001:db8:7::1", "ann@addresses.test", "bob@gateway.test"),
    ("2001:db8:8::1", "ann@addresses.test", "bob@gateway.test"),
    ("192.0.2.7", "ann@any.test", "bob@locked.gateway.test"),
    ("203.0.113.7", "ann@any.test", "bob@locked.gateway.test"),
    ("192.0.2.7", "", "bob@locked.gateway.test"),
    ("192.0.2.7", "ann@scoped.test", "bob@gateway.test"),
    ("192.0.2.7", "ann@scoped.test", "bob@strict.gateway.test"),
    ("198.51.100.7", "ann@any.test", "bob@gateway.test"),
    ("198.51.100.7", "", "bob@gateway.test"),
    ("192.0.2.7", "", "bob@gateway.test"),
    ("192.0.2.7", "ann@any.test", "filter@gateway.test"),
    ("203.0.113.7", "ann@any.test", "filter@gateway.test"),
];

#[test]
fn each_partner_is_told_what_its_connector_demands() {
    let pki = Pki::new();
    let pairs = SESSIONS.map(|(_, _, shown)| shown.map(|shown| pki.client(shown)));
    let pin = sha256(pairs[3].as_ref().unwrap());
    let set = SET.replace("PIN", &pin);
    let service = Running::serve_with(
        &[("default", &set), ("filter", FILTER)],
        "[connectors]\ndefault_set = \"default\"\n",
    );
    let (policy, filter) = (free_port(), free_port());
    let _bridge = Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n[[policy]]\nlisten = \"127.0.0.1:{policy}\"\n\
         connector_set = \"default\"\n[[policy]]\nlisten = \"127.0.0.1:{filter}\"\n\
         connector_set = \"filter\"\n",
        service.listen
    ));
    let asks = |port: u16| {
        format!(
            "smtpd_recipient_restrictions = check_policy_service {{ inet:127.0.0.1:{port}, \
             timeout=20s, {{ default_action = 451 4.7.1 connector policy unavailable, try later }} }}"
        )
    };
    let plain = Service::inbound(free_port()).with(&asks(policy));
    let proxied = Service::proxied(free_port()).with(&asks(policy));
    let filtered = Service::proxied(free_port()).with(&asks(filter));
    let _postfix = Postfix::start(
        &pki,
        &Setup {
            main: "inet_protocols = all\n".to_owned(),
            services: vec![plain.clone(), proxied.clone(), filtered.clone()],
            ..Setup::default()
        },
    );

    let mut said = String::new();
    for ((shown, tls, _), pair) in SESSIONS.iter().zip(&pairs) {
        let mut smtp = Smtp::connect(Postfix::at(&plain));
        if *tls {
            smtp = smtp.starttls(pair.as_ref());
        }
        for domain in ["tls.test", "named.test", "pinned.test", "report.test"] {
            let reply = smtp.asks(&format!("ann@{domain}"), "bob@gateway.test");
            writeln!(said, "{shown}, {domain}: {reply}").unwrap();
            smtp.says("RSET");
        }
    }
    for (client, sender, recipient) in MAILS {
        let filter = recipient == "filter@gateway.test";
        let service = if filter { &filtered } else { &proxied };
        let reply = Smtp::from(Postfix::at(service), client).asks(sender, recipient);
        writeln!(said, "{client}, <{sender}> to <{recipient}>: {reply}").unwrap();
    }
    // One session, two recipients: each has its own answer.
    let mut smtp = Smtp::from(Postfix::at(&proxied), "192.0.2.7");
    let one = smtp.asks("ann@scoped.test", "bob@strict.gateway.test");
    let other = smtp.says("RCPT TO:<bob@gateway.test>");
    writeln!(said, "one message: {one} | {other}").unwrap();
    insta::assert_snapshot!(said);
}

#[test]
fn the_connector_is_recorded_and_a_forged_one_is_not() {
    let pki = Pki::new();
    let sink = Sink::start((loopback(), 0).into(), None);
    let set = SET.replace("PIN", &"0".repeat(64));
    let service = Running::serve(&[("default", &set)]);
    let policy = free_port();
    let _bridge = Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n[[policy]]\nlisten = \"127.0.0.1:{policy}\"\n\
         header = \"X-Postern-Connector-k3v9\"\n",
        service.listen
    ));
    // The recipe of docs/gateways/postfix.md.
    let strip = pki.ca().with_file_name("strip");
    fs::write(&strip, "/^X-Postern-Connector:/ IGNORE\n").unwrap();
    let show = pki.ca().with_file_name("show");
    let rule = "/^X-Postern-Connector-k3v9:(.*)/ REPLACE X-Postern-Connector:$1\n";
    fs::write(&show, rule).unwrap();
    let inbound = Service::inbound(free_port());
    let _postfix = Postfix::start(
        &pki,
        &Setup {
            main: format!(
                "relay_transport = smtp:[{}]:{}\nheader_checks = regexp:{}\n\
                 smtp_header_checks = regexp:{}\nsmtpd_recipient_restrictions = \
                 check_policy_service inet:127.0.0.1:{policy}\n",
                sink.address().ip(),
                sink.address().port(),
                strip.display(),
                show.display()
            ),
            services: vec![inbound.clone()],
            ..Setup::default()
        },
    );
    let mut smtp = Smtp::connect(Postfix::at(&inbound)).starttls(None);
    let forged = "X-Postern-Connector: Forged\r\nx-postern-connector: Other\r\nSubject: a\r\n\r\nb";
    let reply = smtp.sends("ann@tls.test", "bob@gateway.test", forged);
    assert!(reply.starts_with("250"), "{reply}");
    let mails = sink.until(1);
    let named: Vec<_> = mails[0]
        .body
        .lines()
        .filter(|line| line.to_lowercase().starts_with("x-postern"))
        .collect();
    assert_eq!(named, ["X-Postern-Connector: TLS"]);
}
