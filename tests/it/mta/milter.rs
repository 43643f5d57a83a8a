//! Postfix and Sendmail ask by milter: what they tell of a session, and what they say to the
//! sending server, word for word.

use std::{fmt::Write as _, net::SocketAddr};

use super::{
    pki::{Pki, Shown, sha256},
    place::free_port,
    postfix::{Postfix, Service, Setup},
    sendmail::Sendmail,
    smtp::Smtp,
};
use crate::{running::Running, transport::authority::Pair};

#[test]
fn sendmail_tells_what_it_sees() {
    let (partners, service) = served();
    let bridge = bridge(&service);
    let sendmail = Sendmail::start(&partners.pki, bridge.listen);
    insta::assert_snapshot!("milter_of_sendmail", told(&partners, sendmail.at()));
    let mut near = Smtp::connect(sendmail.at_ipv6());
    assert_eq!(
        near.asks("ann@here.test", BOB),
        "250 2.1.5 <bob@gateway.test>... Recipient ok"
    );
    near.says("RSET");
    let reply = near.asks("ann@elsewhere.test", BOB);
    assert_eq!(
        reply,
        "550 5.7.1 <bob@gateway.test>... mail from this domain is not accepted from [IPv6:::1]"
    );
}

#[test]
fn postfix_tells_what_it_sees() {
    let (partners, service) = served();
    let bridge = bridge(&service);
    let (postfix, plain, proxied) = postfix(&partners.pki, &bridge);
    insta::assert_snapshot!("milter_of_postfix", told(&partners, Postfix::at(&plain)));
    for client in ["203.0.113.7", "2001:db8::7"] {
        let mut far = Smtp::from(Postfix::at(&proxied), client);
        assert_eq!(
            far.asks("ann@elsewhere.test", BOB),
            "250 2.1.5 Ok",
            "{client}"
        );
    }
    let mut far = Smtp::from(Postfix::at(&proxied), "2001:db9::7");
    let reply = far.asks("ann@elsewhere.test", BOB);
    assert_eq!(
        reply,
        "550 5.7.1 mail from this domain is not accepted from [IPv6:2001:db9::7]"
    );
    drop(postfix);
}

#[test]
fn sendmail_shows_connectors_and_no_forged_ones() {
    let (partners, service) = served();
    let bridge = bridge(&service);
    let sendmail = Sendmail::start(&partners.pki, bridge.listen);
    let mut smtp = Smtp::connect(sendmail.at()).starttls(None);
    let first = sendmail.headers(&sent(&mut smtp, "ann@scope.test", &[BOB, SECRET]));
    let second = sendmail.headers(&sent(&mut smtp, "ann@nobody.test", &[BOB]));
    assert_eq!(connectors(&first), ["X-Connector: Scoped"]);
    assert_eq!(connectors(&second), [""; 0]);
}

#[test]
fn postfix_shows_connectors_and_no_forged_ones() {
    let (partners, service) = served();
    let bridge = bridge(&service);
    let (postfix, plain, _) = postfix(&partners.pki, &bridge);
    let mut smtp = Smtp::connect(Postfix::at(&plain)).starttls(None);
    let mut headers = |sender: &str, recipients: &[&str]| {
        let reply = sent(&mut smtp, sender, recipients);
        let id = reply
            .strip_prefix("250 2.0.0 Ok: queued as ")
            .expect(&reply);
        let message = postfix.message(id);
        message.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        connectors(&headers("ann@scope.test", &[BOB, SECRET])),
        ["X-Connector: Scoped"]
    );
    assert_eq!(connectors(&headers("ann@nobody.test", &[BOB])), [""; 0]);
}

