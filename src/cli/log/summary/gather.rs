//! What a log tells, gathered line by line.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    super::{
        line::{self, Decision, Entry, Lost},
        lines::{Found, TOO_LONG, is_blank},
        moment::Moment,
        tally::Tally,
    },
    account::{Account, Verdicts, kept},
    certificates::Certificates,
    times::Times,
};

/// Which decisions count.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Not those before.
    pub(super) since: Option<Moment>,
    /// Not those from then on.
    pub(super) until: Option<Moment>,
    /// Only those of this set.
    pub(super) set: Option<String>,
    /// Only those that name this connector.
    pub(super) connector: Option<String>,
}

/// All that a log tells, in memory that does not grow with it.
#[derive(Debug)]
pub(super) struct Gathered {
    filter: Filter,
    key: String,
    unmet: usize,
    /// Lines read.
    pub(super) lines: u64,
    /// The first and the last decision.
    pub(super) span: Option<(Moment, Moment)>,
    /// The verdicts.
    pub(super) verdicts: Verdicts,
    /// Decisions that no connector applied to.
    pub(super) unconnected: Verdicts,
    /// By connector.
    pub(super) connectors: Tally<Account>,
    /// By who asked.
    pub(super) callers: Tally<Caller>,
    /// Decisions over time.
    pub(super) times: Times,
    /// Certificates that expire soon.
    pub(super) certificates: Certificates,
    /// Lines that the log lost, by kind.
    pub(super) lost: BTreeMap<String, u64>,
    /// Lines that cannot be read.
    pub(super) unreadable: u64,
    /// The first of them.
    pub(super) first_unreadable: Option<Unreadable>,
    /// Files whose last line is cut off.
    pub(super) torn: Vec<String>,
}

/// Somebody who asked.
#[derive(Debug)]
pub(super) struct Caller {
    /// Its name; empty where it has none.
    pub(super) name: String,
    /// Its address, where it has no name.
    pub(super) peer: String,
    /// What it was answered.
    pub(super) verdicts: Verdicts,
}

/// A line that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its file.
    pub(super) file: String,
    /// Its number.
    pub(super) line: u64,
    /// Why.
    pub(super) why: String,
}

impl Gathered {
    /// Nothing yet; certificates that expire after `expiring` are not listed.
    pub(super) fn new(filter: Filter, expiring: Moment) -> Self {
        Self {
            filter,
            key: String::new(),
            unmet: 0,
            lines: 0,
            span: None,
            verdicts: Verdicts::default(),
            unconnected: Verdicts::default(),
            connectors: Tally::keeping(CONNECTORS),
            callers: Tally::keeping(CALLERS),
            times: Times::new(),
            certificates: Certificates::expiring(expiring),
            lost: BTreeMap::new(),
            unreadable: 0,
            first_unreadable: None,
            torn: Vec::new(),
        }
    }

    /// Takes in what was found at line `number` of `file`.
    pub(super) fn add(&mut self, file: &str, number: u64, found: Found<'_>) {
        let (text, finished) = match found {
            Found::Line(text) => (text, true),
            Found::Unfinished(text) => (text, false),
            Found::TooLong => {
                self.lines += 1;
                return self.cannot_read(file, number, TOO_LONG.into());
            }
        };
        if is_blank(text) {
            return;
        }
        self.lines += 1;
        match line::read(text) {
            Ok(Entry::Decision(decision)) => self.decision(&decision),
            Ok(Entry::Lost(lost)) => self.lost(lost),
            Err(_) if !finished => self.torn.push(file.to_owned()),
            Err(why) => self.cannot_read(file, number, why),
        }
    }

    fn cannot_read(&mut self, file: &str, line: u64, why: String) {
        self.unreadable += 1;
        self.first_unreadable.get_or_insert_with(|| Unreadable {
            file: file.to_owned(),
            line,
            why,
        });
    }

    fn lost(&mut self, lost: Lost) {
        if !self.filter.covers(lost.time) {
            return;
        }
        for (kind, count) in lost.kinds {
            if self.lost.len() < KINDS || self.lost.contains_key(&kind) {
                *self.lost.entry(kind).or_default() += count;
            }
        }
    }

