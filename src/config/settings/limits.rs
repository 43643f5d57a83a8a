//! `[server.limits]`: what gateways may ask of one process, and for how long.

use std::{ops::RangeInclusive, time::Duration};

use super::duration;
use crate::config::{
    finding::{Finding, Findings},
    table::{At, table},
    words::shown,
};

/// What gateways may ask of one process, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many octets a message may have.
    pub message_octets: usize,
    /// How many calls may be in flight in all.
    pub calls: usize,
    /// How many calls of one connection may be in flight; more wait at the peer.
    pub calls_per_connection: u32,
    /// How many of those may be open streams of questions.
    pub streams_per_connection: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// How many octets of messages that have not come whole may be held in all.
    pub partial_octets: usize,
    /// How long what is ready may wait on a core until it is run; none: that is not measured.
    pub lag: Option<Duration>,
    /// How long a question may take to arrive whole, and as long again its answer to be taken.
    pub message_timeout: Duration,
    /// How long a peer may take from its connection until it speaks HTTP/2.
    pub handshake_timeout: Duration,
    /// For how long a connection may be without a call; none: for ever.
    pub idle: Option<Duration>,
    /// How old a connection may become, a tenth more or less; none: of any age.
    pub age: Option<Duration>,
    /// How long the calls of a connection that is to end may take before they are cut.
    pub age_grace: Duration,
    /// After how much silence a peer is asked whether it is there; none: never.
    pub keepalive_interval: Option<Duration>,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
    /// How far apart the pings of a peer must be; none: as near as it likes.
    pub ping_interval: Option<Duration>,
}

impl Default for Limits {
    /// For a fleet of 500 gateways; `docs/operations.md` says why each is as it is.
    fn default() -> Self {
        Self {
            message_octets: 256 * 1024,
            calls: 10_000,
            calls_per_connection: 512,
            streams_per_connection: 128,
            connections: 4096,
            partial_octets: 64 * 1024 * 1024,
            lag: Some(Duration::from_millis(500)),
            message_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle: Some(Duration::from_mins(5)),
            age: Some(Duration::from_mins(15)),
            age_grace: Duration::from_secs(30),
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_timeout: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(5)),
        }
    }
}

