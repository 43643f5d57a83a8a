//! How far a long log has been read: told to a terminal, and to nobody else.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::fixture::{Log, decisions};
use crate::running::PATIENCE;

/// A terminal: what a program writes to the second is read from the first.
fn terminal() -> (File, File) {
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let name = ptsname(&own, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.as_bytes()));
    (own.into(), theirs.unwrap())
}

/// What comes of `from`, in pieces that end where the cursor goes back.
fn pieces(from: File) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut piece = Vec::new();
            // A terminal whose last program has ended is an error to read.
            let goes_on = from
                .read_until(b'\r', &mut piece)
                .is_ok_and(|read| read > 0);
            let piece = String::from_utf8(piece).unwrap();
            let sent = sender.send(piece.trim_end_matches('\r').to_owned());
            if !goes_on || sent.is_err() {
                return;
            }
        }
    });
    receiver
}

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_terminal_sees_how_much_of_the_files_is_read() {
    let log = Log::of(&decisions("microsoft"));
    let text = log.text("decisions.jsonl").repeat(2_000);
    std::fs::write(log.path("long.jsonl"), &text).unwrap();
    // More than anybody reads within a test.
    let mut arguments = vec!["summary"];
    arguments.extend(["long.jsonl"; 1_000]);
    let total = (1_000 * text.len()) >> 20;
    let (own, theirs) = terminal();
    let mut command = log.command(&arguments);
    command.stdout(Stdio::null()).stderr(theirs);
    let _child = Ended(command.spawn().unwrap());
    // Ours of the other end goes with it.
    drop(command);
    let pieces = pieces(own);
    let mut before = None;
    for _ in 0..3 {
        let said = loop {
            let piece = pieces.recv_timeout(PATIENCE).expect("nothing is told");
            if !piece.is_empty() {
                break piece;
            }
        };
        let said: String = said.chars().filter(|it| *it != ',').collect();
        let numbers = said.strip_prefix("\u{1b}[Kread ").expect(&said);
        let (read, of) = numbers.split_once(" of ").expect(&said);
        assert_eq!(of, format!("{total} MiB"));
        let read: usize = read.parse().unwrap();
        assert!(before <= Some(read) && read <= total, "{before:?}, {said}");
        before = Some(read);
    }
}

#[test]
fn a_pipe_sees_nothing_of_it() {
    let log = Log::empty();
    let line = format!("{}\n", decisions("microsoft")[0]).repeat(1_024);
    let arguments = ["summary", "-", "--format", "json"];
    let mut command = log.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut piped = Ended(command.stderr(Stdio::piped()).spawn().unwrap());
    let (own, theirs) = terminal();
    let mut command = log.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut shown = Ended(command.stderr(theirs).spawn().unwrap());
    drop(command);
    let pieces = pieces(own);
    let mut inputs = [&mut piped, &mut shown].map(|child| child.0.stdin.take().unwrap());
    // Both have the same input at the same time, until the one with a terminal tells something.
    let begin = Instant::now();
    loop {
        for input in &mut inputs {
            input.write_all(line.as_bytes()).unwrap();
        }
        match pieces.recv_timeout(Duration::from_millis(20)) {
            Ok(piece) if piece.contains("read ") => break,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("nothing is told: {error}"),
        }
        assert!(begin.elapsed() < PATIENCE, "nothing is told");
    }
    // From here on the other one would have to tell it, too.
    for _ in 0..8 {
        inputs[0].write_all(line.as_bytes()).unwrap();
    }
    drop(inputs);
    let mut said = String::new();
    let output = piped.0.stdout.take().unwrap();
    let reader =
        std::thread::spawn(move || serde_json::from_reader::<_, serde_json::Value>(output));
    piped
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
    assert!(reader.join().unwrap().unwrap()["lines"].is_u64());
    assert!(piped.0.wait().unwrap().success());
    // At its end the terminal is as it was before.
    assert!(shown.0.wait().unwrap().success());
    let last = pieces
        .iter()
        .filter(|piece| !piece.is_empty())
        .last()
        .unwrap();
    assert_eq!(last, "\u{1b}[K");
}