    fn decision(&mut self, decision: &Decision<'_>) {
        if !self.filter.takes(decision) {
            return;
        }
        let (time, verdict) = (decision.time, decision.verdict);
        self.span = Some(match self.span {
            None => (time, time),
            Some((first, last)) => (first.min(time), last.max(time)),
        });
        self.verdicts.add(verdict);
        self.times.add(time, verdict);
        self.certificates.add(decision);
        self.caller(decision);
        let mut named: Vec<_> = decision.named().collect();
        named.sort_unstable();
        named.dedup();
        if named.is_empty() {
            self.unconnected.add(verdict);
        }
        if let Some(only) = &self.filter.connector {
            named.retain(|name| name == only);
        }
        for name in named {
            self.key.clear();
            // Why: writing to a string cannot fail.
            let (set, direction) = (decision.set(), decision.direction());
            write!(self.key, "{set}\0{direction}\0{name}").ok();
            let account = self
                .connectors
                .count(&self.key, || Account::new(decision, name));
            let before = account.unmet.len();
            account.add(decision, name);
            self.unmet = (self.unmet + account.unmet.len()).saturating_sub(before);
        }
        if self.unmet > UNMET {
            self.forget_rare();
        }
    }

    fn caller(&mut self, decision: &Decision<'_>) {
        let (name, peer) = match &*decision.caller.0 {
            "" => ("", &*decision.peer.0),
            name => (name, ""),
        };
        self.key.clear();
        write!(self.key, "{name}\0{peer}").ok();
        let caller = self.callers.count(&self.key, || Caller {
            name: kept(name),
            peer: kept(peer),
            verdicts: Verdicts::default(),
        });
        caller.verdicts.add(decision.verdict);
    }

    /// Keeps fewer peers of each connector, so that many connectors do not fill the memory either.
    fn forget_rare(&mut self) {
        let keep = (UNMET / 2 / self.connectors.len().max(1)).max(1);
        self.unmet = 0;
        for account in self.connectors.known_mut() {
            account.unmet.prune(keep);
            self.unmet += account.unmet.len();
        }
    }
}

impl Filter {
    fn covers(&self, time: Moment) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }

    fn takes(&self, decision: &Decision<'_>) -> bool {
        let connector = self.connector.as_ref();
        let set = self.set.as_ref();
        self.covers(decision.time)
            && set.is_none_or(|set| decision.set() == set)
            && connector.is_none_or(|connector| decision.names(connector))
    }
}

/// Connectors that are kept, and twice as many while they are counted.
const CONNECTORS: usize = 20_000;
const CALLERS: usize = 1_000;
/// Peers that are kept of all connectors together.
const UNMET: usize = 100_000;
/// Kinds of lost lines.
const KINDS: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(connector: &str, client_ip: &str, at: u32) -> Vec<u8> {
        let line = json!({
            "schema": 1, "time": "2026-11-23T19:30:51.123456Z", "direction": "inbound",
            "caller": format!("caller {at}"),
            "facts": {"client_ip": client_ip, "mail_from": "*@a.example", "tls": {"peer_certificate":
                {"sha256": format!("{at:064}"), "not_after": "2026-11-24T00:00:00Z"}}},
            "answer": {"verdict": "VERDICT_REJECT", "connector": {"name": connector},
                "rejections": [{"reason": "REASON_TLS_REQUIRED", "connector": connector}]},
        });
        line.to_string().into_bytes()
    }

    /// Whatever a log has many of, few are kept, and all are counted.
    #[test]
    fn memory_is_bounded() {
        let many = 30_000;
        let expiring = Moment::parse("2026-12-01T00:00:00Z").unwrap();
        let mut gathered = Gathered::new(Filter::default(), expiring);
        for at in 0..many {
            // Each connector comes three times, from as many peers; one has peers without end.
            let own = format!("connector {}", at / 3);
            for name in [own.as_str(), "Busy"] {
                let line = refused(name, &format!("2001:db8::{at:x}"), at);
                gathered.add("log", 1, Found::Line(&line));
            }
            assert!(gathered.unmet <= UNMET + 1);
        }
        assert!(gathered.connectors.len() <= 2 * CONNECTORS);
        let held: usize = gathered
            .connectors
            .known_mut()
            .map(|it| it.unmet.len())
            .sum();
        assert!(held <= UNMET + 1, "{held}");
        assert!(gathered.callers.len() <= 2 * CALLERS);
        assert_eq!(gathered.unreadable, 0);
        let (connectors, others) = gathered.connectors.top(usize::MAX);
        let kept: u64 = connectors.iter().map(|(_, count, _)| count).sum();
        assert_eq!(kept + others, u64::from(2 * many));
        let (name, count, busy) = connectors.into_iter().next().unwrap();
        assert!(name.ends_with("Busy") && count == u64::from(many), "{name}");
        let (peers, others) = busy.unmet.top(usize::MAX);
        let kept: u64 = peers.iter().map(|(_, count, _)| count).sum();
        assert_eq!(kept + others, u64::from(many));
        let (certificates, more) = gathered.certificates.first();
        assert!(
            more && certificates.len() <= 2_000,
            "{}",
            certificates.len()
        );
    }
}
