//! What the log outlives: a full disk, a folder that goes, a reader that does not read.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use postern::rpc::client::Client;
use serde_json::{Value, json};

use super::{
    PASSES, QUICK, REFUSED, ask, block_on, folder, ids, line, lines, log_of, numbered, postern,
    serve, stop,
};
use crate::running::{PATIENCE, Running, field};

/// A file system of a MiB, in memory; it goes with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at `path`; none where this user may not, as outside of containers and CI.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "postern-test"];
        let mounted = Command::new("mount").args(mount).arg(path).output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whether this user may mount in a user and mount namespace of its own. Never in such a one: what
/// could not be mounted there is an error.
fn may_mount_apart() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m postern-test \"$0\"";
    let tried = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount])
        .arg(folder.path())
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// Runs the test of that name once more, where it may mount.
fn apart(test: &str) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new("unshare")
        .arg("-rm")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = said.into_owned() + &String::from_utf8_lossy(&output.stderr);
    eprintln!("in a namespace of its own: {all}");
    assert!(output.status.success(), "{all}");
    // Not of another name, and in no other place.
    assert!(
        all.contains("1 passed") && all.contains("is a tmpfs of a MiB"),
        "{all}"
    );
}

fn said(words: &str) -> impl Fn(&Value) -> bool {
    move |event| field(event, "message").and_then(Value::as_str) == Some(words)
}

const FAILS: &str = "decisions are not written down; it is tried again and again";
const WELL: &str = "decisions are written down again";

/// Asks until the log fails; the answers come all the same.
async fn ask_until_it_fails(running: &Running, client: &mut Client) -> usize {
    let mut asked = 0;
    while !running.events().iter().any(said(FAILS)) {
        assert!(asked < 20_000, "it does not fail");
        ask(client, REFUSED, &format!("id-{asked}")).await;
        asked += 1;
    }
    asked
}

fn assert_failing(running: &Running, words: &str) {
    let (_, page) = running.page("/metrics");
    assert!(page.contains("postern_decision_log_failing 1\n"), "{page}");
    let status = running.status();
    let message = status["decision_log"]["failing"]["message"].as_str();
    assert!(
        message.is_some_and(|message| message.contains(words)),
        "{status:#}"
    );
}

#[test]
fn a_full_disk_is_survived_and_no_line_is_lost_or_torn() {
    let folder = folder();
    let path = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&path) else {
        if may_mount_apart() {
            return apart("a_full_disk_is_survived_and_no_line_is_lost_or_torn");
        }
        eprintln!(
            "no file system can be mounted here, not even in a namespace of its own: \
             /dev/full stands for a full disk"
        );
        return a_device_without_room();
    };
    eprintln!("the full disk is a tmpfs of a MiB");
    fs::write(path.join("filler"), vec![0; 976 * 1024]).unwrap();
    let settings = format!("{QUICK}[decision_log]\nfile = \"disk/decisions.jsonl\"\n");
    let mut running = Running::serve_folder(folder, &settings);
    let asked = block_on(async {
        let mut client = running.client().await;
        let asked = ask_until_it_fails(&running, &mut client).await;
        assert_failing(&running, "make room");
        for at in asked..asked + 20 {
            ask(&mut client, REFUSED, &format!("id-{at}")).await;
        }
        fs::remove_file(path.join("filler")).unwrap();
        running.logged(said(WELL));
        asked + 20
    });
    let (_, page) = running.page("/metrics");
    assert!(page.contains("postern_decision_log_failing 0\n"), "{page}");
    assert_eq!(running.status()["decision_log"]["failing"], Value::Null);
    stop(&mut running);
    assert_eq!(ids(&lines(&path.join("decisions.jsonl"))), numbered(asked));
    let faults = running.events().into_iter().filter(said(FAILS)).count();
    assert_eq!(faults, 1, "a fault is told once");
    drop(disk);
}

