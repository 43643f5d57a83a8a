//! Rego on keyed data, evaluated by regorus: `peers/connectors.rego`, and the data that it looks
//! connectors up in.
//!
//! The policy is compiled once, and the question's input is made outside of what is timed.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use postern::{
    mail::{Network, PresentedName},
    policy::{
        ConnectorSet, InboundFacts, Reason, Verdict,
        connector::{InboundConnector, Partner},
        facts::{CertificateFacts, Trust},
        requirement::Origin,
    },
};
use regorus::{Engine, Value, languages::rego::compiler::Compiler, rvm::vm::RegoVM};
use serde_json::{Map, Value as Json, json};

use super::{Meaning, patterns};

/// The policy; it is the same whatever the connectors.
pub const POLICY: &str = include_str!("../../peers/connectors.rego");

/// The connectors of one set as a document, and the policy compiled.
pub struct Rego {
    machine: RegoVM,
    engine: Engine,
    /// The lengths of the prefixes that connectors match by: of IPv4, of IPv6.
    prefixes: [Vec<u8>; 2],
}

/// What the policy is given of a session.
#[derive(Clone, Debug)]
pub struct Input(Value);

impl Rego {
    /// The inbound connectors of `set` that are enforced.
    pub fn new(set: &ConnectorSet) -> Result<Self, Box<dyn Error>> {
        let (document, prefixes) = document(set);
        let data = Value::from_json_str(&document.to_string())?;
        let mut engine = Engine::new();
        engine.add_policy("connectors.rego".to_owned(), POLICY.to_owned())?;
        engine.add_data(data.clone())?;
        let compiled = engine.compile_with_entrypoint(&RULE.into())?;
        let program = Compiler::compile_from_policy(&compiled, &[RULE])?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_data(data)?;
        Ok(Self {
            machine,
            engine,
            prefixes,
        })
    }

    /// A session in the form that the policy reads.
    pub fn question(&self, facts: &InboundFacts<'_>) -> Result<Input, Box<dyn Error>> {
        let [ipv4, ipv6] = &self.prefixes;
        let lengths = if facts.client_ip.is_ipv4() {
            ipv4
        } else {
            ipv6
        };
        let address = facts.client_ip;
        let networks: Vec<String> = lengths
            .iter()
            .filter_map(|length| Network::parse(&format!("{address}/{length}")).ok())
            .map(|(network, _)| key(&network))
            .collect();
        let recipient = facts.rcpt_to.as_ref();
        let mut input = json!({
            "client_ip": address.to_string(),
            "networks": networks,
            "senders": patterns(facts.mail_from.domain()),
            "recipients": patterns(recipient.and_then(|recipient| recipient.domain())),
        });
        if let Some(fields) = input.as_object_mut() {
            if recipient.is_some() {
                fields.insert("recipient_known".to_owned(), true.into());
            }
            if let Some(tls) = &facts.tls {
                let mut session = json!({ "version": tls.version as u8 });
                if let (Some(fields), Some(seen)) = (session.as_object_mut(), &tls.certificate) {
                    fields.insert("certificate".to_owned(), certificate(seen));
                }
                fields.insert("tls".to_owned(), session);
            }
        }
        Ok(Input(Value::from_json_str(&input.to_string())?))
    }

    /// The answer, as the policy gives it, from the compiled program.
    pub fn decide(&mut self, input: &Input) -> Result<Value, Box<dyn Error>> {
        self.machine.set_input(input.0.clone());
        Ok(self.machine.execute()?)
    }

    /// The same from the interpreter.
    pub fn interpret(&mut self, input: &Input) -> Result<Value, Box<dyn Error>> {
        self.engine.set_input(input.0.clone());
        Ok(self.engine.eval_rule(RULE.to_owned())?)
    }
}

impl std::fmt::Debug for Rego {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rego")
    }
}

/// What an answer of the policy says.
pub fn meaning(answer: &Value) -> Result<Meaning, Box<dyn Error>> {
    let verdict = answer["verdict"].as_string()?;
    let verdict = VERDICTS
        .into_iter()
        .find(|known| known.as_str() == &**verdict);
    let reasons = answer["reasons"].as_array()?.iter().map(|reason| {
        let name = reason.as_string().ok()?;
        Reason::ALL
            .into_iter()
            .find(|known| known.as_str() == &**name)
    });
    Ok(Meaning {
        verdict: verdict.ok_or("no verdict")?,
        reasons: reasons.collect::<Option<_>>().ok_or("no reason")?,
    })
}

