//! What a connector demands of a session, as Postfix can enforce it.
//!
//! Never less than the connector says; more where Postfix knows no level that is just that.

use std::fmt;

use crate::{
    mail::TlsVersion,
    rpc::pb::{TlsLevel, TlsRequirement},
};

/// What a session must meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Demand {
    certificate: Certificate,
    min_version: Option<TlsVersion>,
}

/// What the server's certificate must be.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Certificate {
    Any,
    /// One of these, by fingerprint.
    Fingerprints(Vec<String>),
    /// A trusted one with one of these names, as Postfix matches them.
    Names(Vec<String>),
    /// A trusted one for the host that is connected to.
    Trusted,
}

/// A demand that Postfix cannot be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unknown;

impl Demand {
    /// That of an answer; none where TLS is opportunistic.
    pub(super) fn of(tls: &TlsRequirement) -> Result<Option<Self>, Unknown> {
        let fingerprints = || tls.fingerprints.iter().map(|hex| colons(hex)).collect();
        let certificate = match TlsLevel::try_from(tls.level).map_err(|_| Unknown)? {
            TlsLevel::Unspecified => return Err(Unknown),
            TlsLevel::Opportunistic => return Ok(None),
            TlsLevel::Encrypt if tls.fingerprints.is_empty() => Certificate::Any,
            TlsLevel::Encrypt => Certificate::Fingerprints(fingerprints()),
            // Why by the host's name: Postfix has no level that asks for trust alone.
            TlsLevel::Trusted => Certificate::Trusted,
            // Why not both: Postfix cannot be told that either would do, and names outlive keys.
            TlsLevel::Domain if tls.names.is_empty() => {
                if tls.fingerprints.is_empty() {
                    return Err(Unknown);
                }
                Certificate::Fingerprints(fingerprints())
            }
            TlsLevel::Domain => {
                let names = tls.names.iter().flat_map(|name| patterns(name));
                Certificate::Names(names.collect())
            }
        };
        let min_version = match tls.min_version.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Unknown)?),
        };
        Ok(Some(Self {
            certificate,
            min_version,
        }))
    }

    /// What meets both; none where nothing that Postfix could be told does.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        use Certificate::{Any, Fingerprints, Names, Trusted};
        let certificate = match (self.certificate, other.certificate) {
            (Any, certificate) | (certificate, Any) => certificate,
            (Trusted, Trusted) => Trusted,
            (Fingerprints(one), Fingerprints(other)) => Fingerprints(common(one, &other)?),
            (Names(one), Names(other)) => Names(common(one, &other)?),
            // A name of the host, and one of these: no level is both.
            (Trusted | Names(_) | Fingerprints(_), _) => return None,
        };
        Some(Self {
            certificate,
            min_version: self.min_version.max(other.min_version),
        })
    }
}

impl fmt::Display for Demand {
    /// As a value of `smtp_tls_policy_maps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Certificate::Any => f.write_str("encrypt")?,
            Certificate::Fingerprints(list) => write!(f, "fingerprint match={}", list.join("|"))?,
            Certificate::Names(list) => write!(f, "secure match={}", list.join(":"))?,
            Certificate::Trusted => f.write_str("verify")?,
        }
        // What is excluded, since Postfix before 3.6 does not read `>=TLSv1.2`. Below TLS 1.1
        // nothing: Postfix speaks no SSL when it must be encrypted.
        let excluded = match self.min_version {
            Some(TlsVersion::Tls1_1) => "!SSLv2:!SSLv3:!TLSv1",
            Some(TlsVersion::Tls1_2) => "!SSLv2:!SSLv3:!TLSv1:!TLSv1.1",
            Some(TlsVersion::Tls1_3) => "!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2",
            None | Some(TlsVersion::Unknown | TlsVersion::Ssl3 | TlsVersion::Tls1_0) => {
                return Ok(());
            }
        };
        write!(f, " protocols={excluded}")
    }
}

fn common(one: Vec<String>, other: &[String]) -> Option<Vec<String>> {
    let common: Vec<_> = one.into_iter().filter(|it| other.contains(it)).collect();
    (!common.is_empty()).then_some(common)
}

