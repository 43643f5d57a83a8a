//! The connectors of a running service that match a partner, as it explains them.

use super::Partner;
use crate::{
    cli::{
        Context, Format,
        exit::{Exit, Stop},
        explanation, remote,
    },
    rpc::{client::ClientOptions, json, pb},
};

/// Asks the service that `server` names which connectors match `partner`.
pub(super) fn list(
    server: &ClientOptions,
    set: Option<&str>,
    partner: &Partner,
    format: Format,
    context: &Context<'_>,
) -> Result<Exit, Stop> {
    let set = set.unwrap_or_default();
    let (inbound, outbound) = questions(set, partner);
    let inbound = remote::explain_inbound(server, inbound)?;
    let by = match partner {
        Partner::Address(_) => pb::MatchedBy::ClientIp,
        Partner::Domain(_) => pb::MatchedBy::SenderDomain,
    };
    let verdict = inbound
        .decision
        .as_ref()
        .map(pb::CheckInboundResponse::verdict);
    let asked = inbound
        .decision
        .as_ref()
        .and_then(|decision| decision.revision.as_ref());
    if set.is_empty() && verdict == Some(pb::Verdict::Conditional) && inbound.chains.is_empty() {
        return Err(Stop::usage(
            "the service has several connector sets: name one with `--set`",
        ));
    }
    let set = asked
        .map_or(set, |revision| &revision.connector_set)
        .to_owned();
    let mut chains = inbound.chains;
    chains.retain(|chain| chain.by() == by);
    if let Some(outbound) = outbound {
        chains.extend(remote::explain_outbound(server, outbound)?.chains);
    }
    match format {
        Format::Json => {
            let chains: Vec<_> = chains
                .iter()
                .map(|chain| json::to_json("postern.v1.Chain", chain))
                .collect();
            let list = serde_json::json!({ "set": set, "chains": chains });
            context.output.line(&format!("{list:#}"));
        }
        Format::Human => {
            let mut text = format!("set {}\n", context.output.ink().bold(&set));
            if chains.is_empty() {
                text.push_str("no connector matches\n");
            }
            // Why: the session is made up, so that it says nothing whether it meets the demands.
            explanation::chains(&mut text, &chains, false, context.output.ink());
            context.output.print(&text);
        }
    }
    Ok(Exit::Success)
}

fn questions(
    set: &str,
    partner: &Partner,
) -> (
    pb::ExplainInboundRequest,
    Option<pb::ExplainOutboundRequest>,
) {
    let (client_ip, mail_from) = match partner {
        Partner::Address(address) => (address.to_string(), String::new()),
        // Why: an address is required; this one is for documentation (RFC 5737).
        Partner::Domain(domain) => ("192.0.2.1".to_owned(), format!("postmaster@{domain}")),
    };
    let facts = pb::CheckInboundRequest {
        connector_set: set.to_owned(),
        client_ip,
        mail_from,
        ..Default::default()
    };
    let inbound = pb::ExplainInboundRequest {
        facts: Some(facts),
        connectors: Vec::new(),
    };
    let outbound = match partner {
        Partner::Address(_) => None,
        Partner::Domain(domain) => {
            let facts = pb::CheckOutboundRequest {
                connector_set: set.to_owned(),
                rcpt_to: domain.to_string(),
                ..Default::default()
            };
            Some(pb::ExplainOutboundRequest {
                facts: Some(facts),
                connectors: Vec::new(),
            })
        }
    };
    (inbound, outbound)
}
