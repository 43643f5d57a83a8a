//! Certificates that are renewed while the server runs.

use std::{fs, os::unix::fs::symlink, path::Path, time::Instant};

use postern::rpc::client::Client;
use rcgen::date_time_ymd;
use rustls::version::TLS13;
use serde_json::Value;

use super::{
    Authority, CLIENT_CA, Pair, Served, TLS, ask, folder, handshakes::shown, metric, refused,
};
use crate::running::{PATIENCE, Running, block_on, field, plaintext};

/// Waits until new connections are shown `pair`.
fn until_shown(served: &Served, pair: &Pair) {
    let begin = Instant::now();
    while shown(served, &TLS13).unwrap() != pair.der {
        assert!(begin.elapsed() < PATIENCE, "{:#?}", served.running.events());
    }
}

/// Waits until `/status` has the certificate so.
fn until_status(running: &Running, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let status = running.status()["tls"].clone();
        if wanted(&status) {
            return status;
        }
        assert!(begin.elapsed() < PATIENCE, "{status:#}");
    }
}

/// Publishes files as Kubernetes does: a folder of their own, and the link `..data` to it.
fn publish(folder: &Path, version: &str, pair: &Pair) {
    fs::create_dir(folder.join(version)).unwrap();
    pair.write(&folder.join(version), "tls");
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn served(settings: &str, prepare: impl FnOnce(&Path, &Authority) -> Pair) -> (Served, Pair) {
    let folder = folder();
    let (authority, clients) = (Authority::new("Servers"), Authority::new("Clients"));
    fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    fs::write(folder.path().join("clients.crt"), clients.pem()).unwrap();
    let first = prepare(folder.path(), &authority);
    let running = Running::serve_folder(folder, settings);
    let served = Served {
        running,
        authority,
        clients,
    };
    (served, first)
}

#[test]
fn a_secret_of_kubernetes_is_taken_up() {
    let settings = "[server.tls]\ncertificate = \"secret/tls.crt\"\nkey = \"secret/tls.key\"\n";
    let (served, first) = served(settings, |folder, authority| {
        let secret = folder.join("secret");
        fs::create_dir(&secret).unwrap();
        let first = authority.server("first");
        publish(&secret, "..1", &first);
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), secret.join(name)).unwrap();
        }
        first
    });
    assert_eq!(shown(&served, &TLS13).unwrap(), first.der);
    for (version, name) in [("..2", "second"), ("..3", "third")] {
        let next = served.authority.server(name);
        publish(&served.path().join("secret"), version, &next);
        until_shown(&served, &next);
    }
    assert_eq!(
        metric(
            &served.running,
            "postern_tls_reloads_total{result=\"loaded\"}"
        ),
        Some(3)
    );
    assert_eq!(
        metric(
            &served.running,
            "postern_tls_reloads_total{result=\"refused\"}"
        ),
        Some(0)
    );
}

#[test]
fn an_open_connection_outlives_its_certificate() {
    let served = Served::new("");
    let next = served.authority.server("second");
    // It lives as long as the connection.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut open = runtime
        .block_on(Client::connect(&served.options(None)))
        .unwrap();
    let asked = open.decisions.check_inbound(plaintext());
    runtime.block_on(asked).unwrap();
    next.write(served.path(), "tls");
    until_shown(&served, &next);
    let asked = open.decisions.check_inbound(plaintext());
    runtime.block_on(asked).unwrap();
}