#[test]
fn mail_waits_while_nobody_decides() {
    let (partners, mut service) = served();
    let mut bridge = bridge(&service);
    let sendmail = Sendmail::start(&partners.pki, bridge.listen);
    let (_postfix, plain, _) = postfix(&partners.pki, &bridge);
    let asks = |at| Smtp::connect(at).asks("ann@nobody.test", BOB);
    let (at_sendmail, at_postfix) = (sendmail.at(), Postfix::at(&plain));
    assert_eq!(
        asks(at_sendmail),
        "250 2.1.5 <bob@gateway.test>... Recipient ok"
    );
    assert_eq!(asks(at_postfix), "250 2.1.5 Ok");
    service.signal("KILL");
    service.end();
    let unavailable = "connector policy unavailable, try later";
    assert_eq!(asks(at_sendmail), format!("451 4.7.1 {unavailable}"));
    assert_eq!(asks(at_postfix), format!("451 4.7.1 {unavailable}"));
    bridge.signal("KILL");
    bridge.end();
    assert_eq!(asks(at_sendmail), "451 4.3.2 Please try again later");
    assert_eq!(
        asks(at_postfix),
        "451 4.7.1 Service unavailable - try again later"
    );
}

const BOB: &str = "bob@gateway.test";
const SECRET: &str = "eve@secret.gateway.test";

/// The replies to what `told` asks, in all sessions.
fn told(partners: &Partners, at: SocketAddr) -> String {
    let mut table = String::new();
    let mut row = |session: &str, smtp: &mut Smtp, sender: &str, recipient: &str| {
        let reply = smtp.asks(sender, recipient);
        smtp.says("RSET");
        writeln!(table, "{session}, {sender} to {recipient}: {reply}").unwrap();
    };
    let mut smtp = Smtp::connect(at);
    for (sender, recipient) in [
        ("ann@tls.test", BOB),
        ("ann@cert.test", BOB),
        ("ann@pin.test", BOB),
        ("ann@elsewhere.test", BOB),
        ("ann@here.test", BOB),
        ("ann@report.test", BOB),
        ("ann@worded.test", BOB),
        ("ann@scope.test", BOB),
        ("ann@scope.test", SECRET),
        ("ann@nobody.test", "bob@filter.test"),
        ("", "bob@filter.test"),
        ("", "bob@range.test"),
        ("", BOB),
    ] {
        row("plaintext", &mut smtp, sender, recipient);
    }
    let mut smtp = Smtp::connect(at).starttls(None);
    for sender in [
        "ann@tls.test",
        "ann@cert.test",
        "ann@pin.test",
        "ann@worded.test",
    ] {
        row("TLS", &mut smtp, sender, BOB);
    }
    row("TLS", &mut smtp, "ann@scope.test", SECRET);
    row("TLS", &mut smtp, "", "bob@range.test");
    for (shown, pair) in &partners.pairs {
        let mut smtp = Smtp::connect(at).starttls(Some(pair));
        row(shown, &mut smtp, "ann@cert.test", BOB);
        row(shown, &mut smtp, "ann@pin.test", BOB);
    }
    table
}

/// A whole message with forged headers; the reply to its end.
fn sent(smtp: &mut Smtp, sender: &str, recipients: &[&str]) -> String {
    smtp.says(&format!("MAIL FROM:<{sender}>"));
    for recipient in recipients {
        let reply = smtp.says(&format!("RCPT TO:<{recipient}>"));
        assert!(reply.starts_with("250"), "{reply}");
    }
    smtp.says("DATA");
    smtp.says(
        "X-Connector: forged\r\nSubject: a\r\nx-CONNECTOR:Filter\r\n folded\r\n\
         X-Connector:\r\nX-Connector: forged\r\nX-Connector : forged\r\nX-Connector2: other\r\n\r\nb\r\n.",
    )
}

/// The headers among `lines` that look like those that show connectors.
fn connectors(lines: &[String]) -> Vec<&str> {
    let lines = lines.iter().map(String::as_str);
    let ours = |line: &&str| line.to_ascii_lowercase().starts_with("x-connector");
    let (ours, others): (Vec<_>, Vec<_>) = lines
        .filter(ours)
        .partition(|line| !line.starts_with("X-Connector2"));
    assert_eq!(others, ["X-Connector2: other"]);
    ours
}

/// Certificates that partners show, each with what is right or wrong with it.
struct Partners {
    pki: Pki,
    pairs: Vec<(&'static str, Pair)>,
}

impl Partners {
    fn new() -> Self {
        let pki = Pki::new();
        let pairs = [
            ("good", Shown::Good),
            ("untrusted", Shown::Untrusted),
            ("of itself", Shown::SelfSigned),
            ("expired", Shown::Expired),
            ("wrong name", Shown::WrongName),
            ("alternative names only", Shown::AlternativeOnly),
            ("serverAuth only", Shown::ServerAuthOnly),
        ];
        let pairs = pairs.map(|(name, shown)| (name, pki.client(shown)));
        Self {
            pairs: pairs.into(),
            pki,
        }
    }

