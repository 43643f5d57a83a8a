//! "Which connectors apply, inbound" and "Report", for one set.

use std::cmp::Reverse;

use super::{
    demands::unmet,
    facts::InboundFacts,
    model::{Action, Inbound, Mode, Set},
    names::{Envelope, Pattern, address, network},
    outcome::{Matched, MatchedBy, Outcome, Reason, Rejection, ReplyCodes, Report, Verdict},
};

/// Decides an inbound question by `set`, which was named or is the only one.
pub(crate) fn decide_inbound(set: &Set, facts: &InboundFacts) -> Outcome {
    if let Some(malformed) = malformed(facts) {
        return malformed;
    }
    let enforced = cascade(set, facts, false);
    let tried = cascade(set, facts, true);
    Outcome {
        reply: enforced.rejections.first().and_then(|first| {
            // "with the `action` and `text` of the connector that rejection names"
            let named = set
                .inbound
                .iter()
                .find(|connector| connector.name == first.connector)?;
            Some(ReplyCodes::inbound(first.reason, &named.reply))
        }),
        verdict: enforced.verdict,
        connector: enforced.connector,
        also_matched: enforced.also_matched,
        rejections: enforced.rejections,
        // "It is present where a connector in report is in one of its chains"
        if_enforced: tried.holds_a_report.then_some(Report {
            verdict: tried.verdict,
            connector: tried.connector,
            rejections: tried.rejections,
        }),
        delivery: None,
    }
}

/// The decision where `mail_from` or else `rcpt_to` is malformed.
pub(crate) fn malformed(facts: &InboundFacts) -> Option<Outcome> {
    if Envelope::sender(&facts.mail_from) == Envelope::Malformed {
        return Some(Outcome::malformed(
            Reason::MailFromInvalid,
            &facts.mail_from,
        ));
    }
    // "empty where none is known yet"
    let given = !facts.rcpt_to.is_empty();
    (given && Envelope::recipient(&facts.rcpt_to) == Envelope::Malformed)
        .then(|| Outcome::malformed(Reason::RcptToInvalid, &facts.rcpt_to))
}

/// What both chains say, as enforced or with the reports in force too.
struct Cascade {
    verdict: Verdict,
    connector: Option<Matched>,
    also_matched: Option<Matched>,
    rejections: Vec<Rejection>,
    holds_a_report: bool,
}

fn cascade(set: &Set, facts: &InboundFacts, with_reports: bool) -> Cascade {
    let by_domain = chain(set, facts, MatchedBy::SenderDomain, with_reports);
    let by_address = chain(set, facts, MatchedBy::ClientIp, with_reports);
    let conditional = waits_for_recipient(set, facts, with_reports);

    let mut rejections = Vec::new();
    let mut address_first = false;
    if !conditional {
        // "All rejections of the domain chain in the order of this table, then all of the address
        // chain in the order of this table, less those whose reason the domain chain already gave."
        rejections = unmet(&connectors(&by_domain), facts);
        address_first = rejections.is_empty();
        for rejection in unmet(&connectors(&by_address), facts) {
            if !rejections
                .iter()
                .any(|earlier| earlier.reason == rejection.reason)
            {
                rejections.push(rejection);
            }
        }
        address_first &= !rejections.is_empty();
    }
    let verdict = match rejections.first() {
        Some(first) => verdict_of(set, first),
        None if conditional => Verdict::Conditional,
        None => Verdict::Accept,
    };
    // "of the chain that the first rejection comes from; without rejections by sender domain, else
    // by client address"
    let domain_head = by_domain
        .first()
        .map(|link| link.matched(MatchedBy::SenderDomain));
    let address_head = by_address
        .first()
        .map(|link| link.matched(MatchedBy::ClientIp));
    let (connector, also_matched) = if address_first || domain_head.is_none() {
        (address_head, domain_head)
    } else {
        (domain_head, address_head)
    };
    let in_report =
        |link: &Link<'_>| set.weaker_mode(link.connector.mode) == Mode::Report && with_reports;
    let holds_a_report = by_domain.iter().chain(&by_address).any(in_report);
    Cascade {
        verdict,
        connector,
        also_matched,
        rejections,
        holds_a_report,
    }
}

/// "REJECT and DEFER are the verdicts of the two actions", and reject is the default inbound.
fn verdict_of(set: &Set, rejection: &Rejection) -> Verdict {
    let named = set
        .inbound
        .iter()
        .find(|connector| connector.name == rejection.connector);
    named
        .and_then(|connector| connector.reply.action)
        .unwrap_or(Action::Reject)
        .into()
}

/// A connector in a chain, by the most specific of its pairs that match.
struct Link<'a> {
    connector: &'a Inbound,
    value: &'a str,
    /// Of the sender or address pattern, then of the recipient pattern.
    specificity: ((u8, usize), (u8, usize)),
}

impl Link<'_> {
    fn matched(&self, by: MatchedBy) -> Matched {
        Matched {
            name: self.connector.name.clone(),
            by,
            value: self.value.into(),
        }
    }
}

fn connectors<'a>(chain: &[Link<'a>]) -> Vec<&'a Inbound> {
    chain.iter().map(|link| link.connector).collect()
}

