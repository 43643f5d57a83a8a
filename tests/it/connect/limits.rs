//! The limits of a process hold over HTTP, too; and it drains.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{INBOUND, ask, counted, question, serve, until_counted};
use crate::running::{PATIENCE, Running};

/// A connection that is written and read octet by octet.
struct Octets(TcpStream);

impl Octets {
    fn dial(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// The head of a call whose message has so many octets.
    fn begin(&mut self, length: usize) {
        self.send(&format!(
            "POST {INBOUND} HTTP/1.1\r\nhost: postern\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        ));
    }

    /// Asks, and takes the answer.
    fn ask(&mut self) -> String {
        let question = question().to_string();
        self.begin(question.len());
        self.send(&question);
        self.answer()
    }

    /// One answer.
    fn answer(&mut self) -> String {
        let mut octets = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = self.0.read(&mut part).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&octets));
            octets.extend(&part[..count]);
            let text = String::from_utf8_lossy(&octets).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                return text;
            }
        }
    }

    /// Waits for the end of the connection, and says after how long it came.
    fn end(mut self) -> Duration {
        let begin = Instant::now();
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}"),
        }
        begin.elapsed()
    }
}

fn closed(running: &Running, limit: &str) -> u64 {
    let sample = format!("postern_connections_closed_total{{limit=\"{limit}\"}} ");
    let (_, page) = running.page("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(&sample));
    line.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
}

#[test]
fn who_does_not_come_to_an_end_is_cut() {
    let (running, at) =
        serve("[server.limits]\nhandshake_timeout = \"2s\"\nmessage_timeout = \"2s\"\n");
    // One that says nothing, one whose head does not end, and one that begins a second call.
    let silent = Octets::dial(at);
    let mut slow = Octets::dial(at);
    slow.send("POST /postern.v1");
    let mut again = Octets::dial(at);
    assert!(again.ask().starts_with("HTTP/1.1 200"));
    again.send("POST ");
    for connection in [silent, slow, again] {
        assert!(connection.end() < PATIENCE);
    }
    assert_eq!(closed(&running, "handshake_timeout"), 3);

    // One whose message does not come whole.
    let mut half = Octets::dial(at);
    half.begin(100);
    half.send("{");
    let answer = half.answer();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(answer.contains("MESSAGE_TIMEOUT"), "{answer}");
    until_counted(&running, "CheckInbound", "DEADLINE_EXCEEDED", 1);

    // One that waits for its next call is not disturbed.
    let mut idle = Octets::dial(at);
    assert!(idle.ask().starts_with("HTTP/1.1 200"));
    std::thread::sleep(Duration::from_secs(3));
    assert!(idle.ask().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_deadline_is_kept_and_what_is_given_up_is_counted() {
    let (running, at) = serve("");
    let mut late = Octets::dial(at);
    late.send(&format!(
        "POST {INBOUND} HTTP/1.1\r\nhost: postern\r\ncontent-type: application/json\r\n\
         content-length: 100\r\nconnect-timeout-ms: 50\r\n\r\n{{"
    ));
    let answer = late.answer();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(answer.contains("\"DEADLINE_EXCEEDED\""), "{answer}");
    let mut gone = Octets::dial(at);
    gone.begin(100);
    gone.send("{");
    drop(gone);
    until_counted(&running, "CheckInbound", "CANCELLED", 1);
    assert_eq!(counted(&running, "CheckInbound", "OK"), 0);
}

#[test]
fn a_message_may_be_so_large_and_so_may_a_head() {
    let (_running, at) = serve("[server.limits]\nmessage_octets = 4096\n");
    let mut large = question();
    large["helo"] = "x".repeat(5_000).into();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let got = ask(at, INBOUND, &large.to_string(), &[version]);
        let told = (400, "out_of_range".into(), "MESSAGE_TOO_LARGE".into());
        assert_eq!(got.error(), told);
    }
    let header = format!("x-large: {}", "x".repeat(20_000));
    let more = ["--http2-prior-knowledge", "-H", &header];
    let got = ask(at, INBOUND, &question().to_string(), &more);
    assert!([0, 431].contains(&got.status), "{}", got.status);
    // Why not asked what it is told: closed with octets unread, the answer may be lost on the way.
    let mut large = Octets::dial(at);
    let head = format!("POST {INBOUND} HTTP/1.1\r\nhost: postern\r\n{header}");
    let _ = large.0.write_all(head.as_bytes());
    let mut octets = Vec::new();
    let _ = large.0.read_to_end(&mut octets);
    assert!(!octets.starts_with(b"HTTP/1.1 2"));
    assert!(ask(at, INBOUND, &question().to_string(), &[]).status == 200);
}

#[test]
fn calls_beyond_the_limit_are_sent_to_another_replica() {
    let (running, at) = serve("[server.limits]\ncalls = 2\n");
    let mut open = [Octets::dial(at), Octets::dial(at)];
    for call in &mut open {
        call.begin(1000);
        call.send("{");
    }
    let load = "postern_calls_in_flight 2";
    let begin = Instant::now();
    while !running.page("/metrics").1.lines().any(|line| line == load) {
        assert!(begin.elapsed() < PATIENCE, "{}", running.page("/metrics").1);
        std::thread::sleep(Duration::from_millis(10));
    }
    let got = ask(at, INBOUND, &question().to_string(), &[]);
    let told = (503, "unavailable".into(), "OVERLOADED".into());
    assert_eq!(got.error(), told);
    assert!(
        got.headers.contains("retry-after: 1\r\n"),
        "{}",
        got.headers
    );
    until_counted(&running, "CheckInbound", "UNAVAILABLE", 1);
    drop(open);
    until_counted(&running, "CheckInbound", "CANCELLED", 2);
    assert_eq!(ask(at, INBOUND, &question().to_string(), &[]).status, 200);
}

#[test]
fn a_call_in_flight_is_answered_when_the_server_stops() {
    let (mut running, at) = {
        let more = "[shutdown]\ndrain_delay = \"0s\"\n";
        serve(more)
    };
    let mut idle = Octets::dial(at);
    assert!(idle.ask().starts_with("HTTP/1.1 200"));
    let question = question().to_string();
    let mut flying = Octets::dial(at);
    flying.begin(question.len());
    let (first, rest) = question.split_at(10);
    flying.send(first);
    let begin = Instant::now();
    while !running
        .page("/metrics")
        .1
        .contains("\npostern_calls_in_flight 1\n")
    {
        assert!(begin.elapsed() < PATIENCE, "{}", running.page("/metrics").1);
    }
    running.signal("TERM");
    // Who has no call is let go first.
    assert!(idle.end() < PATIENCE);
    flying.send(rest);
    let answer = flying.answer();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (status, _) = running.end();
    assert!(status.success(), "{status}");
}
