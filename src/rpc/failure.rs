//! Calls that end with an error: the same failure as a gRPC status and as an answer in a stream.

use std::{borrow::Cow, collections::HashMap, fmt, time::Duration};

use prost::Message;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

use super::{facts::BadField, pb};
use crate::{
    policy::NotFound,
    telemetry::{Limit, Unauthenticated},
};

/// Why a question has no answer. `docs/errors.md` says what a gateway does about each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    code: Code,
    reason: Cow<'static, str>,
    message: Cow<'static, str>,
    bad_fields: Vec<BadField>,
    /// When to ask again, where the server says so.
    pushback: Option<Duration>,
}

impl Failure {
    /// The gateway wrote these fields wrongly; there is at least one.
    pub(super) fn bad_fields(bad_fields: Vec<BadField>) -> Self {
        let list: Vec<_> = bad_fields
            .iter()
            .map(|bad| format!("{}: {}", bad.field, bad.description))
            .collect();
        Self {
            message: list.join("; ").into(),
            bad_fields,
            ..Self::new(Code::InvalidArgument, "FACT_INVALID", "")
        }
    }

    /// No connector set answers.
    pub(super) fn not_found(why: NotFound) -> Self {
        let message = match why {
            NotFound::Named => {
                "no connector set has this name: compare `connector_set` with the names of the \
                 connector files"
            }
            NotFound::Unnamed => {
                "no connector set answers for this domain: name one in `connector_set`, add the \
                 domain to the `accepted_domains` of one, or set a `default_set`"
            }
        };
        Self::new(Code::NotFound, "CONNECTOR_SET_NOT_FOUND", message)
    }

    /// No connector set that the caller may ask answers. What there is beside those is nothing to
    /// it, so that the same is said where there is nothing.
    pub(super) fn set_denied(why: NotFound) -> Self {
        let message = match why {
            NotFound::Named => {
                "this caller may ask no connector set of this name: compare `connector_set` with \
                 `sets` of the caller in the file of callers"
            }
            NotFound::Unnamed => {
                "no connector set that this caller may ask answers for this domain: name one in \
                 `connector_set`"
            }
        };
        Self::new(Code::PermissionDenied, "CONNECTOR_SET_DENIED", message)
    }

