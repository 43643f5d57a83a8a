//! The connection to a collector: opened when something is to be sent, and again when it broke.

use std::{fs, io, path::Path};

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tonic::{
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::config::settings::{
    otlp::{self, Collector},
    secret::Secret,
};

/// A connection to a collector, and what goes with each message.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(super) channel: Channel,
    pub(super) headers: MetadataMap,
}

impl Connection {
    /// A connection to the endpoint of `collector`; none where it has none. What drives it is the
    /// runtime that this is called in.
    pub fn to(collector: &Collector) -> Result<Option<Self>, OtlpError> {
        let Some(endpoint) = &collector.endpoint else {
            return Ok(None);
        };
        let refused = |error: tonic::transport::Error| OtlpError::Endpoint {
            endpoint: endpoint.clone(),
            cause: super::line_of(&error),
        };
        let mut connecting = Endpoint::from_shared(endpoint.clone())
            .map_err(refused)?
            .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
            .map_err(refused)?
            .connect_timeout(collector.timeout)
            .timeout(collector.timeout);
        if endpoint.starts_with("https://") {
            let tls = match &collector.ca {
                Some(file) => ClientTlsConfig::new().ca_certificate(authorities(file)?),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            connecting = connecting.tls_config(tls).map_err(refused)?;
        }
        let mut headers = http_headers(&collector.headers);
        if let Some(file) = &collector.headers_file {
            headers.extend(http_headers(&headers_in(file)?));
        }
        Ok(Some(Self {
            channel: connecting.connect_lazy(),
            headers: MetadataMap::from_headers(headers),
        }))
    }
}

/// What traces and metrics say of this process: what is asked for, over what it knows itself.
pub fn resource(asked: &[(String, String)]) -> Vec<(String, String)> {
    let instance = RandomIdGenerator::default().new_trace_id().to_string();
    let own = [
        ("service.name", "postern".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let unasked = own
        .into_iter()
        .filter(|(name, _)| asked.iter().all(|(known, _)| known != name));
    unasked.chain(asked.iter().cloned()).collect()
}

/// Why nothing could be sent by OTLP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// The certificates of `ca`.
    #[error("`{file}`, the `ca` of the collector, {cause}")]
    Authorities {
        /// The file.
        file: String,
        /// What is wrong with it, and what to do.
        cause: String,
    },
    /// The endpoint.
    #[error("spans and metrics cannot be sent to `{endpoint}`: {cause}")]
    Endpoint {
        /// It.
        endpoint: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The exporter.
    #[error("spans cannot be sent: {0}")]
    Exporter(String),
    /// The headers of `headers_file`.
    #[error("`{file}`, the `headers_file` of the collector, {cause}")]
    Headers {
        /// The file.
        file: String,
        /// What is wrong with it, and what to do.
        cause: String,
    },
}

impl OtlpError {
    pub(super) fn exporter(error: &dyn std::error::Error) -> Self {
        Self::Exporter(super::line_of(error))
    }
}

fn authorities(file: &Path) -> Result<Certificate, OtlpError> {
    let refused = |cause: String| OtlpError::Authorities {
        file: file.display().to_string(),
        cause,
    };
    let pem = fs::read(file).map_err(|error| refused(unreadable(&error)))?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem);
    match certificates.next() {
        Some(Ok(_)) if certificates.all(|certificate| certificate.is_ok()) => {
            Ok(Certificate::from_pem(pem))
        }
        _ => Err(refused(
            "has no certificates in PEM: it begins with `-----BEGIN CERTIFICATE-----`".into(),
        )),
    }
}

/// The headers in a file, one `name: value` on each line; blank lines and those with `#` count not.
fn headers_in(file: &Path) -> Result<Vec<(String, Secret)>, OtlpError> {
    let refused = |cause: String| OtlpError::Headers {
        file: file.display().to_string(),
        cause,
    };
    let text = fs::read_to_string(file).map_err(|error| refused(unreadable(&error)))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let header = line
                .split_once(':')
                .and_then(|(name, value)| otlp::header(name.trim(), Some(value.trim())).ok());
            // Why the line is not shown: it holds a secret.
            header.ok_or_else(|| {
                let at = at + 1;
                refused(format!(
                    "is no `name: value` in line {at}: one header on each line"
                ))
            })
        })
        .collect()
}

fn http_headers(headers: &[(String, Secret)]) -> hyper::HeaderMap {
    let sent = headers.iter().filter_map(|(name, value)| {
        let name = hyper::header::HeaderName::try_from(name).ok()?;
        let mut value = hyper::header::HeaderValue::try_from(value.reveal()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    sent.collect()
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, text: &str, collector: impl FnOnce(&mut Collector, &Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let mut of = Collector {
            endpoint: Some("https://collector.contoso.com:4317".into()),
            ..Collector::default()
        };
        collector(&mut of, &file);
        let error = Connection::to(&of).unwrap_err().to_string();
        error.replace(&file.display().to_string(), name)
    }

    #[test]
    fn files_that_cannot_be_used_are_said_without_their_secrets() {
        assert_eq!(
            refused("ca.pem", "x", |of, file| of.ca = Some(file.into())),
            "`ca.pem`, the `ca` of the collector, has no certificates in PEM: it begins with \
             `-----BEGIN CERTIFICATE-----`"
        );
        assert_eq!(
            refused("headers", "# of ours\na: b\nsecret\n", |of, file| {
                of.headers_file = Some(file.into());
                of.endpoint = Some("http://127.0.0.1:1".into());
            }),
            "`headers`, the `headers_file` of the collector, is no `name: value` in line 3: one \
             header on each line"
        );
        let missing = refused("ca.pem", "", |of, file| of.ca = Some(file.join("missing")));
        assert!(missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn nothing_is_sent_nowhere() {
        assert!(Connection::to(&Collector::default()).unwrap().is_none());
    }

    #[test]
    fn the_resource_says_what_is_asked_for() {
        let asked = [
            ("service.name".into(), "edge".into()),
            ("a".into(), "b".into()),
        ];
        let said = resource(&asked);
        assert_eq!(said.len(), 4);
        assert!(said.contains(&asked[0]) && said.contains(&asked[1]));
    }
}