#[test]
fn a_device_without_room() {
    let settings = format!("{QUICK}[decision_log]\nfile = \"/dev/full\"\n");
    let mut running = Running::serve_folder(folder(), &settings);
    block_on(async {
        let mut client = running.client().await;
        ask_until_it_fails(&running, &mut client).await;
        ask(&mut client, REFUSED, "another").await;
    });
    assert_failing(&running, "make room");
    stop(&mut running);
    let lost = running.logged(said("decisions that could not be written down are lost"));
    assert!(
        field(&lost, "lines").and_then(Value::as_u64) >= Some(2),
        "{lost}"
    );
}

#[test]
fn a_folder_may_go_and_come_back() {
    let folder = folder();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let settings = format!("{QUICK}[decision_log]\nfile = \"logs/decisions.jsonl\"\n");
    let mut running = Running::serve_folder(folder, &settings);
    block_on(async {
        let mut client = running.client().await;
        fs::remove_dir_all(&logs).unwrap();
        ask(&mut client, REFUSED, "id-0").await;
        running.logged(said(FAILS));
        assert_failing(&running, "create its directory");
        ask(&mut client, REFUSED, "id-1").await;
        fs::create_dir(&logs).unwrap();
        running.logged(said(WELL));
    });
    stop(&mut running);
    assert_eq!(ids(&lines(&logs.join("decisions.jsonl"))), numbered(2));
}

#[test]
fn a_start_is_refused_where_nothing_could_be_written() {
    for (settings, words) in [
        ("file = \"missing/decisions.jsonl\"", "create its directory"),
        ("file = \"connectors\"", "name a file, not a directory"),
        (
            "file = \"connectors/decisions.jsonl\"",
            "would be taken for an edit",
        ),
        (
            "file = \"d\"\naddresses = \"hashed\"\naddress_key_file = \"missing\"",
            "the key for addresses in",
        ),
        (
            "file = \"d\"\naddresses = \"hashed\"\naddress_key_file = \"short\"",
            "it has fewer than 16 octets: write a secret there",
        ),
    ] {
        let folder = folder();
        fs::write(folder.path().join("short"), "fifteen octets!\n").unwrap();
        let file = folder.path().join("postern.toml");
        fs::write(&file, format!("version = 1\n[decision_log]\n{settings}\n")).unwrap();
        let serve = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        let output = postern()
            .args(serve)
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{settings}: {stderr}");
        assert!(stderr.contains(words), "{settings}: {stderr}");
    }
}

#[test]
fn a_line_that_an_end_cut_off_gets_its_end() {
    let folder = folder();
    let file = folder.path().join("decisions.jsonl");
    fs::write(&file, "{\"schema\":1,\"ti").unwrap();
    let settings = format!("{QUICK}[decision_log]\nfile = \"decisions.jsonl\"\n");
    let mut running = Running::serve_folder(folder, &settings);
    block_on(async { ask(&mut running.client().await, REFUSED, "id-0").await });
    stop(&mut running);
    let text = fs::read_to_string(&file).unwrap();
    let all: Vec<_> = text.lines().collect();
    assert_eq!(all[0], "{\"schema\":1,\"ti");
    assert_eq!(line(all[1])["correlation_id"], "id-0");
}

/// A server whose standard output is a pipe that nobody reads yet.
fn stalled() -> Running {
    let settings = format!("{QUICK}[decision_log]\noutput = \"stdout\"\nqueue = \"64 KiB\"\n");
    Running::serve_to(folder(), &settings, Stdio::piped())
}

fn dropped(running: &Running, verdict: &str) -> u64 {
    let status = running.status();
    status["decision_log"]["dropped"][verdict].as_u64().unwrap()
}

