//! The certificates that partners and next hops show.

use std::{fmt::Write as _, fs, path::PathBuf};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::transport::authority::{Authority, Pair};

/// An authority that is trusted, and one that is not.
pub(crate) struct Pki {
    folder: TempDir,
    trusted: Authority,
    stranger: Authority,
}

/// What is right or wrong with a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// A dNSName and no common name.
    AlternativeOnly,
    Expired,
    /// Everything is right.
    Good,
    /// It vouches for itself.
    SelfSigned,
    /// For servers, not for clients.
    ServerAuthOnly,
    /// By an authority that nobody trusts.
    Untrusted,
    /// For `elsewhere.test`.
    WrongName,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let trusted = Authority::new("Test authority");
        fs::write(folder.path().join("ca.crt"), trusted.pem()).unwrap();
        Self {
            folder,
            trusted,
            stranger: Authority::new("Strange authority"),
        }
    }

    /// The file of the authority that is trusted.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// That of a partner, `mail.partner.test`.
    pub(crate) fn client(&self, shown: Shown) -> Pair {
        self.of("mail.partner.test", shown)
    }

    /// That of a next hop, `mx.gateway.test`.
    pub(crate) fn server(&self, shown: Shown) -> Pair {
        self.of("mx.gateway.test", shown)
    }

    /// A good one with these names; the first is its common name, too.
    pub(crate) fn named(&self, names: &[&str]) -> Pair {
        self.trusted.issue(names, |params| {
            common_name(params, names[0]);
            params.extended_key_usages = both_sides();
        })
    }

    /// That of `name`.
    pub(crate) fn of(&self, name: &str, shown: Shown) -> Pair {
        let name = match shown {
            Shown::WrongName => "elsewhere.test",
            _ => name,
        };
        let change = |params: &mut CertificateParams| {
            common_name(params, name);
            params.extended_key_usages = both_sides();
            match shown {
                Shown::AlternativeOnly => params.distinguished_name = DistinguishedName::new(),
                Shown::Expired => {
                    params.not_before = date_time_ymd(2001, 1, 1);
                    params.not_after = date_time_ymd(2002, 1, 1);
                }
                Shown::ServerAuthOnly => {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }
                Shown::Good | Shown::SelfSigned | Shown::Untrusted | Shown::WrongName => {}
            }
        };
        match shown {
            Shown::SelfSigned => {
                let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
                change(&mut params);
                let key = KeyPair::generate().unwrap();
                let leaf = params.self_signed(&key).unwrap();
                Pair {
                    certificate: leaf.pem(),
                    key: key.serialize_pem(),
                    der: leaf.der().to_vec(),
                }
            }
            Shown::Untrusted => self.stranger.issue(&[name], change),
            _ => self.trusted.issue(&[name], change),
        }
    }
}

/// The fingerprint of a certificate: 64 hex digits.
pub(crate) fn sha256(pair: &Pair) -> String {
    Sha256::digest(&pair.der)
        .iter()
        .fold(String::new(), |mut hex, octet| {
            write!(hex, "{octet:02x}").unwrap();
            hex
        })
}

fn common_name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
}

fn both_sides() -> Vec<ExtendedKeyUsagePurpose> {
    vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ]
}
