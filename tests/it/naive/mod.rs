//! The naive reading: what Postern decides, read off the text of the semantics sentence by
//! sentence, with no index and no prepared cascade. It shares no code with the crate; the laws
//! compare the two.
//!
//! `model` holds a connector set as it is written, `facts` what a gateway asks, `outcome` what it
//! is told. `names` reads domains, addresses and versions; `inbound` with `demands`, `outbound` and
//! `choose` decide, and `checks` is what both directions check. `some_connectors`, `some_sets` and
//! `some_facts` are the proptest strategies, which keep to a few names so that connectors collide
//! and facts hit them.

mod checks;
mod choose;
mod demands;
pub(crate) mod facts;
mod inbound;
pub(crate) mod model;
pub(crate) mod names;
mod outbound;
pub(crate) mod outcome;
pub(crate) mod some_connectors;
mod some_facts;
pub(crate) mod some_sets;

pub(crate) use choose::{Answer, SelectedBy, answer_inbound, answer_outbound, choose};
pub(crate) use facts::{
    Certificate, InboundFacts, OutboundFacts, OutboundSession, TlsSession, Trust,
};
pub(crate) use inbound::decide_inbound;
pub(crate) use model::{
    Inbound, InboundMatch, InboundRequire, InboundTls, Level, Mode, Origin, Outbound,
    OutboundRequire, Scope, Set,
};
pub(crate) use names::{Envelope, Pattern, domain, fingerprint, network, version};
pub(crate) use outbound::decide_outbound;
pub(crate) use outcome::{MatchedBy, Reason, ReplyCodes, Verdict};
pub(crate) use some_facts::{some_inbound_facts, some_outbound_facts};
pub(crate) use some_sets::{some_set, some_sets};

#[cfg(test)]
mod tests;
