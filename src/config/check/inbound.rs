//! Inbound connectors.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use super::{
    super::{
        finding::Finding,
        raw::{RawInbound, RawInboundMatch, RawInboundRequire},
        table::At,
    },
    Check, Placed, taken,
    values::{self, Narrower},
};
use crate::{
    mail::{DomainPattern, Network},
    policy::{
        connector::{InboundConnector, Mode, Partner, Written},
        decision::Action,
        requirement::{
            AddressDemand, InboundRequirement, Origin, OriginDemand, TlsDemand, TlsLevel,
        },
    },
};

/// Where what must stand once was first seen: in which connector, and which of its patterns.
type Seen<K> = HashMap<K, (usize, usize), RandomState>;

/// What `origin` can be.
#[derive(Clone, Copy, Eq, PartialEq)]
enum OriginWord {
    Both,
    Either,
    Unrestricted,
}

impl Check<'_> {
    pub(super) fn inbound(&mut self, raw: &At<RawInbound>) -> Option<Placed<InboundConnector>> {
        let At {
            value: connector,
            span,
        } = raw;
        let name = self.name(connector.name.as_ref(), span, connector.unread.has("name"));
        let mode = self.modes(connector.mode.as_ref());
        let matched = self.inbound_match(connector, span);
        let require = self.inbound_require(connector, span);
        let reply = connector.reply.as_ref().map(|reply| &reply.value);
        let reply = values::reply(
            reply.and_then(|reply| reply.action.as_ref()),
            reply.and_then(|reply| reply.text.as_ref()),
            Action::Reject,
            self.findings,
        );
        let (partner, patterns, recipient_domains, recipients) = matched?;
        let scoped = connector.match_.as_ref().is_some_and(|At { value, .. }| {
            value.recipient_domains.is_some() || value.unread.has("recipient_domains")
        });
        let unclear = mode.is_none()
            || connector.unread.has("mode")
            || scoped && recipient_domains.is_empty();
        let line = self.line(span);
        let comment = connector
            .comment
            .as_ref()
            .map(|comment| comment.value.as_str().into());
        Some(Placed {
            connector: InboundConnector {
                name,
                comment,
                mode: mode.unwrap_or_else(|| self.default_modes()),
                partner,
                recipient_domains: recipient_domains.into(),
                require,
                reply,
                line,
            },
            name: connector
                .name
                .as_ref()
                .map_or_else(|| span.clone(), |name| name.span.clone()),
            patterns,
            recipients,
            unclear,
        })
    }

    #[expect(
        clippy::type_complexity,
        reason = "named where it is taken apart, once"
    )]
    fn inbound_match(
        &mut self,
        connector: &RawInbound,
        header: &Range<usize>,
    ) -> Option<(
        Partner,
        Vec<Range<usize>>,
        Vec<Written<DomainPattern>>,
        Vec<Range<usize>>,
    )> {
        let missing = |span: &Range<usize>| {
            Finding::error(
                "match-missing",
                span.clone(),
                "nothing says how the partner is recognised",
            )
            .help(
                "write `sender_domains = [\"contosobank.com\"]` or \
                 `client_ips = [\"203.0.113.0/24\"]` into `[inbound.match]`",
            )
        };
        let Some(At { value: raw, span }) = &connector.match_ else {
            if !connector.unread.has("match") {
                self.findings.push(missing(header));
            }
            return None;
        };
        let RawInboundMatch {
            sender_domains,
            client_ips,
            recipient_domains,
            unread,
        } = raw;
        let (recipient_domains, recipients) = match recipient_domains {
            Some(list) => values::patterns(list, !unread.has("recipient_domains"), self.findings),
            None => (Vec::new(), Vec::new()),
        };
        let senders = sender_domains
            .as_ref()
            .map(|list| values::patterns(list, !unread.has("sender_domains"), self.findings));
        let addresses = client_ips.as_ref().map(|list| {
            values::networks(
                list,
                !unread.has("client_ips"),
                Narrower::OrdersConnectors,
                self.findings,
            )
        });
        if let (Some(senders), Some(addresses)) = (sender_domains, client_ips) {
            let message = "a connector recognises its partner by domain or by address, not by both";
            self.findings.push(
                Finding::error("match-both", addresses.span.clone(), message)
                    .label(senders.span.clone(), "by domain")
                    .help(
                        "keep one of the two: to demand that a domain comes from these addresses, write \
                         `client_ips` into `[inbound.require]`",
                    ),
            );
        }
        let (partner, patterns) = match (senders, addresses) {
            (Some((patterns, spans)), _) => (Partner::SenderDomains(patterns.into()), spans),
            (None, Some((networks, spans))) => (Partner::ClientIps(networks.into()), spans),
            (None, None) => {
                if unread.is_empty() {
                    self.findings.push(missing(span));
                }
                return None;
            }
        };
        Some((partner, patterns, recipient_domains, recipients))
    }

    fn inbound_require(
        &mut self,
        connector: &RawInbound,
        header: &Range<usize>,
    ) -> InboundRequirement {
        let nothing = InboundRequirement {
            tls: None,
            min_version: None,
            origin: None,
        };
        let missing = |span: &Range<usize>| {
            Finding::error("demand-missing", span.clone(), "the connector demands nothing").help(
                "write into `[inbound.require]` what the partner's mail must meet, as `tls = \"encrypt\"`; \
                 to lift what a more general connector demands, `tls = \"opportunistic\"` or \
                 `origin = \"unrestricted\"`",
            )
        };
        let Some(At { value: raw, span }) = &connector.require else {
            if !connector.unread.has("require") {
                self.findings.push(missing(header));
            }
            return nothing;
        };
        let tls = raw.tls.as_ref().and_then(|tls| self.inbound_level(tls));
        let min_version = values::version(raw.tls_min_version.as_ref(), self.findings);
        let certificate = values::certificates(
            raw.certificate_names.as_ref(),
            raw.certificate_fingerprints.as_ref(),
            ["certificate_names", "certificate_fingerprints"].map(|key| !raw.unread.has(key)),
            self.findings,
        );
        let addresses = raw.client_ips.as_ref().map(|list| {
            let (networks, _) = values::networks(
                list,
                !raw.unread.has("client_ips"),
                Narrower::ChangesNothing,
                self.findings,
            );
            AddressDemand::new(values::once(networks))
        });
        let word = raw
            .origin
            .as_ref()
            .and_then(|origin| self.origin_word(origin));
        self.contradictions(raw, word);

        let either = word == Some(OriginWord::Either);
        let certificate = Some(certificate).filter(|certificate| !certificate.is_empty());
        let implied = min_version.is_some() || (certificate.is_some() && !either);
        let origin = match (word, addresses, certificate) {
            (Some(OriginWord::Unrestricted), _, _) => Some(Origin::Unrestricted),
            (_, None, None) => None,
            (_, addresses, certificate) => Some(Origin::Restricted(Box::new(OriginDemand {
                addresses,
                certificate,
                either,
            }))),
        };
        let tls = tls.or(implied.then_some(TlsDemand::Encrypt));
        let require = InboundRequirement {
            tls,
            min_version,
            origin,
        };
        let written = raw.tls.is_some()
            || raw.tls_min_version.is_some()
            || raw.client_ips.is_some()
            || raw.certificate_names.is_some()
            || raw.certificate_fingerprints.is_some()
            || raw.origin.is_some() && word.is_none();
        if require.is_empty() && !written && raw.unread.is_empty() && !either {
            self.findings.push(match &raw.origin {
                Some(origin) => {
                    let message = "the connector demands nothing: `origin` says only how lists go together";
                    Finding::error("demand-missing", origin.span.clone(), message).help(
                        "list `client_ips`, `certificate_names` or `certificate_fingerprints` beside it",
                    )
                }
                None => missing(span),
            });
        }
        require
    }

    fn inbound_level(&mut self, written: &At<String>) -> Option<TlsDemand> {
        match values::inbound_level(written, self.findings)? {
            TlsLevel::Encrypt => Some(TlsDemand::Encrypt),
            TlsLevel::Opportunistic => Some(TlsDemand::Opportunistic),
            TlsLevel::Trusted | TlsLevel::Domain => {
                let message = format!("`\"{}\"` is a level of outbound connectors", written.value);
                self.findings.push(
                    Finding::error("level-outbound", written.span.clone(), message).help(
                        "to demand the partner's certificate, write `certificate_names = \
                         [\"*.contosobank.com\"]`: it implies `tls = \"encrypt\"`",
                    ),
                );
                None
            }
        }
    }

    fn origin_word(&mut self, written: &At<String>) -> Option<OriginWord> {
        let known = [
            ("address-and-certificate", OriginWord::Both),
            ("address-or-certificate", OriginWord::Either),
            ("unrestricted", OriginWord::Unrestricted),
        ];
        let foreign = [
            ("and", "address-and-certificate"),
            ("both", "address-and-certificate"),
            ("all", "address-and-certificate"),
            ("certificateandaddress", "address-and-certificate"),
            ("or", "address-or-certificate"),
            ("either", "address-or-certificate"),
            ("any", "address-or-certificate"),
            ("certificateoraddress", "address-or-certificate"),
            ("none", "unrestricted"),
            ("anywhere", "unrestricted"),
        ];
        values::word(
            written,
            "origin-unknown",
            "origin",
            &known,
            &foreign,
            self.findings,
        )
    }

    /// Demands of one connector that cannot stand beside each other.
    fn contradictions(&mut self, raw: &RawInboundRequire, origin: Option<OriginWord>) {
        let certificate = raw
            .certificate_names
            .as_ref()
            .or(raw.certificate_fingerprints.as_ref())
            .map(|list| &list.span);
        let either = origin == Some(OriginWord::Either);
        if let Some(tls) = raw
            .tls
            .as_ref()
            .filter(|tls| tls.value == TlsLevel::Opportunistic.as_str())
        {
            let minimum = raw.tls_min_version.as_ref().map(|minimum| &minimum.span);
            // Why: with an origin that could not be read, either proof may be meant to be enough.
            let both =
                !either && !raw.unread.has("origin") && raw.origin.is_some() == origin.is_some();
            let implies = minimum.or(certificate.filter(|_| both));
            if let Some(implies) = implies {
                let message = "TLS is lifted and demanded at once";
                self.findings.push(
                    Finding::error("opportunistic-contradicted", tls.span.clone(), message)
                        .label(implies.clone(), "this implies `tls = \"encrypt\"`")
                        .help("remove `tls = \"opportunistic\"`, or what implies TLS"),
                );
            }
        }
        let Some(written) = &raw.origin else { return };
        if either && (raw.client_ips.is_none() || certificate.is_none()) && raw.unread.is_empty() {
            let message = "an address or a certificate is enough, and not both are listed";
            self.findings.push(
                Finding::error("origin-incomplete", written.span.clone(), message).help(
                    "list `client_ips` and `certificate_names` or `certificate_fingerprints`, or remove \
                     `origin`",
                ),
            );
        }
        let listed = raw
            .client_ips
            .as_ref()
            .map(|list| &list.span)
            .or(certificate);
        if let (Some(OriginWord::Unrestricted), Some(listed)) = (origin, listed) {
            let message = "the origin is unrestricted and restricted at once";
            self.findings.push(
                Finding::error("origin-contradicted", written.span.clone(), message)
                    .label(listed.clone(), "this restricts it")
                    .help("remove `origin = \"unrestricted\"`, or the lists"),
            );
        }
    }

    /// No two connectors of one mode share a partner pattern and a recipient pattern.
    pub(super) fn inbound_duplicates(&mut self, connectors: &[Placed<InboundConnector>]) {
        let mut senders: Seen<(Mode, &DomainPattern, Option<&DomainPattern>)> = Seen::default();
        let mut networks: Seen<(Mode, Network, Option<&DomainPattern>)> = Seen::default();
        for (
            at,
            Placed {
                connector,
                patterns,
                unclear,
                ..
            },
        ) in connectors.iter().enumerate()
        {
            if connector.mode.own == Mode::Off || *unclear {
                continue;
            }
            let mut reported = None;
            let mode = connector.mode.own;
            let unscoped = connector.recipient_domains.is_empty().then_some(None);
            let scopes = connector
                .recipient_domains
                .iter()
                .map(|scope| Some(&scope.value))
                .chain(unscoped);
            for scope in scopes {
                for nth in 0..patterns.len() {
                    let value = (at, nth);
                    let earlier = match &connector.partner {
                        Partner::SenderDomains(list) => list.get(nth).and_then(|pattern| {
                            taken(&mut senders, (mode, &pattern.value, scope), value)
                        }),
                        Partner::ClientIps(list) => list.get(nth).and_then(|network| {
                            taken(&mut networks, (mode, network.value, scope), value)
                        }),
                    };
                    let Some((other, its)) = earlier.filter(|(other, _)| *other != at) else {
                        continue;
                    };
                    if reported.replace(other) == Some(other) {
                        continue;
                    }
                    let (Some(other), Some(here)) = (connectors.get(other), patterns.get(nth))
                    else {
                        continue;
                    };
                    let there = other.patterns.get(its).unwrap_or(&other.name);
                    let what = match &connector.partner {
                        Partner::SenderDomains(list) => {
                            list.get(nth).map(|of| of.value.to_string())
                        }
                        Partner::ClientIps(list) => list.get(nth).map(|of| of.value.to_string()),
                    };
                    let what = what.map_or_else(String::new, |what| format!("from `{what}`"));
                    let what = match scope {
                        Some(scope) => format!("{what} to `{scope}`"),
                        None => what,
                    };
                    self.duplicate(here, there, [&connector.name, &other.connector.name], &what);
                }
            }
        }
    }
}
