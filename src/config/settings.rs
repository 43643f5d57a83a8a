//! The settings of the process: read once at start, changed by a restart.

mod admin;
pub mod bounds;
pub mod bridge;
pub mod callers;
pub mod decision_log;
mod limits;
pub mod otel;
pub mod otlp;
pub mod secret;
mod server;
pub mod share;
mod size;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::Schema;

use self::{
    admin::RawAdmin,
    bounds::{Bounds, RawSetBounds},
    callers::{CallerSettings, RawCallerSettings},
    decision_log::{DecisionLog, RawDecisionLog},
    otlp::{Otlp, RawMetrics, RawTracing},
    server::{RawServer, exposed, shared},
};
pub use self::{
    limits::Limits,
    server::{ClientCa, Tls},
};
use super::{
    finding::{Finding, Findings},
    listen::{Endpoint, Listen},
    schema, syntax,
    table::{At, Reader, table},
    value::Texts,
    words::shown,
};
use crate::callers::TokenHash;

/// What the process listens on, reads and waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where gateways ask, over gRPC.
    pub listen: Vec<Endpoint>,
    /// Where the same is asked over HTTP, with JSON; empty: nowhere.
    pub http_listen: Vec<Endpoint>,
    /// Who may open the file of a unix-domain socket.
    pub socket_mode: u32,
    /// Other machines may ask in plaintext.
    pub allow_plaintext: bool,
    /// What TLS is spoken with over the network; none: plaintext.
    pub tls: Option<Tls>,
    /// What gateways may ask, and for how long.
    pub limits: Limits,
    /// Where health, status and metrics are read, over HTTP.
    pub admin_listen: SocketAddr,
    /// Other machines may read them in plaintext.
    pub admin_allow_plaintext: bool,
    /// The directory of the connector sets, as written: a relative one in a settings file is
    /// relative to that file's directory.
    pub connectors: PathBuf,
    /// The set that answers calls which choose none.
    pub default_set: Option<String>,
    /// How long calls are still accepted after health says NOT_SERVING.
    pub drain_delay: Duration,
    /// How long calls in flight may take after that before they are cut.
    pub drain_deadline: Duration,
    /// The hashes of the tokens that operators need for all but probes; none: nobody needs one.
    pub admin_tokens: Vec<TokenHash>,
    /// Who may ask.
    pub callers: CallerSettings,
    /// Which domains the sets may accept.
    pub bounds: Bounds,
    /// How decisions are written down; none where they are not.
    pub decision_log: Option<DecisionLog>,
    /// Traces and metrics that are sent.
    pub otlp: Otlp,
}

impl Settings {
    /// Reads a settings file; keys it does not have keep their built-in values. Where it is wrong,
    /// the answer is everything that is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::default();
        let settings = read(text, &mut findings).map(|raw| check(&raw, &mut findings));
        match settings {
            Some(settings) if !findings.has_errors() => Ok(settings),
            _ => Err(findings.into_sorted()),
        }
    }

    /// Which of `listen` is where operators read, too.
    pub fn shared_with_admin(&self) -> Option<usize> {
        let admin = Endpoint::Tcp(self.admin_listen);
        let fixed = self.admin_listen.port() != 0;
        self.listen.iter().position(|at| fixed && *at == admin)
    }

    /// Which of `http_listen` is where gateways ask over gRPC, or operators read.
    pub fn shared_by_http(&self) -> Option<&Endpoint> {
        let admin = Endpoint::Tcp(self.admin_listen);
        let taken = |at: &&Endpoint| !at.is_any() && (self.listen.contains(at) || **at == admin);
        self.http_listen.iter().find(taken)
    }

    /// Where other machines may come to, though nobody said that they may ask in plaintext.
    pub fn exposed_plaintext(&self) -> Option<&Endpoint> {
        let plaintext = self.tls.is_none() && !self.allow_plaintext;
        let mut listens = self.listen.iter().chain(&self.http_listen);
        listens.find(|at| plaintext && at.is_exposed())
    }

    /// Where other machines may come to operators' pages, though nobody said that they may in
    /// plaintext; nothing else is spoken there.
    pub fn exposed_admin(&self) -> Option<Endpoint> {
        let admin = Endpoint::Tcp(self.admin_listen);
        (admin.is_exposed() && !self.admin_allow_plaintext).then_some(admin)
    }
}

impl Default for Settings {
    /// The built-in settings, which hold where there is no file.
    fn default() -> Self {
        Self {
            listen: vec![Endpoint::Tcp(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                50051,
            ))],
            http_listen: Vec::new(),
            socket_mode: 0o660,
            allow_plaintext: false,
            tls: None,
            limits: Limits::default(),
            admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464),
            admin_allow_plaintext: false,
            connectors: PathBuf::from("connectors"),
            default_set: None,
            drain_delay: Duration::from_secs(5),
            drain_deadline: Duration::from_secs(20),
            admin_tokens: Vec::new(),
            callers: CallerSettings::default(),
            bounds: Bounds::default(),
            decision_log: None,
            otlp: Otlp::default(),
        }
    }
}

