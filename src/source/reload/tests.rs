use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::*;
use crate::policy::NotFound;

/// A directory of sets, and the service that reads it.
struct Service {
    directory: TempDir,
    reload: Reload,
    live: Arc<Live>,
}

impl Service {
    fn start(files: &[(&str, &str)]) -> Self {
        Self::try_start(files, None).unwrap()
    }

    fn try_start(files: &[(&str, &str)], default_set: Option<&str>) -> Result<Self, StartError> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let settings = Settings {
            connectors: directory.path().to_owned(),
            default_set: default_set.map(str::to_owned),
            ..Settings::default()
        };
        let (reload, live) = Reload::start(&settings, Metrics::new())?;
        Ok(Self {
            directory,
            reload,
            live,
        })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Reads the directory; what happened, in short.
    fn pass(&mut self) -> Vec<String> {
        let events = self.reload.pass(&self.live);
        events.tell(&self.reload.metrics);
        events.list.iter().map(shown).collect()
    }

    fn parsed(&mut self) -> usize {
        self.reload.pass(&self.live).parsed
    }

    /// Every set in force: its name, its first connector, `!` where it is stale, its claims.
    fn in_force(&self) -> Vec<String> {
        self.live.with(|snapshot| {
            let entries = snapshot.catalog.entries().iter().map(|entry| {
                let connector = entry
                    .set
                    .inbound()
                    .first()
                    .map_or("-", |connector| &*connector.name);
                let stale = if entry.stale { "!" } else { "" };
                let claims: Vec<_> = entry.claims.iter().map(ToString::to_string).collect();
                format!(
                    "{} {connector}{stale} [{}]",
                    entry.set.name(),
                    claims.join(" ")
                )
            });
            entries.collect()
        })
    }

    fn fault(&self, name: &str) -> Option<String> {
        self.live.with(|snapshot| {
            let fault = snapshot.status.get(name)?.fault.as_ref()?;
            Some(format!("{}: {}", fault.place, fault.code))
        })
    }

    fn since(&self, name: &str) -> Option<SystemTime> {
        self.live.with(|snapshot| {
            snapshot
                .status
                .get(name)?
                .fault
                .as_ref()
                .map(|fault| fault.since)
        })
    }
}

fn shown(event: &Event) -> String {
    match event {
        Event::DirectoryRefused(problem) => format!("directory refused: {}", problem.code),
        Event::DirectoryMended => "directory mended".to_owned(),
        Event::Forgotten { set } => format!("{set} forgotten"),
        Event::Loaded { set, old, .. } => {
            format!(
                "{} {}",
                set.name(),
                if old.is_some() { "changed" } else { "loaded" }
            )
        }
        Event::Mended { set } => format!("{set} mended"),
        Event::Refused { set, problems, .. } => {
            let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
            format!("{set} refused: {}", codes.join(" "))
        }
    }
}

/// A set with one connector of this name that accepts these domains.
fn text(connector: &str, domains: &[&str]) -> String {
    format!(
        "version = 1\naccepted_domains = {domains:?}\n[[inbound]]\nname = \"{connector}\"\n\
         match.sender_domains = [\"bank.example\"]\nrequire.tls = \"encrypt\"\n[end]\n"
    )
}

const RETIRED: &str = "version = 1\nretired = true\naccepted_domains = [\"a.example\"]\n[end]\n";
const BROKEN: &str = "version = 1\nmood = \"off\"\n[[inbound]]\n[end]\n";

fn two() -> Service {
    Service::start(&[
        ("a.toml", &text("1", &["a.example"])),
        ("b.toml", &text("1", &["b.example"])),
    ])
}

