//! Callers are known over HTTP as over gRPC.

use std::fs;

use postern::callers::TokenHash;
use serde_json::json;
use tempfile::TempDir;

use super::{EXPLAIN, INBOUND, ask, http_of, question};
use crate::running::{Running, demands_tls};

const TOKEN: &str = "the-token-of-a-script-0123456789";

/// A server with one caller, which may ask for decisions alone.
fn serve(more: &str) -> Running {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    for name in ["contoso", "fabrikam"] {
        let file = folder.path().join(format!("connectors/{name}.toml"));
        fs::write(file, demands_tls(name)).unwrap();
    }
    let hash = TokenHash::of(TOKEN.as_bytes());
    let callers = format!(
        "version = 1\n[[callers]]\nname = \"script\"\ntoken_sha256 = [\"{hash}\"]\n\
         sets = [\"contoso\"]\n{more}\n[end]\n"
    );
    fs::write(folder.path().join("callers.toml"), callers).unwrap();
    Running::serve_folder(folder, "[server]\nhttp_listen = \"127.0.0.1:0\"\n")
}

#[test]
fn who_asks_and_what_it_may_is_the_same_as_over_grpc() {
    let running = serve("");
    let at = http_of(&running);
    let bearer = format!("authorization: Bearer {TOKEN}");
    let known = ["-H", &bearer];
    let of = |set: &str| {
        let mut question = question();
        question["connectorSet"] = set.into();
        question.to_string()
    };
    let got = ask(at, INBOUND, &of("contoso"), &known);
    assert_eq!(got.json()["verdict"], "VERDICT_REJECT");

    let refused = |got: super::Got| got.error();
    let unknown = refused(ask(at, INBOUND, &of("contoso"), &[]));
    assert_eq!(
        unknown,
        (401, "unauthenticated".into(), "CALLER_UNKNOWN".into())
    );
    let got = ask(
        at,
        INBOUND,
        &of("contoso"),
        &["-H", "authorization: Bearer the-token-of-nobody-0123456789"],
    );
    assert!(
        got.headers.contains("www-authenticate: bearer\r\n"),
        "{}",
        got.headers
    );
    assert_eq!(refused(got), unknown);
    let denied = (
        403,
        "permission_denied".into(),
        "CONNECTOR_SET_DENIED".into(),
    );
    assert_eq!(refused(ask(at, INBOUND, &of("fabrikam"), &known)), denied);
    assert_eq!(refused(ask(at, INBOUND, &of("nowhere"), &known)), denied);
    let explanation = json!({"facts": question()}).to_string();
    let right = (403, "permission_denied".into(), "RIGHT_MISSING".into());
    assert_eq!(refused(ask(at, EXPLAIN, &explanation, &known)), right);

    let (_, page) = running.page("/metrics");
    for sample in [
        "postern_caller_calls_total{caller=\"script\",grpc_code=\"OK\"} 1",
        "postern_caller_calls_total{caller=\"script\",grpc_code=\"PERMISSION_DENIED\"} 3",
        "postern_unauthenticated_calls_total{cause=\"missing\"} 1",
        "postern_unauthenticated_calls_total{cause=\"unknown\"} 1",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample}: {page}");
    }
}

#[test]
fn a_caller_may_ask_so_much() {
    let running = serve("calls_per_second = 1");
    let at = http_of(&running);
    let bearer = format!("authorization: Bearer {TOKEN}");
    let got = (0..100).find_map(|_| {
        let got = ask(at, INBOUND, &question().to_string(), &["-H", &bearer]);
        (got.status != 200 && got.status != 404).then_some(got)
    });
    let got = got.expect("it may ask as much as it likes");
    let limit = (429, "resource_exhausted".into(), "CALLER_LIMIT".into());
    assert_eq!(got.error(), limit);
    assert!(
        got.headers.contains("retry-after: 1\r\n"),
        "{}",
        got.headers
    );
}
