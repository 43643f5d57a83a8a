//! Connectors as organizations have them: each is made of its number in the set alone, so that a
//! question about any of them can be made without the set.

use crate::{
    names::{self, Network},
    random::below,
};

/// What a set is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// How many connectors it has; at least ten.
    pub connectors: usize,
    /// Some of them, two in a hundred, are in mode `report`.
    pub reports: bool,
}

/// How a connector recognises its partner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Exact,
    Wildcard,
    Network,
    Scoped,
    Outbound,
}

use Kind::{Exact as E, Network as N, Outbound as O, Scoped as S, Wildcard as W};

/// The kinds of twenty connectors; the first ten have each of them, too.
const PATTERN: [Kind; 20] = [E, W, N, E, O, S, E, O, E, E, N, E, W, E, O, S, E, W, N, E];

/// What the mail of a partner must meet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    pub(crate) tls: bool,
    pub(crate) min_version: Option<&'static str>,
    pub(crate) certificate_names: Vec<String>,
    /// The number of a certificate.
    pub(crate) fingerprint: Option<usize>,
    pub(crate) client_ips: Vec<Network>,
    /// An address or a certificate is enough.
    pub(crate) either: bool,
}

/// A connector for mail that comes in.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    pub(crate) senders: Vec<String>,
    pub(crate) networks: Vec<Network>,
    pub(crate) recipients: Vec<&'static str>,
    pub(crate) require: Demand,
    /// The lowest version that a more general connector demands.
    pub(crate) inherited: Option<&'static str>,
}

/// A connector for mail that goes out.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    /// Empty for those that a rule names.
    pub(crate) recipients: Vec<String>,
    pub(crate) smart_hosts: Vec<String>,
    pub(crate) level: &'static str,
    pub(crate) min_version: Option<&'static str>,
    pub(crate) certificate_names: Vec<String>,
    pub(crate) fingerprint: Option<usize>,
}

impl Shape {
    /// A set of so many connectors, some in report.
    pub fn of(connectors: usize) -> Self {
        Self {
            connectors: connectors.max(10),
            reports: true,
        }
    }

    /// The kind of the connector `at`, and how many of its kind are before it.
    pub(crate) fn kind(at: usize) -> (Kind, usize) {
        let kind = PATTERN.get(at % PATTERN.len()).copied().unwrap_or(E);
        let before = among(kind, at % PATTERN.len());
        (
            kind,
            at / PATTERN.len() * among(kind, PATTERN.len()) + before,
        )
    }

    /// The connector that has so many of its kind before it.
    fn place(kind: Kind, nth: usize) -> usize {
        let each = among(kind, PATTERN.len());
        let places = PATTERN.iter().enumerate().filter(|of| *of.1 == kind);
        let place = places.map(|of| of.0).nth(nth % each).unwrap_or(0);
        nth / each * PATTERN.len() + place
    }

    /// How many connectors are of this kind.
    fn count(self, kind: Kind) -> usize {
        self.connectors / PATTERN.len() * among(kind, PATTERN.len())
            + among(kind, self.connectors % PATTERN.len())
    }

    /// True for the connectors that are in report, in a set that has such; no question is about
    /// them, and no other connector builds on them.
    pub(crate) fn reports(at: usize) -> bool {
        let (kind, nth) = Self::kind(at);
        let may = match kind {
            E => true,
            O => nth % 10 != 2,
            W | N | S => false,
        };
        may && at > 20 && below("report", at, 30) == 0
    }

    /// The inbound connector `at`.
    pub(crate) fn inbound(self, at: usize) -> Inbound {
        let (kind, nth) = Self::kind(at);
        let mut connector = Inbound {
            senders: Vec::new(),
            networks: Vec::new(),
            recipients: Vec::new(),
            require: Demand::default(),
            inherited: None,
        };
        match kind {
            E | O => self.exact(at, nth, &mut connector),
            W => wildcard(at, nth, &mut connector),
            N => network(at, nth, &mut connector),
            S => self.scoped(at, nth, &mut connector),
        }
        connector
    }

    /// The connector by whose networks the mail of the connector `at` comes.
    pub(crate) fn network_of(self, at: usize) -> usize {
        let count = self.count(N);
        let nth = below("network", at, count);
        // A provider's network is for no one partner; the one before is an ordinary one.
        Self::place(N, if is_provider(nth) { nth - 1 } else { nth })
    }

    /// A few addresses inside the networks of `network_of`.
    fn own_addresses(self, at: usize) -> Vec<Network> {
        let networks = self.inbound(self.network_of(at)).networks;
        let mut own: Vec<Network> = Vec::new();
        for network in networks {
            own.push(network.within(at));
        }
        own
    }

    fn exact(self, at: usize, nth: usize, connector: &mut Inbound) {
        let mut domain = names::domain(at);
        if nth % 3 == 1 {
            let parent = Self::place(W, below("parent", at, self.count(W)));
            if is_parent(Self::kind(parent).1) {
                domain = format!("{}{at}.{}", names::label(at), names::domain(parent));
                connector.inherited = Some("TLSv1.2");
            }
        }
        let require = &mut connector.require;
        match nth % 10 {
            0 => {
                require.min_version = Some("TLSv1.2");
                require.certificate_names = vec![format!("*.{domain}")];
            }
            2 => {
                require.certificate_names = vec![format!("mail.{domain}")];
                require.client_ips = self.own_addresses(at);
            }
            3 => {
                require.tls = true;
                require.client_ips = self.own_addresses(at);
            }
            4 => {
                require.certificate_names = vec![domain.clone(), format!("mx.{domain}")];
            }
            6 => {
                require.min_version = Some("TLSv1.2");
                require.fingerprint = Some(at);
                require.client_ips = self.own_addresses(at);
            }
            8 => {
                require.tls = true;
                require.certificate_names = vec![format!("*.{domain}")];
                require.client_ips = self.own_addresses(at);
                require.either = true;
            }
            9 => require.min_version = Some(if nth % 20 == 9 { "TLSv1.3" } else { "TLSv1.2" }),
            _ => require.tls = true,
        }
        connector.senders = vec![domain];
        if nth % 7 == 5 && connector.inherited.is_none() {
            let more = format!("{}-group.{}", names::label(at), names::domain(at));
            connector.senders.push(more);
        }
    }

