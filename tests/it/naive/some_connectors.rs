//! Strategies of connectors that are valid by themselves, made of a few domains, networks, names and
//! fingerprints in several spellings.

use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
    sample::select,
};

use super::model::{
    Action, Inbound, InboundMatch, InboundRequire, InboundTls, Level, Mode, Origin, Outbound,
    OutboundRequire, Reply, Scope,
};

/// An inbound connector that is valid by itself, `name`d so.
pub(crate) fn some_inbound(name: String) -> impl Strategy<Value = Inbound> {
    let matches = (
        weighted(0.4, vec(some_network(), 1..4)),
        vec(some_pattern(), 1..4),
        weighted(0.35, vec(some_pattern(), 1..3)),
    );
    let matches = matches.prop_map(|(client_ips, sender_domains, recipient_domains)| {
        let client_ips = client_ips.unwrap_or_default();
        // "neither or both of `sender_domains` and `client_ips` in a match" is an error.
        let sender_domains = if client_ips.is_empty() {
            sender_domains
        } else {
            Vec::new()
        };
        let recipient_domains = recipient_domains.unwrap_or_default();
        InboundMatch {
            sender_domains,
            client_ips,
            recipient_domains,
        }
    });
    (matches, some_mode(), some_inbound_require(), some_reply()).prop_map(
        move |(matches, mode, require, reply)| Inbound {
            name: name.clone(),
            comment: None,
            mode,
            matches,
            require,
            reply,
        },
    )
}

/// An outbound connector that is valid by itself, `name`d so.
pub(crate) fn some_outbound(name: String) -> impl Strategy<Value = Outbound> {
    let scope = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Scope::Domains)),
        2 => Just(Some(Scope::Rule)),
    ];
    let hosts = weighted(0.4, vec(select(SMART_HOSTS).prop_map(String::from), 1..4));
    let parts = (
        (some_mode(), scope, vec(some_pattern(), 1..4)),
        hosts,
        some_outbound_require(),
        some_reply(),
    );
    parts.prop_map(move |((mode, scope, domains), hosts, mut require, reply)| {
        let smart_hosts = hosts.unwrap_or_default();
        // "no route and no stated level or minimum" is an error.
        if smart_hosts.is_empty() && require == OutboundRequire::default() {
            require.tls = Some(Level::Encrypt);
        }
        // "`scope = "rule"` with `recipient_domains`" is an error.
        let recipient_domains = if scope == Some(Scope::Rule) {
            Vec::new()
        } else {
            domains
        };
        Outbound {
            name: name.clone(),
            comment: Some("agreed \"by letter\"".into()),
            mode,
            scope,
            recipient_domains,
            smart_hosts,
            require,
            reply,
        }
    })
}

/// A domain, in one of its spellings.
pub(crate) fn some_domain() -> impl Strategy<Value = String> {
    let domain = prop_oneof![
        4 => Just("contoso.com"),
        3 => Just("mail.contoso.com"),
        2 => Just("a.mail.contoso.com"),
        2 => Just("fabrikam.com"),
        1 => Just("bücher.example"),
        1 => Just("xn--bcher-kva.example"),
    ];
    (domain, 0_u8..10).prop_map(|(domain, spelling)| match spelling {
        0 => domain.to_uppercase(),
        1 => format!("{domain}."),
        2 => domain.replace('.', "。"),
        3 => domain.replace("com", "Com"),
        _ => domain.to_owned(),
    })
}

fn some_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => some_domain(),
        3 => some_domain().prop_map(|domain| format!("*.{domain}")),
        1 => Just("*.com".to_owned()),
        3 => Just("*".to_owned()),
    ]
}

fn some_network() -> impl Strategy<Value = String> {
    select(NETWORKS).prop_map(String::from)
}

fn some_inbound_require() -> impl Strategy<Value = InboundRequire> {
    let tls = prop_oneof![
        4 => Just(None),
        2 => Just(Some(InboundTls::Encrypt)),
        2 => Just(Some(InboundTls::Opportunistic)),
    ];
    let minimum = weighted(0.25, select(MINIMA).prop_map(String::from));
    (tls, minimum, some_origin()).prop_map(|(tls, tls_min_version, mut require)| {
        require.tls = tls;
        require.tls_min_version = tls_min_version;
        let lists =
            !require.certificate_names.is_empty() || !require.certificate_fingerprints.is_empty();
        // "`opportunistic` beside `tls_min_version` or a certificate list (the latter is fine with
        // `address-or-certificate`)" is an error.
        if tls == Some(InboundTls::Opportunistic) {
            require.tls_min_version = None;
            if lists && require.origin != Some(Origin::AddressOrCertificate) {
                require.tls = None;
            }
        }
        // A `require` that "states neither TLS, nor a minimum, nor an origin" is an error.
        let silent = InboundRequire {
            origin: require.origin,
            ..InboundRequire::default()
        };
        if require == silent && require.origin != Some(Origin::Unrestricted) {
            require.tls = Some(InboundTls::Encrypt);
        }
        require
    })
}

