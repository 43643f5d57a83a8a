//! Every rejection sentence and every default reply text, as the people get them who read them.

use std::fmt::Write as _;

use postern::{
    config,
    mail::{Recipient, ReversePath, TlsVersion, parse_address},
    policy::{
        self, InboundFacts, OutboundFacts, Reason,
        connector::Host,
        decision::Decision,
        facts::{CertificateFacts, NameFact, SessionFacts, TlsFacts, Trust},
    },
};

const PIN: &str = "7DD5AB8C0F4E5B6A7988A7B6C5D4E3F201122334455667788990AABBCCDDEEFF";
const OTHER_PIN: &str = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF";

/// What is seen of a session in one of the scenes.
#[derive(Clone, Copy)]
enum Seen {
    Plaintext,
    Version(&'static str),
    NoCertificate,
    Unavailable,
    Certificate(Trust, &'static [&'static str]),
    Unreadable,
    Detail(Trust, &'static str),
    NamesUnavailable,
    Fingerprints(bool, bool),
}

impl Seen {
    fn tls(self) -> Option<TlsFacts<'static>> {
        let certificate = |trust, detail, names: &[&'static str]| CertificateFacts {
            trust,
            trust_detail: detail,
            names: names.iter().map(|name| NameFact::new(*name)).collect(),
            names_unavailable: matches!(self, Self::NamesUnavailable),
            sha256: None,
            spki_sha256: None,
            unreadable: matches!(self, Self::Unreadable),
        };
        let certificate = match self {
            Self::Plaintext => return None,
            Self::Version(_) | Self::NoCertificate | Self::Unavailable => None,
            Self::Certificate(trust, names) => Some(certificate(trust, "", names)),
            Self::Unreadable => Some(certificate(Trust::Untrusted, "", &[])),
            Self::Detail(trust, detail) => {
                Some(certificate(trust, detail, &["mx.contosobank.com"]))
            }
            Self::NamesUnavailable => Some(certificate(Trust::Trusted, "", &["mx.fabrikam.com"])),
            Self::Fingerprints(own, key) => Some(CertificateFacts {
                sha256: own.then(|| [0xab; 32].into()),
                spki_sha256: key.then(|| [0xcd; 32].into()),
                ..certificate(Trust::Trusted, "", &["mx.contosobank.com"])
            }),
        };
        let version = if let Self::Version(version) = self {
            version
        } else {
            "TLSv1.3"
        };
        Some(TlsFacts {
            version: TlsVersion::observed(version),
            version_text: version,
            certificate,
            certificate_unavailable: matches!(self, Self::Unavailable),
        })
    }
}

