//! The calls with one question, and what is asked and answered in each.

use hyper::body::Bytes;

use crate::{
    rpc::{calls, failure::Failure, gate::Asking, service::Policy, wire::PREFIX},
    telemetry::Rpc,
};

/// A call with one question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unary {
    /// What it counts as.
    pub(super) rpc: Rpc,
    /// The full names of its messages.
    pub(super) question: &'static str,
    pub(super) answer: &'static str,
    /// The octets of the answer to those of the question.
    pub(super) ask: fn(&Policy, &Asking, &[u8]) -> Result<Bytes, Failure>,
}

impl Unary {
    /// The call that `path` stands for.
    pub(super) fn at(path: &str) -> Option<Self> {
        let rpc = calls::unary(path)?;
        Some(match rpc {
            Rpc::CheckInbound => Self {
                rpc,
                question: "postern.v1.CheckInboundRequest",
                answer: "postern.v1.CheckInboundResponse",
                ask: |policy, asking, question| {
                    let answer = policy.check_inbound(asking, question)?;
                    Ok(answer.slice(PREFIX..))
                },
            },
            Rpc::CheckOutbound => Self {
                rpc,
                question: "postern.v1.CheckOutboundRequest",
                answer: "postern.v1.CheckOutboundResponse",
                ask: |policy, asking, question| {
                    let answer = policy.check_outbound(asking, question)?;
                    Ok(answer.slice(PREFIX..))
                },
            },
            Rpc::ExplainInbound => Self {
                rpc,
                question: "postern.v1.ExplainInboundRequest",
                answer: "postern.v1.ExplainInboundResponse",
                ask: Policy::explain_inbound_octets,
            },
            Rpc::ExplainOutbound => Self {
                rpc,
                question: "postern.v1.ExplainOutboundRequest",
                answer: "postern.v1.ExplainOutboundResponse",
                ask: Policy::explain_outbound_octets,
            },
            Rpc::CheckStream => return None,
        })
    }
}
