//! Questions answered from one snapshot: the same for calls, for streams and without a server.
//!
//! The order is that of the contract: what the gateway wrote wrongly, a named set that is not
//! there, malformed addresses, the choice of the set, the decision.

use super::{
    explain,
    facts::{self, Malformed, Understood},
    failure::Failure,
    pb,
    question::{Inbound, Outbound},
    reply,
};
use crate::{
    live::Snapshot,
    mail::Domain,
    policy::{
        self, Catalog, Chosen, Decision, InboundFacts, NotFound, Reason, Scope, Scoped,
        explain::{Chain, Considered, Explanation},
    },
};

/// Answers a question about a sending server.
pub fn inbound(
    snapshot: &Snapshot,
    request: &pb::CheckInboundRequest,
) -> Result<pb::CheckInboundResponse, Failure> {
    decide_inbound(snapshot, None, &request.into(), |decision, chosen| {
        reply::inbound(decision, chosen.map(Into::into))
    })
}

/// Answers a question about a next hop.
pub fn outbound(
    snapshot: &Snapshot,
    request: &pb::CheckOutboundRequest,
) -> Result<pb::CheckOutboundResponse, Failure> {
    decide_outbound(snapshot, None, &request.into(), |decision, chosen| {
        reply::outbound(decision, chosen.map(Into::into))
    })
}

/// Decides a question about a sending server; `say` makes the answer of the decision, and of the
/// set that gave it. Only what is in `scope` is chosen from, where there is one.
pub(super) fn decide_inbound<T>(
    snapshot: &Snapshot,
    scope: Option<&Scope>,
    question: &Inbound<'_>,
    say: impl FnOnce(Decision<'_>, Option<Chosen<'_>>) -> T,
) -> Result<T, Failure> {
    let understood = facts::inbound(question).map_err(Failure::bad_fields)?;
    let choice = Choice::named(&snapshot.catalog, scope, question.connector_set)?;
    let (chosen, decision) = match &understood {
        Understood::Malformed(malformed) => malformed_address(choice, malformed),
        Understood::Facts(facts) if choice.needs_recipient(facts) => ask_with_recipient(choice),
        Understood::Facts(facts) => {
            let chosen = choice.by(accepting(facts))?;
            (
                Some(chosen),
                policy::decide_inbound(&chosen.entry.set, facts),
            )
        }
    };
    Ok(say(decision, chosen))
}

/// As [`decide_inbound`], for a question about a next hop.
pub(super) fn decide_outbound<T>(
    snapshot: &Snapshot,
    scope: Option<&Scope>,
    question: &Outbound<'_>,
    say: impl FnOnce(Decision<'_>, Option<Chosen<'_>>) -> T,
) -> Result<T, Failure> {
    let understood = facts::outbound(question).map_err(Failure::bad_fields)?;
    let choice = Choice::named(&snapshot.catalog, scope, question.connector_set)?;
    let (chosen, decision) = match &understood {
        Understood::Malformed(malformed) => malformed_address(choice, malformed),
        Understood::Facts(sending) => {
            let chosen = choice.by(sending.mail_from.domain())?;
            (
                Some(chosen),
                policy::decide_outbound(&chosen.entry.set, &sending.facts),
            )
        }
    };
    Ok(say(decision, chosen))
}

/// Explains the answer to a question about a sending server, to who may ask what is in `scope`,
/// where there is one.
pub fn explain_inbound(
    snapshot: &Snapshot,
    scope: Option<&Scope>,
    request: &pb::ExplainInboundRequest,
) -> Result<pb::ExplainInboundResponse, Failure> {
    let none = pb::CheckInboundRequest::default();
    let question = request.facts.as_ref().unwrap_or(&none);
    let understood =
        facts::inbound(&question.into()).map_err(|bad| Failure::bad_fields(bad).within("facts"))?;
    let choice = Choice::named(&snapshot.catalog, scope, &question.connector_set)?;
    let (chosen, explanation) = match &understood {
        Understood::Malformed(malformed) => bare(
            malformed_address(choice, malformed),
            &request.connectors,
            malformed_side(malformed),
        ),
        Understood::Facts(facts) if choice.needs_recipient(facts) => {
            let why = "without a recipient no connector set can be chosen";
            bare(ask_with_recipient(choice), &request.connectors, why)
        }
        Understood::Facts(facts) => {
            let chosen = choice.by(accepting(facts))?;
            let set = &chosen.entry.set;
            (
                Some(chosen),
                policy::explain_inbound(set, facts, &request.connectors),
            )
        }
    };
    let Explanation {
        decision,
        chains,
        not_matched,
    } = explanation;
    let Traces {
        chains,
        not_matched,
    } = Traces::of(chosen, chains, not_matched);
    Ok(pb::ExplainInboundResponse {
        decision: Some(reply::inbound(decision, chosen.map(Into::into))),
        facts: explain::understood_inbound(question),
        chains,
        not_matched,
    })
}

