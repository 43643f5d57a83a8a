//! The questions of both services, each answered from one snapshot.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use hyper::body::Bytes;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    answer,
    failure::{Failure, code_name},
    gate::{Asking, Gate, asking},
    journal::{Decided, Direction, Journal},
    pb::{
        self, check_stream_response::Answer,
        policy_explanation_service_server::PolicyExplanationService,
    },
    question::{Either, InStream, Inbound, Outbound, Read},
    record::Subject,
    wire::{self, Message as _, Numbered},
};
use crate::{
    live::{Live, Snapshot},
    policy::{Chosen, ConnectorSet, Decision},
    telemetry::{Call, Metrics, Rpc, TracedDecision},
};

/// How the question in a message is answered.
pub(super) type Check = fn(&Policy, &Asking, &[u8]) -> Result<Bytes, Failure>;

/// What answers the questions of both services.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    live: Arc<Live>,
    gate: Gate,
    metrics: Metrics,
    journal: Option<Journal>,
}

impl Policy {
    /// Answers from `live` whom `gate` lets in.
    pub(super) fn new(live: Arc<Live>, gate: Gate, metrics: Metrics) -> Self {
        Self {
            live,
            gate,
            metrics,
            journal: None,
        }
    }

    /// The same, which leaves decisions in `journal`.
    pub(super) fn journalled(self, journal: Option<Journal>) -> Self {
        Self { journal, ..self }
    }

    /// The answer to the question in `message`, behind the five octets that gRPC puts before it.
    pub(super) fn check_inbound(&self, asking: &Asking, message: &[u8]) -> Result<Bytes, Failure> {
        let rpc = Rpc::CheckInbound;
        let decide = |question: &_| {
            self.inbound(rpc, asking, message, question, |decision, chosen| {
                wire::Inbound(decision, chosen).framed()
            })
        };
        match Inbound::read(message) {
            Some(question) => decide(&question),
            None => decide(&(&decoded::<pb::CheckInboundRequest>(message)?).into()),
        }
    }

    /// As [`Policy::check_inbound`], for a question about a next hop.
    pub(super) fn check_outbound(&self, asking: &Asking, message: &[u8]) -> Result<Bytes, Failure> {
        let rpc = Rpc::CheckOutbound;
        let decide = |question: &_| {
            self.outbound(rpc, asking, message, question, |decision, chosen| {
                wire::Outbound(decision, chosen).framed()
            })
        };
        match Outbound::read(message) {
            Some(question) => decide(&question),
            None => decide(&(&decoded::<pb::CheckOutboundRequest>(message)?).into()),
        }
    }

    /// The answer to one question of a stream, which may be that this question is refused.
    pub(super) fn check_in_stream(
        &self,
        asking: &Asking,
        message: &[u8],
    ) -> Result<Bytes, Failure> {
        match InStream::read(message) {
            Some(asked) => Ok(self.in_stream(asking, message, &asked)),
            None => Ok(self.in_stream(
                asking,
                message,
                &(&decoded::<pb::CheckStreamRequest>(message)?).into(),
            )),
        }
    }

    fn in_stream(&self, asking: &Asking, message: &[u8], asked: &InStream<'_>) -> Bytes {
        let (rpc, id) = (Rpc::CheckStream, asked.id);
        let spent = self.gate.spend(asking);
        let answer = spent.and_then(|()| match &asked.question {
            Some(Either::Inbound(question)) => {
                self.inbound(rpc, asking, message, question, |decision, chosen| {
                    Numbered(id, wire::INBOUND, wire::Inbound(decision, chosen)).octets()
                })
            }
            Some(Either::Outbound(question)) => {
                self.outbound(rpc, asking, message, question, |decision, chosen| {
                    Numbered(id, wire::OUTBOUND, wire::Outbound(decision, chosen)).octets()
                })
            }
            None => Err(Failure::question_missing()),
        });
        let code = answer
            .as_ref()
            .map_or_else(|failure| code_name(failure.code()), |_| "OK");
        self.gate.answered(asking, code);
        answer.unwrap_or_else(|failure| {
            if let Some(span) = &asking.span {
                span.refused(code);
            }
            let answer = Some(Answer::Failure(failure.into_message()));
            pb::CheckStreamResponse { id, answer }
                .encode_to_vec()
                .into()
        })
    }

    fn inbound(
        &self,
        rpc: Rpc,
        asking: &Asking,
        message: &[u8],
        question: &Inbound<'_>,
        say: impl FnOnce(&Decision<'_>, Option<Chosen<'_>>) -> Bytes,
    ) -> Result<Bytes, Failure> {
        let asked = Asked {
            subject: Subject::inbound(rpc, question),
            direction: Direction::Inbound,
            rpc,
            asking,
            message,
            started: Instant::now(),
        };
        let decide = |snapshot: &Snapshot| {
            answer::decide_inbound(snapshot, asking.scope(), question, |decision, chosen| {
                self.told(&asked, &decision, chosen, say)
            })
        };
        asking.within(|| self.answer(rpc, decide))
    }

    fn outbound(
        &self,
        rpc: Rpc,
        asking: &Asking,
        message: &[u8],
        question: &Outbound<'_>,
        say: impl FnOnce(&Decision<'_>, Option<Chosen<'_>>) -> Bytes,
    ) -> Result<Bytes, Failure> {
        let asked = Asked {
            subject: Subject::outbound(rpc, question),
            direction: Direction::Outbound,
            rpc,
            asking,
            message,
            started: Instant::now(),
        };
        let decide = |snapshot: &Snapshot| {
            answer::decide_outbound(snapshot, asking.scope(), question, |decision, chosen| {
                self.told(&asked, &decision, chosen, say)
            })
        };
        asking.within(|| self.answer(rpc, decide))
    }