    /// It is not known who asks. Nothing here tells what there is to be known.
    pub(super) fn unauthenticated(why: Unauthenticated) -> Self {
        let (reason, message) = match why {
            Unauthenticated::Contradiction => (
                "CALLER_AMBIGUOUS",
                "certificate and token are not of one caller: send one of the two",
            ),
            Unauthenticated::Plaintext => (
                "TOKEN_IN_PLAINTEXT",
                "a token that others can read on the way is not taken: use TLS, and a new token",
            ),
            Unauthenticated::Malformed | Unauthenticated::Missing | Unauthenticated::Unknown => (
                "CALLER_UNKNOWN",
                "it is not known who asks: present a client certificate, or one header \
                 `authorization: Bearer` with a token, that the file of callers lists",
            ),
        };
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// The caller may not make calls of this kind.
    pub(super) fn right_missing() -> Self {
        let message = "this caller may not make this call: see `may` of the caller in the file of \
                       callers";
        Self::new(Code::PermissionDenied, "RIGHT_MISSING", message)
    }

    /// Explanations are not for everybody who can reach the port.
    pub(super) fn explanation_local() -> Self {
        let message = "where there are no callers, explanations are for this machine alone: ask \
                       over loopback or a unix socket, or list a caller that may explain in the \
                       file of callers";
        Self::new(Code::PermissionDenied, "EXPLANATION_LOCAL", message)
    }

    /// The caller asks more than it may; again after `wait`.
    pub(super) fn caller_limit(wait: Duration) -> Self {
        let message = "this caller has asked all that it may for now: see `calls_per_second` of the \
                       caller in the file of callers";
        Self::new(Code::ResourceExhausted, "CALLER_LIMIT", message).again_in(wait)
    }

    /// The caller has as many calls in flight as it may have.
    pub(super) fn caller_calls() -> Self {
        let message = "this caller has as many calls in flight as it may have: see `calls` of the \
                       caller in the file of callers";
        Self::new(Code::ResourceExhausted, "CALLER_LIMIT", message)
    }

    /// A message of a stream asks nothing.
    pub(super) fn question_missing() -> Self {
        let description = "set `inbound` or `outbound`: this service knows no other question";
        Self {
            bad_fields: vec![BadField {
                field: "question".into(),
                description: description.into(),
            }],
            ..Self::new(Code::InvalidArgument, "QUESTION_MISSING", description)
        }
    }

    /// The server stops, or the connection is of age: another one answers.
    pub(super) fn draining() -> Self {
        Self::new(
            Code::Unavailable,
            "DRAINING",
            "the server is stopping, or the connection is of age: ask the questions without an \
             answer again on a new stream",
        )
    }

    /// This replica has as much to do as it may have.
    pub(super) fn overloaded(limit: Limit) -> Self {
        let message = match limit {
            Limit::Calls => {
                "this replica has as many calls in flight as it may have: ask another one"
            }
            Limit::StreamsPerConnection => {
                "this connection has as many open streams as it may have: send more questions over \
                 each of them, or make another connection"
            }
            Limit::Connections => {
                "this replica has as many connections as it may have, and answers for its health \
                 alone on this one: ask another replica"
            }
            Limit::MessageTimeout => "the answer was not taken in time",
            Limit::Lag => "this replica is late with what it has to do: ask another one",
            Limit::PartialOctets => {
                "this replica holds as much of messages that have not come whole as it may: ask \
                 another one, and send each message in one go"
            }
        };
        Self::new(Code::Unavailable, "OVERLOADED", message)
    }

    /// The question did not come in time.
    pub(super) fn message_late() -> Self {
        let message = "the message did not come whole in the time that the server waits for it";
        Self::new(Code::DeadlineExceeded, "MESSAGE_TIMEOUT", message)
    }

    /// A bug of the server, of which the peer learns nothing.
    pub(super) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "INTERNAL",
            "a bug in the server: its log says more",
        )
    }

    /// The caller's deadline passed before its request was complete.
    pub(super) fn deadline_exceeded() -> Self {
        let message = "the deadline of the call passed before its request was complete";
        Self::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message)
    }

    /// JSON that is no message of the contract; at this field, where it is at one.
    pub(super) fn json_invalid(field: Option<String>, fault: &serde_json::Error) -> Self {
        let fault = fault.to_string();
        let place = field
            .as_deref()
            .map_or(String::new(), |field| format!("{field}: "));
        let message = format!(
            "the question cannot be read: {place}{fault}: write it in JSON as `/openapi.json` has it"
        );
        let bad_fields = field.map(|field| BadField {
            field,
            description: fault.clone(),
        });
        Self {
            message: message.into(),
            bad_fields: bad_fields.into_iter().collect(),
            ..Self::new(Code::InvalidArgument, "JSON_INVALID", "")
        }
    }

    /// A message that is none of the contract.
    pub(super) fn message_invalid() -> Self {
        Self::new(Code::Internal, "MESSAGE_INVALID", MESSAGE_INVALID)
    }

    /// What the peer is told of a status that the transport made: where a message cannot be read,
    /// nothing of what the parser says of its own.
    pub(super) fn of_transport(status: &Status) -> Self {
        let failure = Self::from(status);
        match failure.code {
            Code::Internal => Self {
                message: MESSAGE_INVALID.into(),
                ..failure
            },
            _ => failure,
        }
    }

    pub(super) fn new(code: Code, reason: &'static str, message: &'static str) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            bad_fields: Vec::new(),
            pushback: None,
        }
    }

    /// Tells the client to ask again after `wait` and not before (`grpc-retry-pushback-ms`).
    #[must_use]
    pub fn again_in(mut self, wait: Duration) -> Self {
        self.pushback = Some(wait);
        self
    }

    /// The gRPC status code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The stable reason of its google.rpc.ErrorInfo; empty where a peer told none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What is wrong and what to do, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// When to ask again, where the server says so.
    pub(super) fn pushback(&self) -> Option<Duration> {
        self.pushback
    }

    /// The fields that must be written otherwise.
    pub fn fields(&self) -> &[BadField] {
        &self.bad_fields
    }

    /// The failure of a question that is the field `outer` of another request.
    pub(super) fn within(mut self, outer: &str) -> Self {
        for bad in &mut self.bad_fields {
            bad.field = format!("{outer}.{}", bad.field);
        }
        self
    }

    /// The failure as an answer in a stream.
    pub(super) fn into_message(self) -> pb::CheckFailure {
        let status = Status::from(self);
        let details = tonic_types::Status::decode(status.details())
            .unwrap_or_default()
            .details;
        pb::CheckFailure {
            code: status.code().into(),
            message: status.message().to_owned(),
            details,
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut details = ErrorDetails::with_error_info(failure.reason, DOMAIN, HashMap::new());
        for bad in failure.bad_fields {
            details.add_bad_request_violation(bad.field, bad.description);
        }
        let mut metadata = MetadataMap::new();
        if let Some(wait) = failure.pushback {
            details.set_retry_info(Some(wait));
            // Why rounded up: what is asked a moment too soon is refused again.
            let milliseconds = wait.as_nanos().div_ceil(1_000_000);
            metadata.insert(
                PUSHBACK,
                u64::try_from(milliseconds).unwrap_or(u64::MAX).into(),
            );
        }
        Self::with_error_details_and_metadata(failure.code, failure.message, details, metadata)
    }
}

impl From<&Status> for Failure {
    /// What a status says: one of this service, or one of the transport, to which a reason is given.
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let fields = details
            .bad_request()
            .into_iter()
            .flat_map(|bad| &bad.field_violations);
        let bad_fields = fields
            .map(|bad| BadField {
                field: bad.field.clone(),
                description: bad.description.clone(),
            })
            .collect();
        let told = details
            .error_info()
            .map(|info| Cow::Owned(info.reason.clone()));
        let (reason, remedy) = reason_of(status);
        let message = match (&told, status.message()) {
            (None, "") => remedy.into(),
            (_, message) => message.to_owned().into(),
        };
        Self {
            code: status.code(),
            reason: told.unwrap_or(reason.into()),
            message,
            bad_fields,
            pushback: status
                .metadata()
                .get(PUSHBACK)
                .and_then(|wait| wait.to_str().ok()?.parse().ok())
                .map(Duration::from_millis),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", code_name(self.code), self.message)
    }
}

