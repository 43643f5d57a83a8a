//! The rows of the list: a connector, and what it demands after inheritance.

use std::{iter::once, rc::Rc};

use serde_json::json;

use super::{
    Partner,
    demands::{self, Demand},
    products,
};
use crate::{
    cli::{
        inheritance::{By, Inheritance},
        output::{grouped, shown},
    },
    mail::DomainPattern,
    policy::{
        ConnectorSet,
        connector::{
            Host, InboundConnector, Mode, Modes, OutboundConnector, Partner as Recognised,
            ReplyRule, Scope, SmartHost, Spelled, Written,
        },
    },
};

/// A connector with those of its patterns that inherit the same.
#[derive(Debug)]
pub(super) struct Row<'a> {
    set: &'a str,
    direction: &'static str,
    name: &'a str,
    comment: Option<&'a str>,
    mode: Modes,
    /// What it recognises: `sender_domains`, `client_ips`, `recipient_domains` or `rule`.
    by: &'static str,
    patterns: Rc<[&'a str]>,
    /// Inbound: only mail to these.
    recipients: Rc<[&'a str]>,
    smart_hosts: Vec<String>,
    demands: Vec<Demand<'a>>,
    reply: &'a ReplyRule,
    source: String,
}

/// The headings of the columns.
pub(super) const HEADINGS: [&str; 8] = [
    "SET",
    "DIRECTION",
    "NAME",
    "MODE",
    "PATTERN",
    "DEMANDS",
    "REPLY",
    "SOURCE",
];

/// Adds the rows of the connectors of `set` that match `partner`.
pub(super) fn of<'a>(
    set: &'a ConnectorSet,
    file: &str,
    partner: Option<&Partner>,
    rows: &mut Vec<Row<'a>>,
) {
    let inheritance = Inheritance::of(set);
    for connector in set.inbound() {
        inbound(set, file, &inheritance, connector, partner, rows);
    }
    for connector in set.outbound() {
        rows.extend(outbound(set, file, connector, partner));
    }
}

/// `rows` as one JSON array, in parts: only one row at a time is in memory.
pub(super) fn json(rows: &[Row<'_>]) -> impl Iterator<Item = String> {
    let begin = if rows.is_empty() { "[" } else { "[\n" };
    let parts = rows.iter().enumerate().map(|(at, row)| {
        let row = format!("{:#}", row.json()).replace('\n', "\n  ");
        let end = if at + 1 < rows.len() { "," } else { "" };
        format!("  {row}{end}\n")
    });
    once(begin.to_owned())
        .chain(parts)
        .chain(once("]\n".to_owned()))
}

fn inbound<'a>(
    set: &'a ConnectorSet,
    file: &str,
    inheritance: &Inheritance<'a>,
    connector: &'a InboundConnector,
    partner: Option<&Partner>,
    rows: &mut Vec<Row<'a>>,
) {
    let (by, patterns): (_, Vec<(By<'a>, &'a str)>) = match &connector.partner {
        Recognised::SenderDomains(patterns) => {
            let covers = |pattern: &DomainPattern| match partner {
                None => true,
                Some(Partner::Domain(domain)) => pattern.covers(Some(domain)),
                Some(Partner::Address(_)) => false,
            };
            let matching = patterns.iter().filter(|pattern| covers(&pattern.value));
            (
                "sender_domains",
                matching
                    .map(|it| (By::Sender(&it.value), it.text()))
                    .collect(),
            )
        }
        Recognised::ClientIps(networks) => {
            let matching = networks.iter().filter(|network| match partner {
                None => true,
                Some(Partner::Address(address)) => network.value.contains(*address),
                Some(Partner::Domain(_)) => false,
            });
            (
                "client_ips",
                matching
                    .map(|it| (By::Address(&it.value), it.text()))
                    .collect(),
            )
        }
    };
    let products = products::of(inheritance, connector, &patterns);
    rows.extend(products.into_iter().map(|product| Row {
        set: set.name(),
        direction: "inbound",
        name: &connector.name,
        comment: connector.comment.as_deref(),
        mode: connector.mode,
        by,
        patterns: product.patterns,
        recipients: product.recipients,
        smart_hosts: Vec::new(),
        demands: demands::inbound(connector, product.stated),
        reply: &connector.reply,
        source: format!("{file}:{}", connector.line),
    }));
}

