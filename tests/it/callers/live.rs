//! Callers that change while the server runs.

use std::{cell::Cell, fs, time::Instant};

use postern::rpc::pb::check_stream_request::Question;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::*;
use crate::running::{PATIENCE, await_another_save, field};

/// Saves this, and waits until the log says that it is in force.
pub(super) fn save(running: &Running, text: &str) {
    let loaded = |event: &Value| says(event, "callers loaded");
    let before = running
        .events()
        .iter()
        .filter(|event| loaded(event))
        .count();
    fs::write(callers_of(running), text).unwrap();
    let seen = Cell::new(0);
    running.logged(|event| {
        seen.set(seen.get() + usize::from(loaded(event)));
        seen.get() > before
    });
}

fn says(event: &Value, message: &str) -> bool {
    field(event, "message").is_some_and(|it| it.as_str().unwrap_or_default().starts_with(message))
}

fn question(id: u64) -> pb::CheckStreamRequest {
    pb::CheckStreamRequest {
        id,
        question: Some(Question::Inbound(plaintext())),
    }
}

#[test]
fn a_save_is_in_force_for_the_next_call_of_an_open_connection() {
    let edge = caller("edge", &["contoso"], "");
    let running = serve(std::slice::from_ref(&edge));
    block_on(async {
        let mut client = running.client().await;
        let unknown = (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned());
        assert_eq!(
            refusal(check(&mut client, "new", plaintext()).await),
            unknown
        );
        let (questions, asked) = mpsc::channel(1);
        let stream = by("edge", ReceiverStream::new(asked));
        questions.send(question(1)).await.unwrap();
        let stream = client.decisions.check_stream(stream).await.unwrap();
        let mut answers = stream.into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 1);

        // Granted: another caller, and another set.
        let wider = caller("edge", &["contoso", "fabrikam"], "");
        save(&running, &file(&[wider, caller("new", &["contoso"], "")]));
        assert_eq!(
            answered(check(&mut client, "new", plaintext()).await),
            "contoso"
        );
        let fabrikam = check(&mut client, "edge", inbound("fabrikam", "")).await;
        assert_eq!(answered(fabrikam), "fabrikam");
        questions.send(question(2)).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 2);

        // Revoked: the next call, and the next question of the stream, which ends.
        save(&running, &file(&[caller("new", &["contoso"], "")]));
        assert_eq!(
            refusal(check(&mut client, "edge", plaintext()).await),
            unknown
        );
        questions.send(question(3)).await.unwrap();
        let ended = answers.next().await.unwrap();
        assert_eq!(refusal(ended), unknown);
        assert!(answers.next().await.is_none());
        assert_eq!(
            answered(check(&mut client, "new", plaintext()).await),
            "contoso"
        );
    });
    let removed = |event: &Value| field(event, "removed").is_some_and(|name| name == "edge");
    running.logged(|event| says(event, "callers loaded") && removed(event));
}

