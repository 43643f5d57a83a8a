//! Connectors that lift or replace what a more general one demands.

use std::ops::Range;

use super::super::{
    check::Placed,
    finding::{Finding, Findings},
};
use crate::{
    mail::{DomainPattern, DomainTable, Network, NetworkTable},
    policy::{
        connector::{InboundConnector, Mode, OutboundConnector, Partner, Scope},
        requirement::{Origin, OriginDemand, TlsDemand},
    },
};

/// A connector of the list that is judged.
type At = usize;

/// The connectors that match by one pattern.
#[derive(Debug, Default)]
struct Place {
    unscoped: Option<At>,
    scoped: DomainTable<At>,
    /// The first scoped one that states each demand.
    first: [Option<At>; 3],
}

/// The demands that are decided separately.
#[derive(Clone, Copy)]
enum Kind {
    Tls,
    MinVersion,
    Origin,
}

const KINDS: [Kind; 3] = [Kind::Tls, Kind::MinVersion, Kind::Origin];

impl Kind {
    fn stated(self, connector: &InboundConnector) -> bool {
        match self {
            Self::Tls => connector.require.tls.is_some(),
            Self::MinVersion => connector.require.min_version.is_some(),
            Self::Origin => connector.require.origin.is_some(),
        }
    }
}

/// Points out inbound connectors that take away what a more general one demands.
pub(super) fn inbound(connectors: &[Placed<InboundConnector>], findings: &mut Findings) {
    let mut senders: DomainTable<Place> = DomainTable::default();
    let mut networks: NetworkTable<Place> = NetworkTable::new();
    let enforcing = || {
        let all = connectors.iter().enumerate();
        all.filter(|(_, placed)| placed.connector.mode.own == Mode::Enforce)
    };
    for (at, Placed { connector, .. }) in enforcing() {
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                for pattern in patterns {
                    senders
                        .slot(&pattern.value)
                        .get_or_insert_default()
                        .add(at, connector);
                }
            }
            Partner::ClientIps(list) => {
                for network in list {
                    if networks.get(&network.value).is_none() {
                        networks.insert(network.value, Place::default());
                    }
                    if let Some(place) = networks.get_mut(&network.value) {
                        place.add(at, connector);
                    }
                }
            }
        }
    }
    for (at, placed) in enforcing() {
        let mut told: Vec<(At, usize)> = Vec::new();
        for nth in 0..placed.patterns.len() {
            let above = match &placed.connector.partner {
                Partner::SenderDomains(patterns) => patterns
                    .get(nth)
                    .map(|pattern| above_domain(&senders, &pattern.value))
                    .unwrap_or_default(),
                Partner::ClientIps(list) => list
                    .get(nth)
                    .map(|network| above_network(&networks, network.value))
                    .unwrap_or_default(),
            };
            for (index, kind) in KINDS.into_iter().enumerate() {
                if !kind.stated(&placed.connector) {
                    continue;
                }
                let Some(general) = general(&above, at, &placed.connector, kind, connectors) else {
                    continue;
                };
                if told.contains(&(general, index)) {
                    continue;
                }
                told.push((general, index));
                if let (Some(general), Some(span)) =
                    (connectors.get(general), placed.patterns.get(nth))
                {
                    compare(placed, general, kind, span, findings);
                }
            }
        }
    }
}

impl Place {
    fn add(&mut self, at: At, connector: &InboundConnector) {
        if connector.recipient_domains.is_empty() {
            self.unscoped.get_or_insert(at);
            return;
        }
        for recipients in &connector.recipient_domains {
            self.scoped.slot(&recipients.value).get_or_insert(at);
        }
        for (first, kind) in self.first.iter_mut().zip(KINDS) {
            if first.is_none() && kind.stated(connector) {
                *first = Some(at);
            }
        }
    }
}

/// The places of a pattern and of all that are more general, the most specific first.
fn above_domain<'a>(table: &'a DomainTable<Place>, pattern: &DomainPattern) -> Vec<&'a Place> {
    let mut places: Vec<_> = table.get(pattern).into_iter().collect();
    places.extend(table.parents(pattern));
    places
}

