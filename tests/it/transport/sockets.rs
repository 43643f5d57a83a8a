//! The file of a unix-domain socket.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use postern::rpc::client::ClientOptions;
use tempfile::TempDir;

use super::{ask, folder};
use crate::running::{Running, block_on, field, postern};

fn options(socket: &Path) -> ClientOptions {
    ClientOptions {
        server: format!("unix:{}", socket.display()),
        ..ClientOptions::default()
    }
}

fn serve(socket: &Path, settings: &str) -> Running {
    Running::serve_at(folder(), settings, &[&format!("unix:{}", socket.display())])
}

#[test]
fn a_socket_has_its_mode_and_goes_with_the_server() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("postern.sock");
    let settings = "[server]\nsocket_mode = \"0600\"\n[shutdown]\ndrain_delay = \"0s\"\n";
    let mut running = serve(&socket, settings);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let started = running.logged(|event| field(event, "admin_listen").is_some());
    let listen = format!("{} unix:{}", running.listen, socket.display());
    assert_eq!(field(&started, "listen").unwrap(), listen.as_str());
    block_on(ask(&options(&socket))).unwrap();
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn what_a_killed_server_left_is_replaced_and_a_living_one_is_an_error() {
    let place = TempDir::new().unwrap();
    let socket = place.path().join("postern.sock");
    let mut running = serve(&socket, "");
    running.signal("KILL");
    running.end();
    assert!(socket.exists());
    let running = serve(&socket, "");
    block_on(ask(&options(&socket))).unwrap();

    let told = start(&running.connectors(), &socket);
    assert!(
        told.contains("for gateways: another process answers there already; stop it, or choose"),
        "{told}"
    );
    block_on(ask(&options(&socket))).unwrap();

    let letter = place.path().join("letter");
    fs::write(&letter, "Dear Bob").unwrap();
    let told = start(&running.connectors(), &letter);
    assert!(
        told.contains("that is no socket; remove it, or choose"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(&letter).unwrap(), "Dear Bob");
}

/// What a server says that cannot listen on `socket`.
fn start(connectors: &Path, socket: &Path) -> String {
    let output = postern()
        .args(["serve", "--admin-listen", "127.0.0.1:0", "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .arg("--connectors")
        .arg(connectors)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}
