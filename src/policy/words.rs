//! The words of refusals: a sentence for the postmaster, and the reply for the peer.
//!
//! The reply may show what the peer itself showed; it never names configured addresses, names or
//! connectors.

use std::{borrow::Cow, fmt::Write as _, net::IpAddr};

use super::{
    connector::{Spelled, Written},
    decision::{Action, LISTED, OBSERVED_OCTETS, Reason, Rejection, Reply},
    facts::{CertificateFacts, TlsFacts, Trust},
    requirement::{CertificateDemand, Seen, Unmet},
};
use crate::mail::{PresentedName, TlsVersion};

/// Who reads the reply: the sending server, of which a domain or only the address counts, or
/// whoever sends through us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Audience {
    SendingDomain,
    SendingAddress,
    OurSender,
}

/// What the administrator is told of `unmet`.
pub(super) fn rejection<'a>(unmet: &Unmet<'a>) -> Rejection<'a> {
    Rejection {
        reason: unmet.reason,
        connector: Some(unmet.by.connector),
        message: message(unmet),
        expected: expected(unmet),
        observed: observed(unmet),
    }
}

/// What the peer is told of `unmet`.
pub(super) fn reply<'a>(unmet: &Unmet<'a>, audience: Audience) -> Reply<'a> {
    let (code, enhanced) = codes(
        unmet.reason,
        audience != Audience::OurSender,
        unmet.by.reply.action,
    );
    let text = match &unmet.by.reply.text {
        Some(text) => Cow::Borrowed(&**text),
        None => default_text(unmet, audience),
    };
    Reply {
        code,
        enhanced,
        text,
    }
}

/// The reply codes of `reason`.
pub(super) fn codes(reason: Reason, inbound: bool, action: Action) -> (u16, &'static str) {
    match (reason, inbound, action) {
        (Reason::TlsRequired, true, Action::Reject) => (530, "5.7.0"),
        (Reason::TlsRequired, true, Action::Defer) => (451, "4.7.0"),
        (Reason::TlsRequired, false, Action::Defer) => (451, "4.7.4"),
        (Reason::TlsRequired, false, Action::Reject) => (550, "5.7.4"),
        (
            Reason::TlsVersionTooLow
            | Reason::CertificateRequired
            | Reason::CertificateExpired
            | Reason::CertificateUntrusted
            | Reason::CertificateNameMismatch
            | Reason::CertificateFingerprintMismatch
            | Reason::ClientIpNotAllowed,
            inbound,
            action,
        ) => match (inbound, action) {
            (true, Action::Reject) => (550, "5.7.1"),
            (true, Action::Defer) => (451, "4.7.1"),
            (false, Action::Defer) => (451, "4.7.5"),
            (false, Action::Reject) => (550, "5.7.5"),
        },
        (Reason::HostNotAllowed, _, Action::Reject) => (550, "5.3.5"),
        (Reason::HostNotAllowed, _, Action::Defer) | (Reason::RuleConnectorNotFound, _, _) => {
            (451, "4.3.5")
        }
        (Reason::MailFromInvalid, _, _) => (553, "5.1.7"),
        (Reason::RcptToInvalid, _, _) => (553, "5.1.3"),
    }
}