#[test]
fn what_is_broken_or_gone_changes_nothing() {
    let running = serve(&[caller("edge", &["contoso"], "")]);
    let holds = || {
        block_on(async {
            let mut client = running.client().await;
            let unknown = check(&mut client, "nobody", plaintext()).await;
            assert_eq!(refusal(unknown).0, Code::Unauthenticated);
            assert_eq!(
                answered(check(&mut client, "edge", plaintext()).await),
                "contoso"
            );
        });
    };
    let refused = |code: &str| {
        running.logged(|event| {
            says(event, "not in force: the callers stay") && field(event, "code").unwrap() == code
        });
        let fault = &running.status()["callers"]["fault"];
        assert_eq!(fault["code"], code, "{fault}");
        let (_, metrics) = running.page("/metrics");
        let since = "postern_callers_refused_since_timestamp_seconds ";
        assert!(metrics.contains(since), "{metrics}");
        holds();
    };
    let good = fs::read_to_string(callers_of(&running)).unwrap();
    // Cut off where it still is TOML: no caller would be lost, and yet it is not taken.
    let cut = good.strip_suffix("[end]\n").unwrap();
    fs::write(callers_of(&running), cut).unwrap();
    refused("end-missing");
    fs::write(callers_of(&running), good.replace("contoso", "Contoso")).unwrap();
    refused("set-name-invalid");
    fs::write(callers_of(&running), "version = 1\n[end]\n").unwrap();
    refused("callers-none");
    fs::write(callers_of(&running), b"version = 1\n# \xff\n[end]\n").unwrap();
    refused("file-not-utf8");
    fs::remove_file(callers_of(&running)).unwrap();
    refused("callers-gone");
    fs::create_dir(callers_of(&running)).unwrap();
    refused("callers-unreadable");
    fs::remove_dir(callers_of(&running)).unwrap();
    std::os::unix::fs::symlink("nowhere", callers_of(&running)).unwrap();
    // The log has this already.
    let begin = Instant::now();
    while running.status()["callers"]["fault"]["code"] != "callers-gone" {
        assert!(begin.elapsed() < PATIENCE, "a link to nowhere is not seen");
    }
    holds();
    // Back again, renamed over.
    let new = running.folder.path().join("new");
    fs::write(&new, good.replace("edge", "edges")).unwrap();
    fs::rename(&new, callers_of(&running)).unwrap();
    running.logged(|event| says(event, "the file of callers is mended"));
    let (_, metrics) = running.page("/metrics");
    assert!(
        !metrics.contains("postern_callers_refused_since"),
        "{metrics}"
    );
    assert!(running.status()["callers"]["fault"].is_null());
}

#[test]
fn callers_that_come_while_it_runs_close_the_door() {
    let running = serve_with(None, "");
    block_on(async {
        let mut client = running.client().await;
        let open = client.decisions.check_inbound(plaintext()).await;
        assert_eq!(answered(open.map(Response::into_inner)), "contoso");
        let (questions, asked) = mpsc::channel(1);
        let stream = by("edge", ReceiverStream::new(asked));
        questions.send(question(1)).await.unwrap();
        let stream = client.decisions.check_stream(stream).await.unwrap();
        let mut answers = stream.into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 1);
        assert!(running.status()["callers"].is_null());

        save(&running, &file(&[caller("edge", &["contoso"], "")]));
        let closed = client.decisions.check_inbound(plaintext()).await;
        assert_eq!(refusal(closed).0, Code::Unauthenticated);
        assert_eq!(
            answered(check(&mut client, "edge", plaintext()).await),
            "contoso"
        );
        // The stream began with a token that is good now.
        questions.send(question(2)).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 2);

        // No setting names the file; once it was there, it does not open the door by vanishing.
        fs::remove_file(callers_of(&running)).unwrap();
        running.logged(|event| field(event, "code").is_some_and(|code| code == "callers-gone"));
        let closed = client.decisions.check_inbound(plaintext()).await;
        assert_eq!(refusal(closed).0, Code::Unauthenticated);
        assert_eq!(
            answered(check(&mut client, "edge", plaintext()).await),
            "contoso"
        );
        questions.send(question(3)).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 3);
    });
}

#[test]
fn callers_are_read_on_sighup() {
    let (folder, elsewhere) = (folder(None), TempDir::new().unwrap());
    // What is written through another folder's link tells nobody who watches this one.
    let unwatched = elsewhere.path().join("callers.toml");
    fs::write(&unwatched, file(&[caller("edge", &["contoso"], "")])).unwrap();
    fs::hard_link(&unwatched, folder.path().join("callers.toml")).unwrap();
    let running = Running::serve_folder(folder, "");
    let begin = Instant::now();
    save(&running, &file(&[caller("new", &["contoso"], "")]));
    await_another_save(&running);
    fs::write(&unwatched, file(&[caller("newer", &["contoso"], "")])).unwrap();
    running.signal("HUP");
    running.logged(|event| {
        says(event, "callers loaded") && field(event, "added").is_some_and(|it| it == "newer")
    });
    // Later it could be the look that is taken every 30 seconds.
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    block_on(async {
        let mut client = running.client().await;
        let after = check(&mut client, "newer", plaintext()).await;
        assert_eq!(answered(after), "contoso");
        let gone = check(&mut client, "new", plaintext()).await;
        assert_eq!(refusal(gone).0, Code::Unauthenticated);
    });
}
