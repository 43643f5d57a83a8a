//! What an MTA says frame by frame, and what it is told: the protocol without its connection.

use super::{
    facts,
    frame::{Frame, write},
    macros::Macros,
    negotiation::{self, Negotiated},
};
use crate::{
    bridge::answer::{Outcome, Reply},
    rpc::pb,
    telemetry::bridge::Closed,
};

/// One connection of an MTA: one SMTP session after another, with any number of messages.
#[derive(Debug)]
pub struct Session {
    connector_set: String,
    header: Option<Box<str>>,
    negotiated: Option<Negotiated>,
    macros: Macros,
    client: Option<Client>,
    message: Option<Message>,
}

/// What is to be done about a frame.
#[derive(Debug)]
pub enum Step {
    /// Ask the service; then `Session::decided` says what to tell the MTA.
    Ask(Box<pb::CheckInboundRequest>),
    /// The connection ends.
    End(Closed),
    /// Tell the MTA this.
    Say(Vec<u8>),
    /// The MTA waits for nothing.
    Silent,
}

/// Who is at the other end of the SMTP session.
#[derive(Debug, Default)]
struct Client {
    /// Empty where the MTA does not know: the service then says so.
    address: String,
    helo: String,
}

#[derive(Debug, Default)]
struct Message {
    mail_from: String,
    /// Of the recipients that were let pass, each once.
    connectors: Vec<String>,
    /// How many headers came that have the name of ours.
    forged: u32,
}

