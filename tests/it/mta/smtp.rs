//! A client that speaks SMTP, and keeps every reply word for word.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::lines::{Lines, patient};
use crate::transport::authority::Pair;

/// A session with a mail gateway.
pub(crate) struct Smtp {
    tcp: TcpStream,
    lines: Lines,
}

impl Smtp {
    /// Takes the greeting, and says EHLO.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        let lines = Lines::over(patient(&tcp));
        Self { tcp, lines }.greeted()
    }

    /// The same as `client`, for a gateway that takes the PROXY protocol.
    pub(crate) fn from(address: SocketAddr, client: &str) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        let mut lines = Lines::over(patient(&tcp));
        let (family, to) = match client.parse::<IpAddr>().unwrap() {
            IpAddr::V4(_) => ("TCP4", "192.0.2.1"),
            IpAddr::V6(_) => ("TCP6", "2001:db8::1"),
        };
        let port = address.port();
        lines.send(format!("PROXY {family} {client} {to} 40000 {port}\r\n").as_bytes());
        Self { tcp, lines }.greeted()
    }

    fn greeted(mut self) -> Self {
        let greeting = self.read();
        assert!(greeting.starts_with("220"), "{greeting}");
        self.hello();
        self
    }

    fn hello(&mut self) {
        let reply = self.says("EHLO client.test");
        assert!(reply.starts_with("250"), "{reply}");
    }

    /// Goes over to TLS, showing a certificate where there is one; whatever the gateway shows is
    /// taken.
    pub(crate) fn starttls(mut self, shows: Option<&Pair>) -> Self {
        let reply = self.says("STARTTLS");
        assert!(reply.starts_with("220"), "{reply}");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer));
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from(pair.der.clone())];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::try_from("mx.gateway.test").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        self.lines = Lines::over(StreamOwned::new(session, patient(&self.tcp)));
        self.hello();
        self
    }

    /// The reply to a command.
    pub(crate) fn says(&mut self, command: &str) -> String {
        self.raw(format!("{command}\r\n").as_bytes());
        self.read()
    }

    /// MAIL and RCPT: the first reply that is no success, else the last.
    pub(crate) fn asks(&mut self, sender: &str, recipient: &str) -> String {
        let reply = self.says(&format!("MAIL FROM:<{sender}>"));
        if !reply.starts_with('2') {
            return reply;
        }
        self.says(&format!("RCPT TO:<{recipient}>"))
    }

    /// A whole message: the first reply that is no success, else the last.
    pub(crate) fn sends(&mut self, sender: &str, recipient: &str, message: &str) -> String {
        let reply = self.asks(sender, recipient);
        if !reply.starts_with('2') {
            return reply;
        }
        let reply = self.says("DATA");
        if !reply.starts_with('3') {
            return reply;
        }
        self.says(&format!("{message}\r\n."))
    }

    /// Sends octets as they are.
    pub(crate) fn raw(&mut self, octets: &[u8]) {
        assert!(self.lines.send(octets), "the gateway hung up");
    }

    /// The next reply; its lines are joined by line feeds. Empty where the gateway hung up.
    pub(crate) fn read(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let Some(line) = self.lines.next() else {
                return reply;
            };
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last {
                return reply;
            }
            reply.push('\n');
        }
    }
}

/// Takes every server.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
