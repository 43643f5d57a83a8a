//! Outbound connectors.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::RandomState;

use super::{
    super::{
        finding::Finding,
        raw::{RawOutbound, RawOutboundRequire},
        table::At,
    },
    Check, Placed, smart_host, taken, values,
};
use crate::{
    mail::DomainPattern,
    policy::{
        connector::{Mode, OutboundConnector, Scope, SmartHost, Written},
        decision::Action,
        requirement::{OutboundRequirement, TlsLevel},
    },
};

impl Check<'_> {
    pub(super) fn outbound(&mut self, raw: &At<RawOutbound>) -> Option<Placed<OutboundConnector>> {
        let At {
            value: connector,
            span,
        } = raw;
        let name = self.name(connector.name.as_ref(), span, connector.unread.has("name"));
        let mode = self.modes(connector.mode.as_ref());
        let scope = self.scope(connector, span);
        let smart_hosts = self.route(connector);
        let require = self.outbound_require(connector, span);
        let reply = connector.reply.as_ref().map(|reply| &reply.value);
        let reply = values::reply(
            reply.and_then(|reply| reply.action.as_ref()),
            reply.and_then(|reply| reply.text.as_ref()),
            Action::Defer,
            self.findings,
        );
        let (scope, patterns) = scope?;
        let line = self.line(span);
        let comment = connector
            .comment
            .as_ref()
            .map(|comment| comment.value.as_str().into());
        Some(Placed {
            connector: OutboundConnector {
                name,
                comment,
                mode: mode.unwrap_or_else(|| self.default_modes()),
                scope,
                smart_hosts: smart_hosts.into(),
                require,
                reply,
                line,
            },
            name: connector
                .name
                .as_ref()
                .map_or_else(|| span.clone(), |name| name.span.clone()),
            patterns,
            recipients: Vec::new(),
            unclear: mode.is_none() || connector.unread.has("mode"),
        })
    }

    fn scope(
        &mut self,
        connector: &RawOutbound,
        header: &Range<usize>,
    ) -> Option<(Scope, Vec<Range<usize>>)> {
        let matched = connector.match_.as_ref();
        let domains = matched.and_then(|matched| {
            let unread = &matched.value.unread;
            let list = matched.value.recipient_domains.as_ref()?;
            Some((
                list,
                values::patterns(list, !unread.has("recipient_domains"), self.findings),
            ))
        });
        let rule = match &connector.scope {
            None if connector.unread.has("scope") => return None,
            None => false,
            Some(written) => {
                let foreign = [
                    ("domain", "domains"),
                    ("transportrule", "rule"),
                    ("true", "rule"),
                    ("false", "domains"),
                ];
                let known = [("domains", false), ("rule", true)];
                values::word(
                    written,
                    "scope-unknown",
                    "scope",
                    &known,
                    &foreign,
                    self.findings,
                )?
            }
        };
        match (rule, domains) {
            (false, Some((_, (patterns, spans)))) => Some((Scope::Domains(patterns.into()), spans)),
            (true, None) => Some((Scope::Rule, Vec::new())),
            (true, Some((list, _))) => {
                let message = "a connector with `scope = \"rule\"` has no recipient domains";
                self.findings.push(
                    Finding::error("scope-contradicted", list.span.clone(), message).help(
                        "remove `recipient_domains`: it applies only where a call names it; or remove `scope`",
                    ),
                );
                None
            }
            (false, None) => {
                let unread = matched.map_or(connector.unread.has("match"), |matched| {
                    !matched.value.unread.is_empty()
                });
                if !unread {
                    let span = matched.map_or(header, |matched| &matched.span);
                    let message = "nothing says which mail the connector is for";
                    self.findings.push(
                        Finding::error("match-missing", span.clone(), message).help(
                            "write `recipient_domains = [\"contosobank.com\"]` into `[outbound.match]`, or \
                             `scope = \"rule\"` for one that is used only where a call names it",
                        ),
                    );
                }
                None
            }
        }
    }

    fn route(&mut self, connector: &RawOutbound) -> Vec<Written<SmartHost>> {
        let Some(At { value: route, span }) = &connector.route else {
            return Vec::new();
        };
        if let Some(list) = &route.smart_hosts {
            return smart_host::listed(list, !route.unread.has("smart_hosts"), self.findings);
        }
        if route.unread.is_empty() {
            self.findings.push(
                Finding::error("list-empty", span.clone(), "the route has no smart hosts").help(
                    "write `smart_hosts = [\"mail.contosobank.com\"]`, or remove the table: without it, mail \
                     goes by MX",
                ),
            );
        }
        Vec::new()
    }

    fn outbound_require(
        &mut self,
        connector: &RawOutbound,
        header: &Range<usize>,
    ) -> OutboundRequirement {
        let nothing = OutboundRequirement {
            level: TlsLevel::Opportunistic,
            min_version: None,
            certificate: None,
        };
        let missing = |span: &Range<usize>| {
            Finding::error("demand-missing", span.clone(), "the connector changes nothing").help(
                "write a `[outbound.route]`, or what the session must meet into `[outbound.require]`, as \
                 `tls = \"encrypt\"`",
            )
        };
        let routed = connector.route.is_some() || connector.unread.has("route");
        let Some(At { value: raw, span }) = &connector.require else {
            if !routed && !connector.unread.has("require") {
                self.findings.push(missing(header));
            }
            return nothing;
        };
        let stated = raw
            .tls
            .as_ref()
            .and_then(|tls| values::level(tls, self.findings));
        let min_version = values::version(raw.tls_min_version.as_ref(), self.findings);
        let certificate = values::certificates(
            raw.certificate_names.as_ref(),
            raw.certificate_fingerprints.as_ref(),
            ["certificate_names", "certificate_fingerprints"].map(|key| !raw.unread.has(key)),
            self.findings,
        );
        let implied = raw.tls_min_version.as_ref().map(|_| TlsLevel::Encrypt);
        let level = stated.or(implied).unwrap_or(TlsLevel::Opportunistic);
        // Why: a level that could not be read has its finding; what goes with it cannot be judged.
        if raw.tls.is_none() && !raw.unread.has("tls") || stated.is_some() {
            self.outbound_contradictions(raw, level);
        }
        let written = raw.tls.is_some()
            || raw.tls_min_version.is_some()
            || raw.certificate_names.is_some()
            || raw.certificate_fingerprints.is_some();
        if !routed && !written && raw.unread.is_empty() {
            self.findings.push(missing(span));
        }
        let certificate = Some(certificate).filter(|certificate| !certificate.is_empty());
        OutboundRequirement {
            level,
            min_version,
            certificate,
        }
    }

    /// Demands of one connector that cannot stand beside each other.
    fn outbound_contradictions(&mut self, raw: &RawOutboundRequire, level: TlsLevel) {
        if let (Some(tls), TlsLevel::Opportunistic, Some(minimum)) =
            (&raw.tls, level, &raw.tls_min_version)
        {
            let message = "TLS is optional and of a lowest version at once";
            self.findings.push(
                Finding::error("opportunistic-contradicted", tls.span.clone(), message)
                    .label(minimum.span.clone(), "this implies `tls = \"encrypt\"`")
                    .help("remove one of the two"),
            );
        }
        if let (Some(names), false) = (&raw.certificate_names, level == TlsLevel::Domain) {
            let message = "names are checked only at the level `\"domain\"`";
            self.findings.push(
                Finding::error("names-without-domain", names.span.clone(), message)
                    .help("write `tls = \"domain\"`, or remove `certificate_names`"),
            );
        }
        if let (Some(pins), TlsLevel::Opportunistic | TlsLevel::Trusted) =
            (&raw.certificate_fingerprints, level)
        {
            let message = format!(
                "fingerprints are not checked at the level `\"{}\"`",
                level.as_str()
            );
            self.findings.push(
                Finding::error("fingerprints-unchecked", pins.span.clone(), message).help(
                    "write `tls = \"encrypt\"` to demand one of them, or `tls = \"domain\"` to let one stand \
                     for trust and name",
                ),
            );
        }
        if let (Some(tls), TlsLevel::Domain, None, None) = (
            &raw.tls,
            level,
            &raw.certificate_names,
            &raw.certificate_fingerprints,
        ) && !raw.unread.has("certificate_names")
            && !raw.unread.has("certificate_fingerprints")
        {
            let message = "the level `\"domain\"` needs to know which certificate";
            self.findings.push(
                Finding::error("domain-without-certificate", tls.span.clone(), message).help(
                    "write `certificate_names = [\"*.contosobank.com\"]`, or `tls = \"trusted\"` for any \
                     certificate from a trusted authority",
                ),
            );
        }
    }

    /// No two connectors of one mode share a recipient pattern.
    pub(super) fn outbound_duplicates(&mut self, connectors: &[Placed<OutboundConnector>]) {
        let mut seen: HashMap<(Mode, &DomainPattern), (usize, usize), RandomState> =
            HashMap::default();
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
            let Scope::Domains(domains) = &connector.scope else {
                continue;
            };
            if connector.mode.own == Mode::Off || *unclear {
                continue;
            }
            let mut reported = None;
            for (nth, domain) in domains.iter().enumerate() {
                let earlier = taken(&mut seen, (connector.mode.own, &domain.value), (at, nth));
                let Some((other, its)) = earlier.filter(|(other, _)| *other != at) else {
                    continue;
                };
                if reported.replace(other) == Some(other) {
                    continue;
                }
                let (Some(other), Some(here)) = (connectors.get(other), patterns.get(nth)) else {
                    continue;
                };
                let there = other.patterns.get(its).unwrap_or(&other.name);
                let names = [&*connector.name, &*other.connector.name];
                self.duplicate(here, there, names, &format!("to `{}`", domain.value));
            }
        }
    }
}
