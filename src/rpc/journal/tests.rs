use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use prost::Message as _;
use serde_json::{Value, json};

use super::{
    super::{answer, gate::Gate, json as proto3, pb, peer::Peer, service::Policy},
    *,
};
use crate::{
    config,
    config::settings::share::Share,
    live::{Live, Snapshot},
    policy::{Catalog, Entry},
    telemetry::{
        Metrics,
        decision_log::{Queue, State, queue::Front},
    },
};

const SET: &str = r#"
version = 1
[[inbound]]
name = "ContosoBank"
match.sender_domains = ["contosobank.com"]
require.tls = "encrypt"
require.certificate_names = ["*.contosobank.com"]
[[inbound]]
name = "Tried"
mode = "report"
match.sender_domains = ["fabrikam.com"]
require.tls = "encrypt"
[[outbound]]
name = "ToContosoBank"
match.recipient_domains = ["contosobank.com"]
require.tls = "encrypt"
[end]
"#;

/// A policy whose decisions are written down.
struct Written {
    policy: Policy,
    queue: Arc<Queue<Record>>,
    front: RefCell<Front<Record>>,
    lines: Lines,
    state: Arc<State>,
    asking: Asking,
}

impl Written {
    fn new(accepts: f64, addresses: Addresses) -> Self {
        let state = Arc::new(State::default());
        let queue = Arc::new(Queue::new(1 << 20, Arc::clone(&state)));
        let journal = Feed::new(Arc::clone(&queue), Share::of(accepts).unwrap());
        let policy = Policy::new(
            Arc::new(Live::new(snapshot())),
            Gate::default(),
            Metrics::new(),
        );
        let origin = Origin::Network("192.0.2.200:7".parse().ok());
        Self {
            policy: policy.journalled(Some(journal)),
            queue,
            front: RefCell::default(),
            lines: Lines::new(addresses, Arc::clone(&state)),
            state,
            asking: Asking::anybody(Peer::plaintext(origin)),
        }
    }

    /// The line of the next decision.
    fn line(&self) -> Option<Value> {
        let record = self.queue.take(&mut self.front.borrow_mut())?;
        let mut line = Vec::new();
        assert!(self.lines.write(&record, &mut line));
        assert!(!line.contains(&b'\n'));
        let line: Value = serde_json::from_slice(&line).unwrap();
        let faults: Vec<_> = validator()
            .iter_errors(&line)
            .map(|it| it.to_string())
            .collect();
        assert!(faults.is_empty(), "{faults:?}: {line:#}");
        Some(line)
    }

    fn inbound(&self, request: &pb::CheckInboundRequest) -> Option<Value> {
        let message = request.encode_to_vec();
        self.policy.check_inbound(&self.asking, &message).unwrap();
        self.line()
    }

    fn outbound(&self, request: &pb::CheckOutboundRequest) -> Option<Value> {
        let message = request.encode_to_vec();
        self.policy.check_outbound(&self.asking, &message).unwrap();
        self.line()
    }
}

fn snapshot() -> Snapshot {
    let set = config::load_str("default", SET).set.unwrap();
    Snapshot {
        catalog: Catalog::new(vec![Entry::new(set)], None),
        status: BTreeMap::new(),
        directory_fault: None,
    }
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema::strict()).unwrap()
}

fn mail(mail_from: &str, rcpt_to: &str) -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        client_ip: "192.0.2.7".into(),
        mail_from: mail_from.into(),
        rcpt_to: rcpt_to.into(),
        ..pb::CheckInboundRequest::default()
    }
}

fn hashed() -> Addresses {
    Addresses::Hashed(AddressKey::new(b"0123456789abcdef").unwrap())
}

/// `line` without what is never the same.
fn steady(mut line: Value) -> Value {
    let time = line["time"].take();
    assert!(humantime::parse_rfc3339(time.as_str().unwrap()).is_ok());
    assert!(line["took_us"].take().is_u64());
    line["answer"]["revision"]["digest"].take();
    line
}

#[test]
fn a_line_says_all_of_it() {
    let written = Written::new(1.0, Addresses::Domain);
    let request = pb::CheckInboundRequest {
        helo: "mail.contosobank.com".into(),
        correlation_id: "4XyZ12".into(),
        ..mail("ann@ContosoBank.com", "<bob@contoso.com>")
    };
    insta::assert_snapshot!(format!("{:#}", steady(written.inbound(&request).unwrap())));
}