/// What every scene of one reason is about: `require`, and what is seen.
fn scenes() -> Vec<(String, Seen)> {
    let names = "certificate_names = [\"*.contosobank.com\"]".to_owned();
    let many = format!(
        "certificate_names = [{}]",
        (1..=20)
            .map(|n| format!("\"mx{n}.contosobank.com\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let pins = format!("certificate_fingerprints = [\"{PIN}\"]");
    let two_pins = format!("certificate_fingerprints = [\"{PIN}\", \"{OTHER_PIN}\"]");
    let both = format!("{names}\n{pins}");
    let minimum = "tls_min_version = \"TLSv1.2\"".to_owned();
    let mut scenes = vec![("tls = \"encrypt\"".to_owned(), Seen::Plaintext)];
    for version in ["TLSv1.1", "SSLv3", "TLS9", ""] {
        scenes.push((minimum.clone(), Seen::Version(version)));
    }
    for require in [&names, &many, &pins, &two_pins, &both] {
        scenes.push((require.clone(), Seen::NoCertificate));
    }
    scenes.push((names.clone(), Seen::Unavailable));
    for trust in [
        Trust::Expired,
        Trust::Untrusted,
        Trust::Unknown,
        Trust::WrongPurpose,
    ] {
        scenes.push((
            names.clone(),
            Seen::Certificate(trust, &["mx.contosobank.com"]),
        ));
    }
    scenes.push((
        both.clone(),
        Seen::Detail(Trust::Untrusted, "unable to get local issuer certificate"),
    ));
    scenes.push((names.clone(), Seen::Unreadable));
    let presented: [&[&str]; 3] = [&["mx.fabrikam.com", "fabrikam.com"], &["not a name"], &[]];
    for presented in presented {
        scenes.push((names.clone(), Seen::Certificate(Trust::Trusted, presented)));
    }
    scenes.push((names, Seen::NamesUnavailable));
    for (own, key) in [(true, true), (true, false), (false, true), (false, false)] {
        scenes.push((pins.clone(), Seen::Fingerprints(own, key)));
    }
    scenes.push((two_pins, Seen::Fingerprints(true, true)));
    scenes
}

fn told(out: &mut String, decision: &Decision<'_>) {
    for rejection in &decision.rejections {
        let _ = writeln!(out, "{}: {}", rejection.reason, rejection.message);
        let _ = writeln!(
            out,
            "    expected {:?}, observed {:?}",
            rejection.expected, rejection.observed
        );
    }
    if let Some(reply) = &decision.reply {
        assert!(reply.text.len() <= 400 && reply.text.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let _ = writeln!(out, "  > {} {} {}", reply.code, reply.enhanced, reply.text);
    }
}

fn inbound(
    out: &mut String,
    matched: &str,
    require: &str,
    client_ip: &str,
    mail_from: &str,
    seen: Seen,
) {
    for action in ["reject", "defer"] {
        let text = format!(
            "version = 1\n[[inbound]]\nname = \"ContosoBank\"\n[inbound.match]\n{matched}\n\
             [inbound.require]\n{require}\n[inbound.reply]\naction = \"{action}\"\n[end]\n"
        );
        let set = config::load_str("scene", &text).set.expect(&text);
        let facts = InboundFacts {
            client_ip: parse_address(client_ip).unwrap(),
            mail_from: ReversePath::parse(mail_from).unwrap(),
            rcpt_to: None,
            tls: seen.tls(),
        };
        told(out, &policy::decide_inbound(&set, &facts));
    }
    out.push('\n');
}

#[test]
fn inbound_sentences() {
    let mut out = String::new();
    let domain = "sender_domains = [\"contosobank.com\"]";
    let address = "client_ips = [\"192.0.2.0/24\"]";
    for (matched, mail_from) in [
        (domain, "ann@contosobank.com"),
        (address, "ann@fabrikam.com"),
    ] {
        let _ = writeln!(out, "=== {matched}\n");
        for (require, seen) in scenes() {
            inbound(&mut out, matched, &require, "192.0.2.1", mail_from, seen);
        }
    }
    let networks = "client_ips = [\"203.0.113.0/24\", \"2001:db8:7::/48\"]";
    inbound(
        &mut out,
        domain,
        networks,
        "192.0.2.1",
        "ann@contosobank.com",
        Seen::Plaintext,
    );
    inbound(
        &mut out,
        domain,
        networks,
        "2001:db8::1",
        "ann@contosobank.com",
        Seen::Plaintext,
    );
    inbound(
        &mut out,
        "sender_domains = [\"*\"]",
        networks,
        "192.0.2.1",
        "<>",
        Seen::Plaintext,
    );
    inbound(
        &mut out,
        address,
        networks,
        "192.0.2.1",
        "ann@fabrikam.com",
        Seen::Plaintext,
    );
    let either = format!(
        "{networks}\ncertificate_names = [\"*.contosobank.com\"]\norigin = \"address-or-certificate\""
    );
    inbound(
        &mut out,
        domain,
        &either,
        "192.0.2.1",
        "ann@contosobank.com",
        Seen::Plaintext,
    );
    inbound(
        &mut out,
        domain,
        &either,
        "192.0.2.1",
        "ann@contosobank.com",
        Seen::NoCertificate,
    );
    for (reason, given, fault) in [
        (
            Reason::MailFromInvalid,
            "ann",
            ReversePath::parse("ann").unwrap_err().to_string(),
        ),
        (
            Reason::RcptToInvalid,
            "bob@",
            Recipient::parse("bob@").unwrap_err().to_string(),
        ),
    ] {
        told(&mut out, &policy::malformed_address(reason, given, &fault));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn outbound_sentences() {
    let mut out = String::new();
    let decide = |out: &mut String, text: &str, rule: Option<&'static str>, seen: Seen| {
        let set = config::load_str("scene", text).set.expect(text);
        let facts = OutboundFacts {
            rcpt_to: Recipient::parse("bob@contosobank.com").unwrap(),
            rule_connector: rule,
            session: Some(SessionFacts {
                host: Host::Name("mx.fabrikam.com".parse().unwrap()),
                host_text: "MX.fabrikam.com",
                tls: seen.tls(),
            }),
        };
        told(out, &policy::decide_outbound(&set, &facts));
    };
    let connector = |require: &str, action: &str| {
        format!(
            "version = 1\n[[outbound]]\nname = \"ContosoBank out\"\nmatch.recipient_domains = \
             [\"contosobank.com\"]\nreply.action = \"{action}\"\n{require}\n[end]\n"
        )
    };
    let trusted = ["tls = \"trusted\"".to_owned()]
        .into_iter()
        .flat_map(|require| {
            let seen = [
                Seen::Plaintext,
                Seen::NoCertificate,
                Seen::Unavailable,
                Seen::Certificate(Trust::Expired, &[]),
                Seen::Detail(Trust::WrongPurpose, "unsuitable certificate purpose"),
            ];
            seen.map(|seen| (require.clone(), seen))
        });
    let encrypt = [
        Seen::Plaintext,
        Seen::NoCertificate,
        Seen::Fingerprints(true, true),
    ]
    .map(|seen| {
        let require = format!("tls = \"encrypt\"\ncertificate_fingerprints = [\"{PIN}\"]");
        (require, seen)
    });
    for (require, seen) in scenes().into_iter().chain(trusted).chain(encrypt) {
        let level = if require.starts_with("certificate_") {
            "tls = \"domain\"\n"
        } else {
            ""
        };
        let require = format!("[outbound.require]\n{level}{require}");
        for action in ["defer", "reject"] {
            decide(&mut out, &connector(&require, action), None, seen);
        }
        out.push('\n');
    }
    let route =
        "[outbound.route]\nsmart_hosts = [\"mail.contosobank.com\", \"[2001:db8::7]:2525\"]";
    for action in ["defer", "reject"] {
        decide(&mut out, &connector(route, action), None, Seen::Plaintext);
    }
    decide(
        &mut out,
        "version = 1\n[end]\n",
        Some("nowhere"),
        Seen::Plaintext,
    );
    insta::assert_snapshot!(out);
}
