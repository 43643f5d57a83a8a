//! Explanations in words: what was decided about a message, and why.

use std::fmt::Write as _;

use super::output::{Ink, shown};
use crate::rpc::pb;

/// What the explanations of both directions have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explanation<'a> {
    verdict: pb::Verdict,
    connector: Option<&'a pb::MatchedConnector>,
    also_matched: Option<&'a pb::MatchedConnector>,
    rejections: &'a [pb::Rejection],
    reply: Option<&'a pb::SmtpReply>,
    if_enforced: Option<&'a pb::Report>,
    revision: Option<&'a pb::SetRevision>,
    delivery: Option<&'a pb::Delivery>,
    facts: &'a [pb::UnderstoodFact],
    chains: &'a [pb::Chain],
    not_matched: &'a [pb::Considered],
    outbound: bool,
}

impl<'a> Explanation<'a> {
    /// The explanation of an inbound decision; none where the answer holds no decision.
    pub(crate) fn inbound(response: &'a pb::ExplainInboundResponse) -> Option<Self> {
        let decision = response.decision.as_ref()?;
        Some(Self {
            chains: &response.chains,
            not_matched: &response.not_matched,
            ..Self::inbound_decision(decision, &response.facts)
        })
    }

    /// What an inbound decision on `facts` says by itself.
    pub(crate) fn inbound_decision(
        decision: &'a pb::CheckInboundResponse,
        facts: &'a [pb::UnderstoodFact],
    ) -> Self {
        Self {
            verdict: decision.verdict(),
            connector: decision.connector.as_ref(),
            also_matched: decision.also_matched.as_ref(),
            rejections: &decision.rejections,
            reply: decision.smtp_reply.as_ref(),
            if_enforced: decision.if_enforced.as_ref(),
            revision: decision.revision.as_ref(),
            delivery: None,
            facts,
            chains: &[],
            not_matched: &[],
            outbound: false,
        }
    }

    /// The explanation of an outbound decision; none where the answer holds no decision.
    pub(crate) fn outbound(response: &'a pb::ExplainOutboundResponse) -> Option<Self> {
        let decision = response.decision.as_ref()?;
        Some(Self {
            chains: &response.chains,
            not_matched: &response.not_matched,
            ..Self::outbound_decision(decision, &response.facts)
        })
    }