impl Session {
    /// A connection that begins; `header` is the name of the header that shows the connectors.
    pub fn new(connector_set: Option<&str>, header: Option<&str>) -> Self {
        Self {
            connector_set: connector_set.unwrap_or_default().to_owned(),
            header: header.map(Into::into),
            negotiated: None,
            macros: Macros::default(),
            client: None,
            message: None,
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Takes what the MTA says.
    pub fn hear(&mut self, frame: Frame<'_>) -> Step {
        let Frame { letter, data } = frame;
        if letter == b'O' {
            return self.negotiate(data);
        }
        let Some(negotiated) = self.negotiated else {
            // An MTA may leave before it has said what it can do.
            let closed = if letter == b'Q' {
                Closed::Peer
            } else {
                Closed::Garbled
            };
            return Step::End(closed);
        };
        self.macros.begin(letter);
        match letter {
            b'A' => self.end_message(),
            b'C' => match connect(data) {
                Some(client) => {
                    self.end_message();
                    self.client = Some(client);
                }
                None => return Step::End(Closed::Garbled),
            },
            b'D' => self.macros.take(data),
            b'E' => return self.end_of_message(),
            b'H' => match (&mut self.client, first(data)) {
                (Some(client), Some(name)) => client.helo = name,
                _ => return Step::End(Closed::Garbled),
            },
            b'K' => {
                self.end_message();
                self.macros = Macros::default();
                self.client = None;
            }
            b'L' => match (&mut self.message, first(data), &self.header) {
                (Some(message), Some(name), Some(header)) => {
                    if name.trim_end().eq_ignore_ascii_case(header) {
                        message.forged = message.forged.saturating_add(1);
                    }
                }
                (Some(_), Some(_), None) => {}
                _ => return Step::End(Closed::Garbled),
            },
            b'M' => match (&self.client, first(data)) {
                (Some(_), Some(mail_from)) => {
                    self.message = Some(Message {
                        mail_from,
                        ..Message::default()
                    });
                }
                _ => return Step::End(Closed::Garbled),
            },
            b'Q' => return Step::End(Closed::Peer),
            b'R' => return self.recipient(data),
            b'B' | b'N' | b'T' | b'U' => {}
            _ => return Step::End(Closed::Garbled),
        }
        if negotiated.waits(letter) {
            Step::Say(verdict(b'c'))
        } else {
            Step::Silent
        }
    }

    /// What to tell the MTA about the recipient that was asked about.
    pub fn decided(&mut self, outcome: Outcome) -> Vec<u8> {
        match outcome {
            Outcome::Pass { connector } => {
                if let (Some(message), Some(connector)) = (&mut self.message, connector)
                    && !message.connectors.contains(&connector)
                {
                    message.connectors.push(connector);
                }
                verdict(b'c')
            }
            Outcome::Defer(reply) | Outcome::Refuse(reply) => refusal(&reply),
        }
    }

    fn negotiate(&mut self, data: &[u8]) -> Step {
        let Some(negotiated) = negotiation::negotiate(data, self.header.is_some()) else {
            return Step::End(Closed::Garbled);
        };
        self.negotiated = Some(negotiated);
        self.macros = Macros::default();
        (self.client, self.message) = (None, None);
        Step::Say(negotiated.answer())
    }

    fn recipient(&mut self, data: &[u8]) -> Step {
        let (Some(client), Some(message), Some(rcpt_to)) =
            (&self.client, &self.message, first(data))
        else {
            return Step::End(Closed::Garbled);
        };
        Step::Ask(Box::new(pb::CheckInboundRequest {
            connector_set: self.connector_set.clone(),
            client_ip: client.address.clone(),
            helo: client.helo.clone(),
            mail_from: message.mail_from.clone(),
            rcpt_to,
            tls: facts::tls(&self.macros),
            correlation_id: self.macros.get("i").unwrap_or_default().to_owned(),
        }))
    }

    /// Forged headers go, the last first, so that the places of the others stay; then ours come.
    fn end_of_message(&mut self) -> Step {
        let Some(message) = self.message.take() else {
            return Step::End(Closed::Garbled);
        };
        self.macros.end_message();
        let mut octets = Vec::new();
        if let Some(header) = &self.header {
            for place in (1..=message.forged).rev() {
                write(
                    &mut octets,
                    b'm',
                    &[&place.to_be_bytes(), header.as_bytes(), b"\0\0"],
                );
            }
            // Why the last first: each goes on top.
            for connector in message.connectors.iter().rev() {
                let text = crate::bridge::facts::plain_text(connector);
                let parts: [&[u8]; 5] = [
                    &0_u32.to_be_bytes(),
                    header.as_bytes(),
                    b"\0",
                    text.as_bytes(),
                    b"\0",
                ];
                write(&mut octets, b'i', &parts);
            }
        }
        write(&mut octets, b'c', &[]);
        Step::Say(octets)
    }

    fn end_message(&mut self) {
        self.message = None;
        self.macros.end_message();
    }
}

/// Who connected: a name, then the family and, where that is known, port and address.
fn connect(data: &[u8]) -> Option<Client> {
    let end = data.iter().position(|octet| *octet == 0)?;
    let (family, rest) = data.get(end + 1..)?.split_first()?;
    let address = match family {
        b'4' | b'6' => {
            let text = first(rest.get(2..)?)?;
            crate::bridge::facts::address(&text)?.to_string()
        }
        b'L' | b'U' => String::new(),
        _ => return None,
    };
    Some(Client {
        address,
        helo: String::new(),
    })
}

/// The first of several texts, each of which ends with a NUL.
fn first(data: &[u8]) -> Option<String> {
    let end = data.iter().position(|octet| *octet == 0)?;
    Some(String::from_utf8_lossy(data.get(..end)?).into_owned())
}

fn verdict(letter: u8) -> Vec<u8> {
    let mut octets = Vec::new();
    write(&mut octets, letter, &[]);
    octets
}

/// Why `%%`: Sendmail prints the text as a format; Postfix takes one of the two away.
fn refusal(reply: &Reply) -> Vec<u8> {
    let mut octets = Vec::new();
    let text = reply.to_string().replace('%', "%%");
    write(&mut octets, b'y', &[text.as_bytes(), b"\0"]);
    octets
}

#[cfg(test)]
mod tests;
