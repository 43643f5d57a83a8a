//! Connectors written as Cedar policies.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

use postern::{
    mail::{Domain, DomainPattern, Network},
    policy::{
        ConnectorSet,
        connector::{InboundConnector, Partner},
        requirement::{CertificateDemand, Origin, OriginDemand, TlsDemand},
    },
};

/// The demands that are decided separately.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Demand {
    Tls,
    Version,
    Origin,
}

/// A pattern that a connector knows its partner by, and one of its recipient domains.
struct Slot<'s> {
    connector: &'s InboundConnector,
    partner: By<'s>,
    recipient: Option<&'s DomainPattern>,
    /// The slots that are more specific and state a demand, by demand.
    excepts: Vec<(Demand, usize)>,
}

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum By<'s> {
    Sender(&'s DomainPattern),
    Address(&'s Network),
}

/// All inbound connectors of `set` that are enforced, as policies.
pub(super) fn policies(set: &ConnectorSet) -> String {
    let mut slots = slots(set);
    except(&mut slots);
    let mut text = String::from("permit(principal, action, resource);\n");
    for slot in &slots {
        // Why: writing to a String cannot fail.
        write_slot(&mut text, slot, &slots).ok();
    }
    text
}

fn slots(set: &ConnectorSet) -> Vec<Slot<'_>> {
    let mut slots = Vec::new();
    for connector in set
        .inbound()
        .iter()
        .filter(|connector| connector.mode.enforces())
    {
        let partners: Vec<By<'_>> = match &connector.partner {
            Partner::SenderDomains(patterns) => patterns
                .iter()
                .map(|pattern| By::Sender(&pattern.value))
                .collect(),
            Partner::ClientIps(networks) => networks
                .iter()
                .map(|network| By::Address(&network.value))
                .collect(),
        };
        let mut recipients: Vec<Option<&DomainPattern>> = connector
            .recipient_domains
            .iter()
            .map(|to| Some(&to.value))
            .collect();
        if recipients.is_empty() {
            recipients.push(None);
        }
        for partner in partners {
            slots.extend(recipients.iter().map(|recipient| Slot {
                connector,
                partner,
                recipient: *recipient,
                excepts: Vec::new(),
            }));
        }
    }
    slots
}