    /// The answer that `say` makes of a decision, which is counted, traced and written down.
    fn told(
        &self,
        asked: &Asked<'_>,
        decision: &Decision<'_>,
        chosen: Option<Chosen<'_>>,
        say: impl FnOnce(&Decision<'_>, Option<Chosen<'_>>) -> Bytes,
    ) -> Bytes {
        let Asked { rpc, asking, .. } = *asked;
        let set = chosen.map(|chosen| &*chosen.entry.set);
        let took = asked.started.elapsed();
        let name = set.map(ConnectorSet::name);
        self.metrics.decided(rpc, name, decision, took);
        let subject = asked
            .subject
            .by(asking.caller_name())
            .in_trace(asking.trace_id());
        let correlation_id = subject.correlation_id();
        if let Some(span) = &asking.span {
            self.metrics.traced(rpc, span.trace_id(), took);
            span.decided(TracedDecision {
                set,
                decision,
                correlation_id,
            });
        }
        subject.decided(set, decision, took);
        let answer = say(decision, chosen);
        if let Some(journal) = &self.journal {
            let decided = Decided {
                rpc,
                direction: asked.direction,
                correlation_id: correlation_id.unwrap_or_default(),
                decision,
                took,
                question: asked.message,
                answer: &answer,
            };
            decided.leave(asking, journal);
        }
        answer
    }

    /// Looks again at a call that goes on, where the callers have changed since it was let in.
    pub(super) fn still(&self, asking: &mut Asking) -> Result<(), Failure> {
        self.gate.still(asking)
    }

    /// Where calls are counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The octets of the explanation that those of `message` ask for.
    pub(super) fn explain_inbound_octets(
        &self,
        asking: &Asking,
        message: &[u8],
    ) -> Result<Bytes, Failure> {
        let explained = self.explained_inbound(asking, &decoded(message)?)?;
        Ok(explained.encode_to_vec().into())
    }

    /// As [`Policy::explain_inbound_octets`], of a question about a next hop.
    pub(super) fn explain_outbound_octets(
        &self,
        asking: &Asking,
        message: &[u8],
    ) -> Result<Bytes, Failure> {
        let explained = self.explained_outbound(asking, &decoded(message)?)?;
        Ok(explained.encode_to_vec().into())
    }

    fn explained_inbound(
        &self,
        asking: &Asking,
        request: &pb::ExplainInboundRequest,
    ) -> Result<pb::ExplainInboundResponse, Failure> {
        self.answer(Rpc::ExplainInbound, |snapshot| {
            answer::explain_inbound(snapshot, asking.scope(), request)
        })
    }

    fn explained_outbound(
        &self,
        asking: &Asking,
        request: &pb::ExplainOutboundRequest,
    ) -> Result<pb::ExplainOutboundResponse, Failure> {
        self.answer(Rpc::ExplainOutbound, |snapshot| {
            answer::explain_outbound(snapshot, asking.scope(), request)
        })
    }

    /// Counts a call that was answered with this gRPC status code.
    pub(super) fn called(&self, rpc: Rpc, code: &'static str) {
        self.metrics.called(rpc, code);
    }

    /// Watches a stream.
    pub(super) fn stream(&self) -> Call {
        self.metrics.call(Rpc::CheckStream)
    }

    /// Runs `question` against one snapshot; a panic in it is a failure of this question alone.
    fn answer<T>(
        &self,
        rpc: Rpc,
        question: impl FnOnce(&Snapshot) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(|| self.live.with(question))).unwrap_or_else(|_| {
            tracing::error!(
                rpc = rpc.as_str(),
                "a question could not be answered: this is a bug"
            );
            Err(Failure::internal())
        })
    }
}

/// A question, and under what it was asked.
struct Asked<'a> {
    subject: Subject<'a>,
    direction: Direction,
    rpc: Rpc,
    asking: &'a Asking,
    message: &'a [u8],
    started: Instant,
}

/// The message in `octets`, as prost reads it.
fn decoded<M: prost::Message + Default>(octets: &[u8]) -> Result<M, Failure> {
    M::decode(octets).map_err(|_| Failure::message_invalid())
}

#[tonic::async_trait]
impl PolicyExplanationService for Policy {
    async fn explain_inbound(
        &self,
        request: Request<pb::ExplainInboundRequest>,
    ) -> Result<Response<pb::ExplainInboundResponse>, Status> {
        let explained = self.explained_inbound(asking(&request)?, request.get_ref());
        Ok(explained.map(Response::new)?)
    }

    async fn explain_outbound(
        &self,
        request: Request<pb::ExplainOutboundRequest>,
    ) -> Result<Response<pb::ExplainOutboundResponse>, Status> {
        let explained = self.explained_outbound(asking(&request)?, request.get_ref());
        Ok(explained.map(Response::new)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::Catalog;

    #[test]
    fn a_panic_fails_its_question_alone() {
        let empty = Snapshot {
            catalog: Catalog::new(Vec::new(), None),
            status: BTreeMap::new(),
            directory_fault: None,
        };
        let live = Arc::new(Live::new(empty));
        let policy = Policy::new(live, Gate::default(), Metrics::new());
        let broken: Result<(), _> = policy.answer(Rpc::CheckInbound, |_| panic!("a bug"));
        assert_eq!(broken, Err(Failure::internal()));
        assert_eq!(policy.answer(Rpc::CheckInbound, |_| Ok(7)), Ok(7));
    }
}
