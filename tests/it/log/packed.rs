//! Logs that were compressed once they were rotated, as logrotate does by default.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::json;

use super::fixture::{Log, Said, decide, decisions};
use crate::running::{demands_tls, plaintext};

/// Compresses a file with gzip; it is `FILE.gz` then.
fn pack(log: &Log, file: &str) {
    let packed = Command::new("gzip").arg(log.path(file)).status();
    assert!(packed.unwrap().success());
}

/// A log with all of `lines`: the first compressed in two goes, some in a rotated file, the rest.
fn rotated() -> (Log, usize) {
    let lines = decisions("microsoft");
    assert!(lines.len() > 6);
    let log = Log::of(&lines[6..]);
    for (at, file) in ["one", "two", "decisions.jsonl.1"].into_iter().enumerate() {
        log.append(file, &lines[2 * at..2 * at + 2]);
    }
    for file in ["one", "two"] {
        pack(&log, file);
    }
    let members = ["one.gz", "two.gz"].map(|file| fs::read(log.path(file)).unwrap());
    fs::write(log.path("decisions.jsonl.2.gz"), members.concat()).unwrap();
    let settings = "version = 1\n[decision_log]\nfile = \"decisions.jsonl\"\n";
    fs::write(log.path("postern.toml"), settings).unwrap();
    (log, lines.len())
}

#[test]
fn a_compressed_file_is_read_like_any_other() {
    let (log, decisions) = rotated();
    let summary = ["summary", "--config", "postern.toml", "--format", "json"];
    let said = log.run(&summary);
    assert_eq!(said.json()["verdicts"]["decisions"], decisions);
    assert_eq!(said.err, "");
    // As gzip leaves it until it is done.
    fs::write(log.path("decisions.jsonl.1.gz"), b"\x1f\x8b\x08").unwrap();
    assert_eq!(log.run(&summary).json()["verdicts"]["decisions"], decisions);

    let told = ["--config", "postern.toml"];
    let show = [&["show", "--correlation-id", "id-0"][..], &told].concat();
    let shown = log.run(&show);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let named = log.run(&["summary", "decisions.jsonl.2.gz", "--format", "json"]);
    assert_eq!(named.json()["verdicts"]["decisions"], 4);

    let mut command = log.command(&["summary", "-", "--format", "json"]);
    let packed = fs::File::open(log.path("decisions.jsonl.2.gz")).unwrap();
    let output = command.stdin(packed).stdout(Stdio::piped()).output();
    let piped = Said::of(&output.unwrap());
    assert_eq!(piped.json()["verdicts"]["decisions"], 4);
    assert_eq!(piped.json()["files"], json!(["standard input"]));
}

#[test]
fn what_was_rotated_and_compressed_is_looked_at_for_what_came() {
    let (log, _) = rotated();
    // What the connector refused is in the compressed file alone.
    let mail = decide(7, &demands_tls("one"), plaintext());
    for file in ["decisions.jsonl", "decisions.jsonl.1"] {
        fs::write(log.path(file), "").unwrap();
    }
    fs::remove_file(log.path("decisions.jsonl.2.gz")).unwrap();
    log.append("decisions.jsonl.2", &[mail]);
    pack(&log, "decisions.jsonl.2");
    let said = log.run(&[
        "follow",
        "--config",
        "postern.toml",
        "--connector",
        "ContosoBank",
        "--since",
        "2000-01-01",
        "--timeout",
        "30s",
    ]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.out.contains("id-7"), "{}", said.out);
    let refused = log.run(&[
        "follow",
        "decisions.jsonl.2.gz",
        "--connector",
        "ContosoBank",
    ]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("no more lines come to it"),
        "{}",
        refused.err
    );
}

#[test]
fn what_cannot_be_unpacked_is_named() {
    let (log, decisions) = rotated();
    let whole = fs::read(log.path("decisions.jsonl.2.gz")).unwrap();
    fs::write(log.path("cut.gz"), &whole[..whole.len() - 20]).unwrap();
    let cut = log.run(&["summary", "cut.gz"]);
    assert_eq!(cut.code, Some(2));
    assert!(cut.err.contains("`cut.gz` cannot be read"), "{}", cut.err);

    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00];
    fs::write(log.path("decisions.jsonl.3.zst"), zstd).unwrap();
    let said = log.run(&["summary", "--config", "postern.toml", "--format", "json"]);
    assert_eq!(said.json()["verdicts"]["decisions"], decisions);
    assert!(
        said.err.contains("decisions.jsonl.3.zst` is left out"),
        "{}",
        said.err
    );
    assert!(said.err.contains("pipe `zstdcat "), "{}", said.err);
    let named = log.run(&["summary", "decisions.jsonl.3.zst"]);
    assert_eq!(named.code, Some(2));
    assert!(named.err.contains("zstdcat"), "{}", named.err);
}
