use super::*;

fn told(pairs: &[(&str, &str)]) -> Option<pb::TlsSession> {
    let mut macros = Macros::default();
    let mut data = vec![b'C'];
    for (name, value) in pairs.iter().filter(|(name, _)| *name == "v") {
        data.extend(format!("{name}\0{value}\0").bytes());
    }
    macros.take(&data);
    macros.begin(b'C');
    let mut data = vec![b'H'];
    for (name, value) in pairs.iter().filter(|(name, _)| *name != "v") {
        data.extend(format!("{{{name}}}\0{value}\0").bytes());
    }
    macros.take(&data);
    macros.begin(b'H');
    tls(&macros)
}

const POSTFIX: (&str, &str) = ("v", "Postfix 3.7.11");
const SENDMAIL: (&str, &str) = ("v", "8.17.1.9/8.17.1.9/Debian-2+deb12u2");
const TLS: (&str, &str) = ("tls_version", "TLSv1.3");
const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn certificate(pairs: &[(&str, &str)]) -> Option<pb::Certificate> {
    let tls = told(pairs).unwrap();
    assert!(!tls.certificate_unavailable, "{pairs:?}");
    tls.peer_certificate
}

fn is_unknown(pairs: &[(&str, &str)]) -> bool {
    let tls = told(pairs).unwrap();
    tls.certificate_unavailable && tls.peer_certificate.is_none()
}

#[test]
fn without_a_version_the_session_is_in_plaintext() {
    assert_eq!(told(&[POSTFIX]), None);
    assert_eq!(told(&[SENDMAIL, ("verify", "NONE")]), None);
}

#[test]
fn a_name_in_postfix_is_a_trusted_certificate() {
    let shown = certificate(&[
        POSTFIX,
        TLS,
        ("cert_subject", "mail+20partner"),
        ("cert_issuer", "Lab CA"),
    ]);
    let shown = shown.unwrap();
    assert_eq!(shown.trust(), pb::CertificateTrust::Trusted);
    // Not xtext, unlike in policy delegation.
    assert_eq!(shown.common_name, "mail+20partner");
    assert_eq!(shown.issuer, "Lab CA");
    assert!(shown.alternative_names_unavailable);
    let nameless = certificate(&[
        POSTFIX,
        TLS,
        ("cert_subject", ""),
        ("cert_issuer", "Lab CA"),
    ]);
    let nameless = nameless.unwrap();
    assert_eq!(
        (nameless.trust(), &*nameless.common_name),
        (pb::CertificateTrust::Trusted, "")
    );
}

#[test]
fn no_name_in_postfix_says_nothing() {
    assert!(is_unknown(&[POSTFIX, TLS]));
    // A forged verdict cannot come from Postfix: the macro is Sendmail's.
    assert!(is_unknown(&[
        POSTFIX,
        TLS,
        ("verify", "OK"),
        ("cn_subject", "mail.partner.test")
    ]));
}

#[test]
fn a_name_in_sendmail_is_nothing_without_its_verdict() {
    let fail = [
        SENDMAIL,
        TLS,
        ("verify", "FAIL"),
        ("cn_subject", "mail.partner.test"),
        ("cert_fp", SHA256),
    ];
    let fail = certificate(&fail).unwrap();
    assert_eq!(fail.trust(), pb::CertificateTrust::Untrusted);
    assert_eq!(
        (&*fail.sha256, &*fail.trust_detail),
        (SHA256, "verify=FAIL")
    );
    for none in ["NO", "NOT"] {
        assert_eq!(certificate(&[SENDMAIL, TLS, ("verify", none)]), None);
    }
    for unknown in ["NONE", "TEMP", "PROTOCOL", "SOFTWARE", "TRUSTED", "ok"] {
        assert!(is_unknown(&[
            SENDMAIL,
            TLS,
            ("verify", unknown),
            ("cn_subject", "x.test")
        ]));
    }
    assert!(is_unknown(&[
        SENDMAIL,
        TLS,
        ("cn_subject", "x.test"),
        ("cert_subject", "/CN=x.test")
    ]));
    assert!(
        is_unknown(&[TLS, ("cert_subject", "x.test")]),
        "neither MTA"
    );
}

#[test]
fn sendmail_spells_names_in_xtext_and_fills_gaps() {
    let shown = |name| {
        let pairs = [
            SENDMAIL,
            TLS,
            ("verify", "OK"),
            ("cn_subject", name),
            ("cert_fp", "AB:CD"),
        ];
        certificate(&pairs).unwrap()
    };
    assert_eq!(shown("Lab+20Mail+20CA").common_name, "Lab Mail CA");
    for filler in [
        "BadCertificateUnknown",
        "BadCertificateTooLong",
        "BadCertificateContainsNUL",
    ] {
        assert_eq!(shown(filler).common_name, "", "{filler}");
    }
    assert_eq!(
        shown("mail.partner.test").sha256,
        "",
        "the length of another digest"
    );
    assert_eq!(shown("mail.partner.test").trust_detail, "");
}
