//! The answer to a call that is turned away, made beforehand: it must cost less than the call.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hyper::{HeaderMap, header::HeaderValue};
use tonic::Status;

use super::failure::{Failure, PUSHBACK};
use crate::telemetry::Limit;

/// The headers of the answers to calls that are turned away.
#[derive(Debug)]
pub(super) struct Refusals {
    /// By limit.
    headers: [HeaderMap; Limit::ALL.len()],
    /// How long to wait before asking again, in milliseconds.
    waits: Vec<HeaderValue>,
    next: AtomicUsize,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            headers: Limit::ALL.map(|limit| {
                let answer = Status::from(Failure::overloaded(limit)).into_http::<()>();
                answer.into_parts().0.headers
            }),
            waits: (0..WAITS)
                .map(|at| HeaderValue::from(LEAST_WAIT + at * STRIDE % WAITS * STEP))
                .collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The headers that turn a call away for `limit`, without more to follow: who asked at the same
    /// time is not told to ask again at the same time.
    pub(super) fn headers(&self, limit: Limit) -> HeaderMap {
        let mut headers = self
            .headers
            .get(limit as usize)
            .cloned()
            .unwrap_or_default();
        let at = self.next.fetch_add(1, Relaxed) % self.waits.len().max(1);
        if let Some(wait) = self.waits.get(at) {
            headers.insert(PUSHBACK, wait.clone());
        }
        headers
    }
}

/// From 20 to 178 ms: another replica is asked soon, and not by all at once.
const LEAST_WAIT: u32 = 20;
const WAITS: u32 = 80;
const STEP: u32 = 2;
/// Coprime to the number of waits, so that each comes once, far from the one before.
const STRIDE: u32 = 37;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_says_why_and_when_to_ask_again() {
        let refusals = Refusals::new();
        let mut waits = BTreeSet::new();
        for _ in 0..WAITS {
            let headers = refusals.headers(Limit::Calls);
            let status = Status::from_header_map(&headers).unwrap();
            let told = Failure::from(&status).to_string();
            assert_eq!(told, Failure::overloaded(Limit::Calls).to_string());
            assert_eq!(headers["content-type"], "application/grpc");
            let wait: u32 = headers[PUSHBACK].to_str().unwrap().parse().unwrap();
            assert!((20..180).contains(&wait));
            waits.insert(wait);
        }
        assert_eq!(waits.len(), WAITS as usize);
    }
}
