//! What a log tells of one connector.

use super::super::{
    line::{Decision, Rejection, Text},
    moment::Moment,
    tally::Tally,
};
use crate::rpc::pb::{Reason, Verdict};

/// What a log tells of one connector.
#[derive(Debug)]
pub(super) struct Account {
    /// Its set.
    pub(super) set: String,
    /// `inbound` or `outbound`.
    pub(super) direction: &'static str,
    /// Its name.
    pub(super) connector: String,
    /// The verdicts on mail that it concerns.
    pub(super) verdicts: Verdicts,
    /// How often each of its restrictions was not met.
    pub(super) reasons: Reasons,
    /// Who did not meet them.
    pub(super) unmet: Tally<Unmet>,
    /// Mail that passed, and that the reports would have rejected by it, by reason.
    pub(super) would_reject: Reasons,
    /// Correlation ids of such mail.
    pub(super) examples: Vec<String>,
    /// Mail that was kept out, and that the reports would have let pass by it.
    pub(super) would_accept: u64,
}

/// Who did not meet a restriction, and how.
#[derive(Debug)]
pub(super) struct Unmet {
    /// What was not met.
    pub(super) reason: Reason,
    /// The sending server, or the next hop.
    pub(super) server: String,
    /// The first name of its certificate.
    pub(super) certificate: String,
    /// The partner's domain.
    pub(super) partner: String,
    /// What the connector accepts.
    pub(super) expected: Vec<String>,
    /// What the session showed.
    pub(super) observed: Vec<String>,
    /// When it was last seen.
    pub(super) last: Moment,
    /// A correlation id of it; empty where there was none.
    pub(super) example: String,
}

/// How often each verdict was given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Verdicts {
    /// Mail passes.
    pub(super) accepted: u64,
    /// Not final: it is asked again.
    pub(super) conditional: u64,
    /// Mail is refused.
    pub(super) rejected: u64,
    /// Mail is refused for now.
    pub(super) deferred: u64,
}

/// How often there was each reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons([u64; REASONS]);

impl Account {
    /// Nothing yet of `connector`, which `decision` names.
    pub(super) fn new(decision: &Decision<'_>, connector: &str) -> Self {
        Self {
            set: kept(decision.set()),
            direction: decision.direction(),
            connector: kept(connector),
            verdicts: Verdicts::default(),
            reasons: Reasons::default(),
            unmet: Tally::keeping(UNMET),
            would_reject: Reasons::default(),
            examples: Vec::new(),
            would_accept: 0,
        }
    }

    /// Takes in a decision that names `connector`.
    pub(super) fn add(&mut self, decision: &Decision<'_>, connector: &str) {
        self.verdicts.add(decision.verdict);
        let its = |rejection: &&Rejection<'_>| rejection.connector.0 == connector;
        for rejection in decision.answer.rejections.iter().filter(its) {
            self.reasons.add(rejection.reason());
            self.not_met(decision, rejection);
        }
        let Some(report) = &decision.answer.if_enforced else {
            return;
        };
        match (stands(decision.verdict), stands(report.verdict())) {
            (true, false) => {
                let mut rejections = report.rejections.iter().filter(its).peekable();
                if rejections.peek().is_some() && self.examples.len() < EXAMPLES {
                    let id = &decision.correlation_id.0;
                    self.examples.extend((!id.is_empty()).then(|| kept(id)));
                }
                for rejection in rejections {
                    self.would_reject.add(rejection.reason());
                }
            }
            (false, true) => {
                let by = report.connector.as_ref();
                self.would_accept += u64::from(by.is_some_and(|by| by.name.0 == connector));
            }
            _ => {}
        }
    }

    fn not_met(&mut self, decision: &Decision<'_>, rejection: &Rejection<'_>) {
        let reason = rejection.reason();
        let (server, partner) = (decision.server(), decision.partner());
        let names = decision
            .certificate()
            .map(|certificate| certificate.names());
        let certificate = names.and_then(|names| names.first().copied()).unwrap_or("");
        let key = format!(
            "{}\0{server}\0{certificate}\0{partner}",
            reason.as_str_name()
        );
        let unmet = self.unmet.count(&key, || Unmet {
            reason,
            server: kept(server),
            certificate: kept(certificate),
            partner: kept(partner),
            expected: first_of(&rejection.expected),
            observed: first_of(&rejection.observed),
            last: decision.time,
            example: kept(&decision.correlation_id.0),
        });
        if unmet.last <= decision.time {
            unmet.last = decision.time;
            unmet.example = kept(&decision.correlation_id.0);
        }
    }
}

impl Verdicts {
    /// Counts one.
    pub(super) fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accept => self.accepted += 1,
            Verdict::Conditional => self.conditional += 1,
            Verdict::Reject => self.rejected += 1,
            Verdict::Defer => self.deferred += 1,
            Verdict::Unspecified => {}
        }
    }

    /// Adds those of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.conditional += other.conditional;
        self.rejected += other.rejected;
        self.deferred += other.deferred;
    }

    /// All of them.
    pub(super) fn all(&self) -> u64 {
        self.accepted + self.conditional + self.rejected + self.deferred
    }
}

impl Reasons {
    /// Counts one.
    fn add(&mut self, reason: Reason) {
        let at = usize::try_from(i32::from(reason)).unwrap_or(0);
        if let Some(count) = self.0.get_mut(at) {
            *count += 1;
        }
    }

    /// Those that there were, the most frequent first.
    pub(super) fn counts(&self) -> Vec<(Reason, u64)> {
        let all = (0..).map_while(|at| Reason::try_from(at).ok());
        let mut counts: Vec<_> = all.zip(self.0).filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

/// Whether the mail may pass, for all that is known yet.
fn stands(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Accept | Verdict::Conditional)
}

/// `text`, cut to what is kept of a text that somebody else chose.
pub(super) fn kept(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn first_of(texts: &[Text<'_>]) -> Vec<String> {
    let more = texts.len().saturating_sub(LISTED);
    let first = texts.iter().take(LISTED).map(|text| kept(&text.0));
    let rest = (more > 0).then(|| format!("and {more} more"));
    first.chain(rest).collect()
}

/// The reasons of the contract, with that which is not known.
const REASONS: usize = 13;
/// Peers that are kept of each connector, and twice as many while they are counted.
const UNMET: usize = 50;
const EXAMPLES: usize = 5;
const LISTED: usize = 4;
const LONGEST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        let known = (0..).map_while(|at| Reason::try_from(at).ok()).count();
        assert_eq!(known, REASONS);
        let mut reasons = Reasons::default();
        reasons.add(Reason::RcptToInvalid);
        reasons.add(Reason::TlsRequired);
        reasons.add(Reason::TlsRequired);
        assert_eq!(
            reasons.counts(),
            [(Reason::TlsRequired, 2), (Reason::RcptToInvalid, 1)]
        );
    }
}
