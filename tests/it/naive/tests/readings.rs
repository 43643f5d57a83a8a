//! "Names and addresses", sentence by sentence.

use super::super::{
    Envelope, Pattern, domain, fingerprint, names::certificate_name_matches, names::smart_host,
    network, some_connectors::FINGERPRINTS, version,
};

#[test]
fn names_are_read_as_the_page_says() {
    assert_eq!(
        domain("Mail。Contoso．COM｡").as_deref(),
        Some("mail.contoso.com")
    );
    assert_eq!(
        domain("BÜCHER.example").as_deref(),
        Some("xn--bcher-kva.example")
    );
    assert_eq!(domain("faß.de").as_deref(), Some("xn--fa-hia.de"));
    assert_eq!(domain("XN--a._b.-c--").as_deref(), Some("xn--a._b.-c--"));
    for malformed in [
        "",
        ".",
        "a..b",
        "a.b..",
        "xn--ü.de",
        "ｘn--bcher-kva.de",
        "ＸＮ--a.de",
        "a b",
    ] {
        assert_eq!(domain(malformed), None, "{malformed}");
    }
    assert_eq!(domain("x\u{ad}n--bcher-kva.de"), None);
    assert_eq!(domain("ＡＢＣ.de").as_deref(), Some("abc.de"));
    assert_eq!(domain("a\u{2024}b.de"), None);
    assert_eq!(domain(&"a".repeat(64)), None);
    assert_eq!(
        network("::ffff:10.1.2.3/104")
            .map(|net| net.to_string())
            .as_deref(),
        Some("10.0.0.0/8")
    );
    assert_eq!(network("::ffff:10.1.2.3/95"), None);
    assert_eq!(network("fe80::1%1"), None);
    assert!(version("") < version("SSLv3") && version("sslV3") < version("1"));
    assert_eq!(version("TLSv_1_3"), version("1.3"));
    assert_eq!(version("TLS  1.3"), None);
    let host = |host: &str, port| Some((host.to_owned(), port));
    assert_eq!(smart_host("[2001:DB8::7]:2525"), host("2001:db8::7", 2525));
    assert_eq!(smart_host("2001:db8::7"), host("2001:db8::7", 25));
    assert_eq!(smart_host("[mail.contoso.com]"), None);
    assert_eq!(smart_host("192.0.2.1:0"), None);
    assert_eq!(Envelope::sender("<Postmaster>"), Envelope::NoDomain);
    assert_eq!(Envelope::sender("a@[]"), Envelope::NoDomain);
    assert_eq!(Envelope::sender("<a@b.c"), Envelope::Domain("b.c".into()));
    assert_eq!(Envelope::recipient("b.c"), Envelope::Malformed);
    assert_eq!(
        Envelope::next_recipient("<b.c>"),
        Envelope::Domain("b.c".into())
    );
    assert_eq!(Envelope::next_recipient("b.c@"), Envelope::Malformed);
}

#[test]
fn certificate_names_match_as_the_page_says() {
    let matches = |configured: &str, presented: &str| {
        certificate_name_matches(&Pattern::parse(configured).unwrap(), presented)
    };
    assert!(matches("mail.x.com", "*.x.com"));
    assert!(!matches("a.mail.x.com", "*.x.com"));
    assert!(!matches("x.com", "*.x.com"));
    assert!(!matches("x.com", "*.com"));
    assert!(matches("*.x.com", "x.com") && matches("*.x.com", "a.b.x.com"));
    assert!(matches("*.x.com", "*.x.com") && matches("*.x.com", "*.a.x.com"));
    assert!(!matches("*.x.com", "*.com") && !matches("*.x.com", "ax.com"));
    assert!(!matches("*.x.com", "*.*.x.com") && !matches("*.x.com", "m*.x.com"));
    assert_eq!(fingerprint(FINGERPRINTS[0]), fingerprint(FINGERPRINTS[1]));
}
