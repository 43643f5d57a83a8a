//! HTTP with JSON over the same TLS, with the same client certificates.

use super::{CLIENT_CA, Served};
use crate::connect::{curl, http_of};

const ASK: [&str; 4] = [
    "-H",
    "content-type: application/json",
    "-d",
    "{\"clientIp\": \"192.0.2.7\", \"mailFrom\": \"ann@contosobank.com\"}",
];

#[test]
fn http_has_the_tls_of_grpc() {
    let settings = format!("{CLIENT_CA}[server]\nhttp_listen = \"127.0.0.1:0\"\n");
    let served = Served::new(&settings);
    let at = http_of(&served.running);
    let url = format!("https://{at}/postern.v1.PolicyDecisionService/CheckInbound");
    let path = |name: &str| served.path().join(name).display().to_string();
    served.clients.client().write(served.path(), "client");
    let (ca, certificate, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let identity = ["--cacert", &ca, "--cert", &certificate, "--key", &key, &url];
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let got = curl(&[&ASK[..], &identity, &[flag]].concat());
        assert_eq!((got.status, &*got.version), (200, version));
        assert_eq!(got.json()["verdict"], "VERDICT_REJECT");
    }
    served.until_handshakes("completed", 2);
    // Without a certificate nobody is let in.
    let refused = std::process::Command::new("curl")
        .args(["-sS", "--cacert", &ca, &url])
        .args(ASK)
        .output()
        .unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    served.until_handshakes("certificate-missing", 1);
}