/// What is said of the reason, with what was seen.
fn default_text(unmet: &Unmet<'_>, audience: Audience) -> Cow<'static, str> {
    let said = fixed_text(unmet.reason, audience);
    match unmet.seen {
        Seen::Plaintext => said.into(),
        Seen::Version { minimum, tls } => {
            let mut text = format!("{} {said}", minimum.value.phrase());
            if tls.version != TlsVersion::Unknown {
                let whose = match audience {
                    Audience::SendingDomain | Audience::SendingAddress => "this session",
                    Audience::OurSender => "the next hop",
                };
                let _ = write!(text, ", {whose} has {}", tls.version);
            }
            text.into()
        }
        Seen::Certificate { tls, .. } => certificate(tls)
            .and_then(|certificate| certificate_text(unmet.reason, certificate, audience))
            .map_or(said.into(), Cow::Owned),
        Seen::Address { client_ip, .. } => format!("{said} from {}", literal(client_ip)).into(),
        Seen::Host { session, .. } => format!("{} {said}", session.host).into(),
    }
}

/// What is said of the certificate seen, where that is more than the reason alone says.
fn certificate_text(
    reason: Reason,
    certificate: &CertificateFacts<'_>,
    audience: Audience,
) -> Option<String> {
    if reason == Reason::CertificateNameMismatch {
        let name = first_name(certificate)?;
        return Some(match audience {
            Audience::SendingDomain => {
                format!("the client certificate for {name} is not one of the sending domain")
            }
            Audience::SendingAddress => {
                format!("the client certificate is for {name}, which is not the name required")
            }
            Audience::OurSender => format!(
                "the certificate of the next hop is for {name}, which is not the name required"
            ),
        });
    }
    if reason != Reason::CertificateUntrusted {
        return None;
    }
    let (whose, use_of_it) = match audience {
        Audience::SendingDomain | Audience::SendingAddress => {
            ("the client certificate", "TLS client authentication")
        }
        Audience::OurSender => (
            "the certificate of the next hop",
            "TLS server authentication",
        ),
    };
    match (certificate.unreadable, certificate.trust) {
        (true, _) => Some(format!("{whose} cannot be read")),
        (false, Trust::WrongPurpose) => Some(format!("{whose} is not for {use_of_it}")),
        (false, Trust::Unknown | Trust::Untrusted | Trust::Expired | Trust::Trusted) => None,
    }
}

/// What a reply says of a reason. Of a version, an address or a host it is the part to which
/// [`default_text`] adds what was seen.
pub(super) fn fixed_text(reason: Reason, audience: Audience) -> &'static str {
    use Audience::{OurSender, SendingAddress, SendingDomain};
    match (reason, audience) {
        (Reason::TlsRequired, OurSender) => {
            "TLS is required for this destination, the next hop has none"
        }
        (Reason::TlsRequired, SendingDomain | SendingAddress) => {
            "Must issue a STARTTLS command first"
        }
        (Reason::TlsVersionTooLow, _) => "or later is required",
        (Reason::CertificateRequired, SendingDomain) => {
            "a client certificate of the sending domain is required"
        }
        (Reason::CertificateRequired, SendingAddress) => "a client certificate is required",
        (Reason::CertificateRequired, OurSender) => "the next hop presented no certificate",
        (Reason::CertificateExpired, OurSender) => {
            "the certificate of the next hop has expired or is not yet valid"
        }
        (Reason::CertificateExpired, SendingDomain | SendingAddress) => {
            "the client certificate has expired or is not yet valid"
        }
        (Reason::CertificateUntrusted, OurSender) => {
            "the certificate of the next hop is not from a trusted authority"
        }
        (Reason::CertificateUntrusted, SendingDomain | SendingAddress) => {
            "the client certificate is not from a trusted authority"
        }
        (Reason::CertificateNameMismatch, SendingDomain) => {
            "the client certificate does not name the sending domain"
        }
        (Reason::CertificateNameMismatch, SendingAddress) => {
            "the client certificate does not bear the name required"
        }
        (Reason::CertificateNameMismatch, OurSender) => {
            "the certificate of the next hop does not bear the name required"
        }
        (Reason::CertificateFingerprintMismatch, SendingDomain) => {
            "the client certificate is not the one agreed with the sending domain"
        }
        (Reason::CertificateFingerprintMismatch, SendingAddress) => {
            "the client certificate is not the one agreed upon"
        }
        (Reason::CertificateFingerprintMismatch, OurSender) => {
            "the certificate of the next hop is not the one agreed upon"
        }
        (Reason::ClientIpNotAllowed, SendingDomain) => "mail from this domain is not accepted",
        (Reason::ClientIpNotAllowed, SendingAddress | OurSender) => "mail is not accepted",
        (Reason::HostNotAllowed, _) => "is not a next hop for this destination",
        (Reason::RuleConnectorNotFound, _) => {
            "the route for this message is not configured, it is kept for a retry"
        }
        (Reason::MailFromInvalid, _) => "the sender address is not a valid mail address",
        (Reason::RcptToInvalid, _) => "the recipient address is not a valid mail address",
    }
}

