//! The clients that docs/gateways/your-own.md and kumomta.md show, run from their text.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    connect::{clients::installed, http_of},
    running::{PATIENCE, Running, block_on, demands_tls, set_with, tool},
};

#[expect(
    dead_code,
    unreachable_pub,
    reason = "a program of its own in the document"
)]
#[rustfmt::skip]
#[path = "../clients/gateway.rs"]
mod gateway;

const PAGE: &str = include_str!("../../docs/gateways/your-own.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DEFER: &str = "451 4.3.0 Please try again later";

const KUMOMTA: &str = include_str!("../../docs/gateways/kumomta.md");

/// The one block of a section in a language.
fn block<'a>(section: &str, language: &str) -> &'a str {
    block_of(PAGE, section, language)
}

fn block_of<'a>(page: &'a str, section: &str, language: &str) -> &'a str {
    let fence = format!("```{language}\n");
    let (_, text) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let (_, text) = text.split_once(&fence).unwrap();
    text.split("\n```").next().unwrap()
}

/// A folder with the contract, as a gateway's developer has it.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    beside_contract(&folder);
    folder
}

fn beside_contract(folder: &TempDir) {
    symlink(Path::new(ROOT).join("proto"), folder.path().join("proto")).unwrap();
}

/// What the program says on its standard output.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}{errors}");
    // Whoever fails says why.
    assert_eq!(said.trim() == DEFER, !errors.is_empty(), "{said}{errors}");
    said.trim().to_owned()
}

