//! What the rows of the list say is demanded.

use serde_json::json;

use super::rows::few;
use crate::{
    cli::{inheritance::Stated, output::shown},
    mail::{CertificateName, Fingerprint, Network, TlsVersion},
    policy::{
        connector::{InboundConnector, OutboundConnector, Spelled, Written},
        requirement::{CertificateDemand, Origin, TlsDemand, TlsLevel},
    },
};

/// One demand, and where it is inherited from; none: the connector's own.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    kind: &'static str,
    words: &'static str,
    values: Values<'a>,
    inherited_from: Option<&'a str>,
}

/// What a demand lists: borrowed, because many rows may inherit one long list.
#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    None,
    Version(&'a Written<TlsVersion>),
    Networks(&'a [Written<Network>]),
    Names(&'a [Written<CertificateName>]),
    Fingerprints(&'a [Written<Fingerprint>]),
}

/// What mail must meet for which `stated` states the demands of `connector`.
pub(super) fn inbound<'a>(connector: &InboundConnector, stated: Stated<'a>) -> Vec<Demand<'a>> {
    let from = |by: &'a InboundConnector| (by.name != connector.name).then_some(&*by.name);
    let mut demands = Vec::new();
    if let Some(by) = stated.tls {
        let words = match by.require.tls {
            Some(TlsDemand::Opportunistic) => "TLS is not required",
            Some(TlsDemand::Encrypt) | None => "TLS",
        };
        demands.push(Demand {
            kind: "tls",
            words,
            values: Values::None,
            inherited_from: from(by),
        });
    }
    if let Some(by) = stated.min_version {
        demands.extend(min_version(by.require.min_version.as_ref(), from(by)));
    }
    let origin = stated
        .origin
        .and_then(|by| Some((by, by.require.origin.as_ref()?)));
    if let Some((by, origin)) = origin {
        demands.extend(origins(origin, from(by)));
    }
    demands
}

/// What a session with a next hop of `connector` must meet.
pub(super) fn outbound(connector: &OutboundConnector) -> Vec<Demand<'_>> {
    let require = &connector.require;
    let words = match require.level {
        TlsLevel::Opportunistic => "TLS where offered",
        TlsLevel::Encrypt => "TLS",
        TlsLevel::Trusted => "TLS, trusted certificate",
        TlsLevel::Domain => "TLS, certificate as demanded",
    };
    let mut demands = vec![Demand {
        kind: "tls",
        words,
        values: Values::None,
        inherited_from: None,
    }];
    demands.extend(min_version(require.min_version.as_ref(), None));
    if let Some(certificate) = &require.certificate {
        demands.extend(certificates(certificate, false, None));
    }
    demands
}

fn min_version<'a>(
    minimum: Option<&'a Written<TlsVersion>>,
    inherited_from: Option<&'a str>,
) -> Option<Demand<'a>> {
    Some(Demand {
        kind: "tls_min_version",
        words: "at least",
        values: Values::Version(minimum?),
        inherited_from,
    })
}

fn origins<'a>(origin: &'a Origin, inherited_from: Option<&'a str>) -> Vec<Demand<'a>> {
    let demand = match origin {
        Origin::Restricted(demand) => demand,
        Origin::Unrestricted => {
            return vec![Demand {
                kind: "origin",
                words: "from anywhere",
                values: Values::None,
                inherited_from,
            }];
        }
    };
    let mut lists = Vec::new();
    if let Some(addresses) = &demand.addresses {
        lists.push(Demand {
            kind: "client_ips",
            words: "from",
            values: Values::Networks(&addresses.networks),
            inherited_from,
        });
    }
    if let Some(certificate) = &demand.certificate {
        lists.extend(certificates(certificate, demand.either, inherited_from));
    }
    lists
}

/// The lists of a certificate demand; `or`: beside addresses of which one is enough, too.
fn certificates<'a>(
    demand: &'a CertificateDemand,
    or: bool,
    inherited_from: Option<&'a str>,
) -> Vec<Demand<'a>> {
    let mut lists = Vec::new();
    if !demand.names.is_empty() {
        let words = if or {
            "or certificate for"
        } else {
            "certificate for"
        };
        lists.push(Demand {
            kind: "certificate_names",
            words,
            values: Values::Names(&demand.names),
            inherited_from,
        });
    }
    if !demand.fingerprints.is_empty() {
        let or = or || !demand.names.is_empty();
        let words = if or {
            "or certificate of fingerprint"
        } else {
            "certificate of fingerprint"
        };
        lists.push(Demand {
            kind: "certificate_fingerprints",
            words,
            values: Values::Fingerprints(&demand.fingerprints),
            inherited_from,
        });
    }
    lists
}

impl Demand<'_> {
    /// It in a cell, where long lists are cut.
    pub(super) fn line(&self) -> String {
        let from = self
            .inherited_from
            .map_or_else(String::new, |name| format!(" (from `{}`)", shown(name)));
        let values = self.values.few();
        if values.is_empty() {
            return format!("{}{from}", self.words);
        }
        format!("{} {}{from}", self.words, values.join(", "))
    }

    /// It whole, for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "kind": self.kind,
            "text": self.words,
            "values": self.values.all(),
            "inherited_from": self.inherited_from,
        })
    }
}

impl<'a> Values<'a> {
    fn few(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Version(version) => few(texts(std::slice::from_ref(version))),
            Self::Networks(networks) => few(texts(networks)),
            Self::Names(names) => few(texts(names)),
            Self::Fingerprints(fingerprints) => few(texts(fingerprints)),
        }
    }

    fn all(self) -> Vec<&'a str> {
        match self {
            Self::None => Vec::new(),
            Self::Version(version) => vec![version.text()],
            Self::Networks(networks) => texts(networks).collect(),
            Self::Names(names) => texts(names).collect(),
            Self::Fingerprints(fingerprints) => texts(fingerprints).collect(),
        }
    }
}

fn texts<T: Spelled>(values: &[Written<T>]) -> impl ExactSizeIterator<Item = &str> {
    values.iter().map(Written::text)
}
