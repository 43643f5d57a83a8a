//! Smart hosts: the next hops of a route.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    str::FromStr,
};

use foldhash::fast::RandomState;

use super::{
    super::{finding::Findings, table::At, words::shown},
    taken, values,
};
use crate::{
    mail::Domain,
    policy::connector::{Host, SmartHost, Written},
};

/// The smart hosts of a route in the order written, equals once.
pub(super) fn listed(
    written: &At<Vec<At<String>>>,
    whole: bool,
    findings: &mut Findings,
) -> Vec<Written<SmartHost>> {
    let (listed, spans) = values::list(written, whole, findings, |entry, findings| {
        let help = "write a host name or an address, with a port if it is not 25: \
                    `\"mail.contosobank.com\"`, `\"192.0.2.7:2525\"`, `\"[2001:db8::7]:2525\"`";
        findings.keep_with_help(entry, "smart-host-bad", help, smart_host(&entry.value))
    });
    let mut first: HashMap<SmartHost, &Range<usize>, RandomState> = HashMap::default();
    let mut kept = Vec::with_capacity(listed.len());
    for (written, here) in listed.into_iter().zip(&spans) {
        match taken(&mut first, written.value.clone(), here) {
            Some(there) => values::twice(here, there, findings),
            None => kept.push(written),
        }
    }
    kept
}

/// Reads a host name, an IPv4 address, or an IPv6 address (in brackets, or bare without a port),
/// with a port behind `:`.
fn smart_host(text: &str) -> Result<SmartHost, String> {
    let quoted = || format!("`{}`", shown(text));
    if text.is_empty() {
        return Err("a smart host cannot be empty".to_owned());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest
            .split_once(']')
            .ok_or_else(|| format!("{} has no `]` behind its address", quoted()))?;
        let address: Ipv6Addr = address.parse().map_err(|_| {
            format!(
                "{} has no IPv6 address in its brackets; names and IPv4 addresses stand without",
                quoted()
            )
        })?;
        let port = match port.strip_prefix(':') {
            Some(port) => self::port(port).ok_or_else(|| bad_port(port))?,
            None if port.is_empty() => SMTP,
            None => return Err(format!("behind the `]` of {} stands no port", quoted())),
        };
        return Ok(SmartHost {
            host: Host::Address(IpAddr::from(address).to_canonical()),
            port,
        });
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(SmartHost {
            host: Host::Address(IpAddr::from(address).to_canonical()),
            port: SMTP,
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err(format!(
                "{} is no IPv6 address; one with a port stands in brackets",
                quoted()
            ));
        }
        Some((host, port)) => (host, self::port(port).ok_or_else(|| bad_port(port))?),
        None => (text, SMTP),
    };
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(SmartHost {
            host: Host::Address(address.into()),
            port,
        });
    }
    let name = Domain::from_str(host).map_err(|error| error.to_string())?;
    // Why: such a name cannot exist (RFC 3696 section 2); it is an address with a slip in it.
    let top = name.as_str().rsplit('.').next().unwrap_or_default();
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{} is neither a host name nor an IPv4 address",
            quoted()
        ));
    }
    Ok(SmartHost {
        host: Host::Name(name),
        port,
    })
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn bad_port(text: &str) -> String {
    if text.is_empty() {
        return "no port stands behind the `:`".to_owned();
    }
    format!("`{}` is no port: a port is 1 to 65535", shown(text))
}

const SMTP: u16 = 25;
