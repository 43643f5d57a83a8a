//! Why a server cannot be asked, and what to do about it.

use std::{error::Error, fmt, io, iter};

use rustls::{CertificateError, Error as TlsError};

/// The server cannot be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DialError {
    server: String,
    fault: String,
}

impl DialError {
    /// That of `server`, for what `fault` says.
    pub(super) fn new(server: &str, fault: impl Into<String>) -> Self {
        Self {
            server: server.to_owned(),
            fault: fault.into(),
        }
    }

    /// That of `server`, for what the transport says.
    pub(super) fn of(server: &str, error: &(dyn Error + 'static)) -> Self {
        Self::known(server, error).unwrap_or_else(|| Self::vague(server, error))
    }

    /// The same, where TLS says what it is.
    pub(super) fn known(server: &str, error: &(dyn Error + 'static)) -> Option<Self> {
        let fault = causes(error).find_map(tls).or_else(|| {
            // Why by its text: HTTP/2 hands nothing else on of what TLS says later.
            let alert = causes(error).find_map(|cause| {
                let text = cause.to_string();
                text.split_once(ALERT).map(|(_, alert)| alert.to_owned())
            })?;
            let alert = alert.split(|c: char| !c.is_alphanumeric()).next()?;
            Some(refused(alert))
        });
        fault.map(|fault| Self::new(server, fault))
    }

    fn vague(server: &str, error: &(dyn Error + 'static)) -> Self {
        // The innermost cause is what a person can act on.
        let innermost = causes(error).last().map(ToString::to_string);
        let innermost = innermost.unwrap_or_default().to_lowercase();
        let question = if server.starts_with("unix:") || innermost.contains("refused") {
            "is a server running there?"
        } else if server.starts_with("https:") {
            "is a server running there, and does it want a client certificate?"
        } else {
            "is a server running there, and does it want TLS? then write `https://` before the host"
        };
        Self::new(server, format!("{innermost}: {question}"))
    }
}

/// `error`, and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot ask `{}`: {}",
            self.server.escape_debug(),
            self.fault
        )
    }
}

impl Error for DialError {}

/// What to do about `error`, where TLS says it.
fn tls(error: &(dyn Error + 'static)) -> Option<String> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref());
    let fault = match error.downcast_ref::<TlsError>().or(inner)? {
        TlsError::InvalidCertificate(fault) => certificate(fault),
        TlsError::AlertReceived(alert) => refused(&format!("{alert:?}")),
        TlsError::InvalidMessage(_) => {
            "it does not speak TLS: write `http://`, which is plaintext".to_owned()
        }
        TlsError::InconsistentKeys(_) => {
            "the private key is not that of the client certificate: give the two that belong \
             together"
                .to_owned()
        }
        other => format!("TLS cannot be spoken: {other}"),
    };
    Some(fault)
}

/// What to do about a server whose certificate was not taken.
fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            "nobody that is trusted here vouches for its certificate: give the file of its \
             authority as `ca`"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: it has to be renewed there".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate does not hold yet: is the clock right here, and there?".to_owned()
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name: write that in the URL, or give it as \
             `server-name`"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "its certificate is for other names ({}): write one of them in the URL, or give it as \
             `server-name`",
            presented.join(", ")
        ),
        other => format!("its certificate is not good: {other}"),
    }
}

/// What to do about a server that refused TLS with `alert`.
fn refused(alert: &str) -> String {
    let what = match alert {
        "CertificateRequired" => {
            "it wants a client certificate: give the files of one and of its key as `certificate` \
             and `key`"
        }
        "UnknownCA" => "it does not know the authority of the client certificate",
        "CertificateExpired" => "the client certificate has expired: renew it",
        "BadCertificate" | "CertificateUnknown" | "UnsupportedCertificate" | "DecryptError" => {
            "it does not take the client certificate"
        }
        "ProtocolVersion" => "it speaks no version of TLS that is spoken here",
        "NoApplicationProtocol" => "it does not speak HTTP/2",
        _ => return format!("it refused TLS ({alert})"),
    };
    what.to_owned()
}

const ALERT: &str = "received fatal alert: ";
