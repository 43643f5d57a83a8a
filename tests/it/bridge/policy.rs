//! Policy delegation over sockets: what is asked, what is answered, and what is cut.

use std::{io::Write as _, os::unix::net::UnixStream};

use super::{REFUSED, Smtpd, bridge, metric, question, service, until};
use crate::running::Running;

const CERTIFICATE: &str = "encryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_256_GCM_SHA384\n\
    ccert_subject=mail+2Efabrikam.com\nccert_issuer=Lab+20CA\nccert_fingerprint=AB:CD\n";

fn pair(more: &str) -> (Running, Running) {
    let service = service("");
    let bridge = bridge(&[service.listen], "", more);
    (service, bridge)
}

#[test]
fn questions_of_one_connection_are_answered_in_turn() {
    let (_service, bridge) = pair("");
    let mut smtpd = Smtpd::connect(bridge.listen);
    let refused = smtpd.asks(&question("ann@contosobank.com", ""));
    assert!(refused.starts_with(REFUSED), "{refused}");
    assert_eq!(smtpd.asks(&question("ann@other.test", "")), "action=DUNNO");
    assert_eq!(smtpd.asks(&question("", "")), "action=DUNNO");
    let encrypted = "encryption_protocol=TLSv1.2\nccert_fingerprint=\n";
    assert_eq!(
        smtpd.asks(&question("ann@contosobank.com", encrypted)),
        "action=DUNNO"
    );
    assert_eq!(
        smtpd.asks(&question("ann@fabrikam.com", CERTIFICATE)),
        "action=DUNNO"
    );
    // Presented, and not trusted: its names prove nothing.
    let untrusted = CERTIFICATE
        .replace("mail+2Efabrikam.com", "")
        .replace("Lab+20CA", "");
    let refused = smtpd.asks(&question("ann@fabrikam.com", &untrusted));
    assert!(refused.starts_with("action=550 5.7."), "{refused}");
    for (answer, count) in [("passed", 4), ("refused", 2), ("deferred", 0)] {
        let line =
            format!("postern_bridge_questions_total{{protocol=\"policy\",answer=\"{answer}\"}}");
        until(&bridge, &line, count);
    }
    assert_eq!(
        metric(&bridge, "postern_bridge_calls_total{grpc_code=\"OK\"}"),
        6
    );
    assert_eq!(
        metric(&bridge, "postern_bridge_connections{protocol=\"policy\"}"),
        1
    );
    assert_eq!(
        (bridge.page("/livez").0, bridge.page("/readyz").0),
        (200, 200)
    );
}

#[test]
fn a_recipient_decides_and_what_is_before_does_not() {
    let (_service, bridge) = pair("");
    let mut smtpd = Smtpd::connect(bridge.listen);
    let mut at = |state: &str, recipient: &str, instance: &str| {
        smtpd.asks(&format!(
            "request=smtpd_access_policy\nprotocol_state={state}\nclient_address=192.0.2.7\n\
             sender=ann@scoped.test\nrecipient={recipient}\ninstance={instance}\n\n"
        ))
    };
    let undecided = "action=451 4.3.5 connector policy undecided, try later";
    assert_eq!(at("CONNECT", "", "1"), "action=DUNNO");
    assert_eq!(at("MAIL", "", "1"), "action=DUNNO");
    assert_eq!(at("RCPT", "", "1"), undecided);
    assert_eq!(at("DATA", "", "1"), undecided);
    assert!(at("RCPT", "bob@strict.test", "1").starts_with(REFUSED));
    assert_eq!(at("DATA", "", "1"), undecided);
    assert_eq!(at("RCPT", "bob@easy.test", "1"), "action=DUNNO");
    assert_eq!(at("DATA", "", "1"), "action=DUNNO");
    assert_eq!(at("END-OF-MESSAGE", "", "1"), "action=DUNNO");
    assert_eq!(at("DATA", "", "2"), undecided);
    assert_eq!(at("DATA", "bob@easy.test", "2"), "action=DUNNO");
    assert_eq!(at("RCPT", "bob@easy.test", ""), "action=DUNNO");
    assert_eq!(at("DATA", "", ""), undecided);
}

