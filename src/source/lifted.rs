//! Which demands a new text of a set lifts: what must never happen unseen.

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
};

use super::statement::Statement;
use crate::{
    mail::{DomainPattern, Network, TlsVersion},
    policy::{
        ConnectorSet,
        connector::{InboundConnector, Mode, OutboundConnector, Partner, Scope, Spelled, Written},
        requirement::{AddressDemand, CertificateDemand, Origin, TlsDemand},
    },
};

/// Every demand that `old` enforced and `new` does not, or not as strictly: one sentence each, as
/// the connectors state them, whatever else may demand the same.
///
/// A connector of another name with the same patterns counts as the one that it replaces.
pub fn lifted(old: &ConnectorSet, new: &ConnectorSet) -> Vec<String> {
    let mut said = Vec::new();
    if new.is_retired() && !old.is_retired() {
        said.push("the set is retired: it answers nothing".to_owned());
    } else if old.mode() == Mode::Enforce && new.mode() != Mode::Enforce {
        said.push(format!(
            "the set is in mode `{}`: nothing of it is enforced",
            new.mode()
        ));
    }
    for domain in old.accepted_domains() {
        let mut accepted = new.accepted_domains().iter();
        if !accepted.any(|other| other.pattern.value.includes(&domain.pattern.value)) {
            let text = domain.pattern.text();
            said.push(format!(
                "`{text}` is no accepted domain: it no longer chooses this set"
            ));
        }
    }
    if new.is_retired() {
        return said;
    }
    let heirs = Heirs::new(old.inbound(), new.inbound());
    for connector in old
        .inbound()
        .iter()
        .filter(|connector| connector.enforces())
    {
        Lifted::new("inbound", &connector.name, &mut said).inbound(connector, heirs.of(connector));
    }
    let before: HashMap<&str, &InboundConnector> = old
        .inbound()
        .iter()
        .map(|connector| (connector.name(), connector))
        .collect();
    for connector in new
        .inbound()
        .iter()
        .filter(|connector| connector.enforces())
    {
        let before = before
            .get(connector.name())
            .copied()
            .filter(|before| before.enforces());
        Lifted::new("inbound", &connector.name, &mut said).inherited(before, connector);
    }
    let heirs = Heirs::new(old.outbound(), new.outbound());
    for connector in old
        .outbound()
        .iter()
        .filter(|connector| connector.enforces())
    {
        Lifted::new("outbound", &connector.name, &mut said)
            .outbound(connector, heirs.of(connector));
    }
    said
}

/// What became of each connector: that of its name, or else a new one with its patterns.
struct Heirs<'c, C> {
    by_name: HashMap<&'c str, &'c C>,
    by_patterns: HashMap<Vec<String>, &'c C>,
}

/// Says what one connector no longer demands.
struct Lifted<'a> {
    who: String,
    said: &'a mut Vec<String>,
}

impl<'a> Lifted<'a> {
    fn new(direction: &str, name: &str, said: &'a mut Vec<String>) -> Self {
        Self {
            who: format!("{direction} connector `{name}`"),
            said,
        }
    }

    fn say(&mut self, what: impl Display) {
        self.said.push(format!("{} {what}", self.who));
    }

    fn inbound(&mut self, old: &InboundConnector, new: Option<&InboundConnector>) {
        let Some(new) = self.still_there(old, new) else {
            return;
        };
        match (&old.partner, &new.partner) {
            (Partner::SenderDomains(old), Partner::SenderDomains(new)) => {
                self.narrowed("mail from", old, new, DomainPattern::includes);
            }
            (Partner::ClientIps(old), Partner::ClientIps(new)) => {
                self.narrowed("mail from", old, new, Network::includes);
            }
            (Partner::SenderDomains(_), Partner::ClientIps(_)) => {
                self.say("no longer matches by sender domain");
            }
            (Partner::ClientIps(_), Partner::SenderDomains(_)) => {
                self.say("no longer matches by client address");
            }
        }
        match (&*old.recipient_domains, &*new.recipient_domains) {
            (_, []) => {}
            ([], new) => self.say(format_args!("speaks only of mail to {} now", texts(new))),
            (old, new) => self.narrowed("mail to", old, new, DomainPattern::includes),
        }
        if old.require.tls == Some(TlsDemand::Encrypt) && new.require.tls.is_none() {
            self.say("no longer demands TLS");
        }
        self.version(
            old.require.min_version.as_ref(),
            new.require.min_version.as_ref(),
        );
        self.origin(old.require.origin.as_ref(), new.require.origin.as_ref());
    }

