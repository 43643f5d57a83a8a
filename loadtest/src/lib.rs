//! Connector sets as organizations have them, and questions about them, to measure by.
//!
//! A set of a size is always the same, and a question is made of the number of a connector alone.
//! Of a hundred connectors 45 know their partner by its exact domain, 15 by a wildcard, 15 by
//! client networks, 10 by domain for some recipients, and 15 are for mail that goes out.

mod names;
pub mod noop;
mod questions;
mod random;
mod sets;
mod text;

#[cfg(test)]
mod tests;

use postern::rpc::pb;

pub use sets::Shape;

/// What is asked, and what the answer is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scenario {
    /// Mail that meets what its sender domain and its client network demand: ACCEPT.
    InboundAccept,
    /// Mail that fails three demands: REJECT, with three reasons.
    InboundReject,
    /// Mail to a partner before the gateway has connected: CONDITIONAL, with the delivery.
    OutboundPlan,
    /// Mail to a partner over a session that is as demanded: ACCEPT.
    OutboundEnforce,
    /// Mail that no connector speaks of, in or out: ACCEPT.
    Miss,
}

/// The text of a connector set with so many connectors (at least ten), two in a hundred of them in
/// report.
pub fn set(connectors: usize) -> String {
    Shape::of(connectors).text()
}

/// Questions about a set of so many connectors, with reports or without, each about another
/// connector as far as there are so many; none for a scenario of mail that goes out.
pub fn inbound(
    scenario: Scenario,
    connectors: usize,
    count: usize,
) -> Vec<pb::CheckInboundRequest> {
    questions::inbound(scenario, Shape::of(connectors), count)
}

/// The same for mail that goes out; none for a scenario of mail that comes in.
pub fn outbound(
    scenario: Scenario,
    connectors: usize,
    count: usize,
) -> Vec<pb::CheckOutboundRequest> {
    questions::outbound(scenario, Shape::of(connectors), count)
}
