//! The maps `tls` and `transport`, asked as Postfix asks.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::running::{PATIENCE, Running};

/// A connection of Postfix.
struct Maps(TcpStream);

impl Maps {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The answer to a question.
    fn ask(&mut self, question: &str) -> String {
        self.send(format!("{}:{question},", question.len()).as_bytes());
        self.answer()
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).unwrap();
    }

    fn answer(&mut self) -> String {
        let mut length = 0;
        loop {
            match self.octet() {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).unwrap();
        assert_eq!(self.octet(), b',');
        String::from_utf8(text).unwrap()
    }

    fn octet(&mut self) -> u8 {
        let mut octet = [0];
        self.0.read_exact(&mut octet).unwrap();
        octet[0]
    }

    /// Whether the bridge hangs up without a word.
    fn hangs_up(mut self) -> bool {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest.is_empty()
    }
}

const SET: &str = "version = 1
[[outbound]]
name = \"Names\"
match.recipient_domains = [\"names.test\"]
require.tls = \"domain\"
require.certificate_names = [\"*.names.test\"]
require.tls_min_version = \"TLSv1.2\"
[[outbound]]
name = \"Opportunistic\"
match.recipient_domains = [\"may.test\"]
require.tls = \"opportunistic\"
[[outbound]]
name = \"Subtree\"
match.recipient_domains = [\"*.subtree.test\"]
require.tls = \"trusted\"
[[outbound]]
name = \"One\"
match.recipient_domains = [\"*.one.test\"]
route.smart_hosts = [\"hub.test:2525\", \"[2001:db8::7]:25\"]
require.tls = \"encrypt\"
[[outbound]]
name = \"Two\"
match.recipient_domains = [\"two.test\"]
route.smart_hosts = [\"hub.test:2525\"]
require.tls = \"domain\"
require.certificate_names = [\"hub.test\"]
[[outbound]]
name = \"Three\"
match.recipient_domains = [\"three.test\"]
route.smart_hosts = [\"hub.test:2525\"]
require.tls = \"domain\"
require.certificate_names = [\"other.test\"]
[[outbound]]
name = \"Plain hub\"
match.recipient_domains = [\"plain.test\"]
route.smart_hosts = [\"plain.hub.test\"]
[end]
";

fn bridge(service: &Running) -> Running {
    Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\non_unavailable = \"accept\"\n[[socketmap]]\n\
         listen = \"127.0.0.1:0\"\ntransport = \"relay\"\nown_domains = [\"*.own.one.test\"]\n",
        service.listen
    ))
}

#[test]
fn each_key_has_its_answer() {
    let mut service = Running::serve(&[("default", SET)]);
    let bridge = bridge(&service);
    let mut maps = Maps::connect(bridge.listen);
    for (question, answer) in [
        (
            "tls names.test",
            "OK secure match=names.test:.names.test protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1",
        ),
        (
            "tls NAMES.test",
            "OK secure match=names.test:.names.test protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1",
        ),
        ("tls sub.names.test", "NOTFOUND "),
        ("tls a.b.subtree.test", "OK verify"),
        ("tls .subtree.test", "NOTFOUND "),
        ("tls may.test", "NOTFOUND "),
        ("tls elsewhere.test", "NOTFOUND "),
        ("transport names.test", "NOTFOUND "),
        ("transport bob@names.test", "NOTFOUND "),
        ("transport *", "NOTFOUND "),
        ("transport bob@elsewhere.test", "NOTFOUND "),
        ("transport bob@[192.0.2.1]", "NOTFOUND "),
        ("transport bob@own.one.test", "NOTFOUND "),
        ("transport bob@not..a.domain", "NOTFOUND "),
        (
            "tls one.test",
            "TEMP connector One sends this through its smart hosts: have transport_maps ask the \
             map transport",
        ),
        (
            "tls [hub.test]:2525",
            "TEMP no connector routes to [hub.test]:2525 since the bridge started: if it is yours, \
             write its level in a table before this one",
        ),
        (
            "transport bob@one.test",
            "OK relay:[hub.test]:2525, [2001:db8::7]:25",
        ),
        (
            "transport a.one.test",
            "OK relay:[hub.test]:2525, [2001:db8::7]:25",
        ),
        ("tls [hub.test]:2525", "OK encrypt"),
        ("tls [2001:db8::7]:25", "OK encrypt"),
        // The other's demand meets both.
        ("transport bob@two.test", "OK relay:[hub.test]:2525"),
        ("tls [hub.test]:2525", "OK secure match=hub.test"),
        ("transport bob@three.test", "OK relay:[hub.test]:2525"),
        (
            "tls [hub.test]:2525",
            "TEMP connector Two and another demand different certificates of [hub.test]:2525: give \
             each a port of its own, or one demand",
        ),
        ("transport bob@plain.test", "OK relay:[plain.hub.test]:25"),
        ("tls [plain.hub.test]:25", "NOTFOUND "),
        ("other names.test", "PERM the maps are tls and transport"),
    ] {
        assert_eq!(maps.ask(question), answer, "{question}");
    }

    // What leaves is never weaker for want of an answer, whatever `on_unavailable` says.
    service.signal("KILL");
    service.end();
    for question in [
        "tls names.test",
        "tls [hub.test]:2525",
        "transport bob@two.test",
    ] {
        let answer = maps.ask(question);
        assert!(
            answer.starts_with("TEMP Postern gave no answer: "),
            "{answer}"
        );
    }
}

#[test]
fn what_is_no_question_is_cut_off_and_harms_no_other() {
    let service = Running::serve(&[("default", SET)]);
    let bridge = bridge(&service);
    let door = bridge.listen;
    let mut other = Maps::connect(door);
    let huge = format!("99999:{}", "a".repeat(200));
    for garbage in [
        "GET / HTTP/1.1\r\n\r\n",
        "5:abcdef,",
        &huge,
        "1:\u{0}.",
        "3:\u{fffd}x",
    ] {
        let mut maps = Maps::connect(door);
        maps.send(garbage.as_bytes());
        maps.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(maps.hangs_up(), "{garbage:?}");
    }
    // One after the other, in pieces and at once.
    let question = b"12:tls may.test,";
    for piece in question.chunks(1) {
        other.send(piece);
    }
    assert_eq!(other.answer(), "NOTFOUND ");
    other.send(&[&question[..], question].concat());
    assert_eq!(other.answer(), "NOTFOUND ");
    assert_eq!(other.answer(), "NOTFOUND ");
}
