//! A real Exim, unpacked beside the machine's mail server, with the lines of `docs/gateways/exim.md`.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use super::{
    pki::{Pki, Shown, sha256},
    place::free_port,
    smtp::Smtp,
};
use crate::running::{PATIENCE, Running};

/// An Exim that asks a bridge; it is stopped with the test, also where that is killed.
pub(super) struct Exim {
    keeper: Child,
    folder: TempDir,
    port: u16,
}

impl Exim {
    pub(super) fn start(pki: &Pki, policy: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let (certificate, key) = pki.server(Shown::Good).write(path, "gateway");
        let port = free_port();
        let page = include_str!("../../../docs/gateways/exim.md");
        let (_, acl) = page.split_once("```exim\n").unwrap();
        let (acl, _) = acl.split_once("```\n").unwrap();
        let acl = acl.replace("127.0.0.1:9998", &policy.to_string());
        let main = [
            ("@PROGRAM@", program().display().to_string()),
            ("@LAB@", path.display().to_string()),
            ("@CA@", pki.ca().display().to_string()),
            ("@CERTIFICATE@", certificate.display().to_string()),
            ("@KEY@", key.display().to_string()),
            ("@PORT@", port.to_string()),
            ("@ACL@", acl),
        ];
        let main = main
            .iter()
            .fold(CONFIGURATION.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            });
        fs::write(path.join("exim.conf"), main).unwrap();
        let user = "Debian-exim:x:61234:61234::/nonexistent:/bin/false\n";
        let users = fs::read_to_string("/etc/passwd").unwrap() + user;
        fs::write(path.join("passwd"), users).unwrap();
        let groups = fs::read_to_string("/etc/group").unwrap() + "Debian-exim:x:61234:\n";
        fs::write(path.join("group"), groups).unwrap();
        // It wants a user of its own, which only it is to see.
        let script = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && \
            mkdir \"$1/spool\" \"$1/log\" && chown -R 61234:61234 \"$1\" && chmod 755 \"$1\" && \
            chown root \"$1/exim.conf\" || exit 1\n\
            LD_LIBRARY_PATH=\"$3\" \"$2\" -C \"$1/exim.conf\" -bdf >\"$1/said\" 2>&1 & pid=$!\n\
            cat >/dev/null; kill $pid; wait $pid";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "exim"]);
        command.args([path, &program(), &libraries()]);
        let keeper = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut exim = Self {
            keeper,
            folder,
            port,
        };
        let begin = Instant::now();
        while TcpStream::connect(exim.at()).is_err() {
            let over = exim.keeper.try_wait().unwrap().is_some() || begin.elapsed() > PATIENCE;
            assert!(!over, "Exim does not start: {}", exim.said());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        exim
    }

    pub(super) fn at(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        [read("said"), read("log/mainlog"), read("log/paniclog")].concat()
    }

    /// What comes of mail to `recipient`, over TLS where a certificate is `shown`.
    fn asks(
        &self,
        shown: Option<&crate::transport::authority::Pair>,
        sender: &str,
        recipient: &str,
    ) -> String {
        let smtp = Smtp::connect(self.at());
        let mut smtp = match shown {
            Some(pair) => smtp.starttls(Some(pair)),
            None => smtp,
        };
        smtp.asks(sender, recipient)
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what Exim said:\n{}", self.said());
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/exim")
}

fn program() -> PathBuf {
    let program = tree().join("usr/sbin/exim4");
    assert!(
        program.is_file(),
        "Exim is not there: run the tests with `./test`, which unpacks it"
    );
    program
}

fn libraries() -> PathBuf {
    let folders = fs::read_dir(tree().join("usr/lib")).unwrap();
    let mut folders = folders.map(|entry| entry.unwrap().path());
    let found = folders.find(|path| path.to_string_lossy().contains("-linux-gnu"));
    found.unwrap_or_default()
}

