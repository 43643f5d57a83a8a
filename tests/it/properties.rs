//! The properties that the fuzz targets look into, tried on their corpora and on a few thousand
//! texts and messages made from them.

use std::{fs, path::Path};

use proptest::{
    prelude::*,
    test_runner::{TestRng, TestRunner},
};

#[expect(
    unreachable_pub,
    reason = "the fuzz targets use them from another crate"
)]
#[path = "../../fuzz/properties.rs"]
mod held;

#[test]
fn addresses() {
    try_text("address", held::address);
}

#[test]
fn callers() {
    try_text("callers", held::callers);
}

#[test]
fn connectors() {
    try_text("connectors", held::connectors);
}

#[test]
fn domains() {
    try_text("domain", held::domain);
}

#[test]
fn what_mtas_say_by_milter() {
    try_bytes("milter", held::milter);
}

#[test]
fn what_postfix_and_exim_ask() {
    try_bytes("policy", held::policy);
}

#[test]
fn lookups_of_socketmap() {
    try_bytes("socketmap", held::socketmap);
}

#[test]
fn networks() {
    try_text("network", held::network);
}

#[test]
fn settings() {
    try_text("settings", held::settings);
}

#[test]
fn questions_about_sending_servers() {
    try_bytes("check_inbound", held::check_inbound);
    try_bytes("explain_inbound", held::explain_inbound);
}

#[test]
fn questions_about_next_hops() {
    try_bytes("check_outbound", held::check_outbound);
    try_bytes("explain_outbound", held::explain_outbound);
}

#[test]
fn questions_in_streams() {
    try_bytes("check_stream", held::check_stream);
}

fn try_text(target: &str, property: fn(&str)) {
    try_bytes(target, |bytes| {
        if let Ok(text) = str::from_utf8(bytes) {
            property(text);
        }
    });
}

fn try_bytes(target: &str, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let seeds: Vec<Vec<u8>> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        property(seed);
    }
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let slips = prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, slip()), 0..4);
    let inputs = (prop::sample::select(seeds), slips);
    let outcome = runner.run(&inputs, |(mut bytes, slips)| {
        for (at, gone, new) in slips {
            let at = at.index(bytes.len() + 1);
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, new);
        }
        property(&bytes);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{target}: {error}");
    }
}

/// What a slip of the pen, or of a wire, puts in the place of something.
fn slip() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3),
        "\\PC{0,3}".prop_map(String::into_bytes),
        prop::sample::select(TOKENS).prop_map(|token| token.as_bytes().to_vec()),
    ]
}

const CASES: u32 = 2000;

const TOKENS: &[&str] = &[
    "\n",
    "\r\n",
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "*",
    "*.",
    "@",
    "<",
    ">",
    "#",
    ":",
    "/",
    "-",
    "%",
    "::",
    "::ffff:",
    "/0",
    "/33",
    "xn--",
    "。",
    "ß",
    "\u{200d}",
    "\u{feff}",
    "\u{0}",
    "[end]\n",
    "[[inbound]]\n",
    "\"*\"",
    "tls = \"encrypt\"\n",
    "origin = \"unrestricted\"\n",
];