/// Lists at each slot those that are more specific and state what it states.
fn except(slots: &mut [Slot<'_>]) {
    let mut at: HashMap<By<'_>, Vec<usize>> = HashMap::new();
    for (id, slot) in slots.iter().enumerate() {
        at.entry(slot.partner).or_default().push(id);
    }
    let networks: Vec<&Network> = at
        .keys()
        .filter_map(|by| match by {
            By::Address(network) => Some(*network),
            By::Sender(_) => None,
        })
        .collect();
    let mut found: Vec<(usize, Demand, usize)> = Vec::new();
    for (id, slot) in slots.iter().enumerate() {
        let own = at.get(&slot.partner).into_iter().flatten();
        let below = own.filter(|other| {
            let other = slots.get(**other);
            other.is_some_and(|other| is_below(slot.recipient, other.recipient))
        });
        let mut general: Vec<usize> = below.copied().collect();
        match slot.partner {
            By::Sender(pattern) => {
                for above in above(pattern) {
                    general.extend(at.get(&By::Sender(&above)).into_iter().flatten());
                }
            }
            By::Address(network) => {
                let around = networks
                    .iter()
                    .filter(|of| **of != network && of.includes(network));
                for around in around {
                    general.extend(at.get(&By::Address(around)).into_iter().flatten());
                }
            }
        }
        for demand in [Demand::Tls, Demand::Version, Demand::Origin] {
            if demand.of(slot.connector) {
                let stating = general.iter().filter(|other| {
                    let other = slots.get(**other);
                    other.is_some_and(|other| demand.of(other.connector))
                });
                found.extend(stating.map(|other| (*other, demand, id)));
            }
        }
    }
    for (general, demand, id) in found {
        if let Some(slot) = slots.get_mut(general) {
            slot.excepts.push((demand, id));
        }
    }
}

/// True where `own` is a more specific scope than `other`.
fn is_below(own: Option<&DomainPattern>, other: Option<&DomainPattern>) -> bool {
    match (own, other) {
        (Some(_), None) => true,
        (Some(own), Some(other)) => own != other && other.includes(own),
        (None, _) => false,
    }
}

/// The patterns that cover all that `pattern` covers.
fn above(pattern: &DomainPattern) -> Vec<DomainPattern> {
    let (domain, skip): (&Domain, usize) = match pattern {
        DomainPattern::Any => return Vec::new(),
        DomainPattern::Exact(domain) => (domain, 0),
        DomainPattern::Subtree(base) => (base, 1),
    };
    let wildcards = domain
        .ancestors()
        .skip(skip)
        .filter_map(|above| above.parse().ok());
    let mut above: Vec<DomainPattern> = wildcards.map(DomainPattern::Subtree).collect();
    above.push(DomainPattern::Any);
    above
}

impl Demand {
    /// Whether a connector states it.
    fn of(self, connector: &InboundConnector) -> bool {
        let require = &connector.require;
        match self {
            Self::Tls => require.tls.is_some(),
            Self::Version => require.min_version.is_some(),
            Self::Origin => require.origin.is_some(),
        }
    }

    /// When a session does not meet it; none where it asks for nothing.
    fn unmet(self, connector: &InboundConnector) -> Option<String> {
        let require = &connector.require;
        match self {
            Self::Tls => {
                let encrypt = require.tls == Some(TlsDemand::Encrypt);
                encrypt.then(|| "!(context has tls)".to_owned())
            }
            Self::Version => {
                let minimum = require.min_version.as_ref()?.value as u8;
                Some(format!(
                    "context has tls && context.tls.version < {minimum}"
                ))
            }
            Self::Origin => match require.origin.as_ref()? {
                Origin::Unrestricted => None,
                Origin::Restricted(demand) => Some(elsewhere(demand)),
            },
        }
    }
}

fn elsewhere(demand: &OriginDemand) -> String {
    let addresses = demand
        .addresses
        .as_ref()
        .map(|demand| any(demand.networks.iter().map(|network| within(&network.value))));
    let certificate = demand.certificate.as_ref().map(proof);
    let proofs = [addresses, certificate].into_iter().flatten();
    let all: Vec<String> = proofs.map(|proof| format!("!({proof})")).collect();
    all.join(if demand.either { " && " } else { " || " })
}

fn proof(demand: &CertificateDemand) -> String {
    let mut ways = Vec::new();
    if !demand.fingerprints.is_empty() {
        let pins = demand
            .fingerprints
            .iter()
            .map(|pin| format!("\"{}\"", pin.value));
        ways.push(format!(
            "context.tls.certificate.fingerprints.containsAny([{}])",
            pins.collect::<Vec<_>>().join(", ")
        ));
    }
    if !demand.names.is_empty() {
        let mut names = Vec::new();
        for name in &demand.names {
            let text = name.value.to_string();
            if let Some(base) = name.value.wildcard_base() {
                names.push(format!("\"within {base}\""));
                continue;
            }
            names.push(format!("\"{text}\""));
            // A wildcard in a certificate has two labels behind it.
            let parent = text.split_once('.').map(|(_, parent)| parent);
            let parent = parent.filter(|parent| parent.contains('.'));
            names.extend(parent.map(|parent| format!("\"*.{parent}\"")));
        }
        ways.push(format!(
            "(context.tls.certificate.trusted && context.tls.certificate.names.containsAny([{}]))",
            names.join(", ")
        ));
    }
    let ways = ways.join(" || ");
    format!("context has tls && context.tls has certificate && ({ways})")
}

fn within(network: &Network) -> String {
    let (address, length) = (network.addr(), network.prefix_len());
    format!("context.client_ip.isInRange(ip(\"{address}/{length}\"))")
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    conditions.collect::<Vec<_>>().join(" || ")
}

fn write_slot(text: &mut String, slot: &Slot<'_>, slots: &[Slot<'_>]) -> fmt::Result {
    let demands = [Demand::Tls, Demand::Version, Demand::Origin].into_iter();
    let unmet: Vec<String> = demands
        .filter_map(|demand| slot.unmet(demand, slots))
        .collect();
    if unmet.is_empty() {
        return Ok(());
    }
    let unmet = unmet.join(" || ");
    writeln!(text, "@connector({:?})\nforbid(", slot.connector.name)?;
    let address = match slot.partner {
        By::Sender(pattern) => {
            writeln!(text, "  principal in Pattern::\"{pattern}\",\n  action,")?;
            None
        }
        By::Address(network) => {
            writeln!(text, "  principal,\n  action,")?;
            Some(within(network))
        }
    };
    match slot.recipient {
        Some(recipient) => writeln!(text, "  resource in Pattern::\"{recipient}\"\n)")?,
        None => writeln!(text, "  resource\n)")?,
    }
    match address {
        Some(address) => writeln!(text, "when {{ {address} && ({unmet}) }};"),
        None => writeln!(text, "when {{ {unmet} }};"),
    }
}

impl Slot<'_> {
    /// When a session does not meet `demand` of this connector, and no more specific one has its
    /// own.
    fn unmet(&self, demand: Demand, slots: &[Slot<'_>]) -> Option<String> {
        let unmet = demand.unmet(self.connector)?;
        let excepts = self.excepts.iter().filter(|(of, _)| *of == demand);
        let excepts = any(excepts.filter_map(|(_, id)| slots.get(*id).map(condition)));
        Some(if excepts.is_empty() {
            format!("({unmet})")
        } else {
            format!("(({unmet}) && !({excepts}))")
        })
    }
}

/// When a session is one of those that a slot is for.
fn condition(slot: &Slot<'_>) -> String {
    let partner = match slot.partner {
        By::Sender(pattern) => format!("principal in Pattern::\"{pattern}\""),
        By::Address(network) => within(network),
    };
    match slot.recipient {
        Some(recipient) => format!("({partner} && resource in Pattern::\"{recipient}\")"),
        None => partner,
    }
}
