//! The decision log of the real binary: what stands in it, and what it outlives.

mod again;
mod faults;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use postern::{
    callers::TokenHash,
    rpc::{
        client::Client,
        pb::{self, check_stream_request::Question},
    },
    telemetry::decision_log::rotated,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

use crate::running::{PATIENCE, Running, block_on, plaintext, postern};

/// One connector that refuses plaintext, and one in report that would.
const SET: &str = "version = 1\n[[inbound]]\nname = \"ContosoBank\"\n\
    match.sender_domains = [\"contosobank.com\"]\nrequire.tls = \"encrypt\"\n\
    [[inbound]]\nname = \"Tried\"\nmode = \"report\"\n\
    match.sender_domains = [\"fabrikam.com\"]\nrequire.tls = \"encrypt\"\n[end]\n";

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    fs::write(folder.path().join("connectors/default.toml"), SET).unwrap();
    folder
}

/// A server that writes to `decisions.jsonl` beside its settings, with more settings of the log.
fn serve(settings: &str) -> Running {
    let settings = format!("{QUICK}[decision_log]\nfile = \"decisions.jsonl\"\n{settings}\n");
    Running::serve_folder(folder(), &settings)
}

fn log_of(running: &Running) -> PathBuf {
    running.folder.path().join("decisions.jsonl")
}

/// Mail that is refused, or where `from` says so passes; known by `id`.
fn mail(from: &str, id: &str) -> pb::CheckInboundRequest {
    pb::CheckInboundRequest {
        mail_from: from.into(),
        correlation_id: id.into(),
        ..plaintext()
    }
}

const REFUSED: &str = "ann@contosobank.com";
const PASSES: &str = "ann@nobody.example";
const WOULD_BE_REFUSED: &str = "ann@fabrikam.com";

async fn ask(client: &mut Client, from: &str, id: &str) {
    let answer = client.decisions.check_inbound(mail(from, id)).await;
    assert_ne!(
        answer.unwrap().into_inner().verdict(),
        pb::Verdict::Unspecified
    );
}

/// Stops the server; whatever waits is written by then.
fn stop(running: &mut Running) {
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
}

/// The lines of a file, each of which is one that the schema describes.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "{} is cut off",
        file.display()
    );
    text.lines().map(line).collect()
}

fn line(text: &str) -> Value {
    let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let schema = jsonschema::validator_for(&postern::rpc::journal::schema()).unwrap();
    assert!(schema.is_valid(&line), "{line:#}");
    line
}

/// The correlation ids of `lines`, in their order.
fn ids(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["correlation_id"].as_str().unwrap())
        .collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("id-{at}")).collect()
}

#[test]
fn every_decision_is_a_line_in_its_order() {
    let mut running = serve("");
    let wanted = numbered(300);
    block_on(async {
        let mut client = running.client().await;
        for id in &wanted[..100] {
            ask(&mut client, REFUSED, id).await;
        }
        let (sender, questions) = tokio::sync::mpsc::channel(300);
        for (at, id) in wanted[100..].iter().enumerate() {
            let question = if at % 2 == 0 {
                Question::Inbound(mail(PASSES, id))
            } else {
                Question::Outbound(pb::CheckOutboundRequest {
                    rcpt_to: "bob@contosobank.com".into(),
                    correlation_id: id.clone(),
                    ..pb::CheckOutboundRequest::default()
                })
            };
            let question = Some(question);
            let request = pb::CheckStreamRequest { id: 7, question };
            sender.send(request).await.unwrap();
        }
        drop(sender);
        let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
        let answers = client.decisions.check_stream(questions).await.unwrap();
        assert_eq!(answers.into_inner().collect::<Vec<_>>().await.len(), 200);
        let bad = pb::CheckInboundRequest::default();
        assert!(client.decisions.check_inbound(bad).await.is_err());
    });
    stop(&mut running);
    let lines = lines(&log_of(&running));
    assert_eq!(ids(&lines), wanted);
    let first = &lines[0];
    assert_eq!(first["rpc"], "CheckInbound");
    assert_eq!(first["peer"], "127.0.0.1");
    assert_eq!(first["answer"]["verdict"], "VERDICT_REJECT");
    assert_eq!(lines[100]["rpc"], "CheckStream");
    assert_eq!(lines[101]["direction"], "outbound");
}

