//! A line of the decision log, read without copying it.
//!
//! Members that are not known are passed over, so that a log of a later version can be read; the
//! names of the contract and lowerCamelCase are both taken.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use super::moment::Moment;
use crate::rpc::pb::{Reason, Verdict};

/// What a line tells.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// A decision.
    Decision(Box<Decision<'a>>),
    /// Lines that the log lost.
    Lost(Lost),
}

/// A decision: what was asked, and what was answered.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    /// When.
    pub(super) time: Moment,
    /// Whether a next hop was asked about, not a sending server.
    pub(super) outbound: bool,
    /// Who asked.
    pub(super) caller: Text<'a>,
    /// The address that asked.
    pub(super) peer: Text<'a>,
    /// The caller's name for the session or message.
    pub(super) correlation_id: Text<'a>,
    /// What was asked.
    pub(super) facts: Facts<'a>,
    /// The verdict.
    pub(super) verdict: Verdict,
    /// What was answered beside it.
    pub(super) answer: Answer<'a>,
}

/// Lines that were lost when the log could not take them.
#[derive(Debug)]
pub(super) struct Lost {
    /// When the log said so.
    pub(super) time: Moment,
    /// How many of each kind.
    pub(super) kinds: BTreeMap<String, u64>,
}

/// Text that lies in the line where it can.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What was asked, in either direction.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts<'a> {
    /// Address of the sending server.
    #[serde(borrow, alias = "clientIp")]
    pub(super) client_ip: Text<'a>,
    /// Envelope sender.
    #[serde(borrow, alias = "mailFrom")]
    pub(super) mail_from: Text<'a>,
    /// Envelope recipient.
    #[serde(borrow, alias = "rcptTo")]
    pub(super) rcpt_to: Text<'a>,
    #[serde(borrow)]
    tls: Option<Tls<'a>>,
    /// The session with the next hop.
    #[serde(borrow)]
    pub(super) session: Option<Session<'a>>,
}

/// The session with a next hop.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Session<'a> {
    /// Its name.
    #[serde(borrow)]
    pub(super) host: Text<'a>,
    /// Its address.
    #[serde(borrow, alias = "serverIp")]
    pub(super) server_ip: Text<'a>,
    #[serde(borrow)]
    tls: Option<Tls<'a>>,
}

/// TLS of a session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tls<'a> {
    /// Its version.
    #[serde(borrow)]
    pub(super) version: Text<'a>,
    /// What the peer presented.
    #[serde(borrow, alias = "peerCertificate")]
    pub(super) peer_certificate: Option<Certificate<'a>>,
    /// The gateway cannot tell whether the peer presented one.
    #[serde(alias = "certificateUnavailable")]
    pub(super) certificate_unavailable: bool,
}

/// A certificate that a peer presented.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Certificate<'a> {
    /// What the gateway says of its chain.
    #[serde(borrow, alias = "trustDetail")]
    pub(super) trust_detail: Text<'a>,
    /// Its alternative names.
    #[serde(borrow, alias = "dnsNames")]
    pub(super) dns_names: Vec<Text<'a>>,
    /// Its common name.
    #[serde(borrow, alias = "commonName")]
    pub(super) common_name: Text<'a>,
    /// The gateway cannot see its alternative names.
    #[serde(alias = "alternativeNamesUnavailable")]
    pub(super) alternative_names_unavailable: bool,
    /// SHA-256 of it.
    #[serde(borrow)]
    pub(super) sha256: Text<'a>,
    /// SHA-256 of its public key.
    #[serde(borrow, alias = "spkiSha256")]
    pub(super) spki_sha256: Text<'a>,
    /// Who issued it.
    #[serde(borrow)]
    pub(super) issuer: Text<'a>,
    #[serde(borrow, alias = "notAfter")]
    not_after: Text<'a>,
}

