//! Where traces and metrics are sent by OTLP, and which calls leave a trace.

use std::{path::PathBuf, time::Duration};

use super::{Findings, length, secret::Secret, set, share::share};
use crate::config::{
    finding::Finding,
    pairs::Pairs,
    table::{At, table},
    words::shown,
};

/// What is sent by OTLP, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Otlp {
    /// The spans of calls.
    pub traces: Traces,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// What both say of this process, beside its version and instance.
    pub resource: Vec<(String, String)>,
}

/// Which calls leave a trace, and how their spans leave the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Who takes them; off where it has no endpoint.
    pub collector: Collector,
    /// Which calls are traced.
    pub sampling: Sampling,
    /// How many spans may wait; further ones are dropped and counted.
    pub queue: usize,
    /// How many are sent at once, at most.
    pub batch: usize,
    /// How long they wait for others to be sent with.
    pub delay: Duration,
}

/// Metrics as they are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Who takes them; off where it has no endpoint.
    pub collector: Collector,
    /// How often they are sent.
    pub interval: Duration,
}

/// Who takes what is sent by OTLP over gRPC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collector {
    /// `http://` or `https://`, a host and a port; none: nothing is sent.
    pub endpoint: Option<String>,
    /// What goes with each message, as a token.
    pub headers: Vec<(String, Secret)>,
    /// A file with more of them, one `name: value` on each line.
    pub headers_file: Option<PathBuf>,
    /// The certificates that sign the collector's, in PEM; none: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// How long one attempt to send may take.
    pub timeout: Duration,
}

/// Which calls are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whether a caller's trace decides for its calls.
    pub parent_based: bool,
    /// The share of all others, 0 to 1.
    pub ratio: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            collector: Collector::default(),
            sampling: Sampling {
                parent_based: true,
                ratio: 0.01,
            },
            queue: 2_048,
            batch: 512,
            delay: Duration::from_secs(5),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            collector: Collector::default(),
            interval: Duration::from_mins(1),
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: Vec::new(),
            headers_file: None,
            ca: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl Otlp {
    /// Makes the paths in it relative to `directory`.
    pub fn relative_to(&mut self, directory: &std::path::Path) {
        for collector in [&mut self.traces.collector, &mut self.metrics.collector] {
            for path in [&mut collector.headers_file, &mut collector.ca] {
                *path = path.take().map(|path| directory.join(path));
            }
        }
    }
}

table! {
    /// The spans of calls, by OTLP over gRPC; off without an endpoint.
    pub struct RawTracing {
        /// Who takes them: http:// or https://, a host and a port.
        #[schemars(extend("examples" = ["http://127.0.0.1:4317"], "pattern" = "^https?://[^/@ ]+/?$"))]
        endpoint: Option<At<String>> = "endpoint" => "endpoint = \"http://127.0.0.1:4317\"";
        /// The share of calls that are traced where the caller does not trace them itself.
        #[schemars(extend("default" = 0.01, "minimum" = 0, "maximum" = 1))]
        sample: Option<At<f64>> = "sample" => "sample = 0.01";
        /// What goes with each message. A token is better kept in `headers_file`.
        headers: Option<At<Pairs>> = "headers" => "headers = { x-tenant = \"mail\" }";
        /// A file with headers, one `name: value` on each line; relative to this file's directory.
        headers_file: Option<At<String>> = "headers_file" => "headers_file = \"collector.headers\"";
        /// The certificates that sign the collector's, in PEM; relative to this file's directory.
        ca: Option<At<String>> = "ca" => "ca = \"collector-ca.pem\"";
        /// How long one attempt to send may take.
        #[schemars(extend("default" = "10s"))]
        timeout: Option<At<String>> = "timeout" => "timeout = \"10s\"";
        /// How many spans may wait to be sent; further ones are dropped and counted.
        #[schemars(extend("default" = 2048, "minimum" = 1, "maximum" = 65536))]
        queue: Option<At<i64>> = "queue" => "queue = 2048";
        /// What traces and metrics say of this process.
        resource: Option<At<Pairs>> = "resource" => "resource = { \"deployment.environment.name\" = \"production\" }";
    }
}

