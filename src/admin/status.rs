//! What is in force, as JSON.

mod log;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde::Serialize;

use self::log::Log;
use crate::{
    live::{self, Snapshot, Standing, TlsStatus},
    telemetry::{connector_counts, decision_log::State},
};

/// The page of `/status`. Times are RFC 3339 in UTC; a set that never was good shows its fault
/// alone.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    version: &'static str,
    started: String,
    /// As `/readyz` says.
    ready: bool,
    /// The certificate that TLS is spoken with; null where it is not spoken.
    tls: Option<Certificate<'a>>,
    /// The fault of the connectors' directory itself.
    directory_fault: Option<Fault<'a>>,
    /// None where everybody may ask, and no file says otherwise.
    callers: Option<Callers<'a>>,
    /// By name; those that are retired and those that never were good, too.
    connector_sets: Vec<Set<'a>>,
    /// None where decisions are not written down.
    decision_log: Option<Log<'a>>,
}

#[derive(Debug, Serialize)]
struct Certificate<'a> {
    names: &'a [String],
    not_after: String,
    loaded_at: String,
    fault: Option<Fault<'a>>,
}

/// Who may ask.
#[derive(Debug, Serialize)]
struct Callers<'a> {
    /// How many; none where everybody may ask.
    in_force: Option<usize>,
    loaded_at: Option<String>,
    fault: Option<Fault<'a>>,
}

#[derive(Debug, Serialize)]
struct Set<'a> {
    name: &'a str,
    #[serde(flatten)]
    in_force: Option<InForce<'a>>,
    loaded_at: Option<String>,
    fault: Option<Fault<'a>>,
}

#[derive(Debug, Serialize)]
struct InForce<'a> {
    digest: &'a str,
    mode: &'a str,
    retired: bool,
    stale: bool,
    accepted_domains: Vec<String>,
    /// By direction, then by the mode that holds.
    connectors: BTreeMap<&'a str, BTreeMap<&'a str, u64>>,
}

#[derive(Debug, Serialize)]
struct Fault<'a> {
    place: &'a str,
    code: &'a str,
    message: &'a str,
    since: String,
}

impl<'a> Page<'a> {
    /// What `snapshot`, `standing`, `tls` and `log` say, in a process that began at `started`.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        standing: &'a Standing,
        tls: Option<&'a TlsStatus>,
        log: Option<&'a State>,
        ready: bool,
        started: SystemTime,
    ) -> Self {
        let in_force = snapshot
            .catalog
            .entries()
            .iter()
            .map(|entry| entry.set.name());
        let read = snapshot.status.keys().map(String::as_str);
        let names: BTreeSet<_> = in_force.chain(read).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: time(started),
            ready,
            tls: tls.map(Certificate::new),
            directory_fault: snapshot.directory_fault.as_ref().map(Fault::new),
            callers: Callers::new(standing),
            connector_sets: names
                .into_iter()
                .map(|name| Set::new(snapshot, name))
                .collect(),
            decision_log: log.map(Log::new),
        }
    }
}

impl<'a> Certificate<'a> {
    fn new(status: &'a TlsStatus) -> Self {
        Self {
            names: &status.names,
            not_after: time(status.not_after),
            loaded_at: time(status.loaded_at),
            fault: status.fault.as_ref().map(Fault::new),
        }
    }
}

impl<'a> Callers<'a> {
    fn new(standing: &'a Standing) -> Option<Self> {
        let callers = standing.callers.as_ref();
        let fault = standing.fault.as_ref().map(Fault::new);
        (callers.is_some() || fault.is_some()).then(|| Self {
            in_force: callers.map(|callers| callers.list().len()),
            loaded_at: standing.loaded_at.map(time),
            fault,
        })
    }
}

impl<'a> Set<'a> {
    fn new(snapshot: &'a Snapshot, name: &'a str) -> Self {
        let status = snapshot.status.get(name);
        Self {
            name,
            in_force: InForce::new(snapshot, name),
            loaded_at: status.and_then(|status| status.loaded_at).map(time),
            fault: status
                .and_then(|status| status.fault.as_ref())
                .map(Fault::new),
        }
    }
}

impl<'a> InForce<'a> {
    fn new(snapshot: &'a Snapshot, name: &str) -> Option<Self> {
        let entry = snapshot.catalog.get(name)?;
        let mut connectors = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (direction, mode, count) in connector_counts(&entry.set) {
            connectors.entry(direction).or_default().insert(mode, count);
        }
        Some(Self {
            digest: entry.set.digest(),
            mode: entry.set.mode().as_str(),
            retired: entry.set.is_retired(),
            stale: entry.stale,
            accepted_domains: entry.claims.iter().map(ToString::to_string).collect(),
            connectors,
        })
    }
}

impl<'a> Fault<'a> {
    fn new(fault: &'a live::Fault) -> Self {
        let live::Fault {
            place,
            code,
            message,
            since,
        } = fault;
        Self {
            place,
            code,
            message,
            since: time(*since),
        }
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
