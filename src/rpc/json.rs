//! The contract's messages as proto3 JSON, with the field names of the contract.
//!
//! What is read may use those or lowerCamelCase, and the short names of enum values: `TRUSTED` for
//! `CERTIFICATE_TRUST_TRUSTED`.

use std::{error::Error, fmt, sync::LazyLock};

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind,
    MessageDescriptor, SerializeOptions,
};
use serde_json::Value;

use super::pb::DESCRIPTORS;

/// `message`, which is a `full_name` like `postern.v1.ExplainInboundResponse`.
///
/// Fields that have their default value are left out, as proto3 JSON does; null where the contract
/// has no such message.
pub fn to_json(full_name: &str, message: &impl Message) -> Value {
    written(full_name, message).unwrap_or_default()
}

fn written(full_name: &str, message: &impl Message) -> Option<Value> {
    let mut dynamic = DynamicMessage::new(descriptor(full_name)?);
    dynamic.transcode_from(message).ok()?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .ok()
}

/// The message `full_name` that `json` is.
pub fn from_json<M: Message + Default>(full_name: &str, json: Value) -> Result<M, JsonError> {
    read(full_name, json, &DeserializeOptions::new())
}

/// The same of what a later version wrote: fields and values that are not known are passed over.
pub fn from_later_json<M: Message + Default>(full_name: &str, json: Value) -> Result<M, JsonError> {
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    read(full_name, json, &options)
}

fn read<M: Message + Default>(
    full_name: &str,
    mut json: Value,
    options: &DeserializeOptions,
) -> Result<M, JsonError> {
    let descriptor = descriptor(full_name)
        .ok_or_else(|| JsonError(format!("the contract has no message `{full_name}`")))?;
    lengthen(&descriptor, &mut json);
    let fault = |error: &dyn fmt::Display| {
        JsonError(format!("not a `{full_name}` in proto3 JSON: {error}"))
    };
    let dynamic = DynamicMessage::deserialize_with_options(descriptor, json, options)
        .map_err(|error| fault(&error))?;
    dynamic.transcode_to().map_err(|error| fault(&error))
}

/// The JSON is not the message that it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JsonError(String);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for JsonError {}

/// Puts the full names of enum values in the place of short ones.
fn lengthen(message: &MessageDescriptor, json: &mut Value) {
    let Value::Object(fields) = json else { return };
    for (name, value) in fields {
        let field = message
            .get_field_by_name(name)
            .or_else(|| message.get_field_by_json_name(name));
        let Some(field) = field else { continue };
        match value {
            Value::Array(values) => values
                .iter_mut()
                .for_each(|value| lengthen_value(&field, value)),
            value => lengthen_value(&field, value),
        }
    }
}

fn lengthen_value(field: &FieldDescriptor, value: &mut Value) {
    match (field.kind(), value) {
        (Kind::Message(message), value) => lengthen(&message, value),
        (Kind::Enum(kind), Value::String(text)) => {
            if let Some(full) = full_name(&kind, text) {
                *text = full;
            }
        }
        _ => {}
    }
}

/// The value of `kind` that the short name `text` stands for, in any case.
fn full_name(kind: &EnumDescriptor, text: &str) -> Option<String> {
    let short = text.to_ascii_uppercase().replace('-', "_");
    // Why: the prefix of the values is the name of the zeroth, less the word for it.
    let zero = kind.default_value().name().to_owned();
    let full = format!("{}{short}", zero.strip_suffix("UNSPECIFIED")?);
    kind.get_value_by_name(&full).map(|_| full)
}

pub(super) fn descriptor(full_name: &str) -> Option<MessageDescriptor> {
    POOL.as_ref()?.get_message_by_name(full_name)
}

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::pb, *};

    const INBOUND: &str = "postern.v1.CheckInboundRequest";

    #[test]
    fn reads_both_spellings_of_fields_and_enum_values() {
        for json in [
            json!({"client_ip": "192.0.2.1", "mail_from": "a@contoso.com", "tls": {
                "version": "TLSv1.3", "peer_certificate": {
                    "trust": "TRUSTED", "dns_names": ["mail.contoso.com"]}}}),
            json!({"clientIp": "192.0.2.1", "mailFrom": "a@contoso.com", "tls": {
                "version": "TLSv1.3", "peerCertificate": {
                    "trust": "CERTIFICATE_TRUST_TRUSTED", "dnsNames": ["mail.contoso.com"]}}}),
        ] {
            let request: pb::CheckInboundRequest = from_json(INBOUND, json).unwrap();
            assert_eq!(request.client_ip, "192.0.2.1");
            let certificate = request.tls.unwrap().peer_certificate.unwrap();
            assert_eq!(certificate.trust(), pb::CertificateTrust::Trusted);
            assert_eq!(certificate.dns_names, ["mail.contoso.com"]);
        }
    }

    #[test]
    fn reads_short_names_of_any_case() {
        let json = json!({"tls": {"peer_certificate": {"trust": "wrong-purpose"}}});
        let request: pb::CheckInboundRequest = from_json(INBOUND, json).unwrap();
        let certificate = request.tls.unwrap().peer_certificate.unwrap();
        assert_eq!(certificate.trust(), pb::CertificateTrust::WrongPurpose);
    }

    #[test]
    fn says_what_it_does_not_know() {
        let unknown = from_json::<pb::CheckInboundRequest>(INBOUND, json!({"clientip": "x"}));
        insta::assert_snapshot!(
            unknown.unwrap_err(),
            @"not a `postern.v1.CheckInboundRequest` in proto3 JSON: unrecognized field name 'clientip'"
        );
        let json = json!({"tls": {"peer_certificate": {"trust": "GOOD"}}});
        assert!(from_json::<pb::CheckInboundRequest>(INBOUND, json).is_err());
        assert!(from_json::<pb::CheckInboundRequest>("postern.v1.Nothing", json!({})).is_err());
    }

    #[test]
    fn passes_over_what_a_later_version_wrote() {
        let json = json!({"verdict": "VERDICT_REJECT", "weather": {"fine": true},
            "rejections": [{"reason": "REASON_OF_TOMORROW", "connector": "A"}]});
        let name = "postern.v1.CheckInboundResponse";
        assert!(from_json::<pb::CheckInboundResponse>(name, json.clone()).is_err());
        let read: pb::CheckInboundResponse = from_later_json(name, json).unwrap();
        assert_eq!(read.verdict(), pb::Verdict::Reject);
        assert_eq!(read.rejections[0].reason(), pb::Reason::Unspecified);
        assert_eq!(read.rejections[0].connector, "A");
    }

    #[test]
    fn writes_what_it_reads() {
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
        let json = to_json(name, &response);
        assert_eq!(
            json,
            json!({"verdict": "VERDICT_REJECT", "smtp_reply": {
                "code": 530, "enhanced_code": "5.7.0",
                "text": "Must issue a STARTTLS command first"}})
        );
        assert_eq!(
            from_json::<pb::CheckInboundResponse>(name, json).unwrap(),
            response
        );
        assert_eq!(to_json("postern.v1.Nothing", &response), Value::Null);
    }
}
