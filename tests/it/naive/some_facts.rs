//! Strategies of questions that hit, or just miss, the sets of `some_sets`.

use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
    sample::select,
};

use super::{
    facts::{Certificate, InboundFacts, OutboundFacts, OutboundSession, TlsSession, Trust},
    some_connectors::{FINGERPRINTS, some_domain},
    some_sets::some_connector_name,
};

/// An inbound question without a named set.
pub(crate) fn some_inbound_facts() -> impl Strategy<Value = InboundFacts> {
    let rcpt_to = prop_oneof![3 => Just(String::new()), 12 => some_envelope()];
    let facts = (
        select(CLIENTS),
        some_envelope(),
        rcpt_to,
        weighted(0.75, some_tls()),
    );
    facts.prop_map(|(client_ip, mail_from, rcpt_to, tls)| InboundFacts {
        connector_set: String::new(),
        client_ip: client_ip.into(),
        mail_from,
        rcpt_to,
        tls,
    })
}

/// An outbound question without a named set.
pub(crate) fn some_outbound_facts() -> impl Strategy<Value = OutboundFacts> {
    let rcpt_to = prop_oneof![6 => some_recipient(), 3 => some_domain(), 1 => some_envelope()];
    // An empty recipient is the gateway's mistake, and no question to decide.
    let rcpt_to = rcpt_to.prop_filter("an outbound recipient is required", |text| !text.is_empty());
    let rule = prop_oneof![4 => Just(String::new()), 1 => some_connector_name("o")];
    let session =
        (select(HOSTS), weighted(0.75, some_tls())).prop_map(|(host, tls)| OutboundSession {
            host: host.into(),
            tls,
        });
    (some_envelope(), rcpt_to, rule, weighted(0.7, session)).prop_map(
        |(mail_from, rcpt_to, rule_connector, session)| OutboundFacts {
            connector_set: String::new(),
            mail_from,
            rcpt_to,
            rule_connector,
            session,
        },
    )
}

/// An address that is mostly good, sometimes without a domain, now and then malformed.
fn some_envelope() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => some_recipient(),
        2 => select(NEAR_MISSES).prop_map(String::from),
        4 => select(WITHOUT_DOMAIN).prop_map(String::from),
        1 => select(MALFORMED).prop_map(String::from),
    ]
}

/// A good address with a domain.
fn some_recipient() -> impl Strategy<Value = String> {
    let local = select(&["ann@", "@", "\"a@b\"@", "Ann.Ö@", "<x@"][..]);
    (local, some_domain(), any::<bool>()).prop_map(|(local, domain, brackets)| {
        let address = format!("{local}{domain}");
        if brackets {
            format!("<{address}>")
        } else {
            address
        }
    })
}

fn some_tls() -> impl Strategy<Value = TlsSession> {
    (
        select(VERSIONS),
        weighted(0.8, some_certificate()),
        any::<bool>(),
    )
        .prop_map(|(version, peer_certificate, unseen)| TlsSession {
            version: version.into(),
            certificate_unavailable: unseen && peer_certificate.is_none(),
            peer_certificate,
        })
}

fn some_certificate() -> impl Strategy<Value = Certificate> {
    let trust = prop_oneof![
        5 => Just(Trust::Trusted),
        1 => Just(Trust::Untrusted),
        1 => Just(Trust::Expired),
        1 => Just(Trust::WrongPurpose),
        1 => Just(Trust::Unspecified),
    ];
    let name = || select(PRESENTED_NAMES).prop_map(String::from);
    // Seldom more names than an answer has room for.
    let names = prop_oneof![20 => vec(name(), 0..4), 1 => vec(name(), 15..19)];
    let pin = || {
        prop_oneof![
            3 => Just(String::new()),
            3 => select(FINGERPRINTS).prop_map(String::from),
            1 => select(&["7d:d5", "zz"][..]).prop_map(String::from),
        ]
    };
    let detail = select(&["", "certificate has expired"][..]);
    (
        trust,
        detail,
        names,
        of(name()),
        any::<bool>(),
        pin(),
        pin(),
    )
        .prop_map(
            |(trust, detail, dns_names, common_name, unseen, sha256, spki_sha256)| Certificate {
                trust,
                trust_detail: detail.into(),
                alternative_names_unavailable: unseen && dns_names.is_empty(),
                dns_names,
                common_name: common_name.unwrap_or_default(),
                sha256,
                spki_sha256,
            },
        )
}

const CLIENTS: &[&str] = &[
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "::FFFF:0a01:0203",
    "10.1.2.4",
    "10.1.9.9",
    "10.200.0.1",
    "192.0.2.1",
    "203.0.113.9",
    "2001:db8:7::1",
    "2001:DB8:7:0::1",
    "2001:db8:7::1%eth0",
    "2001:db8:7::2",
    "2001:db8:8::1",
    "2001:db9::1",
    "fe80::1%2",
    "::10.1.2.3",
];

const HOSTS: &[&str] = &[
    "mail.contoso.com",
    "MAIL.contoso.com.",
    "a.mail.contoso.com",
    "fabrikam.com",
    "bücher.example",
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "2001:db8:7::1",
    "2001:DB8:7:0::1",
    "192.0.2.1",
];

const MALFORMED: &[&str] = &[
    "ann",
    "ann@",
    "ann@.",
    "ann@a..b",
    " ann@contoso.com ",
    "ann@contoso.com>",
    "<<ann@contoso.com>>",
    " ",
    "<",
    "< >",
    "ann@[192.0.2.1",
    "ann@*.contoso.com",
    "ann@cont oso.com",
    "ann@xn--ü.example",
    "ann@ｘn--bcher-kva.example",
    "postmaster@",
    "[192.0.2.1]",
];

const NEAR_MISSES: &[&str] = &[
    "ann@xcontoso.com",
    "ann@com",
    "ann@contoso.com.example",
    "ann@contoso-com",
    "<ann@contoso.com",
    "ann@-contoso_.com",
];

const PRESENTED_NAMES: &[&str] = &[
    "contoso.com",
    "mail.contoso.com",
    "Mail.Contoso.COM.",
    "a.mail.contoso.com",
    "xcontoso.com",
    "*.contoso.com",
    "*.mail.contoso.com",
    "*.MAIL.contoso.com",
    "*.com",
    "*",
    "m*.contoso.com",
    "*.*.contoso.com",
    "fabrikam.com",
    "*.fabrikam.com",
    "bücher.example",
    "xn--bcher-kva.example",
    "Ann Example",
];

const VERSIONS: &[&str] = &[
    "TLSv1.3", "tls 1.3", "1.3", "TLSv1.2", "TLS_1_2", "tlsv_1.2", "TLSv1.1", "TLS1.0", "TLSv1",
    "1", "SSLv3", "sslV3", "", "TLSv1.4", "SSLv2", "TLS  1.2", "DTLSv1.2",
];

const WITHOUT_DOMAIN: &[&str] = &[
    "",
    "<>",
    "ann@[192.0.2.1]",
    "<ann@[IPv6:2001:db8::1]>",
    "ann@[]",
    "postmaster",
    "<PostMaster>",
];
