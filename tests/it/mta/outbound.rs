//! Postfix delivers as outbound connectors say: each level, each kind of next hop, by MX and
//! through smart hosts.

use std::{collections::HashMap, fmt::Write as _};

use super::{
    dns,
    pki::{Pki, Shown, sha256},
    place::{free_port, loopback},
    postfix::{Postfix, Service, Setup},
    sink::Sink,
    smtp::Smtp,
};
use crate::running::Running;

/// What next hops show: no TLS at all, or a certificate.
const HOPS: [(&str, Option<Shown>); 5] = [
    ("none", None),
    ("self", Some(Shown::SelfSigned)),
    ("untrusted", Some(Shown::Untrusted)),
    ("wrong", Some(Shown::WrongName)),
    ("right", Some(Shown::Good)),
];

/// What connectors demand, and the next hops that mail goes to then. `PIN` is the fingerprint of
/// the certificate that the self-signed next hop shows.
const LEVELS: [(&str, &str, &[&str]); 6] = [
    (
        "may",
        "require.tls = \"opportunistic\"",
        &["none", "self", "untrusted", "wrong", "right"],
    ),
    (
        "encrypt",
        "require.tls = \"encrypt\"",
        &["self", "untrusted", "wrong", "right"],
    ),
    (
        "pinned",
        "require.tls = \"encrypt\"\nrequire.certificate_fingerprints = [\"PIN\"]",
        &["self"],
    ),
    // A trusted certificate for another name would do, but Postfix has no such level.
    ("trusted", "require.tls = \"trusted\"", &["right"]),
    (
        "domain",
        "require.tls = \"domain\"\nrequire.certificate_names = [\"*.hops.test\"]\n\
         require.tls_min_version = \"TLSv1.2\"",
        &["right"],
    ),
    (
        "either",
        "require.tls = \"domain\"\nrequire.certificate_fingerprints = [\"PIN\"]",
        &["self"],
    ),
];

/// Mail to one domain.
struct Case {
    name: String,
    sink: Sink,
    delivered: bool,
}

#[test]
fn nothing_leaves_but_as_its_connector_says() {
    let pki = Pki::new();
    let (mut cases, mut hosts, mut set) = (Vec::new(), HashMap::new(), "version = 1\n".to_owned());
    for route in ["mx", "smart"] {
        for (level, require, delivered) in LEVELS {
            let mut pin = String::new();
            let mut names = Vec::new();
            for (hop, shown) in HOPS {
                let name = format!("{level}-{hop}-{route}");
                let host = format!("{name}.hops.test");
                let pair = shown.map(|shown| pki.of(&host, shown));
                if hop == "self" {
                    pin = sha256(pair.as_ref().unwrap());
                }
                let address = loopback();
                let sink = Sink::start((address, 25).into(), pair.as_ref());
                hosts.insert(name.clone(), address);
                cases.push(Case {
                    name: name.clone(),
                    sink,
                    delivered: delivered.contains(&hop),
                });
                names.push(name);
            }
            for name in names {
                writeln!(
                    set,
                    "[[outbound]]\nname = \"{name}\"\nmatch.recipient_domains = [\"{name}.out.test\"]"
                )
                .unwrap();
                if route == "smart" {
                    writeln!(set, "route.smart_hosts = [\"{name}.hops.test\"]").unwrap();
                }
                writeln!(set, "{}", require.replace("PIN", &pin)).unwrap();
            }
        }
    }
    set.push_str("[end]\n");
    let service = Running::serve(&[("default", &set)]);
    let bridge = bridge(&service);
    let resolver = loopback();
    dns::serve(resolver, hosts);
    let (postfix, relay) = postfix(&pki, &bridge, Some(resolver));

    let mut smtp = Smtp::connect(Postfix::at(&relay));
    assert_eq!(smtp.says("MAIL FROM:<ann@gateway.test>"), "250 2.1.0 Ok");
    for Case { name, .. } in &cases {
        let reply = smtp.says(&format!("RCPT TO:<bob@{name}.out.test>"));
        assert_eq!(reply, "250 2.1.5 Ok", "{name}");
    }
    assert!(smtp.says("DATA").starts_with("354"));
    assert!(
        smtp.says("Subject: secret\r\n\r\nsecret\r\n.")
            .starts_with("250")
    );

    let mut wrong = Vec::new();
    for case in &cases {
        let to = format!("to=<bob@{}.out.test>", case.name);
        let line = postfix.until_logged(0, |line| line.contains(&to) && line.contains("status="));
        let (mails, clear) = (case.sink.mails(), case.sink.plaintext());
        let in_the_clear = clear.contains("MAIL") || clear.contains("secret");
        let may = case.name.starts_with("may-none");
        let right = if case.delivered {
            line.contains("status=sent") && mails.len() == 1 && mails[0].over_tls != may
        } else {
            line.contains("status=deferred (") && mails.is_empty()
        };
        if !right || in_the_clear != may {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cases.len(), 60);
}

#[test]
fn mail_waits_while_postern_cannot_be_asked() {
    let pki = Pki::new();
    let sink = Sink::start((loopback(), 0).into(), None);
    let set = format!(
        "version = 1\n[[outbound]]\nname = \"Any\"\nmatch.recipient_domains = [\"*\"]\n\
         route.smart_hosts = [\"{}\"]\n[end]\n",
        sink.address()
    );
    let mut service = Running::serve(&[("default", &set)]);
    let bridge = bridge(&service);
    let (postfix, relay) = postfix(&pki, &bridge, None);
    let (sender, recipient) = ("ann@gateway.test", "bob@partner.test");
    let mail = "Subject: a\r\n\r\nb";
    let reply = Smtp::connect(Postfix::at(&relay)).sends(sender, recipient, mail);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(sink.until(1)[0].recipients, [recipient]);
    // Own domains are not sent to the smart host.
    let reply = Smtp::connect(Postfix::at(&relay)).sends(recipient, sender, mail);
    assert!(reply.starts_with("250"), "{reply}");
    postfix.until_logged(0, |line| {
        line.contains("to=<ann@gateway.test>, relay=none") && line.contains("status=sent")
    });

    service.signal("KILL");
    service.end();
    let reply = Smtp::connect(Postfix::at(&relay)).asks(sender, "bob@other.test");
    assert_eq!(
        reply,
        "451 4.3.0 <bob@other.test>: Temporary lookup failure"
    );
    assert_eq!(sink.mails().len(), 1);
}

/// A bridge with both maps.
fn bridge(service: &Running) -> Running {
    Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n[[socketmap]]\nlisten = \"127.0.0.1:0\"\n\
         own_domains = [\"gateway.test\"]\n",
        service.listen
    ))
}

/// A Postfix that asks it, and takes mail from here.
fn postfix(
    pki: &Pki,
    bridge: &Running,
    resolver: Option<std::net::Ipv4Addr>,
) -> (Postfix, Service) {
    let maps = bridge.listen;
    let relay = Service::inbound(free_port())
        .with("mynetworks = 127.0.0.0/8")
        .with("smtpd_relay_restrictions = permit_mynetworks, reject");
    let setup = Setup {
        main: format!(
            "default_transport = smtp\ntransport_maps = socketmap:inet:{maps}:transport\n\
             smtp_tls_policy_maps = socketmap:inet:{maps}:tls\nsmtp_tls_security_level = may\n"
        ),
        services: vec![relay.clone()],
        resolver,
    };
    (Postfix::start(pki, &setup), relay)
}
