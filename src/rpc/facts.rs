//! Messages read into facts: once, here, and listing every bad field; nothing is checked again
//! later.

use super::{certificate, pb, question};
use crate::{
    mail::{Domain, Fingerprint, Recipient, ReversePath, TlsVersion, parse_address},
    policy::{
        InboundFacts, OutboundFacts, Reason,
        connector::Host,
        facts::{CertificateFacts, NameFact, SessionFacts, TlsFacts, Trust},
    },
};

/// What a question says.
#[derive(Clone, Debug)]
pub enum Understood<'a, F> {
    /// What a gateway saw.
    Facts(F),
    /// An envelope address is none: the peer chose it, so that it is refused and no error.
    Malformed(Malformed<'a>),
}

/// An envelope address that cannot be understood.
#[derive(Clone, Debug)]
pub struct Malformed<'a> {
    /// Whether it is the sender's or the recipient's.
    pub reason: Reason,
    /// As it was given.
    pub given: &'a str,
    /// What is wrong with it.
    pub fault: String,
    /// The domain that chooses the connector set, where the other address has one.
    pub chooses: Option<Domain>,
}

/// A message that we are about to send, and its sender, whose domain chooses the connector set.
#[derive(Clone, Debug)]
pub struct Sending<'a> {
    /// What connectors look at.
    pub facts: OutboundFacts<'a>,
    /// Envelope sender.
    pub mail_from: ReversePath,
}

/// A field that the gateway must write otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadField {
    /// Its path in the request: `session.host`.
    pub field: String,
    /// What is wrong, and what to write.
    pub description: String,
}

/// What a question about a sending server says, or every field of it that is bad.
pub fn inbound<'a>(
    question: &question::Inbound<'a>,
) -> Result<Understood<'a, InboundFacts<'a>>, Vec<BadField>> {
    let mut bad = Vec::new();
    let client_ip = required(question.client_ip, "client_ip", WRITE_CLIENT_IP, &mut bad)
        .and_then(|text| kept("client_ip", parse_address(text), &mut bad));
    let Some(client_ip) = client_ip else {
        return Err(bad);
    };
    let mail_from = ReversePath::parse(question.mail_from);
    let rcpt_to = given(question.rcpt_to).map(Recipient::parse).transpose();
    Ok(match (mail_from, rcpt_to) {
        (Ok(mail_from), Ok(rcpt_to)) => Understood::Facts(InboundFacts {
            client_ip,
            mail_from,
            rcpt_to,
            tls: question.tls.as_ref().map(tls),
        }),
        (Err(fault), rcpt_to) => Understood::Malformed(Malformed {
            reason: Reason::MailFromInvalid,
            given: question.mail_from,
            fault: fault.to_string(),
            chooses: rcpt_to
                .ok()
                .flatten()
                .and_then(|recipient| recipient.domain().cloned()),
        }),
        (Ok(_), Err(fault)) => Understood::Malformed(Malformed {
            reason: Reason::RcptToInvalid,
            given: question.rcpt_to,
            fault: fault.to_string(),
            chooses: None,
        }),
    })
}

/// What a question about a next hop says, or every field of it that is bad.
pub fn outbound<'a>(
    question: &question::Outbound<'a>,
) -> Result<Understood<'a, Sending<'a>>, Vec<BadField>> {
    let mut bad = Vec::new();
    let recipient = required(question.rcpt_to, "rcpt_to", WRITE_RCPT_TO, &mut bad);
    let session = question
        .session
        .as_ref()
        .and_then(|asked| session(asked, &mut bad));
    let Some(recipient) = recipient.filter(|_| bad.is_empty()) else {
        return Err(bad);
    };
    Ok(
        match (
            ReversePath::parse(question.mail_from),
            Recipient::parse_or_domain(recipient),
        ) {
            (Ok(mail_from), Ok(rcpt_to)) => Understood::Facts(Sending {
                facts: OutboundFacts {
                    rcpt_to,
                    rule_connector: given(question.rule_connector),
                    session,
                },
                mail_from,
            }),
            (Err(fault), _) => Understood::Malformed(Malformed {
                reason: Reason::MailFromInvalid,
                given: question.mail_from,
                fault: fault.to_string(),
                chooses: None,
            }),
            (Ok(mail_from), Err(fault)) => Understood::Malformed(Malformed {
                reason: Reason::RcptToInvalid,
                given: recipient,
                fault: fault.to_string(),
                chooses: mail_from.domain().cloned(),
            }),
        },
    )
}