    /// What `connector` lifts by saying so, of what more general connectors demand.
    fn inherited(&mut self, old: Option<&InboundConnector>, connector: &InboundConnector) {
        let lifts_tls =
            |connector: &InboundConnector| connector.require.tls == Some(TlsDemand::Opportunistic);
        if lifts_tls(connector) && !old.is_some_and(lifts_tls) {
            self.say("lifts the demand of TLS (`tls = \"opportunistic\"`)");
        }
        let lifts_origin = |connector: &InboundConnector| {
            matches!(connector.require.origin, Some(Origin::Unrestricted))
        };
        if lifts_origin(connector) && !old.is_some_and(lifts_origin) {
            self.say("lifts every restriction of the origin (`origin = \"unrestricted\"`)");
        }
    }

    fn outbound(&mut self, old: &OutboundConnector, new: Option<&OutboundConnector>) {
        let Some(new) = self.still_there(old, new) else {
            return;
        };
        match (&old.scope, &new.scope) {
            (Scope::Domains(old), Scope::Domains(new)) => {
                self.narrowed("mail to", old, new, DomainPattern::includes);
            }
            (Scope::Domains(_), Scope::Rule) => self.say("governs only calls that name it"),
            (Scope::Rule, Scope::Domains(_)) => self.say("can no longer be named by a call"),
            (Scope::Rule, Scope::Rule) => {}
        }
        let (before, after) = (old.require.level, new.require.level);
        if after < before {
            let (before, after) = (before.as_str(), after.as_str());
            self.say(format_args!(
                "demands TLS at level `{after}`, no longer `{before}`"
            ));
        }
        self.version(
            old.require.min_version.as_ref(),
            new.require.min_version.as_ref(),
        );
        match (&old.require.certificate, &new.require.certificate) {
            (Some(old), Some(new)) => self.certificate(old, new),
            (Some(_), None) => self.say("no longer demands its certificates"),
            (None, _) => {}
        }
        if !old.smart_hosts.is_empty() && new.smart_hosts.is_empty() {
            self.say("no longer demands its smart hosts as next hops");
        } else if !old.smart_hosts.is_empty() {
            let more = new.smart_hosts.iter().filter(|new| {
                !old.smart_hosts
                    .iter()
                    .any(|old| old.value.host == new.value.host)
            });
            self.admits("the next hops", more);
        }
    }

