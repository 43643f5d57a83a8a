//! The standard variables of OpenTelemetry, which go before the file.
//!
//! They are often set for a whole fleet, and their specification has it that one that cannot be
//! read counts as unset, with a warning: no process ends because of them.

use std::{str::FromStr, time::Duration};

use super::otlp::{
    Collector, Fault, LONGEST_QUEUE, Otlp, Sampling, USUAL_ENDPOINT, header, parse_endpoint,
};
use crate::config::{settings::secret::Secret, words::shown};

/// Puts what the variables say in the place of what the file said; the answer is what is worth
/// pointing out, one line each.
pub fn apply(otlp: &mut Otlp, variable: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut variables = Variables {
        variable,
        warnings: Vec::new(),
    };
    if variables.read("OTEL_SDK_DISABLED", boolean) == Some(true) {
        otlp.traces.collector.endpoint = None;
        otlp.metrics.collector.endpoint = None;
        return variables.warnings;
    }
    let named = variables.endpoint("OTEL_EXPORTER_OTLP_ENDPOINT");
    let traces = &mut otlp.traces;
    variables.collector("TRACES", named.clone(), &mut traces.collector);
    match variables.read("OTEL_TRACES_EXPORTER", exporter) {
        Some(false) => traces.collector.endpoint = None,
        Some(true) if traces.collector.endpoint.is_none() => {
            traces.collector.endpoint = Some(USUAL_ENDPOINT.into());
        }
        Some(true) | None => {}
    }
    let metrics = &mut otlp.metrics;
    // Why not where nobody asked for metrics: they would be counted twice by who reads /metrics.
    let asked = metrics.collector.endpoint.is_some();
    variables.collector(
        "METRICS",
        named.clone().filter(|_| asked),
        &mut metrics.collector,
    );
    match variables.read("OTEL_METRICS_EXPORTER", exporter) {
        Some(false) => metrics.collector.endpoint = None,
        Some(true) if metrics.collector.endpoint.is_none() => {
            let traces = traces.collector.endpoint.clone();
            metrics.collector.endpoint = named.or(traces).or_else(|| Some(USUAL_ENDPOINT.into()));
        }
        Some(true) | None => {}
    }
    variables.put(
        "OTEL_METRIC_EXPORT_INTERVAL",
        milliseconds,
        &mut metrics.interval,
    );
    variables.put("OTEL_BSP_SCHEDULE_DELAY", milliseconds, &mut traces.delay);
    variables.put("OTEL_BSP_MAX_QUEUE_SIZE", count, &mut traces.queue);
    variables.put("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", count, &mut traces.batch);
    variables.put(
        "OTEL_BSP_EXPORT_TIMEOUT",
        milliseconds,
        &mut traces.collector.timeout,
    );
    variables.sampling(&mut traces.sampling);
    variables.resource(&mut otlp.resource);
    if traces.collector.endpoint.is_some() || metrics.collector.endpoint.is_some() {
        variables.not_spoken();
    }
    variables.warnings
}

