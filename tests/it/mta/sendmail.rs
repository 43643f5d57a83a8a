//! A real Sendmail in a folder of its own, unpacked beside the machine's mail server.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    pki::{Pki, Shown},
    place::free_port,
};
use crate::running::PATIENCE;

/// A Sendmail that keeps what it takes; it is stopped with the test, also where that is killed.
pub(crate) struct Sendmail {
    keeper: Child,
    folder: TempDir,
    port: u16,
}

impl Sendmail {
    /// Starts one that asks the milter at `milter`, with the authority and a certificate of `pki`.
    pub(crate) fn start(pki: &Pki, milter: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        for name in ["queue", "etc"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let (certificate, key) = pki.server(Shown::Good).write(path, "gateway");
        // Why: it reads no key that others could.
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(
            path.join("etc/hosts"),
            "127.0.0.1 localhost\n127.0.0.1 mx.gateway.test\n",
        )
        .unwrap();
        fs::write(
            path.join("etc/nsswitch.conf"),
            "passwd: files\ngroup: files\nhosts: files\n",
        )
        .unwrap();
        fs::write(path.join("etc/resolv.conf"), "nameserver 127.255.255.254\n").unwrap();
        let port = free_port();
        let text = [
            ("LAB", path.display().to_string()),
            ("TREE", tree().display().to_string()),
            ("CA", pki.ca().display().to_string()),
            ("CERTIFICATE", certificate.display().to_string()),
            ("KEY", key.display().to_string()),
            ("PORT", port.to_string()),
            ("MILTER", format!("inet:{}@{}", milter.port(), milter.ip())),
        ]
        .iter()
        .fold(MC.to_owned(), |text, (name, value)| {
            text.replace(&format!("@{name}@"), value)
        });
        fs::write(path.join("etc/sendmail.mc"), text).unwrap();
        fs::write(path.join("etc/sendmail.cf"), configuration(path)).unwrap();
        let keeper = kept(path).stdin(Stdio::piped()).spawn().unwrap();
        let mut sendmail = Self {
            keeper,
            folder,
            port,
        };
        let begin = Instant::now();
        while TcpStream::connect(sendmail.at()).is_err() {
            let over = sendmail.keeper.try_wait().unwrap().is_some() || begin.elapsed() > PATIENCE;
            assert!(!over, "Sendmail does not start: {}", sendmail.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        sendmail
    }

    /// Where it listens.
    pub(crate) fn at(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens, by IPv6.
    pub(crate) fn at_ipv6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    /// The headers of a message that it took, for its reply to the end of it.
    pub(crate) fn headers(&self, reply: &str) -> Vec<String> {
        let id = reply
            .strip_prefix("250 2.0.0 ")
            .and_then(|rest| rest.split(' ').next());
        let id = id.unwrap_or_else(|| panic!("not taken: {reply}"));
        let file = self.folder.path().join("queue").join(format!("qf{id}"));
        let text = fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&text);
        // `H?flags?Name: value`
        let headers = text.lines().filter_map(|line| line.strip_prefix("H?"));
        headers
            .filter_map(|line| line.split_once('?'))
            .map(|(_, header)| header.to_owned())
            .collect()
    }

    /// What it said where it writes errors.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Sendmail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what Sendmail said:\n{}", self.log());
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Where `./test` unpacks it.
fn tree() -> PathBuf {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/sendmail");
    assert!(
        tree.join(PROGRAM).is_file(),
        "Sendmail is not there: run the tests with `./test`, which unpacks it"
    );
    tree
}

/// Its libraries, beside those of the machine.
fn libraries() -> OsString {
    let lib = tree().join("usr/lib");
    let folders = fs::read_dir(lib)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let libraries = folders.filter(|path| path.to_string_lossy().contains("-linux-gnu"));
    std::env::join_paths(libraries).unwrap()
}

/// `sendmail.cf`, as m4 makes it from `sendmail.mc`.
fn configuration(folder: &Path) -> Vec<u8> {
    let mut m4 = Command::new(tree().join("usr/bin/m4"));
    m4.env("LD_LIBRARY_PATH", libraries());
    m4.arg(format!(
        "-D_CF_DIR_={}/usr/share/sendmail/cf/",
        tree().display()
    ));
    let output = m4.arg(folder.join("etc/sendmail.mc")).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A shell that starts it where it sees names of its own, and stops it when its input ends.
///
/// Why: it stalls where its host's name is not known; the input ends with the process of the
/// tests, however that ends.
fn kept(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT]);
    command
        .env("LAB", folder)
        .env("PROGRAM", tree().join(PROGRAM))
        .env("LIBRARIES", libraries())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

const PROGRAM: &str = "usr/libexec/sendmail/sendmail";

const SCRIPT: &str = "\
exec 3<&0 >\"$LAB/said\" 2>&1
for name in hosts nsswitch.conf resolv.conf; do
    mount --bind \"$LAB/etc/$name\" /etc/$name || exit 1
done
LD_LIBRARY_PATH=\"$LIBRARIES\" \"$PROGRAM\" -C \"$LAB/etc/sendmail.cf\" -bD </dev/null 3<&- &
sendmail=$!
cat <&3 >/dev/null
kill $sendmail
wait $sendmail
";

const MC: &str = "\
include(`@TREE@/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mx.gateway.test')dnl
define(`QUEUE_DIR', `@LAB@/queue')dnl
define(`STATUS_FILE', `@LAB@/statistics')dnl
define(`HELP_FILE', `@LAB@/help')dnl
define(`ALIAS_FILE', `')dnl
define(`confCR_FILE', `-o @LAB@/relay-domains')dnl
define(`confPID_FILE', `@LAB@/sendmail.pid')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupReadableKeyFile,GroupWritableDirPathSafe,TrustStickyBit')dnl
define(`confLOG_LEVEL', `0')dnl
define(`confTO_IDENT', `0')dnl
define(`confQUEUE_LA', `100000')dnl
define(`confREFUSE_LA', `100000')dnl
define(`confCACERT', `@CA@')dnl
define(`confCACERT_PATH', `@LAB@/etc')dnl
define(`confSERVER_CERT', `@CERTIFICATE@')dnl
define(`confSERVER_KEY', `@KEY@')dnl
define(`confCERT_FINGERPRINT_ALGORITHM', `sha256')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
RELAY_DOMAIN(`gateway.test filter.test range.test')dnl
DAEMON_OPTIONS(`Name=v4, Family=inet, Addr=127.0.0.1, Port=@PORT@')dnl
DAEMON_OPTIONS(`Name=v6, Family=inet6, Addr=::1, Port=@PORT@')dnl
INPUT_MAIL_FILTER(`postern', `S=@MILTER@, F=T, T=C:5s;S:5s;R:10s;E:20s')dnl
MAILER(`smtp')dnl
";