/// What flags and variables say instead of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overrides {
    /// Instead of `[server] listen`; empty: nothing is said.
    pub listen: Vec<Endpoint>,
    /// Instead of `[admin] listen`.
    pub admin_listen: Option<SocketAddr>,
    /// Instead of `[connectors] directory`; relative to the working directory.
    pub connectors: Option<PathBuf>,
}

impl Overrides {
    /// Puts what they say in the place of what `settings` said.
    pub fn apply(self, settings: &mut Settings) {
        if !self.listen.is_empty() {
            settings.listen = self.listen;
        }
        if let Some(admin_listen) = self.admin_listen {
            settings.admin_listen = admin_listen;
        }
        if let Some(connectors) = self.connectors {
            settings.connectors = connectors;
        }
    }
}

/// The JSON Schema of a settings file, for editors.
pub fn schema() -> Schema {
    schema::of::<RawSettings>("Postern settings")
}

/// Whether a connector set can have this name: `[a-z0-9][a-z0-9._-]{0,62}`.
pub fn is_set_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= LONGEST_SET_NAME
        && name.bytes().next().is_some_and(plain)
        && name
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

table! {
    /// The settings of a Postern process; read once at start.
    pub struct RawSettings {
        /// The version of this file's format.
        #[schemars(required, extend("const" = 1))]
        version: Option<At<i64>> = "version" => "version = 1";
        /// The gRPC service that gateways ask.
        server: Option<At<RawServer>> = "server";
        /// Health, status and metrics over HTTP.
        admin: Option<At<RawAdmin>> = "admin";
        /// Where the connector sets are.
        connectors: Option<At<RawConnectors>> = "connectors";
        /// Where it stands who may ask what.
        callers: Option<At<RawCallerSettings>> = "callers";
        /// Bounds of connector sets, which their own files cannot widen.
        #[schemars(default)]
        sets: Vec<At<RawSetBounds>> = "sets";
        /// The spans of calls, by OTLP.
        tracing: Option<At<RawTracing>> = "tracing";
        /// The metrics, by OTLP.
        metrics: Option<At<RawMetrics>> = "metrics";
        /// How the process ends.
        shutdown: Option<At<RawShutdown>> = "shutdown";
        /// Every decision as one line of JSON. Without this table none is written down.
        decision_log: Option<At<RawDecisionLog>> = "decision_log";
    }
}

table! {
    /// Where the connector sets are.
    pub struct RawConnectors {
        /// The directory of the set files; relative to the directory of this file.
        #[schemars(extend("default" = "connectors", "minLength" = 1))]
        directory: Option<At<String>> = "directory" => "directory = \"connectors\"";
        /// The set that answers where a call names none and its accepted domains choose none.
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        default_set: Option<At<String>> = "default_set" => "default_set = \"default\"";
    }
}

table! {
    /// How the process ends.
    pub struct RawShutdown {
        /// How long calls are still accepted after health says NOT_SERVING; at most a day.
        #[schemars(extend("default" = "5s", "examples" = ["500ms", "5s", "1m"]))]
        drain_delay: Option<At<String>> = "drain_delay" => "drain_delay = \"5s\"";
        /// How long calls in flight may take after that before they are cut; at most a day.
        #[schemars(extend("default" = "20s", "examples" = ["500ms", "20s", "1m"]))]
        drain_deadline: Option<At<String>> = "drain_deadline" => "drain_deadline = \"20s\"";
    }
}

fn read(text: &str, findings: &mut Findings) -> Option<RawSettings> {
    let root = syntax::parse(text, findings)?;
    syntax::check_version(text, &root, findings)?;
    Some(Reader::read(text, &root, &[], findings))
}

