//! Facts of a session from flags, as the contract has them.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};

use super::exit::Stop;
use crate::rpc::pb;

/// Facts of mail that a remote server is sending to us.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "facts_flags", multiple = true)]
pub(crate) struct InboundFlags {
    /// Connector set that decides; without it the recipient's domain chooses
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// Address of the sending server
    #[arg(long, value_name = "ADDRESS", required_unless_present = "facts")]
    client_ip: Option<String>,
    /// Envelope sender; without it, or "<>", the null sender of a bounce
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// One envelope recipient; without it, as before RCPT TO
    #[arg(long, value_name = "ADDRESS")]
    rcpt_to: Option<String>,
    /// Name that the server gave in EHLO; never decides
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
}

/// Facts of mail that we are about to send.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "facts_flags", multiple = true)]
pub(crate) struct OutboundFlags {
    /// Connector set that decides; without it the sender's domain chooses
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// One envelope recipient, or just its domain
    #[arg(long, value_name = "ADDRESS", required_unless_present = "facts")]
    rcpt_to: Option<String>,
    /// Envelope sender
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Name of the connector that a transport rule sends this message through
    #[arg(long, value_name = "NAME")]
    rule_connector: Option<String>,
    /// The next hop that we are connected to, by the name or address that was looked up; without
    /// it, as before connecting
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Address that we are connected to; never decides
    #[arg(long, value_name = "ADDRESS", requires = "host")]
    server_ip: Option<String>,
}

/// TLS of a session.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsFlags {
    /// The session is in plaintext (so it is without --tls)
    #[arg(long, conflicts_with = "tls")]
    plaintext: bool,
    /// The session has TLS of this version; without a version, TLSv1.3
    #[arg(long, visible_alias = "tls-version", value_name = "VERSION", num_args = 0..=1,
          default_missing_value = "TLSv1.3")]
    tls: Option<String>,
    /// The peer presented no certificate (so it is without any --cert-… flag)
    #[arg(long, requires = "tls", conflicts_with_all = CERTIFICATE)]
    no_cert: bool,
    /// The gateway cannot tell whether the peer presented a certificate
    #[arg(long, requires = "tls", conflicts_with_all = CERTIFICATE)]
    cert_unavailable: bool,
    #[command(flatten)]
    certificate: CertificateFlags,
}

/// The certificate that a peer presented.
#[derive(Args, Clone, Debug, Default)]
struct CertificateFlags {
    /// A dNSName of the certificate; can be given several times
    #[arg(long = "cert-name", requires = "tls", value_name = "NAME")]
    name: Vec<String>,
    /// Common name of the certificate; counts only without a dNSName
    #[arg(long = "cert-cn", requires = "tls", value_name = "NAME")]
    common_name: Option<String>,
    /// What the gateway found of its chain; without it, untrusted
    #[arg(
        long = "cert-trust",
        requires = "tls",
        value_enum,
        value_name = "TRUST"
    )]
    trust: Option<Trust>,
    /// The same in the gateway's words
    #[arg(long = "cert-trust-detail", requires = "tls", value_name = "TEXT")]
    trust_detail: Option<String>,
    /// SHA-256 of the certificate
    #[arg(long = "cert-sha256", requires = "tls", value_name = "HEX")]
    sha256: Option<String>,
    /// SHA-256 of its public key
    #[arg(long = "cert-spki-sha256", requires = "tls", value_name = "HEX")]
    spki_sha256: Option<String>,
    /// The gateway cannot see dNSNames (Postfix, Sendmail)
    #[arg(long = "cert-names-unavailable", requires = "tls")]
    names_unavailable: bool,
    /// The certificate itself, PEM or DER; names and fingerprints are read from it
    #[arg(long = "cert-der", requires = "tls", value_name = "FILE", conflicts_with_all =
          ["name", "common_name", "sha256", "spki_sha256", "names_unavailable"])]
    der: Option<PathBuf>,
}

/// What a gateway found when it built a chain to a trusted root.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Trust {
    /// The chain is good
    Trusted,
    /// There is no good chain
    Untrusted,
    /// The chain is good but for the dates
    Expired,
    /// The chain is good, but the certificate is not for this side of a session
    WrongPurpose,
}

