use proptest::{prelude::*, sample::select};
use prost::Message;
use serde_json::{Value, json};

use super::{super::json::to_json, *};

/// Octets that are often a message: fields of low numbers, of every wire type, nested at will.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let number = (
        1..=13_u8,
        select(vec![0_u64, 1, 2, 3, 4, 5, 6, 12, 300, u64::MAX]),
    );
    let leaf = prop_oneof![
        number.prop_map(|(field, number)| {
            let mut octets = vec![field << 3];
            prost::encoding::encode_varint(number, &mut octets);
            octets
        }),
        (1..=13_u8, "[a-z\"\\\\\u{1}ü<]{0,6}")
            .prop_map(|(field, text)| part(field, text.as_bytes())),
        (1..=13_u8, "-?[0-9]{0,3}").prop_map(|(field, text)| {
            let seconds = text.parse().unwrap_or(0);
            let time = Timestamp {
                seconds,
                nanos: 120_000_000,
            };
            part(field, &time.encode_to_vec())
        }),
    ];
    let message = prop::collection::vec(leaf, 0..5).prop_map(|parts| parts.concat());
    message.prop_recursive(4, 32, 4, |inner| {
        prop::collection::vec((1..=13_u8, inner), 0..5).prop_map(|parts| {
            let parts = parts.iter().map(|(field, octets)| part(*field, octets));
            parts.collect::<Vec<_>>().concat()
        })
    })
}

fn part(field: u8, octets: &[u8]) -> Vec<u8> {
    let mut part = vec![field << 3 | 2];
    prost::encoding::encode_varint(octets.len() as u64, &mut part);
    part.extend(octets);
    part
}

fn same<M: Message + Default + Serialize>(name: &str, octets: &[u8]) -> bool {
    let Ok(message) = M::decode(octets) else {
        return false;
    };
    let name = format!("postern.v1.{name}");
    assert_eq!(
        serde_json::to_value(&message).unwrap(),
        to_json(&name, &message)
    );
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_serde_writes_is_proto3_json(octets in octets()) {
        same::<pb::CheckInboundRequest>("CheckInboundRequest", &octets);
        same::<pb::CheckOutboundRequest>("CheckOutboundRequest", &octets);
        same::<pb::CheckInboundResponse>("CheckInboundResponse", &octets);
        same::<pb::CheckOutboundResponse>("CheckOutboundResponse", &octets);
        same::<pb::OutboundSession>("OutboundSession", &octets);
        same::<pb::TlsSession>("TlsSession", &octets);
        same::<pb::Certificate>("Certificate", &octets);
        same::<pb::MatchedConnector>("MatchedConnector", &octets);
        same::<pb::Report>("Report", &octets);
        same::<pb::Rejection>("Rejection", &octets);
        same::<pb::SmtpReply>("SmtpReply", &octets);
        same::<pb::Delivery>("Delivery", &octets);
        same::<pb::SmartHosts>("SmartHosts", &octets);
        same::<pb::TlsRequirement>("TlsRequirement", &octets);
        same::<pb::SetRevision>("SetRevision", &octets);
    }
}

#[test]
fn every_field_is_written() {
    let certificate = pb::Certificate {
        trust: 9,
        der: vec![0, 255],
        not_after: Some(Timestamp {
            seconds: 1,
            nanos: 500_000_000,
        }),
        ..pb::Certificate::default()
    };
    assert!(same::<pb::Certificate>(
        "Certificate",
        &certificate.encode_to_vec()
    ));
    let json: Value = serde_json::to_value(&certificate).unwrap();
    let expected = json!({"trust": 9, "der": "AP8=", "not_after": "1970-01-01T00:00:01.500Z"});
    assert_eq!(json, expected);
    let delivery = pb::Delivery {
        route: Some(pb::delivery::Route::Mx(pb::MxRoute {})),
        tls: Some(pb::TlsRequirement {
            level: 4,
            ..Default::default()
        }),
    };
    assert_eq!(
        serde_json::to_value(&delivery).unwrap(),
        json!({"mx": {}, "tls": {"level": "TLS_LEVEL_DOMAIN"}})
    );
}
