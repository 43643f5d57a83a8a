use std::{collections::BTreeMap, sync::Arc};

use proptest::{prelude::*, sample::select};
use prost::Message as _;

use super::*;
use crate::{
    config,
    live::Snapshot,
    policy::{Catalog, Entry},
    rpc::{answer, reply},
};

/// The example's connectors, and some in report.
fn snapshot() -> Snapshot {
    let example = include_str!("../../../config/connectors/default.toml");
    let entries = [("default", example), ("more", MORE)].map(|(name, text)| {
        let loaded = config::load_str(name, text);
        Entry {
            set: loaded.set.expect(name),
            stale: name == "more",
            claims: Vec::new(),
            renamed: false,
        }
    });
    Snapshot {
        catalog: Catalog::new(entries.into(), Some("default")),
        status: BTreeMap::new(),
        directory_fault: None,
    }
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

prop_compose! {
    fn tls()(
        version in one_of(&["TLSv1.3", "TLSv1.1", "?"]),
        certificate in any::<bool>(),
        trust in 0..6_i32,
        dns_names in prop::collection::vec(
            one_of(&["mx.contosobank.com", "fabrikam.com", "ü", "bad name", "*.woodgrovebank.com"]),
            0..12,
        ),
        certificate_unavailable in any::<bool>(),
    ) -> pb::TlsSession {
        let peer_certificate = certificate.then(|| pb::Certificate {
            trust,
            dns_names,
            ..pb::Certificate::default()
        });
        pb::TlsSession {
            version, peer_certificate, certificate_unavailable, ..pb::TlsSession::default()
        }
    }
}

prop_compose! {
    fn inbound()(
        connector_set in one_of(&["", "default", "more"]),
        client_ip in one_of(&["192.0.2.25", "203.0.113.9", "198.51.100.17", "2001:db8::1"]),
        mail_from in one_of(&[
            "", "a@contosobank.com", "a@x.fabrikam.com", "a@woodgrovebank.com", "a@new.example",
            "a@", "a@[192.0.2.1]",
        ]),
        rcpt_to in one_of(&["", "b@contoso.com", "b@new.example", "postmaster", "b@"]),
        tls in prop::option::of(tls()),
    ) -> pb::CheckInboundRequest {
        pb::CheckInboundRequest {
            connector_set, client_ip, mail_from, rcpt_to, tls, ..Default::default()
        }
    }
}

prop_compose! {
    fn outbound()(
        connector_set in one_of(&["", "default", "more"]),
        mail_from in one_of(&["", "a@contoso.com", "a@"]),
        rcpt_to in one_of(&[
            "b@contosobank.com", "b@x.contosobank.com", "b@pins.example", "other.example", "b@",
            "b@new.example",
        ]),
        rule_connector in one_of(&["", "by rule", "none such"]),
        session in prop::option::of((
            one_of(&["mail.contosobank.com", "192.0.2.1", "relay.example"]),
            prop::option::of(tls()),
        )),
    ) -> pb::CheckOutboundRequest {
        let session = session.map(|(host, tls)| pb::OutboundSession {
            host, tls, ..Default::default()
        });
        pb::CheckOutboundRequest {
            connector_set, mail_from, rcpt_to, rule_connector, session, ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn answers_inbound_as_prost_writes_them(request in inbound(), id: u64) {
        use pb::check_stream_response::Answer;

        let snapshot = SNAPSHOT.with(Arc::clone);
        let said = answer::decide_inbound(&snapshot, None, &(&request).into(), |decision, chosen| {
            let message = Inbound(&decision, chosen);
            let octets = (message.octets(), message.framed());
            let streamed = Numbered(id, INBOUND, message).octets();
            (octets, streamed, reply::inbound(decision, chosen.map(Into::into)))
        });
        if let Ok(((octets, framed), streamed, message)) = said {
            let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
            prop_assert_eq!(&framed, &[&[0], &length[..], &octets[..]].concat());
            prop_assert_eq!(&octets, &message.encode_to_vec());
            let answer = Some(Answer::Inbound(message));
            let response = pb::CheckStreamResponse { id, answer };
            prop_assert_eq!(&streamed, &response.encode_to_vec());
        }
    }

    #[test]
    fn answers_outbound_as_prost_writes_them(request in outbound(), id: u64) {
        use pb::check_stream_response::Answer;

        let snapshot = SNAPSHOT.with(Arc::clone);
        let said = answer::decide_outbound(&snapshot, None, &(&request).into(), |decision, chosen| {
            let message = Outbound(&decision, chosen);
            let octets = message.octets();
            let streamed = Numbered(id, OUTBOUND, message).octets();
            (octets, streamed, reply::outbound(decision, chosen.map(Into::into)))
        });
        if let Ok((octets, streamed, message)) = said {
            prop_assert_eq!(&octets, &message.encode_to_vec());
            let answer = Some(Answer::Outbound(message));
            let response = pb::CheckStreamResponse { id, answer };
            prop_assert_eq!(&streamed, &response.encode_to_vec());
        }
    }
}

thread_local! {
    static SNAPSHOT: Arc<Snapshot> = Arc::new(snapshot());
}

const MORE: &str = r#"
version = 1
accepted_domains = ["new.example"]
[[inbound]]
name = "all in report"
mode = "report"
match.sender_domains = ["*"]
require.tls = "encrypt"
[[inbound]]
name = "addresses"
match.client_ips = ["192.0.2.0/24"]
require.certificate_names = ["a.example", "b.example", "c.example"]
[[outbound]]
name = "pins"
match.recipient_domains = ["pins.example"]
require.tls = "domain"
require.certificate_names = ["a.pins.example"]
require.certificate_fingerprints = [
    "0000000000000000000000000000000000000000000000000000000000000000",
]
[[outbound]]
name = "by rule"
scope = "rule"
route.smart_hosts = ["relay.example:2525", "[2001:db8::1]"]
require.tls = "encrypt"
[end]
"#;
