//! A running `postern`: the real binary, on loopback, with connectors in a folder of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar},
    time::{Duration, Instant},
};

use postern::rpc::{client::Client, pb};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own; it is ended with the test.
pub(crate) struct Running {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Arc<Log>,
}

/// The events of the log, as they come.
#[derive(Default)]
#[expect(
    clippy::disallowed_types,
    reason = "a thread of the test reads the log"
)]
struct Log {
    events: std::sync::Mutex<Vec<Value>>,
    more: Condvar,
}

impl Running {
    /// Serves `sets`, each a name and a text, in the folder `connectors`.
    pub(crate) fn serve(sets: &[(&str, &str)]) -> Self {
        Self::serve_with(sets, "")
    }

    /// The same with more settings.
    pub(crate) fn serve_with(sets: &[(&str, &str)], settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let connectors = folder.path().join("connectors");
        fs::create_dir(&connectors).unwrap();
        for (name, text) in sets {
            fs::write(connectors.join(format!("{name}.toml")), text).unwrap();
        }
        Self::serve_folder(folder, settings)
    }

    /// The same with one set and variables.
    pub(crate) fn serve_told(set: &str, settings: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let connectors = folder.path().join("connectors");
        fs::create_dir(&connectors).unwrap();
        fs::write(connectors.join("default.toml"), set).unwrap();
        Self::start(folder, settings, Stdio::null(), variables, &[])
    }

    /// Serves the folder `connectors` of `folder`, however it was made.
    pub(crate) fn serve_folder(folder: TempDir, settings: &str) -> Self {
        Self::serve_to(folder, settings, Stdio::null())
    }

    /// The same, with its standard output.
    pub(crate) fn serve_to(folder: TempDir, settings: &str, stdout: Stdio) -> Self {
        Self::start(folder, settings, stdout, &[], &[])
    }

    /// The same, listening at more places besides.
    pub(crate) fn serve_at(folder: TempDir, settings: &str, places: &[&str]) -> Self {
        Self::start(folder, settings, Stdio::null(), &[], places)
    }

    fn start(
        folder: TempDir,
        settings: &str,
        stdout: Stdio,
        variables: &[(&str, &str)],
        places: &[&str],
    ) -> Self {
        let file = folder.path().join("postern.toml");
        fs::write(&file, format!("version = 1\n{settings}")).unwrap();
        let mut command = postern();
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--config",
            ])
            .arg(&file)
            .envs(variables.iter().copied())
            .args(places.iter().flat_map(|place| ["--listen", place]))
            .stdout(stdout);
        Self::watch(command, folder)
    }

    /// Runs a bridge with these settings.
    pub(crate) fn bridge(settings: &str) -> Self {
        Self::bridge_in(TempDir::new().unwrap(), settings)
    }

    /// The same, with what else is in `folder`.
    pub(crate) fn bridge_in(folder: TempDir, settings: &str) -> Self {
        let file = folder.path().join("bridge.toml");
        let admin = "[admin]\nlisten = \"127.0.0.1:0\"\n";
        fs::write(&file, format!("version = 1\n{settings}\n{admin}")).unwrap();
        let mut command = postern();
        command.args(["bridge", "--config"]).arg(&file);
        command.stdout(Stdio::null());
        Self::watch(command, folder)
    }

    fn watch(mut command: Command, folder: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().unwrap();
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                writer.events.lock().unwrap().push(event);
                writer.more.notify_all();
            }
            writer.events.lock().unwrap().push(Value::Null);
            writer.more.notify_all();
        });
        let started = log.find(|event| field(event, "admin_listen").is_some());
        let Some(started) = started else {
            let _ = child.kill();
            panic!("it did not start: {:#?}", log.events.lock().unwrap());
        };
        // Without one at a port, the first is a socket.
        let nowhere = SocketAddr::from(([0; 4], 0));
        let listen = address(&started, "listen").unwrap_or(nowhere);
        let admin = address(&started, "admin_listen").unwrap();
        Self {
            child,
            folder,
            listen,
            admin,
            log,
        }
    }

    /// The connectors' folder.
    pub(crate) fn connectors(&self) -> PathBuf {
        self.folder.path().join("connectors")
    }

    /// The file of a set.
    pub(crate) fn file(&self, set: &str) -> PathBuf {
        self.connectors().join(format!("{set}.toml"))
    }

    /// Its standard output, where that is a pipe.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// A connection to it.
    pub(crate) async fn client(&self) -> Client {
        Client::dial(&self.listen.to_string()).await.unwrap()
    }

    /// How much memory it holds, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().split_whitespace().next();
        number.unwrap().parse().unwrap()
    }

    /// Sends it a signal: "TERM", "HUP".
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end, and says how it ended and after how long.
    pub(crate) fn end(&mut self) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begin.elapsed());
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "it does not end: {:#?}",
                self.events()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for an event of the log.
    pub(crate) fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.log.find(wanted);
        found.unwrap_or_else(|| panic!("not in the log: {:#?}", self.events()))
    }

    /// The log so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.log.events.lock().unwrap().clone()
    }

    /// Nobody takes the log for as long as this lives.
    pub(crate) fn hold_log(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.log.events.lock().unwrap()
    }

    /// The status code and the body of a page of the admin listener.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        get(self.admin, path)
    }

    /// `/status`.
    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.page("/status");
        assert_eq!(code, 200);
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    /// The first event that is wanted, waiting for it; none where the log ends or patience does.
    fn find(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock().unwrap();
        let mut seen = 0;
        loop {
            if let Some(event) = events.iter().skip(seen).find(|event| wanted(event)) {
                return Some(event.clone());
            }
            seen = events.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || events.last() == Some(&Value::Null) {
                return None;
            }
            events = self.more.wait_timeout(events, left).unwrap().0;
        }
    }
}

