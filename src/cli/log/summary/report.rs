//! What a summary says, in the order in which it is said; as JSON it is the documented shape.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use super::{
    super::{line::reason_word, moment::Moment},
    account::{Account, Reasons, Verdicts},
    certificates::Expiring,
    gather::Gathered,
};

/// What a summary says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this shape.
    version: u32,
    /// The files that were read.
    pub(super) files: Vec<String>,
    /// Lines read.
    pub(super) lines: u64,
    /// When the first decision was, in RFC 3339.
    pub(super) from: Option<String>,
    /// When the last was.
    pub(super) to: Option<String>,
    /// The verdicts.
    pub(super) verdicts: Counts,
    /// Those on mail that no connector applied to.
    pub(super) without_connector: Counts,
    /// Lines that the log lost, by kind.
    pub(super) lost: BTreeMap<String, u64>,
    /// Lines that cannot be read.
    pub(super) unreadable: Unreadable,
    /// Files whose last line is cut off.
    pub(super) torn: Vec<String>,
    /// By connector, those with the most refused first.
    pub(super) connectors: Vec<Connector>,
    /// Decisions of connectors that are too many to be kept.
    pub(super) other_connectors: u64,
    /// Who asked, the most frequent first.
    pub(super) callers: Vec<Caller>,
    /// Decisions for all other callers.
    pub(super) other_callers: u64,
    /// Certificates that expire before this are listed.
    pub(super) expiring_before: String,
    /// They, the first to expire first.
    pub(super) certificates: Vec<Certificate>,
    /// There are more than are kept.
    pub(super) more_certificates: bool,
    /// Decisions over time.
    pub(super) over_time: OverTime,
}

/// How often each verdict was given.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Counts {
    /// All of them.
    pub(super) decisions: u64,
    /// Mail passes.
    pub(super) accepted: u64,
    /// Not final.
    pub(super) conditional: u64,
    /// Refused.
    pub(super) rejected: u64,
    /// Refused for now.
    pub(super) deferred: u64,
}

/// Lines that cannot be read.
#[derive(Debug, Serialize)]
pub(super) struct Unreadable {
    /// How many.
    pub(super) lines: u64,
    /// The first of them.
    pub(super) first: Option<Place>,
}

/// A line of a file.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    /// The file.
    pub(super) file: String,
    /// The number of the line.
    pub(super) line: u64,
    /// What is wrong there.
    pub(super) why: String,
}

/// What the log tells of a connector.
#[derive(Debug, Serialize)]
pub(super) struct Connector {
    /// Its set.
    pub(super) set: String,
    /// `inbound` or `outbound`.
    pub(super) direction: &'static str,
    /// Its name.
    #[serde(rename = "connector")]
    pub(super) name: String,
    /// The verdicts on mail that it concerns.
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// Its restrictions that were not met, the most frequent first.
    pub(super) reasons: Vec<ReasonCount>,
    /// Who did not meet them, the most frequent first.
    pub(super) not_met: Vec<NotMet>,
    /// Refusals of all other peers.
    pub(super) other_not_met: u64,
    /// What enforcing the reports would change.
    pub(super) report: InReport,
}

/// How often there was a reason.
#[derive(Debug, Serialize)]
pub(super) struct ReasonCount {
    /// `CERTIFICATE_REQUIRED`, as the contract names it.
    pub(super) reason: &'static str,
    /// How often.
    pub(super) count: u64,
}

/// Who did not meet a restriction.
#[derive(Debug, Serialize)]
pub(super) struct NotMet {
    /// The restriction.
    pub(super) reason: &'static str,
    /// How often.
    pub(super) count: u64,
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
    /// When it was last seen, in RFC 3339.
    pub(super) last: String,
    /// A correlation id of it.
    pub(super) correlation_id: String,
}

/// What enforcing the reports would change.
#[derive(Debug, Serialize)]
pub(super) struct InReport {
    /// Mail that passed and would have been refused, by what this connector would not have met.
    pub(super) would_reject: Vec<ReasonCount>,
    /// Correlation ids of such mail.
    pub(super) correlation_ids: Vec<String>,
    /// Mail that was refused and would have passed.
    pub(super) would_accept: u64,
}

/// Somebody who asked.
#[derive(Debug, Serialize)]
pub(super) struct Caller {
    /// Its name; empty where it has none.
    #[serde(rename = "caller")]
    pub(super) name: String,
    /// Its address, where it has no name.
    pub(super) peer: String,
    /// What it was answered.
    #[serde(flatten)]
    pub(super) counts: Counts,
}

/// A certificate that expires soon.
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    /// Its names.
    pub(super) names: Vec<String>,
    /// Who issued it.
    pub(super) issuer: String,
    /// The end of its validity, in RFC 3339.
    pub(super) not_after: String,
    /// Whole days until then; below zero where it has expired.
    pub(super) days_left: i64,
    /// The set of the connector.
    pub(super) set: String,
    /// `inbound` or `outbound`.
    pub(super) direction: &'static str,
    /// The connector that its mail met last.
    pub(super) connector: String,
    /// The server that presented it last.
    pub(super) server: String,
    /// When that was, in RFC 3339.
    pub(super) last: String,
    /// How often it was seen.
    pub(super) count: u64,
}