table! {
    /// The metrics of /metrics, by OTLP over gRPC.
    pub struct RawMetrics {
        /// Whether they are sent; headers, ca and timeout are those of [tracing].
        #[schemars(extend("default" = false))]
        otlp: Option<At<bool>> = "otlp" => "otlp = true";
        /// Who takes them, where it is not the endpoint of [tracing].
        #[schemars(extend("pattern" = "^https?://[^/@ ]+/?$"))]
        endpoint: Option<At<String>> = "endpoint" => "endpoint = \"http://127.0.0.1:4317\"";
        /// How often they are sent.
        #[schemars(extend("default" = "60s"))]
        interval: Option<At<String>> = "interval" => "interval = \"60s\"";
    }
}

/// What both tables come to.
pub(super) fn check(
    tracing: Option<&At<RawTracing>>,
    metrics: Option<&At<RawMetrics>>,
    findings: &mut Findings,
) -> Otlp {
    let mut otlp = Otlp::default();
    if let Some(At { value: raw, span }) = tracing {
        let Traces {
            collector,
            sampling,
            queue,
            ..
        } = &mut otlp.traces;
        collector.endpoint = endpoint(raw.endpoint.as_ref(), findings);
        collector.headers_file = raw.headers_file.as_ref().map(|file| (&file.value).into());
        collector.ca = raw.ca.as_ref().map(|file| (&file.value).into());
        set(&mut collector.timeout, wait(raw.timeout.as_ref(), findings));
        for (name, value) in raw.headers.iter().flat_map(|headers| &headers.value.0) {
            match header(name, value.as_deref()) {
                Ok(header) => collector.headers.push(header),
                Err(fault) => findings.push(
                    // Why not where it stands: that line holds secrets.
                    Finding::error("headers-invalid", span.clone(), fault.to_string())
                        .help(fault.help()),
                ),
            }
        }
        if share(raw.sample.as_ref(), "sample", findings).is_some() {
            set(
                &mut sampling.ratio,
                raw.sample.as_ref().map(|sample| sample.value),
            );
        }
        set(queue, length_of_queue(raw.queue.as_ref(), findings));
        otlp.resource = resource(raw.resource.as_ref(), findings);
    }
    otlp.metrics.collector = Collector {
        endpoint: None,
        ..otlp.traces.collector.clone()
    };
    if let Some(At { value: raw, .. }) = metrics {
        let Metrics {
            collector,
            interval,
        } = &mut otlp.metrics;
        set(interval, wait(raw.interval.as_ref(), findings));
        let named = endpoint(raw.endpoint.as_ref(), findings);
        if raw
            .otlp
            .as_ref()
            .map_or(named.is_some(), |asked| asked.value)
        {
            let traces = otlp.traces.collector.endpoint.clone();
            collector.endpoint = named.or(traces).or_else(|| Some(USUAL_ENDPOINT.into()));
        }
    }
    otlp
}

/// Why a text is no endpoint, or no header.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{}` is no place that OTLP can be sent to", shown(.0))]
    Endpoint(String),
    #[error("`{}` cannot be the name of a header", shown(.0))]
    HeaderName(String),
    #[error("the header `{0}` has no value that can be sent")]
    HeaderValue(String),
}

impl Fault {
    /// What to write instead.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Endpoint(text) => {
                let bare = text.split_once("://").map_or(&**text, |(_, rest)| rest);
                let authority = bare.split(['/', '?', '#', '@']).next().unwrap_or_default();
                if is_authority(authority) && !bare.contains('@') {
                    let scheme = if text.starts_with("https") { "https" } else { "http" };
                    format!("over gRPC it is a scheme, a host and a port: `{scheme}://{authority}`")
                } else {
                    format!("write a scheme, a host and a port, as in `{USUAL_ENDPOINT}`")
                }
            }
            Self::HeaderName(_) => {
                "a name has small letters, digits, `-`, `_` and `.`, and does not begin with `grpc-`"
                    .into()
            }
            Self::HeaderValue(_) => "write a text of printable ASCII, in quotes".into(),
        }
    }
}

/// An endpoint in its plain form, without a slash at its end.
pub(super) fn parse_endpoint(text: &str) -> Result<String, Fault> {
    let fault = || Fault::Endpoint(text.into());
    let bare = text.strip_suffix('/').unwrap_or(text);
    let (scheme, authority) = bare.split_once("://").ok_or_else(fault)?;
    if !matches!(scheme, "http" | "https") || !is_authority(authority) {
        return Err(fault());
    }
    Ok(bare.into())
}

