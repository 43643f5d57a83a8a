//! `bridge.toml`: what a process beside an MTA listens on, and which service it asks.

mod doors;
mod service;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use schemars::Schema;

pub use self::{
    doors::{Milter, Policy, Socketmap},
    service::{OnUnavailable, Service},
};
use self::{
    doors::{RawMilter, RawPolicy, RawSocketmap},
    service::RawService,
};
use super::{
    super::{
        finding::{Finding, Findings},
        listen::Endpoint,
        schema, syntax,
        table::{At, Reader, table},
    },
    length, limits, listen, server, set,
};

/// What a bridge listens on, whom it asks, and what it waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeSettings {
    /// The service that it asks.
    pub service: Service,
    /// What holds for all that MTAs ask at.
    pub listeners: Listeners,
    /// Where health and metrics are read, over HTTP.
    pub admin_listen: SocketAddr,
    /// How long questions in hand may take, once it is told to stop, before they are cut.
    pub drain_deadline: Duration,
    /// Where Postfix asks by policy delegation, and Exim by readsocket.
    pub policy: Vec<Policy>,
    /// Where Postfix looks up socketmaps.
    pub socketmap: Vec<Socketmap>,
    /// Where Sendmail and Postfix ask by milter.
    pub milter: Vec<Milter>,
}

/// What holds for all that MTAs ask at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listeners {
    /// Who may open the file of a unix-domain socket.
    pub socket_mode: u32,
    /// Other machines may ask: these protocols are in plaintext, and nobody shows who asks.
    pub allow_plaintext: bool,
    /// How many connections may be open.
    pub connections: usize,
    /// How long a request may take to come whole, and as long again its answer to be taken.
    pub request_timeout: Duration,
    /// For how long a connection may be without a request; none: for ever.
    pub idle: Option<Duration>,
}

impl Default for BridgeSettings {
    /// The built-in settings, with nothing that an MTA could ask at.
    fn default() -> Self {
        Self {
            service: Service::default(),
            listeners: Listeners::default(),
            admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9465),
            drain_deadline: Duration::from_secs(10),
            policy: Vec::new(),
            socketmap: Vec::new(),
            milter: Vec::new(),
        }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            socket_mode: 0o660,
            allow_plaintext: false,
            connections: 1024,
            request_timeout: Duration::from_secs(10),
            idle: Some(Duration::from_mins(20)),
        }
    }
}

impl BridgeSettings {
    /// Reads a `bridge.toml`; keys it does not have keep their built-in values. Where it is wrong,
    /// the answer is everything that is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::default();
        let settings = read(text, &mut findings).map(|raw| check(&raw, &mut findings));
        match settings {
            Some(settings) if !findings.has_errors() => Ok(settings),
            _ => Err(findings.into_sorted()),
        }
    }

    /// Takes relative paths as from `directory`.
    pub fn relative_to(&mut self, directory: &Path) {
        self.service.relative_to(directory);
    }

    /// All that MTAs ask at.
    pub fn listens(&self) -> impl Iterator<Item = &Endpoint> {
        let policy = self.policy.iter().flat_map(|door| &door.listen);
        let socketmap = self.socketmap.iter().flat_map(|door| &door.listen);
        let milter = self.milter.iter().flat_map(|door| &door.listen);
        policy.chain(socketmap).chain(milter)
    }
}

/// The JSON Schema of a `bridge.toml`, for editors.
pub fn schema() -> Schema {
    schema::of::<RawBridge>("Postern bridge")
}

table! {
    /// The settings of a Postern bridge, which runs beside an MTA; read once at start.
    pub struct RawBridge {
        /// The version of this file's format.
        #[schemars(required, extend("const" = 1))]
        version: Option<At<i64>> = "version" => "version = 1";
        /// The Postern service that is asked.
        service: Option<At<RawService>> = "service";
        /// What holds for all that MTAs ask at.
        listeners: Option<At<RawListeners>> = "listeners";
        /// Health and metrics over HTTP.
        admin: Option<At<RawBridgeAdmin>> = "admin";
        /// How the process ends.
        shutdown: Option<At<RawBridgeShutdown>> = "shutdown";
        /// Where Postfix asks by policy delegation, and Exim by readsocket.
        #[schemars(default)]
        policy: Vec<At<RawPolicy>> = "policy";
        /// Where Postfix looks up the maps `tls` and `transport`.
        #[schemars(default)]
        socketmap: Vec<At<RawSocketmap>> = "socketmap";
        /// Where Sendmail and Postfix ask by milter.
        #[schemars(default)]
        milter: Vec<At<RawMilter>> = "milter";
    }
}