/// Decisions over time.
#[derive(Debug, Serialize)]
pub(super) struct OverTime {
    /// How long a step is.
    pub(super) step_seconds: i64,
    /// The steps, also those that have no decision.
    pub(super) steps: Vec<Step>,
}

/// A step of time.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// Its beginning, in RFC 3339.
    pub(super) from: String,
    /// The verdicts of it.
    #[serde(flatten)]
    pub(super) counts: Counts,
}

impl Report {
    /// The report of what was gathered from `files` as of `now`, with the `top` most frequent where
    /// there are many.
    pub(super) fn of(
        mut gathered: Gathered,
        files: Vec<String>,
        now: Moment,
        expiring: Moment,
        top: usize,
    ) -> Self {
        let over_time = OverTime {
            steps: steps(&mut gathered),
            step_seconds: gathered.times.seconds(),
        };
        let (connectors, other_connectors) = gathered.connectors.top(usize::MAX);
        let mut connectors: Vec<_> = connectors
            .into_iter()
            .map(|(_, _, account)| Connector::of(account, top))
            .collect();
        connectors.sort_by_cached_key(|it| {
            let refused = it.counts.rejected + it.counts.deferred;
            let name = (it.set.clone(), it.name.clone(), it.direction);
            (Reverse(refused), Reverse(it.counts.decisions), name)
        });
        let (callers, other_callers) = gathered.callers.top(top);
        let callers = callers.into_iter().map(|(_, _, it)| Caller {
            name: it.name,
            peer: it.peer,
            counts: it.verdicts.into(),
        });
        let (certificates, more_certificates) = gathered.certificates.first();
        let certificates = certificates.into_iter().map(|it| Certificate::of(it, now));
        let first = gathered.first_unreadable.map(|first| Place {
            file: first.file,
            line: first.line,
            why: first.why,
        });
        Self {
            version: 1,
            files,
            lines: gathered.lines,
            from: gathered.span.map(|(first, _)| first.to_string()),
            to: gathered.span.map(|(_, last)| last.to_string()),
            verdicts: gathered.verdicts.into(),
            without_connector: gathered.unconnected.into(),
            lost: gathered.lost,
            unreadable: Unreadable {
                lines: gathered.unreadable,
                first,
            },
            torn: gathered.torn,
            connectors,
            other_connectors,
            callers: callers.collect(),
            other_callers,
            expiring_before: expiring.to_string(),
            certificates: certificates.collect(),
            more_certificates,
            over_time,
        }
    }

    /// How many lines the log lost.
    pub(super) fn lost_lines(&self) -> u64 {
        self.lost.values().sum()
    }
}

impl Connector {
    fn of(account: Account, top: usize) -> Self {
        let reasons = counted(&account.reasons);
        let (not_met, other_not_met) = account.unmet.top(top);
        let not_met = not_met.into_iter().map(|(_, count, it)| NotMet {
            reason: reason_word(it.reason),
            count,
            server: it.server,
            certificate: it.certificate,
            partner: it.partner,
            expected: it.expected,
            observed: it.observed,
            last: it.last.to_string(),
            correlation_id: it.example,
        });
        Self {
            set: account.set,
            direction: account.direction,
            name: account.connector,
            counts: account.verdicts.into(),
            reasons,
            not_met: not_met.collect(),
            other_not_met,
            report: InReport {
                would_reject: counted(&account.would_reject),
                correlation_ids: account.examples,
                would_accept: account.would_accept,
            },
        }
    }
}

impl InReport {
    /// Whether it would change anything.
    pub(super) fn changes(&self) -> bool {
        !self.would_reject.is_empty() || self.would_accept > 0
    }
}

impl Certificate {
    fn of(it: Expiring, now: Moment) -> Self {
        Self {
            names: it.names,
            issuer: it.issuer,
            not_after: it.not_after.to_string(),
            days_left: it.not_after.days_since(now),
            set: it.set,
            direction: it.direction,
            connector: it.connector,
            server: it.server,
            last: it.last.to_string(),
            count: it.count,
        }
    }

    /// `expired`, `today`, `in 3 days`.
    pub(super) fn left(&self) -> String {
        match self.days_left {
            ..0 => "expired".into(),
            0 => "within a day".into(),
            1 => "1 day".into(),
            days => format!("{days} days"),
        }
    }
}

impl From<Verdicts> for Counts {
    fn from(verdicts: Verdicts) -> Self {
        let Verdicts {
            accepted,
            conditional,
            rejected,
            deferred,
        } = verdicts;
        Self {
            decisions: verdicts.all(),
            accepted,
            conditional,
            rejected,
            deferred,
        }
    }
}

fn steps(gathered: &mut Gathered) -> Vec<Step> {
    let steps = gathered.times.steps().into_iter();
    let steps = steps.map(|(from, verdicts)| Step {
        from: from.to_string(),
        counts: verdicts.into(),
    });
    steps.collect()
}

fn counted(reasons: &Reasons) -> Vec<ReasonCount> {
    let counts = reasons.counts().into_iter();
    let counts = counts.map(|(reason, count)| ReasonCount {
        reason: reason_word(reason),
        count,
    });
    counts.collect()
}
