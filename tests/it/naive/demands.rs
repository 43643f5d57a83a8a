//! What the mail must meet in one chain of inbound connectors, and what of it it does not.

use super::{
    checks::{certificate, first_of_equals, version_too_low},
    facts::InboundFacts,
    model::{Inbound, InboundRequire, InboundTls, Origin},
    names::{address, network},
    outcome::{Reason, Rejection},
};

/// What of a chain's demands the mail does not meet, in the order of the table.
pub(crate) fn unmet(chain: &[&Inbound], facts: &InboundFacts) -> Vec<Rejection> {
    // "three demands are decided separately, each by the most specific connector that states it"
    let connectors = || chain.iter().copied();
    let tls = connectors().find_map(|one| stated_tls(&one.require).map(|tls| (one, tls)));
    let minimum =
        connectors().find_map(|one| one.require.tls_min_version.as_ref().map(|min| (one, min)));
    let origin = connectors().find(|one| states_origin(&one.require));

    let mut rejections = Vec::new();
    // "TLS is demanded, and the session is in plaintext. The chain then gives no certificate
    // reason"
    let mut tls_required = false;
    if let Some((connector, InboundTls::Encrypt)) = tls
        && facts.tls.is_none()
    {
        tls_required = true;
        let none = Vec::new();
        rejections.push(Rejection::new(
            Reason::TlsRequired,
            &connector.name,
            none.clone(),
            none,
        ));
    }
    if let Some((connector, minimum)) = minimum {
        rejections.extend(version_too_low(
            &connector.name,
            minimum,
            facts.tls.as_ref(),
        ));
    }
    if let Some(connector) = origin {
        rejections.extend(unmet_origin(connector, facts, tls_required));
    }
    rejections
}

/// What the connector whose origin holds finds wrong with certificate and address.
fn unmet_origin(connector: &Inbound, facts: &InboundFacts, tls_required: bool) -> Vec<Rejection> {
    let require = &connector.require;
    if require.origin == Some(Origin::Unrestricted) {
        return Vec::new();
    }
    let presented = facts
        .tls
        .as_ref()
        .and_then(|tls| tls.peer_certificate.as_ref());
    let of_certificate = certificate(
        &connector.name,
        &require.certificate_names,
        &require.certificate_fingerprints,
        presented,
    );
    let of_address = wrong_address(connector, facts);
    // "With `origin = "address-or-certificate"` either proof is enough, and where neither holds
    // the reasons of both are given"
    if require.origin == Some(Origin::AddressOrCertificate)
        && (of_certificate.is_empty() || of_address.is_none())
    {
        return Vec::new();
    }
    let of_certificate = if tls_required {
        Vec::new()
    } else {
        of_certificate
    };
    of_certificate.into_iter().chain(of_address).collect()
}

/// `CLIENT_IP_NOT_ALLOWED`: "the client address is in none of `client_ips`"; "networks; the
/// address".
fn wrong_address(connector: &Inbound, facts: &InboundFacts) -> Option<Rejection> {
    let networks = &connector.require.client_ips;
    let client = address(&facts.client_ip);
    let inside = |text: &String| {
        network(text)
            .zip(client)
            .is_some_and(|(network, client)| network.contains(&client))
    };
    if networks.is_empty() || networks.iter().any(inside) {
        return None;
    }
    let expected = first_of_equals(networks, network);
    let observed = client
        .map(|client| client.to_string())
        .into_iter()
        .collect();
    Some(Rejection::new(
        Reason::ClientIpNotAllowed,
        &connector.name,
        expected,
        observed,
    ))
}

/// "stated by `tls`, or by `tls_min_version`, `certificate_names` or `certificate_fingerprints`,
/// which imply `encrypt` (with `origin = "address-or-certificate"` the two certificate lists do
/// not)".
fn stated_tls(require: &InboundRequire) -> Option<InboundTls> {
    let implied = require.tls_min_version.is_some()
        || (lists_certificates(require) && require.origin != Some(Origin::AddressOrCertificate));
    require.tls.or(implied.then_some(InboundTls::Encrypt))
}

/// "stated by `client_ips`, `certificate_names`, `certificate_fingerprints` or `origin =
/// "unrestricted"`".
fn states_origin(require: &InboundRequire) -> bool {
    !require.client_ips.is_empty()
        || lists_certificates(require)
        || require.origin == Some(Origin::Unrestricted)
}

fn lists_certificates(require: &InboundRequire) -> bool {
    !require.certificate_names.is_empty() || !require.certificate_fingerprints.is_empty()
}