#[test]
fn rejects_are_always_written_down_and_so_is_what_report_would_change() {
    let mut running = serve("accepts = 0.0");
    block_on(async {
        let mut client = running.client().await;
        for from in [PASSES, REFUSED, PASSES, WOULD_BE_REFUSED, "malformed"] {
            ask(&mut client, from, from).await;
        }
    });
    stop(&mut running);
    let lines = lines(&log_of(&running));
    assert_eq!(ids(&lines), [REFUSED, WOULD_BE_REFUSED, "malformed"]);
    assert_eq!(lines[1]["answer"]["verdict"], "VERDICT_ACCEPT");
    assert_eq!(
        lines[1]["answer"]["if_enforced"]["verdict"],
        "VERDICT_REJECT"
    );
}

#[test]
fn a_share_of_the_accepts_is_the_same_on_every_replica() {
    let written = || {
        let mut running = serve("accepts = 0.25");
        block_on(async {
            let mut client = running.client().await;
            for id in numbered(400) {
                ask(&mut client, PASSES, &id).await;
            }
        });
        stop(&mut running);
        let lines = lines(&log_of(&running));
        ids(&lines)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let ids = written();
    assert!((50..150).contains(&ids.len()), "{}", ids.len());
    assert_eq!(ids, written());
}

#[test]
fn addresses_are_shown_as_settings_say() {
    for (settings, shown) in [
        ("", "*@contosobank.com"),
        ("addresses = \"domain\"", "*@contosobank.com"),
        ("addresses = \"whole\"", "ann@contosobank.com"),
        (
            "addresses = \"hashed\"\naddress_key_file = \"key\"",
            "@contosobank.com",
        ),
    ] {
        let folder = folder();
        fs::write(
            folder.path().join("key"),
            "a secret of more than 16 octets\n",
        )
        .unwrap();
        let settings = format!("{QUICK}[decision_log]\nfile = \"decisions.jsonl\"\n{settings}\n");
        let mut running = Running::serve_folder(folder, &settings);
        block_on(async {
            let mut client = running.client().await;
            ask(&mut client, REFUSED, "1").await;
            ask(&mut client, "Ann@ContosoBank.com", "2").await;
        });
        stop(&mut running);
        let text = fs::read_to_string(log_of(&running)).unwrap();
        let lines = lines(&log_of(&running));
        let sender = lines[0]["facts"]["mail_from"].as_str().unwrap();
        assert!(sender.ends_with(shown), "{sender}");
        let whole = settings.contains("whole");
        assert_eq!(text.to_lowercase().contains("ann@"), whole, "{text}");
        assert_eq!(text.contains("bob@"), whole, "{text}");
        if !whole {
            assert_eq!(lines[1]["facts"]["mail_from"], sender);
        }
        if settings.contains("hashed") {
            let (hash, _) = sender.split_once('@').unwrap();
            assert!(hash.len() == 16 && hash.bytes().all(|octet| octet.is_ascii_hexdigit()));
        }
    }
}

#[test]
fn full_files_give_way_and_nothing_is_lost() {
    let mut running = serve("rotate_size = \"4 KiB\"\nkeep = 1000");
    let wanted = numbered(200);
    block_on(async {
        let mut client = running.client().await;
        for id in &wanted {
            ask(&mut client, REFUSED, id).await;
        }
    });
    stop(&mut running);
    let mut files = rotated(&log_of(&running)).unwrap();
    assert!(files.len() > 10, "{files:?}");
    files.push(log_of(&running));
    let mut all = Vec::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 4096, "{file:?}");
        all.extend(lines(file));
    }
    assert_eq!(ids(&all), wanted);
}

