//! The command line, as people and scripts use it.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::{Running, demands_tls, postern, set_with};

/// A folder with connectors to work on.
struct Folder(TempDir);

/// What a command said, and how it ended.
struct Said {
    out: String,
    err: String,
    code: i32,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(folder)
    }

    fn command(&self) -> Command {
        let mut command = postern();
        command.current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command().args(arguments).output().unwrap())
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let out = String::from_utf8(output.stdout.clone()).unwrap();
        let err = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "no colours into a pipe"
        );
        Self {
            out,
            err,
            code: output.status.code().unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn in_repo(arguments: &[&str]) -> Said {
    let mut command = postern();
    Said::of(
        &command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(arguments)
            .output()
            .unwrap(),
    )
}

const BROKEN: &str = "version = 1\n[[inbound]]\nname = \"Bank\"\nmatch.sender_domains = [\"a..b\"]\n\
                      require.RequireTls = true\n[end]\n";

#[test]
fn help_teaches() {
    let mut all = String::new();
    for verb in [
        "",
        "serve",
        "check",
        "list",
        "explain",
        "explain inbound",
        "explain outbound",
        "test",
        "log",
        "log summary",
        "log show",
        "log follow",
        "completions",
        "man",
        "schema",
    ] {
        let mut arguments: Vec<_> = verb.split(' ').filter(|word| !word.is_empty()).collect();
        arguments.push("--help");
        let said = in_repo(&arguments);
        assert_eq!(said.code, 0);
        assert!(
            verb.is_empty() || said.out.contains("postern "),
            "{verb} has examples"
        );
        let _ = write!(
            all,
            "$ postern {}\n{}\n\n",
            arguments.join(" "),
            said.out.trim_end()
        );
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_shipped_example_has_no_findings() {
    let said = in_repo(&["check", "--deny-warnings"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
}

#[test]
fn check_reads_a_file_of_callers_by_its_path() {
    let hash = "0".repeat(64);
    let good = format!(
        "version = 1\n[[callers]]\nname = \"edge\"\ntoken_sha256 = [\"{hash}\"]\n\
         sets = [\"contoso\"]\n[end]\n"
    );
    let bad = good.replace("sets = ", "set = ");
    let folder = Folder::with(&[
        ("callers.toml", &good),
        ("new.callers", &bad),
        ("c/contoso.toml", &demands_tls("good")),
    ]);
    let said = folder.run(&["check", "callers.toml", "c/contoso.toml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("1 set, 1 connector: "), "{}", said.out);
    // Among the connectors a service reads it as a set.
    fs::copy(
        folder.0.path().join("callers.toml"),
        folder.0.path().join("c/callers.toml"),
    )
    .unwrap();
    let said = folder.run(&["check", "--connectors", "c", "c/callers.toml"]);
    assert_eq!(said.code, 1, "{}", said.out);
    let said = folder.run(&["check", "new.callers", "--format", "json"]);
    assert_eq!(said.code, 1, "{}", said.out);
    let findings = said.json()["findings"].to_string();
    assert!(
        findings.contains("sets-missing") || findings.contains("key-unknown"),
        "{findings}"
    );
    assert!(findings.contains("new.callers"), "{findings}");
}

#[test]
fn check_warns_of_callers_sets_that_are_not_there() {
    let callers = format!(
        "version = 1\n[[callers]]\nname = \"edge\"\ntoken_sha256 = [\"{}\"]\n\
         sets = [\"contoso\", \"adatum\"]\n[end]\n",
        "0".repeat(64)
    );
    let settings = "version = 1\n[connectors]\ndirectory = \"c\"\n";
    let folder = Folder::with(&[
        ("postern.toml", settings),
        ("callers.toml", &callers),
        ("c/contoso.toml", &demands_tls("good")),
    ]);
    for arguments in [
        &["check", "--config", "postern.toml"][..],
        &["check", "callers.toml", "--config", "postern.toml"],
    ] {
        let said = folder.run(arguments);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let warning = "there is no connector set `adatum`";
        assert!(said.out.contains(warning), "{}", said.out);
        assert!(
            said.out.contains("callers.toml:5:20") && said.out.contains("1 warning"),
            "{}",
            said.out
        );
    }
    assert_eq!(
        folder
            .run(&["check", "--deny-warnings", "--config", "postern.toml"])
            .code,
        1
    );
    // One that the settings speak of is expected, and one that is there is known.
    let path = |name: &str| folder.0.path().join(name);
    let expected = format!("{settings}[[sets]]\nname = \"adatum\"\naccepted_domains = []\n");
    for (name, text) in [
        ("postern.toml", expected.as_str()),
        ("postern.toml", settings),
        ("c/adatum.toml", &demands_tls("good")),
    ] {
        fs::write(path(name), text).unwrap();
        if text == settings {
            continue;
        }
        let said = folder.run(&["check", "--deny-warnings", "--config", "postern.toml"]);
        assert_eq!(said.code, 0, "{name}: {}", said.out);
    }
}

#[test]
fn check_shows_all_findings_and_counts_them() {
    let folder = Folder::with(&[
        ("c/contoso.toml", BROKEN),
        ("c/good.toml", &demands_tls("good")),
    ]);
    let said = folder.run(&["check", "c"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(said.out + &said.err);
    let said = folder.run(&["check", "c", "--format", "json"]);
    assert_eq!(said.code, 1);
    let json = said.json();
    let findings = json["findings"].as_array().unwrap();
    let codes: Vec<_> = findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["pattern-bad", "key-unknown"]);
    assert_eq!(findings[0]["line"], 4);
    assert_eq!(folder.run(&["check", "c/good.toml"]).code, 0);
    assert_eq!(folder.run(&["check", "nowhere"]).code, 2);
    assert_eq!(folder.run(&["check", "--no-such-flag"]).code, 2);
}

#[test]
fn check_can_deny_warnings() {
    let lifts = set_with("nothing is demanded", "tls = \"opportunistic\"");
    let folder = Folder::with(&[("c/contoso.toml", &lifts)]);
    let said = folder.run(&["check", "c"]);
    assert_eq!(said.code, 0);
    assert!(
        said.out.contains("set-accepts-everything") || said.err.contains("set-accepts-everything")
    );
    assert_eq!(folder.run(&["check", "c", "--deny-warnings"]).code, 1);
}

#[test]
fn check_and_serve_agree() {
    let claims = |text: &str| {
        text.replace(
            "version = 1",
            "version = 1\naccepted_domains = [\"contoso.com\"]",
        )
    };
    let good = demands_tls("good");
    let directories: &[&[(&str, &str)]] = &[
        &[("a.toml", &good)],
        &[("a.toml", BROKEN)],
        &[("a.toml", &claims(&good)), ("b.toml", &claims(&good))],
        &[("A.toml", &good)],
        &[("a.toml", "")],
        &[("notes.txt", "no set at all")],
        &[("a.toml", "version = 1\nretired = true\n[end]\n")],
        &[("a.toml", "version = 1\n[[inbound\n")],
    ];
    for files in directories {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (format!("c/{name}"), *text))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), *text))
            .collect();
        let folder = Folder::with(&files);
        let checked = folder.run(&["check", "--connectors", "c"]);
        if checked.code == 0 {
            drop(Running::serve(&[("a", files[0].1)]));
        } else {
            let served = folder.run(&["serve", "--connectors", "c", "--listen", "127.0.0.1:0"]);
            assert_eq!(
                (checked.code, served.code),
                (1, 78),
                "{}{}",
                served.out,
                served.err
            );
            // The same findings, with the same carets.
            let first = checked
                .out
                .lines()
                .find(|line| line.contains('×'))
                .unwrap_or_default();
            assert!(served.err.contains(first), "{first}\n{}", served.err);
        }
    }
}

#[test]
fn settings_are_checked_before_anything_starts() {
    let folder = Folder::with(&[(
        "postern.toml",
        "version = 1\n[server]\nlisten = \"localhost\"\n[shutdown]\ndrain_delay = \"soon\"\n",
    )]);
    let said = folder.run(&["serve", "--config", "postern.toml"]);
    assert_eq!(said.code, 78);
    insta::assert_snapshot!(said.err);
    assert_eq!(folder.run(&["serve", "--config", "nowhere.toml"]).code, 78);
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file() {
    let folder = Folder::with(&[
        (
            "postern.toml",
            "version = 1\n[connectors]\ndirectory = \"file\"\n",
        ),
        ("file/f.toml", &demands_tls("file")),
        ("variable/v.toml", &demands_tls("variable")),
        ("flag/g.toml", &demands_tls("flag")),
    ]);
    let sets = |variable: Option<&str>, flag: Option<&str>| {
        let mut command = folder.command();
        command.args(["list", "--format", "json", "--config", "postern.toml"]);
        if let Some(value) = variable {
            command.env("POSTERN_CONNECTORS", value);
        }
        if let Some(value) = flag {
            command.args(["--connectors", value]);
        }
        let said = Said::of(&command.output().unwrap());
        said.out.contains("\"f\"").then_some("file").or_else(|| {
            said.out
                .contains("\"v\"")
                .then_some("variable")
                .or_else(|| said.out.contains("\"g\"").then_some("flag"))
        })
    };
    assert_eq!(sets(None, None), Some("file"));
    assert_eq!(
        sets(Some(""), None),
        Some("file"),
        "an empty variable counts as unset"
    );
    assert_eq!(sets(Some("variable"), None), Some("variable"));
    assert_eq!(sets(Some("variable"), Some("flag")), Some("flag"));
    let output = folder
        .command()
        .args(["list", "--connectors", "file"])
        .env("POSTERN_LISTENS", "x")
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("POSTERN_LISTENS")
    );
}

#[test]
fn list_shows_what_is_demanded() {
    let said = in_repo(&["list"]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!("list", said.out);
    let said = in_repo(&["list", "--covers", "mail.contosobank.com"]);
    insta::assert_snapshot!("list_covers", said.out);
    let json = in_repo(&["list", "--format", "json"]).json();
    assert!(json.to_string().contains("Woodgrove Bank"));
}

#[test]
fn explain_makes_plain_why() {
    // Each of the five examples, and a mail that it refuses.
    let examples: [(&str, &[&str]); 6] = [
        ("tls = \"encrypt\"", &["--mail-from", "ann@contosobank.com"]),
        (
            "certificate_names = [\"*.contosobank.com\"]",
            &[
                "--mail-from",
                "ann@contosobank.com",
                "--tls",
                "TLSv1.3",
                "--cert-trust",
                "trusted",
                "--cert-name",
                "mx.fabrikam.com",
            ],
        ),
        (
            "client_ips = [\"203.0.113.0/24\"]",
            &["--mail-from", "ann@contosobank.com"],
        ),
        (
            "client_ips = [\"203.0.113.1\"]",
            &["--mail-from", "ann@fabrikam.com"],
        ),
        ("client_ips = [\"203.0.113.2\"]", &["--mail-from", "<>"]),
        ("tls = \"encrypt\"", &["--mail-from", "ann@fabrikam.com"]),
    ];
    let matches = [
        "sender_domains = [\"contosobank.com\"]",
        "sender_domains = [\"contosobank.com\"]",
        "sender_domains = [\"contosobank.com\"]",
        "sender_domains = [\"*\"]\nrecipient_domains = [\"contoso.com\"]",
        "sender_domains = [\"*\"]",
        "client_ips = [\"192.0.2.0/24\"]",
    ];
    let mut all = String::new();
    for ((require, facts), matched) in examples.into_iter().zip(matches) {
        let text = format!(
            "version = 1\n\n[[inbound]]\nname = \"Agreed\"\n[inbound.match]\n{matched}\n[inbound.require]\n{require}\n\n[end]\n"
        );
        let folder = Folder::with(&[("connectors/default.toml", &text)]);
        let mut arguments = vec![
            "explain",
            "inbound",
            "--client-ip",
            "192.0.2.7",
            "--rcpt-to",
            "bob@contoso.com",
        ];
        arguments.extend(facts);
        let said = folder.run(&arguments);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        let _ = write!(all, "# {matched}: {require}\n{}\n\n", said.out.trim_end());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn explain_asks_a_server_the_same() {
    let example = include_str!("../../config/connectors/default.toml");
    let running = Running::serve(&[("default", example)]);
    let server = running.listen.to_string();
    for facts in [
        &[
            "inbound",
            "--client-ip",
            "192.0.2.7",
            "--mail-from",
            "ann@contosobank.com",
            "--connector",
            "Fabrikam",
        ][..],
        &["outbound", "--rcpt-to", "bob@contosobank.com"],
        &[
            "outbound",
            "--rcpt-to",
            "bob@contosobank.com",
            "--host",
            "mx.else.example",
            "--rule-connector",
            "none",
        ],
    ] {
        let mut local = vec!["explain"];
        local.extend(facts);
        let local = in_repo(&local);
        let mut remote = vec!["explain"];
        remote.extend(facts);
        remote.extend(["--server", &server]);
        let remote = in_repo(&remote);
        assert_eq!(
            (local.out, local.code),
            (remote.out, remote.code),
            "{}",
            remote.err
        );
    }
    let said = in_repo(&[
        "explain",
        "inbound",
        "--client-ip",
        "192.0.2.7",
        "--server",
        "127.0.0.1:1",
    ]);
    assert_eq!(said.code, 3);
    let said = in_repo(&["list", "--covers", "contosobank.com", "--server", &server]);
    assert!(
        said.code == 0 && said.out.contains("ContosoBank"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn explain_ends_with_the_verdict() {
    let code = |arguments: &[&str]| {
        let mut all = vec!["explain"];
        all.extend(arguments);
        in_repo(&all).code
    };
    assert_eq!(
        code(&[
            "inbound",
            "--client-ip",
            "192.0.2.7",
            "--mail-from",
            "a@adatum.com"
        ]),
        0
    );
    assert_eq!(code(&["outbound", "--rcpt-to", "contosobank.com"]), 0);
    assert_eq!(
        code(&[
            "inbound",
            "--client-ip",
            "192.0.2.7",
            "--mail-from",
            "a@contosobank.com"
        ]),
        1
    );
    assert_eq!(code(&["inbound", "--client-ip", "nonsense"]), 2);
    assert_eq!(
        code(&["inbound", "--client-ip", "192.0.2.7", "--set", "nowhere"]),
        3
    );
    assert_eq!(
        code(&[
            "outbound",
            "--rcpt-to",
            "contosobank.com",
            "--host",
            "mail.contosobank.com"
        ]),
        4
    );
}

#[test]
fn expectations_of_a_team() {
    let expectations = "version = 1\n[[case]]\nname = \"plaintext is refused\"\n[case.inbound]\n\
        client_ip = \"192.0.2.7\"\nmail_from = \"ann@contosobank.com\"\n[case.expect]\nverdict = \"REJECT\"\n\
        [[case]]\nname = \"so is TLS\"\nwhy = \"it is not\"\n[case.inbound]\nclient_ip = \"192.0.2.7\"\n\
        mail_from = \"ann@contosobank.com\"\ntls = { version = \"TLSv1.3\" }\n[case.expect]\nverdict = \"REJECT\"\n\
        reasons = [\"TLS_REQUIRED\"]\n";
    let folder = Folder::with(&[
        ("connectors/default.toml", &demands_tls("one")),
        ("connectors/tests/bank.toml", expectations),
    ]);
    let said = folder.run(&["test"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(said.out + &said.err);
    let said = folder.run(&["test", "--format", "junit"]);
    assert!(
        said.out.starts_with("<?xml") && said.out.contains("failures=\"1\""),
        "{}",
        said.out
    );
    assert_eq!(folder.run(&["test", "--filter", "plaintext"]).code, 0);
    let json = folder.run(&["test", "--format", "json"]).json();
    assert!(json.to_string().contains("so is TLS"));
    fs::write(
        folder.0.path().join("connectors/tests/bank.toml"),
        "version = 1\n[[case]]\nnam = 1\n",
    )
    .unwrap();
    assert_eq!(folder.run(&["test"]).code, 2);
}

#[test]
fn expectations_are_of_sets_within_the_bounds_of_the_settings() {
    let case = "[[case]]\nname = \"one\"\n[case.inbound]\nclient_ip = \"192.0.2.7\"\n\
                mail_from = \"ann@contosobank.com\"\n[case.expect]\nverdict = \"REJECT\"\n";
    let connectors = demands_tls("one").replace(
        "version = 1\n",
        "version = 1\naccepted_domains = [\"contoso.com\"]\n",
    );
    let settings = "version = 1\n[connectors]\ndirectory = \"c\"\n[[sets]]\nname = \"default\"\n\
                    accepted_domains = [\"adatum.com\"]\n";
    let folder = Folder::with(&[
        ("postern.toml", settings),
        ("c/default.toml", &connectors),
        ("c/tests/one.toml", &format!("version = 1\n{case}")),
        (
            "elsewhere.toml",
            &format!("version = 1\nconnectors = \"c\"\n{case}"),
        ),
    ]);
    let said = folder.run(&["test", "--config", "postern.toml"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    let said = said.out + &said.err;
    assert!(
        said.contains("is not among the domains that the settings let"),
        "{said}"
    );
    // Connectors that a file names itself are asked wherever there are no settings.
    let said = folder.run(&["test", "--config", "postern.toml", "elsewhere.toml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn the_example_of_the_documentation_holds() {
    let docs = include_str!("../../docs/expectations.md");
    let example = docs
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let folder = Folder::with(&[
        ("connectors/default.toml", &demands_tls("one")),
        ("connectors/tests/example.toml", example),
    ]);
    let said = folder.run(&["test"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    // The file that docs/connectors.md shows, with a fingerprint in the place of its dots.
    let docs = include_str!("../../docs/connectors.md");
    let example = docs
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let pin = "7D:".repeat(31) + "7D";
    let folder = Folder::with(&[("connectors/default.toml", &example.replace("7D:D5:…", &pin))]);
    let said = folder.run(&["check"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn completions_and_man_pages() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = in_repo(&["completions", shell]);
        assert!(said.code == 0 && said.out.contains("explain"), "{shell}");
    }
    let said = in_repo(&["man"]);
    assert!(said.code == 0 && said.out.contains(".TH"), "{}", said.out);
    let folder = Folder::with(&[]);
    assert_eq!(folder.run(&["man", "--out", "pages"]).code, 0);
    assert!(folder.0.path().join("pages/postern-explain.1").exists());
}

#[test]
fn a_reader_may_stop_reading() {
    let script = format!("{} list | head -n 1", env!("CARGO_BIN_EXE_postern"));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -o pipefail; {script}")]);
    let output = command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().is_empty());
}
