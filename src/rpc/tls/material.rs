//! Certificates, keys and authorities as they are in files, made into what TLS is spoken with.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    Error as TlsError, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, time::ASN1Time};

pub use super::pem::{Pem, Unusable};
use crate::rpc::certificate::read;

/// What TLS is spoken with.
#[derive(Debug)]
pub struct Material {
    pub(super) config: ServerConfig,
    /// What the certificate is for: its names and addresses.
    pub names: Vec<String>,
    /// When the certificate begins to hold.
    pub not_before: SystemTime,
    /// When it ends to.
    pub not_after: SystemTime,
}

/// The files that TLS is spoken with.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The certificate, and those between it and its authority.
    pub certificate: Pem<'a>,
    /// Its private key.
    pub key: Pem<'a>,
    /// The authorities that vouch for clients, and whether a client must have a certificate.
    pub client_ca: Option<(Pem<'a>, bool)>,
    /// TLS 1.3 alone is spoken.
    pub only_1_3: bool,
}

impl Material {
    /// Makes of `sources` what TLS is spoken with from `now` on.
    pub fn new(sources: &Sources<'_>, now: SystemTime) -> Result<Self, Unusable> {
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = pair(sources, &provider)?;
        let file = &sources.certificate;
        let leaf = chain.first().and_then(|leaf| read(leaf)).ok_or_else(|| {
            let help = "get it from your authority anew";
            file.unusable(
                "certificate-bad",
                "has a certificate that cannot be read",
                help,
            )
        })?;
        let validity = leaf.validity();
        let (not_before, not_after) = (time(validity.not_before), time(validity.not_after));
        if not_after <= now {
            let end = humantime::format_rfc3339_seconds(not_after);
            let what = format!("has a certificate that expired at {end}");
            return Err(file.unusable("certificate-expired", &what, "renew it"));
        }
        let names = names(&leaf);
        matching(sources, &chain, &names, &key)?;
        let certified = CertifiedKey::new(chain, key);
        Ok(Self {
            config: config(sources, certified, provider)?,
            names,
            not_before,
            not_after,
        })
    }
}

type Chain = Vec<CertificateDer<'static>>;

/// The certificates and the key that the files hold.
fn pair(
    sources: &Sources<'_>,
    provider: &CryptoProvider,
) -> Result<(Chain, Arc<dyn SigningKey>), Unusable> {
    let Sources {
        certificate, key, ..
    } = sources;
    let (of_certificate, of_key) = (certificate.sections()?, key.sections()?);
    let lacks = of_certificate.certificates.is_empty() && !of_certificate.keys.is_empty();
    if lacks && !of_key.certificates.is_empty() {
        let help = "exchange `certificate` and `key` in `[server.tls]` of the settings";
        let what = format!("has the key, and `{}` the certificate", key.path.display());
        return Err(certificate.unusable("pair-swapped", &what, help));
    }
    let (chain, private) = (certificate.certificates()?, key.private_key()?);
    let signing = provider.key_provider.load_private_key(private);
    let signing = signing.map_err(|error| {
        let cause = match error {
            TlsError::General(cause) => cause,
            error => error.to_string(),
        };
        let what = format!("has a key that cannot be used: {cause}");
        let help = "use a key of ECDSA (P-256, P-384), Ed25519, or RSA with 2048 to 8192 bits";
        key.unusable("key-bad", &what, help)
    })?;
    Ok((chain, signing))
}

/// Sees to it that `key` is the key of the first certificate of `chain`.
fn matching(
    sources: &Sources<'_>,
    chain: &[CertificateDer<'static>],
    names: &[String],
    key: &Arc<dyn SigningKey>,
) -> Result<(), Unusable> {
    let Sources {
        certificate,
        key: file,
        ..
    } = sources;
    let check = |at: &CertificateDer<'static>| {
        CertifiedKey::new(vec![at.clone()], Arc::clone(key)).keys_match()
    };
    let mut rest = chain.iter();
    match rest.next().map_or(Ok(()), check) {
        // The provider cannot tell: peers will.
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(TlsError::InconsistentKeys(_)) => {
            if rest.any(|other| check(other).is_ok()) {
                let help = "put the certificate that the key is for before the others";
                let what = "does not begin with the certificate of the key";
                return Err(certificate.unusable("chain-disordered", what, help));
            }
            let certificate = certificate.path.display();
            let names = names.join(", ");
            let what = format!("is not the key of the certificate in `{certificate}` ({names})");
            let help = "put the two that belong together there; where one is still to come, nothing \
                        else is to be done";
            Err(file.unusable("key-mismatch", &what, help))
        }
        Err(error) => {
            let what = format!("has a certificate that cannot be used: {error}");
            let help = "get a certificate of version 3 from your authority";
            Err(certificate.unusable("certificate-bad", &what, help))
        }
    }
}

fn config(
    sources: &Sources<'_>,
    certified: CertifiedKey,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, Unusable> {
    let verifier = client_verifier(sources, &provider)?;
    let versions: &[_] = if sources.only_1_3 {
        &[&TLS13]
    } else {
        &[&TLS13, &TLS12]
    };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.map_err(|error| {
        let what = format!("cannot be used: {error}");
        sources
            .certificate
            .unusable("certificate-bad", &what, "this is a bug: report it")
    })?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let asks = verifier.is_some();
    let mut config = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    }
    .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec()];
    if asks {
        // Why: a session that is resumed brings its certificate along without another look, also
        // where that has expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// What looks at the certificates of clients; none where they are not asked for one.
fn client_verifier(
    sources: &Sources<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Unusable> {
    let Some((file, required)) = &sources.client_ca else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for authority in file.certificates()? {
        roots.add(authority).map_err(|error| {
            let what = format!("has an authority that cannot be used: {error}");
            let help = "put certificates of authorities there, in PEM";
            file.unusable("authority-bad", &what, help)
        })?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if *required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build().map(Some).map_err(|error| {
        let what = format!("cannot be used: {error}");
        let help = "put certificates of authorities there, in PEM";
        file.unusable("authority-bad", &what, help)
    })
}

/// The names and addresses that `leaf` is for.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let names = alternative
        .iter()
        .flat_map(|names| &names.value.general_names);
    let shown = names.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    });
    shown.collect()
}

fn time(at: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    at.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