#[test]
fn what_the_mta_got_wrong_is_a_defer() {
    let service = service("");
    let bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"{}\"\non_unavailable = \"accept\"\n[[policy]]\n\
         listen = \"127.0.0.1:0\"\n[[policy]]\nlisten = \"127.0.0.1:0\"\nconnector_set = \"none\"\n",
        service.listen
    ));
    let defer = "action=451 4.3.5 connector policy undecided, try later";
    let mut smtpd = Smtpd::connect(bridge.listen);
    let unknown = question("a@b.test", "").replace("192.0.2.7", "unknown");
    assert_eq!(smtpd.asks(&unknown), defer);
    let started = bridge.logged(|event| crate::running::field(event, "endpoints").is_some());
    let listen = crate::running::field(&started, "listen")
        .unwrap()
        .as_str()
        .unwrap();
    let (_, second) = listen.rsplit_once('=').unwrap();
    let mut smtpd = Smtpd::connect(second.parse().unwrap());
    assert_eq!(smtpd.asks(&question("a@b.test", "")), defer);
    for code in ["INVALID_ARGUMENT", "NOT_FOUND"] {
        let line = format!("postern_bridge_calls_total{{grpc_code=\"{code}\"}}");
        assert_eq!(metric(&bridge, &line), 1);
    }
    assert_eq!(
        metric(&bridge, "postern_bridge_unanswered_total{did=\"defer\"}"),
        2
    );
}

#[test]
fn a_header_names_each_connector_once() {
    let service = service("");
    let bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"{}\"\n[[policy]]\nlisten = \"127.0.0.1:0\"\nheader = \"X-Connector\"\n",
        service.listen
    ));
    let mut smtpd = Smtpd::connect(bridge.listen);
    let encrypted = |instance| format!("encryption_protocol=TLSv1.2\ninstance={instance}\n");
    let mut asks = |sender: &str, instance| smtpd.asks(&question(sender, &encrypted(instance)));
    let named = "action=PREPEND X-Connector: ContosoBank";
    assert_eq!(asks("ann@contosobank.com", "1"), named);
    assert_eq!(asks("ann@contosobank.com", "1"), "action=DUNNO");
    assert_eq!(asks("ann@contosobank.com", "2"), named);
    assert_eq!(asks("ann@other.test", "3"), "action=DUNNO");
}

#[test]
fn a_request_may_come_in_any_parts() {
    let (_service, bridge) = pair("");
    let whole = question("ann@contosobank.com", "");
    let mut smtpd = Smtpd::connect(bridge.listen);
    for octet in whole.as_bytes() {
        smtpd.send([*octet]);
    }
    assert!(smtpd.answer().starts_with(REFUSED));
    for at in (0..whole.len()).step_by(7) {
        let (begin, end) = whole.split_at(at);
        smtpd.send(begin);
        smtpd.send(end);
        assert!(smtpd.answer().starts_with(REFUSED), "{at}");
    }
}

#[test]
fn exim_is_answered_when_it_has_said_all() {
    let (_service, bridge) = pair("");
    let exim = "policy_context=exim\nx_ccert_verified=1\nencryption_protocol=TLS1.3\n\
                ccert_subject=\nccert_fingerprint=ab\nx_ccert_sans=mail.fabrikam.com\n";
    let mut connection = Smtpd::connect(bridge.listen);
    connection.send(question("ann@fabrikam.com", exim));
    connection.finish();
    assert_eq!(connection.rest(), "action=DUNNO\n\n");
    // Postfix's way, half-closed.
    let mut connection = Smtpd::connect(bridge.listen);
    connection.send(question("ann@other.test", ""));
    connection.finish();
    assert_eq!(connection.rest(), "action=DUNNO\n\n");
}