table! {
    /// What gateways may ask of one process, and for how long.
    pub struct RawLimits {
        /// How many octets a message may have.
        #[schemars(extend("default" = 262_144, "minimum" = 4096, "maximum" = 67_108_864))]
        message_octets: Option<At<i64>> = "message_octets" => "message_octets = 262144";
        /// How many calls may be in flight in all; more are told to ask another replica.
        #[schemars(extend("default" = 10_000, "minimum" = 1, "maximum" = 10_000_000))]
        calls: Option<At<i64>> = "calls" => "calls = 10000";
        /// How many calls of one connection may be in flight; more wait at the peer.
        #[schemars(extend("default" = 512, "minimum" = 1, "maximum" = 100_000))]
        calls_per_connection: Option<At<i64>> = "calls_per_connection" => "calls_per_connection = 512";
        /// How many of those may be streams of questions.
        #[schemars(extend("default" = 128, "minimum" = 1, "maximum" = 100_000))]
        streams_per_connection: Option<At<i64>> = "streams_per_connection" => "streams_per_connection = 128";
        /// How many connections may be open; a few more may ask for health alone.
        #[schemars(extend("default" = 4096, "minimum" = 1, "maximum" = 1_000_000))]
        connections: Option<At<i64>> = "connections" => "connections = 4096";
        /// How many octets of messages that have not come whole may be held in all; at least
        /// `message_octets`.
        #[schemars(extend("default" = 67_108_864, "minimum" = 4096, "maximum" = 1_099_511_627_776_i64))]
        partial_octets: Option<At<i64>> = "partial_octets" => "partial_octets = 67108864";
        /// How long what is ready may wait on a core until it is run, before calls are told to ask
        /// another replica; "0s": for ever.
        #[schemars(extend("default" = "500ms", "examples" = ["0s", "250ms", "1s"]))]
        lag: Option<At<String>> = "lag" => "lag = \"500ms\"";
        /// How long a question may take to arrive whole, and as long again its answer to be taken.
        #[schemars(extend("default" = "10s", "examples" = ["500ms", "10s", "1m"]))]
        message_timeout: Option<At<String>> = "message_timeout" => "message_timeout = \"10s\"";
        /// How long a peer may take from its connection until it speaks HTTP/2.
        #[schemars(extend("default" = "10s", "examples" = ["500ms", "10s", "1m"]))]
        handshake_timeout: Option<At<String>> = "handshake_timeout" => "handshake_timeout = \"10s\"";
        /// For how long a connection may be without a call; "0s": for ever.
        #[schemars(extend("default" = "5m", "examples" = ["0s", "30s", "5m"]))]
        idle: Option<At<String>> = "idle" => "idle = \"5m\"";
        /// How old a connection may become, a tenth more or less; "0s": of any age.
        #[schemars(extend("default" = "15m", "examples" = ["0s", "15m", "1h"]))]
        age: Option<At<String>> = "age" => "age = \"15m\"";
        /// How long the calls of a connection that is of age may take before they are cut.
        #[schemars(extend("default" = "30s", "examples" = ["5s", "30s", "1m"]))]
        age_grace: Option<At<String>> = "age_grace" => "age_grace = \"30s\"";
        /// After how much silence a peer is asked whether it is there; "0s": never.
        #[schemars(extend("default" = "30s", "examples" = ["0s", "30s", "2m"]))]
        keepalive_interval: Option<At<String>> = "keepalive_interval" => "keepalive_interval = \"30s\"";
        /// How long it may take to say so.
        #[schemars(extend("default" = "10s", "examples" = ["5s", "10s", "30s"]))]
        keepalive_timeout: Option<At<String>> = "keepalive_timeout" => "keepalive_timeout = \"10s\"";
        /// How far apart the pings of a peer must be; "0s": as near as it likes.
        #[schemars(extend("default" = "5s", "examples" = ["0s", "5s", "1m"]))]
        ping_interval: Option<At<String>> = "ping_interval" => "ping_interval = \"5s\"";
    }
}

/// The limits that hold where `raw` is written.
pub(super) fn check(raw: &RawLimits, findings: &mut Findings) -> Limits {
    let mut limits = Limits::default();
    macro_rules! number {
        ($($key:ident: $range:expr;)*) => {$(
            if let Some(value) = number(raw.$key.as_ref(), stringify!($key), $range, findings) {
                limits.$key = value;
            }
        )*};
    }
    macro_rules! length {
        ($($key:ident: $range:expr;)*) => {$(
            if let Some(value) = length(raw.$key.as_ref(), stringify!($key), $range, findings) {
                limits.$key = value;
            }
        )*};
    }
    number! {
        message_octets: 4096..=67_108_864;
        calls: 1..=10_000_000;
        calls_per_connection: 1..=100_000;
        streams_per_connection: 1..=100_000;
        connections: 1..=1_000_000;
    }
    let most = i64::try_from(limits.message_octets).unwrap_or(i64::MAX);
    number! {
        // Why not less: a message of that size would be turned away unless it came in one piece.
        partial_octets: most..=1_099_511_627_776;
    }
    length! {
        message_timeout: SHORTEST..=HOUR;
        handshake_timeout: SHORTEST..=HOUR;
        age_grace: SHORTEST..=HOUR;
        keepalive_timeout: SHORTEST..=HOUR;
    }
    macro_rules! length_or_none {
        ($($key:ident),*) => {$(
            if let Some(value) = length(raw.$key.as_ref(), stringify!($key), Duration::ZERO..=DAY, findings) {
                limits.$key = Some(value).filter(|value| !value.is_zero());
            }
        )*};
    }
    length_or_none!(lag, idle, age, keepalive_interval, ping_interval);
    limits
}

