//! `[server]`: where gateways ask, and what is spoken with them.

use std::path::{Path, PathBuf};

use super::{
    super::{
        finding::{Finding, Findings},
        listen::Endpoint,
        table::{At, table},
        value::Texts,
        words::shown,
    },
    Settings,
    limits::{self, RawLimits},
    set,
};
use crate::mail::TlsVersion;

/// What TLS is spoken with; the files are read again when they change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// The file of the certificate, and of those between it and its authority.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// Who vouches for clients; none: they are not asked for a certificate.
    pub client_ca: Option<ClientCa>,
    /// TLS 1.3 alone is spoken, not 1.2.
    pub only_1_3: bool,
}

/// Who vouches for clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCa {
    /// The file of the authorities' certificates.
    pub file: PathBuf,
    /// Who has no certificate is not let in.
    pub required: bool,
}

impl Tls {
    /// Takes relative paths as from `directory`.
    pub fn relative_to(&mut self, directory: &Path) {
        let ca = self.client_ca.as_mut().map(|ca| &mut ca.file);
        for path in [&mut self.certificate, &mut self.key].into_iter().chain(ca) {
            *path = directory.join(&*path);
        }
    }
}

table! {
    /// The gRPC service that gateways ask.
    pub struct RawServer {
        /// The address and port to listen on, or `unix:` and the path of a socket; or several.
        #[schemars(extend("default" = "127.0.0.1:50051"))]
        listen: Option<At<Texts>> = "listen" => "listen = \"127.0.0.1:50051\"";
        /// Where the same is asked over HTTP with JSON; written as `listen`. Without this line nowhere.
        http_listen: Option<At<Texts>> = "http_listen" => "http_listen = \"127.0.0.1:50080\"";
        /// The mode of a socket's file, in octal digits.
        #[schemars(extend("default" = "0660", "pattern" = "^0?[0-7]{3}$"))]
        socket_mode: Option<At<String>> = "socket_mode" => "socket_mode = \"0660\"";
        /// Let other machines ask in plaintext, where there is no `[server.tls]`.
        #[schemars(extend("default" = false))]
        allow_plaintext: Option<At<bool>> = "allow_plaintext" => "allow_plaintext = true";
        /// What TLS is spoken with over the network; unix-domain sockets are without.
        tls: Option<At<RawTls>> = "tls";
        /// What gateways may ask of one process, and for how long.
        limits: Option<At<RawLimits>> = "limits";
    }
}

table! {
    /// What TLS is spoken with; the files are read again when they change.
    pub struct RawTls {
        /// The file of the certificate chain, in PEM; relative to the directory of this file.
        #[schemars(required, extend("minLength" = 1))]
        certificate: Option<At<String>> = "certificate" => "certificate = \"tls/fullchain.pem\"";
        /// The file of the certificate's private key, in PEM, without a password.
        #[schemars(required, extend("minLength" = 1))]
        key: Option<At<String>> = "key" => "key = \"tls/privkey.pem\"";
        /// The file of the authorities that vouch for clients, in PEM.
        #[schemars(extend("minLength" = 1))]
        client_ca: Option<At<String>> = "client_ca" => "client_ca = \"tls/clients.pem\"";
        /// Whether a client without a certificate is refused, where there is a `client_ca`.
        #[schemars(extend("default" = "required", "enum" = ["required", "optional"]))]
        client_certificate: Option<At<String>> = "client_certificate" => "client_certificate = \"required\"";
        /// The lowest version of TLS that is spoken.
        #[schemars(extend("default" = "TLSv1.2", "enum" = ["TLSv1.2", "TLSv1.3"]))]
        min_version: Option<At<String>> = "min_version" => "min_version = \"TLSv1.2\"";
    }
}

/// Puts what `raw` says into `settings`.
pub(super) fn check(raw: &RawServer, settings: &mut Settings, findings: &mut Findings) {
    set(
        &mut settings.listen,
        endpoints("listen", raw.listen.as_ref(), findings),
    );
    set(
        &mut settings.http_listen,
        endpoints("http_listen", raw.http_listen.as_ref(), findings),
    );
    set(
        &mut settings.socket_mode,
        mode(raw.socket_mode.as_ref(), findings),
    );
    if let Some(allow) = &raw.allow_plaintext {
        settings.allow_plaintext = allow.value;
    }
    if let Some(limits) = &raw.limits {
        settings.limits = limits::check(&limits.value, findings);
    }
    settings.tls = raw.tls.as_ref().and_then(|raw| tls(raw, findings));
}

/// Refuses plaintext where other machines may come to, unless it is allowed.
pub(super) fn exposed(raw: &RawServer, settings: &Settings, findings: &mut Findings) {
    // Why: TLS that is written and cannot be read has findings of its own.
    let Some(exposed) = settings.exposed_plaintext().filter(|_| raw.tls.is_none()) else {
        return;
    };
    let written = raw.listen.iter().chain(&raw.http_listen);
    let mut written = written.flat_map(|listen| &listen.value.0);
    if let Some(at) = written.find(|at| at.value.parse().is_ok_and(|at: Endpoint| at == *exposed)) {
        let message = format!("`{exposed}` would take plaintext from other machines");
        let finding = Finding::error("plaintext-exposed", at.span.clone(), message).help(
            "add `[server.tls]` with a certificate and a key, or `allow_plaintext = true` where \
             nobody else is on the way",
        );
        findings.push(finding);
    }
}