#[test]
fn a_save_comes_into_force() {
    let mut service = two();
    assert_eq!(service.in_force(), ["a 1 [a.example]", "b 1 [b.example]"]);
    assert!(service.pass().is_empty());
    service.write("a.toml", &text("2", &["a.example"]));
    let before = service.live.snapshot();
    assert_eq!(service.pass(), ["a changed"]);
    assert_eq!(service.in_force(), ["a 2 [a.example]", "b 1 [b.example]"]);
    assert_eq!(
        before.catalog.get("a").unwrap().set.inbound()[0].name,
        "1".into()
    );
    service.write("c.toml", &text("1", &["c.example"]));
    assert_eq!(service.pass(), ["c loaded"]);
    service.live.with(|snapshot| {
        assert!(snapshot.status["a"].loaded_at > snapshot.status["b"].loaded_at);
        assert!(
            snapshot
                .status
                .values()
                .all(|status| status.fault.is_none())
        );
    });
}

#[test]
fn what_did_not_change_is_not_parsed_again() {
    let mut service = two();
    assert_eq!(service.parsed(), 0);
    let same = fs::read(service.path("a.toml")).unwrap();
    service.write("a.toml", "");
    fs::write(service.path("a.toml"), same).unwrap();
    assert_eq!(service.parsed(), 0);
    service.write("a.toml", BROKEN);
    assert_eq!(service.parsed(), 1);
    assert_eq!(service.parsed(), 0);
    for name in ["c.toml", "d.toml", "e.toml"] {
        service.write(name, &text("1", &[]));
    }
    assert_eq!(service.parsed(), 3);
    service.remove("b.toml");
    assert_eq!(service.parsed(), 0);
}

#[test]
fn a_broken_file_keeps_its_last_good_set_while_others_go_on() {
    let mut service = two();
    service.write("a.toml", BROKEN);
    service.write("b.toml", &text("2", &["b.example"]));
    let events = service.pass();
    assert_eq!(events.len(), 2);
    assert!(
        events[0].starts_with("a refused: key-unknown "),
        "{events:?}"
    );
    assert_eq!(events[1], "b changed");
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 2 [b.example]"]);
    assert_eq!(service.fault("a").unwrap(), "a.toml:2:1: key-unknown");
    let since = service.since("a");
    assert!(service.pass().is_empty());
    service.write("a.toml", "");
    assert_eq!(service.pass().len(), 1);
    assert!(service.pass().is_empty());
    assert_eq!(service.since("a"), since);
    service.write("a.toml", " \n");
    service.pass();
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 2 [b.example]"]);
    service.write("a.toml", &text("2", &["a.example"]));
    assert_eq!(service.pass(), ["a changed", "a mended"]);
    assert_eq!(service.in_force(), ["a 2 [a.example]", "b 2 [b.example]"]);
    assert_eq!(service.fault("a"), None);
}

#[test]
fn the_last_good_text_can_come_back() {
    let mut service = two();
    let loaded_at = service.live.with(|snapshot| snapshot.status["a"].loaded_at);
    service.write("a.toml", BROKEN);
    service.pass();
    service.write("a.toml", &text("1", &["a.example"]));
    assert_eq!(service.pass(), ["a mended"]);
    assert_eq!(service.in_force(), ["a 1 [a.example]", "b 1 [b.example]"]);
    assert_eq!(
        service.live.with(|snapshot| snapshot.status["a"].loaded_at),
        loaded_at
    );
}

#[test]
fn a_file_in_two_writes_is_taken_when_it_is_whole() {
    let mut service = two();
    let new = text("2", &["a.example"]);
    for end in (0..new.len() - 2).step_by(7) {
        service.write("a.toml", new.get(..end).unwrap());
        service.pass();
        assert_eq!(service.in_force()[0], "a 1! [a.example]", "{end}");
    }
    service.write("a.toml", &new);
    assert_eq!(service.pass(), ["a changed", "a mended"]);
}

#[test]
fn a_new_file_that_is_broken_has_a_fault_and_no_set() {
    let mut service = two();
    service.write("c.toml", "");
    assert_eq!(service.pass().len(), 1);
    assert_eq!(service.in_force().len(), 2);
    assert!(service.fault("c").is_some());
    let named = service
        .live
        .with(|snapshot| snapshot.catalog.named("c").err());
    assert_eq!(named, Some(NotFound::Named));
    service.remove("c.toml");
    assert_eq!(service.pass(), ["c mended"]);
    assert!(
        service
            .live
            .with(|snapshot| !snapshot.status.contains_key("c"))
    );
}

