//! The decision: may this mail pass, given what was agreed with this partner?
//!
//! Pure: facts and a connector set in, a decision out. Whatever can be settled when a set is made
//! is settled there; a decision hashes, compares and copies.

pub mod catalog;
pub mod connector;
pub mod decision;
pub mod explain;
pub mod facts;
mod inbound;
mod index;
pub mod listed;
mod outbound;
pub mod requirement;
pub mod scope;
pub mod set;
mod words;

pub use catalog::{Catalog, Chosen, Entry, NotFound, SelectedBy};
pub use decision::{Decision, Reason, Verdict};
pub use explain::{explain_inbound, explain_outbound};
pub use facts::{InboundFacts, OutboundFacts};
pub use inbound::decide_inbound;
pub use outbound::decide_outbound;
pub use scope::{Scope, Scoped};
pub use set::ConnectorSet;

use decision::{Action, Rejection, Reply};

/// The decision about an envelope address that cannot be understood. The peer chose it, so that it
/// is refused and no error, whatever the connector set and its mode.
///
/// `reason` is [`Reason::MailFromInvalid`] or [`Reason::RcptToInvalid`], `given` the address, and
/// `fault` what is wrong with it.
pub fn malformed_address(reason: Reason, given: &str, fault: &str) -> Decision<'static> {
    let (code, enhanced) = words::codes(reason, true, Action::Reject);
    let whose = if reason == Reason::MailFromInvalid {
        "sender"
    } else {
        "recipient"
    };
    Decision {
        rejections: vec![Rejection {
            reason,
            connector: None,
            message: format!("the envelope {whose} cannot be understood as an address: {fault}"),
            expected: Vec::new(),
            observed: words::given(given),
        }],
        reply: Some(Reply {
            code,
            enhanced,
            text: words::fixed_text(reason, words::Audience::SendingDomain).into(),
        }),
        ..Decision::bare(Verdict::Reject)
    }
}

/// The decision where a recipient must be known before a connector set can be chosen.
pub fn ask_with_recipient() -> Decision<'static> {
    Decision::bare(Verdict::Conditional)
}
