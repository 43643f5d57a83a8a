//! Decisions as octets: what `reply` says as messages, written without making them first.
//!
//! The names and texts of a decision belong to the connector set; prost's messages own theirs, so
//! that each answer would copy a handful of strings only to copy them once more. The tests hold
//! both ways equal, octet by octet (ascending field numbers, defaults left out).

use hyper::body::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::pb;
use crate::policy::{
    Chosen, Decision,
    decision::{Delivery, Matched, Rejection, Reply, Report},
};

/// A message that can be written.
pub(super) trait Message {
    /// Writes the fields in the order of their numbers.
    fn write(&self, to: &mut impl Octets);

    /// How many octets it takes.
    fn len(&self) -> usize {
        let mut length = Length(0);
        self.write(&mut length);
        length.0
    }

    /// The message behind the five octets that gRPC puts before it: not compressed, its length.
    fn framed(&self) -> Bytes {
        let length = self.len();
        let mut octets = Vec::with_capacity(PREFIX + length);
        octets.push(0);
        octets.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.write(&mut octets);
        octets.into()
    }

    /// The message alone.
    fn octets(&self) -> Bytes {
        let mut octets = Vec::with_capacity(self.len());
        self.write(&mut octets);
        octets.into()
    }
}

/// Where octets are written to, or counted.
pub(super) trait Octets: Sized {
    fn put(&mut self, octets: &[u8]);

    fn varint(&mut self, value: u64);

    /// A number, a flag or the number of an enumeration.
    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field << 3));
            self.varint(value);
        }
    }

    fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.entry(field, value);
        }
    }

    /// One of several texts, which is written where it is empty, too.
    fn entry(&mut self, field: u32, value: &str) {
        self.varint(u64::from(field << 3 | LENGTH_DELIMITED));
        self.varint(value.len() as u64);
        self.put(value.as_bytes());
    }

    fn message(&mut self, field: u32, message: &impl Message) {
        self.varint(u64::from(field << 3 | LENGTH_DELIMITED));
        self.varint(message.len() as u64);
        message.write(self);
    }
}

struct Length(usize);

impl Octets for Length {
    fn put(&mut self, octets: &[u8]) {
        self.0 += octets.len();
    }

    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }

    fn message(&mut self, field: u32, message: &impl Message) {
        let length = message.len();
        self.varint(u64::from(field << 3 | LENGTH_DELIMITED));
        self.varint(length as u64);
        self.0 += length;
    }
}

impl Octets for Vec<u8> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }

    fn varint(&mut self, value: u64) {
        encode_varint(value, self);
    }
}

/// The answer to a question about a sending server.
pub(super) struct Inbound<'a>(pub(super) &'a Decision<'a>, pub(super) Option<Chosen<'a>>);

impl Message for Inbound<'_> {
    fn write(&self, to: &mut impl Octets) {
        let Self(decision, chosen) = self;
        to.number(1, pb::Verdict::from(decision.verdict) as u64);
        if let Some(connector) = &decision.connector {
            to.message(2, connector);
        }
        if let Some(connector) = &decision.also_matched {
            to.message(3, connector);
        }
        write_judgement(decision, *chosen, to);
    }
}

/// The answer to a question about a next hop.
pub(super) struct Outbound<'a>(pub(super) &'a Decision<'a>, pub(super) Option<Chosen<'a>>);

impl Message for Outbound<'_> {
    fn write(&self, to: &mut impl Octets) {
        let Self(decision, chosen) = self;
        to.number(1, pb::Verdict::from(decision.verdict) as u64);
        if let Some(connector) = &decision.connector {
            to.message(2, connector);
        }
        write_judgement(decision, *chosen, to);
        if let Some(delivery) = &decision.delivery {
            to.message(8, delivery);
        }
    }
}

/// The fields that both answers have under the same numbers.
fn write_judgement(decision: &Decision<'_>, chosen: Option<Chosen<'_>>, to: &mut impl Octets) {
    for rejection in &decision.rejections {
        to.message(4, rejection);
    }
    if let Some(reply) = &decision.reply {
        to.message(5, reply);
    }
    if let Some(report) = &decision.if_enforced {
        to.message(6, &**report);
    }
    if let Some(chosen) = &chosen {
        to.message(7, chosen);
    }
}

impl Message for Matched<'_> {
    fn write(&self, to: &mut impl Octets) {
        to.text(1, self.name);
        to.number(2, pb::MatchedBy::from(self.by) as u64);
        to.text(3, self.value);
    }
}

impl Message for Rejection<'_> {
    fn write(&self, to: &mut impl Octets) {
        to.number(1, pb::Reason::from(self.reason) as u64);
        to.text(2, self.connector.unwrap_or_default());
        to.text(3, &self.message);
        for expected in &self.expected {
            to.entry(4, expected);
        }
        for observed in &self.observed {
            to.entry(5, observed);
        }
    }
}

impl Message for Reply<'_> {
    fn write(&self, to: &mut impl Octets) {
        to.number(1, self.code.into());
        to.text(2, self.enhanced);
        to.text(3, &self.text);
    }
}

impl Message for Report<'_> {
    fn write(&self, to: &mut impl Octets) {
        to.number(1, pb::Verdict::from(self.verdict) as u64);
        if let Some(connector) = &self.connector {
            to.message(2, connector);
        }
        for rejection in &self.rejections {
            to.message(3, rejection);
        }
    }
}

impl Message for Chosen<'_> {
    fn write(&self, to: &mut impl Octets) {
        to.text(1, self.entry.set.name());
        to.text(2, self.entry.set.digest());
        to.number(3, pb::SelectedBy::from(self.by) as u64);
        to.number(4, self.entry.stale.into());
    }
}

/// How to deliver is written by prost: smart hosts and names are given in their canonical spelling,
/// which is made for the answer.
impl Message for Delivery<'_> {
    fn write(&self, to: &mut impl Octets) {
        let octets = prost::Message::encode_to_vec(&pb::Delivery::from(self));
        to.put(&octets);
    }
}

/// An answer in a stream: the id of its question, and the answer under its field number, which is
/// [`INBOUND`] or [`OUTBOUND`].
pub(super) struct Numbered<M>(pub(super) u64, pub(super) u32, pub(super) M);

impl<M: Message> Message for Numbered<M> {
    fn write(&self, to: &mut impl Octets) {
        let Self(id, field, answer) = self;
        to.number(1, *id);
        to.message(*field, answer);
    }
}

/// The fields of `CheckStreamResponse` that hold an answer.
pub(super) const INBOUND: u32 = 2;
pub(super) const OUTBOUND: u32 = 3;

const LENGTH_DELIMITED: u32 = 2;

/// How many octets gRPC puts before a message.
pub(super) const PREFIX: usize = 5;

#[cfg(test)]
mod tests;
