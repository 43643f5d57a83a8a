//! `[service]` of `bridge.toml`: which service is asked, and what holds where it does not answer.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::super::{
    super::{
        finding::{Finding, Findings},
        table::{At, table},
        value::Texts,
        words::shown,
    },
    decision_log::{path, word},
    limits, set,
};

/// The service that is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Where: each a host and a port, with `https://` over TLS, or `unix:` and a path.
    pub endpoints: Vec<String>,
    /// The file of the authorities that vouch for it; none: those of this machine.
    pub ca: Option<PathBuf>,
    /// The files of the certificate that is shown, and of its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that its certificate must have, where it is not the host of the endpoint.
    pub server_name: Option<String>,
    /// The file of the token that shows who asks.
    pub token_file: Option<PathBuf>,
    /// How long a question may take in all, with the second attempt.
    pub deadline: Duration,
    /// How often it is asked whether it serves, and how long that may take.
    pub health_interval: Duration,
    /// How often names are looked up anew, and files read again.
    pub resolve_interval: Duration,
    /// What an MTA is told where nobody answers.
    pub on_unavailable: OnUnavailable,
}

/// What an MTA is told where the service cannot be reached, or not in time, or has too much to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnUnavailable {
    /// The mail passes, unchecked.
    Accept,
    /// The mail is to come again later.
    Defer,
}

impl OnUnavailable {
    /// The word for it in settings, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Defer => "defer",
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:50051".to_owned()],
            ca: None,
            identity: None,
            server_name: None,
            token_file: None,
            deadline: Duration::from_secs(1),
            health_interval: Duration::from_secs(1),
            resolve_interval: Duration::from_secs(30),
            on_unavailable: OnUnavailable::Defer,
        }
    }
}

impl Service {
    /// Takes relative paths as from `directory`.
    pub(super) fn relative_to(&mut self, directory: &Path) {
        let (certificate, key) = self
            .identity
            .as_mut()
            .map(|(one, other)| (one, other))
            .unzip();
        let files = [self.ca.as_mut(), certificate, key, self.token_file.as_mut()];
        for path in files.into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }
}

table! {
    /// The Postern service that is asked.
    pub struct RawService {
        /// Where it is; or several places of which any can answer.
        #[schemars(extend("default" = "127.0.0.1:50051"))]
        endpoints: Option<At<Texts>> = "endpoints" => "endpoints = [\"https://postern.contoso.com:50051\"]";
        /// The file of the authorities that vouch for it, in PEM; those of this machine without.
        #[schemars(extend("minLength" = 1))]
        ca: Option<At<String>> = "ca" => "ca = \"tls/ca.pem\"";
        /// The file of the certificate that shows who asks, in PEM.
        #[schemars(extend("minLength" = 1))]
        certificate: Option<At<String>> = "certificate" => "certificate = \"tls/client.pem\"";
        /// The file of its private key, in PEM.
        #[schemars(extend("minLength" = 1))]
        key: Option<At<String>> = "key" => "key = \"tls/client.key\"";
        /// The name that its certificate must have, where it is not the host of the endpoint.
        #[schemars(extend("minLength" = 1))]
        server_name: Option<At<String>> = "server_name" => "server_name = \"postern.contoso.com\"";
        /// The file of the token that shows who asks.
        #[schemars(extend("minLength" = 1))]
        token_file: Option<At<String>> = "token_file" => "token_file = \"bridge.token\"";
        /// How long a question may take in all, with a second attempt.
        #[schemars(extend("default" = "1s", "examples" = ["500ms", "1s", "3s"]))]
        deadline: Option<At<String>> = "deadline" => "deadline = \"1s\"";
        /// How often each place is asked whether it serves, and how long it may take to say so.
        #[schemars(extend("default" = "1s", "examples" = ["500ms", "1s", "5s"]))]
        health_interval: Option<At<String>> = "health_interval" => "health_interval = \"1s\"";
        /// How often names are looked up anew, and certificates and the token read again.
        #[schemars(extend("default" = "30s", "examples" = ["5s", "30s", "5m"]))]
        resolve_interval: Option<At<String>> = "resolve_interval" => "resolve_interval = \"30s\"";
        /// What an MTA is told where nobody answers in time.
        #[schemars(extend("default" = "defer", "enum" = ["accept", "defer"]))]
        on_unavailable: Option<At<String>> = "on_unavailable" => "on_unavailable = \"defer\"";
    }
}

