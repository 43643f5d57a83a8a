//! Questions as they are asked: the texts of a message, where they lie.
//!
//! A message owns its texts, and a question needs each of them once. What decides therefore takes
//! a question, which borrows them: from a message, or straight from the octets that came. The
//! octets are read here only where there is nothing unusual about them; whatever else prost makes
//! of them, or finds wrong with them, it does.

use prost::{Message as _, encoding::WireType};

use super::pb;

/// What a gateway asks about a sending server; the fields are those of `CheckInboundRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inbound<'a> {
    pub(super) connector_set: &'a str,
    pub(super) client_ip: &'a str,
    pub(super) mail_from: &'a str,
    pub(super) rcpt_to: &'a str,
    pub(super) tls: Option<Tls<'a>>,
    pub(super) correlation_id: &'a str,
}

/// What a gateway asks about a next hop; the fields are those of `CheckOutboundRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbound<'a> {
    pub(super) connector_set: &'a str,
    pub(super) mail_from: &'a str,
    pub(super) rcpt_to: &'a str,
    pub(super) rule_connector: &'a str,
    pub(super) session: Option<Session<'a>>,
    pub(super) correlation_id: &'a str,
}

/// The fields of `OutboundSession`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Session<'a> {
    pub(super) host: &'a str,
    pub(super) server_ip: &'a str,
    pub(super) tls: Option<Tls<'a>>,
}

/// The fields of `TlsSession`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tls<'a> {
    pub(super) version: &'a str,
    pub(super) peer_certificate: Option<Certificate<'a>>,
    pub(super) certificate_unavailable: bool,
}

/// The fields of `Certificate` that decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Certificate<'a> {
    pub(super) trust: i32,
    pub(super) trust_detail: &'a str,
    pub(super) dns_names: Vec<&'a str>,
    pub(super) common_name: &'a str,
    pub(super) alternative_names_unavailable: bool,
    pub(super) sha256: &'a str,
    pub(super) spki_sha256: &'a str,
    pub(super) der: &'a [u8],
}

/// One question of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InStream<'a> {
    pub(super) id: u64,
    pub(super) question: Option<Either<'a>>,
}

/// A question of either kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Either<'a> {
    Inbound(Inbound<'a>),
    Outbound(Outbound<'a>),
}

/// What can be read from the octets of a message.
pub(super) trait Read<'a>: Sized + Default {
    /// Takes the field of this number; none where prost has to judge.
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()>;

    /// The question in `octets`; none where prost has to judge.
    fn read(mut octets: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        while !octets.is_empty() {
            let key = varint(&mut octets)?;
            let value = match key & 7 {
                NUMBER => Value::Number(varint(&mut octets)?),
                TEXT => {
                    let length = usize::try_from(varint(&mut octets)?).ok()?;
                    let (value, rest) = octets.split_at_checked(length)?;
                    octets = rest;
                    Value::Octets(value)
                }
                _ => return None,
            };
            let field = key >> 3;
            if !(1..=MOST_FIELDS).contains(&field) {
                return None;
            }
            read.take(field, value)?;
        }
        Some(read)
    }
}

/// A field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(u64),
    Octets(&'a [u8]),
}

impl<'a> Value<'a> {
    fn octets(self) -> Option<&'a [u8]> {
        match self {
            Self::Number(_) => None,
            Self::Octets(octets) => Some(octets),
        }
    }

    fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.octets()?).ok()
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Octets(_) => None,
        }
    }

    fn flag(self) -> Option<bool> {
        Some(self.number()? != 0)
    }

    /// A message that has not come before: prost would merge the two.
    fn first<T: Read<'a>>(self, place: &mut Option<T>) -> Option<()> {
        if place.is_some() {
            return None;
        }
        *place = Some(T::read(self.octets()?)?);
        Some(())
    }
}

impl<'a> Read<'a> for Inbound<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.connector_set = value.text()?,
            2 => self.client_ip = value.text()?,
            3 => drop(value.text()?),
            4 => self.mail_from = value.text()?,
            5 => self.rcpt_to = value.text()?,
            6 => value.first(&mut self.tls)?,
            7 => self.correlation_id = value.text()?,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Read<'a> for Outbound<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.connector_set = value.text()?,
            2 => self.mail_from = value.text()?,
            3 => self.rcpt_to = value.text()?,
            4 => self.rule_connector = value.text()?,
            5 => value.first(&mut self.session)?,
            6 => self.correlation_id = value.text()?,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Read<'a> for Session<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.host = value.text()?,
            2 => self.server_ip = value.text()?,
            3 => value.first(&mut self.tls)?,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Read<'a> for Tls<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.version = value.text()?,
            2 => drop(value.text()?),
            3 => value.first(&mut self.peer_certificate)?,
            4 => self.certificate_unavailable = value.flag()?,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Read<'a> for Certificate<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.trust = truncated(value.number()?),
            2 => self.trust_detail = value.text()?,
            3 => self.dns_names.push(value.text()?),
            4 => self.common_name = value.text()?,
            5 => self.alternative_names_unavailable = value.flag()?,
            6 => self.sha256 = value.text()?,
            7 => self.spki_sha256 = value.text()?,
            8 | 9 => drop(value.text()?),
            10 => self.der = value.octets()?,
            11 => drop(prost_types::Timestamp::decode(value.octets()?).ok()?),
            _ => {}
        }
        Some(())
    }
}

