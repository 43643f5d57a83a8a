//! Explanations as messages: how a decision came about, and what was understood of a question.

use std::time::{Duration, UNIX_EPOCH};

use super::{
    certificate,
    facts::{self, given},
    pb,
};
use crate::{
    mail::{
        Domain, MalformedAddress, PresentedName, Recipient, ReversePath, TlsVersion, parse_address,
    },
    policy::{
        decision::OBSERVED_OCTETS,
        explain::{Chain, Considered, Demand, DemandKind},
        facts::{CertificateFacts, NameFact, Trust},
    },
};

/// The chains of an explanation, whose connectors are those of the set `set`.
pub(super) fn chains(chains: Vec<Chain<'_>>, set: &str) -> Vec<pb::Chain> {
    chains
        .into_iter()
        .map(|chain| pb::Chain {
            by: pb::MatchedBy::from(chain.by).into(),
            if_enforced: chain.if_enforced,
            considered: considered(chain.considered, set),
            demands: chain.demands.into_iter().map(Into::into).collect(),
        })
        .collect()
}

/// Connectors of the set `set`, and whether they apply.
pub(super) fn considered(considered: Vec<Considered<'_>>, set: &str) -> Vec<pb::Considered> {
    considered
        .into_iter()
        .map(|considered| pb::Considered {
            connector: considered.connector.to_owned(),
            matched_value: considered.value.to_owned(),
            applies: considered.applies,
            because: considered.because,
            source: considered
                .line
                .map(|line| format!("{set}.toml:{line}"))
                .unwrap_or_default(),
        })
        .collect()
}

impl From<Demand<'_>> for pb::Demand {
    fn from(demand: Demand<'_>) -> Self {
        Self {
            kind: pb::DemandKind::from(demand.kind).into(),
            text: demand.text,
            connector: demand.connector.to_owned(),
            replaces: demand.replaces.into_iter().map(ToOwned::to_owned).collect(),
            expected: demand.expected,
            observed: demand.observed,
            met: demand.met,
        }
    }
}

impl From<DemandKind> for pb::DemandKind {
    fn from(kind: DemandKind) -> Self {
        match kind {
            DemandKind::Certificate => Self::Certificate,
            DemandKind::Origin => Self::Origin,
            DemandKind::Route => Self::Route,
            DemandKind::Tls => Self::Tls,
            DemandKind::TlsMinVersion => Self::TlsMinVersion,
        }
    }
}

/// What is understood of a question about a sending server, of each field that is given.
pub(super) fn understood_inbound(request: &pb::CheckInboundRequest) -> Vec<pb::UnderstoodFact> {
    let mut facts = Facts(Vec::new());
    facts.address("client_ip", &request.client_ip);
    facts.add("mail_from", &request.mail_from, sender(&request.mail_from));
    if let Some(text) = given(&request.rcpt_to) {
        facts.add("rcpt_to", text, recipient(Recipient::parse(text)));
    }
    facts.tls("tls", request.tls.as_ref());
    facts.0
}

/// What is understood of a question about a next hop, of each field that is given.
pub(super) fn understood_outbound(request: &pb::CheckOutboundRequest) -> Vec<pb::UnderstoodFact> {
    let mut facts = Facts(Vec::new());
    facts.add("mail_from", &request.mail_from, sender(&request.mail_from));
    facts.add(
        "rcpt_to",
        &request.rcpt_to,
        recipient(Recipient::parse_or_domain(&request.rcpt_to)),
    );
    if let Some(session) = &request.session {
        let host = match (parse_address(&session.host), session.host.parse::<Domain>()) {
            (Ok(address), _) => address.to_string(),
            (Err(_), Ok(name)) => name.to_string(),
            (Err(_), Err(error)) => malformed(error),
        };
        facts.add("session.host", &session.host, host);
        facts.address("session.server_ip", &session.server_ip);
        facts.tls("session.tls", session.tls.as_ref());
    }
    facts.0
}

struct Facts(Vec<pb::UnderstoodFact>);

impl Facts {
    fn add(&mut self, field: &str, given: &str, understood: impl Into<String>) {
        self.0.push(pb::UnderstoodFact {
            field: field.to_owned(),
            given: cut(given).to_owned(),
            understood: understood.into(),
        });
    }

    fn address(&mut self, field: &str, text: &str) {
        if let Some(text) = given(text) {
            let understood =
                parse_address(text).map_or_else(malformed, |address| address.to_string());
            self.add(field, text, understood);
        }
    }