    /// What an outbound decision on `facts` says by itself.
    pub(crate) fn outbound_decision(
        decision: &'a pb::CheckOutboundResponse,
        facts: &'a [pb::UnderstoodFact],
    ) -> Self {
        Self {
            verdict: decision.verdict(),
            connector: decision.connector.as_ref(),
            also_matched: None,
            rejections: &decision.rejections,
            reply: decision.smtp_reply.as_ref(),
            if_enforced: decision.if_enforced.as_ref(),
            revision: decision.revision.as_ref(),
            delivery: decision.delivery.as_ref(),
            facts,
            chains: &[],
            not_matched: &[],
            outbound: true,
        }
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> pb::Verdict {
        self.verdict
    }

    /// It all, in the order in which a postmaster asks.
    pub(crate) fn render(&self, ink: Ink) -> String {
        let mut text = String::new();
        self.head(&mut text, ink);
        self.why(&mut text, ink);
        if let Some(delivery) = self.delivery {
            heading(&mut text, ink, "How to deliver");
            for said in delivery_lines(delivery) {
                line(&mut text, 1, &said);
            }
        }
        if let Some(report) = self.if_enforced {
            heading(&mut text, ink, "If the connectors in report were enforced");
            let verdict = verdict_word(report.verdict(), ink);
            line(
                &mut text,
                1,
                &format!("{verdict}{}", by(report.connector.as_ref(), ink)),
            );
            rejections(&mut text, &report.rejections, ink);
        }
        chains(&mut text, self.chains, self.has_session(), ink);
        if !self.not_matched.is_empty() {
            heading(&mut text, ink, "In no chain");
            for considered in self.not_matched {
                line(&mut text, 1, &kept_out(considered, ink));
            }
        }
        self.understood(&mut text, ink);
        text
    }

    /// Whether there is a session that can meet demands: a message that is still to be sent has
    /// none before connecting.
    fn has_session(&self) -> bool {
        !self.outbound
            || self
                .facts
                .iter()
                .any(|fact| fact.field.starts_with("session."))
    }

    fn head(&self, text: &mut String, ink: Ink) {
        let verdict = verdict_word(self.verdict, ink);
        let also = self.also_matched.map_or_else(String::new, |connector| {
            format!("; also matched:{}", by(Some(connector), ink))
        });
        line(
            text,
            0,
            &format!("{verdict}{}{also}", by(self.connector, ink)),
        );
        if let Some(revision) = self.revision {
            let how = match revision.selected_by() {
                pb::SelectedBy::Name => ", as named",
                pb::SelectedBy::AcceptedDomain => ", which accepts the domain",
                pb::SelectedBy::Default => ", which is the default",
                pb::SelectedBy::Unspecified => "",
            };
            let stale = if revision.stale {
                "; a newer text of it was refused"
            } else {
                ""
            };
            let (set, digest) = (shown(&revision.connector_set), shown(&revision.digest));
            line(
                text,
                1,
                &format!("set {} ({}){how}{stale}", ink.bold(set), ink.dim(digest)),
            );
        } else {
            line(text, 1, "no connector set was asked");
        }
        if let Some(reply) = self.reply {
            let what = if self.outbound {
                "bounce or delay with"
            } else {
                "answer"
            };
            let pb::SmtpReply {
                code,
                enhanced_code,
                text: said,
            } = reply;
            let reply = format!("{code} {} {}", shown(enhanced_code), shown(said));
            line(text, 1, &format!("{what}: {}", ink.bold(reply)));
        }
    }

    fn why(&self, text: &mut String, ink: Ink) {
        if !self.rejections.is_empty() {
            heading(text, ink, "Why");
            return rejections(text, self.rejections, ink);
        }
        let why = match (self.verdict, self.connector) {
            (pb::Verdict::Accept, None) => "no connector applies, so that nothing is demanded",
            (pb::Verdict::Accept, Some(_)) => "all that is demanded is met",
            (pb::Verdict::Conditional, _) if self.outbound => {
                "deliver only over a session as below, and ask again with that session (--host, --tls)"
            }
            (pb::Verdict::Conditional, _) => {
                "connectors for some recipients may still decide: ask again with a recipient (--rcpt-to)"
            }
            (pb::Verdict::Reject | pb::Verdict::Defer | pb::Verdict::Unspecified, _) => return,
        };
        heading(text, ink, "Why");
        line(text, 1, why);
    }

    fn understood(&self, text: &mut String, ink: Ink) {
        if self.facts.is_empty() {
            return;
        }
        heading(text, ink, "What was understood");
        let width = self
            .facts
            .iter()
            .map(|fact| fact.field.chars().count())
            .max()
            .unwrap_or(0);
        for fact in self.facts {
            let (field, understood) = (shown(&fact.field), shown(&fact.understood));
            let given = if fact.given.is_empty() {
                "(empty)".into()
            } else {
                shown(&fact.given)
            };
            let understood = if understood == given {
                String::new()
            } else {
                format!(" {} {understood}", ink.dim("is"))
            };
            line(text, 1, &format!("{field:width$}  {given}{understood}"));
        }
    }
}

/// Appends the chains with what each demands; `judged`: and whether that is met.
pub(crate) fn chains(text: &mut String, chains: &[pb::Chain], judged: bool, ink: Ink) {
    for chain in chains {
        let by = match chain.by() {
            pb::MatchedBy::SenderDomain => "Connectors by sender domain",
            pb::MatchedBy::ClientIp => "Connectors by client address",
            pb::MatchedBy::RecipientDomain => "Connectors by recipient domain",
            pb::MatchedBy::Rule => "Connector by rule",
            pb::MatchedBy::Unspecified => "Connectors",
        };
        if !chain.if_enforced {
            heading(text, ink, by);
        } else if chains.iter().any(|other| is_same(chain, other)) {
            heading(
                text,
                ink,
                &format!("{by}, if those in report were enforced: the same"),
            );
            continue;
        } else {
            heading(
                text,
                ink,
                &format!("{by}, if those in report were enforced"),
            );
        }
        for considered in &chain.considered {
            if considered.applies {
                let connector = connector(considered, ink);
                let source = source(considered, ink);
                line(text, 1, &format!("{} {connector}{source}", ink.green("✓")));
            } else {
                line(text, 1, &kept_out(considered, ink));
            }
        }
        if !chain.demands.is_empty() {
            line(text, 1, "demanded:");
        }
        for demand in &chain.demands {
            line(text, 2, &demanded(demand, judged, ink));
        }
    }
}

/// Whether `other` is the chain in force, and enforcing the reports would not change it.
fn is_same(chain: &pb::Chain, other: &pb::Chain) -> bool {
    !other.if_enforced
        && chain.by == other.by
        && chain.considered == other.considered
        && chain.demands == other.demands
}

fn demanded(demand: &pb::Demand, judged: bool, ink: Ink) -> String {
    let general: Vec<_> = demand
        .replaces
        .iter()
        .map(|name| format!("`{}`", shown(name)))
        .collect();
    let replaces = if general.is_empty() {
        String::new()
    } else {
        format!(" instead of {}", general.join(", "))
    };
    let (text, by) = (shown(&demand.text), shown(&demand.connector));
    let said = format!("{text}, by `{by}`{replaces}");
    match (judged, demand.met) {
        (false, _) => format!("· {said}"),
        (true, true) => format!("{} {said}: met", ink.green("✓")),
        (true, false) if demand.observed.is_empty() => {
            format!("{} {said}: {}", ink.red("✗"), ink.red("not met"))
        }
        (true, false) => {
            let seen = listed(&demand.observed);
            format!(
                "{} {said}: {}, seen: {seen}",
                ink.red("✗"),
                ink.red("not met")
            )
        }
    }
}

/// A connector with the pattern that matches, if one does.
fn connector(considered: &pb::Considered, ink: Ink) -> String {
    let (name, value) = (
        shown(&considered.connector),
        shown(&considered.matched_value),
    );
    if value.is_empty() {
        ink.bold(name)
    } else {
        format!("{} ({value})", ink.bold(name))
    }
}

/// A connector that does not apply, and why.
fn kept_out(considered: &pb::Considered, ink: Ink) -> String {
    let (connector, source) = (connector(considered, ink), source(considered, ink));
    format!("– {connector}: {}{source}", shown(&considered.because))
}

fn rejections(text: &mut String, rejections: &[pb::Rejection], ink: Ink) {
    for rejection in rejections {
        let name = rejection.reason().as_str_name();
        let reason = ink.red(name.strip_prefix("REASON_").unwrap_or(name));
        line(text, 1, &format!("{reason}: {}", shown(&rejection.message)));
        if !rejection.expected.is_empty() {
            line(
                text,
                2,
                &format!("expected: {}", listed(&rejection.expected)),
            );
        }
        if !rejection.observed.is_empty() {
            line(
                text,
                2,
                &format!("observed: {}", listed(&rejection.observed)),
            );
        }
    }
}

fn delivery_lines(delivery: &pb::Delivery) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(match &delivery.route {
        Some(pb::delivery::Route::SmartHosts(hosts)) => {
            let hosts: Vec<_> = hosts.hosts.iter().map(host_and_port).collect();
            format!("through {}", hosts.join(", then "))
        }
        Some(pb::delivery::Route::Mx(_)) | None => "by MX of the recipient's domain".into(),
    });
    let Some(tls) = &delivery.tls else {
        return lines;
    };
    lines.push(match tls.level() {
        pb::TlsLevel::Opportunistic | pb::TlsLevel::Unspecified => {
            "over TLS where the server offers it".into()
        }
        pb::TlsLevel::Encrypt => "over TLS, whatever the certificate".into(),
        pb::TlsLevel::Trusted => "over TLS with a trusted certificate".into(),
        pb::TlsLevel::Domain => "over TLS with the certificate demanded".into(),
    });
    if !tls.min_version.is_empty() {
        lines.push(format!("{} or later", shown(&tls.min_version)));
    }
    if !tls.names.is_empty() {
        lines.push(format!("certificate for one of {}", listed(&tls.names)));
    }
    if !tls.fingerprints.is_empty() {
        lines.push(format!(
            "certificate of fingerprint {}",
            listed(&tls.fingerprints)
        ));
    }
    lines
}

