use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// A directory `sets` in a place of its own, under watch.
struct Watched {
    root: TempDir,
    watch: Watch,
    alarm: Alarm,
}

impl Watched {
    /// `prepare` makes the directory `sets` in the place that it is given.
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        prepare(root.path());
        let (mut watch, alarm) = Watch::directory("it is", &root.path().join("sets")).unwrap();
        watch.renew();
        assert!(!watch.deaf);
        Self { root, watch, alarm }
    }

    fn plain() -> Self {
        Self::new(|root| {
            fs::create_dir(root.join("sets")).unwrap();
            fs::write(root.join("sets/a.toml"), "first").unwrap();
        })
    }

    /// `save` is noticed, without waiting for the slow poll.
    async fn notices(&mut self, save: impl FnOnce(&Path)) {
        save(self.root.path());
        let due = timeout(Duration::from_secs(20), self.alarm.next(NEVER))
            .await
            .expect("not noticed");
        due.unwrap();
        self.watch.renew();
    }
}

const NEVER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn files_are_written_in_place_and_renamed_over_and_removed() {
    let mut watched = Watched::plain();
    watched
        .notices(|root| fs::write(root.join("sets/a.toml"), "second").unwrap())
        .await;
    watched
        .notices(|root| {
            fs::write(root.join("a.new"), "third").unwrap();
            fs::rename(root.join("a.new"), root.join("sets/a.toml")).unwrap();
        })
        .await;
    watched
        .notices(|root| fs::rename(root.join("sets/a.toml"), root.join("sets/b.toml")).unwrap())
        .await;
    watched
        .notices(|root| fs::remove_file(root.join("sets/b.toml")).unwrap())
        .await;
    watched
        .notices(|root| symlink("../outside", root.join("sets/c.toml")).unwrap())
        .await;
    watched
        .notices(|root| fs::write(root.join("outside"), "").unwrap())
        .await;
    watched
        .notices(|root| fs::write(root.join("outside"), "in place").unwrap())
        .await;
}

#[tokio::test]
async fn reading_is_not_noticed() {
    let mut watched = Watched::plain();
    watched
        .notices(|root| fs::write(root.join("sets/a.toml"), "second").unwrap())
        .await;
    let sets = watched.root.path().join("sets");
    for entry in fs::read_dir(&sets).unwrap() {
        fs::read(entry.unwrap().path()).unwrap();
    }
    // Neither is what happens beside it.
    fs::write(watched.root.path().join("other"), "").unwrap();
    // Once the watcher has answered twice, it has been through all that happened before.
    let elsewhere = tempfile::tempdir().unwrap();
    let Ears::Open(ears) = &mut watched.watch.ears else {
        panic!("no ears")
    };
    ears.watch(elsewhere.path(), RecursiveMode::NonRecursive)
        .unwrap();
    ears.watch(elsewhere.path(), RecursiveMode::NonRecursive)
        .unwrap();
    assert_eq!(
        watched.alarm.tokens.try_recv(),
        Err(mpsc::error::TryRecvError::Empty)
    );
}

#[tokio::test]
async fn the_directory_is_replaced() {
    let mut watched = Watched::plain();
    watched
        .notices(|root| fs::rename(root.join("sets"), root.join("old")).unwrap())
        .await;
    watched
        .notices(|root| fs::create_dir(root.join("sets")).unwrap())
        .await;
    watched
        .notices(|root| fs::write(root.join("sets/a.toml"), "new").unwrap())
        .await;
    watched
        .notices(|root| {
            fs::create_dir(root.join("next")).unwrap();
            fs::remove_dir_all(root.join("sets")).unwrap();
            fs::rename(root.join("next"), root.join("sets")).unwrap();
        })
        .await;
    watched
        .notices(|root| fs::write(root.join("sets/a.toml"), "next").unwrap())
        .await;
}

#[tokio::test]
async fn the_directory_is_a_link_that_is_swapped() {
    let mut watched = Watched::new(|root| {
        fs::create_dir_all(root.join("releases/1/sets")).unwrap();
        fs::create_dir_all(root.join("releases/2/sets")).unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink("current/sets", root.join("sets")).unwrap();
    });
    watched
        .notices(|root| fs::write(root.join("releases/1/sets/a.toml"), "").unwrap())
        .await;
    watched
        .notices(|root| {
            symlink("releases/2", root.join("next")).unwrap();
            fs::rename(root.join("next"), root.join("current")).unwrap();
        })
        .await;
    watched
        .notices(|root| fs::write(root.join("releases/2/sets/a.toml"), "").unwrap())
        .await;
    watched
        .notices(|root| {
            fs::remove_file(root.join("sets")).unwrap();
            symlink("releases/1/sets", root.join("sets")).unwrap();
        })
        .await;
    watched
        .notices(|root| fs::write(root.join("releases/1/sets/b.toml"), "").unwrap())
        .await;
}

#[tokio::test]
async fn a_config_map_swaps_its_data() {
    let mut watched = Watched::new(|root| {
        let sets = root.join("sets");
        fs::create_dir_all(sets.join("..1")).unwrap();
        fs::write(sets.join("..1/a.toml"), "1").unwrap();
        symlink("..1", sets.join("..data")).unwrap();
        symlink("..data/a.toml", sets.join("a.toml")).unwrap();
    });
    for next in ["..2", "..3"] {
        watched
            .notices(|root| {
                let sets = root.join("sets");
                fs::create_dir(sets.join(next)).unwrap();
                fs::write(sets.join(next).join("a.toml"), next).unwrap();
                symlink(next, sets.join("..data_tmp")).unwrap();
                fs::rename(sets.join("..data_tmp"), sets.join("..data")).unwrap();
            })
            .await;
    }
    watched
        .notices(|root| fs::write(root.join("sets/..3/a.toml"), "in place").unwrap())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_save_is_taken_when_it_has_been_quiet_and_no_later_than_two_seconds() {
    let (token, tokens) = mpsc::channel(1);
    let mut alarm = Alarm {
        tokens,
        hangup: signal(SignalKind::hangup()).unwrap(),
    };
    let begin = Instant::now();
    token.try_send(()).unwrap();
    assert_eq!(alarm.next(NEVER).await, Ok(Due::Changed));
    assert!((QUIET..QUIET * 2).contains(&begin.elapsed()));

    let begin = Instant::now();
    let writing = async {
        loop {
            let _ = token.try_send(());
            sleep(QUIET / 2).await;
        }
    };
    tokio::select! {
        () = writing => unreachable!("it never ends"),
        due = alarm.next(NEVER) => assert_eq!(due, Ok(Due::Changed)),
    }
    assert!((LONGEST..LONGEST + QUIET).contains(&begin.elapsed()));

    let _ = alarm.tokens.try_recv();
    assert_eq!(alarm.next(SELDOM).await, Ok(Due::Poll));
    drop(token);
    assert_eq!(alarm.next(NEVER).await, Err(Ended(())));
}
