//! The limits of a connection hold over TLS as they do without.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use super::{Served, ask, metric};
use crate::{
    limits::raw::Raw,
    running::{PATIENCE, block_on, plaintext, tool},
};

const CHECK: &str = "/postern.v1.PolicyDecisionService/CheckInbound";

/// Who speaks TLS with the server, and takes it for what it is.
fn speaker(served: &Served) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = std::fs::read(served.path().join("ca.crt")).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// A connection after its handshake, over which nothing was said.
fn encrypted(served: &Served) -> StreamOwned<ClientConnection, TcpStream> {
    let tcp = TcpStream::connect(served.running.listen).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("postern.test").unwrap();
    let session = ClientConnection::new(speaker(served), name).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

#[test]
fn who_does_not_begin_is_cut() {
    let served = Served::new("[server.limits]\nhandshake_timeout = \"300ms\"\n");
    let cut = |begin: Instant| {
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(250), "{took:?}");
        assert!(took < PATIENCE / 2, "{took:?}");
    };
    // Without a handshake, and with nothing after it.
    let mut silent = TcpStream::connect(served.running.listen).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let begin = Instant::now();
    assert_eq!(silent.read(&mut [0; 9]).unwrap(), 0);
    cut(begin);
    served.until_handshakes("timed-out", 1);
    let begin = Instant::now();
    let mut quiet = encrypted(&served);
    quiet.write_all(&b"PRI * HTTP/2.0"[..]).unwrap();
    quiet.flush().unwrap();
    // The server's own settings may come before the end.
    let _ = quiet.read_to_end(&mut Vec::new());
    cut(begin);
    let closed = "postern_connections_closed_total{limit=\"handshake_timeout\"}";
    assert_eq!(metric(&served.running, closed), Some(1));
    block_on(ask(&served.options(None))).unwrap();
}

#[test]
fn no_call_is_lost_while_connections_rotate() {
    let served = Served::new("[server.limits]\nage = \"500ms\"\nage_grace = \"20s\"\n");
    let data = r#"{"client_ip": "192.0.2.7", "mail_from": "ann@contosobank.com"}"#;
    let output = Command::new(tool("ghz"))
        .arg("--cacert")
        .arg(served.path().join("ca.crt"))
        .args(["--async", "--connections", "4", "--concurrency", "32"])
        .args(["--rps", "800", "--total", "3200"])
        .args(["--format", "json", "--data", data])
        .args(["--call", "postern.v1.PolicyDecisionService/CheckInbound"])
        .arg(served.running.listen.to_string())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    // Attempts that gRPC made anew on the next connection come beside these.
    let errors = &report["errorDistribution"];
    assert_eq!(report["statusCodeDistribution"]["OK"], 3200, "{errors}");
    let count = |name: &str| metric(&served.running, name).unwrap();
    let rotated = count("postern_connections_closed_total{limit=\"age\"}");
    assert!(rotated > 10, "{rotated}");
    assert!(served.handshakes("completed") > rotated);
    let cut = count("postern_connections_closed_total{limit=\"age_grace\"}");
    assert_eq!(cut, 0);
}

#[test]
fn a_connection_has_no_more_calls_than_it_may() {
    let served = Served::new("[server.limits]\ncalls_per_connection = 2\n");
    let listen = served.running.listen;
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(listen).await.unwrap();
        let name = ServerName::try_from("postern.test").unwrap();
        let connector = tokio_rustls::TlsConnector::from(speaker(&served));
        let stream = connector.connect(name, tcp).await.unwrap();
        let mut peer = Raw::over(stream, listen, &h2::client::Builder::new()).await;
        let answer = peer.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), tonic::Code::Ok, "{answer:?}");
        assert_eq!(peer.most_calls(), 2);
        // Two that wait keep a third one waiting, and not another connection.
        let (first, second) = (peer.begin(CHECK), peer.begin(CHECK));
        let mut other = peer.share();
        let question = plaintext();
        let third = other.ask_for(CHECK, &question);
        let mut third = std::pin::pin!(third);
        let options = served.options(None);
        tokio::select! {
            answer = &mut third => panic!("it was let in: {answer:?}"),
            asked = ask(&options) => drop(asked.unwrap()),
        }
        for call in [first, second] {
            let answer = call.end(&plaintext()).await;
            assert_eq!(answer.status().code(), tonic::Code::Ok, "{answer:?}");
        }
        let answer = third.await;
        assert_eq!(answer.status().code(), tonic::Code::Ok, "{answer:?}");
    });
}