/// What was answered beside the verdict.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    verdict: Text<'a>,
    /// The connector that applies.
    #[serde(borrow)]
    pub(super) connector: Option<Matched<'a>>,
    /// That of the other chain.
    #[serde(borrow, alias = "alsoMatched")]
    pub(super) also_matched: Option<Matched<'a>>,
    /// What is not met.
    #[serde(borrow)]
    pub(super) rejections: Vec<Rejection<'a>>,
    /// What was said to the peer.
    #[serde(borrow, alias = "smtpReply")]
    pub(super) smtp_reply: Option<Reply<'a>>,
    /// What enforcing the reports would have made of it.
    #[serde(borrow, alias = "ifEnforced")]
    pub(super) if_enforced: Option<Report<'a>>,
    /// The set that decided.
    #[serde(borrow)]
    pub(super) revision: Option<Revision<'a>>,
}

/// A connector that applies.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Matched<'a> {
    /// Its name.
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    /// The pattern that matched.
    #[serde(borrow, alias = "matchedValue")]
    pub(super) matched_value: Text<'a>,
}

/// A restriction that is not met.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rejection<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    /// Whose restriction it is.
    #[serde(borrow)]
    pub(super) connector: Text<'a>,
    /// The sentence for the postmaster.
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    /// What the connector accepts.
    #[serde(borrow)]
    pub(super) expected: Vec<Text<'a>>,
    /// What the session showed.
    #[serde(borrow)]
    pub(super) observed: Vec<Text<'a>>,
}

/// A reply to a peer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reply<'a> {
    /// `550`, say.
    pub(super) code: u32,
    /// `5.7.1`, say.
    #[serde(borrow, alias = "enhancedCode")]
    pub(super) enhanced_code: Text<'a>,
    /// The text after them.
    #[serde(borrow)]
    pub(super) text: Text<'a>,
}

/// The answer if the connectors in report were enforced.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report<'a> {
    #[serde(borrow)]
    verdict: Text<'a>,
    /// The connector that would apply.
    #[serde(borrow)]
    pub(super) connector: Option<Matched<'a>>,
    /// What would not be met.
    #[serde(borrow)]
    pub(super) rejections: Vec<Rejection<'a>>,
}

/// A connector set as it stood.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Revision<'a> {
    /// Its name.
    #[serde(borrow, alias = "connectorSet")]
    pub(super) connector_set: Text<'a>,
}

/// A line as it stands.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Raw<'a> {
    schema: u32,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(borrow)]
    direction: Text<'a>,
    #[serde(borrow)]
    caller: Text<'a>,
    #[serde(borrow)]
    peer: Text<'a>,
    #[serde(borrow)]
    correlation_id: Text<'a>,
    #[serde(borrow)]
    facts: Facts<'a>,
    #[serde(borrow)]
    answer: Option<Answer<'a>>,
    dropped: Option<BTreeMap<String, u64>>,
}

/// What `line` tells, or why it cannot be read.
pub(super) fn read(line: &[u8]) -> Result<Entry<'_>, String> {
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    if raw.schema != 1 {
        return Err(format!("its schema is {}, not 1", raw.schema));
    }
    let time = Moment::parse(&raw.time.0).ok_or("it has no time in RFC 3339")?;
    if let Some(kinds) = raw.dropped {
        return Ok(Entry::Lost(Lost { time, kinds }));
    }
    let answer = raw.answer.ok_or("it has no answer")?;
    let verdict = verdict(&answer.verdict);
    if verdict == Verdict::Unspecified {
        return Err("it has no verdict that is known here".into());
    }
    let outbound = match &*raw.direction.0 {
        "inbound" => false,
        "outbound" => true,
        _ => return Err("it has no direction, inbound or outbound".into()),
    };
    Ok(Entry::Decision(Box::new(Decision {
        time,
        outbound,
        caller: raw.caller,
        peer: raw.peer,
        correlation_id: raw.correlation_id,
        facts: raw.facts,
        verdict,
        answer,
    })))
}