/// The lists and the `origin` of a require, in one of the ways that are valid together.
fn some_origin() -> impl Strategy<Value = InboundRequire> {
    let addresses = || prop_oneof![15 => vec(some_network(), 1..4), 1 => many_addresses()];
    let certificates = || {
        let names = vec(select(CERTIFICATE_NAMES).prop_map(String::from), 0..3);
        let pins = vec(select(FINGERPRINTS).prop_map(String::from), 0..3);
        (names, pins).prop_map(|(mut names, pins)| {
            if names.is_empty() && pins.is_empty() {
                names.push("*.contoso.com".into());
            }
            (names, pins)
        })
    };
    let with = |origin: Option<Origin>, client_ips, (certificate_names, pins)| InboundRequire {
        origin,
        client_ips,
        certificate_names,
        certificate_fingerprints: pins,
        ..InboundRequire::default()
    };
    let both = of(Just(Origin::AddressAndCertificate));
    let nothing = || (Vec::new(), Vec::new());
    prop_oneof![
        4 => Just(InboundRequire::default()),
        3 => (both.clone(), addresses()).prop_map(move |(o, a)| with(o, a, nothing())),
        3 => (both.clone(), certificates()).prop_map(move |(o, c)| with(o, Vec::new(), c)),
        2 => (both, addresses(), certificates()).prop_map(move |(o, a, c)| with(o, a, c)),
        3 => (addresses(), certificates())
            .prop_map(move |(a, c)| with(Some(Origin::AddressOrCertificate), a, c)),
        2 => Just(with(Some(Origin::Unrestricted), Vec::new(), nothing())),
    ]
}

fn some_outbound_require() -> impl Strategy<Value = OutboundRequire> {
    let level = of(prop_oneof![
        1 => Just(Level::Opportunistic),
        2 => Just(Level::Encrypt),
        2 => Just(Level::Trusted),
        3 => Just(Level::Domain),
    ]);
    let minimum = weighted(0.3, select(MINIMA).prop_map(String::from));
    let names = vec(select(CERTIFICATE_NAMES).prop_map(String::from), 0..3);
    let pins = vec(select(FINGERPRINTS).prop_map(String::from), 0..3);
    (level, minimum, names, pins).prop_map(|(level, minimum, names, pins)| {
        let mut require = OutboundRequire {
            tls: level,
            ..OutboundRequire::default()
        };
        // "`opportunistic` beside `tls_min_version`; `certificate_names` without `domain`;
        // fingerprints at `opportunistic` or `trusted`; `domain` with neither" are errors.
        if level != Some(Level::Opportunistic) {
            require.tls_min_version = minimum;
        }
        if matches!(level, Some(Level::Encrypt | Level::Domain)) {
            require.certificate_fingerprints = pins;
        }
        if level == Some(Level::Domain) {
            require.certificate_names = names;
            if require.certificate_names.is_empty() && require.certificate_fingerprints.is_empty() {
                require.certificate_names = vec!["mail.contoso.com".into()];
            }
        }
        require
    })
}

fn some_mode() -> impl Strategy<Value = Option<Mode>> {
    prop_oneof![
        6 => Just(None),
        3 => Just(Some(Mode::Enforce)),
        4 => Just(Some(Mode::Report)),
        1 => Just(Some(Mode::Off)),
    ]
}

fn some_reply() -> impl Strategy<Value = Reply> {
    let action = of(select(&[Action::Defer, Action::Reject][..]));
    let text = weighted(
        0.3,
        select(&["see https://contoso.com/\\ \"mail\"", "no"][..]),
    );
    (action, text).prop_map(|(action, text)| Reply {
        action,
        text: text.map(String::from),
    })
}

/// More addresses than an answer has room for.
fn many_addresses() -> impl Strategy<Value = Vec<String>> {
    (15_u8..19).prop_map(|count| {
        (0..count)
            .map(|last| format!("198.51.100.{last}"))
            .collect()
    })
}

/// Fingerprints as they are written; the first two are one.
pub(crate) const FINGERPRINTS: &[&str] = &[
    "7dd5aa00112233445566778899aabbccddeeff00112233445566778899aabbcc",
    "7D:D5:AA:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
];

const CERTIFICATE_NAMES: &[&str] = &[
    "contoso.com",
    "mail.contoso.com",
    "MAIL.contoso.com.",
    "*.contoso.com",
    "*.mail.contoso.com",
    "*.Fabrikam.com",
    "bücher.example",
    "*.bücher.example",
];

const MINIMA: &[&str] = &[
    "SSLv3", "TLSv1", "1.0", "TLSv1.1", "TLSv1.2", "tls 1.2", "TLS_1_2", "TLSv1.3", "1.3",
];

const NETWORKS: &[&str] = &[
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "::ffff:10.1.0.0/112",
    "10.1.2.0/24",
    "10.1.2.3/24",
    "10.1.2.3",
    "10.1.2.3/32",
    "::ffff:10.1.2.3",
    "192.0.2.0/24",
    "::ffff:0:0/96",
    "::/0",
    "2001:db8::/32",
    "2001:db8:7::/48",
    "2001:db8:7::1/48",
    "2001:DB8:7::1",
    "2001:db8:7::1/128",
    "2001:db8:7::/127",
];

const SMART_HOSTS: &[&str] = &[
    "mail.contoso.com",
    "Mail.Contoso.com.",
    "mail.contoso.com:25",
    "mail.contoso.com:2525",
    "bücher.example",
    "10.1.2.3",
    "10.1.2.3:2525",
    "[2001:db8:7::1]:2525",
    "[2001:db8:7::1]",
    "2001:DB8:7:0::1",
    "::ffff:10.1.2.3",
];