impl<'a> Read<'a> for InStream<'a> {
    fn take(&mut self, field: u64, value: Value<'a>) -> Option<()> {
        match field {
            1 => self.id = value.number()?,
            2 | 3 if self.question.is_some() => return None,
            2 => self.question = Some(Either::Inbound(Inbound::read(value.octets()?)?)),
            3 => self.question = Some(Either::Outbound(Outbound::read(value.octets()?)?)),
            _ => {}
        }
        Some(())
    }
}

impl<'a> From<&'a pb::CheckInboundRequest> for Inbound<'a> {
    fn from(request: &'a pb::CheckInboundRequest) -> Self {
        Self {
            connector_set: &request.connector_set,
            client_ip: &request.client_ip,
            mail_from: &request.mail_from,
            rcpt_to: &request.rcpt_to,
            tls: request.tls.as_ref().map(Into::into),
            correlation_id: &request.correlation_id,
        }
    }
}

impl<'a> From<&'a pb::CheckOutboundRequest> for Outbound<'a> {
    fn from(request: &'a pb::CheckOutboundRequest) -> Self {
        Self {
            connector_set: &request.connector_set,
            mail_from: &request.mail_from,
            rcpt_to: &request.rcpt_to,
            rule_connector: &request.rule_connector,
            session: request.session.as_ref().map(|session| Session {
                host: &session.host,
                server_ip: &session.server_ip,
                tls: session.tls.as_ref().map(Into::into),
            }),
            correlation_id: &request.correlation_id,
        }
    }
}

impl<'a> From<&'a pb::TlsSession> for Tls<'a> {
    fn from(session: &'a pb::TlsSession) -> Self {
        Self {
            version: &session.version,
            peer_certificate: session.peer_certificate.as_ref().map(Into::into),
            certificate_unavailable: session.certificate_unavailable,
        }
    }
}

impl<'a> From<&'a pb::Certificate> for Certificate<'a> {
    fn from(certificate: &'a pb::Certificate) -> Self {
        Self {
            trust: certificate.trust,
            trust_detail: &certificate.trust_detail,
            dns_names: certificate.dns_names.iter().map(String::as_str).collect(),
            common_name: &certificate.common_name,
            alternative_names_unavailable: certificate.alternative_names_unavailable,
            sha256: &certificate.sha256,
            spki_sha256: &certificate.spki_sha256,
            der: &certificate.der,
        }
    }
}

impl<'a> From<&'a pb::CheckStreamRequest> for InStream<'a> {
    fn from(request: &'a pb::CheckStreamRequest) -> Self {
        use pb::check_stream_request::Question;

        Self {
            id: request.id,
            question: request.question.as_ref().map(|question| match question {
                Question::Inbound(question) => Either::Inbound(question.into()),
                Question::Outbound(question) => Either::Outbound(question.into()),
            }),
        }
    }
}

/// A number of at most ten octets, the lowest seven bits first; nearly always of one.
#[inline]
fn varint(octets: &mut &[u8]) -> Option<u64> {
    match octets.split_first()? {
        (first @ ..0x80, rest) => {
            *octets = rest;
            Some((*first).into())
        }
        _ => long_varint(octets),
    }
}

fn long_varint(octets: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = octets.split_first()?;
        *octets = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if *first < 0x80 {
            // The tenth octet has one bit left.
            return (shift < 63 || *first < 2).then_some(value);
        }
    }
    None
}

/// The number of an enumeration, which on the wire is as long as any.
#[expect(
    clippy::cast_possible_truncation,
    reason = "this is how protobuf reads an enumeration"
)]
fn truncated(number: u64) -> i32 {
    number as i32
}

const NUMBER: u64 = WireType::Varint as u64;
const TEXT: u64 = WireType::LengthDelimited as u64;

/// The largest field number there can be.
const MOST_FIELDS: u64 = (1 << 29) - 1;

#[cfg(test)]
mod tests;