fn session<'a>(asked: &question::Session<'a>, bad: &mut Vec<BadField>) -> Option<SessionFacts<'a>> {
    let host_text = required(asked.host, "session.host", WRITE_HOST, bad);
    let host = host_text.and_then(|text| kept("session.host", host(text), bad));
    if let Some(text) = given(asked.server_ip) {
        kept("session.server_ip", parse_address(text), bad);
    }
    Some(SessionFacts {
        host: host?,
        host_text: host_text?,
        tls: asked.tls.as_ref().map(tls),
    })
}

/// A next hop by address or by name.
fn host(text: &str) -> Result<Host, String> {
    if let Ok(address) = parse_address(text) {
        return Ok(Host::Address(address));
    }
    text.parse().map(Host::Name).map_err(|error| {
        format!("neither an address nor a host name: {error}; leave out port and brackets")
    })
}

fn tls<'a>(session: &question::Tls<'a>) -> TlsFacts<'a> {
    TlsFacts {
        version: TlsVersion::observed(session.version),
        version_text: session.version,
        certificate: session.peer_certificate.as_ref().map(certificate),
        certificate_unavailable: session.certificate_unavailable,
    }
}

/// What a certificate shows: read from its octets where they were sent, else from the fields.
pub(super) fn certificate<'a>(given: &question::Certificate<'a>) -> CertificateFacts<'a> {
    let trust = match pb::CertificateTrust::try_from(given.trust).unwrap_or_default() {
        pb::CertificateTrust::Unspecified => Trust::Unknown,
        pb::CertificateTrust::Trusted => Trust::Trusted,
        pb::CertificateTrust::Untrusted => Trust::Untrusted,
        pb::CertificateTrust::Expired => Trust::Expired,
        pb::CertificateTrust::WrongPurpose => Trust::WrongPurpose,
    };
    if !given.der.is_empty() {
        return certificate::facts(given.der, trust, given.trust_detail);
    }
    let names = match (&*given.dns_names, given.common_name) {
        ([], "") => Vec::new(),
        ([], name) => vec![NameFact::new(name)],
        (names, _) => names.iter().copied().map(NameFact::new).collect(),
    };
    CertificateFacts {
        trust,
        trust_detail: given.trust_detail,
        names,
        names_unavailable: given.alternative_names_unavailable,
        sha256: fingerprint(given.sha256),
        spki_sha256: fingerprint(given.spki_sha256),
        unreadable: false,
    }
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    text.parse().ok()
}

/// The text, unless it is empty.
pub(super) fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn required<'a>(
    text: &'a str,
    field: &str,
    write: &str,
    bad: &mut Vec<BadField>,
) -> Option<&'a str> {
    if text.is_empty() {
        bad.push(BadField {
            field: field.to_owned(),
            description: format!("required: {write}"),
        });
    }
    given(text)
}

/// Unwraps `result`, or records why it failed and carries on.
fn kept<T, E: ToString>(field: &str, result: Result<T, E>, bad: &mut Vec<BadField>) -> Option<T> {
    result
        .map_err(|error| {
            bad.push(BadField {
                field: field.to_owned(),
                description: error.to_string(),
            });
        })
        .ok()
}

const WRITE_CLIENT_IP: &str = "write the address of the sending server, like `192.0.2.1`";
const WRITE_RCPT_TO: &str = "write one envelope recipient, or its domain";
const WRITE_HOST: &str = "write the next hop's name as it was looked up, or its address; \
                          before connecting leave out the whole session";

#[cfg(test)]
mod tests;
