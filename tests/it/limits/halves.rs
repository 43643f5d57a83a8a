//! Messages that come in parts: all that is held of them is bounded, and so is for how long.

use std::time::{Duration, Instant};

use tonic::Code;
use tonic_types::StatusExt as _;

use super::{CHECK, HEALTH, Raw, STREAM, counter, overloaded, raw, serve};
use crate::running::{PATIENCE, Running, block_on, plaintext};

const HELD: &str = "postern_partial_octets";
const SHED: &str = "postern_calls_shed_total{limit=\"partial_octets\"}";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The beginning of a message of so many octets, of which some have come.
fn half(octets: u32, come: usize) -> Vec<u8> {
    [&[0], &octets.to_be_bytes()[..], &vec![0; come]].concat()
}

/// Waits until so many octets are held.
async fn held(running: &Running, octets: u64) {
    let begin = Instant::now();
    while counter(running, HELD) != octets {
        let held = counter(running, HELD);
        assert!(begin.elapsed() < PATIENCE, "{held} are held, not {octets}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn half_messages_together_have_no_more_octets_than_they_may() {
    let running = serve("message_octets = 60000\npartial_octets = 100000\n");
    block_on(async {
        let (mut one, mut two) = (Raw::dial(&running).await, Raw::dial(&running).await);
        let begin = |peer: &mut Raw, path: &str, come| {
            let mut call = peer.begin(path);
            call.send(&half(60_000, come));
            call
        };
        let first = begin(&mut one, CHECK, 45_000);
        held(&running, 45_005).await;
        let second = begin(&mut two, STREAM, 49_000);
        held(&running, 94_010).await;
        // There is no room for more, whatever asks and over which connection.
        for path in [CHECK, STREAM] {
            let answer = begin(&mut two, path, 6_000).answer().await;
            let status = answer.status();
            assert_eq!(status.code(), Code::Unavailable, "{path}: {status:?}");
            let reason = status.get_details_error_info().unwrap().reason;
            assert_eq!(reason, "OVERLOADED", "{path}");
            let last = answer.trailers.as_ref().unwrap_or(&answer.headers);
            assert!(last.contains_key("grpc-retry-pushback-ms"), "{last:?}");
        }
        overloaded(&begin(&mut one, CHECK, 6_000).answer().await);
        // Reflection ends its streams without a word.
        begin(&mut one, REFLECTION, 6_000).answer().await;
        assert_eq!(counter(&running, SHED), 4);
        // What comes whole is answered, and so is health.
        let answer = one.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        super::healthy(&running).await;
        // Who gives up, or goes, makes room; what is still held comes to its end.
        drop(second);
        held(&running, 45_005).await;
        let third = begin(&mut two, CHECK, 54_000);
        held(&running, 99_010).await;
        let status = third.finish(&[0; 6_000]).await.status();
        assert_eq!(status.code(), Code::Internal, "{status:?}");
        held(&running, 45_005).await;
        drop((first, one));
        held(&running, 0).await;
    });
}

#[test]
fn memory_stays_flat_whatever_is_sent_half() {
    let running = serve("partial_octets = 4194304\nmessage_timeout = \"2s\"\n");
    let before = running.resident();
    let most = block_on(async {
        let mut peers = Vec::new();
        let mut calls = Vec::new();
        let mut most = 0;
        // A hundred megabytes, in as much as HTTP/2 lets each call send at once.
        for _ in 0..10 {
            let mut peer = Raw::dial(&running).await;
            peer.ask(HEALTH, &[]).await;
            for _ in 0..160 {
                let mut call = peer.begin(CHECK);
                call.send(&half(200_000, 65_000));
                calls.push(call);
            }
            peer.ask(HEALTH, &[]).await;
            peers.push(peer);
            most = most.max(running.resident());
        }
        assert!(counter(&running, SHED) > 1_000);
        assert!(counter(&running, HELD) <= 4_194_304);
        let mut other = Raw::dial(&running).await;
        let answer = other.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
        // Those that were held are given up in their time.
        held(&running, 0).await;
        most.max(running.resident())
    });
    assert!(most < before + 60_000, "from {before} to {most} KiB");
}

#[test]
fn half_a_message_of_a_stream_is_not_waited_for() {
    let running = serve("message_timeout = \"300ms\"\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        for path in [STREAM, REFLECTION] {
            // A whole one before it, and the half of one in two parts.
            let whole = raw::framed(&prost::Message::encode_to_vec(&raw::question(1)));
            let mut call = peer.begin(path);
            if path == STREAM {
                call.send(&whole);
            }
            call.send(&whole[..3]);
            let begin = Instant::now();
            let answer = call.answer().await;
            assert!(begin.elapsed() >= Duration::from_millis(250));
            if path == REFLECTION {
                continue;
            }
            let status = answer.status();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{path}: {status:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "MESSAGE_TIMEOUT");
            assert!(!answer.octets.is_empty());
        }
        held(&running, 0).await;
        // The connection goes on.
        let answer = peer.ask_for(CHECK, &plaintext()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    });
}

#[test]
fn no_call_takes_a_message_that_is_too_large() {
    let running = serve("message_octets = 4096\n");
    block_on(async {
        let mut peer = Raw::dial(&running).await;
        for (path, octets) in [
            (CHECK, 4_097),
            (STREAM, 4_097),
            (REFLECTION, 4_097),
            (HEALTH, 1_025),
        ] {
            let mut call = peer.begin(path);
            call.send(&half(octets, 0));
            let status = call.answer().await.status();
            if path == REFLECTION {
                continue;
            }
            assert_eq!(status.code(), Code::OutOfRange, "{path}: {status:?}");
        }
        held(&running, 0).await;
    });
}
