//! Certificates that were seen and expire soon.

use std::{cmp::Reverse, hash::RandomState};

use hashbrown::HashMap;

use super::{
    super::{
        line::{Certificate, Decision},
        moment::Moment,
    },
    account::kept,
};

/// Certificates that were seen and expire soon, those that expire first where there are too many.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Later ends of validity are not soon.
    until: Moment,
    seen: HashMap<String, Expiring, RandomState>,
    /// There are more than are kept.
    more: bool,
}

/// A certificate that expires soon.
#[derive(Debug)]
pub(super) struct Expiring {
    /// Its names.
    pub(super) names: Vec<String>,
    /// Who issued it.
    pub(super) issuer: String,
    /// The end of its validity.
    pub(super) not_after: Moment,
    /// The set of the connector.
    pub(super) set: String,
    /// The connector that its mail met last; empty where there was none.
    pub(super) connector: String,
    /// `inbound` or `outbound`.
    pub(super) direction: &'static str,
    /// The server that presented it last.
    pub(super) server: String,
    /// When it was last seen.
    pub(super) last: Moment,
    /// How often.
    pub(super) count: u64,
}

impl Certificates {
    /// Those that expire until then.
    pub(super) fn expiring(until: Moment) -> Self {
        Self {
            until,
            seen: HashMap::default(),
            more: false,
        }
    }

    /// Takes in what `decision` shows.
    pub(super) fn add(&mut self, decision: &Decision<'_>) {
        let Some(certificate) = decision.certificate() else {
            return;
        };
        let Some(not_after) = certificate.not_after() else {
            return;
        };
        if not_after > self.until {
            return;
        }
        if self.seen.len() >= MOST * 2 {
            self.prune();
        }
        let key = key(certificate);
        let connector = decision.answer.connector.as_ref();
        let expiring = self.seen.entry(key).or_insert_with(|| Expiring {
            names: names(certificate),
            issuer: kept(&certificate.issuer.0),
            not_after,
            set: String::new(),
            connector: String::new(),
            direction: decision.direction(),
            server: String::new(),
            last: decision.time,
            count: 0,
        });
        expiring.count += 1;
        if expiring.last <= decision.time {
            expiring.last = decision.time;
            expiring.set = kept(decision.set());
            expiring.connector = connector.map_or_else(String::new, |it| kept(&it.name.0));
            expiring.server = kept(decision.server());
        }
    }

    /// Those that expire first, and whether there are more.
    pub(super) fn first(mut self) -> (Vec<Expiring>, bool) {
        if self.seen.len() > MOST {
            self.prune();
        }
        let mut seen: Vec<_> = self.seen.into_values().collect();
        seen.sort_by(|a, b| {
            let by = |it: &Expiring| (it.not_after, Reverse(it.count), it.names.clone());
            by(a).cmp(&by(b))
        });
        (seen, self.more)
    }

    fn prune(&mut self) {
        let mut seen: Vec<_> = self.seen.drain().collect();
        seen.sort_by_key(|(_, it)| it.not_after);
        seen.truncate(MOST);
        // What expires later would only be left out again.
        if let Some((_, last)) = seen.last() {
            self.until = last.not_after;
        }
        self.more = true;
        self.seen.extend(seen);
    }
}

/// What tells a certificate from others: its fingerprint where the gateway told it.
fn key(certificate: &Certificate<'_>) -> String {
    if certificate.sha256.0.is_empty() {
        let (names, issuer) = (names(certificate).join(" "), &certificate.issuer.0);
        let not_after = certificate.not_after().map(Moment::seconds);
        format!("{names}\0{issuer}\0{not_after:?}")
    } else {
        let hex = certificate.sha256.0.chars().filter(|it| *it != ':');
        hex.take(64).map(|it| it.to_ascii_lowercase()).collect()
    }
}

fn names(certificate: &Certificate<'_>) -> Vec<String> {
    let names = certificate.names();
    let more = names.len().saturating_sub(LISTED);
    let first = names.into_iter().take(LISTED).map(kept);
    let rest = (more > 0).then(|| format!("and {more} more"));
    first.chain(rest).collect()
}

/// Certificates that are kept, and twice as many while they are counted.
const MOST: usize = 1_000;
const LISTED: usize = 4;
