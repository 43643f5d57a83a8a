//! Peers that mean harm, or are broken: they are cut in time, and others are served.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use tonic::Code;

use super::{
    CHECK, Raw, STREAM, counter,
    raw::{
        ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, ENHANCE_YOUR_CALM, Frame, Frames, GOAWAY,
        HEADERS, INITIAL_WINDOW_SIZE, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, framed,
        literal, question,
    },
    reaches, serve,
};
use crate::running::{PATIENCE, Running, block_on, plaintext};

/// Another peer gets its answer.
fn others_are_served(running: &Running) {
    block_on(async {
        let mut peer = Raw::dial(running).await;
        let answer = peer.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
}

/// Waits until no call is in flight.
fn nothing_is_in_flight(running: &Running) {
    let begin = Instant::now();
    while counter(running, "postern_calls_in_flight") > 0 {
        assert!(begin.elapsed() < PATIENCE, "calls stay in flight");
    }
}

/// The GOAWAY that the connection ended with, and what it says.
fn goaway(frames: &[Frame]) -> (u32, String) {
    let last = frames.iter().rfind(|frame| frame.kind == GOAWAY);
    let last = last.unwrap_or_else(|| panic!("no GOAWAY: {frames:?}"));
    let why = String::from_utf8(last.payload[8..].to_vec()).unwrap();
    (last.code(), why)
}

#[test]
fn who_does_not_begin_is_cut() {
    let running = serve("handshake_timeout = \"300ms\"\n");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let half = [&preface[..], &[0, 0, 6, SETTINGS, 0]].concat();
    // Nothing, half a preface, a preface alone, half a frame of settings.
    for begun in [&b""[..], &preface[..9], preface, &half] {
        let mut peer = Frames::silent(&running);
        let begin = Instant::now();
        peer.send(begun).unwrap();
        peer.is_closed();
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(250), "{begun:?}: {took:?}");
        assert!(took < PATIENCE / 2, "{begun:?}: {took:?}");
    }
    let cut = "postern_connections_closed_total{limit=\"handshake_timeout\"}";
    assert_eq!(counter(&running, cut), 4);
    others_are_served(&running);
}

#[test]
fn who_goes_silent_is_cut() {
    let running = serve("keepalive_interval = \"200ms\"\nkeepalive_timeout = \"200ms\"\n");
    // One that falls silent, and one that never ends a frame, an octet at a time.
    let mut silent = Frames::dial(&running);
    silent.headers(1, CHECK, false);
    let mut slow = Frames::dial(&running);
    slow.headers(1, STREAM, false);
    slow.send(&[0, 64, 0, DATA, 0, 0, 0, 0, 1]).unwrap();
    let begin = Instant::now();
    while slow.send(&[0]).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "it may go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    silent.is_closed();
    others_are_served(&running);
}

#[test]
fn who_never_opens_its_window_is_given_up() {
    let running = serve("message_timeout = \"200ms\"\ncalls = 10\n");
    let mut peer = Frames::dial_with(&running, &[(INITIAL_WINDOW_SIZE, 0)]);
    let question = prost::Message::encode_to_vec(&plaintext());
    for call in 0..10 {
        let stream = 2 * call + 1;
        peer.headers(stream, CHECK, false);
        peer.frame(DATA, 1, stream, &framed(&question)).unwrap();
    }
    // The answers wait for its window, and their calls would keep all others out.
    for _ in 0..10 {
        peer.until(|frame| frame.kind == RST_STREAM);
    }
    let shed = "postern_calls_shed_total{limit=\"message_timeout\"}";
    assert_eq!(counter(&running, shed), 10);
    assert_eq!(counter(&running, "postern_calls_in_flight"), 0);
    others_are_served(&running);
}

#[test]
fn who_takes_nothing_is_cut() {
    // Pings would find it out as well, later.
    let running = serve("message_timeout = \"300ms\"\nkeepalive_interval = \"0s\"\n");
    let mut peer = Frames::dial_with(&running, &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
    // The window of the connection, too: what it does not take waits in TCP.
    let all = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
    peer.frame(WINDOW_UPDATE, 0, 0, &all).unwrap();
    peer.headers(1, STREAM, false);
    let message = framed(&prost::Message::encode_to_vec(&question(1)));
    let messages = frame(DATA, 0, 1, &message.repeat(200));
    let decided = "postern_decision_duration_seconds_count{rpc=\"CheckStream\"}";
    let begin = Instant::now();
    // Questions are sent for as long as the server takes them, and no answer is read.
    let mut sent = 0;
    while counter(&running, decided) == sent {
        peer.send(&messages).unwrap();
        sent += 200;
        let patience = Instant::now() + Duration::from_secs(1);
        while counter(&running, decided) < sent && Instant::now() < patience {}
        assert!(begin.elapsed() < PATIENCE, "it answers without end");
    }
    reaches(
        &running,
        "postern_connections_closed_total{limit=\"message_timeout\"}",
        1,
    );
    others_are_served(&running);
}

#[test]
fn who_is_answered_early_keeps_its_connection() {
    let running = serve("calls = 1\n");
    let mut busy = Frames::dial(&running);
    let question = framed(&prost::Message::encode_to_vec(&plaintext()));
    let mut peer = Frames::dial(&running);
    let mut stream = 1;
    // What there is not, and then what there is no room for.
    for path in ["/postern.v1.PolicyDecisionService/Nothing", CHECK] {
        for _ in 0..1_500 {
            peer.headers(stream, path, false);
            peer.until(|frame| (frame.kind, frame.stream) == (HEADERS, stream));
            // The message was under way.
            peer.frame(DATA, 1, stream, &question).unwrap();
            stream += 2;
        }
        peer.frame(PING, 0, 0, b"12345678").unwrap();
        peer.until(|frame| frame.kind == PING && frame.flags & ACK != 0);
        if path != CHECK {
            busy.headers(1, STREAM, false);
            reaches(&running, "postern_calls_in_flight", 1);
        }
    }
    let shed = counter(&running, "postern_calls_shed_total{limit=\"calls\"}");
    assert_eq!(shed, 1_500);
}

#[test]
fn pings_that_come_too_often_end_the_connection() {
    let running = serve("ping_interval = \"10s\"\n");
    let mut peer = Frames::dial(&running);
    for _ in 0..4 {
        peer.frame(PING, 0, 0, b"12345678").unwrap();
    }
    let frames = peer.is_closed();
    let expected = (ENHANCE_YOUR_CALM, "too_many_pings".to_owned());
    assert_eq!(goaway(&frames), expected);
    // One that is answered now and then may ping after each answer, and three times besides.
    let mut peer = Frames::dial(&running);
    let question = framed(&prost::Message::encode_to_vec(&plaintext()));
    for call in 0..20 {
        let stream = 2 * call + 1;
        peer.headers(stream, CHECK, false);
        peer.frame(DATA, 1, stream, &question).unwrap();
        peer.until(|frame| frame.kind == HEADERS && frame.flags & 1 != 0);
        peer.frame(PING, 0, 0, b"12345678").unwrap();
        peer.until(|frame| frame.kind == PING && frame.flags & ACK != 0);
    }
    // Any number is taken where it is turned off.
    let running = serve("ping_interval = \"0s\"\n");
    let mut peer = Frames::dial(&running);
    for _ in 0..100 {
        peer.frame(PING, 0, 0, b"12345678").unwrap();
        peer.until(|frame| frame.kind == PING && frame.flags & ACK != 0);
    }
}

#[test]
fn floods_of_frames_end_the_connection() {
    let running = serve("");
    let (settings, unknown) = (frame(SETTINGS, 0, 0, &[]), frame(0x42, 0, 0, b"?"));
    for flood in [settings, unknown] {
        let mut peer = Frames::dial(&running);
        // What is written may meet a connection that is closed already.
        for _ in 0..100 {
            if peer.send(&flood.repeat(100)).is_err() {
                break;
            }
        }
        peer.is_closed();
    }
    let cut = "postern_connections_closed_total{limit=\"ping_interval\"}";
    assert_eq!(counter(&running, cut), 2);
    others_are_served(&running);
}

#[test]
fn calls_that_are_reset_at_once_end_the_connection() {
    let running = serve("");
    let before = running.resident();
    for _ in 0..5 {
        let mut peer = Frames::dial(&running);
        let block = peer.block(CHECK);
        let mut octets = Vec::new();
        for call in 0..10_000 {
            let stream = 2 * call + 1;
            octets.extend(frame(HEADERS, END_HEADERS, stream, &block));
            octets.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
        }
        // It may be closed before all was sent.
        let _ = peer.send(&octets);
        peer.is_closed();
        others_are_served(&running);
    }
    let after = running.resident();
    assert!(after < before + 30_000, "from {before} to {after} KiB");
    nothing_is_in_flight(&running);
}

#[test]
fn calls_that_are_given_up_one_by_one_leave_nothing() {
    let running = serve("calls = 20\nping_interval = \"0s\"\n");
    let before = running.resident();
    let mut peer = Frames::dial(&running);
    for call in 0..5_000_u32 {
        let stream = 2 * call + 1;
        peer.headers(stream, CHECK, false);
        if call % 10 == 9 {
            // Each was looked at before it is reset: not the attack that is told at once.
            peer.frame(PING, 0, 0, b"12345678").unwrap();
            peer.until(|frame| frame.kind == PING && frame.flags & ACK != 0);
            for stream in (0..10).map(|back| stream - 2 * back) {
                peer.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
                    .unwrap();
            }
            if call % 1_000 == 999 {
                nothing_is_in_flight(&running);
                others_are_served(&running);
            }
        }
    }
    drop(peer);
    nothing_is_in_flight(&running);
    let after = running.resident();
    assert!(after < before + 30_000, "from {before} to {after} KiB");
    others_are_served(&running);
}

#[test]
fn headers_without_end_end_the_connection() {
    let running = serve("");
    let before = running.resident();
    // Too many for a call: it is refused, and the connection goes on or ends.
    let mut large = Frames::dial(&running);
    let mut block = large.block(CHECK);
    for at in 0..20 {
        block.extend(literal(&format!("x-{at}"), &"x".repeat(1_000)));
    }
    large.frame(HEADERS, 0, 1, &block[..16_000]).unwrap();
    large
        .frame(CONTINUATION, END_HEADERS, 1, &block[16_000..])
        .unwrap();
    large.until(|frame| {
        matches!(frame.kind, RST_STREAM | GOAWAY) || frame.kind == HEADERS && frame.flags & 1 != 0
    });
    // A block that never ends, in small pieces.
    let mut endless = Frames::dial(&running);
    endless.frame(HEADERS, 0, 1, &block[..100]).unwrap();
    let piece = frame(CONTINUATION, 0, 1, &literal("x", &"x".repeat(100))).repeat(100);
    let begin = Instant::now();
    while endless.send(&piece).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "it may go on");
    }
    let after = running.resident();
    assert!(after < before + 30_000, "from {before} to {after} KiB");
    others_are_served(&running);
}

#[test]
fn operators_are_not_kept_waiting_by_slow_readers() {
    let running = serve("");
    // More than may be open at once, each an octet of a request now and then.
    let mut slow: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(running.admin).unwrap())
        .collect();
    let begin = Instant::now();
    for octet in b"GET /metrics HTTP/1.1\r\nhost: x\r\n" {
        for peer in &mut slow {
            let _ = peer.write_all(&[*octet]);
        }
    }
    assert_eq!(running.page("/livez").0, 200);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let mut rest = Vec::new();
    let first = &mut slow[0];
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = first.read_to_end(&mut rest);
    assert!(begin.elapsed() < PATIENCE, "it stays open");
}