fn set(pin: &str) -> String {
    let inbound = |name: &str, domain: &str, rest: &str| {
        format!("[[inbound]]\nname = \"{name}\"\nmatch.sender_domains = [\"{domain}\"]\n{rest}\n")
    };
    let connectors = [
        inbound("Tls", "tls.test", "require.tls = \"encrypt\""),
        inbound(
            "Name",
            "partner.test",
            "require.certificate_names = [\"mail.partner.test\"]",
        ),
        inbound(
            "Pin",
            "pinned.test",
            &format!("require.certificate_fingerprints = [\"{pin}\"]"),
        ),
        inbound("Network", "network.test", "require.client_ips = [\"::1\"]"),
        inbound(
            "Scoped",
            "scoped.test",
            "match.recipient_domains = [\"strict.test\"]\nrequire.tls = \"encrypt\"",
        ),
        inbound(
            "Report",
            "report.test",
            "mode = \"report\"\nrequire.tls = \"encrypt\"",
        ),
    ];
    format!("version = 1\n{}[end]\n", connectors.concat())
}

#[test]
fn an_exim_obeys_the_connectors() {
    let pki = Pki::new();
    let pinned = pki.client(Shown::SelfSigned);
    let service = Running::serve(&[("default", &set(&sha256(&pinned)))]);
    let bridge = Running::bridge(&format!(
        "[service]\nendpoints = \"{}\"\n[[policy]]\nlisten = \"127.0.0.1:0\"\n",
        service.listen
    ));
    let exim = Exim::start(&pki, bridge.listen);
    let to = "bob@gateway.test";
    let starttls = "530 5.7.0 Must issue a STARTTLS command first";
    let taken = "250 Accepted";

    let good = pki.client(Shown::Good);
    assert_eq!(exim.asks(None, "ann@tls.test", to), starttls);
    assert_eq!(exim.asks(Some(&good), "ann@tls.test", to), taken);
    assert_eq!(exim.asks(None, "", to), taken);
    assert_eq!(exim.asks(None, "ann@report.test", to), taken);
    assert_eq!(exim.asks(None, "ann@scoped.test", to), taken);
    assert_eq!(
        exim.asks(None, "ann@scoped.test", "bob@strict.test"),
        starttls
    );
    let reply = exim.asks(None, "ann@network.test", to);
    assert!(reply.starts_with("550 5.7."), "{reply}");
    let mut smtp = Smtp::connect((Ipv6Addr::LOCALHOST, exim.port).into());
    assert_eq!(smtp.asks("ann@network.test", to), taken);

    let mut told = String::new();
    for shown in [
        Shown::Good,
        Shown::AlternativeOnly,
        Shown::ServerAuthOnly,
        Shown::WrongName,
        Shown::Untrusted,
        Shown::SelfSigned,
        Shown::Expired,
    ] {
        let reply = exim.asks(Some(&pki.client(shown)), "ann@partner.test", to);
        writeln!(told, "{shown:?}: {reply}").unwrap();
    }
    insta::assert_snapshot!(told);
    assert_eq!(exim.asks(Some(&pinned), "ann@pinned.test", to), taken);
    let reply = exim.asks(Some(&good), "ann@pinned.test", to);
    assert!(reply.starts_with("550-5.7."), "{reply}");

    let later = "451 4.7.1 connector policy unavailable, try later";
    service.signal("STOP");
    assert_eq!(exim.asks(None, "ann@other.test", to), later);
    drop(bridge);
    assert_eq!(exim.asks(None, "ann@other.test", to), later);
}

const CONFIGURATION: &str = r"
exim_path = @PROGRAM@
spool_directory = @LAB@/spool
log_file_path = @LAB@/log/%slog
pid_file_path = @LAB@/pid
daemon_smtp_ports = @PORT@
local_interfaces = <; 127.0.0.1 ; ::1
primary_hostname = mx.gateway.test
host_lookup =
rfc1413_hosts =
smtp_accept_max = 100
tls_certificate = @CERTIFICATE@
tls_privatekey = @KEY@
acl_smtp_rcpt = acl_rcpt
tls_advertise_hosts = *
tls_try_verify_hosts = *
tls_verify_certificates = @CA@

begin acl

@ACL@
  accept

begin routers

begin transports
";
