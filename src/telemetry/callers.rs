//! What is counted of callers, and what is in force of them.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{
    metrics::{CODES, ReloadResult},
    tally::{Counts, Names, Room},
};

/// The counters of callers, and the moments of their file.
#[derive(Debug)]
pub(super) struct CallerTallies {
    calls: Names<Counts<{ CODES.len() }>>,
    left: Room,
    refused: Counts<{ Unauthenticated::ALL.len() }>,
    reloads: Counts<{ ReloadResult::ALL.len() }>,
    /// One more than there are; 0: everybody may ask.
    count: AtomicU64,
    /// In seconds since 1970; 0: there is no such moment.
    loaded_at: AtomicU64,
    refused_since: AtomicU64,
}

/// Why it is not known who asks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unauthenticated {
    /// A certificate and a token, or the names of one certificate, are of several callers.
    Contradiction,
    /// What should bear a token does not, or there are several.
    Malformed,
    /// There is neither a certificate nor a token.
    Missing,
    /// A token came over a network that others can listen on.
    Plaintext,
    /// The certificate or the token is nobody's.
    Unknown,
}

impl Unauthenticated {
    /// Every cause, in order.
    pub const ALL: [Self; 5] = [
        Self::Contradiction,
        Self::Malformed,
        Self::Missing,
        Self::Plaintext,
        Self::Unknown,
    ];

    /// The word for it in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contradiction => "contradiction",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Plaintext => "plaintext",
            Self::Unknown => "unknown",
        }
    }
}

impl CallerTallies {
    /// Counts a question of `caller` that was answered with the gRPC status `code`.
    pub(super) fn asked(&self, caller: &str, code: &str) {
        if let Some(at) = CODES.iter().position(|known| *known == code) {
            self.calls.with(caller, &self.left, |codes| codes.add(at));
        }
    }

    /// Counts a call of nobody known.
    pub(super) fn refused(&self, why: Unauthenticated) {
        self.refused.add(why as usize);
    }

    /// Counts what became of a text of the file.
    pub(super) fn reloaded(&self, result: ReloadResult) {
        self.reloads.add(result as usize);
    }

    /// Takes note of what is in force.
    pub(super) fn now(
        &self,
        count: Option<usize>,
        loaded_at: Option<SystemTime>,
        refused_since: Option<SystemTime>,
    ) {
        let count = count.map_or(0, |count| (count as u64).saturating_add(1));
        self.count.store(count, Relaxed);
        self.loaded_at.store(seconds(loaded_at), Relaxed);
        self.refused_since.store(seconds(refused_since), Relaxed);
    }

    /// Writes what there is to say where there are callers, or a file that should have some.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let count = self.count.load(Relaxed);
        let refused_since = self.refused_since.load(Relaxed);
        if count == 0 && refused_since == 0 {
            return Ok(());
        }
        let help = "Questions by caller and by the gRPC status they were answered with";
        let mut calls =
            encoder.encode_descriptor("postern_caller_calls", help, None, MetricType::Counter)?;
        for (caller, codes) in self.calls.sorted() {
            for (code, count) in CODES.iter().zip(codes.values()) {
                if count > 0 || *code == "OK" {
                    counter(
                        &mut calls,
                        &[("caller", &*caller), ("grpc_code", code)],
                        count,
                    )?;
                }
            }
        }
        let help = "Calls that were refused since it was not known who asks, by cause";
        let name = "postern_unauthenticated_calls";
        let mut refused = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (why, count) in Unauthenticated::ALL.iter().zip(self.refused.values()) {
            counter(&mut refused, &[("cause", why.as_str())], count)?;
        }
        let help = "Texts of the file of callers that were read, by what became of them";
        let name = "postern_callers_reloads";
        let mut reloads = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (result, count) in ReloadResult::ALL.iter().zip(self.reloads.values()) {
            if *result != ReloadResult::Forgotten {
                counter(&mut reloads, &[("result", result.as_str())], count)?;
            }
        }
        let gauges = [
            (
                "postern_callers",
                "Callers in force; absent where everybody may ask",
                count.checked_sub(1),
            ),
            (
                "postern_callers_loaded_timestamp_seconds",
                "When the text in force was loaded",
                Some(self.loaded_at.load(Relaxed)).filter(|at| *at > 0),
            ),
            (
                "postern_callers_refused_since_timestamp_seconds",
                "Since when the newest text is not in force; absent where it is",
                Some(refused_since).filter(|at| *at > 0),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                gauge.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

impl Default for CallerTallies {
    fn default() -> Self {
        Self {
            calls: Names::default(),
            left: Room::new(CALLERS),
            refused: Counts::default(),
            reloads: Counts::default(),
            count: AtomicU64::default(),
            loaded_at: AtomicU64::default(),
            refused_since: AtomicU64::default(),
        }
    }
}

fn counter(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], count: u64) -> fmt::Result {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn seconds(at: Option<SystemTime>) -> u64 {
    at.and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs())
}

/// How many callers are counted by name; those that come later are counted together.
const CALLERS: usize = 1_000;
