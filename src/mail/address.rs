//! Envelope addresses, of which only the domain is of interest.
//!
//! The local part is not kept, so nothing made from these types can show it.

use std::{error::Error, fmt};

use super::domain::{Domain, DomainError};

/// The sender of an envelope (`MAIL FROM`, RFC 5321, section 4.1.1.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReversePath {
    /// An address literal in place of the domain: `a@[192.0.2.1]`.
    Literal,
    /// A mailbox of this domain.
    Mailbox(Domain),
    /// No sender: a bounce, or another message that must not bounce itself.
    Null,
    /// `postmaster` without a domain.
    Postmaster,
}

impl ReversePath {
    /// Reads the address as the gateway passed it on, with or without `<` and `>`; empty is null.
    pub fn parse(text: &str) -> Result<Self, MalformedAddress> {
        let address = without_brackets(text);
        if address.is_empty() {
            return Ok(Self::Null);
        }
        Ok(match Recipient::of_address(address)? {
            Recipient::Literal => Self::Literal,
            Recipient::Mailbox(domain) => Self::Mailbox(domain),
            Recipient::Postmaster => Self::Postmaster,
        })
    }

    /// The domain by which connectors are chosen; none but a mailbox has one.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Mailbox(domain) => Some(domain),
            Self::Literal | Self::Null | Self::Postmaster => None,
        }
    }
}

/// One recipient of an envelope (`RCPT TO`, RFC 5321, section 4.1.1.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// An address literal in place of the domain: `a@[192.0.2.1]`.
    Literal,
    /// A mailbox of this domain.
    Mailbox(Domain),
    /// `postmaster` without a domain, which every server accepts.
    Postmaster,
}

impl Recipient {
    /// Reads the address as the gateway passed it on, with or without `<` and `>`.
    pub fn parse(text: &str) -> Result<Self, MalformedAddress> {
        Self::of_address(without_brackets(text))
    }

    /// As [`Recipient::parse`], but a bare domain stands for a mailbox of that domain.
    pub fn parse_or_domain(text: &str) -> Result<Self, MalformedAddress> {
        let address = without_brackets(text);
        if address.is_empty() || address.contains('@') || is_postmaster(address) {
            Self::of_address(address)
        } else {
            Self::of_domain(address)
        }
    }

    /// The domain by which connectors are chosen; none but a mailbox has one.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Mailbox(domain) => Some(domain),
            Self::Literal | Self::Postmaster => None,
        }
    }

    fn of_address(address: &str) -> Result<Self, MalformedAddress> {
        match address.rsplit_once('@') {
            Some((_, domain)) if domain.starts_with('[') && domain.ends_with(']') => {
                Ok(Self::Literal)
            }
            Some((_, domain)) if domain.starts_with('[') => Err(MalformedAddress(Fault::Literal)),
            Some((_, domain)) => Self::of_domain(domain),
            None if is_postmaster(address) => Ok(Self::Postmaster),
            None if address.is_empty() => Err(MalformedAddress(Fault::Empty)),
            None => Err(MalformedAddress(Fault::NoDomain)),
        }
    }

    fn of_domain(domain: &str) -> Result<Self, MalformedAddress> {
        match domain.parse() {
            Ok(domain) => Ok(Self::Mailbox(domain)),
            Err(error) => Err(MalformedAddress(Fault::Domain(error))),
        }
    }
}

/// Why an envelope address cannot be understood, in words that do not show its local part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MalformedAddress(Fault);

impl fmt::Display for MalformedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Domain(error) => write!(f, "its domain is malformed: {error}"),
            Fault::Empty => f.write_str("it is empty"),
            Fault::Literal => f.write_str("its address literal does not end with `]`"),
            Fault::NoDomain => f.write_str("it has no `@`"),
        }
    }
}

impl Error for MalformedAddress {}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Fault {
    Domain(DomainError),
    Empty,
    Literal,
    NoDomain,
}

/// `text` without the one pair of `<` and `>` around the whole.
fn without_brackets(text: &str) -> &str {
    text.strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text)
}