#[test]
fn the_clock_begins_another_file_and_nothing_is_lost() {
    let mut running = serve("rotate_every = \"1s\"\nkeep = 1000");
    let full = || rotated(&log_of(&running)).unwrap();
    let mut asked = 0;
    block_on(async {
        let mut client = running.client().await;
        let begin = Instant::now();
        while full().len() < 2 {
            assert!(
                begin.elapsed() < PATIENCE,
                "{asked} decisions, {:?}",
                full()
            );
            ask(&mut client, REFUSED, &format!("id-{asked}")).await;
            asked += 1;
        }
    });
    let mut files = full();
    stop(&mut running);
    // The end of a second may have passed once more.
    let more = rotated(&log_of(&running)).unwrap();
    assert!(more.starts_with(&files), "{more:?}");
    files = more;
    let mut all = Vec::new();
    for file in &files {
        let own = lines(file);
        assert!(!own.is_empty(), "{file:?} has nothing");
        // A file ends after all that is in it was decided, and its name says when that was.
        let last = own.last().unwrap()["time"].as_str().unwrap();
        let last: String = last.chars().filter(|it| !"-:".contains(*it)).collect();
        let name = file.to_str().unwrap();
        let (_, stamp) = name.split_once("decisions.jsonl.").unwrap();
        assert!(*last < *stamp, "{last}, {stamp}");
        all.extend(own);
    }
    all.extend(lines(&log_of(&running)));
    assert_eq!(ids(&all), numbered(asked));
}