/// What `listen` and `http_listen` may not share.
pub(super) fn shared(raw: &RawServer, settings: &Settings, findings: &mut Findings) {
    let Some(shared) = settings.shared_by_http() else {
        return;
    };
    let mut written = raw.http_listen.iter().flat_map(|listen| &listen.value.0);
    if let Some(at) = written.find(|at| at.value.parse().is_ok_and(|at: Endpoint| at == *shared)) {
        let message = format!("`{shared}` of `http_listen` is where something else is asked");
        let finding = Finding::error("listen-twice", at.span.clone(), message);
        findings.push(finding.help(
            "write another port: `listen` of `[server]` and of `[admin]` need theirs for themselves",
        ));
    }
}

/// What `key` lists.
pub(super) fn endpoints(
    key: &str,
    raw: Option<&At<Texts>>,
    findings: &mut Findings,
) -> Option<Vec<Endpoint>> {
    let At { value, span } = raw?;
    if value.0.is_empty() {
        let finding = Finding::error("listen-empty", span.clone(), format!("`{key}` is empty"))
            .help("write at least one address and port, or leave the line out");
        findings.push(finding);
        return None;
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for At { value, span } in &value.0 {
        match value.parse::<Endpoint>() {
            Ok(endpoint) if endpoints.contains(&endpoint) && !endpoint.is_any() => {
                let message = format!("`{endpoint}` stands twice in `{key}`");
                let finding = Finding::error("listen-twice", span.clone(), message);
                findings.push(finding.help("remove one of the two"));
            }
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => {
                let finding = Finding::error("listen-invalid", span.clone(), error.to_string());
                findings.push(finding.help(error.help()));
            }
        }
    }
    Some(endpoints)
}

pub(super) fn mode(raw: Option<&At<String>>, findings: &mut Findings) -> Option<u32> {
    let At { value, span } = raw?;
    let digits = value.strip_prefix('0').filter(|rest| rest.len() == 3);
    let digits = digits.unwrap_or(value);
    let mode = u32::from_str_radix(digits, 8).ok();
    let mode = mode.filter(|_| digits.len() == 3 && !digits.starts_with('+'));
    if mode.is_none() {
        let message = format!("`{}` is not the mode of a file", shown(value));
        let finding = Finding::error("socket-mode-invalid", span.clone(), message);
        findings.push(finding.help(
            "write three octal digits, for owner, group and others: `0660` lets owner and group ask",
        ));
    }
    mode
}

fn tls(raw: &At<RawTls>, findings: &mut Findings) -> Option<Tls> {
    let At { value: raw, span } = raw;
    for (key, written) in [("certificate", &raw.certificate), ("key", &raw.key)] {
        if written.is_none() && !raw.unread.has(key) {
            let message = format!("`[server.tls]` has no `{key}`");
            let finding = Finding::error("tls-incomplete", span.clone(), message);
            findings.push(finding.help(format!("add it: `{key} = \"tls/{key}.pem\"`")));
        }
    }
    let mut path = |raw: &Option<At<String>>| file(raw.as_ref(), findings);
    let (certificate, key, ca) = (path(&raw.certificate), path(&raw.key), path(&raw.client_ca));
    let required = required(raw, findings);
    let only_1_3 = only_1_3(raw.min_version.as_ref(), findings);
    Some(Tls {
        certificate: certificate?,
        key: key?,
        client_ca: ca.map(|file| ClientCa { file, required }),
        only_1_3,
    })
}

fn file(raw: Option<&At<String>>, findings: &mut Findings) -> Option<PathBuf> {
    let At { value, span } = raw?;
    if !value.is_empty() && !value.contains('\0') {
        return Some(PathBuf::from(value));
    }
    let message = format!("`{}` is no path of a file", shown(value));
    let finding = Finding::error("tls-path-invalid", span.clone(), message);
    findings.push(finding.help("write the path of a file in PEM, like `tls/fullchain.pem`"));
    None
}

fn required(raw: &RawTls, findings: &mut Findings) -> bool {
    let Some(At { value, span }) = &raw.client_certificate else {
        return true;
    };
    if !matches!(value.as_str(), "required" | "optional") {
        let message = format!("`{}` is not known for `client_certificate`", shown(value));
        let finding = Finding::error("client-certificate-unknown", span.clone(), message);
        findings.push(finding.help(
            "write `\"required\"` or `\"optional\"`; without `client_ca` no certificate is asked for",
        ));
    } else if raw.client_ca.is_none() && !raw.unread.has("client_ca") {
        let message = "`client_certificate` has no effect without `client_ca`";
        let finding = Finding::error("client-ca-missing", span.clone(), message);
        findings.push(
            finding.help("add the file of the authorities: `client_ca = \"tls/clients.pem\"`"),
        );
    }
    value != "optional"
}

fn only_1_3(raw: Option<&At<String>>, findings: &mut Findings) -> bool {
    let Some(At { value, span }) = raw else {
        return false;
    };
    match value.parse::<TlsVersion>() {
        Ok(TlsVersion::Tls1_3) => true,
        Ok(TlsVersion::Tls1_2) => false,
        Ok(_) | Err(_) => {
            let message = format!("`{}` is no version of TLS that is spoken", shown(value));
            let finding = Finding::error("tls-version-unspoken", span.clone(), message);
            findings.push(
                finding.help("write `\"TLSv1.2\"` or `\"TLSv1.3\"`: older ones are not safe"),
            );
            false
        }
    }
}
