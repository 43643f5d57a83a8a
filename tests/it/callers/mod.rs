//! Callers: who is let in, to which sets, and how that changes while the server runs.

use std::{fs, path::PathBuf};

use postern::{
    callers::TokenHash,
    rpc::{client::Client, pb},
};
use tempfile::TempDir;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::running::{Running, block_on, plaintext};

mod admin;
mod attacks;
mod beyond;
mod certificates;
mod choice;
mod limits;
mod live;
mod open;
mod others;

/// A set that accepts the domain of this name, and demands TLS of contosobank.com.
fn set(name: &str) -> String {
    format!(
        "version = 1\naccepted_domains = [\"{name}.com\"]\n[[inbound]]\nname = \"{name}'s own\"\n\
         match.sender_domains = [\"contosobank.com\"]\nrequire.tls = \"encrypt\"\n[[outbound]]\n\
         name = \"{name}'s route\"\nmatch.recipient_domains = [\"contosobank.com\"]\n\
         route.smart_hosts = [\"mx.{name}.example\"]\n[end]\n"
    )
}

/// The token of a caller.
fn token(caller: &str) -> String {
    format!("the-token-of-{caller}-0123456789")
}

/// An entry of the file of callers; `more` are lines.
fn caller(name: &str, sets: &[&str], more: &str) -> String {
    let hash = TokenHash::of(token(name).as_bytes());
    format!(
        "[[callers]]\nname = \"{name}\"\ntoken_sha256 = [\"{hash}\"]\nsets = {sets:?}\n{more}\n"
    )
}

/// A file of callers.
fn file(callers: &[String]) -> String {
    format!("version = 1\n{}[end]\n", callers.concat())
}

/// A server with the sets contoso, fabrikam and adatum, and these callers.
fn serve(callers: &[String]) -> Running {
    serve_with(Some(&file(callers)), "")
}

/// The same with this file of callers, if any, and more settings.
fn serve_with(callers: Option<&str>, settings: &str) -> Running {
    Running::serve_folder(folder(callers), settings)
}

fn folder(callers: Option<&str>) -> TempDir {
    let folder = TempDir::new().unwrap();
    let connectors = folder.path().join("connectors");
    fs::create_dir(&connectors).unwrap();
    for name in ["adatum", "contoso", "fabrikam"] {
        fs::write(connectors.join(format!("{name}.toml")), set(name)).unwrap();
    }
    if let Some(callers) = callers {
        fs::write(folder.path().join("callers.toml"), callers).unwrap();
    }
    folder
}

/// The file of callers.
fn callers_of(running: &Running) -> PathBuf {
    running.folder.path().join("callers.toml")
}

/// A call with these values of the header `authorization`.
fn call<T>(message: T, authorization: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for value in authorization {
        request
            .metadata_mut()
            .append("authorization", value.parse().unwrap());
    }
    request
}

/// A call with the token of a caller.
fn by<T>(caller: &str, message: T) -> Request<T> {
    call(message, &[&format!("Bearer {}", token(caller))])
}

/// Mail to `rcpt_to`, asked of a set that may be named.
fn inbound(set: &str, rcpt_to: &str) -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        connector_set: set.into(),
        rcpt_to: rcpt_to.into(),
        ..plaintext()
    }
}

/// Mail of `mail_from`, asked of a set that may be named.
fn outbound(set: &str, mail_from: &str) -> pb::CheckOutboundRequest {
    pb::CheckOutboundRequest {
        connector_set: set.into(),
        mail_from: mail_from.into(),
        rcpt_to: "ann@contosobank.com".into(),
        ..pb::CheckOutboundRequest::default()
    }
}

/// The answer to a caller.
async fn check(
    client: &mut Client,
    caller: &str,
    question: pb::CheckInboundRequest,
) -> Result<pb::CheckInboundResponse, Status> {
    let answer = client.decisions.check_inbound(by(caller, question)).await;
    answer.map(Response::into_inner)
}

/// The name of the set that answered.
fn answered(response: Result<pb::CheckInboundResponse, Status>) -> String {
    response.unwrap().revision.unwrap().connector_set
}

/// Code and reason of an error.
fn refusal<T: std::fmt::Debug>(response: Result<T, Status>) -> (Code, String) {
    let status = response.unwrap_err();
    let reason = status.get_details_error_info().unwrap().reason;
    (status.code(), reason)
}

/// All that a peer learns of an error.
fn whole(status: &Status) -> (Code, String, Vec<u8>, Vec<String>) {
    let metadata = status.metadata().keys().map(|key| format!("{key:?}"));
    let mut metadata: Vec<_> = metadata.collect();
    metadata.sort();
    (
        status.code(),
        status.message().to_owned(),
        status.details().to_owned(),
        metadata,
    )
}