impl std::error::Error for Failure {}

/// True where nothing of this service made the status, so that it bears no details.
pub(super) fn lacks_details(status: &Status) -> bool {
    status.details().is_empty()
}

/// The reason of a status that the transport made, and what it says if it says nothing itself.
fn reason_of(status: &Status) -> (&'static str, &'static str) {
    match status.code() {
        Code::Unimplemented if status.message().is_empty() => (
            "METHOD_UNKNOWN",
            "there is no such method: compare the service and its version with the contract",
        ),
        Code::Unimplemented => ("ENCODING_UNKNOWN", "send messages without compression"),
        Code::OutOfRange => ("MESSAGE_TOO_LARGE", "the message is too large"),
        Code::Internal => ("MESSAGE_INVALID", MESSAGE_INVALID),
        Code::NotFound => ("SERVICE_UNKNOWN", "there is no such service"),
        Code::DeadlineExceeded | Code::Cancelled => ("DEADLINE_EXCEEDED", "the call was given up"),
        Code::Unavailable => ("UNREACHABLE", "the server cannot be reached"),
        _ => ("TRANSPORT", "the transport refused the call"),
    }
}

/// The name of a status code, as the gRPC specification writes it.
pub(super) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What is said of a message that cannot be read.
const MESSAGE_INVALID: &str =
    "the request is no message of the contract: compare the client's proto files with it";

/// The trailer that tells when to ask again.
pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The domain of every google.rpc.ErrorInfo of this service.
const DOMAIN: &str = "postern";

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(field: &str) -> BadField {
        BadField {
            field: field.into(),
            description: format!("write {field} well"),
        }
    }

    #[test]
    fn says_the_same_as_status_and_as_answer() {
        for failure in [
            Failure::bad_fields(vec![bad("client_ip"), bad("session.host")]),
            Failure::bad_fields(vec![bad("client_ip")]).within("facts"),
            Failure::not_found(NotFound::Named),
            Failure::not_found(NotFound::Unnamed),
            Failure::question_missing(),
            Failure::draining(),
            Failure::overloaded(Limit::Calls),
            Failure::overloaded(Limit::StreamsPerConnection),
            Failure::overloaded(Limit::Connections),
            Failure::overloaded(Limit::Lag),
            Failure::overloaded(Limit::PartialOctets),
            Failure::message_late(),
            Failure::internal(),
            Failure::deadline_exceeded(),
            Failure::caller_limit(Duration::from_millis(7)),
            Failure::caller_calls(),
            Failure::set_denied(NotFound::Named),
            Failure::unauthenticated(Unauthenticated::Unknown),
            Failure::right_missing(),
            Failure::explanation_local(),
        ] {
            let status = Status::from(failure.clone());
            assert_eq!(Failure::from(&status), failure);
            assert_eq!(
                status.get_error_details().error_info().unwrap().domain,
                "postern"
            );
            let message = failure.clone().into_message();
            assert_eq!(message.code, i32::from(status.code()));
            assert_eq!(message.message, failure.message());
            assert_eq!(
                message.details.len(),
                1 + usize::from(!failure.fields().is_empty() || failure.pushback.is_some())
            );
        }
    }

    #[test]
    fn names_each_bad_field() {
        let failure = Failure::bad_fields(vec![bad("client_ip")]).within("facts");
        assert_eq!(failure.fields()[0].field, "facts.client_ip");
        assert_eq!(
            failure.to_string(),
            "INVALID_ARGUMENT: client_ip: write client_ip well"
        );
        let details = Status::from(failure).get_error_details();
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "facts.client_ip"
        );
    }

    #[test]
    fn gives_the_transports_own_a_reason() {
        let unknown = Failure::from(&Status::new(Code::Unimplemented, ""));
        assert_eq!(unknown.reason(), "METHOD_UNKNOWN");
        assert!(unknown.message().starts_with("there is no such method"));
        let packed = Failure::from(&Status::unimplemented("Content is compressed with `zstd`"));
        assert_eq!(packed.reason(), "ENCODING_UNKNOWN");
        let large = Failure::from(&Status::out_of_range("decoded message length too large"));
        assert_eq!(large.reason(), "MESSAGE_TOO_LARGE");
        assert_eq!(Failure::from(&Status::data_loss("")).reason(), "TRANSPORT");
    }

    #[test]
    fn says_nothing_of_the_parsers_own() {
        let status = Status::internal("failed to decode Protobuf message: invalid wire type");
        let unreadable = Failure::of_transport(&status);
        assert_eq!(
            (unreadable.reason(), unreadable.message()),
            ("MESSAGE_INVALID", MESSAGE_INVALID)
        );
        let large = Status::out_of_range("decoded message length too large");
        assert_eq!(Failure::of_transport(&large), Failure::from(&large));
    }
}