/// As [`explain_inbound`], for a question about a next hop.
pub fn explain_outbound(
    snapshot: &Snapshot,
    scope: Option<&Scope>,
    request: &pb::ExplainOutboundRequest,
) -> Result<pb::ExplainOutboundResponse, Failure> {
    let none = pb::CheckOutboundRequest::default();
    let question = request.facts.as_ref().unwrap_or(&none);
    let understood = facts::outbound(&question.into())
        .map_err(|bad| Failure::bad_fields(bad).within("facts"))?;
    let choice = Choice::named(&snapshot.catalog, scope, &question.connector_set)?;
    let (chosen, explanation) = match &understood {
        Understood::Malformed(malformed) => bare(
            malformed_address(choice, malformed),
            &request.connectors,
            malformed_side(malformed),
        ),
        Understood::Facts(sending) => {
            let chosen = choice.by(sending.mail_from.domain())?;
            let set = &chosen.entry.set;
            (
                Some(chosen),
                policy::explain_outbound(set, &sending.facts, &request.connectors),
            )
        }
    };
    let Explanation {
        decision,
        chains,
        not_matched,
    } = explanation;
    let Traces {
        chains,
        not_matched,
    } = Traces::of(chosen, chains, not_matched);
    Ok(pb::ExplainOutboundResponse {
        decision: Some(reply::outbound(decision, chosen.map(Into::into))),
        facts: explain::understood_outbound(question),
        chains,
        not_matched,
    })
}

/// Which set answers, as far as the call itself says.
#[derive(Clone, Copy)]
struct Choice<'a> {
    named: Option<Chosen<'a>>,
    sets: Scoped<'a>,
    failure: fn(NotFound) -> Failure,
}

impl<'a> Choice<'a> {
    /// Among what is in `scope` of `catalog`, the set `name` of a call, which must be there; or,
    /// where it is empty, none yet.
    fn named(catalog: &'a Catalog, scope: Option<&'a Scope>, name: &str) -> Result<Self, Failure> {
        let failure = match scope {
            None => Failure::not_found,
            Some(_) => Failure::set_denied,
        };
        let sets = Scoped::new(catalog, scope.unwrap_or(&Scope::All));
        let named = if name.is_empty() {
            None
        } else {
            Some(sets.named(name).map_err(failure)?)
        };
        Ok(Self {
            named,
            sets,
            failure,
        })
    }

    /// The set that answers: the one named, else the one that accepts `domain`, else the default.
    fn by(self, domain: Option<&Domain>) -> Result<Chosen<'a>, Failure> {
        self.find(domain).map_err(self.failure)
    }

    fn find(self, domain: Option<&Domain>) -> Result<Chosen<'a>, NotFound> {
        self.named.map_or_else(|| self.sets.choose(domain), Ok)
    }

    /// True where only a recipient can tell which of several sets answers.
    fn needs_recipient(self, facts: &InboundFacts<'_>) -> bool {
        self.named.is_none() && facts.rcpt_to.is_none() && self.sets.has_several()
    }
}

/// An answer that needs no connector: its set, where one can be chosen, is only named.
type Bare<'a> = (Option<Chosen<'a>>, Decision<'a>);

fn malformed_address<'a>(choice: Choice<'a>, malformed: &'a Malformed<'_>) -> Bare<'a> {
    let decision = policy::malformed_address(malformed.reason, malformed.given, &malformed.fault);
    (choice.find(malformed.chooses.as_ref()).ok(), decision)
}

fn ask_with_recipient(choice: Choice<'_>) -> Bare<'_> {
    (choice.find(None).ok(), policy::ask_with_recipient())
}

/// The explanation of an answer for which no connector is asked; `why` says so of each in `asked`.
fn bare<'a>(
    (chosen, decision): Bare<'a>,
    asked: &'a [String],
    why: &str,
) -> (Option<Chosen<'a>>, Explanation<'a>) {
    let not_matched = asked.iter().map(|name| Considered {
        connector: name,
        value: "",
        applies: false,
        because: format!("no connector is asked: {why}"),
        line: None,
    });
    let explanation = Explanation {
        decision,
        chains: Vec::new(),
        not_matched: not_matched.collect(),
    };
    (chosen, explanation)
}

fn malformed_side(malformed: &Malformed<'_>) -> &'static str {
    if malformed.reason == Reason::RcptToInvalid {
        "the recipient address is malformed"
    } else {
        "the sender address is malformed"
    }
}

/// The domain whose organization mail is for.
fn accepting<'a>(facts: &'a InboundFacts<'_>) -> Option<&'a Domain> {
    facts
        .rcpt_to
        .as_ref()
        .and_then(|recipient| recipient.domain())
}

fn name(chosen: Chosen<'_>) -> &str {
    chosen.entry.set.name()
}

/// How a decision came about, with the file of each connector.
struct Traces {
    chains: Vec<pb::Chain>,
    not_matched: Vec<pb::Considered>,
}

impl Traces {
    fn of(
        chosen: Option<Chosen<'_>>,
        chains: Vec<Chain<'_>>,
        not_matched: Vec<Considered<'_>>,
    ) -> Self {
        let set = chosen.map(name).unwrap_or_default();
        Self {
            chains: explain::chains(chains, set),
            not_matched: explain::considered(not_matched, set),
        }
    }
}

#[cfg(test)]
mod tests;
