use super::*;

fn lines(facts: Vec<pb::UnderstoodFact>) -> String {
    let line =
        |fact: &pb::UnderstoodFact| format!("{}: {} = {}", fact.field, fact.given, fact.understood);
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn says_what_was_understood_inbound() {
    let certificate = pb::Certificate {
        trust: pb::CertificateTrust::Expired.into(),
        dns_names: vec!["*.Contoso.com".into(), "a b".into()],
        common_name: "contoso.com".into(),
        sha256: "AB".repeat(32),
        spki_sha256: "7d".into(),
        ..Default::default()
    };
    let request = pb::CheckInboundRequest {
        client_ip: "::ffff:192.0.2.7".into(),
        mail_from: "A@Bücher.example".into(),
        rcpt_to: "<>".into(),
        tls: Some(pb::TlsSession {
            version: "tls 1_2".into(),
            peer_certificate: Some(certificate),
            ..Default::default()
        }),
        ..Default::default()
    };
    insta::assert_snapshot!(lines(understood_inbound(&request)), @r"
    client_ip: ::ffff:192.0.2.7 = 192.0.2.7
    mail_from: A@Bücher.example = xn--bcher-kva.example
    rcpt_to: <> = malformed: it is empty
    tls.version: tls 1_2 = TLSv1.2
    tls.peer_certificate.trust: CERTIFICATE_TRUST_EXPIRED = good but for the dates: its names prove nothing
    tls.peer_certificate.dns_names[0]: *.Contoso.com = *.contoso.com
    tls.peer_certificate.dns_names[1]: a b = malformed: it matches nothing
    tls.peer_certificate.common_name: contoso.com = it does not count beside alternative names
    tls.peer_certificate.sha256: ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB = abababababababababababababababababababababababababababababababab
    tls.peer_certificate.spki_sha256: 7d = unknown: it is no SHA-256
    ");
}

#[test]
fn says_what_was_understood_outbound() {
    let request = pb::CheckOutboundRequest {
        rcpt_to: "PostMaster".into(),
        session: Some(pb::OutboundSession {
            host: "Mail.Contoso.com.".into(),
            server_ip: "2001:DB8::1".into(),
            tls: Some(pb::TlsSession {
                version: "QUIC".into(),
                ..Default::default()
            }),
        }),
        ..Default::default()
    };
    insta::assert_snapshot!(lines(understood_outbound(&request)), @r"
    mail_from:  = null reverse-path
    rcpt_to: PostMaster = postmaster, without a domain
    session.host: Mail.Contoso.com. = mail.contoso.com
    session.server_ip: 2001:DB8::1 = 2001:db8::1
    session.tls.version: QUIC = an unknown version, lower than all
    ");
}

#[test]
fn says_what_octets_are() {
    let mut params = rcgen::CertificateParams::new(["mail.contoso.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2030, 1, 2);
    let der = params
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    let understood = |der: Vec<u8>| {
        let certificate = pb::Certificate {
            der,
            ..Default::default()
        };
        let tls = pb::TlsSession {
            peer_certificate: Some(certificate),
            ..Default::default()
        };
        let request = pb::CheckInboundRequest {
            tls: Some(tls),
            ..Default::default()
        };
        understood_inbound(&request).pop().unwrap()
    };
    let fact = understood(der.clone());
    assert_eq!(fact.field, "tls.peer_certificate.der");
    assert_eq!(fact.given, format!("{} octets", der.len()));
    let beginning = "mail.contoso.com; subject CN=rcgen self signed cert; issuer CN=rcgen self \
                     signed cert; valid until 2030-01-02T00:00:00Z; SHA-256 ";
    assert!(
        fact.understood.starts_with(beginning),
        "{}",
        fact.understood
    );
    let broken = understood(vec![0]).understood;
    assert!(
        broken.starts_with("it cannot be read, and counts as untrusted; SHA-256 6e34"),
        "{broken}"
    );
}

#[test]
fn long_values_are_cut_between_characters() {
    let long = format!("a{}", "ü".repeat(200_000));
    let request = pb::CheckInboundRequest {
        mail_from: long.clone(),
        tls: Some(pb::TlsSession {
            version: long.clone(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let facts = understood_inbound(&request);
    assert_eq!(facts.len(), 2);
    for fact in facts {
        assert_eq!(fact.given, format!("a{}", "ü".repeat(127)));
        assert!(fact.understood.len() < 300, "{}", fact.understood);
    }
    let mut params = rcgen::CertificateParams::new(vec!["x.example".to_owned(); 500]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "n".repeat(10_000));
    let key = rcgen::KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let message = pb::Certificate {
        der,
        ..Default::default()
    };
    let certificate = facts::certificate(&(&message).into());
    let understood = leaf(&message.der, &certificate);
    assert!(understood.len() < 1_200, "{}", understood.len());
    let pins: Vec<_> = certificate.fingerprints().collect();
    assert!(understood.contains(&format!("SHA-256 {} and {}", pins[0], pins[1])));
}
