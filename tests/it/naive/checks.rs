//! "What is checked": the reasons that both directions share, one function to a demand.

use super::{
    facts::{Certificate, TlsSession, Trust},
    names::{Pattern, certificate_name_matches, fingerprint, version},
    outcome::{Reason, Rejection},
};

/// `TLS_VERSION_TOO_LOW`: "the session has TLS of a lower version"; "the minimum; the version as
/// sent".
pub(crate) fn version_too_low(
    connector: &str,
    minimum: &str,
    tls: Option<&TlsSession>,
) -> Option<Rejection> {
    let tls = tls?;
    (version(&tls.version) < version(minimum)).then(|| {
        let (expected, observed) = (vec![minimum.into()], vec![tls.version.clone()]);
        Rejection::new(Reason::TlsVersionTooLow, connector, expected, observed)
    })
}

/// The reasons why the certificate demand is not met; none where it is met or nothing is listed.
pub(crate) fn certificate(
    connector: &str,
    names: &[String],
    fingerprints: &[String],
    certificate: Option<&Certificate>,
) -> Vec<Rejection> {
    if names.is_empty() && fingerprints.is_empty() {
        return Vec::new();
    }
    let expected_names = first_of_equals(names, Pattern::parse);
    let expected_fingerprints = first_of_equals(fingerprints, fingerprint);
    // `CERTIFICATE_REQUIRED`: "names or fingerprints are listed, and the peer presented none"
    let Some(certificate) = certificate else {
        let expected = [expected_names, expected_fingerprints].concat();
        return vec![Rejection::new(
            Reason::CertificateRequired,
            connector,
            expected,
            Vec::new(),
        )];
    };
    // "is met by a certificate with one of `certificate_fingerprints` (trusted or not: the pin is
    // the trust)"
    let known: Vec<String> = [&certificate.sha256, &certificate.spki_sha256]
        .into_iter()
        .filter_map(|text| fingerprint(text))
        .collect();
    let pinned = |listed: &String| fingerprint(listed).is_some_and(|pin| known.contains(&pin));
    if fingerprints.iter().any(pinned) {
        return Vec::new();
    }
    // `CERTIFICATE_FINGERPRINT_MISMATCH`: "only fingerprints are listed, and none matches"
    if names.is_empty() {
        let reason = Reason::CertificateFingerprintMismatch;
        return vec![Rejection::new(
            reason,
            connector,
            expected_fingerprints,
            known,
        )];
    }
    let mut rejections = Vec::new();
    rejections.extend(distrust(connector, certificate));
    // `CERTIFICATE_NAME_MISMATCH`: "names are listed, no fingerprint matches, and no presented name
    // does (beside the two above, too)"
    let presented = presented_names(certificate);
    let name_matches = names
        .iter()
        .filter_map(|name| Pattern::parse(name))
        .any(|configured| {
            presented
                .iter()
                .any(|presented| certificate_name_matches(&configured, presented))
        });
    if !name_matches {
        let reason = Reason::CertificateNameMismatch;
        rejections.push(Rejection::new(reason, connector, expected_names, presented));
    }
    rejections
}

/// `CERTIFICATE_EXPIRED` or `CERTIFICATE_UNTRUSTED`, where the certificate is not trusted.
pub(crate) fn distrust(connector: &str, certificate: &Certificate) -> Option<Rejection> {
    let reason = match certificate.trust {
        Trust::Trusted => return None,
        Trust::Expired => Reason::CertificateExpired,
        // "the same, trust is anything else but TRUSTED"
        Trust::Unspecified | Trust::Untrusted | Trust::WrongPurpose => Reason::CertificateUntrusted,
    };
    Some(Rejection::new(
        reason,
        connector,
        Vec::new(),
        vec![certificate.trust_detail.clone()],
    ))
}

/// "its dNSNames or, where it lists none, its common name"
pub(crate) fn presented_names(certificate: &Certificate) -> Vec<String> {
    if !certificate.dns_names.is_empty() {
        certificate.dns_names.clone()
    } else if certificate.common_name.is_empty() {
        Vec::new()
    } else {
        vec![certificate.common_name.clone()]
    }
}

/// "the text as written (the first written of equals)"
pub(crate) fn first_of_equals<T: PartialEq>(
    texts: &[String],
    canonical: impl Fn(&str) -> Option<T>,
) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept
            .iter()
            .any(|earlier| canonical(earlier) == canonical(text))
        {
            kept.push(text.clone());
        }
    }
    kept
}
