//! What MTAs say, in the spelling of the contract. What they do not say stays unknown.

use std::net::IpAddr;

use crate::mail::TlsVersion;

/// The text that `text` stands for as xtext (RFC 3461, section 4); none where it is no xtext.
pub fn xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            // Why blanks pass: Exim writes names as they are.
            b' '..=b'~' | 0x80.. => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok()
}

/// An upper-case hex digit, as xtext has them.
fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// The SHA-256 that `text` is, as 64 small hex digits; none for anything else: MD5, SHA-1, a text.
pub fn fingerprint(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|sign| *sign != ':').collect();
    let whole = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| digits.to_ascii_lowercase())
}

/// A version of TLS in the usual spelling, `TLSv1.3`; one that is not known stays as it is.
pub fn tls_version(text: &str) -> String {
    match TlsVersion::observed(text) {
        TlsVersion::Unknown => text.to_owned(),
        version => version.to_string(),
    }
}

/// The address that `text` says, an IPv4-mapped one as the IPv4 address; none where it says none.
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let bare = match text.split_at_checked(PREFIX.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(PREFIX) => rest,
        _ => text,
    };
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// `text`, or nothing where it is what MTAs write for what they do not know.
pub fn known(text: &str) -> &str {
    if text.eq_ignore_ascii_case("unknown") {
        ""
    } else {
        text
    }
}

/// `text` as one line of printable ASCII that every MTA passes on: at most 400 octets.
pub fn plain_text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(LONGEST_TEXT));
    for sign in text.chars() {
        if plain.len() >= LONGEST_TEXT {
            break;
        }
        match sign {
            ' '..='~' => plain.push(sign),
            _ if sign.is_whitespace() || sign.is_control() => plain.push(' '),
            _ => plain.push('?'),
        }
    }
    plain.trim().to_owned()
}

/// How SMTP begins an IPv6 address literal.
const PREFIX: &str = "IPv6:";

const LONGEST_TEXT: usize = 400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xtext_is_decoded() {
        for (text, meant) in [
            ("Lab+20Test+20CA", "Lab Test CA"),
            ("mx.contoso.com", "mx.contoso.com"),
            ("a+2Bb", "a+b"),
            ("M+C3+BCnchen", "München"),
            ("Lab Test CA", "Lab Test CA"),
            ("", ""),
        ] {
            assert_eq!(xtext(text).as_deref(), Some(meant));
        }
        for text in ["+", "a+2", "+2b", "+GG", "+FF", "a\tb", "a\u{7f}"] {
            assert_eq!(xtext(text), None, "{text:?}");
        }
    }

    #[test]
    fn fingerprints_are_sha256_or_unknown() {
        let digits = "0123456789abcdef".repeat(4);
        let colons: Vec<_> = digits.as_bytes().chunks(2).collect();
        let colons = colons.join(&b':');
        let colons = String::from_utf8(colons).unwrap().to_uppercase();
        for text in [&digits, &colons, &digits.to_uppercase()] {
            assert_eq!(fingerprint(text).as_ref(), Some(&digits), "{text}");
        }
        let (md5, sha1) = ("ab".repeat(16), "ab".repeat(20));
        let less = "0".repeat(63);
        let other = format!("{less}g");
        for text in ["", &md5, &sha1, &other, &less] {
            assert_eq!(fingerprint(text), None, "{text}");
        }
    }

    #[test]
    fn versions_are_spelled_as_usual() {
        for (text, version) in [
            ("TLS1.3", "TLSv1.3"),
            ("TLSv1.2", "TLSv1.2"),
            ("TLS1_2", "TLSv1.2"),
            ("TLSv9", "TLSv9"),
        ] {
            assert_eq!(tls_version(text), version);
        }
    }

    #[test]
    fn addresses_are_found_in_every_spelling() {
        for (text, address) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("[192.0.2.7]", Some("192.0.2.7")),
            ("IPv6:2001:DB8::1", Some("2001:db8::1")),
            ("[ipv6:2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("unknown", None),
            ("localhost", None),
            ("", None),
            ("[", None),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(super::address(text), address, "{text}");
        }
    }

    #[test]
    fn texts_become_plain() {
        assert_eq!(plain_text(" a\r\nb\tc "), "a  b c");
        assert_eq!(plain_text("nö"), "n?");
        assert_eq!(plain_text(&"x".repeat(1_000)).len(), 400);
        assert_eq!(
            (known("unknown"), known("UNKNOWN"), known("a")),
            ("", "", "a")
        );
    }

    proptest! {
        #[test]
        fn any_text_encoded_is_decoded(text in "\\PC{0,40}") {
            let encoded: String = text
                .bytes()
                .map(|octet| match octet {
                    b'+' | b'=' => format!("+{octet:02X}"),
                    b'!'..=b'~' => char::from(octet).to_string(),
                    _ => format!("+{octet:02X}"),
                })
                .collect();
            prop_assert_eq!(xtext(&encoded), Some(text));
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,500}") {
            xtext(&text);
            fingerprint(&text);
            address(&text);
            let plain = plain_text(&text);
            prop_assert!(plain.len() <= 400 && plain.bytes().all(|it| (b' '..=b'~').contains(&it)));
        }
    }
}
