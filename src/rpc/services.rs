//! All calls of a connection: those that are answered in place, here, and all others.
//!
//! Nearly every call is one question whose message has come whole by the time it is looked at.
//! Nothing that its answer needs could wait, so that it is given in place: no router, no timer, no
//! boxed future. Whatever is not just so (a message in parts, a compressed or a large one, another
//! call) takes the general way, which answers the same.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body as _, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    http::request::Parts,
    service::Service,
};
use tonic::{Code, Status, body::Body, service::Routes};
use tower::Service as _;

use super::{
    calls::{Watched, unary},
    connect::Connect,
    decisions::{CHECK_INBOUND, CHECK_OUTBOUND, CHECK_STREAM},
    failure::{Failure, code_name},
    gate::Gate,
    line::{Line, Permit, is_health},
    partial::Partial,
    peer::Peer,
    service::{Check, Policy},
    unread::Unread,
    wire::PREFIX,
};
use crate::{
    callers::Place,
    telemetry::{Limit, Rpc},
};

/// What answers calls; a clone answers the same.
#[derive(Clone, Debug)]
pub struct Services {
    policy: Policy,
    gate: Gate,
    all: Watched<Routes>,
}

/// What answers the calls of one connection.
#[derive(Clone, Debug)]
pub struct Answers {
    services: Services,
    peer: Arc<Peer>,
    line: Arc<Line>,
}

impl Services {
    /// Lets `policy` answer in place what it can, and `all` the rest.
    pub(super) fn new(policy: Policy, gate: Gate, all: Watched<Routes>) -> Self {
        Self { policy, gate, all }
    }

    /// What answers the same over HTTP.
    pub fn over_http(&self) -> Connect {
        let metrics = self.policy.metrics().clone();
        Connect::new(self.policy.clone(), self.gate.clone(), metrics)
    }

    /// What answers the calls of `peer`, who asks over `line`.
    pub fn to(&self, peer: Peer, line: Arc<Line>) -> Answers {
        Answers {
            services: self.clone(),
            peer: Arc::new(peer),
            line,
        }
    }
}

impl Answers {
    /// The answer of the general way, of which `first` has been read of the body.
    fn general(&self, head: Parts, first: Option<Bytes>, rest: Unread) -> Coming {
        let health = is_health(head.uri.path());
        let body = Partial::new(Begun { first, rest }, Arc::clone(&self.line), health);
        let mut request = Request::from_parts(head, Body::new(body));
        request.extensions_mut().insert(Arc::clone(&self.peer));
        request.extensions_mut().insert(Arc::clone(&self.line));
        Coming::General(self.services.all.clone().call(request))
    }

    /// The answer to a call that is turned away.
    fn turned_away<B>(&self, request: &Request<B>, limit: Limit, headers: HeaderMap) -> Answering {
        let Services { policy, gate, .. } = &self.services;
        gate.turned_away(request.uri(), &self.peer, request.headers(), limit);
        let rpc = match request.uri().path() {
            CHECK_STREAM => Some(Rpc::CheckStream),
            path => unary(path),
        };
        if let Some(rpc) = rpc {
            policy.called(rpc, code_name(Code::Unavailable));
        }
        let mut response = Response::new(Part::End);
        *response.headers_mut() = headers;
        Answering {
            part: Coming::InPlace(Some(response), None),
            permit: None,
        }
    }

    /// The answer to a call that was let in.
    fn answer(&self, request: Request<Unread>) -> Coming {
        let call = Unary::of(&request);
        let (head, mut rest) = request.into_parts();
        let Some(call) = call else {
            return self.general(head, None, rest);
        };
        let mut context = Context::from_waker(Waker::noop());
        let first = match Pin::new(&mut rest).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
        };
        let whole = first.as_ref().filter(|_| rest.is_end_stream());
        match whole.and_then(|body| self.in_place(call, &head, body)) {
            Some(answer) => answer,
            None => self.general(head, first, rest),
        }
    }

    /// The answer to a message that came whole; none where it is for the general way.
    fn in_place(&self, call: Unary, head: &Parts, body: &[u8]) -> Option<Coming> {
        let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
        let [compressed, length @ ..] = *prefix;
        let most = self.line.bounds().limits().message_octets;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 || length != message.len() || length > most {
            return None;
        }
        let Services { policy, gate, .. } = &self.services;
        let code = |answer: &Result<Bytes, Failure>| match answer {
            Ok(_) => "OK",
            Err(failure) => code_name(failure.code()),
        };
        let admitted = gate.admit(&head.uri, &self.peer, &head.headers);
        let mut place = None;
        let answer = admitted.and_then(|asking| {
            let answer = (call.check)(policy, &asking, message);
            gate.answered(&asking, code(&answer));
            if let Some(span) = asking.span {
                span.finish(code(&answer));
            }
            place = asking.place;
            answer
        });
        let code = code(&answer);
        policy.called(call.rpc, code);
        let response = match answer {
            Ok(message) => {
                let mut response = Response::new(Part::Whole(message));
                response.headers_mut().insert(CONTENT_TYPE, GRPC);
                response
            }
            Err(failure) => refused(failure),
        };
        Some(Coming::InPlace(Some(response), place))
    }
}

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let request = request.map(Unread::from);
        let permit = match self.line.admit(request.uri().path()) {
            Ok(permit) => Some(permit),
            Err((limit, headers)) => return self.turned_away(&request, limit, headers),
        };
        let part = caught(|| self.answer(request));
        Answering { part, permit }
    }
}