/// The connectors of one chain, "from the most specific to the most general".
fn chain<'a>(
    set: &'a Set,
    facts: &InboundFacts,
    by: MatchedBy,
    with_reports: bool,
) -> Vec<Link<'a>> {
    let mut links = Vec::new();
    for connector in &set.inbound {
        if !in_force(set, connector, with_reports) {
            continue;
        }
        for value in values(connector, by) {
            let Some(value_specificity) = match_of(value, by, facts) else {
                continue;
            };
            for recipient in recipients(connector) {
                let Some(recipient_specificity) = recipient_match(recipient, facts) else {
                    continue;
                };
                if with_reports && is_replaced(set, connector, by, value, recipient) {
                    continue;
                }
                let specificity = (value_specificity, recipient_specificity);
                links.push(Link {
                    connector,
                    value,
                    specificity,
                });
            }
        }
    }
    // The sort is stable: of equals the first written stays first.
    links.sort_by_key(|link| Reverse(link.specificity));
    let mut chain: Vec<Link<'_>> = Vec::new();
    for link in links {
        if !chain
            .iter()
            .any(|earlier| earlier.connector.name == link.connector.name)
        {
            chain.push(link);
        }
    }
    chain
}

/// "Connectors that are `off` or in `report` are not in the chains", and `if_enforced` has "every
/// `report` connector in force, too".
fn in_force(set: &Set, connector: &Inbound, with_reports: bool) -> bool {
    match set.weaker_mode(connector.mode) {
        Mode::Off => false,
        Mode::Report => with_reports,
        Mode::Enforce => true,
    }
}

/// "of each pair (sender or address pattern, recipient pattern or none) that a report connector
/// shares with an enforcing one, the enforcing one loses that pair and keeps its others", and
/// "the modes written on them still say which takes whose place".
fn is_replaced(
    set: &Set,
    connector: &Inbound,
    by: MatchedBy,
    value: &str,
    recipient: Option<&str>,
) -> bool {
    if connector.mode.unwrap_or_default() != Mode::Enforce {
        return false;
    }
    set.inbound
        .iter()
        .filter(|other| other.mode == Some(Mode::Report))
        .any(|report| {
            let same_value = values(report, by).iter().any(|theirs| match by {
                MatchedBy::ClientIp => network(theirs) == network(value),
                _ => Pattern::parse(theirs) == Pattern::parse(value),
            });
            let same_recipient = recipients(report).iter().any(|theirs| {
                theirs.and_then(Pattern::parse) == recipient.and_then(Pattern::parse)
            });
            same_value && same_recipient
        })
}

/// "Where `rcpt_to` is empty and some enforcing connector would be in a chain but for its
/// `recipient_domains`".
fn waits_for_recipient(set: &Set, facts: &InboundFacts, with_reports: bool) -> bool {
    facts.rcpt_to.is_empty()
        && set.inbound.iter().any(|connector| {
            in_force(set, connector, with_reports)
                && !connector.matches.recipient_domains.is_empty()
                && [MatchedBy::SenderDomain, MatchedBy::ClientIp]
                    .into_iter()
                    .any(|by| {
                        values(connector, by)
                            .iter()
                            .any(|value| match_of(value, by, facts).is_some())
                    })
        })
}

/// What a connector recognises its partner by, in one of the chains.
fn values(connector: &Inbound, by: MatchedBy) -> &[String] {
    match by {
        MatchedBy::ClientIp => &connector.matches.client_ips,
        _ => &connector.matches.sender_domains,
    }
}

/// The recipient patterns of a connector, or one none where it has no `recipient_domains`.
fn recipients(connector: &Inbound) -> Vec<Option<&str>> {
    if connector.matches.recipient_domains.is_empty() {
        return vec![None];
    }
    connector
        .matches
        .recipient_domains
        .iter()
        .map(|text| Some(text.as_str()))
        .collect()
}

/// How specifically a sender or address pattern matches, if it does.
fn match_of(value: &str, by: MatchedBy, facts: &InboundFacts) -> Option<(u8, usize)> {
    if by == MatchedBy::ClientIp {
        // "by client address: the longest prefix first"
        let network = network(value)?;
        let inside = network.contains(&address(&facts.client_ip)?);
        return inside.then(|| (0, usize::from(network.prefix_len())));
    }
    let pattern = Pattern::parse(value)?;
    let sender = Envelope::sender(&facts.mail_from);
    pattern
        .covers(sender.domain())
        .then(|| pattern.specificity())
}

/// How specifically a recipient pattern matches, if it does: "(exact, longest wildcard, `*`,
/// none)".
fn recipient_match(recipient: Option<&str>, facts: &InboundFacts) -> Option<(u8, usize)> {
    let Some(recipient) = recipient else {
        return Some((0, 0));
    };
    // "A connector with `recipient_domains` applies only where `rcpt_to` is given and matches."
    if facts.rcpt_to.is_empty() {
        return None;
    }
    // "A literal or `postmaster` as recipient matches no `recipient_domains` but `*`."
    let pattern = Pattern::parse(recipient)?;
    let given = Envelope::recipient(&facts.rcpt_to);
    pattern
        .covers(given.domain())
        .then(|| pattern.specificity())
}