fn check(raw: &RawSettings, findings: &mut Findings) -> Settings {
    let mut settings = Settings::default();
    if let Some(server) = &raw.server {
        server::check(&server.value, &mut settings, findings);
    }
    let server = raw
        .server
        .as_ref()
        .and_then(|server| server.value.listen.as_ref());
    let admin = raw
        .admin
        .as_ref()
        .and_then(|admin| admin.value.listen.as_ref());
    set(&mut settings.admin_listen, listen(admin, findings));
    let at = settings.shared_with_admin();
    if let Some(finding) = at.and_then(|at| same_address(at, server, admin)) {
        findings.push(finding);
    }
    if let Some(server) = &raw.server {
        shared(&server.value, &settings, findings);
        exposed(&server.value, &settings, findings);
    }
    if let Some(connectors) = &raw.connectors {
        set(
            &mut settings.connectors,
            directory(connectors.value.directory.as_ref(), findings),
        );
        let default_set = connectors.value.default_set.as_ref();
        settings.default_set = default_set.and_then(|name| name_of_set(name, findings));
    }
    if let Some(admin) = &raw.admin {
        admin::check(&admin.value, &mut settings, findings);
    }
    if let Some(callers) = &raw.callers {
        settings.callers = callers::check(&callers.value, findings);
    }
    settings.bounds = bounds::check(&raw.sets, findings);
    settings.otlp = otlp::check(raw.tracing.as_ref(), raw.metrics.as_ref(), findings);
    if let Some(shutdown) = &raw.shutdown {
        set(
            &mut settings.drain_delay,
            length(shutdown.value.drain_delay.as_ref(), findings),
        );
        set(
            &mut settings.drain_deadline,
            length(shutdown.value.drain_deadline.as_ref(), findings),
        );
    }
    if let Some(raw) = &raw.decision_log {
        settings.decision_log = decision_log::check(raw, findings);
    }
    settings
}

fn set<T>(setting: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *setting = written;
    }
}

fn listen(raw: Option<&At<String>>, findings: &mut Findings) -> Option<SocketAddr> {
    let At { value, span } = raw?;
    match value.parse::<Listen>() {
        Ok(listen) => Some(listen.0),
        Err(error) => {
            let finding = Finding::error("listen-invalid", span.clone(), error.to_string());
            findings.push(finding.help(error.help()));
            None
        }
    }
}

fn same_address(
    at: usize,
    server: Option<&At<Texts>>,
    admin: Option<&At<String>>,
) -> Option<Finding> {
    let server = server.and_then(|server| server.value.0.get(at));
    let (first, second) = (admin.or(server)?, admin.and(server));
    let message = "`listen` of `[server]` and of `[admin]` are the same";
    let finding = Finding::error("listen-twice", first.span.clone(), message);
    Some(match second {
        Some(second) => finding
            .label(second.span.clone(), "the other one")
            .help("write another port for one of the two"),
        None => finding.help("the other one is the built-in value: write another port"),
    })
}

fn directory(raw: Option<&At<String>>, findings: &mut Findings) -> Option<PathBuf> {
    let At { value, span } = raw?;
    if value.is_empty() || value.contains('\0') {
        let message = "`directory` is no path of a directory";
        let finding = Finding::error("directory-invalid", span.clone(), message)
            .help("write the path of the directory with the set files, or leave the line out");
        findings.push(finding);
        return None;
    }
    Some(PathBuf::from(value))
}

/// The name of a set that is written, or a finding that says what to write.
pub(super) fn name_of_set(raw: &At<String>, findings: &mut Findings) -> Option<String> {
    let At { value, span } = raw;
    if is_set_name(value) {
        return Some(value.clone());
    }
    let message = format!("`{}` cannot be the name of a set", shown(value));
    let bare = value.strip_suffix(".toml").unwrap_or(value).to_lowercase();
    let help = if is_set_name(&bare) {
        format!("write `{bare}`, the name of its file without `.toml`")
    } else {
        "a name has up to 63 of `a` to `z`, `0` to `9`, `.`, `_` and `-`, and begins with a letter \
         or digit"
            .to_owned()
    };
    findings.push(Finding::error("set-name-invalid", span.clone(), message).help(help));
    None
}

fn length(raw: Option<&At<String>>, findings: &mut Findings) -> Option<Duration> {
    let length = duration(raw, findings)?;
    if length <= LONGEST_WAIT {
        return Some(length);
    }
    let At { value, span } = raw?;
    let message = format!("`{}` is longer than a day", shown(value));
    let finding = Finding::error("duration-too-long", span.clone(), message)
        .help("the process would not end: write some seconds, like `20s`");
    findings.push(finding);
    None
}

/// A length of time, however long.
fn duration(raw: Option<&At<String>>, findings: &mut Findings) -> Option<Duration> {
    let At { value, span } = raw?;
    if let Ok(length) = humantime::parse_duration(value) {
        return Some(length);
    }
    let message = format!("`{}` is not a length of time", shown(value));
    let help = match value.trim().parse::<u64>() {
        Ok(number) => format!("add a unit: `{number}s` for seconds, `{number}ms`, `{number}m`"),
        Err(_) => "write numbers with units, like `500ms`, `20s` or `1m 30s`".to_owned(),
    };
    findings.push(Finding::error("duration-invalid", span.clone(), message).help(help));
    None
}

const LONGEST_SET_NAME: usize = 63;
const LONGEST_WAIT: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