    fn pair(&self, name: &str) -> &Pair {
        let mut pairs = self.pairs.iter();
        &pairs.find(|(it, _)| *it == name).unwrap().1
    }
}

fn postfix(pki: &Pki, bridge: &Running) -> (Postfix, Service, Service) {
    let asks = format!(
        "smtpd_milters = {{ inet:{}, connect_timeout=5s, command_timeout=10s, \
         content_timeout=20s, default_action=tempfail }}",
        bridge.listen
    );
    let main = "relay_domains = gateway.test, filter.test, range.test\n\
                relay_transport = relay:\ndefer_transports = relay\n\
                smtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 100\ninet_protocols = all\n";
    let plain = Service::inbound(free_port()).with(&asks);
    let proxied = Service::proxied(free_port()).with(&asks);
    let setup = Setup {
        main: main.to_owned(),
        services: vec![plain.clone(), proxied.clone()],
        ..Setup::default()
    };
    (Postfix::start(pki, &setup), plain, proxied)
}

/// The five examples of Microsoft, and what else partners are told apart by.
fn served() -> (Partners, Running) {
    let partners = Partners::new();
    let pins = [
        "good",
        "untrusted",
        "alternative names only",
        "serverAuth only",
    ]
    .map(|name| format!("\"{}\"", sha256(partners.pair(name))));
    let pinned = format!("require.certificate_fingerprints = [{}]", pins.join(", "));
    let gateway = set(
        "gateway.test\", \"*.gateway.test",
        &[
            (
                "Encrypted",
                "match.sender_domains = [\"tls.test\"]",
                "require.tls = \"encrypt\"",
            ),
            (
                "Named",
                "match.sender_domains = [\"cert.test\"]",
                "require.certificate_names = [\"*.partner.test\"]",
            ),
            ("Pinned", "match.sender_domains = [\"pin.test\"]", &pinned),
            (
                "Far",
                "match.sender_domains = [\"elsewhere.test\"]",
                "require.client_ips = [\"203.0.113.0/24\", \"2001:db8::/32\"]",
            ),
            (
                "Near",
                "match.sender_domains = [\"here.test\"]",
                "require.client_ips = [\"127.0.0.0/8\", \"::1\"]",
            ),
            (
                "Reported",
                "mode = \"report\"\nmatch.sender_domains = [\"report.test\"]",
                "require.tls = \"encrypt\"",
            ),
            (
                "Worded",
                "match.sender_domains = [\"worded.test\"]",
                "require.tls = \"encrypt\"\nreply = { action = \"defer\", text = \"100% sure, %s and %n: not now\" }",
            ),
            (
                "Scoped",
                "match.sender_domains = [\"scope.test\"]\nmatch.recipient_domains = [\"secret.gateway.test\"]",
                "require.tls = \"encrypt\"",
            ),
        ],
    );
    let filter = set(
        "filter.test",
        &[(
            "Filter",
            "match.sender_domains = [\"*\"]",
            "require.client_ips = [\"203.0.113.0/24\"]",
        )],
    );
    let range = set(
        "range.test",
        &[(
            "Range",
            "match.client_ips = [\"127.0.0.0/8\", \"::1\"]",
            "require.tls = \"encrypt\"",
        )],
    );
    let service = Running::serve(&[
        ("gateway", &gateway),
        ("filter", &filter),
        ("range", &range),
    ]);
    (partners, service)
}

fn set(accepted: &str, connectors: &[(&str, &str, &str)]) -> String {
    let mut text = format!("version = 1\naccepted_domains = [\"{accepted}\"]\n");
    for (name, matches, requires) in connectors {
        write!(
            text,
            "[[inbound]]\nname = \"{name}\"\n{matches}\n{requires}\n"
        )
        .unwrap();
    }
    text + "[end]\n"
}

/// A bridge with a milter.
fn bridge(service: &Running) -> Running {
    Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n\
         [[milter]]\nlisten = \"127.0.0.1:0\"\nheader = \"X-Connector\"\n",
        service.listen
    ))
}
