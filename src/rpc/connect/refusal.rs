//! Failures as the Connect protocol writes them, and those that only it knows.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use hyper::{
    HeaderMap, Response, StatusCode,
    body::Bytes,
    header::{
        ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
        WWW_AUTHENTICATE,
    },
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::json;
use crate::rpc::failure::{Failure, code_name};

impl Failure {
    /// A message is of a kind that is not read here.
    pub(super) fn content_type_unknown() -> Self {
        let message = "write `content-type: application/json`, or `application/proto`: nothing else \
                       is read here; gRPC is spoken at `listen` of `[server]`";
        Self::new(Code::Unimplemented, CONTENT_TYPE_UNKNOWN, message)
    }

    /// A message is compressed.
    pub(super) fn encoding_unknown() -> Self {
        let message = "send messages without compression";
        Self::new(Code::Unimplemented, "ENCODING_UNKNOWN", message)
    }

    /// A call was made by another method than POST.
    pub(super) fn post_only() -> Self {
        let message = "ask by POST, with the question as the body";
        Self::new(Code::Unimplemented, POST_ONLY, message)
    }

    /// A header of the protocol is not as it must be.
    pub(super) fn protocol_invalid(message: &'static str) -> Self {
        Self::new(Code::InvalidArgument, "PROTOCOL_INVALID", message)
    }

    /// A stream of questions.
    pub(super) fn stream_unserved() -> Self {
        let message = "streams are not served over HTTP: ask each question by a call of its own, or \
                       over gRPC";
        Self::new(Code::Unimplemented, "STREAM_UNSERVED", message)
    }

    /// The peer gave its call up before the question was whole.
    pub(super) fn broken_off() -> Self {
        let message = "the message broke off";
        Self::new(Code::Cancelled, "BROKEN_OFF", message)
    }
}

/// The answer to a call that failed.
pub(super) fn response(failure: Failure) -> Response<Bytes> {
    let status = status(&failure);
    let mut told = HeaderMap::new();
    for (name, value) in [
        (status == StatusCode::METHOD_NOT_ALLOWED, (ALLOW, "POST")),
        (
            status == StatusCode::UNAUTHORIZED,
            (WWW_AUTHENTICATE, "Bearer"),
        ),
        (
            status == StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (ACCEPT_POST, "application/json, application/proto"),
        ),
        (
            failure.reason() == "ENCODING_UNKNOWN",
            (ACCEPT_ENCODING, "identity"),
        ),
    ]
    .into_iter()
    .filter_map(|(wanted, header)| wanted.then_some(header))
    {
        told.insert(name, HeaderValue::from_static(value));
    }
    if let Some(wait) = failure.pushback() {
        // Why rounded up: what is asked a moment too soon is refused again.
        let seconds = wait.as_millis().div_ceil(1_000);
        told.insert(
            RETRY_AFTER,
            u64::try_from(seconds).unwrap_or(u64::MAX).into(),
        );
    }
    let mut response = json(format!("{}\n", told_of(failure)).into());
    *response.status_mut() = status;
    response.headers_mut().extend(told);
    response
}

/// The answer to a stream that is not served: of the kind that was asked for, where it is one of
/// the protocol.
pub(super) fn stream(headers: &HeaderMap, failure: Failure) -> Response<Bytes> {
    let Some(kind) = headers.get(CONTENT_TYPE).filter(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/connect+")
    }) else {
        return response(failure);
    };
    let end = json!({"error": told_of(failure)}).to_string();
    let mut octets = vec![END_OF_STREAM];
    octets.extend(u32::try_from(end.len()).unwrap_or(u32::MAX).to_be_bytes());
    octets.extend(end.into_bytes());
    let mut response = Response::new(octets.into());
    response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    response
}

/// What is told of a failure.
fn told_of(failure: Failure) -> Value {
    let status = Status::from(failure);
    let details = tonic_types::Status::decode(status.details()).unwrap_or_default();
    let details = details.details.iter().map(|detail| {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let value = BASE64_STANDARD_NO_PAD.encode(&detail.value);
        let mut told = json!({"type": name, "value": value});
        if let (Some(debug), Some(told)) = (debug(name, &detail.value), told.as_object_mut()) {
            told.insert("debug".to_owned(), debug);
        }
        told
    });
    json!({
        "code": name(status.code()),
        "message": status.message(),
        "details": details.collect::<Vec<_>>(),
    })
}

/// A detail for people.
fn debug(name: &str, octets: &[u8]) -> Option<Value> {
    let descriptor = DETAILS.as_ref()?.get_message_by_name(name)?;
    let message = DynamicMessage::decode(descriptor, octets).ok()?;
    serde_json::to_value(&message).ok()
}

/// The name of a code in the Connect protocol.
fn name(code: Code) -> String {
    match code {
        // Spelt in the American way, unlike that of gRPC.
        Code::Cancelled => "canceled".to_owned(),
        code => code_name(code).to_ascii_lowercase(),
    }
}

/// What HTTP is told, as the Connect protocol has it; more where HTTP has a better word.
fn status(failure: &Failure) -> StatusCode {
    match failure.reason() {
        CONTENT_TYPE_UNKNOWN => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
        POST_ONLY => return StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_UNKNOWN" => return StatusCode::NOT_FOUND,
        _ => {}
    }
    match failure.code() {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const CONTENT_TYPE_UNKNOWN: &str = "CONTENT_TYPE_UNKNOWN";
const POST_ONLY: &str = "POST_ONLY";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The flags of the last message of a stream.
const END_OF_STREAM: u8 = 2;

/// The messages of details.
static DETAILS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).ok());

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{rpc::BadField, telemetry::Unauthenticated};

    #[test]
    fn failures_are_those_of_grpc_written_otherwise() {
        let bad = BadField {
            field: "client_ip".into(),
            description: "required".into(),
        };
        let told = [
            Failure::bad_fields(vec![bad]),
            Failure::caller_limit(Duration::from_millis(1_001)),
            Failure::unauthenticated(Unauthenticated::Missing),
            Failure::from(&Status::unimplemented("")),
            Failure::content_type_unknown(),
            Failure::encoding_unknown(),
            Failure::post_only(),
            Failure::broken_off(),
        ]
        .map(|failure| {
            let (head, body) = response(failure).into_parts();
            let mut headers: Vec<_> = head
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            headers.sort();
            let body: Value = serde_json::from_slice(&body).unwrap();
            format!("{} {}\n{body:#}\n\n", head.status, headers.join("; "))
        });
        insta::assert_snapshot!(told.concat());
    }

    #[test]
    fn a_stream_ends_with_its_failure() {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/connect+json");
        headers.insert(CONTENT_TYPE, kind.clone());
        let (head, body) = stream(&headers, Failure::stream_unserved()).into_parts();
        assert_eq!(
            (head.status, &head.headers[CONTENT_TYPE]),
            (StatusCode::OK, &kind)
        );
        let (prefix, end) = body.split_at(5);
        assert_eq!(prefix[0], END_OF_STREAM);
        assert_eq!(prefix[1..], u32::try_from(end.len()).unwrap().to_be_bytes());
        let end: Value = serde_json::from_slice(end).unwrap();
        assert_eq!(end["error"]["code"], "unimplemented");
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = stream(&headers, Failure::stream_unserved());
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    }
}
