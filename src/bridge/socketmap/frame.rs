//! Netstrings: what socketmap's questions and answers are framed in.

use std::ops::Range;

/// What the octets so far are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// Not the beginning of a netstring.
    Garbled,
    /// A netstring that has not come whole.
    Partial,
    /// One that is longer than any question.
    TooLarge,
    /// A whole one: where its text is; a comma follows it.
    Whole(Range<usize>),
}

impl Frame {
    /// What `octets` begin with.
    pub fn of(octets: &[u8]) -> Self {
        let Some(colon) = octets.iter().position(|octet| *octet == b':') else {
            let digits = octets.iter().all(u8::is_ascii_digit);
            return if digits && octets.len() <= MOST_DIGITS {
                Self::Partial
            } else {
                Self::Garbled
            };
        };
        let Some(digits) = octets.get(..colon) else {
            return Self::Garbled;
        };
        // Neither a sign nor a leading zero: a length has one spelling.
        let plain = digits.len() <= MOST_DIGITS
            && digits.iter().all(u8::is_ascii_digit)
            && (digits == b"0" || digits.first() != Some(&b'0'));
        let length = std::str::from_utf8(digits).ok().filter(|_| plain);
        let Some(length) = length.and_then(|digits| digits.parse::<usize>().ok()) else {
            return Self::Garbled;
        };
        if length > LONGEST {
            return Self::TooLarge;
        }
        let begin = colon + 1;
        let end = begin + length;
        match octets.get(end) {
            None => Self::Partial,
            Some(b',') => Self::Whole(begin..end),
            Some(_) => Self::Garbled,
        }
    }
}

/// `text` as a netstring.
pub fn framed(text: &str) -> String {
    format!("{}:{text},", text.len())
}

/// How long a question may be: the name of a map, and an address or a host.
const LONGEST: usize = 4096;

/// How many digits any length has that is not too large by far.
const MOST_DIGITS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netstring_is_whole_at_its_comma() {
        let text = b"19:tls contosobank.com,";
        assert_eq!(Frame::of(text), Frame::Whole(3..22));
        for end in 0..text.len() {
            assert_eq!(Frame::of(&text[..end]), Frame::Partial, "{end}");
        }
        // What follows is the next one's.
        assert_eq!(Frame::of(b"1:a,1:b,"), Frame::Whole(2..3));
        assert_eq!(Frame::of(b"0:,"), Frame::Whole(2..2));
        assert_eq!(framed("NOTFOUND "), "9:NOTFOUND ,");
    }

    #[test]
    fn anything_else_is_none() {
        let garbage: [&[u8]; 9] = [
            b"GET / HTTP/1.1",
            b":",
            b"-1:",
            b"+1:a,",
            b"01:a,",
            b"1 :a,",
            b"1:ab",
            b"1234567890",
            b"\x16\x03\x01",
        ];
        for octets in garbage {
            assert_eq!(Frame::of(octets), Frame::Garbled, "{octets:?}");
        }
        assert_eq!(Frame::of(b"4096:"), Frame::Partial);
        assert_eq!(Frame::of(b"4097:"), Frame::TooLarge);
        for digits in [
            &b"1111111111"[..],
            b"1111111111:",
            b"99999999999999999999999:",
        ] {
            assert_eq!(Frame::of(digits), Frame::Garbled);
        }
    }
}