impl InboundFlags {
    /// The question that the flags ask.
    pub(crate) fn question(self, tls: TlsFlags) -> Result<pb::CheckInboundRequest, Stop> {
        Ok(pb::CheckInboundRequest {
            connector_set: self.set.unwrap_or_default(),
            client_ip: self.client_ip.unwrap_or_default(),
            helo: self.helo.unwrap_or_default(),
            mail_from: self.mail_from.unwrap_or_default(),
            rcpt_to: self.rcpt_to.unwrap_or_default(),
            tls: tls.session()?,
            correlation_id: String::new(),
        })
    }
}

impl OutboundFlags {
    /// The question that the flags ask.
    pub(crate) fn question(self, tls: TlsFlags) -> Result<pb::CheckOutboundRequest, Stop> {
        let tls = tls.session()?;
        if tls.is_some() && self.host.is_none() {
            return Err(Stop::usage(
                "before connecting there is no TLS: add `--host` with the next hop, or remove `--tls`",
            ));
        }
        let server_ip = self.server_ip.unwrap_or_default();
        Ok(pb::CheckOutboundRequest {
            connector_set: self.set.unwrap_or_default(),
            mail_from: self.mail_from.unwrap_or_default(),
            rcpt_to: self.rcpt_to.unwrap_or_default(),
            rule_connector: self.rule_connector.unwrap_or_default(),
            session: self.host.map(|host| pb::OutboundSession {
                host,
                server_ip,
                tls,
            }),
            correlation_id: String::new(),
        })
    }
}

impl TlsFlags {
    fn session(self) -> Result<Option<pb::TlsSession>, Stop> {
        let Some(version) = self.tls else {
            return Ok(None);
        };
        Ok(Some(pb::TlsSession {
            version,
            cipher: String::new(),
            peer_certificate: self.certificate.presented()?,
            certificate_unavailable: self.cert_unavailable,
        }))
    }
}

impl CertificateFlags {
    fn presented(self) -> Result<Option<pb::Certificate>, Stop> {
        let der = self.der.map(read_certificate).transpose()?;
        let trust = self
            .trust
            .map_or(pb::CertificateTrust::Unspecified, Trust::in_contract);
        let certificate = pb::Certificate {
            trust: trust.into(),
            trust_detail: self.trust_detail.unwrap_or_default(),
            dns_names: self.name,
            common_name: self.common_name.unwrap_or_default(),
            alternative_names_unavailable: self.names_unavailable,
            sha256: self.sha256.unwrap_or_default(),
            spki_sha256: self.spki_sha256.unwrap_or_default(),
            der: der.unwrap_or_default(),
            ..pb::Certificate::default()
        };
        Ok((certificate != pb::Certificate::default()).then_some(certificate))
    }
}

impl Trust {
    const fn in_contract(self) -> pb::CertificateTrust {
        match self {
            Self::Trusted => pb::CertificateTrust::Trusted,
            Self::Untrusted => pb::CertificateTrust::Untrusted,
            Self::Expired => pb::CertificateTrust::Expired,
            Self::WrongPurpose => pb::CertificateTrust::WrongPurpose,
        }
    }
}

/// The octets of a certificate: those of the file or, where it is PEM, of its first certificate.
fn read_certificate(file: PathBuf) -> Result<Vec<u8>, Stop> {
    let octets = fs::read(&file).map_err(|error| {
        Stop::usage(format!(
            "the certificate `{}` cannot be read: {error}",
            file.display()
        ))
    })?;
    if !octets.windows(PEM.len()).any(|window| window == PEM) {
        return Ok(octets);
    }
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(&octets);
    blocks
        .find_map(|block| block.ok().filter(|block| block.label == "CERTIFICATE"))
        .map(|block| block.contents)
        .ok_or_else(|| {
            Stop::usage(format!(
                "there is no certificate in the PEM file `{}`",
                file.display()
            ))
        })
}