    fn tls(&mut self, field: &str, tls: Option<&pb::TlsSession>) {
        let Some(tls) = tls else { return };
        let understood = match TlsVersion::observed(&tls.version) {
            TlsVersion::Unknown => "an unknown version, lower than all".into(),
            version => version.to_string(),
        };
        self.add(&format!("{field}.version"), &tls.version, understood);
        if let Some(certificate) = &tls.peer_certificate {
            self.certificate(&format!("{field}.peer_certificate"), certificate);
        }
    }

    fn certificate(&mut self, field: &str, message: &pb::Certificate) {
        let read = facts::certificate(&message.into());
        self.add(
            &format!("{field}.trust"),
            message.trust().as_str_name(),
            trust(read.trust),
        );
        if !message.der.is_empty() {
            let given = format!("{} octets", message.der.len());
            self.add(&format!("{field}.der"), &given, leaf(&message.der, &read));
            return;
        }
        for (at, name) in message.dns_names.iter().enumerate() {
            self.add(
                &format!("{field}.dns_names[{at}]"),
                name,
                presented(&NameFact::new(&**name)),
            );
        }
        if let Some(name) = given(&message.common_name) {
            let understood = match &*message.dns_names {
                [] => presented(&NameFact::new(name)),
                [..] => "it does not count beside alternative names".into(),
            };
            self.add(&format!("{field}.common_name"), name, understood);
        }
        for (part, text, pin) in [
            ("sha256", &message.sha256, read.sha256),
            ("spki_sha256", &message.spki_sha256, read.spki_sha256),
        ] {
            if let Some(text) = given(text) {
                let understood =
                    pin.map_or("unknown: it is no SHA-256".into(), |pin| pin.to_string());
                self.add(&format!("{field}.{part}"), text, understood);
            }
        }
    }
}

/// The beginning of `text`, as much as of an observed value is shown.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(OBSERVED_OCTETS);
    text.get(..end).unwrap_or_default()
}

fn sender(text: &str) -> String {
    match ReversePath::parse(text) {
        Ok(ReversePath::Literal) => LITERAL.into(),
        Ok(ReversePath::Mailbox(domain)) => domain.to_string(),
        Ok(ReversePath::Null) => "null reverse-path".into(),
        Ok(ReversePath::Postmaster) => POSTMASTER.into(),
        Err(error) => malformed(error),
    }
}

fn recipient(recipient: Result<Recipient, MalformedAddress>) -> String {
    match recipient {
        Ok(Recipient::Literal) => LITERAL.into(),
        Ok(Recipient::Mailbox(domain)) => domain.to_string(),
        Ok(Recipient::Postmaster) => POSTMASTER.into(),
        Err(error) => malformed(error),
    }
}

fn malformed(error: impl ToString) -> String {
    format!("malformed: {}", cut(&error.to_string()))
}

fn presented(name: &NameFact<'_>) -> String {
    match &name.name {
        Some(PresentedName::Exact(domain)) => domain.to_string(),
        Some(PresentedName::Wildcard(base)) => format!("*.{base}"),
        None => "malformed: it matches nothing".into(),
    }
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Expired => "good but for the dates: its names prove nothing",
        Trust::Trusted => "trusted",
        Trust::Unknown => "not told, which counts as untrusted",
        Trust::Untrusted => "untrusted: its names prove nothing",
        Trust::WrongPurpose => "not for this side of a session: its names prove nothing",
    }
}

/// A certificate that was sent as octets, in one line.
fn leaf(der: &[u8], read: &CertificateFacts<'_>) -> String {
    let pins: Vec<_> = read.fingerprints().map(|pin| pin.to_string()).collect();
    let pins = pins.join(" and ");
    let Some(leaf) = certificate::read(der).filter(|_| !read.unreadable) else {
        return format!("it cannot be read, and counts as untrusted; SHA-256 {pins}");
    };
    let names: Vec<_> = read.names.iter().map(presented).collect();
    let names = if names.is_empty() {
        "no name".into()
    } else {
        names.join(", ")
    };
    let (subject, issuer) = (leaf.subject().to_string(), leaf.issuer().to_string());
    // Why: each is cut by itself, so that the fingerprints are shown whatever the names.
    format!(
        "{}; subject {}; issuer {}; {}; SHA-256 {pins}",
        cut(&names),
        cut(&subject),
        cut(&issuer),
        until(&leaf)
    )
}

fn until(leaf: &x509_parser::certificate::X509Certificate<'_>) -> String {
    let seconds = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        Some(end) => format!("valid until {}", humantime::format_rfc3339_seconds(end)),
        None => "valid for ever".into(),
    }
}

const LITERAL: &str = "an address literal, without a domain";

const POSTMASTER: &str = "postmaster, without a domain";

#[cfg(test)]
mod tests;
