//! Callers that are known by what TLS verified.

use std::path::Path;

use postern::rpc::pb::policy_decision_service_client::PolicyDecisionServiceClient;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::*;

/// An authority that a test makes.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate with these names and URIs, whose common name is `common_name`, and its key.
    fn issue(&self, common_name: &str, names: &[&str], uris: &[&str]) -> (String, String) {
        let names = names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names.extend(uris.iter().map(uri));
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server with these callers that may, and need not, show a certificate of `authority`.
fn serve_tls(authority: &Authority, callers: &[String]) -> Running {
    let folder = folder(Some(&file(callers)));
    let write = |name: &str, text: &str| fs::write(folder.path().join(Path::new(name)), text);
    let (certificate, key) = authority.issue("server", &["localhost"], &[]);
    write("server.pem", &certificate).unwrap();
    write("server.key", &key).unwrap();
    write("ca.pem", &authority.pem).unwrap();
    let settings = "[server.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
                    client_ca = \"ca.pem\"\nclient_certificate = \"optional\"\n";
    Running::serve_folder(folder, settings)
}

/// A connection by who has this certificate, if any.
async fn dial(
    running: &Running,
    authority: &Authority,
    identity: Option<(String, String)>,
) -> PolicyDecisionServiceClient<Channel> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let url = format!("https://{}", running.listen);
    let endpoint = Endpoint::from_shared(url).unwrap().tls_config(tls).unwrap();
    let channel = endpoint.connect().await.unwrap();
    PolicyDecisionServiceClient::new(channel)
}

/// An entry of the file of callers that is known by certificates.
fn certified(name: &str, sets: &[&str], lists: &str) -> String {
    format!("[[callers]]\nname = \"{name}\"\nsets = {sets:?}\n{lists}\n")
}

/// The names and URIs of a certificate, what a call bears, and the set that answers.
type Case<'a> = (
    Option<(&'a [&'a str], &'a [&'a str])>,
    Option<&'a str>,
    Result<&'a str, &'a str>,
);

#[test]
fn a_certificate_says_who_asks() {
    let authority = Authority::new();
    let edge = "certificate_names = [\"mx1.contoso.com\", \"mx2.contoso.com\"]\n\
                certificate_uris = [\"spiffe://contoso.com/ns/mail/sa/gateway\"]";
    let running = serve_tls(
        &authority,
        &[
            certified("edge", &["contoso"], edge),
            certified(
                "other",
                &["fabrikam"],
                "certificate_names = [\"mx.fabrikam.com\"]",
            ),
            caller("desk", &["adatum"], ""),
        ],
    );
    let spiffe = "spiffe://contoso.com/ns/mail/sa/gateway";
    let unknown = Err("CALLER_UNKNOWN");
    let ambiguous = Err("CALLER_AMBIGUOUS");
    let guess = format!("Bearer {}", token("guess"));
    let desk = format!("Bearer {}", token("desk"));
    let cases: [Case<'_>; 15] = [
        (None, None, unknown),
        (None, Some(&desk), Ok("adatum")),
        (Some((&["mx1.contoso.com"], &[])), None, Ok("contoso")),
        (Some((&["MX2.Contoso.com"], &[])), None, Ok("contoso")),
        (
            Some((&["x.example", "mx1.contoso.com"], &[])),
            None,
            Ok("contoso"),
        ),
        (Some((&[], &[spiffe])), None, Ok("contoso")),
        (Some((&["mx.fabrikam.com"], &[])), None, Ok("fabrikam")),
        // Names that only look like a caller's.
        (Some((&["mx3.contoso.com"], &[])), None, unknown),
        (Some((&["*.contoso.com"], &[])), None, unknown),
        (
            Some((
                &["a.mx1.contoso.com"],
                &["spiffe://contoso.com/ns/mail/sa/gateway/"],
            )),
            None,
            unknown,
        ),
        // Of several callers, by itself and with a token.
        (Some((&["mx.fabrikam.com"], &[spiffe])), None, ambiguous),
        (Some((&["mx1.contoso.com"], &[])), Some(&desk), ambiguous),
        // A good certificate does not make up for a guess; a token does for an unknown one.
        (Some((&["mx1.contoso.com"], &[])), Some(&guess), unknown),
        (Some((&["x.example"], &[])), Some(&desk), Ok("adatum")),
        (Some((&["x.example"], &[])), Some(&guess), unknown),
    ];
    block_on(async {
        for (identity, authorization, expected) in cases {
            // A common name is never looked at.
            let certificate =
                identity.map(|(names, uris)| authority.issue("mx1.contoso.com", names, uris));
            let mut client = dial(&running, &authority, certificate).await;
            for _ in 0..2 {
                let authorization: Vec<_> = authorization.into_iter().collect();
                let asked = call(inbound("", "bob@treyresearch.net"), &authorization);
                let answer = client.check_inbound(asked).await;
                let answer = answer.map(Response::into_inner);
                match expected {
                    Ok(set) => assert_eq!(answered(answer), set, "{identity:?}"),
                    Err(reason) => {
                        let refused = (Code::Unauthenticated, reason.to_owned());
                        assert_eq!(refusal(answer), refused, "{identity:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_certificate_that_is_no_longer_listed_is_refused_on_its_open_connection() {
    let authority = Authority::new();
    let names = "certificate_names = [\"mx1.contoso.com\"]";
    let running = serve_tls(&authority, &[certified("edge", &["contoso"], names)]);
    let certificate = authority.issue("", &["mx1.contoso.com"], &[]);
    block_on(async {
        let mut client = dial(&running, &authority, Some(certificate)).await;
        let first = client.check_inbound(plaintext()).await;
        assert_eq!(answered(first.map(Response::into_inner)), "contoso");
        let others = names.replace("mx1", "mx2");
        live::save(&running, &file(&[certified("edge", &["contoso"], &others)]));
        let next = client.check_inbound(plaintext()).await;
        assert_eq!(refusal(next).0, Code::Unauthenticated);
        live::save(&running, &file(&[certified("edges", &["fabrikam"], names)]));
        let last = client.check_inbound(plaintext()).await;
        assert_eq!(answered(last.map(Response::into_inner)), "fabrikam");
    });
}