/// A header that gRPC can carry.
pub(crate) fn header(name: &str, value: Option<&str>) -> Result<(String, Secret), Fault> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    let name = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(plain) || name.starts_with("grpc-") {
        return Err(Fault::HeaderName(name));
    }
    match value {
        Some(value) if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
            Ok((name, Secret::new(value)))
        }
        _ => Err(Fault::HeaderValue(name)),
    }
}

/// Whether it is a host and, where there is one, a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn endpoint(raw: Option<&At<String>>, findings: &mut Findings) -> Option<String> {
    let At { value, span } = raw?;
    let parsed = parse_endpoint(value).map_err(|fault| {
        let finding = Finding::error("endpoint-invalid", span.clone(), fault.to_string());
        findings.push(finding.help(fault.help()));
    });
    parsed.ok()
}

fn length_of_queue(raw: Option<&At<i64>>, findings: &mut Findings) -> Option<usize> {
    let At { value, span } = raw?;
    let length = usize::try_from(*value).ok();
    if let Some(length) = length.filter(|length| (1..=LONGEST_QUEUE).contains(length)) {
        return Some(length);
    }
    let message = format!("`queue` cannot be {value}");
    let help = format!("write a number from 1 to {LONGEST_QUEUE}; a span takes about 2 KB");
    findings.push(Finding::error("queue-invalid", span.clone(), message).help(help));
    None
}

fn resource(raw: Option<&At<Pairs>>, findings: &mut Findings) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let Some(At { value, span }) = raw else {
        return attributes;
    };
    for (name, value) in &value.0 {
        match value {
            Some(value) if !name.trim().is_empty() => {
                attributes.push((name.clone(), value.clone()));
            }
            _ => {
                let message = format!("`{}` of `resource` has no text", shown(name));
                let help = "write a name and a text, as in \
                            `resource = { \"deployment.environment.name\" = \"production\" }`";
                findings.push(Finding::error("resource-invalid", span.clone(), message).help(help));
            }
        }
    }
    attributes
}

/// A length of time that is not nothing.
fn wait(raw: Option<&At<String>>, findings: &mut Findings) -> Option<Duration> {
    let wait = length(raw, findings)?;
    if wait.is_zero() {
        let At { value, span } = raw?;
        let message = format!("`{}` leaves no time at all", shown(value));
        let help = "write some seconds, like `10s`";
        findings.push(Finding::error("duration-invalid", span.clone(), message).help(help));
        return None;
    }
    Some(wait)
}

/// Where a collector listens on the same machine.
pub(super) const USUAL_ENDPOINT: &str = "http://localhost:4317";

/// Each span takes about 2 KB.
pub(super) const LONGEST_QUEUE: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_scheme_a_host_and_a_port() {
        for (text, plain) in [
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            (
                "https://collector.contoso.com",
                "https://collector.contoso.com",
            ),
            ("http://[::1]:4317/", "http://[::1]:4317"),
        ] {
            assert_eq!(parse_endpoint(text).as_deref(), Ok(plain));
        }
        let explained = [
            "127.0.0.1:4317",
            "http://127.0.0.1:4318/v1/traces",
            "grpc://collector",
            "https://user@collector",
            "http://",
            "http://collector:0",
            "http://[::1:4317",
            "",
        ]
        .map(|text| {
            let fault = parse_endpoint(text).unwrap_err();
            format!("{fault}: {}\n", fault.help())
        });
        insta::assert_snapshot!(explained.concat());
    }

    #[test]
    fn headers_are_such_that_they_can_be_sent() {
        let (name, value) = header("Authorization", Some("Bearer 4711")).unwrap();
        assert_eq!((&*name, value.reveal()), ("authorization", "Bearer 4711"));
        for (name, value) in [("a b", Some("x")), ("", Some("x")), ("grpc-x", Some("x"))] {
            assert!(matches!(header(name, value), Err(Fault::HeaderName(_))));
        }
        for value in [None, Some("ü"), Some("a\nb")] {
            assert_eq!(header("a", value), Err(Fault::HeaderValue("a".into())));
        }
    }
}