#[test]
fn who_is_not_known_is_refused_whatever_is_tried() {
    let running = serve(&[caller("edge", &["contoso"], "")]);
    let good = format!("Bearer {}", token("edge"));
    let guess = format!("Bearer {}", token("edgf"));
    let short = good.replace("0123456789", "");
    let longer = format!("{good}0");
    let bare = token("edge");
    let tries: [&[&str]; 12] = [
        &[],
        &[&guess],
        &[&short],
        &[&longer],
        &[&bare],
        &["Bearer"],
        &["Bearer "],
        &["Basic ZWRnZTplZGdl"],
        &[""],
        &[&good, &good],
        &[&good, &guess],
        &[&guess, &good],
    ];
    block_on(async {
        let mut client = running.client().await;
        let mut first = None;
        for authorization in tries {
            // Over the connection of one that is known.
            assert_eq!(
                answered(check(&mut client, "edge", plaintext()).await),
                "contoso"
            );
            let asked = client
                .decisions
                .check_inbound(call(plaintext(), authorization));
            let status = asked.await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{authorization:?}");
            let told = whole(&status);
            assert_eq!(first.get_or_insert(told.clone()), &told);
            // Every other way to ask.
            let sent = call(outbound("", "bob@contoso.com"), authorization);
            let status = client.decisions.check_outbound(sent).await.unwrap_err();
            assert_eq!(first, Some(whole(&status)));
            let asked = pb::ExplainInboundRequest {
                facts: Some(plaintext()),
                ..pb::ExplainInboundRequest::default()
            };
            let explained = client
                .explanations
                .explain_inbound(call(asked, authorization));
            assert_eq!(first, Some(whole(&explained.await.unwrap_err())));
            let questions = call(tokio_stream::iter([]), authorization);
            let status = client.decisions.check_stream(questions).await.unwrap_err();
            assert_eq!(first, Some(whole(&status)));
        }
    });
    let (_, metrics) = running.page("/metrics");
    for line in [
        "postern_unauthenticated_calls_total{cause=\"missing\"} 4",
        "postern_unauthenticated_calls_total{cause=\"unknown\"} 8",
        "postern_callers 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // No flood: once in a second, with how many more there were.
    let refused = |event: &serde_json::Value| {
        crate::running::field(event, "message")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|message| message.starts_with("a call was refused"))
    };
    let event = running.logged(refused);
    assert!(crate::running::field(&event, "peer").is_some(), "{event}");
    let said = running
        .events()
        .iter()
        .filter(|event| refused(event))
        .count();
    assert!(said < 24, "{said} of 48 refusals are in the log");
    for event in running.events() {
        let text = event.to_string();
        assert!(!text.contains("the-token-of"), "{text}");
    }
}

#[test]
fn who_asks_is_named_in_log_and_metrics() {
    let running = serve(&[
        caller("edge", &["contoso"], ""),
        caller("idle", &["contoso"], ""),
    ]);
    block_on(async {
        let mut client = running.client().await;
        check(&mut client, "edge", plaintext()).await.unwrap();
        let denied = check(&mut client, "edge", inbound("fabrikam", "")).await;
        assert_eq!(refusal(denied).0, Code::PermissionDenied);
    });
    // Nothing says that the file must be there.
    let unnamed = "without this file the next start lets everybody ask";
    let warns = |running: &Running| {
        let events = running.events();
        events
            .iter()
            .any(|event| event.to_string().contains(unnamed))
    };
    assert!(warns(&running));
    let named = serve_with(
        Some(&file(&[caller("edge", &["contoso"], "")])),
        "[callers]\nfile = \"callers.toml\"\n",
    );
    assert!(!warns(&named));
    let event = running.logged(|event| crate::running::field(event, "verdict").is_some());
    assert_eq!(crate::running::field(&event, "caller").unwrap(), "edge");
    let (_, metrics) = running.page("/metrics");
    for line in [
        "postern_caller_calls_total{caller=\"edge\",grpc_code=\"OK\"} 1",
        "postern_caller_calls_total{caller=\"edge\",grpc_code=\"PERMISSION_DENIED\"} 1",
        "postern_callers_reloads_total{result=\"loaded\"} 1",
        "postern_callers 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("caller=\"idle\""), "{metrics}");
    assert_eq!(running.status()["callers"]["in_force"], 2);
}

#[test]
fn a_caller_may_do_what_it_may() {
    let running = serve(&[
        caller("edge", &["contoso"], ""),
        caller("desk", &["contoso"], "may = [\"explain\"]"),
    ]);
    block_on(async {
        let mut client = running.client().await;
        let explain = || pb::ExplainInboundRequest {
            facts: Some(plaintext()),
            ..pb::ExplainInboundRequest::default()
        };
        let explained = client.explanations.explain_inbound(by("edge", explain()));
        let denied = (Code::PermissionDenied, "RIGHT_MISSING".to_owned());
        assert_eq!(refusal(explained.await), denied);
        let explained = client.explanations.explain_inbound(by("desk", explain()));
        explained.await.unwrap();
        assert_eq!(
            refusal(check(&mut client, "desk", plaintext()).await),
            denied
        );
        let questions = by("desk", tokio_stream::iter([]));
        assert_eq!(
            refusal(client.decisions.check_stream(questions).await),
            denied
        );
    });
}

/// Where a link in the place of the file of callers leads.
const LEADS_NOWHERE: &str = "nowhere/callers.toml";

#[test]
fn nothing_starts_with_callers_that_are_not_as_they_must_be() {
    let broken = "version = 1\n[[callers]]\nname = \"edge\"\nsets = [\"contoso\"]\n[end]\n";
    let missing = "[callers]\nfile = \"nowhere/callers.toml\"\n";
    for (callers, settings, code) in [
        (Some(broken), "", "caller-unknowable"),
        (Some("version = 1\n"), "", "callers-none"),
        (None, missing, "callers-missing"),
        // No setting names it; and yet somebody meant callers to be there.
        (Some(LEADS_NOWHERE), "", "callers-missing"),
    ] {
        let folder = folder(callers);
        if callers == Some(LEADS_NOWHERE) {
            let file = folder.path().join("callers.toml");
            fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(LEADS_NOWHERE, file).unwrap();
        }
        let file = folder.path().join("postern.toml");
        fs::write(&file, format!("version = 1\n{settings}")).unwrap();
        for (verb, exit) in [("serve", 78), ("check", 1)] {
            let mut command = crate::running::postern();
            let output = command.arg(verb).arg("--config").arg(&file).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(exit), "{output:?}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(code), "{code}: {said}");
        }
    }
}