fn above_network(table: &NetworkTable<Place>, network: Network) -> Vec<&Place> {
    table.covering(network).map(|(_, place)| place).collect()
}

/// The nearest connector that is more general and states a demand of this kind, too.
fn general(
    above: &[&Place],
    own: At,
    connector: &InboundConnector,
    kind: Kind,
    connectors: &[Placed<InboundConnector>],
) -> Option<At> {
    let states = |&at: &At| {
        at != own
            && connectors
                .get(at)
                .is_some_and(|placed| kind.stated(&placed.connector))
    };
    for (distance, place) in above.iter().enumerate() {
        let mut candidates: Vec<At> = Vec::new();
        for scope in &connector.recipient_domains {
            // Why: at its own pattern only the wider scopes are more general; above it, its own, too.
            if distance > 0 {
                candidates.extend(place.scoped.get(&scope.value));
            }
            candidates.extend(place.scoped.parents(&scope.value));
        }
        if connector.recipient_domains.is_empty() && distance > 0 {
            let first = match kind {
                Kind::Tls => place.first[0],
                Kind::MinVersion => place.first[1],
                Kind::Origin => place.first[2],
            };
            candidates.extend(first);
        }
        candidates.extend(place.unscoped);
        if let Some(found) = candidates.into_iter().find(states) {
            return Some(found);
        }
    }
    None
}

/// Says what `special` takes away from `general`, if it does.
fn compare(
    special: &Placed<InboundConnector>,
    general: &Placed<InboundConnector>,
    kind: Kind,
    span: &Range<usize>,
    findings: &mut Findings,
) {
    let (own, wider) = (&special.connector.require, &general.connector.require);
    let (name, other) = (&special.connector.name, &general.connector.name);
    let whose = mail_of(special, span);
    let (code, message, help) = match kind {
        Kind::Tls => {
            if own.tls != Some(TlsDemand::Opportunistic) || wider.tls != Some(TlsDemand::Encrypt) {
                return;
            }
            let message =
                format!("for mail {whose}, `{name}` lifts the TLS that `{other}` demands");
            (
                "demand-lifted",
                message,
                "if that is not meant, remove `tls = \"opportunistic\"`".to_owned(),
            )
        }
        Kind::MinVersion => {
            let (Some(own), Some(wider)) = (&own.min_version, &wider.min_version) else {
                return;
            };
            if own.value >= wider.value {
                return;
            }
            let message = format!(
                "for mail {whose}, `{name}` takes {}, where `{other}` demands {}",
                own.value, wider.value
            );
            let help = format!(
                "if that is not meant, write `tls_min_version = \"{}\"`",
                wider.value
            );
            ("demand-lifted", message, help)
        }
        Kind::Origin => match (&own.origin, &wider.origin) {
            (Some(Origin::Unrestricted), Some(Origin::Restricted(wider))) => {
                let message = format!(
                    "for mail {whose}, `{name}` lifts {} of `{other}`",
                    listed(wider)
                );
                let help = "if that is not meant, remove `origin = \"unrestricted\"`".to_owned();
                ("demand-lifted", message, help)
            }
            (Some(Origin::Restricted(own)), Some(Origin::Restricted(wider))) => {
                let message = format!(
                    "for mail {whose}, `{name}` replaces {} of `{other}`",
                    listed(wider)
                );
                let unless = match (&own.addresses, &own.certificate) {
                    (Some(_), None) => "its addresses are among the `client_ips`",
                    (None, _) => "it comes with a certificate",
                    (Some(_), Some(_)) if own.either => "it comes with an address or a certificate",
                    (Some(_), Some(_)) => "it comes with an address and a certificate",
                };
                let (meets, need_not) = match &wider.addresses {
                    Some(_) => ("comes through", "come through"),
                    None => ("meets", "meet"),
                };
                let help = format!(
                    "mail {whose} that {meets} `{other}` will be refused unless {unless} of `{name}`; and \
                     what meets `{name}` need not {need_not} `{other}`"
                );
                ("demand-replaced", message, help)
            }
            _ => return,
        },
    };
    findings.push(
        Finding::warning(code, span.clone(), message)
            .here(format!("`{name}`"))
            .label(general.name.clone(), format!("`{other}`"))
            .help(help),
    );
}

