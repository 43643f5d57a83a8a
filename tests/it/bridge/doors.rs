//! Every listener of a bridge by its octets: what comes in parts, at once, half, too much, or never.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{SET, faults::nowhere, metric, question, service, until};
use crate::running::{PATIENCE, Running, field, get};

/// A bridge with a port and a socket for each protocol.
struct Doors {
    bridge: Running,
    folder: TempDir,
}

/// One of them.
#[derive(Clone, Debug)]
struct Door {
    spoken: Spoken,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Port(SocketAddr),
    Socket(PathBuf),
}

/// What is spoken there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spoken {
    Milter,
    Policy,
    Socketmap,
}

const ALL: [Spoken; 3] = [Spoken::Milter, Spoken::Policy, Spoken::Socketmap];

trait Stream: Read + Write + Send {
    fn finish(&self);
}

impl Stream for TcpStream {
    fn finish(&self) {
        // The other side may have hung up before.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for UnixStream {
    fn finish(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Doors {
    fn open(endpoints: &[SocketAddr], service: &str, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        let mut text = format!("[service]\nendpoints = {endpoints:?}\n{service}\n{more}\n");
        for spoken in ALL {
            let socket = folder.path().join(spoken.name());
            write!(
                text,
                "[[{}]]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n",
                spoken.name(),
                socket.display()
            )
            .unwrap();
        }
        let bridge = Running::bridge(&text);
        Self { bridge, folder }
    }

    fn all(&self) -> Vec<Door> {
        let started = self
            .bridge
            .logged(|event| field(event, "endpoints").is_some());
        let listens = field(&started, "listen").unwrap().as_str().unwrap();
        let port = |spoken: Spoken| {
            let of = |place: &str| place.strip_prefix(spoken.name())?.get(1..)?.parse().ok();
            At::Port(listens.split(' ').find_map(of).unwrap())
        };
        let socket = |spoken: Spoken| At::Socket(self.folder.path().join(spoken.name()));
        ALL.into_iter()
            .flat_map(|spoken| [port(spoken), socket(spoken)].map(|at| Door { spoken, at }))
            .collect()
    }

    fn closed(&self, spoken: Spoken, cause: &str) -> u64 {
        metric(&self.bridge, &closed(spoken, cause))
    }
}

impl Door {
    fn connect(&self) -> Box<dyn Stream> {
        match &self.at {
            At::Port(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            At::Socket(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// What is told to one who asks about `domain`.
    fn told(&self, domain: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(&self.spoken.asks(domain)).unwrap();
        self.spoken.hears(&mut *stream).unwrap()
    }

    /// What comes back of `octets` before the bridge hangs up.
    fn hangs_up(&self, octets: &[u8], finish: bool) -> Vec<u8> {
        let mut stream = self.connect();
        // It may hang up before it has taken all.
        let _ = stream.write_all(octets);
        if finish {
            stream.finish();
        }
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{self:?}");
        }
        rest
    }
}

impl Spoken {
    fn name(self) -> &'static str {
        match self {
            Self::Milter => "milter",
            Self::Policy => "policy",
            Self::Socketmap => "socketmap",
        }
    }

    /// A question about mail from `domain`, or to it; a milter's with all that goes before.
    fn asks(self, domain: &str) -> Vec<u8> {
        match self {
            Self::Milter => [
                frame(b'O', &[0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff]),
                frame(b'C', b"mx.test\x004\x30\x39192.0.2.7\0"),
                frame(b'H', b"mx.test\0"),
                frame(b'M', format!("<ann@{domain}>\0").as_bytes()),
                frame(b'R', b"<bob@contoso.com>\0"),
            ]
            .concat(),
            Self::Policy => question(&format!("ann@{domain}"), "").into_bytes(),
            Self::Socketmap => format!("{}:tls {domain},", domain.len() + 4).into_bytes(),
        }
    }

    /// The answer to it.
    fn hears(self, stream: &mut dyn Stream) -> io::Result<String> {
        let mut heard = Vec::new();
        match self {
            Self::Milter => {
                for _ in 0..2 {
                    let mut length = [0; 4];
                    stream.read_exact(&mut length)?;
                    heard = vec![0; u32::from_be_bytes(length) as usize];
                    stream.read_exact(&mut heard)?;
                }
            }
            Self::Policy => {
                while !heard.ends_with(b"\n\n") {
                    heard.push(octet(stream)?);
                }
            }
            Self::Socketmap => {
                while heard.last() != Some(&b':') {
                    heard.push(octet(stream)?);
                }
                let length = String::from_utf8(heard).unwrap();
                heard = vec![0; length.trim_end_matches(':').parse::<usize>().unwrap() + 1];
                stream.read_exact(&mut heard)?;
                assert_eq!(heard.pop(), Some(b','));
            }
        }
        Ok(String::from_utf8(heard).unwrap().trim_end().to_owned())
    }

    /// What is told where nothing stands against it.
    fn passes(self) -> &'static str {
        match self {
            Self::Milter => "c",
            Self::Policy => "action=DUNNO",
            Self::Socketmap => "NOTFOUND",
        }
    }
}

fn octet(stream: &mut dyn Stream) -> io::Result<u8> {
    let mut octet = [0];
    stream.read_exact(&mut octet)?;
    Ok(octet[0])
}

fn frame(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes(), &[letter][..], data].concat()
}

fn closed(spoken: Spoken, cause: &str) -> String {
    let name = spoken.name();
    format!("postern_bridge_connections_closed_total{{protocol=\"{name}\",cause=\"{cause}\"}}")
}

const PASSING: &str = "other.test";

#[test]
fn a_question_may_come_octet_by_octet() {
    let service = service("");
    let doors = Doors::open(&[service.listen], "", "");
    for door in doors.all() {
        let mut stream = door.connect();
        for octet in door.spoken.asks(PASSING) {
            stream.write_all(&[octet]).unwrap();
        }
        let heard = door.spoken.hears(&mut *stream).unwrap();
        assert_eq!(heard, door.spoken.passes(), "{door:?}");
    }
}

#[test]
fn what_comes_at_once_is_answered_in_turn_or_cut() {
    let service = service("");
    let doors = Doors::open(&[service.listen], "", "");
    for door in doors.all() {
        let question = door.spoken.asks(PASSING);
        let two = [&question[..], &question].concat();
        match door.spoken {
            // Postfix waits for its answer: what follows is somebody else's.
            Spoken::Policy => assert_eq!(door.hangs_up(&two, false), b"", "{door:?}"),
            // One conversation negotiates once; its frames came at once above all.
            Spoken::Milter => assert_eq!(door.told(PASSING), "c"),
            Spoken::Socketmap => {
                let mut stream = door.connect();
                stream.write_all(&two).unwrap();
                for _ in 0..2 {
                    assert_eq!(door.spoken.hears(&mut *stream).unwrap(), "NOTFOUND");
                }
            }
        }
    }
    until(&doors.bridge, &closed(Spoken::Policy, "garbled"), 2);
}

#[test]
fn what_is_no_question_is_cut_counted_and_harms_no_other() {
    let service = service("");
    let bounds = "[listeners]\nrequest_timeout = \"500ms\"\n";
    let doors = Doors::open(&[service.listen], "deadline = \"10s\"", bounds);
    let endless = ["x=".to_owned(), "y".repeat(100_000)].concat();
    for door in doors.all() {
        let (large, half) = match door.spoken {
            Spoken::Milter => (&b"\x7f\xff\xff\xffL"[..], &b"\0\0\0\x0dO\0\0"[..]),
            Spoken::Policy => (endless.as_bytes(), &b"request=smtpd_access_policy\n"[..]),
            Spoken::Socketmap => (&b"99999:tls"[..], &b"12:tls "[..]),
        };
        for (octets, finish, cause) in [
            (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], true, "garbled"),
            (large, false, "too_large"),
            (half, false, "late"),
        ] {
            let before = doors.closed(door.spoken, cause);
            assert_eq!(door.hangs_up(octets, finish), b"", "{door:?} {cause}");
            until(&doors.bridge, &closed(door.spoken, cause), before + 1);
        }
        // Half a question and no more to come; nothing at all.
        assert_eq!(door.hangs_up(half, true), b"", "{door:?}");
        assert_eq!(door.hangs_up(b"", true), b"", "{door:?}");
        assert_eq!(door.told(PASSING), door.spoken.passes());
    }
    for spoken in ALL {
        let line = format!(
            "postern_bridge_connections{{protocol=\"{}\"}}",
            spoken.name()
        );
        until(&doors.bridge, &line, 0);
    }
}

#[test]
fn who_says_nothing_is_let_go_in_time() {
    let service = service("");
    let doors = Doors::open(&[service.listen], "", "[listeners]\nidle = \"300ms\"\n");
    for door in doors.all() {
        assert_eq!(door.hangs_up(b"", false), b"", "{door:?}");
    }
    for spoken in ALL {
        until(&doors.bridge, &closed(spoken, "idle"), 2);
    }
}

#[test]
fn the_pages_of_operators_bear_the_same() {
    let service = service("");
    let doors = Doors::open(&[service.listen], "", "");
    let admin = Door {
        spoken: Spoken::Policy,
        at: At::Port(doors.bridge.admin),
    };
    // Held half-open for as long as the rest takes.
    let held: Vec<_> = (0..50)
        .map(|at| {
            let mut stream = admin.connect();
            stream.write_all(&b"GET /livez HT"[..at % 13]).unwrap();
            stream
        })
        .collect();
    let huge = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: {}",
        "y".repeat(1 << 20)
    );
    for octets in [&b"\0\xff\r\n\r\n"[..], b"GET", b"", huge.as_bytes()] {
        let told = String::from_utf8(admin.hangs_up(octets, true)).unwrap();
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
        assert_eq!(get(doors.bridge.admin, "/livez").0, 200);
    }
    let page = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut stream = admin.connect();
    for octet in page {
        stream.write_all(&[*octet]).unwrap();
    }
    let last = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(&[&page[..], last].concat()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert_eq!(told.matches("HTTP/1.1 200").count(), 3, "{told}");
    drop(held);
}

#[test]
fn where_nobody_answers_mail_waits_or_passes_as_told() {
    for (settings, accepted, deferred) in [("", 0, 6), ("on_unavailable = \"accept\"", 4, 2)] {
        let doors = Doors::open(&[nowhere()], settings, "");
        for door in doors.all() {
            let told = door.told(PASSING);
            let wanted = match door.spoken {
                // Mail that leaves waits, whatever is set.
                Spoken::Socketmap => "TEMP Postern gave no answer",
                spoken if accepted > 0 => spoken.passes(),
                Spoken::Milter => "y451 4.7.1 connector policy unavailable, try later",
                Spoken::Policy => "action=451 4.7.1 connector policy unavailable, try later",
            };
            assert!(told.starts_with(wanted), "{door:?} {told}");
        }
        for (did, count) in [("accept", accepted), ("defer", deferred)] {
            let line = format!("postern_bridge_unanswered_total{{did=\"{did}\"}}");
            assert_eq!(metric(&doors.bridge, &line), count, "{settings}");
        }
    }
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let service = service("");
    let slow = "deadline = \"500ms\"\nhealth_interval = \"200ms\"";
    let doors = Doors::open(&[service.listen], slow, "");
    let policy = |domain: &str| {
        let mut all = doors.all().into_iter();
        let door = all.find(|it| it.spoken == Spoken::Policy);
        door.unwrap().told(domain)
    };
    assert!(policy("contosobank.com").starts_with(super::REFUSED));
    service.signal("STOP");
    for _ in 0..3 {
        assert!(policy("contosobank.com").starts_with("action=451 4.7.1"));
    }
    service.signal("CONT");
    let line = format!(
        "postern_bridge_endpoint_serving{{endpoint=\"{}\"}}",
        service.listen
    );
    until(&doors.bridge, &line, 1);
    let begin = Instant::now();
    loop {
        match &*policy(PASSING) {
            "action=DUNNO" => break,
            // The machine may be slow, too; the answers of before must not come.
            told => assert!(told.starts_with("action=451 4.7.1"), "{told}"),
        }
        assert!(begin.elapsed() < PATIENCE);
    }
}

/// Asks at every door, over and over, while `event` happens; every answer must be one of `right`.
fn under_load(doors: &Doors, domain: &str, right: fn(Spoken, &str) -> bool, event: impl FnOnce()) {
    let (stop, all) = (AtomicBool::new(false), doors.all());
    let counts: Vec<_> = all.iter().map(|_| AtomicUsize::new(0)).collect();
    let more = || {
        let before: Vec<_> = counts.iter().map(|count| count.load(Relaxed)).collect();
        let begin = Instant::now();
        let enough = |(count, before): (&AtomicUsize, &usize)| count.load(Relaxed) > before + 20;
        while !stop.load(Relaxed) && !counts.iter().zip(&before).all(enough) {
            assert!(begin.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(5));
        }
    };
    thread::scope(|scope| {
        for (door, count) in all.iter().zip(&counts) {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let told = door.told(domain);
                    if !right(door.spoken, &told) {
                        stop.store(true, Relaxed);
                        panic!("{door:?}: {told}");
                    }
                    count.fetch_add(1, Relaxed);
                }
            });
        }
        more();
        event();
        more();
        stop.store(true, Relaxed);
    });
    for did in ["accept", "defer"] {
        let line = format!("postern_bridge_unanswered_total{{did=\"{did}\"}}");
        assert_eq!(metric(&doors.bridge, &line), 0);
    }
}

