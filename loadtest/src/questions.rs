//! Questions about the connectors of a set, as gateways ask them.

use std::net::IpAddr;

use postern::rpc::pb;

use crate::{
    Scenario,
    names::{self, RECIPIENTS},
    random::{below, shuffle, word},
    sets::{Demand, Kind, Shape},
};

/// Questions about sending servers, each about another connector as far as there are so many.
pub(crate) fn inbound(
    scenario: Scenario,
    shape: Shape,
    count: usize,
) -> Vec<pb::CheckInboundRequest> {
    let ask = |nth: usize, at: usize| match scenario {
        Scenario::InboundAccept => Some(accepted(shape, at, nth)),
        Scenario::InboundReject => rejected(shape, at, nth),
        Scenario::Miss => Some(unknown(nth)),
        Scenario::OutboundPlan | Scenario::OutboundEnforce => None,
    };
    spread(shape, count, |at| by_domain(Shape::kind(at).0), ask)
}

/// Questions about next hops, each about another connector as far as there are so many.
pub(crate) fn outbound(
    scenario: Scenario,
    shape: Shape,
    count: usize,
) -> Vec<pb::CheckOutboundRequest> {
    let ask = |nth: usize, at: usize| match scenario {
        Scenario::OutboundPlan => Some(planned(at, nth)),
        Scenario::OutboundEnforce => Some(enforced(at, nth)),
        Scenario::Miss => Some(unknown_hop(nth)),
        Scenario::InboundAccept | Scenario::InboundReject => None,
    };
    let suits = |at| Shape::kind(at).0 == Kind::Outbound;
    spread(shape, count, suits, ask)
}

fn by_domain(kind: Kind) -> bool {
    match kind {
        Kind::Exact | Kind::Wildcard | Kind::Scoped => true,
        Kind::Network | Kind::Outbound => false,
    }
}

/// `count` questions, spread evenly over the connectors that suit, in an order of chance.
fn spread<T>(
    shape: Shape,
    count: usize,
    suits: impl Fn(usize) -> bool,
    ask: impl Fn(usize, usize) -> Option<T>,
) -> Vec<T> {
    let mut questions = Vec::with_capacity(count);
    for nth in 0..count {
        // Where there are more questions than connectors, they go around.
        let first = match count.checked_div(shape.connectors) {
            Some(0) => nth * shape.connectors / count,
            _ => nth % shape.connectors,
        };
        let mut after = (0..shape.connectors).map(|step| (first + step) % shape.connectors);
        let question = after
            .by_ref()
            .filter(|at| suits(*at) && !Shape::reports(*at))
            .take(SEARCH)
            .find_map(|at| ask(nth, at));
        questions.extend(question);
    }
    shuffle(&mut questions);
    questions
}

/// Mail that meets what its domain and its network demand.
fn accepted(shape: Shape, at: usize, nth: usize) -> pb::CheckInboundRequest {
    let connector = shape.inbound(at);
    let network = shape.inbound(shape.network_of(at));
    let addresses = if connector.require.client_ips.is_empty() {
        &network.networks
    } else {
        &connector.require.client_ips
    };
    let address = nth_of(addresses, nth).map(|of| of.host(nth));
    let newest = connector.require.min_version == Some("TLSv1.3") || !nth.is_multiple_of(3);
    let version = if newest { "TLSv1.3" } else { "TLSv1.2" };
    let listed = connector.require.certificate_names.iter();
    let presented = listed
        .chain(&network.require.certificate_names)
        .map(|name| shown(name))
        .collect();
    let own = connector.require.fingerprint.unwrap_or(at + 1);
    let certificate = certificate(presented, own, &sender_domain(shape, at, nth));
    ask_inbound(shape, at, nth, address, version, certificate)
}