#[test]
fn questions_of_a_stream_are_lines_of_their_own() {
    use pb::check_stream_request::Question;

    let written = Written::new(1.0, Addresses::Domain);
    let outbound = pb::CheckOutboundRequest {
        rcpt_to: "bob@contosobank.com".into(),
        ..pb::CheckOutboundRequest::default()
    };
    let questions = [
        Some(Question::Inbound(mail("a@fabrikam.com", "b@contoso.com"))),
        None,
        Some(Question::Outbound(outbound)),
    ];
    for question in questions {
        let message = pb::CheckStreamRequest { id: 7, question }.encode_to_vec();
        let answer = written.policy.check_in_stream(&written.asking, &message);
        assert!(answer.is_ok());
    }
    let line = written.line().unwrap();
    assert_eq!(
        (&line["rpc"], &line["direction"]),
        (&json!("CheckStream"), &json!("inbound"))
    );
    assert_eq!(line["facts"]["mail_from"], "*@fabrikam.com");
    assert_eq!(line["answer"]["verdict"], "VERDICT_ACCEPT");
    assert_eq!(line["answer"]["if_enforced"]["verdict"], "VERDICT_REJECT");
    let line = written.line().unwrap();
    assert_eq!(line["direction"], "outbound");
    assert_eq!(line["answer"]["verdict"], "VERDICT_CONDITIONAL");
    assert_eq!(line["answer"]["delivery"]["mx"], json!({}));
    assert_eq!(written.line(), None);
}

#[test]
fn the_peer_and_the_correlation_id_are_named_where_there_are_any() {
    let mut written = Written::new(1.0, Addresses::Domain);
    let line = written.inbound(&mail("a@b.c", "d@e.f")).unwrap();
    assert_eq!(line["peer"], "192.0.2.200");
    assert_eq!(line.get("correlation_id"), None);
    assert_eq!(line.get("caller"), None);
    written.asking.peer = Arc::new(Peer::plaintext(Origin::Unix));
    let request = pb::CheckInboundRequest {
        correlation_id: "ü".repeat(200),
        ..mail("a@b.c", "d@e.f")
    };
    let line = written.inbound(&request).unwrap();
    assert_eq!(line.get("peer"), None);
    assert_eq!(line["correlation_id"], "ü".repeat(128));
    assert_eq!(line["facts"].get("correlation_id"), None);
}

#[test]
fn accepts_are_sampled_by_their_correlation_id() {
    let half = Written::new(0.5, Addresses::Domain);
    let mut seen = BTreeMap::new();
    for id in 0..400 {
        for _recipient in 0..2 {
            let request = pb::CheckInboundRequest {
                correlation_id: format!("id-{id}"),
                ..mail("a@b.c", "d@e.f")
            };
            let written = half.inbound(&request).is_some();
            assert_eq!(*seen.entry(id).or_insert(written), written);
        }
    }
    let share = seen.values().filter(|written| **written).count();
    assert!((120..280).contains(&share), "{share} of 400");

    let none = Written::new(0.0, Addresses::Domain);
    assert!(none.inbound(&mail("a@b.c", "d@e.f")).is_none());
    assert!(none.inbound(&mail("a@contosobank.com", "d@e.f")).is_some());
    assert!(none.inbound(&mail("a@fabrikam.com", "d@e.f")).is_some());
    assert!(none.inbound(&mail("malformed", "d@e.f")).is_some());
}