/// What `raw` says.
pub(super) fn check(raw: &RawService, findings: &mut Findings) -> Service {
    let mut service = Service::default();
    set(
        &mut service.endpoints,
        endpoints(raw.endpoints.as_ref(), findings),
    );
    let mut file = |raw: &Option<At<String>>, key| path(raw.as_ref()?, key, findings);
    service.ca = file(&raw.ca, "ca");
    let (certificate, key) = (file(&raw.certificate, "certificate"), file(&raw.key, "key"));
    service.token_file = file(&raw.token_file, "token_file");
    for (one, other, missing) in [
        (&raw.certificate, &raw.key, "key"),
        (&raw.key, &raw.certificate, "certificate"),
    ] {
        if let (Some(At { span, .. }), None) = (one, other)
            && !raw.unread.has(missing)
        {
            let message = format!("`[service]` has no `{missing}`");
            let finding = Finding::error("tls-incomplete", span.clone(), message);
            findings.push(finding.help(format!("add it: `{missing} = \"tls/{missing}.pem\"`")));
        }
    }
    service.identity = certificate.zip(key);
    service.server_name = raw.server_name.as_ref().map(|name| name.value.clone());
    let bounds = || SHORTEST..=LONGEST;
    let deadline = limits::length(raw.deadline.as_ref(), "deadline", bounds(), findings);
    set(&mut service.deadline, deadline);
    let health = raw.health_interval.as_ref();
    let health = limits::length(health, "health_interval", bounds(), findings);
    set(&mut service.health_interval, health);
    let resolve = raw.resolve_interval.as_ref();
    let resolve = limits::length(resolve, "resolve_interval", bounds(), findings);
    set(&mut service.resolve_interval, resolve);
    if let Some(raw) = &raw.on_unavailable {
        let word = word(raw, "on_unavailable", ["accept", "defer"], findings);
        if word == Some("accept") {
            service.on_unavailable = OnUnavailable::Accept;
        }
    }
    service
}

/// The places that are written; whether a host can be looked up is seen when it is asked.
fn endpoints(raw: Option<&At<Texts>>, findings: &mut Findings) -> Option<Vec<String>> {
    let At { value, span } = raw?;
    if value.0.is_empty() {
        let finding = Finding::error("endpoint-missing", span.clone(), "`endpoints` is empty");
        findings.push(finding.help("write at least one, or leave the line out"));
        return None;
    }
    let mut endpoints: Vec<String> = Vec::new();
    for At { value, span } in &value.0 {
        if !is_endpoint(value) {
            let message = format!(
                "`{}` is no place where a service can be asked",
                shown(value)
            );
            let finding = Finding::error("endpoint-invalid", span.clone(), message);
            findings.push(finding.help(
                "write it like `https://postern.contoso.com:50051`, `127.0.0.1:50051` for \
                 plaintext, or `unix:/run/postern/postern.sock`",
            ));
        } else if endpoints.contains(value) {
            let message = format!("`{}` stands twice in `endpoints`", shown(value));
            let finding = Finding::error("endpoint-twice", span.clone(), message);
            findings.push(finding.help("remove one of the two"));
        } else {
            endpoints.push(value.clone());
        }
    }
    Some(endpoints)
}

fn is_endpoint(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("unix:") {
        return path.starts_with('/') && !path.contains('\0');
    }
    let authority = match text.split_once("://") {
        None => text,
        Some(("http" | "https", rest)) => rest.strip_suffix('/').unwrap_or(rest),
        Some(_) => return false,
    };
    let Some((host, port)) = authority.rsplit_once(':') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_hours(1);