/// Mail that fails three demands; none where the connector has not so many.
fn rejected(shape: Shape, at: usize, nth: usize) -> Option<pb::CheckInboundRequest> {
    let connector = shape.inbound(at);
    let Demand {
        min_version,
        certificate_names,
        fingerprint,
        client_ips,
        either,
        ..
    } = &connector.require;
    let minimum = min_version.is_some() || connector.inherited.is_some();
    let (named, pinned) = (!certificate_names.is_empty(), fingerprint.is_some());
    // Which demands fail: the version, the address, trust; the certificate always does.
    let (version, address, trust) = match (named, pinned, minimum, !client_ips.is_empty()) {
        (true, _, true, true) | (false, true, true, true) => (true, true, false),
        (true, _, true, false) => (true, false, true),
        (true, _, false, true) => (false, true, true),
        _ => return None,
    };
    if *either {
        return None;
    }
    let networks = shape.inbound(shape.network_of(at)).networks;
    let from = if address {
        Some(names::unknown_address(nth))
    } else {
        nth_of(&networks, nth).map(|of| of.host(nth))
    };
    let low = if nth.is_multiple_of(2) {
        "TLSv1"
    } else {
        "TLSv1.1"
    };
    let version = if version { low } else { "TLSv1.3" };
    let other = format!("mx{}.example.net", nth % 89);
    let mut certificate = certificate(vec![other.clone()], at + 2_000_000, &other);
    if trust {
        certificate.trust = pb::CertificateTrust::Untrusted.into();
        "unable to get local issuer certificate".clone_into(&mut certificate.trust_detail);
    }
    Some(ask_inbound(shape, at, nth, from, version, certificate))
}

/// Mail that no connector speaks of.
fn unknown(nth: usize) -> pb::CheckInboundRequest {
    let domain = unknown_domain(nth);
    let certificate = certificate(vec![format!("mail.{domain}")], nth + 5_000_000, &domain);
    pb::CheckInboundRequest {
        client_ip: names::unknown_address(nth).to_string(),
        helo: format!("mail.{domain}"),
        mail_from: format!("{}@{domain}", names::local(nth)),
        rcpt_to: recipient(nth, word("recipient", nth, &RECIPIENTS)),
        tls: (!nth.is_multiple_of(4)).then(|| session("TLSv1.3", certificate)),
        correlation_id: queue_id(nth),
        ..pb::CheckInboundRequest::default()
    }
}

fn ask_inbound(
    shape: Shape,
    at: usize,
    nth: usize,
    address: Option<IpAddr>,
    version: &str,
    certificate: pb::Certificate,
) -> pb::CheckInboundRequest {
    let domain = sender_domain(shape, at, nth);
    let to = match nth_of(&shape.inbound(at).recipients, nth) {
        Some(scope) => scope.strip_prefix("*.").unwrap_or(scope),
        None => word("recipient", nth, &RECIPIENTS),
    };
    pb::CheckInboundRequest {
        client_ip: address.map(|of| of.to_string()).unwrap_or_default(),
        helo: format!("{}.{domain}", names::label(nth)),
        mail_from: format!("{}@{domain}", names::local(nth)),
        rcpt_to: recipient(nth, to),
        tls: Some(session(version, certificate)),
        correlation_id: queue_id(nth),
        ..pb::CheckInboundRequest::default()
    }
}

/// A domain of the partner of the connector `at`.
fn sender_domain(shape: Shape, at: usize, nth: usize) -> String {
    let senders = shape.inbound(at).senders;
    let sender = nth_of(&senders, nth).cloned().unwrap_or_default();
    match sender.strip_prefix("*.") {
        Some(parent) if nth.is_multiple_of(4) => parent.to_owned(),
        Some(parent) => format!("{}.{parent}", names::label(nth)),
        None => sender,
    }
}

