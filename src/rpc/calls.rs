//! What every call gets, whatever answers it: it is counted, also where it is given up; its
//! deadline is kept; a panic in it is a failure of it alone; an error that the transport made
//! bears a google.rpc.ErrorInfo like all others.

use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use super::{
    failure::{Failure, code_name, lacks_details},
    gate::{Asking, Gate},
};
use crate::telemetry::{Metrics, Rpc};

/// Wraps the services of a server.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    gate: Gate,
    metrics: Metrics,
    message_timeout: Duration,
}

impl Calls {
    /// Lets calls in by `gate`, and counts them in `metrics`; their messages may take so long to
    /// come.
    pub(super) fn new(gate: Gate, metrics: Metrics, message_timeout: Duration) -> Self {
        Self {
            gate,
            metrics,
            message_timeout,
        }
    }
}

impl<S> Layer<S> for Calls {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            gate: self.gate.clone(),
            metrics: self.metrics.clone(),
            message_timeout: self.message_timeout,
        }
    }
}

/// Services whose calls are watched.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    inner: S,
    gate: Gate,
    metrics: Metrics,
    message_timeout: Duration,
}

impl<S> Service<Request<Body>> for Watched<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut call = unary(request.uri().path()).map(|rpc| self.metrics.call(rpc));
        let (span, place) = match self.admit(&request) {
            Ok(asking) => {
                if let (Some(call), Some(caller)) = (&mut call, &asking.caller) {
                    call.by(caller.shared_name());
                }
                // Why not of a stream: it ends its own, long after this.
                let span = asking.span.clone().filter(|_| call.is_some());
                let place = asking.place.clone();
                request.extensions_mut().insert(asking);
                (span, place)
            }
            Err(failure) => {
                if let Some(call) = call {
                    call.finish(code_name(failure.code()));
                }
                return Box::pin(ready(Ok(Status::from(failure).into_http())));
            }
        };
        // Why here: the transport keeps the same deadline, and begins it later.
        // An answer begins as soon as the message is there: whatever waits, waits for that.
        let (within, late) = match deadline(request.headers()) {
            Some(within) if within < self.message_timeout => (within, Failure::deadline_exceeded()),
            Some(_) | None => (self.message_timeout, Failure::message_late()),
        };
        let deadline = sleep(within);
        let answer = caught(self.inner.call(request));
        Box::pin(async move {
            let mut response = tokio::select! {
                // The deadline first: nothing is done for a call whose time is over.
                biased;
                () = deadline => Status::from(late).into_http(),
                response = answer => response,
            };
            let status = Status::from_header_map(response.headers())
                .filter(|status| status.code() != Code::Ok);
            let code = status.as_ref().map_or("OK", outcome);
            if let Some(call) = call {
                call.finish(code);
            }
            if let Some(span) = span {
                span.finish(code);
            }
            if let Some(status) = status.filter(lacks_details) {
                response = Status::from(Failure::of_transport(&status)).into_http();
            }
            if let Some(place) = place {
                // Taken out by what sends the answer, and kept until that is done.
                response.extensions_mut().insert(place);
            }
            Ok(response)
        })
    }
}

impl<S> Watched<S> {
    fn admit(&self, request: &Request<Body>) -> Result<Asking, Failure> {
        let peer = request.extensions().get().ok_or_else(Failure::internal)?;
        self.gate.admit(request.uri(), peer, request.headers())
    }
}

/// The response of `answer`, or the failure that its panic is.
async fn caught(
    answer: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Response<Body> {
    let mut answer = std::pin::pin!(answer);
    let polled =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(poll) => poll.map(Some),
                Err(_) => Poll::Ready(None),
            },
        );
    match polled.await {
        Some(Ok(response)) => response,
        None => {
            tracing::error!("a call could not be answered: this is a bug");
            Status::from(Failure::internal()).into_http()
        }
    }
}

/// The code that a call with this error counts under.
///
/// One that the peer gives up looks like one that ended without its message, and one whose
/// connection breaks is an unknown error to the transport.
fn outcome(status: &Status) -> &'static str {
    let given_up = status.code() == Code::Unknown || status.message() == MESSAGE_MISSING;
    if given_up && lacks_details(status) {
        code_name(Code::Cancelled)
    } else {
        code_name(status.code())
    }
}

/// The call that a path stands for, where it is one with one answer; a stream counts itself.
pub(super) fn unary(path: &str) -> Option<Rpc> {
    match path {
        "/postern.v1.PolicyDecisionService/CheckInbound" => Some(Rpc::CheckInbound),
        "/postern.v1.PolicyDecisionService/CheckOutbound" => Some(Rpc::CheckOutbound),
        "/postern.v1.PolicyExplanationService/ExplainInbound" => Some(Rpc::ExplainInbound),
        "/postern.v1.PolicyExplanationService/ExplainOutbound" => Some(Rpc::ExplainOutbound),
        _ => None,
    }
}

/// How long the caller waits for the beginning of an answer (`grpc-timeout`: at most eight digits
/// and a unit).
pub(super) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// What tonic says of a call without a message.
const MESSAGE_MISSING: &str = "Missing request message.";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tower::ServiceExt;

    use super::*;
    use crate::rpc::peer::{Origin, Peer};

    fn waits(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        deadline(&headers)
    }

    #[test]
    fn reads_deadlines() {
        assert_eq!(waits("250m"), Some(Duration::from_millis(250)));
        assert_eq!(waits("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(waits("1n"), Some(Duration::from_nanos(1)));
        for text in ["", "m", "+1m", "123456789m", "1x", "1 m", "-1m"] {
            assert_eq!(waits(text), None, "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }

    #[test]
    fn counts_what_was_given_up() {
        assert_eq!(outcome(&Status::internal(MESSAGE_MISSING)), "CANCELLED");
        assert_eq!(outcome(&Status::unknown("connection reset")), "CANCELLED");
        assert_eq!(outcome(&Status::internal("failed to decode")), "INTERNAL");
        assert_eq!(outcome(&Failure::draining().into()), "UNAVAILABLE");
    }

    async fn answered<F>(answer: impl Fn() -> F + Clone + Send + 'static) -> Failure
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer();
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut request = Request::new(Body::empty());
        request
            .headers_mut()
            .insert("grpc-timeout", "50m".parse().unwrap());
        let origin = Origin::Network(None);
        request
            .extensions_mut()
            .insert(Arc::new(Peer::plaintext(origin)));
        let response = Calls::new(Gate::default(), Metrics::new(), Duration::from_secs(10))
            .layer(service)
            .oneshot(request)
            .await
            .unwrap();
        Failure::from(&Status::from_header_map(response.headers()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn every_error_has_a_reason() {
        let unknown = answered(async || Status::unimplemented("").into_http()).await;
        assert_eq!(unknown.reason(), "METHOD_UNKNOWN");
        let own = answered(async || Status::from(Failure::draining()).into_http()).await;
        assert_eq!(own, Failure::draining());
        let late = answered(std::future::pending).await;
        assert_eq!(late, Failure::deadline_exceeded());
        let broken = answered(async || panic!("a bug")).await;
        assert_eq!(broken, Failure::internal());
    }
}