/// What `answer` gives, or the failure that its panic is: that of one call, not of all calls of its
/// connection.
fn caught(answer: impl FnOnce() -> Coming) -> Coming {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        tracing::error!("a call could not be answered: this is a bug");
        Coming::InPlace(Some(refused(Failure::internal())), None)
    })
}

/// The answer that `failure` is.
fn refused(failure: Failure) -> Response<Part> {
    Status::from(failure).into_http().map(Part::General)
}

/// A call with one question.
#[derive(Clone, Copy, Debug)]
struct Unary {
    rpc: Rpc,
    check: Check,
}

impl Unary {
    /// The call that `request` begins, where it can be answered in place.
    fn of(request: &Request<Unread>) -> Option<Self> {
        let call = match request.uri().path() {
            CHECK_INBOUND => Self {
                rpc: Rpc::CheckInbound,
                check: Policy::check_inbound,
            },
            CHECK_OUTBOUND => Self {
                rpc: Rpc::CheckOutbound,
                check: Policy::check_outbound,
            },
            _ => return None,
        };
        let plain =
            request.method() == Method::POST && !request.headers().contains_key("grpc-encoding");
        plain.then_some(call)
    }
}

/// An answer that is there, or to come.
pub struct Answering {
    part: Coming,
    /// Given to the answer.
    permit: Option<Permit>,
}

enum Coming {
    /// It is there, until it is taken; with its place among the calls of its caller.
    InPlace(Option<Response<Part>>, Option<Arc<Place>>),
    /// It comes the general way.
    General(General),
}

type General = <Watched<Routes> as tower::Service<Request<Body>>>::Future;

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (response, place) = match &mut this.part {
            // A future that has ended is not polled again.
            Coming::InPlace(answer, place) => match answer.take() {
                Some(answer) => (answer, place.take()),
                None => return Poll::Pending,
            },
            Coming::General(answer) => match answer.as_mut().poll(context) {
                Poll::Ready(Ok(mut response)) => {
                    let place = response.extensions_mut().remove();
                    (response.map(Part::General), place)
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|part| Answer {
            part,
            _permit: permit,
            _place: place,
        })))
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            Coming::InPlace(..) => "InPlace",
            Coming::General(_) => "General",
        })
    }
}

/// The body of a response; its call is in flight for as long as it is there.
#[derive(Debug)]
pub struct Answer {
    part: Part,
    _permit: Option<Permit>,
    _place: Option<Arc<Place>>,
}

/// What is still to be sent.
#[derive(Debug)]
enum Part {
    /// A message, and after it the status OK.
    Whole(Bytes),
    /// The status OK.
    Status,
    /// Nothing more.
    End,
    /// Whatever the general way answers.
    General(Body),
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (frame, next) = match &mut self.part {
            Part::Whole(message) => (Frame::data(mem::take(message)), Part::Status),
            Part::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", OK);
                (Frame::trailers(trailers), Part::End)
            }
            Part::End => return Poll::Ready(None),
            Part::General(body) => return Pin::new(body).poll_frame(context),
        };
        self.part = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.part {
            Part::Whole(_) | Part::Status => false,
            Part::End => true,
            Part::General(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.part {
            Part::Whole(_) | Part::Status => SizeHint::default(),
            Part::End => SizeHint::with_exact(0),
            Part::General(body) => body.size_hint(),
        }
    }
}

/// A body of which the first part has been read.
#[derive(Debug)]
struct Begun {
    first: Option<Bytes>,
    rest: Unread,
}

impl hyper::body::Body for Begun {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const OK: HeaderValue = HeaderValue::from_static("0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_its_call_alone() {
        let Coming::InPlace(Some(response), None) = caught(|| panic!("a bug")) else {
            panic!("it has no answer")
        };
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(Failure::from(&status), Failure::internal());
    }
}
