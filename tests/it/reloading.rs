//! Saved edits: in force soon after, however they are saved, and never with a call lost.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use postern::{config, rpc::pb};
use serde_json::Value;
use tempfile::TempDir;

use self::load::{History, Load};
use crate::running::{PATIENCE, Running, block_on, demands_tls, field, plaintext, set_with};

mod load;

/// What an answer of `set` says of its revision.
async fn revision(running: &Running, set: &str) -> Result<pb::SetRevision, tonic::Status> {
    let request = pb::CheckInboundRequest {
        connector_set: set.into(),
        ..plaintext()
    };
    let answer = running
        .client()
        .await
        .decisions
        .check_inbound(request)
        .await?;
    Ok(answer.into_inner().revision.unwrap())
}

/// Waits until answers of `set` are of `text`.
fn until_in_force(running: &Running, set: &str, text: &str) -> pb::SetRevision {
    let digest = config::digest(text);
    until(running, set, |revision| {
        revision
            .as_ref()
            .is_ok_and(|revision| revision.digest == digest)
    })
    .unwrap()
}

fn until(
    running: &Running,
    set: &str,
    wanted: impl Fn(&Result<pb::SetRevision, tonic::Status>) -> bool,
) -> Result<pb::SetRevision, tonic::Status> {
    let begin = Instant::now();
    block_on(async {
        loop {
            let revision = revision(running, set).await;
            if wanted(&revision) {
                return revision;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{revision:?} {:#?}",
                running.events()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

fn stale(running: &Running, set: &str) {
    until(running, set, |revision| {
        revision.as_ref().is_ok_and(|revision| revision.stale)
    })
    .unwrap();
}

fn rename_over(file: &Path, text: &str) {
    let beside = file.with_extension("toml~");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, file).unwrap();
}

#[test]
fn every_way_of_saving_under_load() {
    let first = demands_tls("the first");
    let running = Running::serve(&[("default", &first), ("other", &demands_tls("another"))]);
    let mut history = History::of(&first);
    let load = Load::begin(&running, &["default"]);
    let file = running.file("default");
    let mut save = |how: &str, save: &mut dyn FnMut(&str)| {
        let text = demands_tls(how);
        save(&text);
        until_in_force(&running, "default", &text);
        history.seen(&text);
    };
    save("written in place", &mut |text| {
        fs::write(&file, text).unwrap();
    });
    save("renamed over", &mut |text| rename_over(&file, text));
    save("written in two writes", &mut |text| {
        let (one, two) = text.split_at(text.len() / 2);
        fs::write(&file, one).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let mut open = fs::OpenOptions::new().append(true).open(&file).unwrap();
        std::io::Write::write_all(&mut open, two.as_bytes()).unwrap();
    });
    save("a link swapped", &mut |text| {
        let elsewhere = running.folder.path().join("elsewhere.toml");
        fs::write(&elsewhere, text).unwrap();
        let link = running.connectors().join("link");
        symlink(&elsewhere, &link).unwrap();
        fs::rename(&link, &file).unwrap();
    });
    save("written in place behind a link", &mut |text| {
        fs::write(running.folder.path().join("elsewhere.toml"), text).unwrap();
    });
    save("removed and written anew", &mut |text| {
        fs::remove_file(&file).unwrap();
        fs::write(&file, text).unwrap();
    });
    load.end(&[("default", &history)]);
    assert_eq!(
        running.status()["connector_sets"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_config_map_is_seen() {
    let folder = TempDir::new().unwrap();
    let connectors = folder.path().join("connectors");
    fs::create_dir(&connectors).unwrap();
    let texts = [demands_tls("one"), demands_tls("two")];
    publish(
        &connectors,
        "..2026_one",
        &[("a", &texts[0]), ("b", &texts[0])],
    );
    for name in ["a", "b"] {
        symlink(
            format!("..data/{name}.toml"),
            connectors.join(format!("{name}.toml")),
        )
        .unwrap();
    }
    let running = Running::serve_folder(folder, "");
    let mut histories = ["a", "b"].map(|set| (set, History::of(&texts[0])));
    let load = Load::begin(&running, &["a", "b"]);
    publish(
        &running.connectors(),
        "..2026_two",
        &[("a", &texts[1]), ("b", &texts[1])],
    );
    for (set, history) in &mut histories {
        until_in_force(&running, set, &texts[1]);
        history.seen(&texts[1]);
    }
    load.end(&histories.each_ref().map(|(set, history)| (*set, history)));
}

/// What Kubernetes does: a folder of its own for each version, and a link that is swapped.
fn publish(connectors: &Path, version: &str, texts: &[(&str, &str)]) {
    fs::create_dir(connectors.join(version)).unwrap();
    for (name, text) in texts {
        fs::write(connectors.join(version).join(format!("{name}.toml")), text).unwrap();
    }
    symlink(version, connectors.join("..data_tmp")).unwrap();
    fs::rename(connectors.join("..data_tmp"), connectors.join("..data")).unwrap();
}

#[test]
fn the_directory_itself_may_be_a_link() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (demands_tls("one"), demands_tls("two"));
    for (release, text) in [("release-1", &one), ("release-2", &two)] {
        fs::create_dir(folder.path().join(release)).unwrap();
        fs::write(folder.path().join(release).join("default.toml"), text).unwrap();
    }
    symlink("release-1", folder.path().join("connectors")).unwrap();
    let running = Running::serve_folder(folder, "");
    let swap = |release: &str| {
        symlink(release, running.folder.path().join("next")).unwrap();
        fs::rename(running.folder.path().join("next"), running.connectors()).unwrap();
    };
    let mut history = History::of(&one);
    let load = Load::begin(&running, &["default"]);
    let mut in_force = |text: &str| {
        until_in_force(&running, "default", text);
        history.seen(text);
    };
    swap("release-2");
    in_force(&two);
    // And what is behind it is still watched.
    let three = demands_tls("three");
    fs::write(running.folder.path().join("release-2/default.toml"), &three).unwrap();
    in_force(&three);
    swap("release-1");
    in_force(&one);
    load.end(&[("default", &history)]);
}

#[test]
fn a_broken_edit_changes_nothing_until_it_is_mended() {
    let (good, other) = (demands_tls("good"), demands_tls("other"));
    let running = Running::serve(&[("contoso", &good), ("fabrikam", &other)]);
    let file = running.file("contoso");

    // Broken: the last good text stays, and says so; the other file goes on.
    fs::write(&file, good.replace("\"encrypt\"", "\"encrypted\"")).unwrap();
    stale(&running, "contoso");
    let newer = demands_tls("newer");
    fs::write(running.file("fabrikam"), &newer).unwrap();
    assert!(!until_in_force(&running, "fabrikam", &newer).stale);
    let fault = |set: &str| {
        let status = running.status();
        let sets = status["connector_sets"].as_array().unwrap();
        sets.iter().find(|status| status["name"] == set).unwrap()["fault"].clone()
    };
    let broken = fault("contoso");
    assert_eq!(broken["code"], "level-unknown", "{broken}");
    assert_eq!(broken["place"], "contoso.toml:6:15", "{broken}");
    let since = broken["since"].clone();
    let metrics = running.page("/metrics").1;
    let refused =
        "postern_connector_set_refused_since_timestamp_seconds{connector_set=\"contoso\"}";
    assert!(metrics.contains(refused), "{metrics}");

    // Truncated, then vanished, then unreadable: the same, since the same time.
    fs::write(&file, good.replace("[end]", "")).unwrap();
    let fault_is = |code: &str| {
        let begin = Instant::now();
        while fault("contoso")["code"] != code {
            assert!(begin.elapsed() < PATIENCE, "{code}: {}", fault("contoso"));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    fault_is("end-missing");
    assert_eq!(fault("contoso")["since"], since);
    fs::remove_file(&file).unwrap();
    fault_is("file-gone");
    assert_eq!(fault("contoso")["since"], since);
    fs::create_dir(&file).unwrap();
    fault_is("file-unreadable");
    assert_eq!(fault("contoso")["since"], since);
    assert!(block_on(revision(&running, "contoso")).unwrap().stale);
    assert_eq!(
        block_on(revision(&running, "contoso")).unwrap().digest,
        config::digest(&good)
    );

    // Mended.
    fs::remove_dir(&file).unwrap();
    let mended = demands_tls("mended");
    fs::write(&file, &mended).unwrap();
    assert!(!until_in_force(&running, "contoso", &mended).stale);
    assert_eq!(fault("contoso"), Value::Null);
    assert!(!running.page("/metrics").1.contains(refused));
    let logged = running.events();
    let about = logged
        .iter()
        .filter(|event| field(event, "code").and_then(Value::as_str) == Some("level-unknown"));
    assert_eq!(about.count(), 1, "each fault is logged once: {logged:#?}");
}

#[test]
fn an_emptied_directory_keeps_everything() {
    let good = demands_tls("good");
    let running = Running::serve(&[("contoso", &good), ("fabrikam", &good)]);
    for set in ["contoso", "fabrikam"] {
        fs::remove_file(running.file(set)).unwrap();
    }
    for set in ["contoso", "fabrikam"] {
        stale(&running, set);
    }
    fs::remove_dir(running.connectors()).unwrap();
    fs::create_dir(running.connectors()).unwrap();
    let new = demands_tls("new");
    fs::write(running.file("contoso"), &new).unwrap();
    assert!(!until_in_force(&running, "contoso", &new).stale);
    stale(&running, "fabrikam");
}

#[test]
fn many_files_at_once_and_a_new_name() {
    let sets: Vec<_> = (0..50)
        .map(|n| (format!("set-{n}"), demands_tls("one")))
        .collect();
    let borrowed: Vec<_> = sets
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let running = Running::serve(&borrowed);
    let names: Vec<_> = sets.iter().map(|(name, _)| name.as_str()).collect();
    let mut histories: Vec<_> = sets.iter().map(|(_, text)| History::of(text)).collect();
    let load = Load::begin(&running, &names);
    let two = demands_tls("two");
    for name in &names {
        fs::write(running.file(name), &two).unwrap();
    }
    for (name, history) in names.iter().zip(&mut histories) {
        until_in_force(&running, name, &two);
        history.seen(&two);
    }
    // A set's file gets another name: the new one answers, and takes the domains along.
    let claims = two.replace(
        "version = 1",
        "version = 1\naccepted_domains = [\"contoso.com\"]",
    );
    fs::write(running.file("set-7"), &claims).unwrap();
    until_in_force(&running, "set-7", &claims);
    histories[7].seen(&claims);
    fs::rename(running.file("set-7"), running.file("renamed")).unwrap();
    until_in_force(&running, "renamed", &claims);
    let chosen = until(&running, "", |revision| {
        revision
            .as_ref()
            .is_ok_and(|revision| revision.connector_set == "renamed")
    });
    assert_eq!(
        chosen.unwrap().selected_by(),
        pb::SelectedBy::AcceptedDomain
    );
    stale(&running, "set-7");
    let histories: Vec<_> = names.into_iter().zip(&histories).collect();
    load.end(&histories);
}

#[test]
fn a_hangup_reloads_and_what_changed_is_logged() {
    let running = Running::serve(&[("default", &demands_tls("one"))]);
    let new = set_with("two", "tls = \"opportunistic\"").replace("\"ContosoBank\"", "\"Bank\"");
    fs::write(running.file("default"), &new).unwrap();
    running.signal("HUP");
    until_in_force(&running, "default", &new);
    running.logged(|event| {
        field(event, "message").and_then(Value::as_str)
            == Some("reading the connectors, as SIGHUP asks")
    });
    let loaded = running.logged(|event| {
        field(event, "digest").and_then(Value::as_str) == Some(&config::digest(&new))
            && field(event, "inbound_added").is_some()
    });
    let told = loaded.to_string();
    assert!(
        told.contains("Bank") && told.contains("ContosoBank"),
        "{told}"
    );
    let lifted = running.logged(|event| field(event, "lifted").is_some());
    assert!(lifted.to_string().contains("TLS"), "{lifted}");
}

#[test]
fn a_retired_set_may_go() {
    let retired = "version = 1\nretired = true\naccepted_domains = [\"contoso.com\"]\n[end]\n";
    let running = Running::serve(&[("old", &demands_tls("one")), ("new", &demands_tls("one"))]);
    fs::write(running.file("old"), retired).unwrap();
    until(&running, "old", |revision| {
        revision
            .as_ref()
            .is_err_and(|status| status.code() == tonic::Code::NotFound)
    })
    .unwrap_err();
    // Calls for its domains are not the other's.
    assert!(block_on(revision(&running, "")).is_err());
    fs::remove_file(running.file("old")).unwrap();
    let only = until(&running, "", Result::is_ok).unwrap();
    assert_eq!((only.connector_set.as_str(), only.stale), ("new", false));
    assert_eq!(
        running.status()["connector_sets"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn the_only_set_may_get_another_name() {
    let text = demands_tls("one");
    let running = Running::serve(&[("old", &text)]);
    let load = Load::begin(&running, &["", "old"]);
    fs::rename(running.file("old"), running.file("new")).unwrap();
    let answering = |revision: &Result<pb::SetRevision, tonic::Status>| {
        revision
            .as_ref()
            .is_ok_and(|revision| revision.connector_set == "new")
    };
    assert!(!until(&running, "", answering).unwrap().stale);
    stale(&running, "old");
    let history = History::of(&text);
    load.end(&[("", &history), ("old", &history)]);
}

#[test]
fn all_that_a_text_takes_away_is_logged() {
    let many = partners(60, "tls = \"encrypt\"");
    let running = Running::serve(&[("default", &many)]);
    let none = "version = 1\n[end]\n";
    rename_over(&running.file("default"), none);
    until_in_force(&running, "default", none);
    let names: Vec<_> = (0..60).map(|at| format!("`Partner {at}`")).collect();
    running.logged(|event| {
        field(event, "lifted").is_some_and(|demand| demand.to_string().contains("`Partner 59`"))
    });
    let logged = running.events();
    let texts = |name: &str| -> Vec<String> {
        let fields = logged.iter().filter_map(|event| field(event, name));
        fields
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts("inbound_removed").join(", "), names.join(", "));
    assert_eq!(texts("part"), ["1 of 2", "2 of 2"]);
    let lifted = texts("lifted");
    assert_eq!(lifted.len(), names.len(), "{lifted:#?}");
    for (demand, name) in lifted.iter().zip(&names) {
        assert!(demand.contains(name), "{demand}");
    }
}

#[test]
fn ten_thousand_connectors_come_into_force() {
    let one = demands_tls("one");
    let running = Running::serve(&[("default", &one)]);
    let mut history = History::of(&one);
    let load = Load::begin(&running, &["default"]);
    for require in ["tls = \"encrypt\"", "tls_min_version = \"1.2\""] {
        let many = partners(10_000, require);
        rename_over(&running.file("default"), &many);
        until_in_force(&running, "default", &many);
        history.seen(&many);
        let request = pb::CheckInboundRequest {
            mail_from: "ann@partner-9999.example".into(),
            ..plaintext()
        };
        let answer = block_on(async {
            running
                .client()
                .await
                .decisions
                .check_inbound(request)
                .await
        });
        let connector = answer.unwrap().into_inner().connector.unwrap();
        assert_eq!(connector.name, "Partner 9999");
    }
    load.end(&[("default", &history)]);
}

/// A set of so many connectors, each for a domain of its own.
fn partners(count: usize, require: &str) -> String {
    let mut text = "version = 1\n".to_owned();
    for at in 0..count {
        write!(
            text,
            "[[inbound]]\nname = \"Partner {at}\"\n\
             match.sender_domains = [\"partner-{at}.example\"]\nrequire.{require}\n"
        )
        .unwrap();
    }
    text + "[end]\n"
}

#[test]
fn a_name_given_up_does_not_take_its_domains_back() {
    let claims = demands_tls("one").replace(
        "version = 1",
        "version = 1\naccepted_domains = [\"contoso.com\"]",
    );
    let running = Running::serve(&[("old", &claims), ("other", &demands_tls("two"))]);
    fs::rename(running.file("old"), running.file("new")).unwrap();
    until(&running, "", |revision| {
        revision
            .as_ref()
            .is_ok_and(|revision| revision.connector_set == "new")
    })
    .unwrap();
    let retired = "version = 1\nretired = true\n[end]\n";
    fs::write(running.file("new"), retired).unwrap();
    until(&running, "new", Result::is_err).unwrap_err();
    fs::remove_file(running.file("new")).unwrap();
    running.logged(|event| {
        field(event, "message").is_some_and(|m| m == "retired connector set forgotten")
    });
    // Neither by its domain nor as a default does the old name answer; only by its name.
    let unnamed = block_on(revision(&running, ""));
    assert!(unnamed.is_err() || unnamed.unwrap().connector_set == "other");
    assert!(block_on(revision(&running, "old")).unwrap().stale);
}
