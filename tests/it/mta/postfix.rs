//! A real Postfix in a folder of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::pki::{Pki, Shown};
use crate::running::{PATIENCE, tool};

/// A Postfix; it is stopped with the test, also where that is killed.
pub(crate) struct Postfix {
    keeper: Child,
    folder: TempDir,
}

/// What a Postfix is to do.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Lines behind those of [`Postfix`] in `main.cf`.
    pub(crate) main: String,
    /// Where it listens.
    pub(crate) services: Vec<Service>,
    /// A name server that it asks instead of the machine's.
    pub(crate) resolver: Option<Ipv4Addr>,
}

/// An smtpd on 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) port: u16,
    /// Lines of `master.cf`: `  -o { name = value }`.
    pub(crate) options: String,
}

impl Service {
    pub(crate) fn inbound(port: u16) -> Self {
        Self {
            port,
            options: String::new(),
        }
    }

    /// One that takes the client's address from a PROXY line.
    pub(crate) fn proxied(port: u16) -> Self {
        Self::inbound(port).with("smtpd_upstream_proxy_protocol = haproxy")
    }

    /// The same with one more parameter.
    pub(crate) fn with(mut self, parameter: &str) -> Self {
        writeln!(self.options, "  -o {{ {parameter} }}").unwrap();
        self
    }
}

impl Postfix {
    /// Starts one with the authority and a certificate of `pki`.
    pub(crate) fn start(pki: &Pki, setup: &Setup) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        // Why: its daemons are of other users.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["etc", "spool", "data"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let mut chown = Command::new("chown");
        let status = chown.arg("postfix").arg(path.join("data")).status();
        let status = status.unwrap();
        assert!(status.success(), "Postfix is tried as root alone");
        let (certificate, key) = pki.server(Shown::Good).write(path, "gateway");
        let main = [
            ("LAB", path),
            ("CA", &pki.ca()),
            ("CERTIFICATE", &certificate),
            ("KEY", &key),
        ]
        .iter()
        .fold(MAIN.to_owned(), |text, (name, value)| {
            text.replace(&format!("${name}"), &value.display().to_string())
        });
        fs::write(path.join("etc/main.cf"), with(&main, &setup.main)).unwrap();
        let mut master = String::new();
        for Service { port, options } in &setup.services {
            writeln!(master, "127.0.0.1:{port} inet n - n - - smtpd").unwrap();
            master.push_str(options);
        }
        master.push_str(MASTER);
        fs::write(path.join("etc/master.cf"), master).unwrap();

        let mut keeper = kept(path, setup.resolver)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while !path.join("started").exists() {
            let over = keeper.try_wait().unwrap().is_some() || begin.elapsed() > PATIENCE;
            assert!(!over, "Postfix does not start: {}", said(path));
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { keeper, folder }
    }

    /// Where one of its services listens.
    pub(crate) fn at(service: &Service) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, service.port).into()
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        said(self.folder())
    }

    /// Waits for a line of the log behind the first `seen` octets.
    pub(crate) fn until_logged(&self, seen: usize, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            let (_, new) = log.split_at(seen);
            if let Some(line) = new.lines().find(|line| wanted(line)) {
                return line.to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "not in the log: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is queued.
    pub(crate) fn queue(&self) -> Vec<Value> {
        let output = self.run("postqueue", &["-j"]);
        let lines = output.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The message of a queue file, as it is there.
    pub(crate) fn message(&self, id: &str) -> String {
        self.run("postcat", &["-qhb", id])
    }

    /// Has it try everything that is queued.
    pub(crate) fn flush(&self) {
        self.run("postqueue", &["-f"]);
    }

    /// What one of its programs says.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(tool(program));
        command.arg("-c").arg(self.folder().join("etc"));
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of Postfix:\n{}", self.log());
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The parameters of `main` but those that `more` says anew, and `more`.
fn with(main: &str, more: &str) -> String {
    let name = |line: &str| line.split('=').next().unwrap().trim().to_owned();
    let anew: Vec<_> = more.lines().map(name).collect();
    let kept = main.lines().filter(|line| !anew.contains(&name(line)));
    let lines: Vec<_> = kept.chain(more.lines()).collect();
    lines.join("\n") + "\n"
}

/// A shell that starts it, and stops it when its input ends.
///
/// Why: the input ends with the process of the tests, however that ends.
fn kept(folder: &Path, resolver: Option<Ipv4Addr>) -> Command {
    let postfix = tool("postfix");
    let start = format!("{} -c \"$LAB/etc\"", postfix.display());
    let script = format!(
        "{start} start >\"$LAB/said\" 2>&1 </dev/null || exit 1\n: >\"$LAB/started\"\n\
         cat >/dev/null\n{start} stop >/dev/null 2>&1 </dev/null"
    );
    let mut command;
    match resolver {
        None => command = Command::new("sh"),
        Some(address) => {
            let file = folder.join("resolv.conf");
            fs::write(&file, format!("nameserver {address}\n")).unwrap();
            command = Command::new("unshare");
            command.args(["--mount", "sh"]);
        }
    }
    let bind = resolver.map_or(
        "",
        |_| "mount --bind \"$LAB/resolv.conf\" /etc/resolv.conf || exit 1\n",
    );
    command
        .arg("-c")
        .arg(format!("{bind}{script}"))
        .env("LAB", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// What it says in its log and when it is started.
fn said(folder: &Path) -> String {
    let files: [PathBuf; 2] = [folder.join("said"), folder.join("mail.log")];
    let texts = files.map(|file| fs::read(file).unwrap_or_default());
    texts
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat()
}

const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = $LAB/spool
data_directory = $LAB/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
maillog_file = $LAB/mail.log
maillog_file_prefixes = $LAB
myhostname = mx.gateway.test
myorigin = gateway.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
relay_domains = gateway.test
relay_transport = discard:
default_transport = discard:
smtpd_tls_security_level = may
smtpd_tls_cert_file = $CERTIFICATE
smtpd_tls_key_file = $KEY
smtpd_tls_CAfile = $CA
smtpd_tls_ask_ccert = yes
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
smtpd_tls_fingerprint_digest = sha256
smtpd_tls_session_cache_database =
smtpd_relay_restrictions = reject_unauth_destination
smtp_tls_CAfile = $CA
smtp_tls_fingerprint_digest = sha256
smtp_tls_loglevel = 1
minimal_backoff_time = 300s
maximal_backoff_time = 4000s
";

const MASTER: &str = "\
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
";
