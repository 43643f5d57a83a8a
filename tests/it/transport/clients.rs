//! What `postern` says as a client where a server cannot be asked.

use std::{net::TcpListener, process::Output, sync::Arc};

use rcgen::date_time_ymd;
use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};

use super::{Authority, CLIENT_CA, Served};
use crate::running::{Running, demands_tls, postern};

/// `postern explain` of a mail, asking the server that `flags` name.
fn explain(flags: &[&str]) -> Output {
    explain_with(flags, None)
}

fn explain_with(flags: &[&str], token: Option<&str>) -> Output {
    let mut command = postern();
    if let Some(token) = token {
        command.env("POSTERN_TOKEN", token);
    }
    let facts = [
        "--client-ip",
        "192.0.2.7",
        "--mail-from",
        "ann@contosobank.com",
    ];
    let mut command = command;
    command.args(["explain", "inbound"]).args(facts).args(flags);
    command.output().unwrap()
}

/// What it says, where it cannot decide.
fn said(flags: &[&str]) -> String {
    let output = explain(flags);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    said
}

#[test]
fn a_server_with_tls_is_asked_by_its_certificate() {
    let served = Served::new(CLIENT_CA);
    served.clients.client().write(served.path(), "client");
    let path = |name: &str| served.path().join(name).display().to_string();
    let (ca, certificate, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let port = served.running.listen.port();
    let url = format!("https://127.0.0.1:{port}");
    let identity = ["--certificate", &certificate, "--key", &key];
    let asked = |flags: &[&str]| explain(&[flags, &identity].concat());

    let output = asked(&["--server", &url, "--ca", &ca]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // Another host, which the certificate is for by name.
    let other = format!("https://localhost:{port}");
    let output = asked(&[
        "--server",
        &other,
        "--ca",
        &ca,
        "--server-name",
        "postern.test",
    ]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = said(&[&["--server", &other, "--ca", &ca][..], &identity].concat());
    assert!(
        told.contains("its certificate is for other names"),
        "{told}"
    );
    assert!(
        told.contains("postern.test") && told.contains("`server-name`"),
        "{told}"
    );

    let told = said(&["--server", &url, "--ca", &ca]);
    assert!(told.contains("it wants a client certificate"), "{told}");
    let told = said(&["--server", &url, "--ca", &path("clients.crt")]);
    assert!(
        told.contains("nobody that is trusted here vouches for its certificate"),
        "{told}"
    );
    let told = said(&["--server", &url, "--ca", &key]);
    assert!(
        told.contains("has no certificate: put certificates there"),
        "{told}"
    );
    let told = said(&["--server", &format!("http://127.0.0.1:{port}")]);
    assert!(told.contains("write `https://` before the host"), "{told}");
}

#[test]
fn a_server_in_plaintext_is_told_apart() {
    let running = Running::serve(&[("default", &demands_tls("one"))]);
    let folder = tempfile::TempDir::new().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, Authority::new("Servers").pem()).unwrap();
    let url = format!("https://{}", running.listen);
    let told = said(&["--server", &url, "--ca", &ca.display().to_string()]);
    assert!(
        told.contains("it does not speak TLS: write `http://`"),
        "{told}"
    );
}

#[test]
fn an_expired_server_is_told() {
    let authority = Authority::new("Servers");
    let expired = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let folder = tempfile::TempDir::new().unwrap();
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    // Postern itself would not show it.
    let chain = vec![expired.der.into()];
    let key = PrivateKeyDer::from_pem_slice(expired.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut session = ServerConnection::new(Arc::new(config)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut tcp, _) = listener.accept().unwrap();
            session.complete_io(&mut tcp).unwrap_err();
        });
        said(&["--server", &url, "--ca", &ca.display().to_string()])
    });
    assert!(
        told.contains("its certificate has expired: it has to be renewed there"),
        "{told}"
    );
}

#[test]
fn a_token_is_not_sent_where_others_could_take_it() {
    let flags = ["--server", "http://192.0.2.1:50051"];
    let output = explain_with(&flags, Some("secret"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("a token is not sent in plaintext to another machine"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
    let running = Running::serve(&[("default", &demands_tls("one"))]);
    let server = running.listen.to_string();
    let output = explain_with(&["--server", &server], Some("secret"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let file = empty.path().to_str().unwrap();
    let output = explain_with(&["--server", &server, "--token-file", file], None);
    let said = String::from_utf8(output.stderr).unwrap();
    let sentence = format!("the token in `{file}` cannot be used");
    assert!(said.contains(&sentence), "{said}");
}
