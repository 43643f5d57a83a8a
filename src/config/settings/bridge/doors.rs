//! `[[policy]]`, `[[socketmap]]` and `[[milter]]` of `bridge.toml`: where MTAs ask, and how.

use std::ops::Range;

use super::{
    super::{
        super::{
            finding::{Finding, Findings},
            listen::Endpoint,
            table::{At, table},
            value::Texts,
            words::shown,
        },
        bounds, name_of_set, server,
    },
    BridgeSettings, RawBridge,
};
use crate::mail::DomainPattern;

/// Where Postfix asks by policy delegation, and Exim by readsocket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Where.
    pub listen: Vec<Endpoint>,
    /// The connector set that decides; none: the one whose accepted domains choose it.
    pub connector_set: Option<String>,
    /// The header that names the connector in mail that passes; none: no header.
    pub header: Option<String>,
}

/// Where Postfix looks up the maps `tls` and `transport`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Socketmap {
    /// Where.
    pub listen: Vec<Endpoint>,
    /// The connector set that decides; none: the one whose accepted domains choose it.
    pub connector_set: Option<String>,
    /// The service of Postfix's master.cf that carries mail to smart hosts.
    pub transport: String,
    /// Domains whose mail comes in: they are not looked up among those that mail is sent to.
    pub own_domains: Vec<DomainPattern>,
}

/// Where Sendmail and Postfix ask by milter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Milter {
    /// Where.
    pub listen: Vec<Endpoint>,
    /// The connector set that decides; none: the one whose accepted domains choose it.
    pub connector_set: Option<String>,
    /// The header that names the connector in mail that passes; none: no header.
    pub header: Option<String>,
}

table! {
    /// Where Postfix asks by policy delegation, and Exim by readsocket.
    pub struct RawPolicy {
        /// The address and port to listen on, or `unix:` and the path of a socket; or several.
        #[schemars(required)]
        listen: Option<At<Texts>> = "listen" => "listen = \"127.0.0.1:9998\"";
        /// The connector set that decides, where its accepted domains are not to choose it.
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        connector_set: Option<At<String>> = "connector_set" => "connector_set = \"contoso\"";
        /// A header that is put before mail that passes, with the name of its connector.
        #[schemars(extend("pattern" = "^[A-Za-z0-9-]{1,64}$"))]
        header: Option<At<String>> = "header" => "header = \"X-Postern-Connector\"";
    }
}

table! {
    /// Where Postfix looks up the maps `tls` and `transport`.
    pub struct RawSocketmap {
        /// The address and port to listen on, or `unix:` and the path of a socket; or several.
        #[schemars(required)]
        listen: Option<At<Texts>> = "listen" => "listen = \"127.0.0.1:9999\"";
        /// The connector set that decides, where its accepted domains are not to choose it.
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        connector_set: Option<At<String>> = "connector_set" => "connector_set = \"contoso\"";
        /// The service of Postfix's master.cf that carries mail to smart hosts.
        #[schemars(extend("default" = "smtp", "pattern" = "^[A-Za-z0-9_-]{1,64}$"))]
        transport: Option<At<String>> = "transport" => "transport = \"relay\"";
        /// Domains whose mail comes in: they are not looked up among those that mail is sent to.
        #[schemars(extend("items" = {"type": "string", "minLength": 1}))]
        own_domains: Option<At<Vec<At<String>>>> = "own_domains"
            => "own_domains = [\"contoso.com\", \"*.contoso.com\"]";
    }
}

table! {
    /// Where Sendmail and Postfix ask by milter.
    pub struct RawMilter {
        /// The address and port to listen on, or `unix:` and the path of a socket; or several.
        #[schemars(required)]
        listen: Option<At<Texts>> = "listen" => "listen = \"127.0.0.1:9990\"";
        /// The connector set that decides, where its accepted domains are not to choose it.
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        connector_set: Option<At<String>> = "connector_set" => "connector_set = \"contoso\"";
        /// A header of mail that passes, with the name of its connector; forged ones are removed.
        #[schemars(extend("pattern" = "^[A-Za-z0-9-]{1,64}$"))]
        header: Option<At<String>> = "header" => "header = \"X-Postern-Connector\"";
    }
}