/// A field of an event, at its top or among its `fields`.
pub(crate) fn field<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    event.get(name).or_else(|| event.get("fields")?.get(name))
}

fn address(event: &Value, name: &str) -> Option<SocketAddr> {
    // The first of several places.
    let mut places = field(event, name)?.as_str()?.split(' ');
    let place = places.next()?;
    let place = place.split_once('=').map_or(place, |(_, place)| place);
    place.parse().ok()
}

/// The binary, without any `POSTERN_…` or `OTEL_…` variable.
pub(crate) fn postern() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("POSTERN_") || name_text.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// A page over HTTP/1.1.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: postern\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// A tool that `./test` installs.
pub(crate) fn tool(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/tools/bin")
        .join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(own).chain(std::env::split_paths(&path).map(|dir| dir.join(name)));
    let found = places.into_iter().find(|place| place.is_file());
    found.unwrap_or_else(|| {
        panic!("`{name}` is not installed: run the tests with `./test`, which installs it")
    })
}

/// A runtime for one test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Mail of ann@contosobank.com to bob@contoso.com in plaintext.
pub(crate) fn plaintext() -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        client_ip: "192.0.2.7".into(),
        mail_from: "ann@contosobank.com".into(),
        rcpt_to: "bob@contoso.com".into(),
        ..pb::CheckInboundRequest::default()
    }
}

/// Waits until a server has taken up the save of a set: what was to be seen before is seen.
pub(crate) fn await_another_save(running: &Running) {
    let loaded = |event: &Value| {
        field(event, "connector_set").is_some_and(|set| set == "another")
            && field(event, "message").is_some_and(|message| message == "connector set loaded")
    };
    fs::write(running.file("another"), demands_tls("another")).unwrap();
    running.logged(loaded);
}

/// A set with one connector that demands TLS of contosobank.com; `comment` tells texts apart.
pub(crate) fn demands_tls(comment: &str) -> String {
    set_with(comment, "tls = \"encrypt\"")
}

/// A set with one connector for contosobank.com, which requires this.
pub(crate) fn set_with(comment: &str, require: &str) -> String {
    format!(
        "# {comment}\nversion = 1\n[[inbound]]\nname = \"ContosoBank\"\n\
         match.sender_domains = [\"contosobank.com\"]\nrequire.{require}\n[end]\n"
    )
}
