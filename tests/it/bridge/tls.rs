//! How a bridge asks over TLS: whom it takes for the service, and how it shows who asks.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use postern::callers::TokenHash;
use rcgen::date_time_ymd;
use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;

use super::{
    REFUSED, SET, Smtpd,
    faults::{DEFER, asked},
    metric,
};
use crate::{
    running::{PATIENCE, Running, field},
    transport::authority::{Authority, Pair},
};

/// A service with TLS that shows `pair`, with `files` beside its settings.
fn service(pair: &Pair, settings: &str, files: &[(&str, String)]) -> Running {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    fs::write(folder.path().join("connectors/default.toml"), SET).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    pair.write(folder.path(), "tls");
    let tls = "[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";
    Running::serve_folder(folder, &format!("{tls}{settings}"))
}

/// A bridge that asks at `port` over TLS, with these files and settings.
fn bridge(port: u16, settings: &str, files: &[(&str, String)]) -> Running {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let text = format!(
        "[service]\nendpoints = \"https://127.0.0.1:{port}\"\nca = \"ca.crt\"\n\
         deadline = \"10s\"\nresolve_interval = \"50ms\"\n{settings}\n[[policy]]\nlisten = \"127.0.0.1:0\"\n"
    );
    Running::bridge_in(folder, &text)
}

/// What a mail server is told.
fn told(bridge: &Running) -> String {
    Smtpd::connect(bridge.listen).asks(&asked())
}

/// Asks until what is told begins so.
fn until_told(bridge: &Running, wanted: &str) {
    let begin = Instant::now();
    loop {
        let told = told(bridge);
        if told.starts_with(wanted) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{told}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn deferred(bridge: &Running) -> u64 {
    metric(bridge, "postern_bridge_unanswered_total{did=\"defer\"}")
}

#[test]
fn only_who_is_vouched_for_is_asked() {
    let (authority, stranger) = (Authority::new("Servers"), Authority::new("Servers"));
    let right = service(&authority.server("right"), "", &[]);
    let elsewhere = service(&authority.issue(&["elsewhere.test"], |_| ()), "", &[]);
    let ca = [("ca.crt", authority.pem())];
    let strange = [("ca.crt", stranger.pem())];
    let named = "server_name = \"elsewhere.test\"";
    for (service, settings, files, wanted) in [
        (&right, "", &ca, REFUSED),
        (&right, "", &strange, DEFER),
        (&elsewhere, "", &ca, DEFER),
        (&elsewhere, named, &ca, REFUSED),
        (&right, named, &ca, DEFER),
    ] {
        let bridge = bridge(service.listen.port(), settings, files);
        let told = told(&bridge);
        assert!(told.starts_with(wanted), "{settings} {told}");
        assert_eq!(deferred(&bridge), u64::from(wanted == DEFER));
    }
}

#[test]
fn one_whose_time_is_over_is_told_so_and_not_asked() {
    let authority = Authority::new("Servers");
    let ca = [("ca.crt", authority.pem())];
    let handshake = |year| {
        let pair = authority.issue(&["127.0.0.1"], |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
        });
        let (port, came) = shows(&pair);
        let bridge = bridge(port, "health_interval = \"1h\"", &ca);
        assert_eq!(told(&bridge), DEFER);
        came.recv_timeout(PATIENCE).unwrap()
    };
    assert_eq!(handshake(4000), "done");
    let ended = handshake(2002);
    assert!(ended.contains("CertificateExpired"), "{ended}");
}

/// Who shows `pair` at a port, says what came of each handshake, and hangs up.
fn shows(pair: &Pair) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let chain = vec![CertificateDer::from(pair.der.clone())];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let (say, came) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut ended = "done".to_owned();
            while session.is_handshaking() {
                if let Err(error) = session.complete_io(&mut stream) {
                    ended = format!("{error:?}");
                    break;
                }
            }
            if say.send(ended).is_err() {
                break;
            }
        }
    });
    (port, came)
}

#[test]
fn what_shows_who_asks_is_renewed_while_it_runs() {
    let (servers, clients) = (Authority::new("Servers"), Authority::new("Clients"));
    let stranger = Authority::new("Clients");
    let known = [("clients.crt", clients.pem())];
    let service = service(
        &servers.server("mutual"),
        "client_ca = \"clients.crt\"\n",
        &known,
    );
    let port = service.listen.port();
    let nobody = bridge(port, "", &[("ca.crt", servers.pem())]);
    assert_eq!(told(&nobody), DEFER);

    let first = stranger.client();
    let files = [
        ("ca.crt", servers.pem()),
        ("client.crt", first.certificate.clone()),
        ("client.key", first.key.clone()),
    ];
    let shows = "certificate = \"client.crt\"\nkey = \"client.key\"";
    let bridge = bridge(port, shows, &files);
    assert_eq!(told(&bridge), DEFER);
    clients.client().write(bridge.folder.path(), "client");
    until_told(&bridge, REFUSED);
    // What is no key is not taken up.
    fs::write(bridge.folder.path().join("client.key"), "none").unwrap();
    says(&bridge, "the old keys stay in use");
    assert!(told(&bridge).starts_with(REFUSED));
    clients.client().write(bridge.folder.path(), "client");
    until_told(&bridge, REFUSED);
    // The one that is good for nothing is shown from then on, too.
    first.write(bridge.folder.path(), "client");
    until_told(&bridge, DEFER);
}

fn says(bridge: &Running, message: &str) {
    bridge.logged(|event| field(event, "message").is_some_and(|it| it == message));
}

#[test]
fn a_token_is_shown_and_renewed() {
    let authority = Authority::new("Servers");
    let right = "the-token-of-the-bridge-0123456789";
    let hash = TokenHash::of(right.as_bytes());
    let callers = format!(
        "version = 1\n[[callers]]\nname = \"bridge\"\ntoken_sha256 = [\"{hash}\"]\n\
         sets = [\"default\"]\n[end]\n"
    );
    let service = service(
        &authority.server("tokens"),
        "",
        &[("callers.toml", callers)],
    );
    let port = service.listen.port();
    let ca = ("ca.crt", authority.pem());
    // An error of whoever set it up: no mail passes for it.
    let accept = "on_unavailable = \"accept\"";
    let nobody = bridge(port, accept, std::slice::from_ref(&ca));
    let refused = "action=451 4.3.5 ";
    assert!(told(&nobody).starts_with(refused));

    let wrong = "another-token-of-the-bridge-0123456789".to_owned();
    let settings = format!("{accept}\ntoken_file = \"bridge.token\"");
    let bridge = bridge(port, &settings, &[ca, ("bridge.token", wrong)]);
    assert!(told(&bridge).starts_with(refused));
    let line = "postern_bridge_calls_total{grpc_code=\"UNAUTHENTICATED\"}";
    assert_eq!(metric(&bridge, line), 1);
    write(bridge.folder.path(), right);
    until_told(&bridge, REFUSED);
    write(bridge.folder.path(), "yet-another-token-0123456789012345");
    until_told(&bridge, refused);
}

fn write(folder: &Path, token: &str) {
    // Renamed, as who renews a secret does.
    fs::write(folder.join("new.token"), token).unwrap();
    fs::rename(folder.join("new.token"), folder.join("bridge.token")).unwrap();
}