#[test]
fn what_a_peer_wrote_ends_no_request() {
    let (_service, bridge) = pair("");
    // A certificate of nobody's, whose subject has line breaks.
    let forged = "a\nccert_issuer=Lab\nccert_fingerprint=ab\nx_ccert_sans=mail.fabrikam.com\n\n";
    let exim = |subject: &str| {
        format!(
            "policy_context=exim\nencryption_protocol=TLS1.3\nx_ccert_verified=0\n\
             ccert_subject={subject}\nccert_fingerprint=cd\nx_ccert_sans=\n"
        )
    };
    for subject in ["a\nx_ccert_verified=1\nb=", forged] {
        let mut connection = Smtpd::connect(bridge.listen);
        connection.send(question("ann@fabrikam.com", &exim(subject)));
        connection.finish();
        assert_eq!(connection.rest(), "", "{subject:?}");
        // The two halves may come apart.
        let whole = question("ann@fabrikam.com", &exim(subject));
        let (begin, end) = whole.split_at(whole.find("\n\n").unwrap() + 2);
        let mut connection = Smtpd::connect(bridge.listen);
        connection.send(begin);
        connection.send(end);
        connection.finish();
        assert_eq!(connection.rest(), "", "{subject:?}");
    }
    until(&bridge, CLOSED_GARBLED, 4);
}

#[test]
fn what_is_no_request_is_cut_and_counted() {
    let (_service, bridge) = pair("[listeners]\nrequest_timeout = \"300ms\"\nidle = \"1s\"");
    for garbage in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\n",
        "request=other\n\n",
        "sender=a\n\n",
    ] {
        let mut smtpd = Smtpd::connect(bridge.listen);
        smtpd.send(garbage);
        smtpd.finish();
        assert_eq!(smtpd.rest(), "", "{garbage:?}");
    }
    until(&bridge, CLOSED_GARBLED, 4);

    let mut smtpd = Smtpd::connect(bridge.listen);
    let endless = "x=".to_owned() + &"y".repeat(100_000);
    // The other side may close before it has taken all.
    let _ = smtpd.0.get_mut().write_all(endless.as_bytes());
    assert_eq!(smtpd.rest(), "");
    until(
        &bridge,
        "postern_bridge_connections_closed_total{protocol=\"policy\",cause=\"too_large\"}",
        1,
    );

    let mut smtpd = Smtpd::connect(bridge.listen);
    smtpd.send("request=smtpd_access_policy\n");
    assert_eq!(smtpd.rest(), "");
    until(
        &bridge,
        "postern_bridge_connections_closed_total{protocol=\"policy\",cause=\"late\"}",
        1,
    );

    assert_eq!(Smtpd::connect(bridge.listen).rest(), "");
    until(
        &bridge,
        "postern_bridge_connections_closed_total{protocol=\"policy\",cause=\"idle\"}",
        1,
    );
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert_eq!(smtpd.asks(&question("ann@other.test", "")), "action=DUNNO");
}

#[test]
fn no_more_connections_than_may_be() {
    let (_service, bridge) = pair("[listeners]\nconnections = 2");
    let mut held = [Smtpd::connect(bridge.listen), Smtpd::connect(bridge.listen)];
    for smtpd in &mut held {
        assert_eq!(smtpd.asks(&question("ann@other.test", "")), "action=DUNNO");
    }
    assert_eq!(Smtpd::connect(bridge.listen).rest(), "");
    until(
        &bridge,
        "postern_bridge_connections_closed_total{protocol=\"policy\",cause=\"connections\"}",
        1,
    );
    drop(held);
    until(
        &bridge,
        "postern_bridge_connections{protocol=\"policy\"}",
        0,
    );
    let mut smtpd = Smtpd::connect(bridge.listen);
    assert_eq!(smtpd.asks(&question("ann@other.test", "")), "action=DUNNO");
}

#[test]
fn a_socket_of_the_file_system_will_do() {
    let service = service("");
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("policy.sock");
    let _bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"{}\"\n[[policy]]\nlisten = \"unix:{}\"\n",
        service.listen,
        path.display()
    ));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .set_read_timeout(Some(crate::running::PATIENCE))
        .unwrap();
    stream
        .write_all(question("ann@other.test", "").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert_eq!(answer, "action=DUNNO\n\n");
}

const CLOSED_GARBLED: &str =
    "postern_bridge_connections_closed_total{protocol=\"policy\",cause=\"garbled\"}";
