//! The same questions over HTTP: unary calls of the Connect protocol, in JSON or in protobuf.
//!
//! A call passes the same line and the same gate as over gRPC, and the same code answers it: here a
//! message is only written otherwise. Streams are not served.

mod codec;
mod openapi;
mod protocol;
mod refusal;
mod unary;

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    http::request::Parts,
    service::Service,
};
use tokio::time::sleep;
use tonic::Status;

use self::{codec::Codec, unary::Unary};
use super::{
    decisions::CHECK_STREAM,
    failure::{Failure, code_name},
    gate::{Asking, Gate},
    line::{Line, Permit},
    peer::Peer,
    service::Policy,
    unread::Unread,
};
use crate::telemetry::{Limit, Metrics, Rpc};

pub use openapi::document;

/// What answers calls over HTTP; a clone answers the same.
#[derive(Clone, Debug)]
pub struct Connect {
    policy: Policy,
    gate: Gate,
    metrics: Metrics,
}

/// What answers the calls of one connection.
#[derive(Clone, Debug)]
pub struct Answers {
    connect: Connect,
    peer: Arc<Peer>,
    line: Arc<Line>,
}

impl Connect {
    /// Lets `policy` answer whom `gate` lets in, and counts calls in `metrics`.
    pub(super) fn new(policy: Policy, gate: Gate, metrics: Metrics) -> Self {
        Self {
            policy,
            gate,
            metrics,
        }
    }

    /// What answers the calls of `peer`, who asks over `line`.
    pub fn to(&self, peer: Peer, line: Arc<Line>) -> Answers {
        Answers {
            connect: self.clone(),
            peer: Arc::new(peer),
            line,
        }
    }
}

impl Answers {
    async fn answer(&self, request: Request<Unread>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        match (&head.method, Unary::at(path)) {
            (&Method::POST, Some(unary)) => self.call(unary, head, body).await,
            (&Method::POST, None) if path == CHECK_STREAM => {
                refusal::stream(&head.headers, Failure::stream_unserved())
            }
            (_, Some(_)) => refusal::response(Failure::post_only()),
            (&Method::GET | &Method::HEAD, None) if path == OPENAPI => json(DOCUMENT.clone()),
            (_, None) => refusal::response(Failure::from(&Status::unimplemented(""))),
        }
    }

    /// The answer to a call that is turned away, with the headers that gRPC would.
    fn turned_away<B>(
        &self,
        request: &Request<B>,
        limit: Limit,
        headers: &HeaderMap,
    ) -> Response<Bytes> {
        let Connect { gate, .. } = &self.connect;
        gate.turned_away(request.uri(), &self.peer, request.headers(), limit);
        let path = request.uri().path();
        let status = Status::from_header_map(headers);
        let failure = status.map_or_else(Failure::internal, |status| Failure::from(&status));
        if let Some(unary) = Unary::at(path) {
            let code = code_name(failure.code());
            self.connect.metrics.called(unary.rpc, code);
        } else if path == CHECK_STREAM {
            let code = code_name(failure.code());
            self.connect.metrics.called(Rpc::CheckStream, code);
        }
        refusal::response(failure)
    }

    async fn call(&self, unary: Unary, head: Parts, body: Unread) -> Response<Bytes> {
        let mut call = self.connect.metrics.call(unary.rpc);
        let admitted = self
            .connect
            .gate
            .admit(&head.uri, &self.peer, &head.headers);
        let (answer, span) = match admitted {
            Ok(asking) => {
                if let Some(caller) = &asking.caller {
                    call.by(caller.shared_name());
                }
                let answer = self.asked(unary, &asking, &head.headers, body).await;
                (answer, asking.span)
            }
            Err(failure) => (Err(failure), None),
        };
        let failed = |failure: &Failure| code_name(failure.code());
        let code = answer.as_ref().map_or_else(failed, |_| "OK");
        call.finish(code);
        if let Some(span) = span {
            span.finish(code);
        }
        answer.unwrap_or_else(refusal::response)
    }

    async fn asked(
        &self,
        unary: Unary,
        asking: &Asking,
        headers: &HeaderMap,
        body: Unread,
    ) -> Result<Response<Bytes>, Failure> {
        let codec = Codec::of(headers)?;
        protocol::version(headers)?;
        protocol::uncompressed(headers)?;
        let limits = self.line.bounds().limits();
        let (within, late) = match protocol::timeout(headers)? {
            Some(within) if within < limits.message_timeout => {
                (within, Failure::deadline_exceeded())
            }
            Some(_) | None => (limits.message_timeout, Failure::message_late()),
        };
        let collected = tokio::select! {
            // The deadline first: nothing is done for a call whose time is over.
            biased;
            () = sleep(within) => return Err(late),
            collected = Limited::new(body, limits.message_octets).collect() => collected,
        };
        let question = collected.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Failure::from(&Status::out_of_range("the message is too large"))
            } else {
                Failure::broken_off()
            }
        })?;
        let question = question.to_bytes();
        let work = || {
            let question = codec.read(unary.question, &question)?;
            let answer = (unary.ask)(&self.connect.policy, asking, &question)?;
            codec.write(unary.answer, answer)
        };
        let answer = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            tracing::error!("a call could not be answered: this is a bug");
            Err(Failure::internal())
        })?;
        let mut response = Response::new(answer);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, codec.content_type());
        Ok(response)
    }
}

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let request = request.map(Unread::from);
        self.line.has_come();
        let (permit, turned_away) = match self.line.admit(request.uri().path()) {
            Ok(permit) => (Some(permit), None),
            Err((limit, headers)) => (None, Some(self.turned_away(&request, limit, &headers))),
        };
        let this = self.clone();
        Box::pin(async move {
            let response = match turned_away {
                Some(response) => response,
                None => this.answer(request).await,
            };
            Ok(response.map(|octets| Answer {
                body: Full::new(octets),
                _permit: permit,
            }))
        })
    }
}

/// The body of a response; its call is in flight for as long as it is there.
#[derive(Debug)]
pub struct Answer {
    body: Full<Bytes>,
    _permit: Option<Permit>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response of JSON.
fn json(octets: Bytes) -> Response<Bytes> {
    let mut response = Response::new(octets);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Where the OpenAPI document is.
const OPENAPI: &str = "/openapi.json";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| format!("{:#}\n", document()).into());