struct Variables<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Variables<'_> {
    /// What `parse` makes of a variable; none where it is unset, or cannot be read.
    fn read<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let text = (self.variable)(name)?;
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.warnings
                    .push(format!("variable {name} is not used: {fault}"));
                None
            }
        }
    }

    fn put<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>, to: &mut T) {
        if let Some(value) = self.read(name, parse) {
            *to = value;
        }
    }

    fn endpoint(&mut self, name: &str) -> Option<String> {
        self.read(name, |text| {
            parse_endpoint(text).map_err(|fault| explained(&fault))
        })
    }

    /// The variables of one signal, or those of all signals.
    fn collector(&mut self, signal: &str, endpoint: Option<String>, to: &mut Collector) {
        let own = self.endpoint(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
        if let Some(endpoint) = own.or(endpoint) {
            to.endpoint = Some(endpoint);
        }
        let mut either = |what: &str| {
            let names = [
                format!("OTEL_EXPORTER_OTLP_{signal}_{what}"),
                format!("OTEL_EXPORTER_OTLP_{what}"),
            ];
            names
                .into_iter()
                .find(|name| (self.variable)(name).is_some())
        };
        let [headers, timeout, ca] = ["HEADERS", "TIMEOUT", "CERTIFICATE"].map(&mut either);
        if let Some(headers) = headers.and_then(|name| self.read(&name, headers_of)) {
            to.headers = headers;
            to.headers_file = None;
        }
        if let Some(timeout) = timeout.and_then(|name| self.read(&name, milliseconds)) {
            to.timeout = timeout;
        }
        if let Some(ca) = ca.and_then(|name| (self.variable)(&name)) {
            to.ca = Some(ca.into());
        }
    }

    fn sampling(&mut self, to: &mut Sampling) {
        let argument = "OTEL_TRACES_SAMPLER_ARG";
        let ratio = self.read(argument, |text| match f64::from_str(text) {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err(format!("`{}` is no share from 0 to 1", shown(text))),
        });
        let sampler = self.read("OTEL_TRACES_SAMPLER", |text| {
            let (parent_based, root) = match text.strip_prefix("parentbased_") {
                Some(root) => (true, root),
                None => (false, text),
            };
            match root {
                "always_on" => Ok((parent_based, Some(1.0))),
                "always_off" => Ok((parent_based, Some(0.0))),
                "traceidratio" => Ok((parent_based, None)),
                _ => Err(format!(
                    "`{}` is no sampler that Postern has: write `parentbased_traceidratio`, \
                     `parentbased_always_on` or `parentbased_always_off`, or one of them without \
                     `parentbased_`",
                    shown(text)
                )),
            }
        });
        match (sampler, ratio) {
            (Some((parent_based, fixed)), ratio) => {
                let ratio = fixed.or(ratio).unwrap_or(1.0);
                *to = Sampling {
                    parent_based,
                    ratio,
                };
            }
            (None, Some(_)) if (self.variable)("OTEL_TRACES_SAMPLER").is_none() => {
                self.warnings.push(format!(
                    "variable {argument} is not used: set OTEL_TRACES_SAMPLER to \
                     `parentbased_traceidratio`, too"
                ));
            }
            (None, _) => {}
        }
    }

    fn resource(&mut self, to: &mut Vec<(String, String)>) {
        let mut attributes = self
            .read("OTEL_RESOURCE_ATTRIBUTES", pairs)
            .unwrap_or_default();
        let service = (self.variable)("OTEL_SERVICE_NAME");
        attributes.extend(service.map(|name| ("service.name".into(), name)));
        for (name, value) in attributes {
            to.retain(|(known, _)| *known != name);
            to.push((name, value));
        }
    }

    /// Points out what is asked for and not done.
    fn not_spoken(&mut self) {
        for signal in ["", "TRACES_", "METRICS_"] {
            let asked = |what: &str, done: &str| {
                let name = format!("OTEL_EXPORTER_OTLP_{signal}{what}");
                let value = (self.variable)(&name)?;
                (value.trim() != done).then_some((name, value))
            };
            let refused = [
                asked("PROTOCOL", "grpc").map(|(name, value)| {
                    let value = shown(&value);
                    format!(
                        "variable {name} is not used: Postern speaks `grpc`, not `{value}`; see \
                         that the endpoint does, too (mostly port 4317)"
                    )
                }),
                asked("COMPRESSION", "none")
                    .map(|(name, _)| format!("variable {name} is not used: nothing is compressed")),
                asked("CLIENT_CERTIFICATE", "").map(|(name, _)| {
                    format!(
                        "variable {name} is not used: show who you are by a token in \
                         OTEL_EXPORTER_OTLP_HEADERS"
                    )
                }),
            ];
            self.warnings.extend(refused.into_iter().flatten());
        }
    }
}

fn explained(fault: &Fault) -> String {
    format!("{fault}: {}", fault.help())
}

fn boolean(text: &str) -> Result<bool, String> {
    match &*text.to_ascii_lowercase() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("write `true` or `false`, not `{}`", shown(text))),
    }
}

fn exporter(text: &str) -> Result<bool, String> {
    match text {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("write `otlp` or `none`, not `{}`", shown(text))),
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(number @ 1..=86_400_000) => Ok(Duration::from_millis(number)),
        _ => Err(format!(
            "`{}` is no number of milliseconds: write `10000` for ten seconds",
            shown(text)
        )),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=LONGEST_QUEUE).contains(&number) => Ok(number),
        _ => Err(format!(
            "`{}` is no number from 1 to {LONGEST_QUEUE}",
            shown(text)
        )),
    }
}

fn headers_of(text: &str) -> Result<Vec<(String, Secret)>, String> {
    // Why so little is said: the text holds secrets.
    let unread = || "write `name=value`, several with a comma between them".to_owned();
    let pairs = pairs(text).map_err(|_| unread())?;
    let header = |(name, value): (String, String)| {
        header(&name, Some(&value)).map_err(|fault| explained(&fault))
    };
    pairs.into_iter().map(header).collect()
}

/// `name=value,name=value`, with `%2C` for a comma.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let name = decoded(name.trim()).filter(|name| !name.is_empty())?;
        Some((name, decoded(value.trim())?))
    };
    let unread = |part: &str| {
        format!(
            "`{}` is no `name=value`: write several with a comma between them, and a comma as `%2C`",
            shown(part)
        )
    };
    parts
        .map(|part| pair(part).ok_or_else(|| unread(part)))
        .collect()
}