#[test]
fn where_there_is_no_room_accepts_go_first_and_the_log_says_so() {
    let mut running = stalled();
    let stdout = running.stdout();
    let accepts = block_on(async {
        let mut client = running.client().await;
        let mut accepts = 0;
        while dropped(&running, "ACCEPT") == 0 {
            for _ in 0..100 {
                ask(&mut client, PASSES, "pass").await;
                accepts += 1;
            }
            assert!(accepts < 100_000, "nothing is lost");
        }
        for _ in 0..5 {
            ask(&mut client, REFUSED, "refused").await;
        }
        accepts
    });
    let lost = dropped(&running, "ACCEPT");
    assert_eq!(dropped(&running, "REJECT"), 0);
    let (_, page) = running.page("/metrics");
    let sample = format!("postern_decision_log_lines_dropped_total{{verdict=\"ACCEPT\"}} {lost}\n");
    assert!(page.contains(&sample), "{page}");

    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines();
        lines.map(|text| line(&text.unwrap())).collect::<Vec<_>>()
    });
    running.logged(|event| field(event, "accepts") == Some(&json!(lost)));
    stop(&mut running);
    let lines = reader.join().unwrap();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.get("dropped").is_some())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["dropped"], json!({"accepts": lost, "rejects": 0}));
    assert!(told[0]["since"].as_str() <= told[0]["time"].as_str());
    let of = |id: &str| {
        lines
            .iter()
            .filter(|line| line["correlation_id"] == id)
            .count() as u64
    };
    assert_eq!((of("pass"), of("refused")), (accepts - lost, 5));
}

#[test]
fn accepts_that_wait_give_way_to_rejects() {
    let mut running = stalled();
    let stdout = running.stdout();
    let (accepts, rejects) = block_on(async {
        let mut client = running.client().await;
        let (mut accepts, mut rejects) = (0, 0);
        while dropped(&running, "ACCEPT") == 0 {
            for _ in 0..100 {
                ask(&mut client, PASSES, "pass").await;
                accepts += 1;
            }
            assert!(accepts < 100_000, "nothing is lost");
        }
        let before = dropped(&running, "ACCEPT");
        while dropped(&running, "REJECT") == 0 {
            ask(&mut client, REFUSED, "refused").await;
            rejects += 1;
            assert!(rejects < 10_000, "nothing is lost");
        }
        // Not one accept was asked about meanwhile.
        let after = dropped(&running, "ACCEPT");
        assert!(after > before, "{rejects} rejects: {before}, {after}");
        ask(&mut client, REFUSED, "refused").await;
        assert_eq!(dropped(&running, "ACCEPT"), after, "one had been left");
        (accepts, rejects + 1)
    });
    let lost = ["ACCEPT", "REJECT"].map(|verdict| dropped(&running, verdict));
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines();
        lines.map(|text| line(&text.unwrap())).collect::<Vec<_>>()
    });
    running.logged(|event| field(event, "accepts") == Some(&json!(lost[0])));
    stop(&mut running);
    let lines = reader.join().unwrap();
    let of = |id: &str| {
        let of = |line: &&Value| line["correlation_id"] == id;
        lines.iter().filter(of).count() as u64
    };
    let told = lines.iter().find(|line| line.get("dropped").is_some());
    let wanted = json!({"accepts": lost[0], "rejects": lost[1]});
    assert_eq!(told.unwrap()["dropped"], wanted);
    assert_eq!(of("pass"), accepts - lost[0]);
    assert_eq!(of("refused"), rejects - lost[1]);
}

#[test]
fn a_reader_that_does_not_read_holds_up_neither_calls_nor_the_end() {
    let mut running = stalled();
    let _unread = running.stdout();
    block_on(async {
        let mut client = running.client().await;
        while dropped(&running, "REJECT") == 0 {
            for _ in 0..100 {
                ask(&mut client, REFUSED, "refused").await;
            }
        }
    });
    let begin = Instant::now();
    stop(&mut running);
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    running.logged(said(
        "decisions that could not be written down in time are lost",
    ));
}

#[test]
fn a_file_that_vanishes_is_begun_anew() {
    let mut running = serve("");
    block_on(async {
        let mut client = running.client().await;
        fs::remove_file(log_of(&running)).unwrap();
        ask(&mut client, REFUSED, "id-0").await;
    });
    stop(&mut running);
    assert_eq!(ids(&lines(&log_of(&running))), numbered(1));
}
