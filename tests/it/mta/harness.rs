//! That what mail gateways are tried with tells right from wrong.

use super::{
    pki::{Pki, Shown, sha256},
    place::{free_port, loopback},
    postfix::{Postfix, Service, Setup},
    sink::Sink,
    smtp::Smtp,
};

#[test]
fn a_postfix_sees_the_certificates_as_they_are() {
    let pki = Pki::new();
    let (plain, proxied) = (Service::inbound(free_port()), Service::proxied(free_port()));
    let postfix = Postfix::start(
        &pki,
        &Setup {
            services: vec![plain.clone(), proxied.clone()],
            ..Setup::default()
        },
    );
    for (shown, wanted) in [
        (Shown::Good, "Trusted TLS connection"),
        (Shown::AlternativeOnly, "Trusted TLS connection"),
        (Shown::WrongName, "Trusted TLS connection"),
        (Shown::Untrusted, "Untrusted TLS connection"),
        (Shown::SelfSigned, "Untrusted TLS connection"),
        (Shown::Expired, "Untrusted TLS connection"),
        (Shown::ServerAuthOnly, "Untrusted TLS connection"),
    ] {
        let before = postfix.log().len();
        let pair = pki.client(shown);
        assert_eq!(sha256(&pair).len(), 64);
        let mut smtp = Smtp::connect(Postfix::at(&plain)).starttls(Some(&pair));
        let reply = smtp.asks("ann@partner.test", "bob@gateway.test");
        assert_eq!(reply, "250 2.1.5 Ok", "{shown:?}");
        let line = postfix.until_logged(before, |line| line.contains("TLS connection established"));
        assert!(
            line.contains(&format!(": {wanted} established")),
            "{shown:?}: {line}"
        );
    }
    let mut smtp = Smtp::from(Postfix::at(&proxied), "203.0.113.7");
    let reply = smtp.sends(
        "ann@partner.test",
        "bob@gateway.test",
        "Subject: a\r\n\r\nb",
    );
    assert!(reply.starts_with("250 2.0.0 Ok: queued"), "{reply}");
    postfix.until_logged(0, |line| line.contains("client=unknown[203.0.113.7]"));
    let reply = Smtp::connect(Postfix::at(&plain)).asks("a@b.test", "bob@elsewhere.test");
    assert_eq!(reply, "554 5.7.1 <bob@elsewhere.test>: Relay access denied");
}

#[test]
fn what_is_not_delivered_is_queued() {
    let pki = Pki::new();
    let sink = Sink::start((loopback(), 0).into(), None);
    let relay = Service::inbound(free_port())
        .with("mynetworks = 127.0.0.0/8")
        .with("smtpd_relay_restrictions = permit_mynetworks, reject");
    let postfix = Postfix::start(
        &pki,
        &Setup {
            main: format!(
                "default_transport = smtp\nsmtp_tls_security_level = encrypt\nrelayhost = [{}]:{}\n",
                sink.address().ip(),
                sink.address().port()
            ),
            services: vec![relay.clone()],
            ..Setup::default()
        },
    );
    let mut smtp = Smtp::connect(Postfix::at(&relay));
    let reply = smtp.sends(
        "ann@gateway.test",
        "bob@partner.test",
        "Subject: a\r\n\r\nb",
    );
    assert!(reply.starts_with("250 2.0.0 Ok: queued"), "{reply}");
    let deferred = |line: &str| line.contains("TLS is required, but was not offered");
    postfix.until_logged(0, deferred);
    let queue = postfix.queue();
    assert_eq!(queue.len(), 1, "{queue:?}");
    let message = postfix.message(queue[0]["queue_id"].as_str().unwrap());
    assert!(
        message.contains("\nSubject: a\n") && message.ends_with("\n\nb\n"),
        "{message}"
    );
    let seen = postfix.log().len();
    postfix.flush();
    postfix.until_logged(seen, deferred);
    assert_eq!(sink.mails(), []);
    assert!(!sink.plaintext().contains("MAIL"));
}

#[test]
fn a_sink_keeps_what_came_in_the_clear_apart() {
    let pki = Pki::new();
    let sink = Sink::start((loopback(), 25).into(), Some(&pki.named(&["sink.test"])));
    let (sender, recipient) = ("ann@partner.test", "bob@gateway.test");
    let reply = Smtp::connect(sink.address()).sends(sender, recipient, "in the clear");
    assert_eq!(reply, "250 taken");
    let reply =
        Smtp::connect(sink.address())
            .starttls(None)
            .sends(sender, recipient, "for nobody else");
    assert_eq!(reply, "250 taken");
    let mails = sink.until(2);
    let over_tls: Vec<_> = mails.iter().map(|mail| mail.over_tls).collect();
    assert_eq!(over_tls, [false, true]);
    assert_eq!(mails[1].recipients, [recipient]);
    assert!(sink.plaintext().contains("in the clear"));
    assert!(!sink.plaintext().contains("for nobody else"));
}
