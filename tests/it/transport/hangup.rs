//! SIGHUP: the files of certificates are read at once, also where no change of them can be seen.

use std::{fs, time::Instant};

use rustls::version::TLS13;
use tempfile::TempDir;

use super::{Authority, Pair, Served, TLS, folder, handshakes::shown};
use crate::running::{PATIENCE, Running, await_another_save};

#[test]
fn certificates_are_read_on_sighup() {
    let (authority, clients) = (Authority::new("Servers"), Authority::new("Clients"));
    let (folder, elsewhere) = (folder(), TempDir::new().unwrap());
    authority.server("first").write(elsewhere.path(), "tls");
    // What is written through another folder's link tells nobody who watches this one.
    for name in ["tls.crt", "tls.key"] {
        fs::hard_link(elsewhere.path().join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    let served = Served {
        running: Running::serve_folder(folder, TLS),
        authority,
        clients,
    };
    let begin = Instant::now();
    let until_shown = |pair: &Pair| {
        // Later it could be the look that is taken every 30 seconds.
        while shown(&served, &TLS13).unwrap() != pair.der {
            assert!(begin.elapsed() < PATIENCE, "{:#?}", served.running.events());
        }
    };
    let second = served.authority.server("second");
    second.write(served.path(), "tls");
    until_shown(&second);
    await_another_save(&served.running);
    let third = served.authority.server("third");
    third.write(elsewhere.path(), "tls");
    served.running.signal("HUP");
    until_shown(&third);
}