/// Puts what `raw` says of doors into `settings`.
pub(super) fn check(raw: &RawBridge, settings: &mut BridgeSettings, findings: &mut Findings) {
    for At { value, span } in &raw.policy {
        let listen = value.listen.as_ref();
        if let Some(listen) = places(listen, value.unread.has("listen"), span, findings) {
            settings.policy.push(Policy {
                listen,
                connector_set: set_name(value.connector_set.as_ref(), findings),
                header: header(value.header.as_ref(), findings),
            });
        }
    }
    for At { value, span } in &raw.socketmap {
        let listen = value.listen.as_ref();
        if let Some(listen) = places(listen, value.unread.has("listen"), span, findings) {
            settings.socketmap.push(Socketmap {
                listen,
                connector_set: set_name(value.connector_set.as_ref(), findings),
                transport: transport(value.transport.as_ref(), findings),
                own_domains: bounds::patterns(value.own_domains.as_ref(), findings),
            });
        }
    }
    for At { value, span } in &raw.milter {
        let listen = value.listen.as_ref();
        if let Some(listen) = places(listen, value.unread.has("listen"), span, findings) {
            settings.milter.push(Milter {
                listen,
                connector_set: set_name(value.connector_set.as_ref(), findings),
                header: header(value.header.as_ref(), findings),
            });
        }
    }
    twice(raw, settings, findings);
    let written = [raw.policy.len(), raw.socketmap.len(), raw.milter.len()];
    let unread = ["policy", "socketmap", "milter"];
    if written == [0; 3] && !unread.iter().any(|key| raw.unread.has(key)) {
        let message = "there is nothing that an MTA could ask at";
        let span = raw.version.as_ref().map(|it| it.span.clone());
        let finding = Finding::error("listener-missing", span.unwrap_or_default(), message);
        findings.push(
            finding
                .help("add `[[policy]]`, `[[socketmap]]` or `[[milter]]`, each with its `listen`"),
        );
    }
}

fn places(
    raw: Option<&At<Texts>>,
    unread: bool,
    table: &Range<usize>,
    findings: &mut Findings,
) -> Option<Vec<Endpoint>> {
    if raw.is_none() && !unread {
        let message = "`listen` is missing: nobody could ask here";
        let finding = Finding::error("listen-missing", table.clone(), message);
        findings.push(finding.help(
            "write an address and a port, like `listen = \"127.0.0.1:9998\"`, or a socket, like \
             `listen = \"unix:/run/postern/policy.sock\"`",
        ));
    }
    server::endpoints("listen", raw, findings)
}

/// What cannot be listened on: places that stand twice, or that other machines reach unasked.
fn twice(raw: &RawBridge, settings: &BridgeSettings, findings: &mut Findings) {
    let policy = raw
        .policy
        .iter()
        .filter_map(|raw| raw.value.listen.as_ref());
    let socketmap = raw
        .socketmap
        .iter()
        .filter_map(|raw| raw.value.listen.as_ref());
    let milter = raw
        .milter
        .iter()
        .filter_map(|raw| raw.value.listen.as_ref());
    let admin = Endpoint::Tcp(settings.admin_listen);
    let mut seen: Vec<(usize, Endpoint)> = vec![(usize::MAX, admin)];
    for (at, texts) in policy.chain(socketmap).chain(milter).enumerate() {
        for At { value, span } in &texts.value.0 {
            let Ok(endpoint) = value.parse::<Endpoint>() else {
                continue;
            };
            // Why not within one list: that has its finding already.
            if seen.iter().any(|(of, it)| *of != at && *it == endpoint) && !endpoint.is_any() {
                let message = format!("`{endpoint}` is listened on twice");
                let finding = Finding::error("listen-twice", span.clone(), message);
                findings.push(finding.help("write another port or path for one of the two"));
            }
            if endpoint.is_exposed() && !settings.listeners.allow_plaintext {
                let message = format!("`{endpoint}` would take plaintext from other machines");
                let finding = Finding::error("plaintext-exposed", span.clone(), message);
                findings.push(finding.help(
                    "listen on `127.0.0.1` or a socket, beside the MTA; or write \
                     `allow_plaintext = true` in `[listeners]` where nobody else is on the way",
                ));
            }
            seen.push((at, endpoint));
        }
    }
}

fn set_name(raw: Option<&At<String>>, findings: &mut Findings) -> Option<String> {
    name_of_set(raw?, findings)
}

fn header(raw: Option<&At<String>>, findings: &mut Findings) -> Option<String> {
    let At { value, span } = raw?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=LONGEST_NAME).contains(&value.len()) && value.bytes().all(plain) {
        return Some(value.clone());
    }
    let message = format!("`{}` cannot be the name of a header", shown(value));
    let finding = Finding::error("header-invalid", span.clone(), message);
    findings.push(finding.help("write letters, digits and `-`, like `X-Postern-Connector`"));
    None
}

fn transport(raw: Option<&At<String>>, findings: &mut Findings) -> String {
    let usual = || "smtp".to_owned();
    let Some(At { value, span }) = raw else {
        return usual();
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=LONGEST_NAME).contains(&value.len()) && value.bytes().all(plain) {
        return value.clone();
    }
    let message = format!("`{}` cannot be a service of master.cf", shown(value));
    let finding = Finding::error("transport-invalid", span.clone(), message);
    findings.push(finding.help("write its name, like `smtp` or `relay`"));
    usual()
}

const LONGEST_NAME: usize = 64;