fn is_postmaster(address: &str) -> bool {
    address.eq_ignore_ascii_case("postmaster")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(domain: &str) -> Recipient {
        Recipient::Mailbox(domain.parse().unwrap())
    }

    #[test]
    fn reads_addresses() {
        for (text, expected) in [
            ("a@contoso.com", mailbox("contoso.com")),
            ("<a@contoso.com>", mailbox("contoso.com")),
            ("A.B+c@Contoso.COM.", mailbox("contoso.com")),
            ("\"a@b c\"@contoso.com", mailbox("contoso.com")),
            ("@contoso.com", mailbox("contoso.com")),
            ("@x,@y:a@contoso.com", mailbox("contoso.com")),
            ("<a@contoso.com", mailbox("contoso.com")),
            (" a@contoso.com", mailbox("contoso.com")),
            ("postmaster@contoso.com", mailbox("contoso.com")),
            ("jürgen@bücher.example", mailbox("xn--bcher-kva.example")),
            ("a@192.0.2.1", mailbox("192.0.2.1")),
            ("a@[192.0.2.1]", Recipient::Literal),
            ("<a@[IPv6:2001:db8::1]>", Recipient::Literal),
            ("a@[]", Recipient::Literal),
            ("a@[any thing]", Recipient::Literal),
            ("a@[x]]", Recipient::Literal),
            ("postmaster", Recipient::Postmaster),
            ("<PostMaster>", Recipient::Postmaster),
        ] {
            assert_eq!(Recipient::parse(text), Ok(expected.clone()), "{text}");
            assert_eq!(
                Recipient::parse_or_domain(text),
                Ok(expected.clone()),
                "{text}"
            );
            let path = ReversePath::parse(text).unwrap();
            assert_eq!(path.domain(), expected.domain(), "{text}");
            assert_eq!(path == ReversePath::Literal, expected == Recipient::Literal);
            assert_eq!(
                path == ReversePath::Postmaster,
                expected == Recipient::Postmaster
            );
        }
    }

    #[test]
    fn only_a_sender_is_null() {
        for text in ["", "<>"] {
            assert_eq!(ReversePath::parse(text), Ok(ReversePath::Null));
            assert_eq!(
                Recipient::parse(text).unwrap_err().to_string(),
                "it is empty"
            );
            assert_eq!(
                Recipient::parse_or_domain(text).unwrap_err().to_string(),
                "it is empty"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        let rule = "a label has letters, digits, `-` and `_`";
        for (text, message) in [
            (
                "a@",
                "its domain is malformed: a domain cannot be empty".to_owned(),
            ),
            (
                "<a@>",
                "its domain is malformed: a domain cannot be empty".to_owned(),
            ),
            (
                "a@b..c",
                "its domain is malformed: label 2 is empty: write one dot between labels, \
                 none in front"
                    .to_owned(),
            ),
            (
                "a@b.c ",
                format!("its domain is malformed: label `c ` holds ` `: {rule}"),
            ),
            (
                "a@b.c>",
                format!("its domain is malformed: label `c>` holds `>`: {rule}"),
            ),
            (
                "<<a@b.c>>",
                format!("its domain is malformed: label `c>` holds `>`: {rule}"),
            ),
            (
                "a@[x@y]",
                format!("its domain is malformed: label `y]` holds `]`: {rule}"),
            ),
            (
                "a@*.c",
                format!("its domain is malformed: label `*` holds `*`: {rule}"),
            ),
            (
                "a@[192.0.2.1",
                "its address literal does not end with `]`".to_owned(),
            ),
            (
                "a@[",
                "its address literal does not end with `]`".to_owned(),
            ),
            (
                "a@[192.0.2.1].",
                "its address literal does not end with `]`".to_owned(),
            ),
        ] {
            assert_eq!(
                ReversePath::parse(text).unwrap_err().to_string(),
                message,
                "{text}"
            );
            assert_eq!(
                Recipient::parse(text).unwrap_err().to_string(),
                message,
                "{text}"
            );
            assert_eq!(
                Recipient::parse_or_domain(text).unwrap_err().to_string(),
                message,
                "{text}"
            );
        }
        for text in [
            "contoso",
            "contoso.com",
            "[192.0.2.1]",
            "<",
            ">",
            "<<>>",
            " ",
            " postmaster",
            "<postmaster",
        ] {
            assert_eq!(
                ReversePath::parse(text).unwrap_err().to_string(),
                "it has no `@`",
                "{text}"
            );
            assert_eq!(
                Recipient::parse(text).unwrap_err().to_string(),
                "it has no `@`",
                "{text}"
            );
        }
    }

    #[test]
    fn a_bare_domain_may_stand_for_a_recipient() {
        for text in ["Contoso.com.", "<contoso.com>"] {
            assert_eq!(Recipient::parse_or_domain(text), Ok(mailbox("contoso.com")));
        }
        assert_eq!(
            Recipient::parse_or_domain("contoso"),
            Ok(mailbox("contoso"))
        );
        for text in ["[192.0.2.1]", "<", "<<>>", " ", " postmaster", "a b", "*"] {
            assert!(Recipient::parse_or_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_no_local_part() {
        for text in [
            "secret@contoso.com",
            "secret@[192.0.2.1]",
            "secret@",
            "secret",
            "secret@a b",
        ] {
            let shown = format!(
                "{:?} {:?}",
                ReversePath::parse(text),
                Recipient::parse(text)
            );
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
