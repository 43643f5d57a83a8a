//! Who gets in over TLS, and who does not.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::date_time_ymd;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsConnector;

use super::{Authority, CLIENT_CA, Served, ask, metric, refused};
use crate::running::{PATIENCE, block_on, field};

/// The certificate that the server shows to who speaks this version alone.
pub(super) fn shown(
    served: &Served,
    version: &'static SupportedProtocolVersion,
) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    let ca = fs::read(served.path().join("ca.crt")).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listen = served.running.listen;
    block_on(async {
        let tcp = tokio::net::TcpStream::connect(listen).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("postern.test").unwrap();
        let stream = connector
            .connect(name, tcp)
            .await
            .map_err(|error| error.to_string())?;
        let (_, session) = stream.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        Ok(session.peer_certificates().unwrap()[0].to_vec())
    })
}

#[test]
fn only_clients_with_a_certificate_of_the_right_authority_get_in() {
    let served = Served::new(CLIENT_CA);
    let right = served.clients.client();
    block_on(ask(&served.options(Some(&right)))).unwrap();

    let none = refused(&served.options(None));
    assert!(
        none.contains("it wants a client certificate: give the files"),
        "{none}"
    );
    let stranger = Authority::new("Clients").client();
    let wrong = refused(&served.options(Some(&stranger)));
    // One that says it is of the same authority has a signature that does not hold.
    assert!(
        wrong.contains("it does not take the client certificate"),
        "{wrong}"
    );
    let stranger = Authority::new("Others").client();
    let wrong = refused(&served.options(Some(&stranger)));
    assert!(
        wrong.contains("it does not know the authority of the client certificate"),
        "{wrong}"
    );
    let expired = served.clients.issue(&["mx1.contoso.com"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let expired = refused(&served.options(Some(&expired)));
    assert!(
        expired.contains("the client certificate has expired: renew it"),
        "{expired}"
    );

    served.until_handshakes("certificate-missing", 1);
    served.until_handshakes("certificate-refused", 3);
    served.until_handshakes("completed", 1);
    served.running.logged(|event| {
        field(event, "message").is_some_and(|message| message == "a TLS client was refused")
            && field(event, "result").is_some_and(|result| result == "certificate-missing")
            && field(event, "peer").is_some_and(|peer| peer.as_str().unwrap().starts_with("127."))
    });
}

#[test]
fn a_certificate_that_is_optional_must_be_good_where_there_is_one() {
    let settings = format!("{CLIENT_CA}client_certificate = \"optional\"\n");
    let served = Served::new(&settings);
    block_on(async {
        ask(&served.options(None)).await.unwrap();
        ask(&served.options(Some(&served.clients.client())))
            .await
            .unwrap();
    });
    let stranger = Authority::new("Others").client();
    let wrong = refused(&served.options(Some(&stranger)));
    assert!(
        wrong.contains("it does not know the authority of the client certificate"),
        "{wrong}"
    );
}

#[test]
fn only_tls_1_2_and_1_3_are_spoken() {
    let served = Served::new("");
    shown(&served, &TLS12).unwrap();
    shown(&served, &TLS13).unwrap();
    let mut tcp = TcpStream::connect(served.running.listen).unwrap();
    tcp.write_all(&hello_1_1()).unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    // A fatal alert, 40: nothing in it is spoken.
    assert_eq!((answer[0], &answer[5..]), (21, &[2, 40][..]));
    served.until_handshakes("incompatible", 1);

    let served = Served::new("min_version = \"TLSv1.3\"\n");
    shown(&served, &TLS13).unwrap();
    let error = shown(&served, &TLS12).unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
}

#[test]
fn plaintext_gets_nothing_out_of_a_tls_port() {
    let served = Served::new("");
    for text in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut tcp = TcpStream::connect(served.running.listen).unwrap();
        tcp.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).unwrap();
        // At most an alert.
        assert!(
            answer.len() <= 7 && answer.first().is_none_or(|kind| *kind == 21),
            "{answer:?}"
        );
    }
    served.until_handshakes("not-tls", 2);
    let mut options = served.options(None);
    options.server = served.running.listen.to_string();
    options.ca = None;
    let told = refused(&options);
    assert!(told.contains("write `https://` before the host"), "{told}");
    assert_eq!(
        metric(
            &served.running,
            "postern_rpc_requests_total{rpc=\"CheckInbound\",grpc_code=\"OK\"}"
        ),
        Some(0)
    );
}

#[test]
fn silent_peers_are_cut_and_cost_others_nothing() {
    let served = Served::new("[shutdown]\ndrain_delay = \"0s\"\n");
    let begin = Instant::now();
    let mut silent: Vec<_> = (0..200)
        .map(|at| {
            let mut tcp = TcpStream::connect(served.running.listen).unwrap();
            // Some begin, and stop in the middle.
            if at % 2 == 0 {
                tcp.write_all(&hello_1_1()[..20]).unwrap();
            }
            tcp
        })
        .collect();
    block_on(async {
        for _ in 0..20 {
            ask(&served.options(None)).await.unwrap();
        }
    });
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
    for tcp in &mut silent {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest);
    }
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(9) && took < PATIENCE, "{took:?}");
    served.until_handshakes("timed-out", 200);
}

#[test]
fn a_handshake_that_does_not_end_does_not_keep_it_alive() {
    let mut served = Served::new("[shutdown]\ndrain_delay = \"0s\"\ndrain_deadline = \"25s\"\n");
    let _silent = TcpStream::connect(served.running.listen).unwrap();
    // Connections are taken in their order.
    block_on(ask(&served.options(None))).unwrap();
    served.running.signal("TERM");
    let (status, took) = served.running.end();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// The beginning of a handshake of TLS 1.1.
fn hello_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    // No session; three cipher suites; no compression; no extensions.
    body.extend([0, 0, 6, 0xc0, 0x13, 0xc0, 0x09, 0x00, 0x2f, 1, 0, 0, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}
