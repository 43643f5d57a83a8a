//! What a connector says, to be compared with what it said before.

use std::fmt::Display;

use crate::{
    mail::TlsVersion,
    policy::{
        connector::{
            InboundConnector, Mode, OutboundConnector, Partner, ReplyRule, Scope, Spelled, Written,
        },
        requirement::{
            AddressDemand, CertificateDemand, InboundRequirement, Origin, OriginDemand,
            OutboundRequirement, TlsDemand, TlsLevel,
        },
    },
};

/// A connector of either direction, as something that was stated.
pub(super) trait Statement {
    /// Its name, unique in its direction.
    fn name(&self) -> &str;

    /// The mode written on it.
    fn own_mode(&self) -> Mode;

    /// True where it is in force.
    fn enforces(&self) -> bool;

    /// Of which mail it speaks: equal where that is the same mail.
    fn patterns(&self) -> Vec<String>;

    /// What it demands, in a few words each; not what it lifts.
    fn demands(&self) -> Vec<String>;

    /// True where `other` says the same in the same words, wherever it stands in the file.
    fn says_the_same(&self, other: &Self) -> bool;
}

impl Statement for InboundConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn own_mode(&self) -> Mode {
        self.mode.own
    }

    fn enforces(&self) -> bool {
        self.mode.enforces()
    }

    fn patterns(&self) -> Vec<String> {
        let mut patterns: Vec<String> = match &self.partner {
            Partner::SenderDomains(patterns) => canonical(patterns).collect(),
            Partner::ClientIps(networks) => canonical(networks).collect(),
        };
        patterns.sort();
        let mut recipients: Vec<_> = canonical(&self.recipient_domains).collect();
        recipients.sort();
        patterns.push("to".to_owned());
        patterns.append(&mut recipients);
        patterns
    }

    fn demands(&self) -> Vec<String> {
        let require = &self.require;
        let encrypt = require.tls == Some(TlsDemand::Encrypt);
        let origin = match &require.origin {
            Some(Origin::Restricted(origin)) => Some(origin),
            Some(Origin::Unrestricted) | None => None,
        };
        let addresses = origin.is_some_and(|origin| origin.addresses.is_some());
        let certificates = origin.is_some_and(|origin| origin.certificate.is_some());
        let demands = [
            encrypt.then(|| "TLS".to_owned()),
            require.min_version.as_ref().map(or_later),
            addresses.then(|| "its addresses".to_owned()),
            certificates.then(|| "its certificates".to_owned()),
        ];
        demands.into_iter().flatten().collect()
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let InboundConnector {
            name,
            comment,
            mode,
            partner,
            recipient_domains,
            require:
                InboundRequirement {
                    tls,
                    min_version,
                    origin,
                },
            reply,
            line: _,
        } = self;
        let same_partner = match (partner, &other.partner) {
            (Partner::SenderDomains(a), Partner::SenderDomains(b)) => same_texts(a, b),
            (Partner::ClientIps(a), Partner::ClientIps(b)) => same_texts(a, b),
            (Partner::SenderDomains(_), Partner::ClientIps(_))
            | (Partner::ClientIps(_), Partner::SenderDomains(_)) => false,
        };
        *name == other.name
            && *comment == other.comment
            && *mode == other.mode
            && same_partner
            && same_texts(recipient_domains, &other.recipient_domains)
            && *tls == other.require.tls
            && same_texts(min_version.as_slice(), other.require.min_version.as_slice())
            && same_origin(origin.as_ref(), other.require.origin.as_ref())
            && same_reply(reply, &other.reply)
    }
}

impl Statement for OutboundConnector {
    fn name(&self) -> &str {
        &self.name
    }

    fn own_mode(&self) -> Mode {
        self.mode.own
    }

    fn enforces(&self) -> bool {
        self.mode.enforces()
    }

    fn patterns(&self) -> Vec<String> {
        let mut patterns: Vec<String> = match &self.scope {
            Scope::Domains(patterns) => canonical(patterns).collect(),
            // Who calls it calls it by its name.
            Scope::Rule => vec![format!("rule {}", self.name)],
        };
        patterns.sort();
        patterns
    }

    fn demands(&self) -> Vec<String> {
        let require = &self.require;
        let level = require.level;
        let demands = [
            (level > TlsLevel::Opportunistic).then(|| format!("TLS at level `{}`", level.as_str())),
            require.min_version.as_ref().map(or_later),
            require
                .certificate
                .as_ref()
                .map(|_| "its certificates".to_owned()),
            (!self.smart_hosts.is_empty()).then(|| "its smart hosts as next hops".to_owned()),
        ];
        demands.into_iter().flatten().collect()
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let OutboundConnector {
            name,
            comment,
            mode,
            scope,
            smart_hosts,
            require:
                OutboundRequirement {
                    level,
                    min_version,
                    certificate,
                },
            reply,
            line: _,
        } = self;
        let same_scope = match (scope, &other.scope) {
            (Scope::Domains(a), Scope::Domains(b)) => same_texts(a, b),
            (Scope::Rule, Scope::Rule) => true,
            (Scope::Domains(_), Scope::Rule) | (Scope::Rule, Scope::Domains(_)) => false,
        };
        *name == other.name
            && *comment == other.comment
            && *mode == other.mode
            && same_scope
            && same_texts(smart_hosts, &other.smart_hosts)
            && *level == other.require.level
            && same_texts(min_version.as_slice(), other.require.min_version.as_slice())
            && same_certificate(certificate.as_ref(), other.require.certificate.as_ref())
            && same_reply(reply, &other.reply)
    }
}

fn or_later(version: &Written<TlsVersion>) -> String {
    format!("{} or later", version.value.phrase())
}

fn canonical<T: Display>(written: &[Written<T>]) -> impl Iterator<Item = String> {
    written.iter().map(|written| written.value.to_string())
}

fn same_origin(a: Option<&Origin>, b: Option<&Origin>) -> bool {
    let (a, b) = match (a, b) {
        (Some(Origin::Restricted(a)), Some(Origin::Restricted(b))) => (a, b),
        (Some(Origin::Unrestricted), Some(Origin::Unrestricted)) | (None, None) => return true,
        (Some(Origin::Restricted(_) | Origin::Unrestricted) | None, _) => return false,
    };
    let OriginDemand {
        addresses,
        certificate,
        either,
    } = &**a;
    let networks = |demand: &'_ Option<AddressDemand>| {
        demand.as_ref().map(|demand| {
            texts(&demand.networks)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    *either == b.either
        && networks(addresses) == networks(&b.addresses)
        && same_certificate(certificate.as_ref(), b.certificate.as_ref())
}

fn same_certificate(a: Option<&CertificateDemand>, b: Option<&CertificateDemand>) -> bool {
    match (a, b) {
        (
            Some(CertificateDemand {
                names,
                fingerprints,
            }),
            Some(b),
        ) => same_texts(names, &b.names) && same_texts(fingerprints, &b.fingerprints),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn same_reply(a: &ReplyRule, b: &ReplyRule) -> bool {
    let ReplyRule { action, text } = a;
    *action == b.action && *text == b.text
}

fn same_texts<T: Spelled>(a: &[Written<T>], b: &[Written<T>]) -> bool {
    texts(a).eq(texts(b))
}

fn texts<T: Spelled>(written: &[Written<T>]) -> impl Iterator<Item = &str> {
    written.iter().map(Written::text)
}
