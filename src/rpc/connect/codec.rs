//! Messages as they are written over HTTP: proto3 JSON with lowerCamelCase names, or protobuf.

use hyper::{
    HeaderMap,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
};
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_path_to_error::{Deserializer, Track};

use super::JSON;
use crate::rpc::{failure::Failure, json};

/// How messages are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Codec {
    Json,
    Proto,
}

impl Codec {
    /// How the message is written that comes with `headers`, and so is its answer.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let mut parts = value.unwrap_or_default().split(|octet| *octet == b';');
        let kind = parts.next().unwrap_or_default().trim_ascii();
        let mut parameters = parts.map(<[u8]>::trim_ascii);
        let utf8 = |text: &[u8]| {
            [&b"charset=utf-8"[..], b"charset=\"utf-8\""]
                .iter()
                .any(|known| text.eq_ignore_ascii_case(known))
        };
        if kind.eq_ignore_ascii_case(b"application/json") && parameters.all(utf8) {
            Ok(Self::Json)
        } else if kind.eq_ignore_ascii_case(b"application/proto") {
            Ok(Self::Proto)
        } else {
            Err(Failure::content_type_unknown())
        }
    }

    /// What an answer says of how it is written.
    pub(super) fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::Proto => HeaderValue::from_static("application/proto"),
        }
    }

    /// The octets of the message `name` that is written in `text`.
    pub(super) fn read(self, name: &str, text: &Bytes) -> Result<Bytes, Failure> {
        match self {
            Self::Json => read(descriptor(name)?, text),
            Self::Proto => Ok(text.clone()),
        }
    }

    /// The message `name` of these octets, as it is written.
    pub(super) fn write(self, name: &str, octets: Bytes) -> Result<Bytes, Failure> {
        match self {
            Self::Json => write(descriptor(name)?, octets),
            Self::Proto => Ok(octets),
        }
    }
}

fn descriptor(name: &str) -> Result<MessageDescriptor, Failure> {
    json::descriptor(name).ok_or_else(Failure::internal)
}

/// What is not known is refused: a fact that is misspelt must not count as one that was not seen.
fn read(descriptor: MessageDescriptor, text: &[u8]) -> Result<Bytes, Failure> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let mut track = Track::new();
    let tracked = Deserializer::new(&mut from, &mut track);
    let options = DeserializeOptions::new();
    let message = DynamicMessage::deserialize_with_options(descriptor, tracked, &options)
        .and_then(|message| from.end().map(|()| message));
    let message = message.map_err(|error| {
        let path = track.path().to_string();
        let path = Some(path).filter(|path| !matches!(path.as_str(), "." | "?"));
        Failure::json_invalid(path, &error)
    })?;
    Ok(message.encode_to_vec().into())
}

fn write(descriptor: MessageDescriptor, octets: Bytes) -> Result<Bytes, Failure> {
    let message = DynamicMessage::decode(descriptor, octets).map_err(|_| Failure::internal())?;
    let mut text = Vec::new();
    let mut to = serde_json::Serializer::new(&mut text);
    message
        .serialize_with_options(&mut to, &SerializeOptions::new())
        .map_err(|_| Failure::internal())?;
    // For who reads it in a terminal.
    text.push(b'\n');
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::pb;

    const INBOUND: &str = "postern.v1.CheckInboundRequest";

    fn read(text: &str) -> Result<pb::CheckInboundRequest, Failure> {
        let octets = Codec::Json.read(INBOUND, &Bytes::copy_from_slice(text.as_bytes()))?;
        Ok(pb::CheckInboundRequest::decode(octets).unwrap())
    }

    #[test]
    fn the_content_type_says_how() {
        for (text, codec) in [
            ("application/json", Some(Codec::Json)),
            ("Application/JSON; charset=UTF-8", Some(Codec::Json)),
            ("application/json;charset=\"utf-8\"", Some(Codec::Json)),
            ("application/proto", Some(Codec::Proto)),
            ("application/json; charset=latin1", None),
            ("application/connect+json", None),
            ("application/grpc", None),
            ("text/plain", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            assert_eq!(Codec::of(&headers).ok(), codec, "{text}");
        }
        assert!(Codec::of(&HeaderMap::new()).is_err());
    }

    #[test]
    fn both_spellings_are_read() {
        let texts = [
            r#"{"client_ip": "192.0.2.1", "tls": {"peer_certificate": {"dns_names": ["a"]}}}"#,
            r#"{"clientIp": "192.0.2.1", "tls": {"peerCertificate": {"dnsNames": ["a"]}}}"#,
        ];
        let [one, other] = texts.map(|text| read(text).unwrap());
        assert_eq!(one, other);
        assert_eq!(one.client_ip, "192.0.2.1");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let told = [
            "",
            "[]",
            "{\"clientIp\": \"192.0.2.1\",}",
            "{\"clientIp\": 7}",
            "{\"clientip\": \"192.0.2.1\"}",
            "{\n  \"tls\": {\n    \"peerCertificate\": {\"dnsNames\": [\"a\", 5]}}}",
            "{\"tls\": {\"peerCertificate\": {\"trust\": \"GOOD\"}}}",
            "{\"tls\": {\"peerCertificate\": {\"der\": \"?\"}}}",
            "{\"tls\": {\"peerCertificate\": {\"notAfter\": \"tomorrow\"}}}",
            "{} {}",
        ]
        .map(|text| {
            let failure = read(text).unwrap_err();
            let fields = failure.fields().iter().map(|bad| &*bad.field);
            format!("{:?} {failure}\n", fields.collect::<Vec<_>>())
        });
        insta::assert_snapshot!(told.concat());
    }

    #[test]
    fn answers_have_lower_camel_case_names() {
        let response = pb::CheckInboundResponse {
            verdict: pb::Verdict::Reject.into(),
            smtp_reply: Some(pb::SmtpReply {
                code: 530,
                enhanced_code: "5.7.0".into(),
                text: "Must issue a STARTTLS command first".into(),
            }),
            ..Default::default()
        };
        let name = "postern.v1.CheckInboundResponse";
        let text = Codec::Json.write(name, response.encode_to_vec().into());
        insta::assert_snapshot!(String::from_utf8_lossy(&text.unwrap()));
    }
}