#[test]
fn a_hangup_opens_the_file_anew_and_loses_nothing() {
    let mut running = serve("rotate = \"external\"");
    let wanted = numbered(900);
    block_on(async {
        let mut client = running.client().await;
        for (at, id) in wanted.iter().enumerate() {
            if at % 300 == 150 {
                // As logrotate does it, in the midst of things.
                let moved = running.folder.path().join(format!("decisions.{at}"));
                fs::rename(log_of(&running), moved).unwrap();
                running.signal("HUP");
            }
            ask(&mut client, REFUSED, id).await;
            if at % 300 == 299 {
                let begin = Instant::now();
                while !log_of(&running).exists() {
                    assert!(begin.elapsed() < PATIENCE, "no file is begun");
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    stop(&mut running);
    let mut all = Vec::new();
    for at in [150, 450, 750] {
        all.extend(lines(
            &running.folder.path().join(format!("decisions.{at}")),
        ));
    }
    all.extend(lines(&log_of(&running)));
    assert_eq!(ids(&all), wanted);
}

#[test]
fn what_waits_at_the_end_is_written() {
    let mut running = serve("");
    let wanted = numbered(50);
    block_on(async {
        let mut client = running.client().await;
        for id in &wanted {
            ask(&mut client, REFUSED, id).await;
        }
    });
    stop(&mut running);
    assert_eq!(ids(&lines(&log_of(&running))), wanted);
}

#[test]
fn standard_output_has_nothing_but_decisions() {
    let settings = format!("{QUICK}[decision_log]\noutput = \"stdout\"\n");
    let mut running = Running::serve_to(folder(), &settings, Stdio::piped());
    let stdout = running.stdout();
    let wanted = numbered(20);
    block_on(async {
        let mut client = running.client().await;
        for id in &wanted {
            ask(&mut client, REFUSED, id).await;
        }
    });
    stop(&mut running);
    let lines: Vec<_> = BufReader::new(stdout)
        .lines()
        .map(|text| line(&text.unwrap()))
        .collect();
    assert_eq!(ids(&lines), wanted);
}

#[test]
fn metrics_and_status_tell_of_it() {
    metrics_and_status_tell("decisions.jsonl");
}

#[test]
fn certificates_are_measured_where_no_line_is_kept() {
    metrics_and_status_tell("/dev/null");
}

fn metrics_and_status_tell(file: &str) {
    let settings = format!("{QUICK}[decision_log]\nfile = \"{file}\"\n");
    let mut running = Running::serve_folder(folder(), &settings);
    let expiring = pb::CheckInboundRequest {
        tls: Some(pb::TlsSession {
            version: "TLSv1.3".into(),
            peer_certificate: Some(pb::Certificate {
                trust: pb::CertificateTrust::Expired.into(),
                dns_names: vec!["mail.contosobank.com".into()],
                not_after: Some(prost_types::Timestamp {
                    seconds: 1_790_000_000,
                    nanos: 0,
                }),
                ..pb::Certificate::default()
            }),
            ..pb::TlsSession::default()
        }),
        ..mail(REFUSED, "1")
    };
    let page = block_on(async {
        let mut client = running.client().await;
        client.decisions.check_inbound(expiring).await.unwrap();
        let begin = Instant::now();
        loop {
            let (_, page) = running.page("/metrics");
            if page.contains("postern_decision_log_lines_total 1\n") {
                return page;
            }
            assert!(begin.elapsed() < PATIENCE, "{page}");
        }
    });
    for sample in [
        "postern_decision_log_lines_dropped_total{verdict=\"ACCEPT\"} 0\n",
        "postern_decision_log_lines_failed_total 0\n",
        "postern_decision_log_failing 0\n",
        "postern_certificate_expiry_timestamp_seconds{direction=\"inbound\",\
         connector_set=\"default\",connector=\"ContosoBank\"} 1790000000",
    ] {
        assert!(page.contains(sample), "{sample}{page}");
    }
    let status = running.status();
    let log = &status["decision_log"];
    assert_eq!(log["lines"], 1);
    assert_eq!(log["failing"], Value::Null);
    assert_eq!(log["certificates"][0]["name"], "mail.contosobank.com");
    assert_eq!(log["certificates"][0]["not_after"], "2026-09-21T14:13:20Z");
    stop(&mut running);
}

#[test]
fn a_line_names_the_caller_and_never_its_token() {
    const TOKEN: &str = "a-token-that-nobody-may-read-0123456789";
    let folder = folder();
    let hash = TokenHash::of(TOKEN.as_bytes());
    let callers = format!(
        "version = 1\n[[callers]]\nname = \"contoso-edge\"\ntoken_sha256 = [\"{hash}\"]\n\
         sets = [\"default\"]\n[end]\n"
    );
    fs::write(folder.path().join("callers.toml"), callers).unwrap();
    let settings = format!("{QUICK}[decision_log]\nfile = \"decisions.jsonl\"\n");
    let mut running = Running::serve_folder(folder, &settings);
    block_on(async {
        let mut client = running.client().await;
        let refused = client
            .decisions
            .check_inbound(mail(REFUSED, "nobody"))
            .await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::Unauthenticated);
        let mut request = tonic::Request::new(mail(REFUSED, "known"));
        let bearer = format!("Bearer {TOKEN}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        client.decisions.check_inbound(request).await.unwrap();
    });
    stop(&mut running);
    let lines = lines(&log_of(&running));
    assert_eq!(ids(&lines), ["known"]);
    assert_eq!(lines[0]["caller"], "contoso-edge");
    assert!(
        !fs::read_to_string(log_of(&running))
            .unwrap()
            .contains(TOKEN)
    );
}

#[test]
fn the_lines_of_the_documentation_are_such_lines() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/decision-log.md"));
    let text = text.unwrap();
    let blocks = text.split("```json\n").skip(1);
    let shown: Vec<_> = blocks
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.starts_with("{\"schema\":1"))
        .map(|block| line(&block.replace('\n', "")))
        .collect();
    assert!(shown.len() >= 2, "{shown:?}");
}

#[test]
fn without_it_there_is_no_trace_of_it() {
    let mut running = Running::serve_folder(folder(), QUICK);
    block_on(async { ask(&mut running.client().await, REFUSED, "1").await });
    assert!(!running.page("/metrics").1.contains("decision_log"));
    assert_eq!(running.status()["decision_log"], Value::Null);
    stop(&mut running);
}

const QUICK: &str = "[shutdown]\ndrain_delay = \"0s\"\ndrain_deadline = \"10s\"\n";