    /// The connector as it is now, where there is something to compare: it demanded something, is
    /// still enforced, and says anything else.
    fn still_there<'c, C: Statement>(&mut self, old: &C, new: Option<&'c C>) -> Option<&'c C> {
        let demands = old.demands();
        if demands.is_empty() || new.is_some_and(|new| new.says_the_same(old)) {
            return None;
        }
        let demands = demands.join(", ");
        let Some(new) = new else {
            self.say(format_args!("is gone, which demanded {demands}"));
            return None;
        };
        match new.own_mode() {
            Mode::Enforce => return Some(new),
            Mode::Report => self.say(format_args!("only reports now, and demanded {demands}")),
            Mode::Off => self.say(format_args!("is off now, and demanded {demands}")),
        }
        None
    }

    fn narrowed<T: Spelled>(
        &mut self,
        what: &str,
        old: &[Written<T>],
        new: &[Written<T>],
        includes: impl Fn(&T, &T) -> bool,
    ) {
        let lost: Vec<_> = old
            .iter()
            .filter(|old| !new.iter().any(|new| includes(&new.value, &old.value)))
            .collect();
        // Where there are many, several sentences name them all.
        for lost in lost.chunks(MOST_TEXTS) {
            let lost = texts(lost.iter().copied());
            self.say(format_args!("no longer speaks of {what} {lost}"));
        }
    }

    fn version(&mut self, old: Option<&Written<TlsVersion>>, new: Option<&Written<TlsVersion>>) {
        match (old, new) {
            (Some(old), None) => {
                self.say(format_args!(
                    "no longer demands {} or later",
                    old.value.phrase()
                ));
            }
            (Some(old), Some(new)) if new.value < old.value => {
                let (new, old) = (new.value.phrase(), old.value.phrase());
                self.say(format_args!("demands {new} or later, no longer {old}"));
            }
            (Some(_) | None, _) => {}
        }
    }

    fn origin(&mut self, old: Option<&Origin>, new: Option<&Origin>) {
        let Some(Origin::Restricted(old)) = old else {
            return;
        };
        let new = match new {
            None => return self.say("no longer restricts the origin"),
            // Said where what a connector lifts of others is said.
            Some(Origin::Unrestricted) => return,
            Some(Origin::Restricted(new)) => new,
        };
        if new.either && !old.either {
            self.say("accepts either an address or a certificate as proof of the origin");
        }
        match (&old.addresses, &new.addresses) {
            (Some(old), Some(new)) => self.addresses(old, new),
            (Some(_), None) if !old.either => self.say("no longer restricts the addresses"),
            (Some(_) | None, _) => {}
        }
        match (&old.certificate, &new.certificate) {
            (Some(old), Some(new)) => self.certificate(old, new),
            (Some(_), None) if !old.either => self.say("no longer demands its certificates"),
            (Some(_) | None, _) => {}
        }
    }

    fn addresses(&mut self, old: &AddressDemand, new: &AddressDemand) {
        let more = new.networks.iter().filter(|new| {
            !old.networks
                .iter()
                .any(|old| old.value.includes(&new.value))
        });
        self.admits("the addresses", more);
    }

    fn certificate(&mut self, old: &CertificateDemand, new: &CertificateDemand) {
        let names = new.names.iter().filter(|new| {
            let new_text = new.value.to_string();
            !old.names.iter().any(|old| {
                let below = old.value.wildcard_base().is_some_and(|base| {
                    let name = new_text.strip_prefix("*.").unwrap_or(&new_text);
                    name.strip_suffix(base.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                });
                old.value == new.value || below
            })
        });
        self.admits("certificates of the names", names);
        let fingerprints = new
            .fingerprints
            .iter()
            .filter(|new| !old.fingerprints.iter().any(|old| old.value == new.value));
        self.admits("certificates of the fingerprints", fingerprints);
    }

    fn admits<'w, T: Spelled + 'w>(
        &mut self,
        what: &str,
        more: impl Iterator<Item = &'w Written<T>>,
    ) {
        let more: Vec<_> = more.collect();
        for more in more.chunks(MOST_TEXTS) {
            let more = texts(more.iter().copied());
            self.say(format_args!("accepts {what} {more} as well"));
        }
    }
}

impl<'c, C: Statement> Heirs<'c, C> {
    fn new(old: &[C], new: &'c [C]) -> Self {
        let known: HashSet<&str> = old.iter().map(Statement::name).collect();
        let added = new
            .iter()
            .filter(|connector| !known.contains(connector.name()));
        Self {
            by_name: new
                .iter()
                .map(|connector| (connector.name(), connector))
                .collect(),
            by_patterns: added
                .map(|connector| (connector.patterns(), connector))
                .collect(),
        }
    }

    fn of(&self, connector: &C) -> Option<&'c C> {
        let named = self.by_name.get(connector.name());
        named
            .or_else(|| self.by_patterns.get(&connector.patterns()))
            .copied()
    }
}

/// As written, in backticks; cut where there are many.
fn texts<'w, T: Spelled + 'w>(written: impl IntoIterator<Item = &'w Written<T>>) -> String {
    let all: Vec<_> = written
        .into_iter()
        .map(|written| format!("`{}`", written.text()))
        .collect();
    let shown = all
        .iter()
        .take(MOST_TEXTS)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MOST_TEXTS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const MOST_TEXTS: usize = 10;

#[cfg(test)]
mod tests;
