//! What keeps a server from starting, and what it warns of.

use std::{fs, path::Path};

use rcgen::date_time_ymd;

use super::{Authority, TLS, folder};
use crate::running::{Running, field, postern};

/// How `postern serve` ends, and what it says.
fn start(folder: &Path, settings: &str, listen: &str) -> (Option<i32>, String) {
    let file = folder.join("postern.toml");
    fs::write(&file, format!("version = 1\n{settings}")).unwrap();
    let output = postern()
        .args([
            "serve",
            "--admin-listen",
            "127.0.0.1:0",
            "--listen",
            listen,
            "--config",
        ])
        .arg(&file)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn without_a_good_pair_it_does_not_start() {
    let folder = folder();
    let path = folder.path();
    let pair = Authority::new("Servers").server("first");
    let begin = |told: &str| {
        let (code, said) = start(path, TLS, "127.0.0.1:0");
        assert_eq!(code, Some(78), "{said}");
        assert!(
            said.contains("TLS cannot be spoken: ") && said.contains(told),
            "{said}"
        );
    };
    let shown = |name: &str| format!("`{}`", path.join(name).display());
    begin(&format!("{} is not there: put it there", shown("tls.crt")));
    fs::write(path.join("tls.crt"), &pair.certificate).unwrap();
    begin(&format!("{} is not there: put it there", shown("tls.key")));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(path.join("tls.key"), encrypted).unwrap();
    begin("is protected by a password: write it without: `openssl pkey -in");
    fs::write(path.join("tls.crt"), &pair.key).unwrap();
    fs::write(path.join("tls.key"), &pair.certificate).unwrap();
    begin("exchange `certificate` and `key` in `[server.tls]`");
    fs::write(path.join("tls.key"), &pair.key).unwrap();
    fs::write(path.join("tls.crt"), &pair.der).unwrap();
    begin("is in DER, not in PEM: write it as PEM: `openssl x509 -inform der");
    let old = Authority::new("Servers").issue(&["postern.test"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    old.write(path, "tls");
    let told = "has a certificate that expired at 2002-01-01T00:00:00Z: renew it";
    begin(&format!("{} {told}", shown("tls.crt")));
}

#[test]
fn plaintext_for_other_machines_must_be_allowed_and_is_warned_of() {
    let folder = folder();
    let (code, said) = start(folder.path(), "", "0.0.0.0:0");
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("`0.0.0.0:0` would take plaintext from other machines: add `[server.tls]`"),
        "{said}"
    );
    let (code, said) = start(
        folder.path(),
        "[server]\nlisten = \"[::]:0\"\n",
        "127.0.0.1:0",
    );
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("plaintext-exposed") && said.contains("allow_plaintext = true"),
        "{said}"
    );

    let allowed = "[server]\nallow_plaintext = true\n";
    let warned = |running: &Running| {
        let events = running.events();
        let warned = events.iter().filter(|event| {
            field(event, "message").is_some_and(|message| {
                message
                    .as_str()
                    .unwrap()
                    .starts_with("other machines may ask in plaintext")
            })
        });
        warned.count()
    };
    let running = Running::serve_at(folder, allowed, &["0.0.0.0:0"]);
    assert_eq!(warned(&running), 1);
    let running = Running::serve_at(super::folder(), allowed, &[]);
    assert_eq!(warned(&running), 0);
}
