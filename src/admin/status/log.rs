//! How the decision log fares, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::time;
use crate::telemetry::decision_log::State;

/// What has become of the decision log.
#[derive(Debug, Serialize)]
pub(super) struct Log<'a> {
    output: &'a str,
    lines: u64,
    /// By verdict.
    dropped: BTreeMap<&'static str, u64>,
    failing: Option<Failing>,
    /// Of partners, those that expire within 14 days or have expired.
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize)]
struct Failing {
    message: String,
    since: String,
}

#[derive(Debug, Serialize)]
struct Certificate {
    direction: &'static str,
    connector_set: String,
    connector: String,
    name: String,
    not_after: String,
    seen: String,
}

impl<'a> Log<'a> {
    /// What `state` says.
    pub(super) fn new(state: &'a State) -> Self {
        let dropped = state.dropped();
        let certificates = state.certificates().all();
        Self {
            output: state.output(),
            lines: state.lines(),
            dropped: dropped
                .into_iter()
                .map(|(verdict, count)| (verdict.as_str(), count))
                .collect(),
            failing: state.failing().map(|failing| Failing {
                message: failing.message.clone(),
                since: time(failing.since),
            }),
            certificates: certificates
                .iter()
                .map(|(presented, expiry)| Certificate {
                    direction: presented.direction,
                    connector_set: presented.connector_set.clone(),
                    connector: presented.connector.clone(),
                    name: presented.name.clone(),
                    not_after: time(expiry.not_after),
                    seen: time(expiry.seen),
                })
                .collect(),
        }
    }
}
