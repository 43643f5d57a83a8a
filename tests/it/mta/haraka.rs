//! A real Haraka with our plugin, in a folder of its own.

mod contract;
mod faults;
mod inbound;
mod outbound;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    pki::{Pki, Shown},
    place::free_port,
    smtp::Smtp,
};
use crate::running::{PATIENCE, Running};

/// A Haraka; it ends with the test, also where that is killed.
pub(super) struct Haraka {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

/// What a Haraka is to do.
pub(super) struct Setup<'a> {
    /// Lines of `postern.ini`.
    settings: String,
    /// Its plugins, in order; `postern` is the one that is tried.
    plugins: &'a [&'a str],
}

impl<'a> Setup<'a> {
    /// It asks these, and takes the mail of others.
    fn asking(services: &[&Running]) -> Self {
        let endpoints: Vec<_> = services.iter().map(|one| one.listen.to_string()).collect();
        Self {
            // Longer than by default: the machine of a test may be busy.
            settings: format!("endpoints = {}\ndeadline_ms = 15000\n", endpoints.join(" ")),
            plugins: &["tls", "postern", "test_take"],
        }
    }

    /// The same with a line of settings.
    fn with(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// The same with other plugins.
    fn plugged(self, plugins: &'a [&'a str]) -> Self {
        Self { plugins, ..self }
    }
}

impl Haraka {
    fn start(pki: &Pki, setup: &Setup<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let config = folder.path().join("config");
        let plugins = folder.path().join("plugins");
        // As `haraka -i` does.
        copy(&installed().join("Haraka/config"), &config);
        let connection = fs::read_to_string(config.join("connection.ini")).unwrap();
        let proxied = connection.replace("\nhosts[] =\n", "\nhosts[] = 127.0.0.1\n");
        assert_ne!(connection, proxied);
        fs::create_dir(&plugins).unwrap();
        fs::create_dir(folder.path().join("queue")).unwrap();
        pki.server(Shown::Good).write(&config, "gateway");
        fs::copy(pki.ca(), config.join("ca.crt")).unwrap();
        for (name, text) in [
            ("smtp.ini", format!("listen=127.0.0.1:{port}\nnodes=0\n")),
            ("me", "mx.gateway.test\n".to_owned()),
            ("loglevel", "INFO\n".to_owned()),
            ("plugins", setup.plugins.join("\n")),
            ("tls.ini", TLS.to_owned()),
            ("outbound.ini", OUTBOUND.to_owned()),
            ("connection.ini", proxied),
            ("postern.ini", setup.settings.clone()),
            // Why: else it has openssl look for a group of its own, for minutes, also when it has ended.
            (
                "dhparams.pem",
                include_str!("haraka/dhparams.pem").to_owned(),
            ),
        ] {
            fs::write(config.join(name), text).unwrap();
        }
        for (name, text) in PLUGINS {
            fs::write(plugins.join(name), text).unwrap();
        }
        install(folder.path());
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let child = Command::new("node")
            .arg(installed().join("Haraka/bin/haraka"))
            .arg("-c")
            .arg(folder.path())
            .env("NODE_EXTRA_CA_CERTS", pki.ca())
            .env("NODE_PATH", installed())
            .stdin(Stdio::piped())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Self {
            child,
            folder,
            address,
        }
    }

    /// Waits until it listens.
    fn listening(mut self) -> Self {
        let begin = Instant::now();
        while !self.log().contains("Listening on 127.0.0.1:") {
            let over = self.child.try_wait().unwrap().is_some() || begin.elapsed() > 4 * PATIENCE;
            assert!(!over, "Haraka does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// Waits for its end, and says what it said.
    fn ended(mut self) -> String {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < 4 * PATIENCE, "it runs: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.log()
    }

    /// Its log so far.
    fn log(&self) -> String {
        let said = fs::read(self.folder.path().join("said")).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Where it listens.
    pub(super) fn at(&self) -> SocketAddr {
        self.address
    }

    /// A session that comes from `client`, by the PROXY protocol.
    fn from(&self, client: &str) -> Smtp {
        Smtp::from(self.address, client)
    }

    /// The lines that a test's plugin wrote into a file of its own.
    fn wrote(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A Haraka that asks this service.
pub(super) fn asking(pki: &Pki, service: &Running) -> Haraka {
    Haraka::start(pki, &Setup::asking(&[service])).listening()
}

impl Drop for Haraka {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `./test` installs Haraka, and what our plugin depends on.
fn installed() -> PathBuf {
    let modules = root().join("target/tools/haraka/node_modules");
    assert!(
        modules.join("Haraka/package.json").is_file(),
        "Haraka is not installed: run the tests with `./test`, which installs it"
    );
    modules
}

/// Installs our plugin as it would be published: what `files` of its package names, and no more.
fn install(folder: &Path) {
    let source = root().join("integrations/haraka");
    let package = fs::read_to_string(source.join("package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    let plugin = folder.join("node_modules/haraka-plugin-postern");
    fs::create_dir_all(&plugin).unwrap();
    let files = package["files"].as_array().unwrap().iter();
    for file in files
        .map(|file| file.as_str().unwrap())
        .chain(["package.json"])
    {
        copy(&source.join(file), &plugin.join(file));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a file, or a folder and all in it.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

const TLS: &str = "\
key=gateway.key
cert=gateway.crt
ca=ca.crt
requestCert=true
rejectUnauthorized=false
minVersion=TLSv1.2
[redis]
disable_for_failed_hosts=false
";
const OUTBOUND: &str = "\
local_mx_ok=true
temp_fail_intervals=1h
";
/// The plugins of tests.
const PLUGINS: [(&str, &str); 5] = [
    (
        "test_early.js",
        include_str!("haraka/plugins/test_early.js"),
    ),
    (
        "test_relay.js",
        include_str!("haraka/plugins/test_relay.js"),
    ),
    (
        "test_route.js",
        include_str!("haraka/plugins/test_route.js"),
    ),
    ("test_take.js", include_str!("haraka/plugins/test_take.js")),
    (
        "test_throw.js",
        include_str!("haraka/plugins/test_throw.js"),
    ),
];