/// Mail to a partner, before the gateway has connected.
fn planned(at: usize, nth: usize) -> pb::CheckOutboundRequest {
    let connector = Shape::outbound(at);
    let to = match nth_of(&connector.recipients, nth) {
        Some(pattern) => match pattern.strip_prefix("*.") {
            Some(parent) => format!("{}.{parent}", names::label(nth)),
            None => pattern.clone(),
        },
        None => unknown_domain(nth),
    };
    let rule = connector.recipients.is_empty();
    let rule = rule.then(|| names::connector(at));
    pb::CheckOutboundRequest {
        mail_from: recipient(nth, word("recipient", nth, &RECIPIENTS)),
        rcpt_to: recipient(nth + 1, &to),
        rule_connector: rule.unwrap_or_default(),
        correlation_id: queue_id(nth),
        ..pb::CheckOutboundRequest::default()
    }
}

/// The same, with the session over which it may go.
fn enforced(at: usize, nth: usize) -> pb::CheckOutboundRequest {
    let connector = Shape::outbound(at);
    let mut question = planned(at, nth);
    let host = match nth_of(&connector.smart_hosts, nth) {
        Some(host) => match host.strip_prefix('[') {
            Some(address) => address.trim_end_matches(']').to_owned(),
            None => host.split(':').next().unwrap_or_default().to_owned(),
        },
        None => format!("mx{}.{}", nth % 3, names::domain(at)),
    };
    let listed = connector.certificate_names.iter();
    let mut presented: Vec<String> = listed.map(|name| shown(name)).collect();
    if presented.is_empty() {
        presented.push(host.clone());
    }
    let own = connector.fingerprint.unwrap_or(at + 1);
    let certificate = certificate(presented, own, &names::domain(at));
    question.session = Some(pb::OutboundSession {
        host,
        server_ip: names::unknown_address(nth).to_string(),
        tls: Some(session("TLSv1.3", certificate)),
    });
    question
}

/// Mail to a domain that no connector speaks of.
fn unknown_hop(nth: usize) -> pb::CheckOutboundRequest {
    pb::CheckOutboundRequest {
        mail_from: recipient(nth, word("recipient", nth, &RECIPIENTS)),
        rcpt_to: recipient(nth + 1, &unknown_domain(nth)),
        correlation_id: queue_id(nth),
        ..pb::CheckOutboundRequest::default()
    }
}

fn session(version: &str, certificate: pb::Certificate) -> pb::TlsSession {
    pb::TlsSession {
        version: version.to_owned(),
        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        peer_certificate: Some(certificate),
        certificate_unavailable: false,
    }
}

/// A certificate as a gateway tells of it that reads it, but does not pass it on whole.
fn certificate(dns_names: Vec<String>, own: usize, domain: &str) -> pb::Certificate {
    let common_name = dns_names.first().cloned();
    let common_name = common_name.unwrap_or_else(|| format!("mail.{domain}"));
    let spread = i64::try_from(below("not_after", own, 31_000_000)).unwrap_or(0);
    pb::Certificate {
        trust: pb::CertificateTrust::Trusted.into(),
        subject: format!("CN={common_name}"),
        common_name,
        dns_names,
        sha256: names::fingerprint(own),
        spki_sha256: names::fingerprint(own + 1_000_000),
        issuer: "CN=R11,O=Let's Encrypt,C=US".to_owned(),
        not_after: Some(prost_types::Timestamp {
            seconds: 1_900_000_000 + spread,
            nanos: 0,
        }),
        ..pb::Certificate::default()
    }
}

/// A name that a certificate presents for the configured `name`.
fn shown(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(parent) => format!("mail.{parent}"),
        None => name.to_owned(),
    }
}

fn recipient(nth: usize, domain: &str) -> String {
    format!("{}@{domain}", names::local(nth))
}

fn unknown_domain(nth: usize) -> String {
    format!(
        "{}{nth}.{}.invalid",
        names::label(nth),
        names::label(nth + 1)
    )
}

fn queue_id(nth: usize) -> String {
    format!("4fQ{:08X}z", below("queue", nth, 0xffff_ffff))
}

fn nth_of<T>(items: &[T], nth: usize) -> Option<&T> {
    items.get(nth.checked_rem(items.len())?)
}

/// How many connectors are looked at for one that a question can be about.
const SEARCH: usize = 64;
