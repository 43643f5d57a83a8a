//! The token of operators, the bounds of sets, and the verb that makes tokens.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use super::*;
use crate::running::{demands_tls, field, postern};

/// The status of a page of the admin listener, asked with these headers.
fn get(running: &Running, path: &str, headers: &str) -> u16 {
    let answer = page(running, path, headers);
    assert!(!answer.contains("connector_sets") || answer.contains("200 OK"));
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A page of the admin listener, its head included.
pub(super) fn page(running: &Running, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(running.admin).unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: postern\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn operators_need_a_token_for_all_but_probes() {
    let hashes = ["one", "two"].map(|name| TokenHash::of(token(name).as_bytes()).to_string());
    let settings = format!("[admin]\ntoken_sha256 = {hashes:?}\n");
    let running = Running::serve_with(&[("default", &demands_tls("x"))], &settings);
    let bearer = |name: &str| format!("authorization: Bearer {}\r\n", token(name));
    let tries = [
        (String::new(), 401),
        (bearer("one"), 200),
        (bearer("two"), 200),
        (bearer("three"), 401),
        (bearer("one").replace("Bearer", "Basic"), 401),
        (bearer("one") + &bearer("one"), 401),
        (bearer("three") + &bearer("one"), 401),
    ];
    for (headers, expected) in tries {
        for path in ["/livez", "/readyz"] {
            assert_eq!(get(&running, path, &headers), 200, "{path} {headers}");
        }
        for path in ["/", "/status", "/metrics"] {
            assert_eq!(get(&running, path, &headers), expected, "{path} {headers}");
        }
        let nowhere = if expected == 200 { 404 } else { 401 };
        assert_eq!(get(&running, "/nowhere", &headers), nowhere);
        assert_eq!(get(&running, "/status/", &headers), nowhere);
    }
}

#[test]
fn a_set_claims_no_more_than_the_settings_let_it() {
    let settings = "[[sets]]\nname = \"contoso\"\naccepted_domains = [\"*.contoso.com\"]\n";
    let running = serve_with(None, settings);
    let grabs = set("contoso").replace("\"contoso.com\"", "\"contoso.com\", \"treyresearch.net\"");
    fs::write(running.file("contoso"), &grabs).unwrap();
    let event = running
        .logged(|event| field(event, "code").is_some_and(|code| code == "accepted-out-of-bounds"));
    assert_eq!(field(&event, "place").unwrap(), "contoso.toml:2:36");
    block_on(async {
        let mut client = running.client().await;
        let grabbed = inbound("", "bob@treyresearch.net");
        let grabbed = client.decisions.check_inbound(grabbed).await;
        assert_eq!(refusal(grabbed).0, Code::NotFound);
        let own = client
            .decisions
            .check_inbound(inbound("", "bob@contoso.com"));
        let revision = own.await.unwrap().into_inner().revision.unwrap();
        assert!(revision.stale && revision.connector_set == "contoso");
    });
    // Within its bounds it is taken; at a start, or in a check, it is refused.
    let within = set("contoso").replace("\"contoso.com\"", "\"contoso.com\", \"eu.contoso.com\"");
    fs::write(running.file("contoso"), within).unwrap();
    running.logged(|event| field(event, "old_digest").is_some());
    fs::write(running.file("contoso"), &grabs).unwrap();
    let config = running.folder.path().join("postern.toml");
    for (verb, exit) in [("serve", 78), ("check", 1)] {
        let output = postern().arg(verb).arg("--config").arg(&config).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("accepted-out-of-bounds"), "{said}");
    }
}

#[test]
fn a_token_is_made_and_its_hash_is_what_is_listed() {
    let made = |arguments: &[&str]| {
        let output = postern().arg("token").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&made(&["--format", "json"])).unwrap();
    let (token, hash) = (
        json["token"].as_str().unwrap(),
        json["token_sha256"].as_str().unwrap(),
    );
    assert_eq!(token.len(), 43);
    assert_eq!(TokenHash::of(token.as_bytes()).to_string(), hash);
    let human = made(&[]);
    assert!(
        human.contains("token_sha256 = [\"") && !human.contains(token),
        "{human}"
    );
    let hashed = |text: &str| {
        let mut child = postern()
            .args(["token", "--hash"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let line = format!("token_sha256 = [\"{hash}\"]\n");
    assert_eq!(hashed(&format!("{token}\n")), (Some(0), line));
    for bad in ["", "secret", "twenty characters, with blanks"] {
        assert_eq!(hashed(bad), (Some(2), String::new()), "{bad}");
    }
}

/// `postern serve` that listens to operators on this address, with these settings.
fn serve_admin(folder: &Path, admin_listen: &str, settings: &str) -> Command {
    let config = folder.join("postern.toml");
    fs::write(&config, format!("version = 1\n{settings}")).unwrap();
    let mut command = postern();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen"])
        .arg(admin_listen)
        .arg("--config")
        .arg(&config);
    command
}

/// What a server says before it serves.
fn said_at_start(admin_listen: &str, settings: &str) -> Vec<String> {
    let folder = folder(None);
    let mut child = serve_admin(folder.path(), admin_listen, settings)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said: Vec<String> = Vec::new();
    for line in lines.map_while(Result::ok) {
        let serving = line.contains("\"serving\"");
        said.push(line);
        if serving {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        said.iter().any(|line| line.contains("\"serving\"")),
        "{said:?}"
    );
    said
}

#[test]
fn operators_pages_are_shown_to_other_machines_only_where_that_is_allowed() {
    let hash = TokenHash::of(b"x");
    let token = format!("token_sha256 = [\"{hash}\"]\n");
    // A token does not help: it would be sent in plaintext.
    for settings in ["", &format!("[admin]\n{token}")] {
        let folder = folder(None);
        let output = serve_admin(folder.path(), "0.0.0.0:0", settings)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("`0.0.0.0:0` would show operators' pages to other machines in plaintext"),
            "{said}"
        );
        assert!(said.contains("write `allow_plaintext = true`"), "{said}");
    }

    let allowed = "[admin]\nallow_plaintext = true\n";
    let warned = |admin_listen: &str, settings: &str| {
        let said = said_at_start(admin_listen, settings);
        [
            "other machines may come to the admin listener",
            "whoever reaches the admin listener",
        ]
        .map(|begin| said.iter().any(|line| line.contains(begin)))
    };
    assert_eq!(warned("0.0.0.0:0", allowed), [true, true]);
    let guarded = format!("{allowed}{token}");
    assert_eq!(warned("0.0.0.0:0", &guarded), [true, false]);
    assert_eq!(warned("127.0.0.1:0", allowed), [false, false]);
}