/// The names that Postfix is to match for a configured one: `*.x` is `x` and all below it.
fn patterns(name: &str) -> Vec<String> {
    match name.strip_prefix("*.") {
        Some(base) => vec![base.to_owned(), format!(".{base}")],
        None => vec![name.to_owned()],
    }
}

/// A fingerprint as Postfix writes it.
fn colons(hex: &str) -> String {
    let mut text = String::new();
    for (at, digit) in hex.chars().enumerate() {
        if at > 0 && at % 2 == 0 {
            text.push(':');
        }
        text.push(digit.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(level: TlsLevel, names: &[&str], pins: &[&str], min_version: &str) -> TlsRequirement {
        TlsRequirement {
            level: level.into(),
            names: names.iter().map(|&name| name.into()).collect(),
            min_version: min_version.into(),
            fingerprints: pins.iter().map(|&pin| pin.into()).collect(),
        }
    }

    fn told(level: TlsLevel, names: &[&str], pins: &[&str], min_version: &str) -> String {
        match Demand::of(&demand(level, names, pins, min_version)) {
            Ok(Some(demand)) => demand.to_string(),
            Ok(None) => "none".to_owned(),
            Err(Unknown) => "unknown".to_owned(),
        }
    }

    #[test]
    fn each_level_is_one_of_postfix() {
        use TlsLevel::{Domain, Encrypt, Opportunistic, Trusted, Unspecified};
        assert_eq!(told(Opportunistic, &[], &[], ""), "none");
        assert_eq!(told(Encrypt, &[], &[], ""), "encrypt");
        assert_eq!(
            told(Encrypt, &[], &["00ff", "7dd5"], ""),
            "fingerprint match=00:FF|7D:D5"
        );
        assert_eq!(told(Trusted, &[], &[], ""), "verify");
        assert_eq!(
            told(Domain, &["mx.a.test", "*.b.test"], &[], ""),
            "secure match=mx.a.test:b.test:.b.test"
        );
        assert_eq!(told(Domain, &[], &["00ff"], ""), "fingerprint match=00:FF");
        assert_eq!(
            told(Domain, &["a.test"], &["00ff"], ""),
            "secure match=a.test"
        );
        assert_eq!(
            told(Encrypt, &[], &[], "TLSv1.2"),
            "encrypt protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1"
        );
        assert_eq!(told(Encrypt, &[], &[], "TLSv1"), "encrypt");
        assert_eq!(told(Unspecified, &[], &[], ""), "unknown");
        assert_eq!(told(Domain, &[], &[], ""), "unknown");
        assert_eq!(told(Encrypt, &[], &[], "TLSv9"), "unknown");
        let later = TlsRequirement {
            level: 9,
            ..TlsRequirement::default()
        };
        assert_eq!(Demand::of(&later), Err(Unknown));
    }

    #[test]
    fn what_meets_both_is_told_or_nothing() {
        use TlsLevel::{Domain, Encrypt, Trusted};
        let both = |one: &TlsRequirement, other: &TlsRequirement| {
            let of = |tls| Demand::of(tls).unwrap().unwrap();
            let (left, right) = (of(one).and(of(other)), of(other).and(of(one)));
            assert_eq!(
                left.as_ref().map(ToString::to_string),
                right.map(|it| it.to_string())
            );
            left.map_or_else(|| "nothing".to_owned(), |it| it.to_string())
        };
        let encrypt = demand(Encrypt, &[], &[], "TLSv1.3");
        let trusted = demand(Trusted, &[], &[], "TLSv1.2");
        let names = demand(Domain, &["a.test", "b.test"], &[], "");
        let pins = demand(Encrypt, &[], &["00ff"], "");
        let later = " protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2";
        assert_eq!(both(&encrypt, &trusted), format!("verify{later}"));
        assert_eq!(
            both(&encrypt, &names),
            format!("secure match=a.test:b.test{later}")
        );
        assert_eq!(
            both(&names, &demand(Domain, &["b.test", "c.test"], &[], "")),
            "secure match=b.test"
        );
        assert_eq!(
            both(&names, &demand(Domain, &["c.test"], &[], "")),
            "nothing"
        );
        assert_eq!(both(&pins, &pins), "fingerprint match=00:FF");
        assert_eq!(both(&pins, &names), "nothing");
        assert_eq!(both(&pins, &trusted), "nothing");
        assert_eq!(both(&names, &trusted), "nothing");
    }
}
