//! What an MTA tells by macros of the session's TLS, as the service takes it.
//!
//! The two MTAs that speak milter mean different things by the same names: in Postfix a subject or
//! an issuer is there only where the certificate is trusted; Sendmail gives them whatever the
//! certificate, and its verdict in a macro of its own.

use super::macros::Macros;
use crate::{bridge::facts, rpc::pb};

/// The session's TLS; none where it is in plaintext.
pub(super) fn tls(macros: &Macros) -> Option<pb::TlsSession> {
    let verify = macros.get("verify");
    let version = macros.get("tls_version")?;
    let certificate = if is_postfix(macros) {
        postfix(macros)
    } else {
        verify.map_or(Peer::Unknown, |verify| sendmail(macros, verify))
    };
    Some(pb::TlsSession {
        version: facts::tls_version(version),
        cipher: macros.get("cipher").unwrap_or_default().to_owned(),
        certificate_unavailable: matches!(certificate, Peer::Unknown),
        peer_certificate: match certificate {
            Peer::Presented(certificate) => Some(*certificate),
            Peer::Unknown | Peer::WithoutCertificate => None,
        },
    })
}

/// Of the two MTAs, only Postfix has its name in front of its version.
fn is_postfix(macros: &Macros) -> bool {
    let version = macros.get("v").unwrap_or_default();
    version.starts_with("Postfix")
}

/// What is known of the peer's certificate.
enum Peer {
    Presented(Box<pb::Certificate>),
    Unknown,
    WithoutCertificate,
}

fn postfix(macros: &Macros) -> Peer {
    let (name, issuer) = (macros.get("cert_subject"), macros.get("cert_issuer"));
    if name.or(issuer).is_none() {
        // Why not "presented none": an untrusted certificate looks the same.
        return Peer::Unknown;
    }
    Peer::Presented(Box::new(pb::Certificate {
        trust: pb::CertificateTrust::Trusted.into(),
        common_name: name.unwrap_or_default().to_owned(),
        issuer: issuer.unwrap_or_default().to_owned(),
        alternative_names_unavailable: true,
        ..pb::Certificate::default()
    }))
}

fn sendmail(macros: &Macros, verify: &str) -> Peer {
    let trust = match verify {
        "OK" => pb::CertificateTrust::Trusted,
        "FAIL" => pb::CertificateTrust::Untrusted,
        "NO" | "NOT" => return Peer::WithoutCertificate,
        // NONE, TEMP, PROTOCOL, SOFTWARE: the handshake did not come to a verdict.
        _ => return Peer::Unknown,
    };
    let text = |name: &str| macros.get(name).filter(|text| !is_filler(text));
    let name = text("cn_subject").and_then(facts::xtext);
    let fingerprint = macros.get("cert_fp").and_then(facts::fingerprint);
    Peer::Presented(Box::new(pb::Certificate {
        trust: trust.into(),
        trust_detail: match trust {
            pb::CertificateTrust::Trusted => String::new(),
            _ => format!("verify={verify}"),
        },
        common_name: name.unwrap_or_default(),
        subject: text("cert_subject").unwrap_or_default().to_owned(),
        issuer: text("cert_issuer").unwrap_or_default().to_owned(),
        sha256: fingerprint.unwrap_or_default(),
        alternative_names_unavailable: true,
        ..pb::Certificate::default()
    }))
}

/// What Sendmail puts where a certificate has no name, or one that it does not trust itself to
/// show: `BadCertificateUnknown`, `BadCertificateTooLong`, `BadCertificateContainsNUL`.
fn is_filler(text: &str) -> bool {
    text.starts_with("BadCertificate")
}

#[cfg(test)]
mod tests;
