//! Places on loopback that nobody else takes.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

/// A port of 127.0.0.1 that nobody listens on.
///
/// Why not the one that the system gives: between its giving and its use, a connection of another
/// test could have it. Those come from the range above 32767.
pub(crate) fn free_port() -> u16 {
    for _ in 0..PORTS {
        let at = next(&PORT) % PORTS;
        let port = u16::try_from(FIRST_PORT + at).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST_PORT} and 32767");
}

/// An address of loopback of one's own: its ports 25 and 53 are free.
pub(crate) fn loopback() -> Ipv4Addr {
    let [_, _, high, low] = next(&HOST).to_be_bytes();
    let [.., process_high, process_low] = std::process::id().to_be_bytes();
    // Neither the first nor the last of a network, though on loopback they would do.
    Ipv4Addr::new(
        127,
        64 + process_high % 128,
        process_low ^ high,
        1 + low % 250,
    )
}

/// What is counted from the process's number on: several test processes may run at a time.
fn next(counter: &AtomicU32) -> u32 {
    let before = counter.fetch_add(1, Ordering::Relaxed);
    std::process::id().wrapping_mul(97).wrapping_add(before)
}

static PORT: AtomicU32 = AtomicU32::new(0);
static HOST: AtomicU32 = AtomicU32::new(0);

const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_768;
