//! Milter by its octets: what is no milter is cut and counted, and a bridge that stops lets a
//! message come to its end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::service;
use crate::running::{PATIENCE, Running, get};

#[test]
fn what_is_no_milter_is_cut_and_counted() {
    let service = service("");
    let bridge = milter(&service, "[listeners]\nrequest_timeout = \"200ms\"\n");
    for (octets, cause) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "garbled"),
        (b"\0\0\0\0O", "garbled"),
        (b"\0\0\0\x01M", "garbled"),
        (b"\x7f\xff\xff\xffL", "too_large"),
        (b"\0\x02\0\0M", "too_large"),
        (b"\0\0\0\x0dO\0\0", "late"),
    ] {
        let before = closed(&bridge, cause);
        let mut stream = connect(&bridge);
        stream.write_all(octets).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "{octets:?}");
        // It is counted when it has ended, which the peer may see before.
        let begin = Instant::now();
        while closed(&bridge, cause) == before {
            assert!(begin.elapsed() < PATIENCE, "{octets:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_bridge_that_stops_lets_a_message_come_to_its_end() {
    let service = service("");
    let mut bridge = milter(&service, "");
    let mut stream = connect(&bridge);
    stream
        .write_all(&frame(
            b'O',
            &[0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff],
        ))
        .unwrap();
    assert_eq!(hear(&mut stream)[0], b'O');
    for said in [
        frame(b'C', b"mx.scoped.test\x004\x30\x39192.0.2.7\0"),
        frame(b'H', b"mx.scoped.test\0"),
        frame(b'M', b"<ann@scoped.test>\0"),
        frame(b'R', b"<bob@contoso.com>\0"),
    ] {
        stream.write_all(&said).unwrap();
    }
    assert_eq!(hear(&mut stream), b"c");
    bridge.signal("TERM");
    bridge.logged(|event| event.to_string().contains("a second signal stops at once"));
    stream
        .write_all(&frame(b'R', b"<eve@strict.test>\0"))
        .unwrap();
    assert_eq!(
        hear(&mut stream),
        b"y530 5.7.0 Must issue a STARTTLS command first\0"
    );
    stream.write_all(&frame(b'E', b"")).unwrap();
    assert_eq!(hear(&mut stream), b"c");
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    assert!(bridge.end().0.success());
}

fn milter(service: &Running, more: &str) -> Running {
    let endpoint = service.listen;
    Running::bridge(&format!(
        "[service]\nendpoints = [\"{endpoint}\"]\n{more}[[milter]]\nlisten = \"127.0.0.1:0\"\n"
    ))
}

fn connect(bridge: &Running) -> TcpStream {
    let stream = TcpStream::connect(bridge.listen).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn frame(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes(), &[letter][..], data].concat()
}

fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut data = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut data).unwrap();
    data
}

/// How many connections ended for this cause.
fn closed(bridge: &Running, cause: &str) -> u64 {
    let line = format!(
        "postern_bridge_connections_closed_total{{protocol=\"milter\",cause=\"{cause}\"}} "
    );
    let page = get(bridge.admin, "/metrics").1;
    let count = page.lines().find_map(|shown| shown.strip_prefix(&line));
    count.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
}