/// The connectors that know their partner by one pattern.
#[derive(Default)]
struct Node {
    unscoped: Option<Map<String, Json>>,
    scoped: Map<String, Json>,
}

fn document(set: &ConnectorSet) -> (Json, [Vec<u8>; 2]) {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let [mut ipv4, mut ipv6] = [BTreeSet::new(), BTreeSet::new()];
    for connector in set.inbound().iter().filter(|of| of.mode.enforces()) {
        let mut keys = Vec::new();
        match &connector.partner {
            Partner::SenderDomains(patterns) => {
                keys.extend(patterns.iter().map(|pattern| pattern.value.to_string()));
            }
            Partner::ClientIps(networks) => {
                for network in networks.iter().map(|network| network.value) {
                    let lengths = if network.is_ipv4() {
                        &mut ipv4
                    } else {
                        &mut ipv6
                    };
                    lengths.insert(network.prefix_len());
                    keys.push(key(&network));
                }
            }
        }
        let demands = demands(connector);
        for key in keys {
            let node = nodes.entry(key).or_default();
            if connector.recipient_domains.is_empty() {
                node.unscoped = Some(demands.clone());
            }
            for recipient in &connector.recipient_domains {
                let scope = recipient.value.to_string();
                node.scoped.insert(scope, demands.clone().into());
            }
        }
    }
    let nodes: Map<String, Json> = nodes
        .into_iter()
        .map(|(key, node)| {
            let mut fields = Map::new();
            fields.extend(node.unscoped.map(|of| ("unscoped".to_owned(), of.into())));
            if !node.scoped.is_empty() {
                fields.insert("scoped".to_owned(), node.scoped.into());
            }
            (key, fields.into())
        })
        .collect();
    let longest_first = |lengths: BTreeSet<u8>| lengths.into_iter().rev().collect();
    (json!({ "nodes": nodes }), [ipv4, ipv6].map(longest_first))
}

/// What a connector demands; a key is there only where the connector states it.
fn demands(connector: &InboundConnector) -> Map<String, Json> {
    let mut demands = Map::new();
    let mut add = |key: &str, value: Json| demands.insert(key.to_owned(), value);
    add("name", json!(connector.name));
    add(
        "action",
        Verdict::from(connector.reply.action).as_str().into(),
    );
    if let Some(tls) = connector.require.tls {
        add("tls", tls.as_str().into());
    }
    if let Some(minimum) = &connector.require.min_version {
        add("min_version", (minimum.value as u8).into());
    }
    match &connector.require.origin {
        None => {}
        Some(Origin::Unrestricted) => {
            add("origin", "unrestricted".into());
        }
        Some(Origin::Restricted(origin)) => {
            add("origin", "restricted".into());
            if origin.either {
                add("either", true.into());
            }
            if let Some(addresses) = &origin.addresses {
                let networks = addresses.networks.iter().map(|network| key(&network.value));
                add("client_ips", networks.collect());
            }
            if let Some(certificate) = &origin.certificate {
                let names = certificate.names.iter().map(|name| name.value.to_string());
                let pins = certificate
                    .fingerprints
                    .iter()
                    .map(|pin| pin.value.to_string());
                add("certificate", true.into());
                add("names", names.collect());
                add("fingerprints", pins.collect());
            }
        }
    }
    demands
}

fn certificate(seen: &CertificateFacts<'_>) -> Json {
    let names = seen
        .names
        .iter()
        .filter_map(|name| match name.name.as_ref()? {
            PresentedName::Exact(domain) => Some(domain.to_string()),
            PresentedName::Wildcard(base) => Some(format!("*.{base}")),
        });
    let trust_reasons: &[&str] = match seen.trust {
        Trust::Trusted => &[],
        Trust::Expired => &["CERTIFICATE_EXPIRED"],
        _ => &["CERTIFICATE_UNTRUSTED"],
    };
    let fingerprints = seen.fingerprints().map(|seen| seen.to_string());
    json!({
        "names": names.collect::<Vec<_>>(),
        "trust_reasons": trust_reasons,
        "fingerprints": fingerprints.collect::<Vec<_>>(),
    })
}

/// A network always with its prefix, so that no domain looks like it.
fn key(network: &Network) -> String {
    format!("{}/{}", network.addr(), network.prefix_len())
}

const RULE: &str = "data.postern.decision";

const VERDICTS: [Verdict; 4] = [
    Verdict::Accept,
    Verdict::Conditional,
    Verdict::Defer,
    Verdict::Reject,
];
