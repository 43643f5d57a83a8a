//! A name server that knows what a test tells it.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, UdpSocket},
};

/// Answers at port 53 of `address`, until the process ends: for `x.out.test` the MX
/// `x.hops.test`, and for that the address that `hosts` have under `x`.
pub(super) fn serve(address: Ipv4Addr, hosts: HashMap<String, Ipv4Addr>) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length], &hosts) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
}

/// The answer to a query of one question (RFC 1035).
fn answer(query: &[u8], hosts: &HashMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(query.get(at + 1..end)?).to_lowercase());
        at = end;
    }
    let question = query.get(12..at + 5)?;
    let kind = query[at + 2];
    let host = labels.first().and_then(|label| hosts.get(label));
    let data = match (labels.get(1).map(String::as_str), kind, host) {
        (Some("hops"), A, Some(address)) => Some(address.octets().to_vec()),
        (Some("out"), MX, Some(_)) => {
            let name = [labels[0].as_str(), "hops", "test"];
            let name = name.iter().flat_map(|label| {
                let length = u8::try_from(label.len()).unwrap();
                std::iter::once(length).chain(label.bytes())
            });
            Some([0, 10].into_iter().chain(name).chain([0]).collect())
        }
        _ => None,
    };
    // Recursion was asked for, and is there; no such name where there is no host.
    let (status, count) = (if host.is_some() { 0 } else { 3 }, u8::from(data.is_some()));
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x85, 0x80 | status, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(data) = data {
        // The name of the question, this kind, the internet, for a minute.
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

const A: u8 = 1;
const MX: u8 = 15;