const PEM: &[u8] = b"-----BEGIN ";
const CERTIFICATE: [&str; 8] = [
    "name",
    "common_name",
    "trust",
    "trust_detail",
    "sha256",
    "spki_sha256",
    "names_unavailable",
    "der",
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Inbound {
        #[command(flatten)]
        flags: InboundFlags,
        #[command(flatten)]
        tls: TlsFlags,
        #[arg(long)]
        facts: bool,
    }

    #[derive(Debug, Parser)]
    struct Outbound {
        #[command(flatten)]
        flags: OutboundFlags,
        #[command(flatten)]
        tls: TlsFlags,
        #[arg(long)]
        facts: bool,
    }

    fn inbound(arguments: &str) -> Result<pb::CheckInboundRequest, String> {
        let arguments = std::iter::once("x").chain(arguments.split_whitespace());
        let parsed = Inbound::try_parse_from(arguments).map_err(|error| error.to_string())?;
        parsed
            .flags
            .question(parsed.tls)
            .map_err(|stop| stop.message().to_owned())
    }

    fn outbound(arguments: &str) -> Result<pb::CheckOutboundRequest, String> {
        let arguments = std::iter::once("x").chain(arguments.split_whitespace());
        let parsed = Outbound::try_parse_from(arguments).map_err(|error| error.to_string())?;
        parsed
            .flags
            .question(parsed.tls)
            .map_err(|stop| stop.message().to_owned())
    }

    #[test]
    fn plaintext_is_what_is_not_said() {
        let expected = pb::CheckInboundRequest {
            client_ip: "192.0.2.1".into(),
            mail_from: "<>".into(),
            ..Default::default()
        };
        assert_eq!(
            inbound("--client-ip 192.0.2.1 --mail-from <>"),
            Ok(expected.clone())
        );
        assert_eq!(
            inbound("--plaintext --client-ip 192.0.2.1 --mail-from <>"),
            Ok(expected)
        );
        assert!(inbound("").is_err());
        assert!(inbound("--client-ip 192.0.2.1 --plaintext --tls").is_err());
    }

    #[test]
    fn tls_and_its_certificate() {
        let tls = |arguments: &str| {
            let question = inbound(&format!("--client-ip 192.0.2.1 {arguments}")).unwrap();
            question.tls.unwrap()
        };
        assert_eq!(tls("--tls").version, "TLSv1.3");
        assert_eq!(tls("--tls-version 1.1 --no-cert").version, "1.1");
        assert_eq!(tls("--tls").peer_certificate, None);
        assert!(tls("--tls --cert-unavailable").certificate_unavailable);
        let certificate = pb::Certificate {
            trust: pb::CertificateTrust::WrongPurpose.into(),
            dns_names: vec!["a.example".into(), "b.example".into()],
            ..Default::default()
        };
        assert_eq!(
            tls("--tls --cert-name a.example --cert-name b.example --cert-trust wrong-purpose")
                .peer_certificate,
            Some(certificate)
        );
        assert!(inbound("--client-ip 192.0.2.1 --cert-name a.example").is_err());
        assert!(inbound("--client-ip 192.0.2.1 --tls --no-cert --cert-name a.example").is_err());
    }

    #[test]
    fn sessions_of_ours() {
        let question = outbound("--rcpt-to contoso.com").unwrap();
        assert_eq!(
            (question.rcpt_to.as_str(), question.session),
            ("contoso.com", None)
        );
        let question = outbound("--rcpt-to contoso.com --host mx.contoso.com --tls").unwrap();
        let session = question.session.unwrap();
        assert_eq!(
            (session.host.as_str(), session.tls.is_some()),
            ("mx.contoso.com", true)
        );
        assert_eq!(
            outbound("--rcpt-to contoso.com --tls").unwrap_err(),
            "before connecting there is no TLS: add `--host` with the next hop, or remove `--tls`"
        );
        assert!(outbound("--rcpt-to contoso.com --server-ip 192.0.2.1").is_err());
    }

    #[test]
    fn certificates_in_files() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["mx.contoso.com".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let read = |name: &str, octets: &[u8]| {
            let file = directory.path().join(name);
            fs::write(&file, octets).unwrap();
            read_certificate(file).map_err(|stop| {
                stop.message()
                    .replace(&*directory.path().to_string_lossy(), "")
            })
        };
        let pem = format!(
            "subject=CN = x\n{}{}",
            key.serialize_pem(),
            certificate.pem()
        );
        assert_eq!(
            read("a.pem", pem.as_bytes()).unwrap(),
            certificate.der().to_vec()
        );
        assert_eq!(
            read("a.der", certificate.der()).unwrap(),
            certificate.der().to_vec()
        );
        assert_eq!(
            read("key.pem", key.serialize_pem().as_bytes()).unwrap_err(),
            "there is no certificate in the PEM file `/key.pem`"
        );
    }
}
