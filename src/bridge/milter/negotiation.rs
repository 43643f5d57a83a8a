//! What a bridge and an MTA agree on before anything else.

use super::{frame::write, macros::ASKED};

/// What was agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Negotiated {
    version: u32,
    actions: u32,
    protocol: u32,
}

/// Takes the MTA's offer; none where it is no offer, or less than is needed.
pub(super) fn negotiate(data: &[u8], header: bool) -> Option<Negotiated> {
    let (version, data) = number(data)?;
    let (actions, data) = number(data)?;
    let (protocol, _) = number(data)?;
    let needed = if header {
        ADD_HEADERS | CHANGE_HEADERS
    } else {
        0
    };
    if version < OLDEST || actions & needed != needed {
        return None;
    }
    let unseen = if header { 0 } else { NO_HEADERS };
    Some(Negotiated {
        version: version.min(NEWEST),
        actions: needed | actions & CHOOSE_MACROS,
        protocol: protocol & (UNSEEN | unseen | UNANSWERED),
    })
}

impl Negotiated {
    /// Whether the MTA waits for an answer to a command of which no more is to be said.
    pub(super) fn waits(self, command: u8) -> bool {
        let without = match command {
            b'A' | b'D' | b'K' | b'Q' => return false,
            b'B' => 0x8_0000,
            b'C' => 0x1000,
            b'H' => 0x2000,
            b'L' => 0x80,
            b'M' => 0x4000,
            b'N' => 0x4_0000,
            b'T' => 0x1_0000,
            b'U' => 0x2_0000,
            _ => 0,
        };
        self.protocol & without == 0
    }

    /// What the MTA is told: it is asked for the macros where it lets itself be asked.
    pub(super) fn answer(self) -> Vec<u8> {
        let numbers = [self.version, self.actions, self.protocol];
        let mut data = numbers.map(u32::to_be_bytes).concat();
        if self.actions & CHOOSE_MACROS != 0 {
            for (stage, macros) in ASKED {
                data.extend_from_slice(&stage.to_be_bytes());
                data.extend_from_slice(macros.as_bytes());
                data.push(0);
            }
        }
        let mut octets = Vec::new();
        write(&mut octets, b'O', &[&data]);
        octets
    }
}

fn number(data: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = data.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

const OLDEST: u32 = 2;
const NEWEST: u32 = 6;

const ADD_HEADERS: u32 = 0x1;
const CHANGE_HEADERS: u32 = 0x10;
const CHOOSE_MACROS: u32 = 0x100;

/// Not told: bodies, the end of the headers, unknown commands.
///
/// Why DATA is told, and answered: Postfix sends its macros all the same, and the end of the message
/// then waits for their ACK, which is late by 40 ms (Nagle's algorithm and delayed ACKs).
const UNSEEN: u32 = 0x10 | 0x40 | 0x100;
const NO_HEADERS: u32 = 0x20;
/// Told without waiting: headers, connections, greetings, senders.
const UNANSWERED: u32 = 0x80 | 0x1000 | 0x2000 | 0x4000;

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(version: u32, actions: u32, protocol: u32) -> Vec<u8> {
        [version, actions, protocol].map(u32::to_be_bytes).concat()
    }

    #[test]
    fn no_more_is_asked_for_than_is_offered() {
        let newest = negotiate(&offer(6, 0x1ff, 0x1f_ffff), false).unwrap();
        assert_eq!(
            (newest.version, newest.actions, newest.protocol),
            (6, 0x100, 0x71f0)
        );
        let header = negotiate(&offer(7, 0x1ff, 0x1f_ffff), true).unwrap();
        assert_eq!(
            (header.version, header.actions, header.protocol),
            (6, 0x111, 0x71d0)
        );
        let old = negotiate(&offer(2, 0x3f, 0x7f), true).unwrap();
        assert_eq!((old.version, old.actions, old.protocol), (2, 0x11, 0x50));
        assert_eq!(old.answer(), b"\0\0\0\x0dO\0\0\0\x02\0\0\0\x11\0\0\0\x50");
        assert!(old.waits(b'M') && old.waits(b'L') && !header.waits(b'M') && !header.waits(b'L'));
    }

    #[test]
    fn macros_are_asked_for_by_command() {
        let answer = negotiate(&offer(6, 0x1ff, 0x1f_ffff), false)
            .unwrap()
            .answer();
        let asked = answer.get(17..).unwrap();
        assert!(
            asked.starts_with(b"\0\0\0\0j v\0\0\0\0\x01{tls_version} "),
            "{asked:?}"
        );
        assert!(asked.ends_with(b"{cert_fp}\0"));
    }

    #[test]
    fn what_is_no_offer_or_not_enough_is_refused() {
        assert_eq!(negotiate(&offer(1, 0x1ff, 0x1f_ffff), false), None);
        assert_eq!(
            negotiate(&offer(6, 0xef, 0x1f_ffff), true),
            None,
            "headers cannot be changed"
        );
        assert_eq!(negotiate(b"\0\0\0\x06\0\0\x01\xff\0\x1f\xff", false), None);
    }
}
