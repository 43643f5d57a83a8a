//! What the package brings along, and its own tests.

use std::{fs, process::Command};

use super::{installed, root};

#[test]
fn the_contract_is_ours() {
    let ours = include_str!("../../../../proto/postern/v1/policy.proto");
    let copy = "integrations/haraka/proto/postern/v1/policy.proto";
    let theirs = fs::read_to_string(root().join(copy)).unwrap();
    assert!(
        ours == theirs,
        "copy proto/postern/v1/policy.proto to {copy}"
    );
}

#[test]
fn the_licence_is_ours() {
    let theirs = include_str!("../../../../integrations/haraka/LICENSE");
    assert_eq!(include_str!("../../../../LICENSE"), theirs);
}

#[test]
fn its_own_tests_pass() {
    let folder = root().join("integrations/haraka/test");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let output = Command::new("node")
        .arg("--test")
        .args(files)
        .env("NODE_PATH", installed())
        .env_remove("NODE_OPTIONS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