impl Decision<'_> {
    /// The name of the set that decided; empty where none was chosen.
    pub(super) fn set(&self) -> &str {
        let revision = self.answer.revision.as_ref();
        revision.map_or("", |revision| &revision.connector_set.0)
    }

    /// `inbound` or `outbound`.
    pub(super) fn direction(&self) -> &'static str {
        if self.outbound { "outbound" } else { "inbound" }
    }

    /// TLS of the session that was told of.
    pub(super) fn tls(&self) -> Option<&Tls<'_>> {
        match &self.facts.session {
            Some(session) if self.outbound => session.tls.as_ref(),
            _ => self.facts.tls.as_ref(),
        }
    }

    /// The certificate that the peer presented.
    pub(super) fn certificate(&self) -> Option<&Certificate<'_>> {
        self.tls()?.peer_certificate.as_ref()
    }

    /// The sending server, or the next hop; empty before connecting.
    pub(super) fn server(&self) -> &str {
        match &self.facts.session {
            Some(session) if self.outbound => &session.host.0,
            _ => &self.facts.client_ip.0,
        }
    }

    /// The domain of the partner: the sender's of mail to us, else the recipient's.
    pub(super) fn partner(&self) -> &str {
        let address = if self.outbound {
            &self.facts.rcpt_to.0
        } else {
            &self.facts.mail_from.0
        };
        domain(address)
    }

    /// Whether `connector` is named as one that applies, or as one that is or would not be met.
    pub(super) fn names(&self, connector: &str) -> bool {
        self.named().any(|name| name == connector)
    }

    /// The connectors that are named, in any part of the answer; some more than once.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let answer = &self.answer;
        let report = answer.if_enforced.as_ref();
        let matched = [
            answer.connector.as_ref(),
            answer.also_matched.as_ref(),
            report.and_then(|report| report.connector.as_ref()),
        ];
        let matched = matched
            .into_iter()
            .flatten()
            .map(|connector| &*connector.name.0);
        let unmet = answer
            .rejections
            .iter()
            .chain(report.map_or(&[][..], |report| &report.rejections));
        matched
            .chain(unmet.map(|rejection| &*rejection.connector.0))
            .filter(|name| !name.is_empty())
    }
}

impl Certificate<'_> {
    /// The names that count: its alternative names, else its common name.
    pub(super) fn names(&self) -> Vec<&str> {
        let names: Vec<_> = self.dns_names.iter().map(|name| &*name.0).collect();
        if names.is_empty() && !self.common_name.0.is_empty() {
            return vec![&self.common_name.0];
        }
        names
    }

    /// The end of its validity, where it was told.
    pub(super) fn not_after(&self) -> Option<Moment> {
        Moment::parse(&self.not_after.0)
    }
}

impl Rejection<'_> {
    /// The reason; unspecified where it is not known here.
    pub(super) fn reason(&self) -> Reason {
        Reason::from_str_name(&self.reason.0).unwrap_or_default()
    }
}

impl Report<'_> {
    /// The verdict that it would be; unspecified where it is not known here.
    pub(super) fn verdict(&self) -> Verdict {
        verdict(&self.verdict)
    }
}

/// The domain of an envelope address; empty of the null sender, all of it where it is only a domain.
pub(super) fn domain(address: &str) -> &str {
    let address = address.trim_matches(['<', '>']);
    address
        .rsplit_once('@')
        .map_or(address, |(_, domain)| domain)
}

/// `CERTIFICATE_REQUIRED`, as the contract names it.
pub(super) fn reason_word(reason: Reason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("REASON_").unwrap_or(name)
}

fn verdict(text: &Text<'_>) -> Verdict {
    Verdict::from_str_name(&text.0).unwrap_or_default()
}

/// What is wrong with it as JSON, without the line number, which is always 1 here.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((fault, _)) => format!("{fault} at octet {}", error.column()),
        None => text,
    }
}
