use proptest::prelude::*;
use prost::Message;

use super::*;

fn question() -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        client_ip: "::ffff:192.0.2.7".into(),
        mail_from: "<Ann@ContosoBank.com>".into(),
        rcpt_to: "bob@contoso.com".into(),
        ..Default::default()
    }
}

fn sending(host: &str) -> pb::CheckOutboundRequest {
    pb::CheckOutboundRequest {
        mail_from: "bob@contoso.com".into(),
        rcpt_to: "contosobank.com".into(),
        session: Some(pb::OutboundSession {
            host: host.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn fields(bad: &[BadField]) -> Vec<&str> {
    bad.iter().map(|bad| &*bad.field).collect()
}

#[test]
fn reads_an_inbound_question() {
    let request = question();
    let Ok(Understood::Facts(facts)) = inbound(&(&request).into()) else {
        panic!("not understood")
    };
    assert_eq!(facts.client_ip.to_string(), "192.0.2.7");
    assert_eq!(
        facts.mail_from.domain().unwrap().as_str(),
        "contosobank.com"
    );
    assert_eq!(
        facts.rcpt_to.unwrap().domain().unwrap().as_str(),
        "contoso.com"
    );
    assert!(facts.tls.is_none());

    let request = pb::CheckInboundRequest {
        rcpt_to: String::new(),
        ..question()
    };
    let Ok(Understood::Facts(facts)) = inbound(&(&request).into()) else {
        panic!("not understood")
    };
    assert_eq!(facts.rcpt_to, None);
}

#[test]
fn says_what_to_write() {
    let request = pb::CheckInboundRequest {
        client_ip: String::new(),
        ..question()
    };
    let bad = inbound(&(&request).into()).unwrap_err();
    assert_eq!(fields(&bad), ["client_ip"]);
    insta::assert_snapshot!(
        bad[0].description,
        @"required: write the address of the sending server, like `192.0.2.1`"
    );
    let request = pb::CheckInboundRequest {
        client_ip: "192.0.2.1:25".into(),
        ..question()
    };
    insta::assert_snapshot!(
        inbound(&(&request).into()).unwrap_err()[0].description,
        @"`192.0.2.1:25` is not an IPv4 or IPv6 address, like `192.0.2.1` or `2001:db8::1`"
    );
    let request = sending("mail.contosobank.com:25");
    insta::assert_snapshot!(
        outbound(&(&request).into()).unwrap_err()[0].description,
        @"neither an address nor a host name: label `com:25` holds `:`: a label has letters, digits, `-` and `_`; leave out port and brackets"
    );
}

#[test]
fn lists_every_bad_field() {
    let session = pb::OutboundSession {
        server_ip: "nowhere".into(),
        ..Default::default()
    };
    let request = pb::CheckOutboundRequest {
        session: Some(session),
        mail_from: "bob".into(),
        ..Default::default()
    };
    let bad = outbound(&(&request).into()).unwrap_err();
    assert_eq!(
        fields(&bad),
        ["rcpt_to", "session.host", "session.server_ip"]
    );
}

#[test]
fn reads_hosts() {
    for (text, expected) in [
        ("Mail.ContosoBank.com.", "mail.contosobank.com"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8::7", "2001:db8::7"),
    ] {
        let request = sending(text);
        let Ok(Understood::Facts(sending)) = outbound(&(&request).into()) else {
            panic!("{text}")
        };
        let session = sending.facts.session.unwrap();
        assert_eq!(session.host.to_string(), expected);
        assert_eq!(session.host_text, text);
    }
    for text in [
        "[192.0.2.1]",
        "[2001:db8::7]:25",
        "a..b",
        "mail contoso",
        "192.0.2.1:25",
    ] {
        assert_eq!(
            fields(&outbound(&(&sending(text)).into()).unwrap_err()),
            ["session.host"],
            "{text}"
        );
    }
}

#[test]
fn no_rule_is_named_by_an_empty_name() {
    let request = sending("a.example");
    let Ok(Understood::Facts(sending)) = outbound(&(&request).into()) else {
        panic!("not understood")
    };
    assert_eq!(sending.facts.rule_connector, None);
}

#[test]
fn malformed_addresses_are_no_errors() {
    for (mail_from, rcpt_to, reason, chooses) in [
        (
            "ann@",
            "bob@contoso.com",
            Reason::MailFromInvalid,
            Some("contoso.com"),
        ),
        ("ann@", "bob@", Reason::MailFromInvalid, None),
        ("ann@contosobank.com", "<>", Reason::RcptToInvalid, None),
    ] {
        let request = pb::CheckInboundRequest {
            mail_from: mail_from.into(),
            rcpt_to: rcpt_to.into(),
            ..question()
        };
        let Ok(Understood::Malformed(malformed)) = inbound(&(&request).into()) else {
            panic!("understood")
        };
        assert_eq!(malformed.reason, reason);
        assert_eq!(malformed.chooses.as_ref().map(Domain::as_str), chooses);
    }
    for (mail_from, rcpt_to, reason, chooses) in [
        ("bob@", "contosobank.com", Reason::MailFromInvalid, None),
        (
            "bob@contoso.com",
            "a b",
            Reason::RcptToInvalid,
            Some("contoso.com"),
        ),
    ] {
        let request = pb::CheckOutboundRequest {
            mail_from: mail_from.into(),
            rcpt_to: rcpt_to.into(),
            ..Default::default()
        };
        let Ok(Understood::Malformed(malformed)) = outbound(&(&request).into()) else {
            panic!("understood")
        };
        assert_eq!(malformed.reason, reason);
        assert_eq!(malformed.chooses.as_ref().map(Domain::as_str), chooses);
    }
}

#[test]
fn a_common_name_counts_only_by_itself() {
    let texts = |message: &pb::Certificate| -> Vec<String> {
        certificate(&message.into())
            .names
            .iter()
            .map(|name| name.text.to_string())
            .collect()
    };
    let mut message = pb::Certificate {
        common_name: "a.example".into(),
        ..Default::default()
    };
    assert_eq!(texts(&message), ["a.example"]);
    message.dns_names = vec!["b.example".into(), "c.example".into()];
    assert_eq!(texts(&message), ["b.example", "c.example"]);
    assert_eq!(texts(&pb::Certificate::default()), [""; 0]);
}

#[test]
fn what_is_not_known_counts_as_unknown() {
    let message = pb::Certificate {
        trust: 99,
        sha256: "7d".into(),
        spki_sha256: "AB:".repeat(32),
        ..Default::default()
    };
    let facts = certificate(&(&message).into());
    assert_eq!(facts.trust, Trust::Unknown);
    assert_eq!(facts.sha256, None);
    assert_eq!(facts.spki_sha256.unwrap().to_string(), "ab".repeat(32));
}

#[test]
fn reads_every_trust() {
    for (value, trust) in [
        (pb::CertificateTrust::Unspecified, Trust::Unknown),
        (pb::CertificateTrust::Trusted, Trust::Trusted),
        (pb::CertificateTrust::Untrusted, Trust::Untrusted),
        (pb::CertificateTrust::Expired, Trust::Expired),
        (pb::CertificateTrust::WrongPurpose, Trust::WrongPurpose),
    ] {
        let message = pb::Certificate {
            trust: value.into(),
            ..Default::default()
        };
        assert_eq!(certificate(&(&message).into()).trust, trust);
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = pb::CheckInboundRequest::decode(&*octets) {
            let _ = inbound(&(&request).into());
        }
        if let Ok(request) = pb::CheckOutboundRequest::decode(&*octets) {
            let _ = outbound(&(&request).into());
        }
    }

    #[test]
    fn no_text_makes_it_panic(
        [client_ip, mail_from, rcpt_to, name, version] in prop::array::uniform5(".{0,40}"),
        der in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let certificate = pb::Certificate {
            common_name: name.clone(), sha256: name.clone(), der, ..Default::default()
        };
        let tls = Some(pb::TlsSession {
            version, peer_certificate: Some(certificate), ..Default::default()
        });
        let request = pb::CheckInboundRequest {
            client_ip: client_ip.clone(),
            mail_from: mail_from.clone(),
            rcpt_to: rcpt_to.clone(),
            tls: tls.clone(),
            ..Default::default()
        };
        let _ = inbound(&(&request).into());
        let session = Some(pb::OutboundSession { host: name, server_ip: client_ip, tls });
        let request =
            pb::CheckOutboundRequest { mail_from, rcpt_to, session, ..Default::default() };
        let _ = outbound(&(&request).into());
    }
}
