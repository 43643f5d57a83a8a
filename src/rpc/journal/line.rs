//! The line of a decision: proto3 JSON, as `docs/decision-log.md` describes it.

use std::{net::IpAddr, sync::Arc};

use prost::Message as _;
use serde::Serialize;

use super::{
    super::{pb, record::KEPT_OCTETS},
    Direction, Record, certificates,
    reduce::{self, Addresses, STAR},
};
use crate::{
    mail::{Recipient, ReversePath},
    policy::{self, Reason},
    telemetry::{Rpc, decision_log::State},
};

/// Makes lines of records.
#[derive(Debug)]
pub struct Lines {
    addresses: Addresses,
    state: Arc<State>,
}

impl Lines {
    /// Lines that show of addresses what `addresses` says; certificates that are about to expire
    /// are noted in `state`.
    pub fn new(addresses: Addresses, state: Arc<State>) -> Self {
        Self { addresses, state }
    }

    /// Writes the line of `record`, without a newline; false where there is none.
    pub fn write(&self, record: &Record, to: &mut Vec<u8>) -> bool {
        self.line(record, to).is_some()
    }

    fn line(&self, record: &Record, to: &mut Vec<u8>) -> Option<()> {
        let (caller, question, answer) = record.parts()?;
        let line = Line {
            schema: SCHEMA,
            time: humantime::format_rfc3339_micros(record.at).to_string(),
            rpc: record.rpc.as_str(),
            direction: record.direction.as_str(),
            caller: Some(caller).filter(|caller| !caller.is_empty()),
            peer: record.peer,
            correlation_id: None,
            took_us: u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
            facts: (),
            answer: (),
        };
        match decoded(record, question, answer)? {
            Asked::Inbound(facts, answer) => self.inbound(record, line, facts, answer, to),
            Asked::Outbound(facts, answer) => self.outbound(record, line, facts, answer, to),
        }
    }

    fn inbound(
        &self,
        record: &Record,
        line: Line<'_, (), ()>,
        mut facts: pb::CheckInboundRequest,
        mut answer: pb::CheckInboundResponse,
        to: &mut Vec<u8>,
    ) -> Option<()> {
        self.addresses.sender(&mut facts.mail_from);
        self.addresses.recipient(&mut facts.rcpt_to, false);
        self.malformed(&mut answer.rejections, record.direction);
        reduce::cut(&mut facts.helo);
        reduce_tls(facts.tls.as_mut());
        if let Some(certificate) = certificate(facts.tls.as_ref()) {
            let noted = certificates::Noted {
                certificate,
                direction: record.direction,
                connector: answer.connector.as_ref(),
                revision: answer.revision.as_ref(),
                rejections: &answer.rejections,
            };
            noted.note(self.state.certificates(), record.at);
        }
        let correlation_id = correlation(std::mem::take(&mut facts.correlation_id));
        line.with(correlation_id.as_deref(), &facts, &answer)
            .write(to)
    }

    fn outbound(
        &self,
        record: &Record,
        line: Line<'_, (), ()>,
        mut facts: pb::CheckOutboundRequest,
        mut answer: pb::CheckOutboundResponse,
        to: &mut Vec<u8>,
    ) -> Option<()> {
        self.addresses.sender(&mut facts.mail_from);
        self.addresses.recipient(&mut facts.rcpt_to, true);
        self.malformed(&mut answer.rejections, record.direction);
        let session = facts.session.as_mut();
        reduce_tls(session.and_then(|session| session.tls.as_mut()));
        let session = facts.session.as_ref();
        if let Some(certificate) = certificate(session.and_then(|session| session.tls.as_ref())) {
            let noted = certificates::Noted {
                certificate,
                direction: record.direction,
                connector: answer.connector.as_ref(),
                revision: answer.revision.as_ref(),
                rejections: &answer.rejections,
            };
            noted.note(self.state.certificates(), record.at);
        }
        let correlation_id = correlation(std::mem::take(&mut facts.correlation_id));
        line.with(correlation_id.as_deref(), &facts, &answer)
            .write(to)
    }