    /// Four connectors share a partner: one for a whole tree of recipients, three for less.
    fn scoped(self, at: usize, nth: usize, connector: &mut Inbound) {
        connector.senders = vec![names::domain(Self::place(S, nth / 4 * 4))];
        let domain = names::domain(at);
        let require = &mut connector.require;
        match nth % 4 {
            0 => {
                connector.recipients = vec!["*.contoso.com"];
                require.min_version = Some("TLSv1.2");
                require.certificate_names = vec![format!("*.{domain}")];
            }
            1 => {
                connector.recipients = vec!["fabrikam.com", "tailspintoys.com"];
                require.certificate_names = vec![format!("mail.{domain}")];
                require.client_ips = self.own_addresses(at);
            }
            2 => {
                connector.recipients = vec!["wingtip.co.uk"];
                require.tls = true;
            }
            _ => {
                connector.recipients = vec!["*.northwindtraders.com", "woodgrove.example"];
                require.tls = true;
                require.client_ips = self.own_addresses(at);
            }
        }
    }

    /// The outbound connector `at`.
    pub(crate) fn outbound(at: usize) -> Outbound {
        let nth = Self::kind(at).1;
        let domain = names::domain(at);
        let mut connector = Outbound {
            recipients: vec![domain.clone()],
            smart_hosts: Vec::new(),
            level: "encrypt",
            min_version: None,
            certificate_names: Vec::new(),
            fingerprint: None,
        };
        match nth % 10 {
            0 => {
                connector.smart_hosts = vec![format!("mail.{domain}")];
                connector.level = "domain";
                connector.min_version = Some("TLSv1.2");
                connector.certificate_names = vec![format!("*.{domain}")];
            }
            2 => {
                connector.recipients = vec![format!("*.{domain}")];
                connector.level = "trusted";
            }
            3 => {
                connector.recipients.clear();
                connector.smart_hosts = vec![format!("archive.{domain}:2525")];
            }
            4 => {
                // Below the connector for a wildcard, two before it.
                let parent = names::domain(Self::place(O, nth.saturating_sub(2)));
                connector.recipients = vec![format!("{}{at}.{parent}", names::label(at))];
                connector.level = "domain";
                connector.certificate_names = vec![format!("*.{parent}")];
            }
            5 => {
                connector.recipients = vec![format!("*.{domain}")];
                connector.smart_hosts =
                    vec![format!("[{}]", Network::of_partner(at, true).host(0))];
                connector.fingerprint = Some(at);
            }
            6 => {
                connector.level = "trusted";
                connector.min_version = Some("TLSv1.2");
            }
            7 => {
                connector.smart_hosts = vec![format!("mx1.{domain}"), format!("mx2.{domain}:587")];
                connector.level = "domain";
                connector.certificate_names =
                    vec![format!("mx1.{domain}"), format!("mx2.{domain}")];
            }
            8 => connector
                .recipients
                .push(format!("{}.group.{domain}", names::label(at))),
            9 => {
                connector.recipients.clear();
                connector.smart_hosts = vec![format!("dlp.{domain}")];
                connector.level = "domain";
                connector.certificate_names = vec![format!("dlp.{domain}")];
            }
            _ => {}
        }
        connector
    }
}

fn wildcard(at: usize, nth: usize, connector: &mut Inbound) {
    let domain = names::domain(at);
    connector.senders = vec![format!("*.{domain}")];
    let require = &mut connector.require;
    require.min_version = Some("TLSv1.2");
    if !is_parent(nth) {
        require.certificate_names = vec![format!("*.{domain}")];
    }
}

/// Whether others build on the wildcard connector that has so many before it.
fn is_parent(nth: usize) -> bool {
    nth % 3 < 2
}

fn is_provider(nth: usize) -> bool {
    nth % 25 == 24
}

fn network(at: usize, nth: usize, connector: &mut Inbound) {
    let require = &mut connector.require;
    if is_provider(nth) {
        connector.networks = vec![Network::of_provider(nth / 25)];
        require.min_version = Some("TLSv1.2");
        return;
    }
    let many = if nth % 4 == 3 { 3 } else { 1 + nth % 2 };
    let networks = (0..many).map(|of| Network::of_partner(nth * 3 + of, of == 2 || nth % 9 == 5));
    connector.networks = networks.collect();
    match nth % 3 {
        0 => require.tls = true,
        1 => require.min_version = Some("TLSv1.2"),
        _ => require.certificate_names = vec![format!("*.{}", names::domain(at))],
    }
}

/// How many of the first `many` of a pattern are of this kind.
fn among(kind: Kind, many: usize) -> usize {
    PATTERN.iter().take(many).filter(|of| **of == kind).count()
}
