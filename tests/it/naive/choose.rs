//! "Which set answers", among several, and in which order a question is judged.

use super::{
    facts::{InboundFacts, OutboundFacts},
    inbound,
    model::Set,
    names::{Envelope, Pattern, address, host_name},
    outbound,
    outcome::Outcome,
};

/// What a call ends with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// A decision, with the set that `revision` names; none "where a malformed address was
    /// rejected and no set could be chosen".
    Decided {
        set: Option<(String, SelectedBy)>,
        outcome: Box<Outcome>,
    },
    /// What the gateway wrote wrongly, by field.
    InvalidArgument(Vec<&'static str>),
    NotFound,
}

/// How the set was chosen, with the contract's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SelectedBy {
    Name = 1,
    AcceptedDomain = 2,
    Default = 3,
}

/// Answers an inbound question by the sets there are.
pub(crate) fn answer_inbound(
    sets: &[(String, Set)],
    default_set: Option<&str>,
    facts: &InboundFacts,
) -> Answer {
    // "The order: what a gateway wrote wrongly, INVALID_ARGUMENT"
    if address(&facts.client_ip).is_none() {
        return Answer::InvalidArgument(vec!["client_ip"]);
    }
    let recipient = Envelope::recipient(&facts.rcpt_to);
    let chosen = choose(sets, default_set, &facts.connector_set, recipient.domain());
    let malformed = inbound::malformed(facts);
    // "Where `rcpt_to` is empty […] no set was named and there is more than one."
    let set_may_change = facts.rcpt_to.is_empty()
        && facts.connector_set.is_empty()
        && sets.iter().filter(|(_, set)| !set.retired).count() > 1;
    // The set is not known, so that neither it nor its connectors decide; the default, where there
    // is one, is only named.
    if set_may_change && malformed.is_none() {
        let set = chosen.map(|((name, _), by)| (name.clone(), by));
        return Answer::Decided {
            set,
            outcome: Box::new(Outcome::ask_with_recipient()),
        };
    }
    answer(&facts.connector_set, chosen, malformed, |set| {
        inbound::decide_inbound(set, facts)
    })
}

/// Answers an outbound question by the sets there are.
pub(crate) fn answer_outbound(
    sets: &[(String, Set)],
    default_set: Option<&str>,
    facts: &OutboundFacts,
) -> Answer {
    let mut wrong = Vec::new();
    // "An outbound check without `rcpt_to` is the gateway's mistake: INVALID_ARGUMENT."
    if facts.rcpt_to.is_empty() {
        wrong.push("rcpt_to");
    }
    // "A `session.host` that is neither (a port, brackets) is INVALID_ARGUMENT"
    if facts
        .session
        .as_ref()
        .is_some_and(|session| host_name(&session.host).is_none())
    {
        wrong.push("session.host");
    }
    if !wrong.is_empty() {
        return Answer::InvalidArgument(wrong);
    }
    let sender = Envelope::sender(&facts.mail_from);
    let chosen = choose(sets, default_set, &facts.connector_set, sender.domain());
    let malformed = outbound::malformed(facts);
    answer(&facts.connector_set, chosen, malformed, |set| {
        outbound::decide_outbound(set, facts)
    })
}

/// "a named set that does not exist, NOT_FOUND; malformed addresses, decided also where no set can
/// be chosen (`revision` is then absent); the choice of the set".
fn answer(
    named: &str,
    chosen: Option<(&(String, Set), SelectedBy)>,
    malformed: Option<Outcome>,
    decide: impl FnOnce(&Set) -> Outcome,
) -> Answer {
    let revision = chosen.map(|((name, _), selected_by)| (name.clone(), selected_by));
    match (chosen, malformed) {
        (None, _) if !named.is_empty() => Answer::NotFound,
        (_, Some(outcome)) => Answer::Decided {
            set: revision,
            outcome: Box::new(outcome),
        },
        (None, None) => Answer::NotFound,
        (Some(((_, set), _)), None) => Answer::Decided {
            set: revision,
            outcome: Box::new(decide(set)),
        },
    }
}

/// The set that answers, if one does: `named` (empty where the call names none), else by `domain`.
pub(crate) fn choose<'a>(
    sets: &'a [(String, Set)],
    default_set: Option<&str>,
    named: &str,
    domain: Option<&str>,
) -> Option<(&'a (String, Set), SelectedBy)> {
    // "A set with `retired = true` answers NOT_FOUND."
    let live = |chosen: &'a (String, Set), by| (!chosen.1.retired).then_some((chosen, by));
    let by_name = |name: &str, by| {
        sets.iter()
            .find(|(own, _)| own == name)
            .and_then(|chosen| live(chosen, by))
    };
    // "The one the call names"
    if !named.is_empty() {
        return by_name(named, SelectedBy::Name);
    }
    // "the one whose `accepted_domains` cover the domain […], the most specific pattern first";
    // retired: "a call that they choose is NOT_FOUND, never the default's"
    let most_specific = |set: &Set| {
        let patterns = set
            .accepted_domains
            .iter()
            .filter_map(|text| Pattern::parse(text));
        let covering = patterns.filter(|pattern| domain.is_some() && pattern.covers(domain));
        covering.map(|pattern| pattern.specificity()).max()
    };
    let accepting = sets
        .iter()
        .filter_map(|one| most_specific(&one.1).map(|specificity| (specificity, one)))
        .max_by_key(|(specificity, _)| *specificity);
    if let Some((_, chosen)) = accepting {
        return live(chosen, SelectedBy::AcceptedDomain);
    }
    // "else `[connectors] default_set` of the settings"
    if let Some(name) = default_set {
        return by_name(name, SelectedBy::Default);
    }
    // "where that is not set, the only set there is"; retired: "counts neither as the only set"
    let mut there = sets.iter().filter(|(_, set)| !set.retired);
    match (there.next(), there.next()) {
        (Some(only), None) => Some((only, SelectedBy::Default)),
        _ => None,
    }
}