#[test]
fn addresses_are_shown_as_asked() {
    let hash = |text: &str| {
        let Addresses::Hashed(key) = hashed() else {
            panic!("no key")
        };
        key.hash(text)
    };
    let ann = hash("ann@contoso.com");
    // As `openssl dgst -sha256 -hmac 0123456789abcdef` prints it.
    assert_eq!(ann, "0de2d4076e6af4ea");
    let literal = hash("ann@[192.0.2.1]");
    for (text, domain, hashed_text) in [
        (
            "ann@contoso.com",
            "*@contoso.com",
            format!("{ann}@contoso.com"),
        ),
        (
            "<Ann@Contoso.COM.>",
            "*@contoso.com",
            format!("{ann}@contoso.com"),
        ),
        ("", "", String::new()),
        ("<>", "<>", "<>".into()),
        ("<PostMaster>", "postmaster", "postmaster".into()),
        (
            "ann@[192.0.2.1]",
            "*@[192.0.2.1]",
            format!("{literal}@[192.0.2.1]"),
        ),
        ("ann", "*", "*".into()),
        ("ann@contoso..com", "*", "*".into()),
        ("\"ann@contoso\"", "*", "*".into()),
    ] {
        for (addresses, expected) in [
            (Addresses::Domain, domain),
            (hashed(), hashed_text.as_str()),
            (Addresses::Whole, text),
        ] {
            let mut sender = text.to_owned();
            addresses.sender(&mut sender);
            assert_eq!(sender, expected, "{text} {addresses:?}");
        }
    }
    let mut recipient = "Contoso.com".to_owned();
    Addresses::Domain.recipient(&mut recipient, true);
    assert_eq!(recipient, "contoso.com");
    Addresses::Domain.recipient(&mut recipient, false);
    assert_eq!(recipient, "*");
    assert!(!format!("{:?}", hashed()).contains("0123"));
    assert!(AddressKey::new(b"0123456789abcde").is_none());
}

#[test]
fn what_was_malformed_is_not_shown() {
    for addresses in [Addresses::Domain, hashed()] {
        let written = Written::new(1.0, addresses);
        let line = written.inbound(&mail("secret", "b@contoso.com")).unwrap();
        assert!(!line.to_string().contains("secret"), "{line}");
        assert_eq!(
            line["answer"]["rejections"][0]["reason"],
            "REASON_MAIL_FROM_INVALID"
        );
        let line = written.inbound(&mail("", "secret@a b")).unwrap();
        assert!(!line.to_string().contains("secret"), "{line}");
        let request = pb::CheckOutboundRequest {
            rcpt_to: "secret word".into(),
            ..pb::CheckOutboundRequest::default()
        };
        let line = written.outbound(&request).unwrap();
        assert!(!line.to_string().contains("word"), "{line}");
        assert_eq!(
            line["answer"]["rejections"][0]["reason"],
            "REASON_RCPT_TO_INVALID"
        );
    }
    let written = Written::new(1.0, Addresses::Whole);
    let line = written.inbound(&mail("secret", "b@contoso.com")).unwrap();
    assert_eq!(line["facts"]["mail_from"], "secret");
    assert_eq!(
        line["answer"]["rejections"][0]["observed"],
        json!(["secret"])
    );
}

