//! What to mend, and on whose side, where a restriction is not met.

use super::line::{Decision, Rejection, Text};
use crate::{cli::output::shown, rpc::pb::Reason};

/// What to mend so that `rejection` of `decision` goes away.
pub(super) fn mend(decision: &Decision<'_>, rejection: &Rejection<'_>) -> String {
    let expected = listed(&rejection.expected);
    let server = shown(decision.server());
    match (rejection.reason(), decision.outbound) {
        (Reason::TlsRequired, false) => format!(
            "their server {server} did not use TLS: have them turn it on for mail to you, and see that your \
             gateway offers STARTTLS"
        ),
        (Reason::TlsRequired, true) => {
            format!("their server {server} offers no TLS: have them turn on STARTTLS")
        }
        (Reason::TlsVersionTooLow, _) => {
            let seen = decision.tls().map_or("", |tls| &tls.version.0);
            let seen = if seen.is_empty() { "a version that is not known" } else { seen };
            format!(
                "the session has {}; the connector wants {expected} or later: have them allow it, and see that your \
                 gateway does, too",
                shown(seen)
            )
        }
        (Reason::CertificateRequired, outbound) => no_certificate(decision, &expected, outbound),
        (Reason::CertificateUntrusted, _) => {
            let detail = decision.certificate().map_or("", |it| &it.trust_detail.0);
            let detail = if detail.is_empty() { String::new() } else { format!(" ({})", shown(detail)) };
            format!(
                "your gateway does not trust their certificate for {}{detail}: have them send one of a public \
                 authority with its whole chain, or list its fingerprint in `certificate_fingerprints`{}",
                names(decision),
                fingerprint(decision)
            )
        }
        (Reason::CertificateExpired, _) => format!(
            "their certificate for {} has expired or is not yet valid: have them renew it, and check the clock of \
             your gateway",
            names(decision)
        ),
        (Reason::CertificateNameMismatch, _) => name_mismatch(decision, &expected),
        (Reason::CertificateFingerprintMismatch, _) => format!(
            "their certificate for {} is not one of those listed: if they renewed it and told you so, add its \
             fingerprint to `certificate_fingerprints`{}",
            names(decision),
            fingerprint(decision)
        ),
        (Reason::ClientIpNotAllowed, _) => format!(
            "they sent from {server}; the connector wants {expected}: have them send from there, or add the address \
             to `client_ips`, once they say that it is theirs"
        ),
        (Reason::HostNotAllowed, _) => format!(
            "your gateway connected to {server}; the connector wants {expected}: have it deliver by the route of the \
             answer, or add the host to `smart_hosts`"
        ),
        (Reason::RuleConnectorNotFound, _) => {
            "the rule of your gateway names a connector that the set does not have: write its name as it stands in \
             the set, or add the connector"
                .into()
        }
        (Reason::MailFromInvalid, _) => {
            "the envelope sender is no mail address: have them send with a proper one".into()
        }
        (Reason::RcptToInvalid, _) => {
            "the envelope recipient is no mail address: see how it was written".into()
        }
        (Reason::Unspecified, _) => {
            "this version does not know the reason: read the log with the version of the service".into()
        }
    }
}

fn no_certificate(decision: &Decision<'_>, expected: &str, outbound: bool) -> String {
    let wanted = if expected.is_empty() {
        String::new()
    } else {
        format!(" ({expected})")
    };
    if decision
        .tls()
        .is_some_and(|tls| tls.certificate_unavailable)
    {
        return "your gateway cannot tell whether they presented a certificate: have it pass the certificate on"
            .into();
    }
    if decision.tls().is_none() {
        return format!(
            "the session has no TLS, in which the certificate{wanted} would come: have them use TLS"
        );
    }
    if outbound {
        format!("their server presented no certificate{wanted}: have them set one up")
    } else {
        format!(
            "they presented no certificate{wanted}: have them send it as a client certificate, and see that your \
             gateway asks for one"
        )
    }
}

fn name_mismatch(decision: &Decision<'_>, expected: &str) -> String {
    let blind = decision
        .certificate()
        .is_some_and(|certificate| certificate.alternative_names_unavailable);
    if blind {
        return format!(
            "your gateway sees only the name {} of their certificate, and the connector wants {expected}, which may be \
             among its alternative names: list its fingerprint in `certificate_fingerprints`{}",
            names(decision),
            fingerprint(decision)
        );
    }
    let named = decision.certificate().map_or(0, |it| it.names().len());
    let has = match named {
        0 => "no name".into(),
        1 => format!("the name {}", names(decision)),
        _ => format!("the names {}", names(decision)),
    };
    format!(
        "their certificate has {has}; the connector wants {expected}: have them present one with such a name, or add \
         theirs to `certificate_names`"
    )
}

/// The names of the certificate that was presented.
pub(super) fn names(decision: &Decision<'_>) -> String {
    let names = decision.certificate().map(|it| it.names());
    let names = names.unwrap_or_default();
    if names.is_empty() {
        return "no name".into();
    }
    few(&names)
}

/// The fingerprint to list, where the gateway told it.
fn fingerprint(decision: &Decision<'_>) -> String {
    let fingerprint = decision.certificate().map_or("", |certificate| {
        [&certificate.spki_sha256, &certificate.sha256]
            .map(|text| &*text.0)
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or("")
    });
    if fingerprint.is_empty() {
        String::new()
    } else {
        format!(": it is {}", shown(fingerprint))
    }
}

fn listed(texts: &[Text<'_>]) -> String {
    few(&texts.iter().map(|text| &*text.0).collect::<Vec<_>>())
}

fn few(texts: &[&str]) -> String {
    let more = texts.len().saturating_sub(LISTED);
    let few: Vec<_> = texts.iter().take(LISTED).map(|text| shown(text)).collect();
    let few = few.join(", ");
    if more > 0 {
        format!("{few} and {more} more")
    } else {
        few
    }
}

const LISTED: usize = 4;