table! {
    /// What holds for all that MTAs ask at.
    pub struct RawListeners {
        /// The mode of a socket's file, in octal digits.
        #[schemars(extend("default" = "0660", "pattern" = "^0?[0-7]{3}$"))]
        socket_mode: Option<At<String>> = "socket_mode" => "socket_mode = \"0660\"";
        /// Let other machines ask, in plaintext: what they say of a session is believed.
        #[schemars(extend("default" = false))]
        allow_plaintext: Option<At<bool>> = "allow_plaintext" => "allow_plaintext = true";
        /// How many connections may be open; more are closed at once.
        #[schemars(extend("default" = 1024, "minimum" = 1, "maximum" = 1_000_000))]
        connections: Option<At<i64>> = "connections" => "connections = 1024";
        /// How long a request may take to come whole, and as long again its answer to be taken.
        #[schemars(extend("default" = "10s", "examples" = ["500ms", "10s", "1m"]))]
        request_timeout: Option<At<String>> = "request_timeout" => "request_timeout = \"10s\"";
        /// For how long a connection may be without a request; "0s": for ever.
        #[schemars(extend("default" = "20m", "examples" = ["0s", "5m", "20m"]))]
        idle: Option<At<String>> = "idle" => "idle = \"20m\"";
    }
}

table! {
    /// Health and metrics over HTTP.
    pub struct RawBridgeAdmin {
        /// The address and port to listen on.
        #[schemars(extend("default" = "127.0.0.1:9465"))]
        listen: Option<At<String>> = "listen" => "listen = \"127.0.0.1:9465\"";
    }
}

table! {
    /// How the process ends.
    pub struct RawBridgeShutdown {
        /// How long questions in hand may take before they are cut; at most a day.
        #[schemars(extend("default" = "10s", "examples" = ["500ms", "10s", "1m"]))]
        drain_deadline: Option<At<String>> = "drain_deadline" => "drain_deadline = \"10s\"";
    }
}

fn read(text: &str, findings: &mut Findings) -> Option<RawBridge> {
    let root = syntax::parse(text, findings)?;
    syntax::check_version(text, &root, findings)?;
    Some(Reader::read(text, &root, &[], findings))
}

fn check(raw: &RawBridge, findings: &mut Findings) -> BridgeSettings {
    let mut settings = BridgeSettings::default();
    if let Some(service) = &raw.service {
        settings.service = service::check(&service.value, findings);
    }
    if let Some(listeners) = &raw.listeners {
        settings.listeners = check_listeners(&listeners.value, findings);
    }
    let admin = raw.admin.as_ref().and_then(|raw| raw.value.listen.as_ref());
    set(&mut settings.admin_listen, listen(admin, findings));
    if let Some(shutdown) = &raw.shutdown {
        set(
            &mut settings.drain_deadline,
            length(shutdown.value.drain_deadline.as_ref(), findings),
        );
    }
    doors::check(raw, &mut settings, findings);
    settings
}

fn check_listeners(raw: &RawListeners, findings: &mut Findings) -> Listeners {
    let mut listeners = Listeners::default();
    let mode = server::mode(raw.socket_mode.as_ref(), findings);
    set(&mut listeners.socket_mode, mode);
    let allow = raw.allow_plaintext.as_ref().map(|allow| allow.value);
    set(&mut listeners.allow_plaintext, allow);
    let connections = raw.connections.as_ref();
    let connections = limits::number(connections, "connections", 1..=1_000_000, findings);
    set(&mut listeners.connections, connections);
    let bounds = Duration::from_millis(10)..=Duration::from_hours(1);
    let timeout = raw.request_timeout.as_ref();
    let timeout = limits::length(timeout, "request_timeout", bounds, findings);
    set(&mut listeners.request_timeout, timeout);
    let bounds = Duration::ZERO..=Duration::from_hours(24);
    if let Some(idle) = limits::length(raw.idle.as_ref(), "idle", bounds, findings) {
        listeners.idle = Some(idle).filter(|idle| !idle.is_zero());
    }
    listeners
}

#[cfg(test)]
mod tests;
