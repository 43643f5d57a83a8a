//! Compiles the contract with protox, so that no `protoc` is needed.

use std::{env, fs, path::PathBuf};

use miette::{IntoDiagnostic, Result, miette};
use prost::Message;

const PROTOS: &[&str] = &["postern/v1/policy.proto", "postern/v1/explain.proto"];
const INCLUDES: &[&str] = &["proto"];

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=proto");

    let descriptors = protox::compile(PROTOS, INCLUDES)?;

    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| miette!("cargo did not set OUT_DIR"))?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec()).into_diagnostic()?;

    tonic_prost_build::configure()
        .build_client(true)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .into_diagnostic()
}
