//! The JSON Schemas for editors: they are those of the types, take whatever is good, and see what a
//! schema can see of what is not.

use std::{env, fs, path::Path};

use postern::{
    config::{
        callers, load_str, raw,
        settings::{
            self, Settings,
            bridge::{self, BridgeSettings},
        },
    },
    rpc::{connect, journal},
};
use serde_json::Value;

use crate::findings::files;

const BRIDGE: &str = "config/schema/bridge.schema.json";
const CONNECTORS: &str = "config/schema/connectors.schema.json";
const DECISION_LOG: &str = "config/schema/decision-log.schema.json";
const CALLERS: &str = "config/schema/callers.schema.json";
const OPENAPI: &str = "proto/postern/v1/openapi.json";
const SETTINGS: &str = "config/schema/settings.schema.json";

/// What only Postern itself sees: it reads into values, compares them, or reads the text.
const UNSEEN: [&str; 31] = [
    "address-key-missing",
    "address-key-unused",
    "caller-ambiguous",
    "certificate-name-bad",
    "client-ca-missing",
    "connector-duplicate",
    "decision-log-nowhere",
    "decision-log-twice",
    "duration-invalid",
    "duration-out-of-range",
    "duration-too-long",
    "endpoint-invalid",
    "endpoint-twice",
    "end-not-header",
    "end-not-last",
    "headers-invalid",
    "listen-invalid",
    "listen-twice",
    "listener-missing",
    "name-bad",
    "name-duplicate",
    "network-bad",
    "pairs-too-many",
    "pattern-bad",
    "plaintext-exposed",
    "rotation-period-invalid",
    "rotation-unused",
    "size-invalid",
    "set-bounds-twice",
    "smart-host-bad",
    "toml-syntax",
];

#[test]
fn the_schemas_are_those_of_the_types() {
    for (path, schema) in [
        (BRIDGE, bridge::schema().to_value()),
        (CALLERS, callers::schema().to_value()),
        (CONNECTORS, raw::schema().to_value()),
        (DECISION_LOG, journal::schema()),
        (OPENAPI, connect::document()),
        (SETTINGS, settings::schema().to_value()),
    ] {
        let text = format!("{schema:#}\n");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if env::var_os("POSTERN_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not that of the types: run `POSTERN_UPDATE=1 cargo test schema`, and commit it",
            path.display()
        );
    }
}

#[test]
fn what_postern_takes_the_schema_takes() {
    let schema = jsonschema::validator_for(raw::schema().as_value()).unwrap();
    let taken = [
        "tests/config/good",
        "tests/config/warn",
        "tests/config/overlap",
        "config/connectors",
    ];
    for (name, text) in taken.into_iter().flat_map(files) {
        let faults: Vec<_> = schema
            .iter_errors(&json(&text))
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
    }
    let schema = jsonschema::validator_for(settings::schema().as_value()).unwrap();
    let shipped = &files("config")["postern"];
    assert!(schema.is_valid(&json(shipped)));
}

#[test]
fn what_a_schema_can_see_is_refused_by_it() {
    let schema = jsonschema::validator_for(raw::schema().as_value()).unwrap();
    for (name, text) in files("tests/config/bad") {
        let code = load_str(&name, &text).findings[0].code;
        if !UNSEEN.contains(&code) {
            assert!(
                !schema.is_valid(&json(&text)),
                "{name} is valid by the schema"
            );
        }
    }
    let schema = jsonschema::validator_for(settings::schema().as_value()).unwrap();
    for (name, text) in files("tests/config/settings") {
        let code = Settings::from_toml(&text).expect_err(&name)[0].code;
        if !UNSEEN.contains(&code) {
            assert!(
                !schema.is_valid(&json(&text)),
                "{name} is valid by the schema"
            );
        }
    }
}

#[test]
fn the_schema_of_a_bridge_takes_what_a_bridge_takes() {
    let schema = jsonschema::validator_for(bridge::schema().as_value()).unwrap();
    assert!(schema.is_valid(&json(&files("config")["bridge"])));
    for (name, text) in files("tests/config/bridge") {
        let code = BridgeSettings::from_toml(&text).expect_err(&name)[0].code;
        if !UNSEEN.contains(&code) && name != "tls-incomplete" {
            assert!(
                !schema.is_valid(&json(&text)),
                "{name} is valid by the schema"
            );
        }
    }
}

#[test]
fn the_schema_of_callers_takes_what_postern_takes() {
    let schema = jsonschema::validator_for(callers::schema().as_value()).unwrap();
    let example = include_str!("../../config/callers.example.toml");
    assert!(callers::load_str(example).callers.is_some());
    assert!(schema.is_valid(&json(example)));
    for (name, text) in files("tests/config/callers") {
        let code = callers::load_str(&text).findings[0].code;
        if !UNSEEN.contains(&code) {
            assert!(
                !schema.is_valid(&json(&text)),
                "{name} is valid by the schema"
            );
        }
    }
}

fn json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}
