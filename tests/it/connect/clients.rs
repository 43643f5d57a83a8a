//! Clients of the Connect protocol, as they are published.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use postern::rpc::pb;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::serve;
use crate::running::tool;

/// A folder in which Node finds the packages of `tests/clients`, for as long as it lives.
fn beside_packages() -> TempDir {
    tempfile::tempdir_in(installed("clients")).unwrap()
}

/// What `./test` installs for the clients.
pub(crate) fn installed(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/tools")
        .join(name);
    assert!(
        place.is_dir(),
        "`{}` is not there: run the tests with `./test`, which installs it",
        place.display()
    );
    place
}

#[test]
fn the_client_for_node_works_unchanged() {
    let (_running, at) = serve("");
    let folder = beside_packages();
    let [script, descriptors] = ["connect.mjs", "contract.binpb"].map(|it| folder.path().join(it));
    fs::write(&script, include_str!("../../clients/connect.mjs")).unwrap();
    fs::write(&descriptors, pb::DESCRIPTORS).unwrap();
    let output = Command::new(tool("node"))
        .arg(&script)
        .arg(format!("http://{at}"))
        .arg(&descriptors)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let told: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 4, "{said}{errors}");
    let details = ["google.rpc.ErrorInfo", "google.rpc.BadRequest"];
    for (at, told) in told.iter().enumerate() {
        assert_eq!(told["verdict"], pb::Verdict::Reject as i32);
        assert_eq!(told["reply"], 530);
        assert_eq!(told["route"], "mx");
        assert!(told["chains"].as_u64().unwrap() > 0);
        assert_eq!(told["bad"][0], "InvalidArgument");
        assert_eq!(told["bad"][1], json!(details));
        assert_eq!(told["missing"][0], "NotFound");
        if at >= 2 {
            assert_eq!(told["stream"][0], "Unimplemented", "{told}");
        }
    }
}

#[test]
fn the_openapi_document_is_one() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/postern/v1/openapi.json");
    let python = installed("clients").join("python/bin/python");
    let validate = |file: &Path| {
        let output = Command::new(&python)
            .args(["-m", "openapi_spec_validator"])
            .arg(file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    };
    let (valid, said) = validate(&document);
    assert!(valid, "{said}");
    let broken = fs::read_to_string(&document).unwrap();
    let broken = broken.replace("\"operationId\"", "\"operation\"");
    let broken = broken
        .replace("\"paths\"", "\"routes\"")
        .replace("\"get\"", "7");
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    fs::write(file.path(), broken.replace("\"title\"", "\"titel\"")).unwrap();
    assert!(!validate(file.path()).0, "it takes everything");
}