/// A text with `%2C` for a comma and the like.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    octets.extend(parts.next()?.bytes());
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        octets.push(u8::from_str_radix(code, 16).ok()?);
        octets.extend(rest.bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> (Otlp, Vec<String>) {
        let mut otlp = Otlp::default();
        let warnings = applied(&mut otlp, variables);
        (otlp, warnings)
    }

    fn applied(otlp: &mut Otlp, variables: &[(&str, &str)]) -> Vec<String> {
        apply(otlp, &|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        })
    }

    #[test]
    fn what_is_unset_changes_nothing() {
        assert_eq!(with(&[]), (Otlp::default(), Vec::new()));
    }

    #[test]
    fn a_signal_goes_before_all_signals() {
        let (otlp, warnings) = with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,b=y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"),
        ]);
        assert_eq!(warnings, [""; 0]);
        let traces = &otlp.traces.collector;
        assert_eq!(traces.endpoint.as_deref(), Some("http://a:4317"));
        assert_eq!(traces.headers[0].1.reveal(), "Bearer x");
        assert_eq!(traces.timeout, Duration::from_millis(1500));
        assert_eq!(traces.ca, Some("/ca.pem".into()));
        assert_eq!(
            (otlp.traces.queue, otlp.traces.batch, otlp.traces.delay),
            (10, 5, Duration::from_millis(100))
        );
        let metrics = &otlp.metrics.collector;
        assert_eq!(metrics.endpoint.as_deref(), Some("https://m"));
        assert_eq!(metrics.timeout, Duration::from_millis(2500));
        assert_eq!(otlp.metrics.interval, Duration::from_secs(1));
    }

    #[test]
    fn exporters_are_turned_on_and_off() {
        let on = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317")];
        let (otlp, _) = with(&on);
        assert!(otlp.traces.collector.endpoint.is_some());
        assert_eq!(
            otlp.metrics.collector.endpoint, None,
            "nobody asked for metrics"
        );
        let off = [
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let mut otlp = Otlp::default();
        otlp.metrics.collector.endpoint = Some("http://m".into());
        assert!(applied(&mut otlp, &[on[0], off[0], off[1]]).is_empty());
        assert_eq!(otlp.traces.collector.endpoint, None);
        assert_eq!(otlp.metrics.collector.endpoint, None);
        let (otlp, _) = with(&[("OTEL_TRACES_EXPORTER", "otlp")]);
        assert_eq!(
            otlp.traces.collector.endpoint.as_deref(),
            Some("http://localhost:4317")
        );
        let (otlp, _) = with(&[on[0], ("OTEL_SDK_DISABLED", "true")]);
        assert_eq!(otlp.traces.collector.endpoint, None);
    }

    #[test]
    fn samplers_mean_what_they_say() {
        for (sampler, argument, parent_based, ratio) in [
            ("always_on", "0.5", false, 1.0),
            ("always_off", "", false, 0.0),
            ("traceidratio", "0.25", false, 0.25),
            ("traceidratio", "", false, 1.0),
            ("parentbased_always_on", "", true, 1.0),
            ("parentbased_always_off", "", true, 0.0),
            ("parentbased_traceidratio", "0.5", true, 0.5),
        ] {
            let mut variables = vec![("OTEL_TRACES_SAMPLER", sampler)];
            variables
                .extend((!argument.is_empty()).then_some(("OTEL_TRACES_SAMPLER_ARG", argument)));
            let expected = Sampling {
                parent_based,
                ratio,
            };
            let (otlp, warnings) = with(&variables);
            assert_eq!(
                (otlp.traces.sampling, warnings),
                (expected, Vec::new()),
                "{sampler}"
            );
        }
    }

    #[test]
    fn the_resource_is_added_to() {
        let mut otlp = Otlp {
            resource: vec![("a".into(), "file".into()), ("b".into(), "file".into())],
            ..Otlp::default()
        };
        let variables = [
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1%2C2, service.name=x"),
            ("OTEL_SERVICE_NAME", "edge"),
        ];
        assert!(applied(&mut otlp, &variables).is_empty());
        let pairs: Vec<_> = otlp
            .resource
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            pairs,
            [("b", "file"), ("a", "1,2"), ("service.name", "edge")]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_and_shows_no_secret() {
        let (otlp, warnings) = with(&[
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "c.pem"),
        ]);
        let mut expected = Otlp::default();
        expected.traces.collector.endpoint = Some("http://a:4317".into());
        assert_eq!(otlp, expected);
        insta::assert_snapshot!(warnings.join("\n"));
        let (_, warnings) = with(&[("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
        assert!(
            warnings[0].contains("set OTEL_TRACES_SAMPLER"),
            "{warnings:?}"
        );
    }
}
