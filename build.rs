//! Compiles the contract with protox, so that no `protoc` is needed.

use std::{env, fs, path::PathBuf};

use miette::{IntoDiagnostic, Result, miette};
use prost::Message;

const PROTOS: &[&str] = &["postern/v1/policy.proto", "postern/v1/explain.proto"];
const INCLUDES: &[&str] = &["proto"];

macro_rules! spelled {
    ($by:literal) => {
        concat!(
            "#[serde(serialize_with = \"crate::rpc::spelling::",
            $by,
            "\")]"
        )
    };
}

/// The messages of a line of the decision log, which is proto3 JSON: serde writes it in a tenth of
/// the time that a dynamic message takes, and a test holds both equal.
const LOGGED: &[&str] = &[
    "CheckInboundRequest",
    "CheckOutboundRequest",
    "OutboundSession",
    "TlsSession",
    "Certificate",
    "CheckInboundResponse",
    "CheckOutboundResponse",
    "MatchedConnector",
    "Report",
    "Rejection",
    "SmtpReply",
    "MxRoute",
    "SmartHosts",
    "SmartHost",
    "TlsRequirement",
    "SetRevision",
];

/// What is at its default is left out.
const LEFT_OUT: &str = "#[serde(skip_serializing_if = \"crate::rpc::spelling::is_default\")]";

/// Fields that serde by itself would write otherwise.
const SPELLED: &[(&str, &str)] = &[
    ("CheckInboundResponse.verdict", spelled!("verdict")),
    ("CheckOutboundResponse.verdict", spelled!("verdict")),
    ("Report.verdict", spelled!("verdict")),
    ("MatchedConnector.matched_by", spelled!("matched_by")),
    ("Rejection.reason", spelled!("reason")),
    ("TlsRequirement.level", spelled!("tls_level")),
    ("SetRevision.selected_by", spelled!("selected_by")),
    ("Certificate.trust", spelled!("trust")),
    ("Certificate.der", spelled!("octets")),
    ("Certificate.not_after", spelled!("time")),
];

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=proto");

    let descriptors = protox::compile(PROTOS, INCLUDES)?;

    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| miette!("cargo did not set OUT_DIR"))?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec()).into_diagnostic()?;

    let mut generated = tonic_prost_build::configure()
        .build_client(true)
        .emit_rerun_if_changed(false);
    for message in LOGGED {
        let path = format!(".postern.v1.{message}");
        generated = generated
            .type_attribute(&path, "#[derive(serde::Serialize)]")
            .field_attribute(&path, LEFT_OUT);
    }
    for (field, attribute) in SPELLED {
        generated = generated.field_attribute(format!(".postern.v1.{field}"), attribute);
    }
    generated.compile_fds(descriptors).into_diagnostic()
}
