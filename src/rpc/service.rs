//! The calls of both services: each question is answered from one snapshot.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    answer,
    failure::Failure,
    pb::{
        self, check_stream_request::Question, check_stream_response::Answer,
        policy_decision_service_server::PolicyDecisionService,
        policy_explanation_service_server::PolicyExplanationService,
    },
    record::Subject,
    stream::Answers,
};
use crate::{
    live::{Live, Snapshot},
    policy::ConnectorSet,
    telemetry::{Metrics, Rpc},
};

/// Both services of the contract.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    live: Arc<Live>,
    metrics: Metrics,
    drain: CancellationToken,
}

impl Policy {
    /// Answers from `live`; its streams end when `drain` is cancelled.
    pub(super) fn new(live: Arc<Live>, metrics: Metrics, drain: CancellationToken) -> Self {
        Self {
            live,
            metrics,
            drain,
        }
    }

    fn inbound(
        &self,
        rpc: Rpc,
        request: &pb::CheckInboundRequest,
    ) -> Result<pb::CheckInboundResponse, Failure> {
        let started = Instant::now();
        self.answer(rpc, |snapshot| {
            answer::decide_inbound(snapshot, request, |set, decision| {
                let took = started.elapsed();
                self.metrics
                    .decided(rpc, set.map(ConnectorSet::name), decision, took);
                Subject::inbound(rpc, request).decided(set, decision, took);
            })
        })
    }

    fn outbound(
        &self,
        rpc: Rpc,
        request: &pb::CheckOutboundRequest,
    ) -> Result<pb::CheckOutboundResponse, Failure> {
        let started = Instant::now();
        self.answer(rpc, |snapshot| {
            answer::decide_outbound(snapshot, request, |set, decision| {
                let took = started.elapsed();
                self.metrics
                    .decided(rpc, set.map(ConnectorSet::name), decision, took);
                Subject::outbound(rpc, request).decided(set, decision, took);
            })
        })
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

    /// The answer to one question of a stream.
    pub(super) fn answer_in_stream(
        &self,
        request: pb::CheckStreamRequest,
    ) -> pb::CheckStreamResponse {
        let answer = match &request.question {
            Some(Question::Inbound(question)) => self
                .inbound(Rpc::CheckStream, question)
                .map(Answer::Inbound),
            Some(Question::Outbound(question)) => self
                .outbound(Rpc::CheckStream, question)
                .map(Answer::Outbound),
            None => Err(Failure::question_missing()),
        };
        let answer = answer.unwrap_or_else(|failure| Answer::Failure(failure.into_message()));
        pb::CheckStreamResponse {
            id: request.id,
            answer: Some(answer),
        }
    }
}

#[tonic::async_trait]
impl PolicyDecisionService for Policy {
    type CheckStreamStream = Answers;

    async fn check_inbound(
        &self,
        request: Request<pb::CheckInboundRequest>,
    ) -> Result<Response<pb::CheckInboundResponse>, Status> {
        Ok(self
            .inbound(Rpc::CheckInbound, request.get_ref())
            .map(Response::new)?)
    }

    async fn check_outbound(
        &self,
        request: Request<pb::CheckOutboundRequest>,
    ) -> Result<Response<pb::CheckOutboundResponse>, Status> {
        Ok(self
            .outbound(Rpc::CheckOutbound, request.get_ref())
            .map(Response::new)?)
    }

    async fn check_stream(
        &self,
        request: Request<Streaming<pb::CheckStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let call = self.metrics.call(Rpc::CheckStream);
        let drain = self.drain.child_token();
        Ok(Response::new(Answers::new(
            self.clone(),
            request.into_inner(),
            drain,
            call,
        )))
    }
}

#[tonic::async_trait]
impl PolicyExplanationService for Policy {
    async fn explain_inbound(
        &self,
        request: Request<pb::ExplainInboundRequest>,
    ) -> Result<Response<pb::ExplainInboundResponse>, Status> {
        let explain = |snapshot: &Snapshot| answer::explain_inbound(snapshot, request.get_ref());
        Ok(self
            .answer(Rpc::ExplainInbound, explain)
            .map(Response::new)?)
    }

    async fn explain_outbound(
        &self,
        request: Request<pb::ExplainOutboundRequest>,
    ) -> Result<Response<pb::ExplainOutboundResponse>, Status> {
        let explain = |snapshot: &Snapshot| answer::explain_outbound(snapshot, request.get_ref());
        Ok(self
            .answer(Rpc::ExplainOutbound, explain)
            .map(Response::new)?)
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
        let policy = Policy::new(live, Metrics::new(), CancellationToken::new());
        let broken: Result<(), _> = policy.answer(Rpc::CheckInbound, |_| panic!("a bug"));
        assert_eq!(broken, Err(Failure::internal()));
        assert_eq!(policy.answer(Rpc::CheckInbound, |_| Ok(7)), Ok(7));
    }
}
