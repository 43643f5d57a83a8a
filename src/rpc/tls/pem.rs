//! The files of certificates and keys, in PEM; and what is said where they hold something else.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{PemObject as _, SectionKind},
};

/// A file that was read.
#[derive(Debug)]
pub struct Pem<'a> {
    /// Its path.
    pub path: &'a Path,
    /// What is in it, or why it cannot be read.
    pub octets: &'a io::Result<Vec<u8>>,
}

/// What is wrong with a file, or with what is in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}: {help}")]
pub struct Unusable {
    /// The file that has to be mended.
    pub place: String,
    /// A stable word for it.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) keys: Vec<PrivateKeyDer<'static>>,
}

impl Pem<'_> {
    /// The certificates and keys in it; what else there is does not matter.
    pub(super) fn sections(&self) -> Result<Sections, Unusable> {
        let octets = self
            .octets
            .as_ref()
            .map_err(|error| self.unreadable(error))?;
        let path = self.path.display();
        if is_der(octets) {
            let help = format!(
                "write it as PEM: `openssl x509 -inform der -in {path} -out {path}.pem`, or \
                 `openssl pkey` for a key"
            );
            return Err(self.unusable("not-pem", "is in DER, not in PEM", help));
        }
        let text = String::from_utf8_lossy(octets);
        if text.contains(ENCRYPTED) || text.contains(ENCRYPTED_OF_OLD) {
            let help = format!(
                "write it without: `openssl pkey -in {path} -out {path}.plain`, and let nobody but \
                 the user that Postern runs as read it"
            );
            return Err(self.unusable("key-encrypted", "is protected by a password", help));
        }
        let mut sections = Sections::default();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(octets) {
            let (kind, der) = section.map_err(|_| {
                let help = "write it anew: each part is base64 between a line `-----BEGIN …-----` and \
                            its `-----END …-----`";
                self.unusable("not-pem", "is cut off, or no good PEM", help)
            })?;
            match kind {
                SectionKind::Certificate => sections.certificates.push(der.into()),
                SectionKind::PrivateKey => sections.keys.push(PrivateKeyDer::Pkcs8(der.into())),
                SectionKind::RsaPrivateKey => sections.keys.push(PrivateKeyDer::Pkcs1(der.into())),
                SectionKind::EcPrivateKey => sections.keys.push(PrivateKeyDer::Sec1(der.into())),
                _ => {}
            }
        }
        Ok(sections)
    }

    /// The certificates in it, of which there must be some.
    pub(in crate::rpc) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Unusable> {
        let certificates = self.sections()?.certificates;
        if certificates.is_empty() {
            let help = "put certificates there, in PEM";
            return Err(self.unusable("certificate-missing", "has no certificate", help));
        }
        Ok(certificates)
    }

    /// The first private key in it.
    pub(in crate::rpc) fn private_key(&self) -> Result<PrivateKeyDer<'static>, Unusable> {
        self.sections()?.keys.into_iter().next().ok_or_else(|| {
            let help = "put the certificate's private key there, in PEM";
            self.unusable("key-missing", "has no private key", help)
        })
    }

    /// That something is wrong with it.
    pub(super) fn unusable(
        &self,
        code: &'static str,
        what: &str,
        help: impl Into<String>,
    ) -> Unusable {
        let place = self.path.display().to_string();
        Unusable {
            message: format!("`{place}` {what}"),
            place,
            code,
            help: help.into(),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Unusable {
        match error.kind() {
            ErrorKind::NotFound => {
                let help = "put it there, or name another file";
                self.unusable("file-missing", "is not there", help)
            }
            ErrorKind::PermissionDenied => {
                let help =
                    "let the user that Postern runs as read it, and the directories above it";
                self.unusable("file-unreadable", "may not be read", help)
            }
            _ => {
                let help = "put a file in PEM in its place";
                let message = format!("cannot be read: {error}");
                self.unusable("file-unreadable", &message, help)
            }
        }
    }
}

/// Whether it begins as a sequence in DER does, with octets that are in no text.
fn is_der(octets: &[u8]) -> bool {
    let no_text = |octet: &u8| *octet < b'\t' || !octet.is_ascii();
    octets.first() == Some(&0x30) && octets.iter().take(16).any(no_text)
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_OF_OLD: &str = "Proc-Type: 4,ENCRYPTED";