#[test]
fn a_file_that_is_gone_keeps_its_set() {
    let mut service = two();
    service.remove("a.toml");
    assert_eq!(service.pass(), ["a refused: file-gone"]);
    assert!(service.pass().is_empty());
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 1 [b.example]"]);
    assert_eq!(service.fault("a").unwrap(), "a.toml: file-gone");
    service.write("a.toml", &text("1", &["a.example"]));
    assert_eq!(service.pass(), ["a mended"]);
    assert_eq!(service.in_force(), ["a 1 [a.example]", "b 1 [b.example]"]);
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_set() {
    let mut service = two();
    service.remove("a.toml");
    fs::create_dir(service.path("a.toml")).unwrap();
    service.remove("b.toml");
    symlink("nowhere", service.path("b.toml")).unwrap();
    assert_eq!(
        service.pass(),
        ["a refused: file-unreadable", "b refused: file-unreadable"]
    );
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 1! [b.example]"]);
    fs::write(service.path("nowhere"), text("2", &["b.example"])).unwrap();
    assert_eq!(service.pass(), ["b changed", "b mended"]);
    fs::write(service.path("nowhere"), b"\xff").unwrap();
    assert_eq!(service.pass(), ["b refused: file-not-utf8"]);
    assert_eq!(service.fault("b").unwrap(), "b.toml:1:1: file-not-utf8");
    assert!(service.pass().is_empty());
}

#[test]
fn a_file_with_a_wrong_name_is_a_fault() {
    let mut service = two();
    service.rename("a.toml", "A.toml");
    assert_eq!(
        service.pass(),
        ["A.toml refused: file-name", "a refused: file-gone"]
    );
    assert!(service.pass().is_empty());
    assert_eq!(service.fault("A.toml").unwrap(), "A.toml: file-name");
    service.rename("A.toml", "a.toml");
    assert_eq!(service.pass(), ["A.toml mended", "a mended"]);
    assert_eq!(service.live.with(|snapshot| snapshot.status.len()), 2);
}

#[test]
fn an_emptied_directory_keeps_everything() {
    let mut service = two();
    service.write("r.toml", &RETIRED.replace("a.example", "r.example"));
    service.pass();
    let files: Vec<_> = ["a.toml", "b.toml", "r.toml"]
        .iter()
        .map(|name| (*name, fs::read_to_string(service.path(name)).unwrap()))
        .collect();
    for (name, _) in &files {
        service.remove(name);
    }
    assert_eq!(service.pass(), ["directory refused: directory-empty"]);
    assert!(service.pass().is_empty());
    let all = ["a 1! [a.example]", "b 1! [b.example]", "r -! [r.example]"];
    assert_eq!(service.in_force(), all);
    assert!(service.fault("a").unwrap().ends_with(": directory-empty"));
    service.write("A.toml", "");
    assert_eq!(service.pass(), ["A.toml refused: file-name"]);
    service.remove("A.toml");
    service.pass();

    fs::remove_dir(service.directory.path()).unwrap();
    assert_eq!(service.pass(), ["directory refused: directory-missing"]);
    assert_eq!(service.in_force(), all);
    fs::write(service.directory.path(), "").unwrap();
    service.pass();
    assert_eq!(service.in_force(), all);
    fs::remove_file(service.directory.path()).unwrap();

    fs::create_dir(service.directory.path()).unwrap();
    for (name, text) in &files {
        service.write(name, text);
    }
    assert_eq!(service.pass(), ["directory mended"]);
    assert_eq!(
        service.in_force(),
        ["a 1 [a.example]", "b 1 [b.example]", "r - [r.example]"]
    );
    assert_eq!(service.fault("a"), None);
}

#[test]
fn a_retired_set_goes_with_its_file() {
    let mut service = two();
    service.write("a.toml", RETIRED);
    assert_eq!(service.pass(), ["a changed"]);
    assert_eq!(service.in_force(), ["a - [a.example]", "b 1 [b.example]"]);
    let chosen = |service: &Service, domain: &str| {
        let domain = domain.parse().unwrap();
        service.live.with(|snapshot| {
            snapshot
                .catalog
                .choose(Some(&domain))
                .map(|chosen| chosen.entry.set.name().to_owned())
        })
    };
    assert_eq!(chosen(&service, "a.example"), Err(NotFound::Unnamed));
    assert_eq!(chosen(&service, "x.example"), Ok("b".to_owned()));
    service.remove("a.toml");
    assert_eq!(service.pass(), ["a forgotten"]);
    assert_eq!(service.in_force(), ["b 1 [b.example]"]);
    assert_eq!(service.live.with(|snapshot| snapshot.status.len()), 1);
}

#[test]
fn a_directory_at_fault_is_read_often() {
    let mut service = two();
    let seldom = Duration::from_mins(1);
    service.pass();
    assert_eq!(service.reload.patience(seldom), seldom);
    fs::rename(
        service.directory.path(),
        service.directory.path().with_extension("away"),
    )
    .unwrap();
    assert_eq!(service.pass(), ["directory refused: directory-missing"]);
    assert_eq!(service.reload.patience(seldom), OFTEN);
    fs::rename(
        service.directory.path().with_extension("away"),
        service.directory.path(),
    )
    .unwrap();
    assert_eq!(service.pass(), ["directory mended"]);
    assert_eq!(service.reload.patience(seldom), seldom);
}

#[test]
fn a_set_whose_file_is_gone_can_be_retired() {
    let mut service = two();
    service.rename("a.toml", "c.toml");
    service.pass();
    service.write("a.toml", "version = 1\nretired = true\n[end]\n");
    assert_eq!(service.pass(), ["a changed", "a mended"]);
    service.remove("a.toml");
    assert_eq!(service.pass(), ["a forgotten"]);
    assert_eq!(service.in_force(), ["b 1 [b.example]", "c 1 [a.example]"]);
}

#[test]
fn a_renamed_file_takes_its_domains_along() {
    let mut service = two();
    service.rename("a.toml", "c.toml");
    assert_eq!(service.pass(), ["a refused: file-gone", "c loaded"]);
    assert_eq!(
        service.in_force(),
        ["a 1! []", "b 1 [b.example]", "c 1 [a.example]"]
    );
    service.rename("c.toml", "d.toml");
    assert_eq!(service.pass(), ["c refused: file-gone", "d loaded"]);
    assert_eq!(
        service.in_force(),
        ["a 1! []", "b 1 [b.example]", "c 1! []", "d 1 [a.example]"]
    );
    service.rename("d.toml", "a.toml");
    assert_eq!(service.pass(), ["a mended", "d refused: file-gone"]);
    let back = ["a 1 [a.example]", "b 1 [b.example]", "c 1! []", "d 1! []"];
    assert_eq!(service.in_force(), back);
}

#[test]
fn the_only_set_stays_the_only_one_under_another_name() {
    let mut service = Service::start(&[("a.toml", &text("1", &[]))]);
    let chosen = |service: &Service| {
        service.live.with(|snapshot| {
            let chosen = snapshot.catalog.choose(None);
            chosen.map(|chosen| chosen.entry.set.name().to_owned())
        })
    };
    service.rename("a.toml", "b.toml");
    service.pass();
    assert_eq!(chosen(&service), Ok("b".to_owned()));
    service.write("b.toml", &text("2", &[]));
    service.pass();
    assert_eq!(chosen(&service), Ok("b".to_owned()));
    service.rename("b.toml", "c.toml");
    service.pass();
    assert_eq!(chosen(&service), Ok("c".to_owned()));
    assert_eq!(service.in_force(), ["a 1! []", "b 2! []", "c 2 []"]);
    // A file that comes back is a set like any other.
    service.write("a.toml", &text("3", &[]));
    service.pass();
    assert_eq!(chosen(&service), Err(NotFound::Unnamed));
}

#[test]
fn only_what_overlaps_is_yielded() {
    let mut service = Service::start(&[("a.toml", &text("1", &["a.example", "*.x.example"]))]);
    service.rename("a.toml", "b.toml");
    service.write("b.toml", &text("1", &["mx.x.example"]));
    service.pass();
    assert_eq!(
        service.in_force(),
        ["a 1! [a.example]", "b 1 [mx.x.example]"]
    );
    // The last to have a domain keeps it.
    service.rename("b.toml", "c.toml");
    service.write("c.toml", &text("1", &["c.example"]));
    service.pass();
    assert_eq!(
        service.in_force(),
        ["a 1! [a.example]", "b 1! [mx.x.example]", "c 1 [c.example]"]
    );
    // What comes back does not take away what another file has by now.
    service.write("c.toml", &text("2", &["a.example"]));
    service.pass();
    service.write("a.toml", &text("1", &["a.example", "*.x.example"]));
    assert_eq!(service.pass(), ["a refused: accepted-overlap"]);
    assert_eq!(
        service.in_force(),
        ["a 1! []", "b 1! [mx.x.example]", "c 2 [a.example]"]
    );
    service.write("c.toml", &text("2", &["c.example"]));
    assert_eq!(service.pass(), ["a mended", "c changed"]);
    let end = ["a 1 [a.example *.x.example]", "b 1! []", "c 2 [c.example]"];
    assert_eq!(service.in_force(), end);
}

#[test]
fn of_sets_that_overlap_the_changed_one_keeps_its_last_good_text() {
    let mut service = two();
    service.write("a.toml", &text("2", &["*.b.example"]));
    assert_eq!(service.pass(), ["a refused: accepted-overlap"]);
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 1 [b.example]"]);
    assert_eq!(service.fault("a").unwrap(), "a.toml:2: accepted-overlap");
    assert!(service.pass().is_empty());
    // A new one is left out, while others go on.
    service.write("c.toml", &text("1", &["b.example"]));
    service.write("b.toml", &text("2", &["b.example"]));
    let events = service.pass();
    assert_eq!(
        events,
        [
            "a refused: accepted-overlap accepted-overlap",
            "b refused: accepted-overlap \
                         accepted-overlap",
            "c refused: accepted-overlap accepted-overlap"
        ]
    );
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 1! [b.example]"]);
    service.write("c.toml", &text("1", &["c.example"]));
    service.write("a.toml", &text("3", &["a.example"]));
    let events = service.pass();
    assert_eq!(
        events,
        [
            "a changed",
            "a mended",
            "b changed",
            "b mended",
            "c loaded",
            "c mended"
        ]
    );
    assert_eq!(
        service.in_force(),
        ["a 3 [a.example]", "b 2 [b.example]", "c 1 [c.example]"]
    );
}

#[test]
fn falling_back_can_bring_another_down() {
    let mut service = two();
    // `b` takes what `a` gives up, and `a` must fall back because of `c`.
    service.write("c.toml", &text("1", &["c.example"]));
    service.pass();
    service.write("a.toml", &text("2", &["c.example"]));
    service.write("b.toml", &text("2", &["a.example"]));
    assert_eq!(
        service.pass(),
        ["a refused: accepted-overlap", "b refused: accepted-overlap"]
    );
    let kept = ["a 1! [a.example]", "b 1! [b.example]", "c 1 [c.example]"];
    assert_eq!(service.in_force(), kept);
    service.write("c.toml", &text("2", &["b.example"]));
    assert_eq!(
        service.pass(),
        [
            "a changed",
            "a mended",
            "b changed",
            "b mended",
            "c changed"
        ]
    );
}

#[test]
fn domains_can_be_swapped_in_one_save_and_in_two() {
    let mut service = two();
    service.write("a.toml", &text("2", &["b.example"]));
    service.write("b.toml", &text("2", &["a.example"]));
    assert_eq!(service.pass(), ["a changed", "b changed"]);
    service.write("a.toml", &text("3", &["a.example"]));
    assert_eq!(service.pass(), ["a refused: accepted-overlap"]);
    service.write("b.toml", &text("3", &["b.example"]));
    assert_eq!(service.pass(), ["a changed", "a mended", "b changed"]);
    assert_eq!(service.in_force(), ["a 3 [a.example]", "b 3 [b.example]"]);
}

#[test]
fn a_broken_file_defends_its_domains() {
    let mut service = two();
    service.write("a.toml", BROKEN);
    service.write("c.toml", &text("1", &["a.example"]));
    let events = service.pass();
    assert_eq!(events[1], "c refused: accepted-overlap");
    assert_eq!(service.in_force(), ["a 1! [a.example]", "b 1 [b.example]"]);
}

#[test]
fn a_start_says_all_that_is_wrong() {
    let refused = |files: &[(&str, &str)], default: Option<&str>| {
        let error = Service::try_start(files, default)
            .map(|service| service.in_force())
            .unwrap_err();
        let codes = error.checked().iter().map(|checked| {
            let codes: Vec<_> = checked
                .findings
                .iter()
                .map(|finding| finding.code)
                .collect();
            let name = Path::new(&checked.name)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let name = if name.contains(".toml") {
                name
            } else {
                "directory".to_owned()
            };
            format!("{name} {}", codes.join(" "))
        });
        codes.collect::<Vec<_>>()
    };
    assert_eq!(refused(&[], None), ["directory directory-empty"]);
    assert_eq!(
        refused(&[("a.toml", RETIRED)], None),
        ["directory directory-retired"]
    );
    let (good, other) = (text("1", &["a.example"]), text("1", &["*.a.example"]));
    let wrong = refused(
        &[
            ("a.toml", &good),
            ("b.toml", &other),
            ("c.toml", BROKEN),
            ("D.toml", &good),
        ],
        Some("e"),
    );
    assert_eq!(wrong[0], "D.toml file-name");
    assert_eq!(wrong[1], "a.toml accepted-overlap");
    assert_eq!(wrong[2], "b.toml accepted-overlap");
    assert!(wrong[3].starts_with("c.toml key-unknown "), "{wrong:?}");
    assert_eq!(wrong[4], "directory default-set-unknown");
    let retired = [("a.toml", RETIRED), ("b.toml", &text("1", &[]))];
    assert_eq!(
        refused(&retired, Some("a")),
        ["directory default-set-unknown"]
    );
    assert_eq!(
        Service::try_start(&retired, Some("b"))
            .unwrap()
            .in_force()
            .len(),
        2
    );

    let settings = Settings {
        connectors: "/nowhere/at/all".into(),
        ..Settings::default()
    };
    let error = Reload::start(&settings, Metrics::new()).unwrap_err();
    assert_eq!(error.checked()[0].findings[0].code, "directory-missing");
}

#[tokio::test]
async fn the_task_brings_in_what_is_saved_and_ends_when_cancelled() {
    let Service {
        directory,
        reload,
        live,
    } = two();
    let cancel = CancellationToken::new();
    let task = reload.run(Arc::clone(&live), cancel.clone());
    let save = async {
        // Between the start and the watch.
        fs::write(directory.path().join("a.toml"), text("2", &["a.example"])).unwrap();
        in_force(&live, "2").await;
        fs::write(directory.path().join("a.toml"), text("3", &["a.example"])).unwrap();
        in_force(&live, "3").await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(task, save);
    ended.unwrap();
}

async fn in_force(live: &Live, connector: &str) {
    let reached = async {
        let name = || {
            live.with(|snapshot| {
                snapshot.catalog.get("a").unwrap().set.inbound()[0]
                    .name
                    .clone()
            })
        };
        while &*name() != connector {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .unwrap();
}

#[test]
fn what_was_in_force_is_dropped_here_once_no_call_holds_it() {
    let mut service = Service::start(&[("a.toml", &text("one", &["a.example"]))]);
    let call = service.live.snapshot();
    let before = Arc::downgrade(&call);
    service.write("a.toml", &text("two", &["a.example"]));
    assert_eq!(service.pass().len(), 1);
    assert_eq!(service.reload.outgoing.len(), 1);
    drop(call);
    assert!(before.upgrade().is_some());
    service.reload.let_go();
    assert_eq!(service.reload.outgoing.len(), 0);
    assert!(before.upgrade().is_none());
}
