use proptest::{collection::vec, option, prelude::*};

use super::*;

// Why boxed: values of such a shape would not fit on the stack of a test.
fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), "[ -~]{1,40}", "\\PC{1,200}"].boxed()
}

prop_compose! {
    fn certificate()(
        trust in prop_oneof![0..7_i32, any::<i32>()],
        (trust_detail, common_name) in (text(), text()),
        dns_names in vec(text(), 0..4),
        alternative_names_unavailable in any::<bool>(),
        (sha256, spki_sha256, subject, issuer) in (text(), text(), text(), text()),
        der in vec(any::<u8>(), 0..20),
        not_after in option::of((any::<i64>(), any::<i32>())),
    ) -> pb::Certificate {
        pb::Certificate {
            trust, trust_detail, dns_names, common_name, alternative_names_unavailable, sha256,
            spki_sha256, subject, issuer, der,
            not_after: not_after.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
        }
    }
}

prop_compose! {
    fn tls()(
        (version, cipher) in (text(), text()),
        peer_certificate in option::of(certificate().boxed()),
        certificate_unavailable in any::<bool>(),
    ) -> pb::TlsSession {
        pb::TlsSession { version, cipher, peer_certificate, certificate_unavailable }
    }
}

prop_compose! {
    fn inbound()(
        (connector_set, client_ip, helo) in (text(), text(), text()),
        (mail_from, rcpt_to, correlation_id) in (text(), text(), text()),
        tls in option::of(tls().boxed()),
    ) -> pb::CheckInboundRequest {
        pb::CheckInboundRequest {
            connector_set, client_ip, helo, mail_from, rcpt_to, tls, correlation_id,
        }
    }
}

prop_compose! {
    fn outbound()(
        (connector_set, mail_from, rcpt_to) in (text(), text(), text()),
        (rule_connector, correlation_id) in (text(), text()),
        session in option::of((text(), text(), option::of(tls().boxed()))),
    ) -> pb::CheckOutboundRequest {
        let session = session.map(|(host, server_ip, tls)| pb::OutboundSession {
            host, server_ip, tls,
        });
        pb::CheckOutboundRequest {
            connector_set, mail_from, rcpt_to, rule_connector, session, correlation_id,
        }
    }
}

fn asked() -> impl Strategy<Value = pb::CheckStreamRequest> {
    use pb::check_stream_request::Question;

    let question = prop_oneof![
        inbound().prop_map(Question::Inbound).boxed(),
        outbound().prop_map(Question::Outbound).boxed(),
    ];
    (any::<u64>(), option::of(question))
        .prop_map(|(id, question)| pb::CheckStreamRequest { id, question })
}

proptest! {
    #[test]
    fn a_message_is_read_as_prost_reads_it(request in asked()) {
        let octets = request.encode_to_vec();
        let read = InStream::read(&octets);
        prop_assert_eq!(read, Some(InStream::from(&request)));
    }

    /// What is read here, prost reads and reads the same; whatever it would refuse is left to it.
    #[test]
    fn nothing_is_read_that_prost_reads_otherwise(
        request in asked(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        form in 0..3,
    ) {
        let mut octets = request.encode_to_vec();
        octets.extend([0x20, 0x01]);
        let ends = (from.index(octets.len()), to.index(octets.len()));
        match form {
            0 => for (at, value) in changes {
                let at = at.index(octets.len());
                octets[at] = value;
            },
            1 => drop(octets.drain(ends.0.min(ends.1)..ends.0.max(ends.1))),
            _ => {
                let twice = octets[ends.0.min(ends.1)..ends.0.max(ends.1)].to_vec();
                octets.splice(ends.1..ends.1, twice);
            }
        }
        if let Some(read) = InStream::read(&octets) {
            let decoded = pb::CheckStreamRequest::decode(&*octets);
            prop_assert_eq!(decoded.as_ref().map(InStream::from), Ok(read));
        }
    }

    #[test]
    fn numbers_are_read_as_prost_reads_them(octets in vec(any::<u8>(), 0..12)) {
        let (mut ours, mut theirs) = (&*octets, &*octets);
        let number = varint(&mut ours);
        prop_assert_eq!(number, prost::encoding::decode_varint(&mut theirs).ok());
        if number.is_some() {
            prop_assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn what_is_unusual_is_left_to_prost() {
    let tls = [0x32, 0x02, 0x0a, 0x00];
    assert!(Inbound::read(&tls).is_some());
    assert_eq!(Inbound::read(&[tls, tls].concat()), None, "twice: merged");
    assert_eq!(Inbound::read(&[0x0d, 0, 0, 0, 0]), None, "fixed32");
    assert_eq!(Inbound::read(&[0x02, 0x00]), None, "field 0");
    assert_eq!(Inbound::read(&[0x08, 0x01]), None, "a number for a text");
    assert_eq!(Inbound::read(&[0x0a, 0x01, 0xff]), None, "no UTF-8");
    assert_eq!(Inbound::read(&[0x0a, 0x02, b'a']), None, "cut off");
    let unknown = Inbound::read(&[0x78, 0x05, 0x0a, 0x01, b'a']).unwrap();
    assert_eq!(unknown.connector_set, "a");
}
