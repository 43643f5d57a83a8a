//! `PolicyDecisionService` on tonic: messages come and go as octets.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::Bytes;
use prost::bytes::{Buf as _, BufMut as _};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http,
    server::{Grpc, NamedService},
};
use tower::{Service, service_fn};

use super::{
    calls::deadline,
    failure::Failure,
    gate::asking,
    line::Line,
    service::{Check, Policy},
    stream::Answers,
    wire::PREFIX,
};

/// The service of that name.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    policy: Policy,
    most_octets: usize,
}

impl Decisions {
    /// Lets `policy` answer messages of at most so many octets.
    pub(super) fn new(policy: Policy, most_octets: usize) -> Self {
        Self {
            policy,
            most_octets,
        }
    }

    /// Answers a call with one question.
    async fn unary(self, request: http::Request<Body>, check: Check) -> http::Response<Body> {
        let service = service_fn(|request: Request<Bytes>| {
            let answer =
                asking(&request).and_then(|asking| check(&self.policy, asking, request.get_ref()));
            // Why: tonic puts the prefix before it itself.
            ready(answer.map_or_else(
                |failure| Err(Status::from(failure)),
                |answer| Ok(Response::new(answer.slice(PREFIX..))),
            ))
        });
        let mut grpc = Grpc::new(Octets).max_decoding_message_size(self.most_octets);
        grpc.unary(service, request).await
    }

    /// Answers a stream of questions.
    async fn stream(self, request: http::Request<Body>) -> http::Response<Body> {
        let service = service_fn(|request: Request<Streaming<Bytes>>| {
            let line = request.extensions().get::<Arc<Line>>();
            let ending = line.map(|line| line.ending().clone());
            let within = deadline(request.metadata().as_ref());
            ready(match (asking(&request).cloned(), ending) {
                (Ok(asking), Some(ending)) => {
                    let (policy, questions) = (self.policy.clone(), request.into_inner());
                    let answers = Answers::new(policy, asking, questions, ending, within);
                    Ok(Response::new(answers))
                }
                (Err(failure), _) => Err(Status::from(failure)),
                (Ok(_), None) => Err(Failure::internal().into()),
            })
        });
        let mut grpc = Grpc::new(Octets).max_decoding_message_size(self.most_octets);
        grpc.streaming(service, request).await
    }
}

impl NamedService for Decisions {
    const NAME: &'static str = "postern.v1.PolicyDecisionService";
}

impl Service<http::Request<Body>> for Decisions {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                CHECK_INBOUND => this.unary(request, Policy::check_inbound).await,
                CHECK_OUTBOUND => this.unary(request, Policy::check_outbound).await,
                CHECK_STREAM => this.stream(request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets;

impl Codec for Octets {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Octets {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Octets {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

pub(super) const CHECK_INBOUND: &str = "/postern.v1.PolicyDecisionService/CheckInbound";
pub(super) const CHECK_OUTBOUND: &str = "/postern.v1.PolicyDecisionService/CheckOutbound";
pub(super) const CHECK_STREAM: &str = "/postern.v1.PolicyDecisionService/CheckStream";