fn message(unmet: &Unmet<'_>) -> String {
    let name = unmet.by.connector;
    match unmet.seen {
        Seen::Plaintext => format!("`{name}` demands TLS, and the session is in plaintext"),
        Seen::Version { minimum, tls } => {
            let mut text = format!(
                "`{name}` demands {} or later, and the session has ",
                minimum.value
            );
            let _ = match (tls.version, tls.version_text) {
                (TlsVersion::Unknown, "") => {
                    write!(text, "TLS of a version that the gateway did not tell")
                }
                (TlsVersion::Unknown, seen) => {
                    write!(text, "`{}`, which is no version known here", shown(seen))
                }
                (version, _) => write!(text, "{version}"),
            };
            text
        }
        Seen::Certificate {
            demand,
            tls,
            or_address,
        } => {
            let mut text = format!("`{name}` demands {}, and ", demanded(unmet.reason, demand));
            certificate_seen(&mut text, unmet.reason, demand, tls);
            if or_address {
                text.push_str("; an address among its client_ips would do, too");
            }
            text
        }
        Seen::Address {
            demand,
            client_ip,
            or_certificate,
        } => {
            let networks = few(&demand.networks);
            let mut text = format!(
                "`{name}` accepts this mail only from {networks}, and it comes from {client_ip}"
            );
            if or_certificate {
                text.push_str("; the certificate that it demands would do, too");
            }
            text
        }
        Seen::Host {
            smart_hosts,
            session,
        } => format!(
            "`{name}` delivers only by {}, and the session is with {}",
            few(smart_hosts),
            session.host
        ),
    }
}

/// The certificate demanded, as the object of a sentence.
fn demanded(reason: Reason, demand: Option<&CertificateDemand>) -> String {
    let Some(demand) = demand else {
        return "a certificate from a trusted authority".into();
    };
    let names = match &*demand.names {
        [] => None,
        [name] => Some(format!("for {}", name.text())),
        names => Some(format!("for one of {}", few(names))),
    };
    let pins = match &*demand.fingerprints {
        [] => None,
        [pin] => Some(format!("with the fingerprint {}", pin.text())),
        pins => Some(format!("with one of the fingerprints {}", few(pins))),
    };
    match (names, pins) {
        (Some(names), None) if reason == Reason::CertificateNameMismatch => {
            format!("a certificate {names}")
        }
        (Some(names), None) => format!("a trusted certificate {names}"),
        (Some(names), Some(pins)) => format!("a trusted certificate {names}, or one {pins}"),
        (None, Some(pins)) => format!("a certificate {pins}"),
        (None, None) => "a certificate".into(),
    }
}

/// The certificate seen, as the second half of the sentence.
fn certificate_seen(
    text: &mut String,
    reason: Reason,
    demand: Option<&CertificateDemand>,
    tls: Option<&TlsFacts<'_>>,
) {
    let Some(tls) = tls else {
        text.push_str("the session is in plaintext, where a peer presents none");
        return;
    };
    let Some(certificate) = &tls.certificate else {
        text.push_str(if tls.certificate_unavailable {
            "the gateway cannot tell whether the peer presented one: have it pass the certificate on"
        } else {
            "the peer presented none"
        });
        return;
    };
    match reason {
        Reason::CertificateNameMismatch => {
            if certificate.names.is_empty() {
                text.push_str("the one presented bears no name");
            } else {
                let names = certificate.names.iter().map(|seen| match seen.name {
                    Some(_) => shown(&seen.text),
                    None => format!("`{}`, which is no name", shown(&seen.text)),
                });
                let _ = write!(text, "the one presented is for {}", few_of(names));
            }
            if certificate.names_unavailable {
                text.push_str(
                    "; this gateway cannot see alternative names, so the name may be there all the same: \
                     certificate_fingerprints work here",
                );
            }
        }
        Reason::CertificateFingerprintMismatch => {
            match (certificate.sha256, certificate.spki_sha256) {
                (None, None) => {
                    text.push_str("the gateway told no fingerprint of the one presented");
                }
                (Some(own), None) => drop(write!(text, "the one presented has {own}")),
                (None, Some(key)) => drop(write!(
                    text,
                    "the public key of the one presented has {key}"
                )),
                (Some(own), Some(key)) => {
                    let _ = write!(text, "the one presented has {own}, its public key {key}");
                }
            }
        }
        Reason::CertificateExpired
        | Reason::CertificateUntrusted
        | Reason::CertificateRequired
        | Reason::TlsRequired
        | Reason::TlsVersionTooLow
        | Reason::ClientIpNotAllowed
        | Reason::HostNotAllowed
        | Reason::RuleConnectorNotFound
        | Reason::MailFromInvalid
        | Reason::RcptToInvalid => {
            text.push_str(match (certificate.unreadable, certificate.trust) {
                (true, _) => "the one sent in DER cannot be read",
                (_, Trust::Expired) => "the one presented has expired or is not yet valid",
                (_, Trust::WrongPurpose) => "the one presented is not for this side of a session",
                (_, Trust::Unknown) => "the gateway does not say that it trusts the one presented",
                (_, Trust::Untrusted | Trust::Trusted) => "the one presented is not trusted",
            });
            if !certificate.trust_detail.is_empty() {
                let _ = write!(text, " ({})", shown(certificate.trust_detail));
            }
            if demand.is_some_and(|demand| demand.fingerprints.is_empty()) {
                text.push_str(
                    "; a certificate that is listed in certificate_fingerprints needs no trust",
                );
            }
        }
    }
}

