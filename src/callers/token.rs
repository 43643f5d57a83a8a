//! Bearer tokens: only a hash of them is kept, and nothing tells how much of it is right.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 of a token.
///
/// Why not a slow hash: a token is made by a machine, from 256 random bits, so that nobody finds
/// it by trying, and each call would pay for it.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// That of `token`.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The one that is written as 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let digit = |digit: &u8| char::from(*digit).to_digit(16);
            *octet = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
        }
        Some(Self(octets))
    }
}

impl ConstantTimeEq for TokenHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for TokenHash {}

/// As 64 hex digits.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// The token in the value of an `authorization` header; none where it bears none, or what cannot
/// be one.
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    let token = token.trim_ascii();
    let plain = |octet: &u8| octet.is_ascii_graphic();
    let good = scheme.eq_ignore_ascii_case(BEARER)
        && (SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&token.len())
        && token.iter().all(plain);
    good.then_some(token)
}

/// How many characters a token has at least: what is shorter could be found by trying.
pub const SHORTEST_TOKEN: usize = 20;

const LONGEST_TOKEN: usize = 4096;
const BEARER: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_as_sha256sum_prints_them() {
        let hash = TokenHash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(TokenHash::parse(text), Some(hash));
        assert_eq!(TokenHash::parse(&text.to_uppercase()), Some(hash));
        assert_ne!(TokenHash::parse(&text.replace('b', "c")), Some(hash));
        for bad in ["", "ba78", &format!("{text}0"), &text.replace('b', "g")] {
            assert_eq!(TokenHash::parse(bad), None, "{bad}");
        }
        assert_eq!(TokenHash::parse(&"ü".repeat(32)), None);
        assert_eq!(format!("{hash:?}"), "TokenHash");
    }

    #[test]
    fn tokens_come_behind_their_scheme() {
        let token = "0123456789abcdefghij";
        assert_eq!(
            bearer(format!("Bearer {token}").as_bytes()),
            Some(token.as_bytes())
        );
        assert_eq!(
            bearer(format!("bearer  {token} ").as_bytes()),
            Some(token.as_bytes())
        );
        let others = [
            String::new(),
            token.to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer short".to_owned(),
            format!("Basic {token}"),
            format!("Bearer{token}"),
            format!("Bearer {token} {token}"),
            format!("Bearer {token}ü"),
            format!("Bearer {}", "x".repeat(5000)),
        ];
        for other in others {
            assert_eq!(bearer(other.as_bytes()), None, "{other}");
        }
    }
}
