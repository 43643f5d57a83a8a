use proptest::prelude::*;

use super::*;
use crate::config::{finding::Finding, load_parts};

/// What the text comes to in parts of at least `length` octets, if it does.
fn in_parts(text: &str, length: usize) -> Option<RawSet> {
    let (mut set, segments) = Segments::of(text, length)?;
    for part in segments {
        let mut part = part?;
        set.inbound.append(&mut part.inbound);
        set.outbound.append(&mut part.outbound);
    }
    Some(set)
}

fn whole(text: &str) -> (Option<RawSet>, Vec<Finding>) {
    let mut findings = Findings::default();
    let set = crate::config::raw::read(text, &mut findings);
    (set, findings.into_sorted())
}

/// Holds what is read in parts against the whole; tells whether it could be read so.
fn compare(text: &str, length: usize) -> bool {
    let parts = in_parts(text, length);
    let is_some = parts.is_some();
    if is_some {
        assert_eq!((parts, Vec::new()), whole(text), "{text}");
    }
    let (one, other) = (
        load_parts("set", text, length),
        load_parts("set", text, text.len()),
    );
    assert_eq!(one.findings, other.findings, "{text}");
    let connectors = |outcome: &crate::config::Outcome| {
        let set = outcome.set.as_ref()?;
        let lists = (set.accepted_domains(), set.inbound(), set.outbound());
        Some(format!("{} {} {lists:?}", set.mode(), set.digest()))
    };
    assert_eq!(connectors(&one), connectors(&other), "{text}");
    is_some
}

const GOOD: &str = r#"version = 1
mode = "report"
accepted_domains = ["contoso.com"]

[[inbound]]
name = "A"
comment = """two
lines"""
match.sender_domains = ["*.a.example", "b.a.example", "bücher.example"]
require = { tls = "encrypt", client_ips = ["203.0.113.0/24"] }

[[outbound]]
name = "A"
[outbound.match]
recipient_domains = ["a.example"]
[outbound.require]
tls = "encrypt"

[[inbound]]
name = "B"
[inbound.match]
client_ips = ["192.0.2.1"]
[inbound.require]
tls = "encrypt"

[end] # here
"#;

#[test]
fn a_good_text_is_read_in_parts() {
    for length in 1..GOOD.len() {
        assert!(compare(GOOD, length), "{length}");
        assert!(compare(&GOOD.replace('\n', "\r\n"), length), "{length}");
        assert!(compare(&format!("\u{feff}{GOOD}"), length), "{length}");
    }
    assert!(in_parts(GOOD, GOOD.len()).is_none());
}

#[test]
fn what_is_unusual_is_read_as_a_whole() {
    for (what, by) in [
        ("version = 1\n", ""),
        ("version = 1", "version = 2"),
        ("version = 1", "version = 1\ninbound = []"),
        ("version = 1", "version = 1\n\"inbound\" = []"),
        ("version = 1", "version = 1\nnoise = 1"),
        ("version = 1", "version = 1\n [[inbound]]"),
        ("two\nlines", "two\n[[inbound]]\nlines"),
        ("[[outbound]]", "[inbound.reply]\n[[outbound]]\n[inbound]"),
        ("[outbound.match]", "[inbound.reply]\n[outbound.match]"),
        ("[[outbound]]", "[[inbound.reply]]\n[[outbound]]"),
        ("[[outbound]]", "[end]\n[[outbound]]"),
        ("[[outbound]]", "[[outbounds]]"),
        ("[[outbound]]", "x = [\n[[1]]]\n[[outbound]]"),
        ("[end] # here", "[end]\nx = 1"),
        ("[end] # here", "[end]\n[[inbound]]\nname = \"C\""),
        ("[end] # here", "[end] x"),
        ("[end] # here", ""),
    ] {
        let text = GOOD.replacen(what, by, 1);
        assert_ne!(text, GOOD, "{what}");
        assert!(!compare(&text, 1), "{text}");
    }
}

/// Lines of which good and bad texts are made.
const LINES: [&str; 30] = [
    "[[inbound]]\nname = \"N\"\nmatch.sender_domains = [\"a.example\"]\nrequire.tls = \"encrypt\"",
    "[[inbound]]\nname = \"M\"\nmatch.client_ips = [\"192.0.2.0/24\"]\nrequire.tls = \"encrypt\"",
    "[[outbound]]\nname = \"N\"\nmatch.recipient_domains = [\"*\"]\nrequire.tls = \"trusted\"",
    "[[outbound]]\nname = \"O\"\nscope = \"rule\"\nroute.smart_hosts = [\"mx.example\"]",
    "[[inbound]]",
    "[[outbound]]",
    "[[ inbound ]]",
    "  [[inbound]]",
    "[inbound]",
    "[inbound.match]",
    "[inbound.require]",
    "[outbound.match]",
    "[outbound.require]",
    "[[inbound.match]]",
    "[end]",
    "[other]",
    "name = \"ä\"",
    "match.sender_domains = [\"*.example\", \"b.example\"]",
    "sender_domains = [",
    "\"c.example\",",
    "]",
    "[[1]]]",
    "tls = \"encrypt\"",
    "tls = 1",
    "comment = \"\"\"",
    "comment = '''",
    "\"\"\"",
    "'''",
    "# [[inbound]] \"\"\"",
    "",
];

fn some_text() -> impl Strategy<Value = String> {
    let good = prop::sample::select(LINES.get(..4).unwrap().to_vec());
    let any = prop::sample::select(LINES.to_vec());
    let line = prop_oneof![3 => good, 1 => any];
    let lines = prop::collection::vec(line, 0..8);
    (lines, prop::bool::weighted(0.9), prop::bool::weighted(0.9)).prop_map(
        |(lines, begun, ended)| {
            let mut text = String::new();
            if begun {
                text.push_str("version = 1\n");
            }
            for (at, line) in lines.iter().enumerate() {
                text.push_str(&line.replace("\"N\"", &format!("\"N{at}\"")));
                text.push('\n');
            }
            if ended {
                text.push_str("[end]\n");
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn parts_and_whole_are_the_same(text in some_text(), length in 1usize..200) {
        compare(&text, length);
    }

    #[test]
    fn so_they_are_where_the_text_is_cut_off(text in some_text(), length in 1usize..200, at: prop::sample::Index) {
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        compare(text.get(..at).unwrap(), length);
        compare(text.get(at..).unwrap(), length);
    }

    #[test]
    fn so_they_are_where_something_is_put_in_or_taken_out(
        from in prop::sample::select(vec![GOOD.to_owned(), GOOD.replace("\"\"\"", "'''")]),
        at: prop::sample::Index,
        out in 0usize..12,
        put in prop::sample::select(LINES.iter().copied().chain(["\n[[", "\"", "[", "\r", "=", "\n[end]\n"]).collect::<Vec<_>>()),
        length in 1usize..300,
    ) {
        let start = from.floor_char_boundary(at.index(from.len()));
        let end = from.ceil_char_boundary((start + out).min(from.len()));
        let text = format!("{}{put}{}", from.get(..start).unwrap(), from.get(end..).unwrap());
        compare(&text, length);
    }
}
