use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, PublicKeyData};

use super::*;

fn issue(names: &[&str], common: &[&str]) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for &name in common {
        params
            .distinguished_name
            .push(DnType::CommonName, DnValue::Utf8String(name.into()));
    }
    (params.self_signed(&key).unwrap().der().to_vec(), key)
}

fn texts(facts: &CertificateFacts<'_>) -> Vec<String> {
    facts
        .names
        .iter()
        .map(|name| name.text.to_string())
        .collect()
}

#[test]
fn reads_names_and_fingerprints() {
    let (der, key) = issue(&["mail.contoso.com", "*.contoso.com"], &["contoso.com"]);
    let facts = facts(&der, Trust::Trusted, "");
    assert_eq!(texts(&facts), ["mail.contoso.com", "*.contoso.com"]);
    assert_eq!(facts.trust, Trust::Trusted);
    assert_eq!(facts.sha256, Some(digest(&der)));
    assert_eq!(
        facts.spki_sha256,
        Some(digest(&key.subject_public_key_info()))
    );
    assert!(!facts.unreadable);
}

#[test]
fn a_common_name_counts_only_by_itself() {
    let (der, _) = issue(&[], &["contoso.com"]);
    assert_eq!(texts(&facts(&der, Trust::Trusted, "")), ["contoso.com"]);
    let (der, _) = issue(&[], &[]);
    assert_eq!(texts(&facts(&der, Trust::Trusted, "")), [""; 0]);
    let (der, _) = issue(&["192.0.2.1"], &["contoso.com"]);
    assert_eq!(
        texts(&facts(&der, Trust::Trusted, "")),
        ["contoso.com"],
        "an address is no dNSName"
    );
}

#[test]
fn of_two_common_names_none_counts() {
    let (der, _) = issue(&[], &["aaa.example"]);
    // Two attributes of one kind cannot be written with rcgen: an organization is renamed to one.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "aaa.example");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "bbb.example");
    let mut two = params.self_signed(&key).unwrap().der().to_vec();
    let organization = [0x06, 0x03, 0x55, 0x04, 0x0a];
    while let Some(at) = two.windows(5).position(|octets| octets == organization) {
        two[at + 4] = 0x03;
    }
    assert_eq!(texts(&facts(&der, Trust::Trusted, "")), ["aaa.example"]);
    assert_eq!(texts(&facts(&two, Trust::Trusted, "")), [""; 0]);
}

#[test]
fn a_dns_name_that_is_no_text_is_listed_and_matches_nothing() {
    let (mut der, _) = issue(&["mail.contoso.com"], &["contoso.com"]);
    let at = der.windows(4).position(|octets| octets == b"mail").unwrap();
    der[at] = 0xff;
    let facts = facts(&der, Trust::Trusted, "");
    assert_eq!(texts(&facts), ["\u{fffd}ail.contoso.com"]);
    assert_eq!(facts.names[0].name, None);
}

#[test]
fn what_cannot_be_read_is_untrusted() {
    let (der, _) = issue(&["mail.contoso.com"], &[]);
    let mut behind = der.clone();
    behind.push(0);
    for octets in [
        &behind[..],
        &der[..der.len() - 1],
        b"-----BEGIN CERTIFICATE-----",
        b"0",
    ] {
        let facts = facts(octets, Trust::Trusted, "fine");
        assert!(facts.unreadable);
        assert_eq!(facts.trust, Trust::Untrusted);
        assert_eq!(texts(&facts), [""; 0]);
        assert_eq!(facts.spki_sha256, None);
        assert_eq!(facts.sha256, Some(digest(octets)));
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = facts(&octets, Trust::Trusted, "");
    }

    #[test]
    fn no_changed_octet_makes_it_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (mut der, _) = issue(&["mail.contoso.com", "*.contoso.com"], &["contoso.com"]);
        let at = at.index(der.len());
        der[at] = to;
        let _ = facts(&der, Trust::Trusted, "");
    }
}