pub(super) fn number<T: TryFrom<i64>>(
    raw: Option<&At<i64>>,
    key: &str,
    range: RangeInclusive<i64>,
    findings: &mut Findings,
) -> Option<T> {
    let At { value, span } = raw?;
    if range.contains(value) {
        return T::try_from(*value).ok();
    }
    let message = format!("`{key}` cannot be {value}");
    let help = format!("write a number from {} to {}", range.start(), range.end());
    findings.push(Finding::error("limit-out-of-range", span.clone(), message).help(help));
    None
}

pub(super) fn length(
    raw: Option<&At<String>>,
    key: &str,
    range: RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    let length = duration(raw, findings)?;
    if range.contains(&length) {
        return Some(length);
    }
    let At { value, span } = raw?;
    let message = format!("`{key}` cannot be `{}`", shown(value));
    let (least, most) = (
        humantime::format_duration(*range.start()),
        humantime::format_duration(*range.end()),
    );
    let help = format!("write a length of time from `{least}` to `{most}`");
    findings.push(Finding::error("duration-out-of-range", span.clone(), message).help(help));
    None
}

const SHORTEST: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{render, settings::Settings};

    #[test]
    fn a_table_is_read() {
        let text = "version = 1\n[server.limits]\nmessage_octets = 65536\ncalls = 7\n\
            calls_per_connection = 6\nstreams_per_connection = 5\nconnections = 4\n\
            partial_octets = 65536\nlag = \"700ms\"\n\
            message_timeout = \"1s\"\nhandshake_timeout = \"2s\"\nidle = \"3s\"\nage = \"0s\"\n\
            age_grace = \"4s\"\nkeepalive_interval = \"5s\"\nkeepalive_timeout = \"6s\"\n\
            ping_interval = \"0s\"\n";
        let limits = Limits {
            message_octets: 65_536,
            calls: 7,
            calls_per_connection: 6,
            streams_per_connection: 5,
            connections: 4,
            partial_octets: 65_536,
            lag: Some(Duration::from_millis(700)),
            message_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(2),
            idle: Some(Duration::from_secs(3)),
            age: None,
            age_grace: Duration::from_secs(4),
            keepalive_interval: Some(Duration::from_secs(5)),
            keepalive_timeout: Duration::from_secs(6),
            ping_interval: None,
        };
        assert_eq!(Settings::from_toml(text).unwrap().limits, limits);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let text = "version = 1\n[server.limits]\ncalls = 0\nmessage_octets = 99999999999\n\
            message_timeout = \"0s\"\nage_grace = \"2h\"\nidle = \"2days\"\nage = 15\n\
            ping_interval = \"5\"\nstreams = 7\n";
        let findings = Settings::from_toml(text).unwrap_err();
        insta::assert_snapshot!(render::plain("f", text, &findings), @r#"
        f:3:9: error[limit-out-of-range]: `calls` cannot be 0 (help: write a number from 1 to 10000000)
        f:4:18: error[limit-out-of-range]: `message_octets` cannot be 99999999999 (help: write a number from 4096 to 67108864)
        f:5:19: error[duration-out-of-range]: `message_timeout` cannot be `0s` (help: write a length of time from `10ms` to `1h`)
        f:6:13: error[duration-out-of-range]: `age_grace` cannot be `2h` (help: write a length of time from `10ms` to `1h`)
        f:7:8: error[duration-out-of-range]: `idle` cannot be `2days` (help: write a length of time from `0s` to `1day`)
        f:8:7: error[type-wrong]: `age` must be a text in quotes, not a number (help: put it in quotes, as in `age = "15m"`)
        f:9:17: error[duration-invalid]: `5` is not a length of time (help: add a unit: `5s` for seconds, `5ms`, `5m`)
        f:10:1: error[key-unknown]: unknown key `streams` in `[server.limits]` (help: the keys here are `message_octets`, `calls`, `calls_per_connection`, `streams_per_connection`, `connections`, `partial_octets`, `lag`, `message_timeout`, `handshake_timeout`, `idle`, `age`, `age_grace`, `keepalive_interval`, `keepalive_timeout`, `ping_interval`)
        "#);
    }
}
