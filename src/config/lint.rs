//! Warnings that need the whole set: it is good, and yet it may not do what was meant.

mod asks_less;
mod inherited;

use super::{
    check::{Checked, Placed},
    finding::{Finding, Findings},
    raw::RawSet,
};
use crate::{
    mail::{AddressSet, DomainPattern, NetworkTable},
    policy::{
        connector::{InboundConnector, Mode, OutboundConnector, Partner},
        requirement::{Origin, OriginDemand, TlsDemand, TlsLevel},
    },
};

/// Points out what a postmaster may not have meant.
pub(super) fn lint(checked: &Checked, raw: &RawSet, findings: &mut Findings) {
    if checked.retired {
        return;
    }
    accepts_everything(checked, raw, findings);
    scoped_lock(checked, findings);
    outside_recipients(checked, findings);
    out_of_reach(checked, findings);
    inherited::inbound(&checked.inbound, findings);
    asks_less::outbound(&checked.outbound, findings);
}

/// The connectors whose own mode is `enforce`: only they are compared with each other.
fn enforcing(checked: &Checked) -> impl Iterator<Item = &Placed<InboundConnector>> {
    checked
        .inbound
        .iter()
        .filter(|placed| placed.connector.mode.own == Mode::Enforce)
}

fn accepts_everything(checked: &Checked, raw: &RawSet, findings: &mut Findings) {
    let demands = |placed: &Placed<InboundConnector>| {
        let require = &placed.connector.require;
        placed.connector.mode.enforces()
            && (require.tls == Some(TlsDemand::Encrypt)
                || require.min_version.is_some()
                || matches!(require.origin, Some(Origin::Restricted(_))))
    };
    let outbound = checked.outbound.iter().any(|placed| {
        let OutboundConnector {
            mode,
            smart_hosts,
            require,
            ..
        } = &placed.connector;
        mode.enforces() && (!smart_hosts.is_empty() || require.level > TlsLevel::Opportunistic)
    });
    if outbound || checked.inbound.iter().any(demands) {
        return;
    }
    let version = raw
        .version
        .as_ref()
        .map_or(0..0, |version| version.span.clone());
    let (span, why, help) = match (&raw.mode, checked.mode) {
        (Some(mode), Mode::Off) => (
            mode.span.clone(),
            "the whole set is off",
            "remove `mode` to enforce it",
        ),
        (Some(mode), Mode::Report) => (
            mode.span.clone(),
            "the whole set is in report",
            "remove `mode` once the reports are good",
        ),
        (Some(_) | None, Mode::Enforce) | (None, Mode::Off | Mode::Report)
            if checked.inbound.is_empty() && checked.outbound.is_empty() =>
        {
            (
                version,
                "it has no connectors",
                "write an `[[inbound]]` connector, or `retired = true` if the set is to go",
            )
        }
        (Some(_) | None, Mode::Enforce) | (None, Mode::Off | Mode::Report) => {
            let first = checked.inbound.first().map(|placed| &placed.name);
            let first = first.or(checked.outbound.first().map(|placed| &placed.name));
            let all_in_force = checked
                .inbound
                .iter()
                .all(|placed| placed.connector.mode.enforces())
                && checked
                    .outbound
                    .iter()
                    .all(|placed| placed.connector.mode.enforces());
            let help = if all_in_force {
                "write what a partner's mail must meet, as `tls = \"encrypt\"`"
            } else {
                "set a connector that demands something to `mode = \"enforce\"`"
            };
            let why = "no connector in force demands anything";
            (first.cloned().unwrap_or(version), why, help)
        }
    };
    let message = format!("this set accepts everything: {why}");
    findings.push(Finding::warning("set-accepts-everything", span, message).help(help));
}

/// The origin that a connector for every sender demands.
fn lock(placed: &Placed<InboundConnector>) -> Option<&OriginDemand> {
    let Partner::SenderDomains(patterns) = &placed.connector.partner else {
        return None;
    };
    let everything = patterns
        .iter()
        .any(|pattern| pattern.value == DomainPattern::Any);
    match &placed.connector.require.origin {
        Some(Origin::Restricted(demand)) => everything.then_some(&**demand),
        Some(Origin::Unrestricted) | None => None,
    }
}

/// True where mail to every recipient counts, those without a domain included.
fn is_unscoped(connector: &InboundConnector) -> bool {
    connector.recipient_domains.is_empty()
        || connector
            .recipient_domains
            .iter()
            .any(|pattern| pattern.value == DomainPattern::Any)
}

fn scoped_lock(checked: &Checked, findings: &mut Findings) {
    let locks = || enforcing(checked).filter(|placed| lock(placed).is_some());
    if locks().any(|placed| is_unscoped(&placed.connector)) {
        return;
    }
    for placed in locks() {
        let message = format!(
            "`{}` locks mail to its recipient domains only: mail to an address literal passes it",
            placed.connector.name
        );
        let span = placed.recipients.first().unwrap_or(&placed.name).clone();
        findings.push(Finding::warning("lock-scoped", span, message).help(
            "leave `recipient_domains` out, or add a connector for `sender_domains = [\"*\"]` without them",
        ));
    }
}

fn outside_recipients(checked: &Checked, findings: &mut Findings) {
    if checked.accepted_domains.is_empty() {
        return;
    }
    let accepted = crate::mail::DomainTable::from_patterns(
        checked
            .accepted_domains
            .iter()
            .map(|domain| &domain.pattern.value),
    );
    for Placed {
        connector,
        recipients,
        ..
    } in &checked.inbound
    {
        for (pattern, span) in connector.recipient_domains.iter().zip(recipients) {
            let within = pattern.value == DomainPattern::Any
                || accepted.get(&pattern.value).is_some()
                || accepted.parent(&pattern.value).is_some();
            if !within {
                let message = format!("`{}` is outside of `accepted_domains`", pattern.text());
                findings.push(Finding::warning("recipient-not-accepted", span.clone(), message).help(
                    "add the domain to `accepted_domains`, or mend it: calls for it choose another set",
                ));
            }
        }
    }
}

/// Address connectors that a `*` lock on other addresses keeps from ever being met.
fn out_of_reach(checked: &Checked, findings: &mut Findings) {
    // Of two, the one for recipients in `*` is the more specific.
    let locking = enforcing(checked)
        .filter(|placed| is_unscoped(&placed.connector) && lock(placed).is_some())
        .min_by_key(|placed| placed.connector.recipient_domains.is_empty());
    let Some(locking) = locking else { return };
    let demand = lock(locking).filter(|demand| !demand.either);
    let Some(addresses) = demand.and_then(|demand| demand.addresses.as_ref()) else {
        return;
    };
    let inside: AddressSet = addresses
        .networks
        .iter()
        .map(|network| network.value)
        .collect();
    let mut locked = NetworkTable::new();
    for network in &addresses.networks {
        locked.insert(network.value, ());
    }
    for placed in enforcing(checked) {
        let Partner::ClientIps(networks) = &placed.connector.partner else {
            continue;
        };
        let reachable = networks.iter().any(|network| {
            inside.contains(network.value.addr()) || locked.any_within(network.value)
        });
        if reachable {
            continue;
        }
        let message = format!(
            "no network of `{}` lies inside the addresses of `{}`, which locks all mail",
            placed.connector.name, locking.connector.name
        );
        let span = placed.patterns.first().unwrap_or(&placed.name).clone();
        findings.push(
            Finding::warning("address-out-of-reach", span, message)
                .label(locking.name.clone(), "the lock")
                .help("mail from there is refused by the lock: add these networks to the lock, or remove the connector"),
        );
    }
}