    /// Says of a malformed address what would be said of the one that stands in its place.
    fn malformed(&self, rejections: &mut [pb::Rejection], direction: Direction) {
        if self.addresses.shows_malformed() {
            return;
        }
        for rejection in rejections {
            let (reason, fault) = match (rejection.reason(), direction) {
                (pb::Reason::MailFromInvalid, _) => {
                    (Reason::MailFromInvalid, ReversePath::parse(STAR).err())
                }
                (pb::Reason::RcptToInvalid, Direction::Inbound) => {
                    (Reason::RcptToInvalid, Recipient::parse(STAR).err())
                }
                (pb::Reason::RcptToInvalid, Direction::Outbound) => (
                    Reason::RcptToInvalid,
                    Recipient::parse_or_domain(STAR).err(),
                ),
                _ => continue,
            };
            let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
            let decision = policy::malformed_address(reason, STAR, &fault);
            if let Some(said) = decision.rejections.into_iter().next() {
                *rejection = said.into();
            }
        }
    }
}

/// A line; its documentation is that of `docs/decision-log.md`.
#[derive(Clone, Debug, Serialize)]
struct Line<'a, F, A> {
    schema: u32,
    time: String,
    rpc: &'static str,
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    took_us: u64,
    facts: F,
    answer: A,
}

impl<'a> Line<'a, (), ()> {
    fn with<F, A>(self, correlation_id: Option<&'a str>, facts: F, answer: A) -> Line<'a, F, A> {
        Line {
            schema: self.schema,
            time: self.time,
            rpc: self.rpc,
            direction: self.direction,
            caller: self.caller,
            peer: self.peer,
            correlation_id,
            took_us: self.took_us,
            facts,
            answer,
        }
    }
}

impl<F: Serialize, A: Serialize> Line<'_, F, A> {
    fn write(&self, to: &mut Vec<u8>) -> Option<()> {
        serde_json::to_writer(to, self).ok()
    }
}

/// A question and its answer.
enum Asked {
    Inbound(pb::CheckInboundRequest, pb::CheckInboundResponse),
    Outbound(pb::CheckOutboundRequest, pb::CheckOutboundResponse),
}

fn decoded(record: &Record, question: &[u8], answer: &[u8]) -> Option<Asked> {
    use pb::{check_stream_request::Question, check_stream_response::Answer};

    if record.rpc == Rpc::CheckStream {
        let question = pb::CheckStreamRequest::decode(question).ok()?.question?;
        let answer = pb::CheckStreamResponse::decode(answer).ok()?.answer?;
        return match (question, answer) {
            (Question::Inbound(facts), Answer::Inbound(answer)) => {
                Some(Asked::Inbound(facts, answer))
            }
            (Question::Outbound(facts), Answer::Outbound(answer)) => {
                Some(Asked::Outbound(facts, answer))
            }
            _ => None,
        };
    }
    Some(match record.direction {
        Direction::Inbound => Asked::Inbound(
            pb::CheckInboundRequest::decode(question).ok()?,
            pb::CheckInboundResponse::decode(answer).ok()?,
        ),
        Direction::Outbound => Asked::Outbound(
            pb::CheckOutboundRequest::decode(question).ok()?,
            pb::CheckOutboundResponse::decode(answer).ok()?,
        ),
    })
}

fn reduce_tls(tls: Option<&mut pb::TlsSession>) {
    if let Some(tls) = tls {
        reduce::cut(&mut tls.cipher);
        if let Some(certificate) = &mut tls.peer_certificate {
            reduce::certificate(certificate);
        }
    }
}

fn certificate(tls: Option<&pb::TlsSession>) -> Option<&pb::Certificate> {
    tls?.peer_certificate.as_ref()
}

/// The beginning of a correlation id; none where it is empty.
fn correlation(mut id: String) -> Option<String> {
    id.truncate(id.floor_char_boundary(KEPT_OCTETS));
    (!id.is_empty()).then_some(id)
}

/// The version of what lines say.
pub(super) const SCHEMA: u32 = 1;