/// The mail that the pattern at `span` matches.
fn mail_of(placed: &Placed<InboundConnector>, span: &Range<usize>) -> String {
    let nth = placed
        .patterns
        .iter()
        .position(|pattern| pattern == span)
        .unwrap_or_default();
    let text = match &placed.connector.partner {
        Partner::SenderDomains(patterns) => patterns.get(nth).map(|pattern| &pattern.text),
        Partner::ClientIps(networks) => networks.get(nth).map(|network| &network.text),
    };
    let text = text.map_or("", |text| &**text);
    match &*placed.connector.recipient_domains {
        [] => format!("from `{text}`"),
        [only] => format!("from `{text}` to `{}`", only.text),
        [first, ..] => format!("from `{text}` to `{}` and others", first.text),
    }
}

fn listed(demand: &OriginDemand) -> &'static str {
    match (&demand.addresses, &demand.certificate) {
        (Some(_), Some(_)) => "the addresses and the certificate",
        (Some(_), None) => "the addresses",
        (None, _) => "the certificate",
    }
}

/// Points out outbound connectors that ask less than a more general one.
pub(super) fn outbound(connectors: &[Placed<OutboundConnector>], findings: &mut Findings) {
    let mut domains: DomainTable<At> = DomainTable::default();
    let patterns = |placed: &'_ Placed<OutboundConnector>| match &placed.connector.scope {
        Scope::Domains(patterns) if placed.connector.mode.own == Mode::Enforce => patterns.clone(),
        Scope::Domains(_) | Scope::Rule => Vec::new(),
    };
    for (at, placed) in connectors.iter().enumerate() {
        for pattern in patterns(placed) {
            domains.slot(&pattern.value).get_or_insert(at);
        }
    }
    for (at, placed) in connectors.iter().enumerate() {
        let mut told = Vec::new();
        for (pattern, span) in patterns(placed).iter().zip(&placed.patterns) {
            let general = domains
                .parents(&pattern.value)
                .find(|&&general| general != at);
            let Some((index, general)) = general.and_then(|&at| Some((at, connectors.get(at)?)))
            else {
                continue;
            };
            let Some(what) = asks_less(&placed.connector, &general.connector) else {
                continue;
            };
            if told.contains(&index) {
                continue;
            }
            told.push(index);
            let (name, other) = (&placed.connector.name, &general.connector.name);
            let message = format!(
                "for mail to `{}`, `{name}` asks less than `{other}`: {what}",
                pattern.text
            );
            findings.push(
                Finding::warning("outbound-asks-less", span.clone(), message)
                    .label(general.name.clone(), format!("`{other}`"))
                    .help("one connector alone governs: write here, too, what is to hold for this domain"),
            );
        }
    }
}

/// What the more general connector asks beyond the special one, if it does.
fn asks_less(special: &OutboundConnector, general: &OutboundConnector) -> Option<String> {
    let (own, wider) = (&special.require, &general.require);
    if own.level < wider.level {
        return Some(format!(
            "`\"{}\"` instead of `\"{}\"`",
            own.level.as_str(),
            wider.level.as_str()
        ));
    }
    let version = |min: &Option<_>| {
        min.as_ref()
            .map(|min: &crate::policy::connector::Written<crate::mail::TlsVersion>| min.value)
    };
    if let (own, Some(wider)) = (version(&own.min_version), version(&wider.min_version))
        && own.is_none_or(|own| own < wider)
    {
        return Some(match own {
            Some(own) => format!("{own} instead of {wider}"),
            None => format!("no lowest version instead of {wider}"),
        });
    }
    (own.certificate.is_none() && wider.certificate.is_some() && own.level == wider.level)
        .then(|| "no certificate is demanded".to_owned())
}
