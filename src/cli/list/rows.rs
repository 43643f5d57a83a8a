//! The rows of the list: a connector, and what it demands after inheritance.

use serde_json::json;

use super::Partner;
use crate::{
    cli::{
        inheritance::{By, Inheritance, Stated},
        output::{grouped, shown},
    },
    mail::DomainPattern,
    policy::{
        ConnectorSet,
        connector::{
            Host, InboundConnector, Mode, Modes, OutboundConnector, Partner as Recognised,
            ReplyRule, Scope, SmartHost, Written,
        },
        requirement::{CertificateDemand, Origin, TlsDemand, TlsLevel},
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
    patterns: Vec<&'a str>,
    /// Inbound: only mail to these.
    recipients: Vec<&'a str>,
    smart_hosts: Vec<String>,
    demands: Vec<Demand<'a>>,
    reply: &'a ReplyRule,
    source: String,
}

/// One demand, and where it is inherited from; none: the connector's own.
#[derive(Debug)]
struct Demand<'a> {
    kind: &'static str,
    words: &'static str,
    values: Vec<&'a str>,
    inherited_from: Option<&'a str>,
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
                    .map(|it| (By::Sender(&it.value), &*it.text))
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
                    .map(|it| (By::Address(&it.value), &*it.text))
                    .collect(),
            )
        }
    };
    let mut scopes: Vec<Option<&Written<DomainPattern>>> =
        connector.recipient_domains.iter().map(Some).collect();
    if scopes.is_empty() {
        scopes.push(None);
    }
    let mut own: Vec<(Stated<'a>, Row<'a>)> = Vec::new();
    for scope in scopes {
        for &(by_pattern, text) in &patterns {
            let stated = inheritance.stated(connector, by_pattern, scope.map(|scope| &scope.value));
            let scope = scope.map(|scope| &*scope.text);
            let same = own
                .iter_mut()
                .find(|(known, _)| known.names() == stated.names());
            if let Some((_, row)) = same {
                add(&mut row.patterns, text);
                if let Some(scope) = scope {
                    add(&mut row.recipients, scope);
                }
                continue;
            }
            let row = Row {
                set: set.name(),
                direction: "inbound",
                name: &connector.name,
                comment: connector.comment.as_deref(),
                mode: connector.mode,
                by,
                patterns: vec![text],
                recipients: scope.into_iter().collect(),
                smart_hosts: Vec::new(),
                demands: demands(connector, stated),
                reply: &connector.reply,
                source: format!("{file}:{}", connector.line),
            };
            own.push((stated, row));
        }
    }
    rows.extend(own.into_iter().map(|(_, row)| row));
}

fn add<'a>(texts: &mut Vec<&'a str>, text: &'a str) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

fn demands<'a>(connector: &InboundConnector, stated: Stated<'a>) -> Vec<Demand<'a>> {
    let from = |by: &'a InboundConnector| (by.name != connector.name).then_some(&*by.name);
    let mut demands = Vec::new();
    if let Some(by) = stated.tls {
        let words = match by.require.tls {
            Some(TlsDemand::Opportunistic) => "TLS is not required",
            Some(TlsDemand::Encrypt) | None => "TLS",
        };
        demands.push(Demand {
            kind: "tls",
            words,
            values: Vec::new(),
            inherited_from: from(by),
        });
    }
    if let Some(by) = stated.min_version {
        let values = by
            .require
            .min_version
            .iter()
            .map(|version| &*version.text)
            .collect();
        demands.push(Demand {
            kind: "tls_min_version",
            words: "at least",
            values,
            inherited_from: from(by),
        });
    }
    if let Some((by, origin)) = stated
        .origin
        .and_then(|by| Some((by, by.require.origin.as_ref()?)))
    {
        let inherited_from = from(by);
        match origin {
            Origin::Unrestricted => {
                demands.push(Demand {
                    kind: "origin",
                    words: "from anywhere",
                    values: Vec::new(),
                    inherited_from,
                });
            }
            Origin::Restricted(demand) => {
                let or = demand.either;
                if let Some(addresses) = &demand.addresses {
                    let values = texts(&addresses.networks);
                    demands.push(Demand {
                        kind: "client_ips",
                        words: "from",
                        values,
                        inherited_from,
                    });
                }
                if let Some(certificate) = &demand.certificate {
                    demands.extend(certificates(certificate, or, inherited_from));
                }
            }
        }
    }
    demands
}