/// A next hop with its port; an IPv6 address in brackets.
pub(crate) fn host_and_port(host: &pb::SmartHost) -> String {
    let pb::SmartHost { host, port } = host;
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{}:{port}", shown(host))
    }
}

fn verdict_word(verdict: pb::Verdict, ink: Ink) -> String {
    match verdict {
        pb::Verdict::Accept => ink.green("ACCEPT"),
        pb::Verdict::Reject => ink.red("REJECT"),
        pb::Verdict::Defer => ink.red("DEFER"),
        pb::Verdict::Conditional => ink.yellow("CONDITIONAL"),
        pb::Verdict::Unspecified => ink.red("a verdict that this version does not know"),
    }
}

fn by(connector: Option<&pb::MatchedConnector>, ink: Ink) -> String {
    let Some(connector) = connector else {
        return String::new();
    };
    let how = match connector.matched_by() {
        pb::MatchedBy::SenderDomain => "sender domain ",
        pb::MatchedBy::ClientIp => "client address ",
        pb::MatchedBy::RecipientDomain => "recipient domain ",
        pb::MatchedBy::Rule => "by rule",
        pb::MatchedBy::Unspecified => "",
    };
    let (name, value) = (
        ink.bold(shown(&connector.name)),
        shown(&connector.matched_value),
    );
    format!(" {name} ({how}{value})")
}

fn source(considered: &pb::Considered, ink: Ink) -> String {
    if considered.source.is_empty() {
        return String::new();
    }
    format!("  {}", ink.dim(shown(&considered.source)))
}

fn listed(values: &[String]) -> String {
    values
        .iter()
        .map(|value| shown(value))
        .collect::<Vec<_>>()
        .join(", ")
}

fn heading(text: &mut String, ink: Ink, title: &str) {
    text.push('\n');
    text.push_str(&ink.bold(title));
    text.push('\n');
}

fn line(text: &mut String, depth: usize, said: &str) {
    // Why: writing to a string cannot fail.
    writeln!(text, "{:width$}{said}", "", width = depth * 2).ok();
}