fn outbound<'a>(
    set: &'a ConnectorSet,
    file: &str,
    connector: &'a OutboundConnector,
    partner: Option<&Partner>,
) -> Option<Row<'a>> {
    let (by, patterns) = match (&connector.scope, partner) {
        (Scope::Domains(patterns), None) => ("recipient_domains", texts(patterns)),
        (Scope::Domains(patterns), Some(Partner::Domain(domain))) => {
            let covering = patterns
                .iter()
                .filter(|pattern| pattern.value.covers(Some(domain)));
            ("recipient_domains", covering.map(Written::text).collect())
        }
        (Scope::Rule, None) => ("rule", Vec::new()),
        (Scope::Domains(_) | Scope::Rule, Some(_)) => return None,
    };
    if patterns.is_empty() && by != "rule" {
        return None;
    }
    Some(Row {
        set: set.name(),
        direction: "outbound",
        name: &connector.name,
        comment: connector.comment.as_deref(),
        mode: connector.mode,
        by,
        patterns: patterns.into(),
        recipients: Rc::default(),
        smart_hosts: connector
            .smart_hosts
            .iter()
            .map(|host| smart_host(&host.value))
            .collect(),
        demands: demands::outbound(connector),
        reply: &connector.reply,
        source: format!("{file}:{}", connector.line),
    })
}

impl Row<'_> {
    /// The cells in the order of the headings, each with its lines.
    pub(super) fn cells(&self) -> Vec<Vec<String>> {
        let mut mode = vec![self.mode.effective.to_string()];
        if self.mode.own != self.mode.effective && self.mode.effective != Mode::Enforce {
            mode = vec![format!("{} (set)", self.mode.effective)];
        }
        let mut patterns = few(self.patterns.iter().copied());
        if self.by == "rule" {
            patterns.push("when a call names it".into());
        }
        let mut recipients = few(self.recipients.iter().copied()).into_iter();
        if let Some(first) = recipients.next() {
            patterns.push(format!("to {first}"));
            patterns.extend(recipients.map(|more| format!("   {more}")));
        }
        let mut demands: Vec<_> = self.demands.iter().map(Demand::line).collect();
        if !self.smart_hosts.is_empty() {
            let hosts = self.smart_hosts.iter().map(String::as_str);
            demands.push(format!("through {}", few(hosts).join(", ")));
        }
        let mut reply = vec![self.reply.action.as_str().to_owned()];
        reply.extend(self.reply.text.as_deref().map(abridged));
        vec![
            vec![self.set.to_owned()],
            vec![self.direction.to_owned()],
            vec![shown(self.name)],
            mode,
            patterns,
            demands,
            reply,
            vec![shown(&self.source)],
        ]
    }

    /// It whole, for programs.
    fn json(&self) -> serde_json::Value {
        let demands: Vec<_> = self.demands.iter().map(Demand::json).collect();
        json!({
            "set": self.set,
            "direction": self.direction,
            "name": self.name,
            "comment": self.comment,
            "mode": self.mode.effective.as_str(),
            "own_mode": self.mode.own.as_str(),
            "matched_by": self.by,
            "patterns": *self.patterns,
            "recipient_domains": *self.recipients,
            "smart_hosts": self.smart_hosts,
            "demands": demands,
            "reply": { "action": self.reply.action.as_str(), "text": self.reply.text },
            "source": self.source,
        })
    }
}

/// The first of many texts, and how many more there are.
pub(super) fn few<'t>(texts: impl ExactSizeIterator<Item = &'t str>) -> Vec<String> {
    let more = texts.len().saturating_sub(SHOWN);
    let mut few: Vec<_> = texts.take(SHOWN).map(abridged).collect();
    if more > 0 {
        few.push(format!("and {} more", grouped(more)));
    }
    few
}

/// A text that is longer than a name, a fingerprint say, by its beginning.
fn abridged(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return shown(text);
    }
    let start: String = text.chars().take(LONGEST - 1).collect();
    format!("{}…", shown(&start))
}

fn texts<T: Spelled>(values: &[Written<T>]) -> Vec<&str> {
    values.iter().map(Written::text).collect()
}

fn smart_host(host: &SmartHost) -> String {
    match host.host {
        Host::Address(address) => std::net::SocketAddr::new(address, host.port).to_string(),
        Host::Name(_) => format!("{}:{}", host.host, host.port),
    }
}

const SHOWN: usize = 4;
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_str;

    #[test]
    fn parts_are_one_array() {
        let text = "version = 1\n[[inbound]]\nname = \"a\"\nmatch.sender_domains = \
                    [\"a.com\", \"b.com\"]\nrequire.tls = \"encrypt\"\n[[outbound]]\nname = \"b\"\n\
                    match.recipient_domains = [\"a.com\"]\nrequire.tls = \"encrypt\"\n[end]\n";
        let set = load_str("contoso", text).set.unwrap();
        let mut rows = Vec::new();
        assert_eq!(json(&rows).collect::<String>(), "[]\n");
        of(&set, "contoso.toml", None, &mut rows);
        let whole: Vec<_> = rows.iter().map(Row::json).collect();
        let whole = format!("{:#}\n", serde_json::Value::Array(whole));
        assert_eq!(json(&rows).collect::<String>(), whole);
    }
}