fn expected(unmet: &Unmet<'_>) -> Vec<String> {
    match (unmet.reason, unmet.seen) {
        (_, Seen::Version { minimum, .. }) => vec![minimum.text().to_owned()],
        (
            Reason::CertificateRequired,
            Seen::Certificate {
                demand: Some(demand),
                ..
            },
        ) => {
            let names = demand.names.iter().map(|name| name.text().to_owned());
            listed(names.chain(demand.fingerprints.iter().map(|pin| pin.text().to_owned())))
        }
        (
            Reason::CertificateNameMismatch,
            Seen::Certificate {
                demand: Some(demand),
                ..
            },
        ) => listed(texts(&demand.names)),
        (
            Reason::CertificateFingerprintMismatch,
            Seen::Certificate {
                demand: Some(demand),
                ..
            },
        ) => listed(texts(&demand.fingerprints)),
        (_, Seen::Address { demand, .. }) => listed(texts(&demand.networks)),
        (_, Seen::Host { smart_hosts, .. }) => listed(texts(smart_hosts)),
        (_, Seen::Plaintext | Seen::Certificate { .. }) => Vec::new(),
    }
}

fn observed(unmet: &Unmet<'_>) -> Vec<String> {
    match (unmet.reason, unmet.seen) {
        (_, Seen::Version { tls, .. }) => given(tls.version_text),
        (
            Reason::CertificateExpired | Reason::CertificateUntrusted,
            Seen::Certificate { tls, .. },
        ) => given(certificate(tls).map_or("", |certificate| certificate.trust_detail)),
        (Reason::CertificateNameMismatch, Seen::Certificate { tls, .. }) => {
            let names = certificate(tls).map_or(&[][..], |certificate| &certificate.names);
            listed(names.iter().map(|name| cut(&name.text).to_owned()))
        }
        (Reason::CertificateFingerprintMismatch, Seen::Certificate { tls, .. }) => listed(
            certificate(tls)
                .into_iter()
                .flat_map(CertificateFacts::fingerprints)
                .map(|fingerprint| fingerprint.to_string()),
        ),
        (_, Seen::Address { client_ip, .. }) => vec![client_ip.to_string()],
        (_, Seen::Host { session, .. }) => given(session.host_text),
        (_, Seen::Plaintext | Seen::Certificate { .. }) => Vec::new(),
    }
}

fn certificate<'a>(tls: Option<&'a TlsFacts<'a>>) -> Option<&'a CertificateFacts<'a>> {
    tls.and_then(|tls| tls.certificate.as_ref())
}

/// What was given, where anything was.
pub(super) fn given(text: &str) -> Vec<String> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![cut(text).to_owned()]
    }
}

/// The first name presented that is one, which is fit to be shown.
fn first_name<'a>(certificate: &'a CertificateFacts<'a>) -> Option<String> {
    certificate
        .names
        .iter()
        .find_map(|seen| match seen.name.as_ref()? {
            PresentedName::Exact(domain) => Some(domain.to_string()),
            PresentedName::Wildcard(domain) => Some(format!("*.{domain}")),
        })
}

/// An address as an RFC 5321 section 4.1.3 literal.
fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn texts<T: Spelled>(values: &[Written<T>]) -> impl Iterator<Item = String> {
    values.iter().map(|value| value.text().to_owned())
}

/// At most [`LISTED`] of `values`, then one that counts the rest.
fn listed(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut values = values;
    let mut all: Vec<_> = values.by_ref().take(LISTED).collect();
    let more = values.count();
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

/// A few of `values`, for a sentence.
fn few<T: Spelled>(values: &[Written<T>]) -> String {
    few_of(texts(values))
}

fn few_of(values: impl Iterator<Item = String>) -> String {
    let mut values = values;
    let mut text = values
        .by_ref()
        .take(IN_A_SENTENCE)
        .collect::<Vec<_>>()
        .join(", ");
    let more = values.count();
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// `text` as part of a line: no control characters, not too long.
pub(super) fn shown(text: &str) -> String {
    cut(text)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The beginning of `text` that has at most [`OBSERVED_OCTETS`].
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(OBSERVED_OCTETS);
    text.get(..end).unwrap_or_default()
}

/// How many values a sentence names.
const IN_A_SENTENCE: usize = 4;
