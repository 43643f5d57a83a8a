//! Outbound connectors that ask less than the more general one that would govern without them.

use super::super::{
    check::Placed,
    finding::{Finding, Findings},
};
use crate::{
    mail::{DomainPattern, DomainTable, TlsVersion},
    policy::{
        connector::{Mode, OutboundConnector, Scope, Written},
        requirement::TlsLevel,
    },
};

/// A connector of the list that is judged.
type At = usize;

/// Points out outbound connectors that ask less than a more general one.
pub(super) fn outbound(connectors: &[Placed<OutboundConnector>], findings: &mut Findings) {
    let mut domains: DomainTable<At> = DomainTable::default();
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
                pattern.text()
            );
            findings.push(
                Finding::warning("outbound-asks-less", span.clone(), message)
                    .label(general.name.clone(), format!("`{other}`"))
                    .help("one connector alone governs: write here, too, what is to hold for this domain"),
            );
        }
    }
}

/// The patterns of a connector that is compared with others.
fn patterns(placed: &Placed<OutboundConnector>) -> &[Written<DomainPattern>] {
    match &placed.connector.scope {
        Scope::Domains(patterns) if placed.connector.mode.own == Mode::Enforce => patterns,
        Scope::Domains(_) | Scope::Rule => &[],
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
    let version = |min: &Option<_>| min.as_ref().map(|min: &Written<TlsVersion>| min.value);
    if let (own, Some(wider)) = (version(&own.min_version), version(&wider.min_version))
        && own.is_none_or(|own| own < wider)
    {
        return Some(match own {
            Some(own) => format!("{own} instead of {wider}"),
            None => format!("no lowest version instead of {wider}"),
        });
    }
    (own.certificate.is_none() && wider.certificate.is_some()).then(|| match own.level {
        // Why: it takes whatever certificate a trusted authority gave, and the other one takes but these.
        TlsLevel::Trusted => "any trusted certificate instead of a listed one".to_owned(),
        TlsLevel::Opportunistic | TlsLevel::Encrypt | TlsLevel::Domain => {
            "no certificate is demanded".to_owned()
        }
    })
}
