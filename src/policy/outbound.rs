//! The decision about mail that we are about to send.

use super::{
    connector::{OutboundConnector, Scope, SmartHost, Written},
    decision::{
        Action, Decision, Delivery, Matched, MatchedBy, Reason, Rejection, Reply, Report, Verdict,
    },
    facts::{OutboundFacts, SessionFacts},
    index::Slot,
    requirement::{Seen, Statement, Unmet},
    set::ConnectorSet,
    words::{self, Audience},
};

/// Decides how a message may be delivered or, with a session, whether it may carry the message.
pub fn decide_outbound<'a>(set: &'a ConnectorSet, facts: &'a OutboundFacts<'a>) -> Decision<'a> {
    let (governs, if_enforced) = match Governing::of(set, facts) {
        Ok(governing) => governing,
        Err(RuleNotFound(name)) => return rule_not_found(name),
    };
    let mut decision = match governs {
        Some(governs) if governs.connector.mode.reports() => {
            governs.without_demands(facts.session.is_some())
        }
        Some(governs) => governs.decide(facts.session.as_ref()),
        None => Decision {
            delivery: Some(Delivery::BY_MX),
            ..Decision::bare(Verdict::Accept)
        },
    };
    if let Some(governs) = if_enforced
        && governs.connector.mode.reports()
    {
        let Decision {
            verdict,
            connector,
            rejections,
            ..
        } = governs.decide(facts.session.as_ref());
        decision.if_enforced = Some(Box::new(Report {
            verdict,
            connector,
            rejections,
        }));
    }
    decision
}

/// The connector that governs a message, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Governing<'a> {
    pub(super) connector: &'a OutboundConnector,
    pub(super) by: Matched<'a>,
}

/// The call names a connector that is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleNotFound<'a>(pub(super) &'a str);

impl<'a> Governing<'a> {
    /// The connectors that govern, if such are there: as enforced, and as if the reports were.
    pub(super) fn of(
        set: &'a ConnectorSet,
        facts: &OutboundFacts<'a>,
    ) -> Result<(Option<Self>, Option<Self>), RuleNotFound<'a>> {
        if let Some(name) = facts.rule_connector {
            let connector = set
                .by_outbound
                .by_rule(name)
                .and_then(|id| set.outbound().get(id.at()));
            let connector = connector.ok_or(RuleNotFound(name))?;
            let by = Matched {
                name: &connector.name,
                by: MatchedBy::Rule,
                value: "",
            };
            let governs = Some(Self { connector, by });
            return Ok((governs, governs));
        }
        let (enforced, if_enforced) = set.by_outbound.by_recipient(facts.rcpt_to.domain());
        let governs = |slot: Option<Slot>| Self::by_recipient(set, slot?);
        Ok((governs(enforced), governs(if_enforced)))
    }

    fn by_recipient(set: &'a ConnectorSet, slot: Slot) -> Option<Self> {
        let connector = set.outbound().get(slot.connector.at())?;
        let Scope::Domains(patterns) = &connector.scope else {
            return None;
        };
        let value = patterns.get(slot.value as usize)?.text();
        let by = Matched {
            name: &connector.name,
            by: MatchedBy::RecipientDomain,
            value,
        };
        Some(Self { connector, by })
    }

    /// The decision of a connector that is in force.
    fn decide(&self, session: Option<&'a SessionFacts<'a>>) -> Decision<'a> {
        let delivery = self.delivery();
        let mut decision = Decision {
            connector: Some(self.by),
            ..Decision::bare(Verdict::Accept)
        };
        let Some(session) = session else {
            if !delivery.is_unconditional() {
                decision.verdict = Verdict::Conditional;
            }
            decision.delivery = Some(delivery);
            return decision;
        };
        let mut first: Option<Unmet<'a>> = None;
        self.check(session, &mut |unmet| {
            first.get_or_insert(unmet);
            decision.rejections.push(words::rejection(&unmet));
        });
        match first {
            Some(unmet) => {
                decision.verdict = unmet.by.reply.action.into();
                decision.reply = Some(words::reply(&unmet, Audience::OurSender));
            }
            None => decision.delivery = Some(delivery),
        }
        decision
    }

    /// The decision of a rule's connector in report: it keeps its route and demands nothing.
    fn without_demands(&self, connected: bool) -> Decision<'a> {
        let delivery = Delivery {
            smart_hosts: &self.connector.smart_hosts,
            ..Delivery::BY_MX
        };
        let any_session_will_do = connected || delivery.is_unconditional();
        let verdict = if any_session_will_do {
            Verdict::Accept
        } else {
            Verdict::Conditional
        };
        Decision {
            connector: Some(self.by),
            delivery: Some(delivery),
            ..Decision::bare(verdict)
        }
    }

    /// Gives all demands that the session does not meet to `unmet`, in the fixed order.
    pub(super) fn check(&self, session: &'a SessionFacts<'a>, unmet: &mut impl FnMut(Unmet<'a>)) {
        let by = Statement {
            connector: &self.connector.name,
            reply: &self.connector.reply,
        };
        self.connector
            .require
            .check(by, session.tls.as_ref(), unmet);
        let smart_hosts: &'a [Written<SmartHost>] = &self.connector.smart_hosts;
        if !smart_hosts.is_empty()
            && !smart_hosts
                .iter()
                .any(|listed| listed.value.host == session.host)
        {
            unmet(Unmet {
                reason: Reason::HostNotAllowed,
                by,
                seen: Seen::Host {
                    smart_hosts,
                    session,
                },
            });
        }
    }

    fn delivery(&self) -> Delivery<'a> {
        let require = &self.connector.require;
        let certificate = require.certificate.as_ref();
        Delivery {
            smart_hosts: &self.connector.smart_hosts,
            level: require.level,
            names: certificate.map_or(&[], |demand| &demand.names),
            min_version: require.min_version.as_ref().map(|minimum| minimum.value),
            fingerprints: certificate.map_or(&[], |demand| &demand.fingerprints),
        }
    }
}

/// A rule never falls back silently: the message waits until its connector is there.
fn rule_not_found(name: &str) -> Decision<'_> {
    let reason = Reason::RuleConnectorNotFound;
    let (code, enhanced) = words::codes(reason, false, Action::Defer);
    let message = format!(
        "the call names the connector `{}`, and no outbound connector with scope = \"rule\" of that \
         name is in force or in report",
        words::shown(name)
    );
    Decision {
        rejections: vec![Rejection {
            reason,
            connector: None,
            message,
            expected: Vec::new(),
            observed: words::given(name),
        }],
        reply: Some(Reply {
            code,
            enhanced,
            text: words::fixed_text(reason, Audience::OurSender).into(),
        }),
        ..Decision::bare(Verdict::Defer)
    }
}