#[test]
fn octets_of_a_certificate_become_its_fields() {
    let mut parameters =
        rcgen::CertificateParams::new(vec!["mail.contosobank.com".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, "contosobank.com");
    parameters.distinguished_name = name;
    let key = rcgen::KeyPair::generate().unwrap();
    let der = parameters.self_signed(&key).unwrap().der().to_vec();
    let request = |der: Vec<u8>| pb::CheckInboundRequest {
        tls: Some(pb::TlsSession {
            version: "TLSv1.3".into(),
            peer_certificate: Some(pb::Certificate {
                trust: pb::CertificateTrust::Trusted.into(),
                der,
                common_name: "passed over".into(),
                ..pb::Certificate::default()
            }),
            ..pb::TlsSession::default()
        }),
        ..mail("ann@contosobank.com", "b@contoso.com")
    };
    let written = Written::new(1.0, Addresses::Domain);
    let line = written.inbound(&request(der.clone())).unwrap();
    let shown = &line["facts"]["tls"]["peer_certificate"];
    assert_eq!(shown.get("der"), None);
    assert_eq!(shown["dns_names"], json!(["mail.contosobank.com"]));
    assert_eq!(shown["common_name"], "contosobank.com");
    assert_eq!(shown["subject"], "CN=contosobank.com");
    assert_eq!(shown["not_after"], "2031-02-03T00:00:00Z");
    assert_eq!(shown["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(shown["spki_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(line["answer"]["verdict"], "VERDICT_ACCEPT");
    assert_eq!(again(&line), line["answer"]);

    let mut broken = der;
    broken.push(0);
    let line = written.inbound(&request(broken)).unwrap();
    let shown = &line["facts"]["tls"]["peer_certificate"];
    assert_eq!(shown["trust"], "CERTIFICATE_TRUST_UNTRUSTED");
    assert_eq!(
        shown["trust_detail"],
        "its octets cannot be read as a certificate"
    );
    assert_eq!(line["answer"]["verdict"], "VERDICT_REJECT");
    assert_eq!(again(&line)["verdict"], line["answer"]["verdict"]);
}

/// The answer to the facts of an inbound line.
fn again(line: &Value) -> Value {
    let facts: pb::CheckInboundRequest =
        proto3::from_json("postern.v1.CheckInboundRequest", line["facts"].clone()).unwrap();
    let answer = answer::inbound(&snapshot(), &facts).unwrap();
    proto3::to_json("postern.v1.CheckInboundResponse", &answer)
}

#[test]
fn certificates_of_partners_that_end_soon_are_noted() {
    use pb::CertificateTrust::{Expired, Trusted, Untrusted};

    let certificate = |name: &str, trust: pb::CertificateTrust, days: i64| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        pb::Certificate {
            trust: trust.into(),
            dns_names: vec![name.into()],
            not_after: Some(prost_types::Timestamp {
                seconds: i64::try_from(now).unwrap() + days * 86_400,
                nanos: 0,
            }),
            ..pb::Certificate::default()
        }
    };
    let written = Written::new(1.0, Addresses::Domain);
    for (certificate, mail_from) in [
        (
            certificate("late.contosobank.com", Trusted, 13),
            "a@contosobank.com",
        ),
        (
            certificate("past.contosobank.com", Expired, -1),
            "a@contosobank.com",
        ),
        (
            certificate("good.contosobank.com", Trusted, 15),
            "a@contosobank.com",
        ),
        (
            certificate("bad.contosobank.com", Untrusted, 1),
            "a@contosobank.com",
        ),
        (
            certificate("other.example", Trusted, 1),
            "a@contosobank.com",
        ),
        (
            certificate("nobody.example", Trusted, 1),
            "a@nobody.example",
        ),
    ] {
        let request = pb::CheckInboundRequest {
            tls: Some(pb::TlsSession {
                version: "TLSv1.3".into(),
                peer_certificate: Some(certificate),
                ..pb::TlsSession::default()
            }),
            ..mail(mail_from, "b@contoso.com")
        };
        written.inbound(&request).unwrap();
    }
    let all = written.state.certificates().all();
    let names: Vec<_> = all
        .keys()
        .map(|it| (it.direction, &*it.connector_set, &*it.connector, &*it.name))
        .collect();
    assert_eq!(
        names,
        [
            ("inbound", "default", "ContosoBank", "late.contosobank.com"),
            ("inbound", "default", "ContosoBank", "past.contosobank.com")
        ]
    );
}

mod hidden {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_local_part_is_in_its_line(
            local in "secret[a-z\" @<>.]{0,6}",
            domain in "@[a-z]{1,3}(\\.com|\\.\\.com|)|@\\[192\\.0\\.2\\.1\\]|",
            brackets in any::<bool>(),
            whose in 0..4,
            hash in any::<bool>(),
        ) {
            let written = Written::new(1.0, if hash { hashed() } else { Addresses::Domain });
            let address = format!("{local}{domain}");
            let address = if brackets { format!("<{address}>") } else { address };
            let message = |address: &str| address.to_owned();
            let line = match whose {
                0 => written.inbound(&mail(&address, "bob@contoso.com")),
                1 => written.inbound(&mail("ann@contosobank.com", &address)),
                2 => written.outbound(&pb::CheckOutboundRequest {
                    mail_from: message(&address),
                    rcpt_to: "ann@contosobank.com".into(),
                    ..Default::default()
                }),
                _ if domain.is_empty() && !local.contains('@') => return Ok(()),
                _ => written.outbound(&pb::CheckOutboundRequest {
                    rcpt_to: message(&address),
                    ..Default::default()
                }),
            };
            let line = line.unwrap().to_string();
            prop_assert!(!line.contains("secret"), "{address}: {line}");
        }
    }
}