#[test]
fn the_links_of_certbot_are_taken_up() {
    let settings =
        "[server.tls]\ncertificate = \"live/mx/fullchain.pem\"\nkey = \"live/mx/privkey.pem\"\n";
    let archive = |folder: &Path, at: u32, pair: &Pair| {
        let archive = folder.join("archive/mx");
        fs::write(archive.join(format!("privkey{at}.pem")), &pair.key).unwrap();
        fs::write(
            archive.join(format!("fullchain{at}.pem")),
            &pair.certificate,
        )
        .unwrap();
        for name in ["privkey", "fullchain"] {
            let link = folder.join(format!("live/mx/{name}.pem"));
            let _ = fs::remove_file(&link);
            symlink(format!("../../archive/mx/{name}{at}.pem"), link).unwrap();
        }
    };
    let (served, _) = served(settings, |folder, authority| {
        fs::create_dir_all(folder.join("archive/mx")).unwrap();
        fs::create_dir_all(folder.join("live/mx")).unwrap();
        let first = authority.server("first");
        archive(folder, 1, &first);
        first
    });
    for at in [2, 3] {
        let next = served.authority.server("next");
        archive(served.path(), at, &next);
        until_shown(&served, &next);
    }
}

#[test]
fn a_broken_pair_keeps_the_last_good_and_is_told_once() {
    let served = Served::new("");
    let first = shown(&served, &TLS13).unwrap();
    let fault = |code: &str| {
        let status = until_status(&served.running, |tls| tls["fault"]["code"] == code);
        assert_eq!(shown(&served, &TLS13).unwrap(), first, "{code}");
        status["fault"]["since"].clone()
    };
    let next = served.authority.server("second");
    // The key comes before its certificate.
    fs::write(served.path().join("tls.key"), &next.key).unwrap();
    let since = fault("key-mismatch");
    let name = "postern_tls_certificate_refused_since_timestamp_seconds";
    assert!(metric(&served.running, name).is_some());
    fs::write(
        served.path().join("tls.crt"),
        "-----BEGIN CERTIFICATE-----\nMIIB",
    )
    .unwrap();
    assert_eq!(fault("not-pem"), since);
    fs::remove_file(served.path().join("tls.crt")).unwrap();
    assert_eq!(fault("file-missing"), since);
    let old = served.authority.issue(&["postern.test"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    old.write(served.path(), "tls");
    assert_eq!(fault("certificate-expired"), since);
    let told = |code: &str| {
        let events = served.running.events();
        let of_code = |event: &&Value| field(event, "code").is_some_and(|at| at == code);
        events.iter().filter(of_code).count()
    };
    for code in [
        "key-mismatch",
        "not-pem",
        "file-missing",
        "certificate-expired",
    ] {
        assert_eq!(told(code), 1, "{code}");
    }

    next.write(served.path(), "tls");
    until_shown(&served, &next);
    let status = until_status(&served.running, |tls| tls["fault"].is_null());
    assert_eq!(
        status["names"],
        serde_json::json!(["postern.test", "127.0.0.1"])
    );
    assert_eq!(metric(&served.running, name), None);
    let not_after = metric(
        &served.running,
        "postern_tls_certificate_not_after_timestamp_seconds",
    );
    assert!(not_after.unwrap() > 4_000_000_000);
}

#[test]
fn a_removed_authority_counts_from_the_next_connection_on() {
    let (served, _) = served(&format!("{TLS}{CLIENT_CA}"), |folder, authority| {
        let first = authority.server("first");
        first.write(folder, "tls");
        first
    });
    let client = served.clients.client();
    let options = served.options(Some(&client));
    let others = Authority::new("Others");
    // It lives as long as the connection.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut open = runtime.block_on(Client::connect(&options)).unwrap();
    let asked = open.decisions.check_inbound(plaintext());
    runtime.block_on(asked).unwrap();
    let loaded = "postern_tls_reloads_total{result=\"loaded\"}";
    let before = metric(&served.running, loaded).unwrap();
    fs::write(served.path().join("clients.crt"), others.pem()).unwrap();
    let begin = Instant::now();
    while metric(&served.running, loaded).unwrap() == before {
        assert!(begin.elapsed() < PATIENCE);
    }
    let told = refused(&options);
    assert!(told.contains("it does not know the authority"), "{told}");
    let asked = open.decisions.check_inbound(plaintext());
    runtime.block_on(asked).unwrap();
    block_on(ask(&served.options(Some(&others.client())))).unwrap();
}
