use tempfile::TempDir;

use super::*;

struct Log {
    folder: TempDir,
    file: LogFile,
    pending: Pending,
    now: SystemTime,
}

const INTERNAL: Rotation = Rotation::Internal {
    size: 10,
    every: Duration::from_hours(24),
    keep: 2,
};

impl Log {
    fn new(rotation: Rotation) -> Self {
        let folder = TempDir::new().unwrap();
        let file = LogFile::new(folder.path().join("d.jsonl"), rotation);
        Self {
            folder,
            file,
            pending: Pending::default(),
            now: SystemTime::now(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("d.jsonl")
    }

    fn add(&mut self, line: &str) {
        self.pending.add(|to| {
            to.extend_from_slice(line.as_bytes());
            true
        });
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            let written = self.file.write(&mut self.pending, self.now)?;
            self.pending.wrote(written);
        }
        Ok(())
    }

    fn write(&mut self, lines: &[&str]) {
        for line in lines {
            self.add(line);
        }
        self.flush().unwrap();
    }

    fn current(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// What the full files hold, from the oldest on.
    fn full(&self) -> Vec<String> {
        let full = rotated(&self.path()).unwrap();
        full.iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect()
    }

    fn later(&mut self, length: Duration) {
        self.now += length;
    }
}

#[test]
fn no_file_has_more_than_it_may_or_half_a_line() {
    let mut log = Log::new(INTERNAL);
    log.write(&["one", "two"]);
    assert_eq!(log.current(), "one\ntwo\n");
    log.write(&["three", "four", "a line that is too long by itself", "five"]);
    assert_eq!(log.current(), "five\n");
    assert_eq!(
        log.full(),
        ["four\n", "a line that is too long by itself\n"]
    );
    let names = rotated(&log.path()).unwrap();
    for name in names {
        let name = name.to_str().unwrap().rsplit_once("d.jsonl.").unwrap().1;
        assert!(is_stamp(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_new_day_has_a_new_file() {
    let mut log = Log::new(INTERNAL);
    log.now = UNIX_EPOCH + Duration::from_hours(24 * 30_000) - Duration::from_secs(1);
    log.write(&["one"]);
    log.later(Duration::from_millis(999));
    log.write(&["two"]);
    assert_eq!(log.full(), [""; 0]);
    log.later(Duration::from_millis(1));
    log.write(&["new"]);
    assert_eq!(
        (log.current(), log.full()),
        ("new\n".into(), vec!["one\ntwo\n".into()])
    );
    let name = rotated(&log.path()).unwrap().remove(0);
    assert_eq!(name, log.folder.path().join("d.jsonl.20520220T000000.000Z"));
}

#[test]
fn the_day_of_a_file_outlives_the_process() {
    let mut log = Log::new(INTERNAL);
    log.write(&["one"]);
    log.file = LogFile::new(log.path(), INTERNAL);
    log.later(Duration::from_hours(48));
    log.write(&["two"]);
    assert_eq!(
        (log.current(), log.full()),
        ("two\n".into(), vec!["one\n".into()])
    );
}

#[test]
fn only_its_own_full_files_are_removed() {
    let mut log = Log::new(INTERNAL);
    let others = [
        "d.jsonl.bak",
        "d.jsonl.20261123T193051.123Z.gz",
        "e.jsonl.20261123T193051.123Z",
        "d.jsonl.20261123",
        "d.jsonl.20261123T193051.123Z-",
    ];
    for other in others {
        fs::write(log.folder.path().join(other), "kept").unwrap();
    }
    for _ in 0..7 {
        log.write(&["12345678"]);
    }
    assert_eq!(log.full(), ["12345678\n", "12345678\n"]);
    for other in others {
        assert!(log.folder.path().join(other).exists(), "{other}");
    }
}

#[test]
fn full_files_keep_their_order_whatever_the_clock_says() {
    let mut log = Log::new(INTERNAL);
    for at in 0..20 {
        log.write(&[&format!("line {at:03}")]);
        if at == 10 {
            log.now -= Duration::from_hours(1);
        }
    }
    assert_eq!(log.full(), ["line 017\n", "line 018\n"]);
}

#[test]
fn a_line_that_was_cut_off_is_ended() {
    let mut log = Log::new(Rotation::External);
    fs::write(log.path(), "whole\nhal").unwrap();
    log.write(&["next"]);
    assert_eq!(log.current(), "whole\nhal\nnext\n");
}

#[test]
fn what_another_program_moved_is_left_to_it() {
    let mut log = Log::new(Rotation::External);
    log.write(&["a line that is longer than ten octets"]);
    let moved = log.folder.path().join("d.jsonl.1");
    fs::rename(log.path(), &moved).unwrap();
    log.write(&["two"]);
    assert_eq!(log.current(), "two\n");
    fs::remove_file(log.path()).unwrap();
    log.write(&["three"]);
    assert_eq!(log.current(), "three\n");
    let moved = fs::read_to_string(moved).unwrap();
    assert_eq!(moved, "a line that is longer than ten octets\n");
}

#[test]
fn a_torn_line_is_whole_in_the_file_that_goes_on() {
    let mut log = Log::new(Rotation::External);
    log.write(&["one"]);
    log.add("two");
    // As where the disk is full: the file has the first two octets of the line.
    let mut torn = OpenOptions::new().append(true).open(log.path()).unwrap();
    torn.write_all(b"tw").unwrap();
    log.pending.wrote(2);
    let moved = log.folder.path().join("moved");
    fs::rename(log.path(), moved).unwrap();
    log.flush().unwrap();
    assert_eq!(log.current(), "two\n");

    log.add("three");
    torn = OpenOptions::new().append(true).open(log.path()).unwrap();
    torn.write_all(b"th").unwrap();
    log.pending.wrote(2);
    log.flush().unwrap();
    assert_eq!(log.current(), "two\nthree\n");
}

#[test]
fn a_file_that_somebody_emptied_begins_with_a_whole_line() {
    let mut log = Log::new(Rotation::External);
    log.write(&["one"]);
    log.add("two");
    log.file.open.as_mut().unwrap().size += 2;
    log.pending.wrote(2);
    File::create(log.path()).unwrap();
    log.flush().unwrap();
    assert_eq!(log.current(), "two\n");
}

#[test]
fn a_missing_folder_is_not_made() {
    let mut log = Log::new(INTERNAL);
    log.write(&["one"]);
    fs::remove_file(log.path()).unwrap();
    fs::remove_dir(log.folder.path()).unwrap();
    log.add("two");
    assert_eq!(log.flush().unwrap_err().kind(), ErrorKind::NotFound);
    fs::create_dir(log.folder.path()).unwrap();
    log.flush().unwrap();
    assert_eq!(log.current(), "two\n");
}

#[test]
fn a_device_is_no_file_to_rotate() {
    let mut file = LogFile::new("/dev/null".into(), INTERNAL);
    let mut pending = Pending::default();
    pending.add(|to| {
        to.extend_from_slice(b"a line that is too long for a file");
        true
    });
    file.write(&mut pending, SystemTime::now()).unwrap();
    assert!(Path::new("/dev/null").exists());
}
