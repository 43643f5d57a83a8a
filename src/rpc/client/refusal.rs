//! Why a server refuses a client over TLS 1.3, which it says only after the handshake. HTTP/2 may
//! have lost it by then, so that it is asked for once more, without HTTP/2.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

use super::{ClientOptions, DialError};
use crate::rpc::tls::material::{Pem, Unusable};

/// Why the server does not take a client with `options`; none where it does, or does not say.
///
/// Only where its authority is given: to trust it otherwise is the transport's affair.
pub(super) async fn refusal(options: &ClientOptions) -> Option<DialError> {
    let uri: Uri = options.server.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri
        .port_u16()
        .filter(|_| uri.scheme_str() == Some("https"))?;
    let name = options
        .server_name
        .clone()
        .unwrap_or_else(|| host.to_owned());
    let name = ServerName::try_from(name).ok()?;
    let connector = TlsConnector::from(Arc::new(config(options)?));
    let asking = async {
        let stream = TcpStream::connect((host, port)).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(PREFACE).await?;
        stream.read_u8().await
    };
    match timeout(PATIENCE, asking).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Some(DialError::of(&options.server, &error))
        }
        Ok(_) | Err(_) => None,
    }
}

fn config(options: &ClientOptions) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(options.ca.as_deref()?).ok()?);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots);
    let mut config = match &options.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(certificates(certificate).ok()?, private_key(key).ok()?)
            .ok()?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let octets = &std::fs::read(path);
    Pem { path, octets }.certificates()
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    let octets = &std::fs::read(path);
    Pem { path, octets }.private_key()
}

/// What a client of HTTP/2 begins with, and no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long a server may take to say it.
const PATIENCE: Duration = Duration::from_secs(5);
