//! What every conversation with an MTA needs: whom to ask, the bounds, the counters.

use std::{sync::Arc, time::Duration};

use super::{
    answer::{self, Outcome, Stage, Unanswered},
    service::Service,
};
use crate::{
    config::settings::bridge::{Listeners, OnUnavailable},
    rpc::pb,
    telemetry::bridge::{Answered, BridgeTally, Protocol},
};

/// What every conversation with an MTA needs.
#[derive(Debug)]
pub struct Desk {
    service: Arc<Service>,
    listeners: Listeners,
    on_unavailable: OnUnavailable,
    tally: Arc<BridgeTally>,
}

impl Desk {
    /// Asks `service`, and counts in `tally`.
    pub fn new(
        service: Arc<Service>,
        listeners: Listeners,
        on_unavailable: OnUnavailable,
        tally: Arc<BridgeTally>,
    ) -> Self {
        Self {
            service,
            listeners,
            on_unavailable,
            tally,
        }
    }

    /// What the service says of mail that a remote server sends to us.
    pub async fn inbound(
        &self,
        question: pb::CheckInboundRequest,
    ) -> Result<pb::CheckInboundResponse, Unanswered> {
        let answer = self.service.inbound(question).await;
        self.note(answer.as_ref().err(), self.on_unavailable);
        answer
    }

    /// What the service says of mail that we are about to send; where it says nothing, the mail is
    /// to wait, whatever [`Desk::on_unavailable`] is.
    pub async fn outbound(
        &self,
        question: pb::CheckOutboundRequest,
    ) -> Result<pb::CheckOutboundResponse, Unanswered> {
        let answer = self.service.outbound(question).await;
        // Mail that leaves waits in the queue: nothing has to be let pass unchecked.
        self.note(answer.as_ref().err(), OnUnavailable::Defer);
        answer
    }

    /// What the MTA is to do about mail to us, of which it asks at `stage`.
    pub async fn judge(&self, question: pb::CheckInboundRequest, stage: Stage) -> Outcome {
        let answer = self.inbound(question).await;
        let outcome = answer::inbound(&answer, stage, self.on_unavailable);
        if let (Ok(answer), Outcome::Defer(reply)) = (&answer, &outcome)
            && reply.text == answer::UNDECIDED
        {
            tracing::warn!(
                verdict = answer.verdict,
                ?stage,
                "mail is deferred, since the answer is none to let it pass by: an MTA has to ask \
                 at RCPT"
            );
        }
        outcome
    }

    /// What holds where nobody answers in time.
    pub fn on_unavailable(&self) -> OnUnavailable {
        self.on_unavailable
    }

    /// How long a request may take to come whole, and as long again its answer to be taken.
    pub fn request_timeout(&self) -> Duration {
        self.listeners.request_timeout
    }

    /// For how long a connection may be without a request.
    pub fn idle(&self) -> Duration {
        self.listeners.idle.unwrap_or(FOR_EVER)
    }

    /// Counts a question of an MTA that was answered after `took`.
    pub fn answered(&self, protocol: Protocol, answered: Answered, took: Duration) {
        self.tally.answered(protocol, answered, took);
    }

    /// Counts and logs what comes of a question that the service did not answer.
    fn note(&self, unanswered: Option<&Unanswered>, on_unavailable: OnUnavailable) {
        let Some(unanswered) = unanswered else {
            return;
        };
        let did = if unanswered.passes(on_unavailable) {
            OnUnavailable::Accept
        } else {
            OnUnavailable::Defer
        };
        self.tally.unasked(did == OnUnavailable::Accept);
        tracing::warn!(
            code = ?unanswered.code,
            message = unanswered.message,
            did = did.as_str(),
            "the service gave no answer"
        );
    }
}

/// Longer than any process runs, and short enough for a clock.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 10);
