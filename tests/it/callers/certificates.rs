//! Callers that are known by what TLS verified.

use std::net::SocketAddr;

use postern::rpc::pb::policy_decision_service_client::PolicyDecisionServiceClient;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};

use super::*;
use crate::transport::authority::{Authority, Pair};

/// A server with callers that may, and need not, show a certificate of its authority.
pub(super) struct Served {
    pub(super) running: Running,
    authority: Authority,
}

impl Served {
    fn new(callers: &[String]) -> Self {
        Self::at(callers, &[])
    }

    /// Listening at `places` besides.
    pub(super) fn at(callers: &[String], places: &[&str]) -> Self {
        let folder = folder(Some(&file(callers)));
        let authority = Authority::new("Everybody");
        authority.server("server").write(folder.path(), "server");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let settings = "[server.tls]\ncertificate = \"server.crt\"\nkey = \"server.key\"\n\
                        client_ca = \"ca.crt\"\nclient_certificate = \"optional\"\n";
        Self {
            running: Running::serve_at(folder, settings, places),
            authority,
        }
    }

    /// A certificate of a client with these names and URIs, whose common name is `common_name`.
    fn issue(&self, common_name: &str, names: &[&str], uris: &[&str]) -> Pair {
        issue(&self.authority, names, |params| {
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
            let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
            params.subject_alt_names.extend(uris.iter().map(uri));
        })
    }

    /// A connection by who has this certificate, if any.
    async fn dial(&self, identity: Option<Pair>) -> PolicyDecisionServiceClient<Channel> {
        self.dial_at(self.running.listen, identity).await.unwrap()
    }

    /// The same to one of the places where it listens.
    pub(super) async fn dial_at(
        &self,
        listen: SocketAddr,
        identity: Option<Pair>,
    ) -> Result<PolicyDecisionServiceClient<Channel>, Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.authority.pem()))
            .domain_name("postern.test");
        if let Some(Pair {
            certificate, key, ..
        }) = identity
        {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{listen}")).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await?;
        Ok(PolicyDecisionServiceClient::new(channel))
    }
}

/// A certificate of a client.
fn issue(
    authority: &Authority,
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> Pair {
    authority.issue(names, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(params);
    })
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
    let edge = "certificate_names = [\"mx1.contoso.com\", \"mx2.contoso.com\"]\n\
                certificate_uris = [\"spiffe://contoso.com/ns/mail/sa/gateway\"]";
    let served = Served::new(&[
        certified("edge", &["contoso"], edge),
        certified(
            "other",
            &["fabrikam"],
            "certificate_names = [\"mx.fabrikam.com\"]",
        ),
        caller("desk", &["adatum"], ""),
    ]);
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
                identity.map(|(names, uris)| served.issue("mx1.contoso.com", names, uris));
            let mut client = served.dial(certificate).await;
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
    let names = "certificate_names = [\"mx1.contoso.com\"]";
    let served = Served::new(&[certified("edge", &["contoso"], names)]);
    let certificate = served.issue("", &["mx1.contoso.com"], &[]);
    let running = &served.running;
    block_on(async {
        let mut client = served.dial(Some(certificate)).await;
        let first = client.check_inbound(plaintext()).await;
        assert_eq!(answered(first.map(Response::into_inner)), "contoso");
        let others = names.replace("mx1", "mx2");
        live::save(running, &file(&[certified("edge", &["contoso"], &others)]));
        let next = client.check_inbound(plaintext()).await;
        assert_eq!(refusal(next).0, Code::Unauthenticated);
        live::save(running, &file(&[certified("edges", &["fabrikam"], names)]));
        let last = client.check_inbound(plaintext()).await;
        assert_eq!(answered(last.map(Response::into_inner)), "fabrikam");
    });
}

#[test]
fn a_certificate_that_is_not_good_is_nobodys_whatever_it_says() {
    let names = "certificate_names = [\"mx1.contoso.com\"]";
    let served = Served::new(&[
        certified("edge", &["contoso"], names),
        caller("desk", &["adatum"], ""),
    ]);
    let own = &["mx1.contoso.com"];
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    };
    let bad = [
        // Of an authority of the same name, and of another one.
        issue(&Authority::new("Everybody"), own, |_| {}),
        issue(&Authority::new("Others"), own, |_| {}),
        issue(&served.authority, own, expired),
        served.authority.issue(own, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ];
    block_on(async {
        for (at, pair) in bad.into_iter().enumerate() {
            // In TLS 1.3 a client hears of it with what it asks first: there is no answer to that,
            // not even where a good token comes along.
            let Ok(mut client) = served.dial_at(served.running.listen, Some(pair)).await else {
                continue;
            };
            let asked = client.check_inbound(by("desk", plaintext())).await;
            let status = asked.unwrap_err();
            assert!(status.get_details_error_info().is_none(), "{at}: {status}");
        }
        let mut client = served.dial(Some(served.issue("", own, &[]))).await;
        let asked = client.check_inbound(plaintext()).await;
        assert_eq!(answered(asked.map(Response::into_inner)), "contoso");
    });
    let (_, metrics) = served.running.page("/metrics");
    let line = "postern_caller_calls_total{caller=\"edge\",grpc_code=\"OK\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(!metrics.contains("caller=\"desk\""), "{metrics}");
}