/// The lists of a certificate demand; `or`: beside addresses of which one is enough, too.
fn certificates<'a>(
    demand: &'a CertificateDemand,
    or: bool,
    inherited_from: Option<&'a str>,
) -> Vec<Demand<'a>> {
    let mut lists = Vec::new();
    if !demand.names.is_empty() {
        let words = if or {
            "or certificate for"
        } else {
            "certificate for"
        };
        lists.push(Demand {
            kind: "certificate_names",
            words,
            values: texts(&demand.names),
            inherited_from,
        });
    }
    if !demand.fingerprints.is_empty() {
        let or = or || !demand.names.is_empty();
        let words = if or {
            "or certificate of fingerprint"
        } else {
            "certificate of fingerprint"
        };
        let values = texts(&demand.fingerprints);
        lists.push(Demand {
            kind: "certificate_fingerprints",
            words,
            values,
            inherited_from,
        });
    }
    lists
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
            (
                "recipient_domains",
                covering.map(|pattern| &*pattern.text).collect(),
            )
        }
        (Scope::Rule, None) => ("rule", Vec::new()),
        (Scope::Domains(_) | Scope::Rule, Some(_)) => return None,
    };
    if patterns.is_empty() && by != "rule" {
        return None;
    }
    let require = &connector.require;
    let words = match require.level {
        TlsLevel::Opportunistic => "TLS where offered",
        TlsLevel::Encrypt => "TLS",
        TlsLevel::Trusted => "TLS, trusted certificate",
        TlsLevel::Domain => "TLS, certificate as demanded",
    };
    let mut demands = vec![Demand {
        kind: "tls",
        words,
        values: Vec::new(),
        inherited_from: None,
    }];
    if let Some(minimum) = &require.min_version {
        let values = vec![&*minimum.text];
        demands.push(Demand {
            kind: "tls_min_version",
            words: "at least",
            values,
            inherited_from: None,
        });
    }
    if let Some(certificate) = &require.certificate {
        demands.extend(certificates(certificate, false, None));
    }
    Some(Row {
        set: set.name(),
        direction: "outbound",
        name: &connector.name,
        comment: connector.comment.as_deref(),
        mode: connector.mode,
        by,
        patterns,
        recipients: Vec::new(),
        smart_hosts: connector
            .smart_hosts
            .iter()
            .map(|host| smart_host(&host.value))
            .collect(),
        demands,
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
        let mut patterns = few(&self.patterns);
        if self.by == "rule" {
            patterns.push("when a call names it".into());
        }
        let mut recipients = few(&self.recipients).into_iter();
        if let Some(first) = recipients.next() {
            patterns.push(format!("to {first}"));
            patterns.extend(recipients.map(|more| format!("   {more}")));
        }
        let mut demands: Vec<_> = self.demands.iter().flat_map(Demand::lines).collect();
        if !self.smart_hosts.is_empty() {
            let hosts: Vec<&str> = self.smart_hosts.iter().map(String::as_str).collect();
            demands.push(format!("through {}", few(&hosts).join(", ")));
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
    pub(super) fn json(&self) -> serde_json::Value {
        let demands: Vec<_> = self.demands.iter().map(Demand::json).collect();
        json!({
            "set": self.set,
            "direction": self.direction,
            "name": self.name,
            "comment": self.comment,
            "mode": self.mode.effective.as_str(),
            "own_mode": self.mode.own.as_str(),
            "matched_by": self.by,
            "patterns": self.patterns,
            "recipient_domains": self.recipients,
            "smart_hosts": self.smart_hosts,
            "demands": demands,
            "reply": { "action": self.reply.action.as_str(), "text": self.reply.text },
            "source": self.source,
        })
    }
}

impl Demand<'_> {
    fn lines(&self) -> Vec<String> {
        let from = self
            .inherited_from
            .map_or_else(String::new, |name| format!(" (from `{}`)", shown(name)));
        if self.values.is_empty() {
            return vec![format!("{}{from}", self.words)];
        }
        vec![format!(
            "{} {}{from}",
            self.words,
            few(&self.values).join(", ")
        )]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "kind": self.kind,
            "text": self.words,
            "values": self.values,
            "inherited_from": self.inherited_from,
        })
    }
}

/// The first of many texts, and how many more there are.
fn few(texts: &[&str]) -> Vec<String> {
    let mut few: Vec<_> = texts
        .iter()
        .take(SHOWN)
        .map(|text| abridged(text))
        .collect();
    if texts.len() > SHOWN {
        few.push(format!("and {} more", grouped(texts.len() - SHOWN)));
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

fn texts<T>(values: &[Written<T>]) -> Vec<&str> {
    values.iter().map(|value| &*value.text).collect()
}

fn smart_host(host: &SmartHost) -> String {
    match host.host {
        Host::Address(address) => std::net::SocketAddr::new(address, host.port).to_string(),
        Host::Name(_) => format!("{}:{}", host.host, host.port),
    }
}

const SHOWN: usize = 4;
const LONGEST: usize = 40;