/// Runs the command of a section of the document in a folder.
fn made(folder: &TempDir, section: &str) {
    let python = installed("clients").join("python/bin/python");
    let protoc = format!("{} -m grpc_tools.protoc", python.display());
    let command = block(section, "sh")
        .replace("python -m grpc_tools.protoc", "protoc")
        .replace("protoc -I", &format!("{protoc} -I"));
    let path = std::env::var("PATH").unwrap();
    let plugin = tool("protoc-gen-go");
    let tools = plugin.parent().unwrap().display();
    let output = Command::new("sh")
        .args(["-e", "-c", &command])
        .env("PATH", format!("{tools}:{path}"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

/// What every client must do; `ask` gives a server its question, in the order of the document.
fn does_what_it_must(over_http: bool, ask: impl Fn(&str, &[&str; 3]) -> String) {
    let settings = "[server]\nhttp_listen = \"127.0.0.1:0\"\n";
    let running = Running::serve_with(&[("default", &demands_tls("one"))], settings);
    let at = if over_http {
        http_of(&running)
    } else {
        running.listen
    };
    let at = at.to_string();
    let question = ["192.0.2.7", "ann@contosobank.com", "bob@contoso.com"];
    let refused = ask(&at, &question);
    assert!(refused.starts_with("530 5.7.0 "), "{refused}");
    let other = ["192.0.2.7", "ann@adatum.com", "bob@contoso.com"];
    assert_eq!(ask(&at, &other), "250 2.1.5 Ok");
    // A fact that is none.
    let wrong = ["192.0.2", "ann@adatum.com", "bob@contoso.com"];
    assert_eq!(ask(&at, &wrong), DEFER);
    // One that hangs is given up in time.
    running.signal("STOP");
    let begin = Instant::now();
    assert_eq!(ask(&at, &other), DEFER);
    let took = begin.elapsed();
    running.signal("CONT");
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < PATIENCE, "{took:?}");
    // Nobody is there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    assert_eq!(ask(&at, &other), DEFER);
}

#[test]
fn in_python() {
    let folder = folder();
    made(&folder, "Python");
    fs::write(folder.path().join("gateway.py"), block("Python", "python")).unwrap();
    let python = installed("clients").join("python/bin/python");
    does_what_it_must(false, |at, question| {
        let mut command = Command::new(&python);
        command.arg("gateway.py").arg(at).args(question);
        said(command.current_dir(folder.path()))
    });
}

#[test]
fn in_node() {
    let folder = tempfile::tempdir_in(installed("clients")).unwrap();
    beside_contract(&folder);
    let program = folder.path().join("gateway.mjs");
    fs::write(program, block("Node", "javascript")).unwrap();
    does_what_it_must(false, |at, question| {
        let mut command = Command::new(tool("node"));
        command.arg("gateway.mjs").arg(at).args(question);
        said(command.current_dir(folder.path()))
    });
}

#[test]
fn in_go() {
    let folder = folder();
    for file in ["go.mod", "go.sum"] {
        let from = Path::new(ROOT).join("tests/clients/go").join(file);
        fs::copy(from, folder.path().join(file)).unwrap();
    }
    made(&folder, "Go");
    fs::write(folder.path().join("main.go"), block("Go", "go")).unwrap();
    let output = Command::new(tool("go"))
        .args(["build", "-o", "gateway", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    does_what_it_must(false, |at, question| {
        let mut command = Command::new(folder.path().join("gateway"));
        command.arg(at).args(question);
        said(command.current_dir(folder.path()))
    });
}

#[test]
fn in_rust() {
    // Compiled with the tests; the document makes the types itself.
    let shown = block("Rust", "rust");
    let ours = include_str!("../clients/gateway.rs");
    let generated = "\nmod pb {\n    tonic::include_proto!(\"postern.v1\");\n}\n";
    let shown = shown.replacen(generated, "", 1);
    assert_eq!(
        shown.trim(),
        ours.replacen("use postern::rpc::pb;\n", "", 1).trim()
    );
    does_what_it_must(false, |at, question| {
        let [client_ip, mail_from, rcpt_to] = question.map(str::to_owned);
        block_on(async {
            let question = postern::rpc::pb::CheckInboundRequest {
                client_ip,
                mail_from,
                rcpt_to,
                ..Default::default()
            };
            gateway::reply(at, question).await.unwrap()
        })
    });
}

#[test]
fn with_curl() {
    let folder = folder();
    fs::write(folder.path().join("gateway.sh"), block("Over HTTP", "sh")).unwrap();
    let python = installed("clients").join("python/bin");
    let path = format!("{}:{}", python.display(), std::env::var("PATH").unwrap());
    does_what_it_must(true, |at, question| {
        let mut command = Command::new("sh");
        command.arg("gateway.sh").arg(at).args(question);
        said(command.env("PATH", &path).current_dir(folder.path()))
    });
}

/// What KumoMTA says at RCPT TO in a session, with the policy that the document shows.
struct KumoMta(TempDir);

impl KumoMta {
    fn asking(running: &Running) -> Self {
        let folder = TempDir::new().unwrap();
        let at = format!("http://{}", http_of(running));
        let policy = block_of(KUMOMTA, "Set it up", "lua");
        let policy = policy.replace("http://127.0.0.1:50080", &at);
        assert!(policy.contains(&at));
        fs::write(folder.path().join("init.lua"), policy).unwrap();
        Self(folder)
    }

    fn says(&self, mail_from: &str, meta: &Value) -> String {
        let session = json!({
            "mail_from": mail_from, "rcpt_to": "bob@contoso.com", "meta": meta,
        });
        let output = Command::new(tool("lua5.4"))
            .arg(Path::new(ROOT).join("tests/clients/kumo.lua"))
            .args(["init.lua", &session.to_string()])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().last().unwrap().to_owned()
    }
}

#[test]
fn in_kumomta() {
    let settings = "[server]\nhttp_listen = \"127.0.0.1:0\"\n";
    let named = set_with("one", "certificate_names = [\"mail.contosobank.com\"]");
    let running = Running::serve_with(&[("default", &named)], settings);
    let kumomta = KumoMta::asking(&running);
    let (v4, v6) = ("192.0.2.7:41234", "[2001:db8::7]:41234");
    let bank = "ann@contosobank.com";
    let tls = "TLSv1.3";
    let certified = |subject: &[&str]| json!({"received_from": v4, "tls_protocol_version": tls, "tls_peer_subject_name": subject});
    for (mail_from, meta, begins) in [
        (
            bank,
            json!({"received_from": v4, "ehlo_domain": "mail"}),
            "530 5.7.0 ",
        ),
        (bank, json!({"received_from": v6}), "530 5.7.0 "),
        (
            bank,
            json!({"received_from": v4, "tls_protocol_version": tls}),
            "550 5.7.",
        ),
        (
            bank,
            certified(&["C=US", "CN=mail.contosobank.com"]),
            "250 ",
        ),
        (bank, certified(&["CN=mail.adatum.com"]), "550 5.7."),
        (
            bank,
            certified(&["CN=mail.contosobank.com", "CN=other"]),
            "550 5.7.",
        ),
        ("ann@adatum.com", json!({"received_from": v6}), "250 "),
        ("", json!({"received_from": v4}), "250 "),
        // No fact, no answer.
        (bank, json!({"received_from": "nowhere"}), DEFER),
        (bank, json!({}), DEFER),
    ] {
        let said = kumomta.says(mail_from, &meta);
        assert!(said.starts_with(begins), "{mail_from} {meta}: {said}");
    }
    let other = json!({"received_from": v4});
    running.signal("STOP");
    let said = kumomta.says("ann@adatum.com", &other);
    running.signal("CONT");
    assert_eq!(said, DEFER);
    drop(running);
    assert_eq!(kumomta.says("ann@adatum.com", &other), DEFER);
}
