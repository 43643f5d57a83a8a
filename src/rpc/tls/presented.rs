//! What a client certificate says of who presents it.

use x509_parser::extensions::GeneralName;

use crate::rpc::{certificate::read, peer::PeerCertificate};

/// Whom the verified certificate `der` is for.
pub(super) fn certificate(der: &[u8]) -> PeerCertificate {
    let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
    let certificate = read(der);
    let names = certificate
        .as_ref()
        .and_then(|certificate| certificate.subject_alternative_name().ok().flatten());
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    PeerCertificate {
        der: der.to_vec(),
        dns_names,
        uris,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_and_uris_are_those_of_the_certificate() {
        let mut params = CertificateParams::new(vec!["MX1.contoso.com".to_owned()]).unwrap();
        let uri = "spiffe://contoso.com/ns/Mail/sa/gateway";
        let san = |uri: &str| SanType::URI(uri.try_into().unwrap());
        params.subject_alt_names.push(san(uri));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let seen = certificate(made.der());
        assert_eq!(seen.der, made.der().to_vec());
        assert_eq!(seen.dns_names, ["mx1.contoso.com"]);
        assert_eq!(seen.uris, [uri]);
        assert_eq!(certificate(b"no certificate").dns_names, [""; 0]);
    }
}
