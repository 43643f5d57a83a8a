//! Connectors: named rules about one partner, in one direction.

use super::{
    decision::Action,
    listed::Listed,
    requirement::{InboundRequirement, OutboundRequirement},
};
use crate::mail::{CertificateName, Domain, DomainPattern, Fingerprint, Network, TlsVersion};

use std::{fmt, net::IpAddr};

/// What was agreed with a partner about mail that it sends to us.
#[derive(Clone, Debug)]
pub struct InboundConnector {
    /// Unique among the inbound connectors of its set.
    pub name: Box<str>,
    /// How the partner is recognised.
    pub partner: Partner,
    /// The restrictions that its mail must meet.
    pub require: InboundRequirement,
    /// Which of enforced, reported and off it is, and what was written.
    pub mode: Modes,
    /// Line of its file at which it begins, counted from 1.
    pub line: u32,
    /// Only mail to these; empty: to whomever.
    pub recipient_domains: Box<[Written<DomainPattern>]>,
    /// What to say where they are not met.
    pub reply: ReplyRule,
    /// The administrator's own note; never interpreted.
    pub comment: Option<Box<str>>,
}

/// What was agreed with a partner about mail that we send to it.
#[derive(Clone, Debug)]
pub struct OutboundConnector {
    /// Unique among the outbound connectors of its set.
    pub name: Box<str>,
    /// Which mail it governs.
    pub scope: Scope,
    /// What a session with the next hop must meet.
    pub require: OutboundRequirement,
    /// Next hops in order of preference; empty: by MX.
    pub smart_hosts: Box<[Written<SmartHost>]>,
    /// Which of enforced, reported and off it is, and what was written.
    pub mode: Modes,
    /// Line of its file at which it begins, counted from 1.
    pub line: u32,
    /// What to say where it is not met.
    pub reply: ReplyRule,
    /// The administrator's own note; never interpreted.
    pub comment: Option<Box<str>>,
}

/// How an inbound connector recognises its partner.
#[derive(Clone, Debug)]
pub enum Partner {
    /// By the domain of the envelope sender.
    SenderDomains(Listed<Written<DomainPattern>>),
    /// By the address of the sending server.
    ClientIps(Listed<Written<Network>>),
}

/// Which mail an outbound connector governs.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Mail to these domains.
    Domains(Listed<Written<DomainPattern>>),
    /// Only mail of calls that name it (Exchange: a transport rule's connector).
    Rule,
}

/// A value, and the text that it was written with.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What it means.
    pub value: T,
    /// As it stands in the file, where the value itself does not have that text.
    text: Option<Box<str>>,
}

/// A value that may have the text of one way to write it, so that it need not be kept twice.
pub trait Spelled {
    /// That text.
    fn spelling(&self) -> Option<&str>;
}

/// Whether a connector is in force.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Its demands decide.
    Enforce,
    /// What it would change is reported; nothing is enforced.
    Report,
    /// It is as good as not there.
    Off,
}

/// The mode written on a connector, and the one that holds: the weaker of it and the set's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Modes {
    /// Written on the connector; says which of two that share a pattern takes the other's place.
    pub own: Mode,
    /// In force.
    pub effective: Mode,
}

/// How an unmet restriction is answered.
#[derive(Clone, Debug)]
pub struct ReplyRule {
    /// For good, or for now.
    pub action: Action,
    /// Instead of the default text.
    pub text: Option<Box<str>>,
}

/// A next hop that mail is handed to instead of the domain's MX.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SmartHost {
    /// Its name or address.
    pub host: Host,
    /// TCP port, 25 unless written.
    pub port: u16,
}

/// A host by name or by address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// By its DNS name.
    Name(Domain),
    /// By its address.
    Address(IpAddr),
}

impl Mode {
    /// The word for it in configuration, metrics and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
            Self::Off => "off",
        }
    }
}

impl Modes {
    /// The modes of a connector with `own` written on it in a set of mode `set`.
    pub fn of(own: Mode, set: Mode) -> Self {
        Self {
            own,
            effective: own.max(set),
        }
    }

    /// True where the connector is in force.
    pub fn enforces(self) -> bool {
        self.effective == Mode::Enforce
    }

    /// True where what the connector would change is reported.
    pub fn reports(self) -> bool {
        self.effective == Mode::Report
    }
}

impl<T: Spelled> Written<T> {
    /// `value`, written as `text`.
    pub fn new(value: T, text: &str) -> Self {
        let text = (value.spelling() != Some(text)).then(|| text.into());
        Self { value, text }
    }

    /// As it stands in the file.
    pub fn text(&self) -> &str {
        match &self.text {
            Some(text) => text,
            None => self.value.spelling().unwrap_or_default(),
        }
    }
}

impl Spelled for CertificateName {
    fn spelling(&self) -> Option<&str> {
        self.exact().map(Domain::as_str)
    }
}

impl Spelled for DomainPattern {
    fn spelling(&self) -> Option<&str> {
        match self {
            Self::Any => Some("*"),
            Self::Exact(domain) => Some(domain.as_str()),
            Self::Subtree(_) => None,
        }
    }
}

impl Spelled for Fingerprint {
    fn spelling(&self) -> Option<&str> {
        None
    }
}

impl Spelled for Network {
    fn spelling(&self) -> Option<&str> {
        None
    }
}

impl Spelled for SmartHost {
    fn spelling(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Address(_) => None,
        }
    }
}

impl Spelled for TlsVersion {
    fn spelling(&self) -> Option<&str> {
        match self {
            Self::Tls1_2 => Some("TLSv1.2"),
            Self::Tls1_3 => Some("TLSv1.3"),
            Self::Unknown | Self::Ssl3 | Self::Tls1_0 | Self::Tls1_1 => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}