#[test]
fn nobody_waits_when_one_of_two_dies_under_load() {
    let (one, other) = (service(""), service(""));
    let doors = Doors::open(&[one.listen, other.listen], "deadline = \"20s\"", "");
    let right = |spoken: Spoken, told: &str| told == spoken.passes();
    under_load(&doors, PASSING, right, || one.signal("KILL"));
    let line = |it: &Running| {
        let at = it.listen;
        format!("postern_bridge_endpoint_serving{{endpoint=\"{at}\"}}")
    };
    until(&doors.bridge, &line(&one), 0);
    until(&doors.bridge, &line(&other), 1);
}

#[test]
fn connectors_edited_under_load_decide_every_question_one_way_or_the_other() {
    let service = service("");
    let doors = Doors::open(&[service.listen], "deadline = \"20s\"", "");
    let other = SET.replace("contosobank.com", "bank.test");
    assert_ne!(other, SET);
    let right = |spoken: Spoken, told: &str| {
        told == spoken.passes() || told.contains("530 5.7.0 ") && spoken != Spoken::Socketmap
    };
    let all = doors.all();
    let asked: Vec<_> = all
        .iter()
        .filter(|it| it.spoken != Spoken::Socketmap)
        .collect();
    under_load(&doors, "contosobank.com", right, || {
        for (text, refuses) in [&other, SET, &other, SET, &other].map(|it| (it, it == SET)) {
            fs::write(service.file("default"), text).unwrap();
            let begin = Instant::now();
            // Each save is seen at every door.
            for door in &asked {
                while door.told("contosobank.com").contains("530 5.7.0 ") != refuses {
                    assert!(begin.elapsed() < PATIENCE, "{door:?}");
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    });
}

#[test]
fn idle_connections_cost_little() {
    let service = service("");
    for at in 0..2 * ALL.len() {
        // A bridge for each: what one protocol gave back, the next would get.
        let doors = Doors::open(&[service.listen], "", "");
        let door = &doors.all()[at];
        let asked = || {
            let mut stream = door.connect();
            stream.write_all(&door.spoken.asks(PASSING)).unwrap();
            let heard = door.spoken.hears(&mut *stream).unwrap();
            assert_eq!(heard, door.spoken.passes());
            stream
        };
        let first = asked();
        let before = doors.bridge.resident();
        let count = 500;
        let idle: Vec<_> = (0..count).map(|_| asked()).collect();
        let each = doors.bridge.resident().saturating_sub(before) * 1024 / count;
        println!("{door:?}: {each} octets for each connection");
        assert!(each < 16 * 1024, "{door:?}: {each} octets for each");
        drop((first, idle));
    }
}
