//! A connector set as an administrator writes it: every value is the text of the file.

use std::fmt::Write;

/// One connector set: the whole of one file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Set {
    /// The mode of the whole set; none where the file states none.
    pub(crate) mode: Option<Mode>,
    pub(crate) accepted_domains: Vec<String>,
    pub(crate) retired: bool,
    pub(crate) inbound: Vec<Inbound>,
    pub(crate) outbound: Vec<Outbound>,
}

impl Set {
    /// The set as a file: `version` first, `[end]` last.
    pub(crate) fn to_toml(&self) -> String {
        let mut file = File::default();
        file.line("version", Some("1".into()));
        file.line("mode", self.mode.map(|mode| quoted(mode.word())));
        file.line("accepted_domains", Some(list(&self.accepted_domains)));
        file.line("retired", self.retired.then(|| "true".into()));
        for connector in &self.inbound {
            connector.write(&mut file);
        }
        for connector in &self.outbound {
            connector.write(&mut file);
        }
        file.table("[end]");
        file.text
    }

    /// "the weaker of it and a connector's own holds"
    pub(crate) fn weaker_mode(&self, own: Option<Mode>) -> Mode {
        self.mode.unwrap_or_default().min(own.unwrap_or_default())
    }
}

/// An `[[inbound]]` connector.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Inbound {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
    pub(crate) mode: Option<Mode>,
    pub(crate) matches: InboundMatch,
    pub(crate) require: InboundRequire,
    pub(crate) reply: Reply,
}

impl Inbound {
    fn write(&self, file: &mut File) {
        file.table("[[inbound]]");
        file.line("name", Some(quoted(&self.name)));
        file.line("comment", self.comment.as_deref().map(quoted));
        file.line("mode", self.mode.map(|mode| quoted(mode.word())));
        file.table("[inbound.match]");
        file.line("sender_domains", written(&self.matches.sender_domains));
        file.line("client_ips", written(&self.matches.client_ips));
        file.line(
            "recipient_domains",
            written(&self.matches.recipient_domains),
        );
        file.table("[inbound.require]");
        let require = &self.require;
        file.line("tls", require.tls.map(|tls| quoted(tls.word())));
        file.line(
            "tls_min_version",
            require.tls_min_version.as_deref().map(quoted),
        );
        file.line("certificate_names", written(&require.certificate_names));
        file.line(
            "certificate_fingerprints",
            written(&require.certificate_fingerprints),
        );
        file.line("client_ips", written(&require.client_ips));
        file.line("origin", require.origin.map(|origin| quoted(origin.word())));
        self.reply.write("[inbound.reply]", file);
    }
}

/// How an inbound connector recognises its partner; an empty list is one that is not written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct InboundMatch {
    pub(crate) sender_domains: Vec<String>,
    pub(crate) client_ips: Vec<String>,
    pub(crate) recipient_domains: Vec<String>,
}

/// What inbound mail must meet; an empty list is one that is not written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct InboundRequire {
    pub(crate) tls: Option<InboundTls>,
    pub(crate) tls_min_version: Option<String>,
    pub(crate) certificate_names: Vec<String>,
    pub(crate) certificate_fingerprints: Vec<String>,
    pub(crate) client_ips: Vec<String>,
    pub(crate) origin: Option<Origin>,
}

/// An `[[outbound]]` connector.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Outbound {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
    pub(crate) mode: Option<Mode>,
    pub(crate) scope: Option<Scope>,
    pub(crate) recipient_domains: Vec<String>,
    pub(crate) smart_hosts: Vec<String>,
    pub(crate) require: OutboundRequire,
    pub(crate) reply: Reply,
}

impl Outbound {
    fn write(&self, file: &mut File) {
        file.table("[[outbound]]");
        file.line("name", Some(quoted(&self.name)));
        file.line("comment", self.comment.as_deref().map(quoted));
        file.line("mode", self.mode.map(|mode| quoted(mode.word())));
        file.line("scope", self.scope.map(|scope| quoted(scope.word())));
        if !self.recipient_domains.is_empty() {
            file.table("[outbound.match]");
            file.line("recipient_domains", written(&self.recipient_domains));
        }
        if !self.smart_hosts.is_empty() {
            file.table("[outbound.route]");
            file.line("smart_hosts", written(&self.smart_hosts));
        }
        let require = &self.require;
        if *require != OutboundRequire::default() {
            file.table("[outbound.require]");
            file.line("tls", require.tls.map(|level| quoted(level.word())));
            file.line("certificate_names", written(&require.certificate_names));
            file.line(
                "certificate_fingerprints",
                written(&require.certificate_fingerprints),
            );
            file.line(
                "tls_min_version",
                require.tls_min_version.as_deref().map(quoted),
            );
        }
        self.reply.write("[outbound.reply]", file);
    }
}

/// What an outbound session must meet; an empty list is one that is not written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OutboundRequire {
    pub(crate) tls: Option<Level>,
    pub(crate) certificate_names: Vec<String>,
    pub(crate) certificate_fingerprints: Vec<String>,
    pub(crate) tls_min_version: Option<String>,
}

/// What to say where a demand of the connector is not met.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) action: Option<Action>,
    pub(crate) text: Option<String>,
}

impl Reply {
    fn write(&self, table: &str, file: &mut File) {
        if *self != Self::default() {
            file.table(table);
            file.line("action", self.action.map(|action| quoted(action.word())));
            file.line("text", self.text.as_deref().map(quoted));
        }
    }
}

/// The modes, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Mode {
    Off,
    Report,
    #[default]
    Enforce,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Enforce => "enforce",
        }
    }
}

/// `tls` of an inbound connector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InboundTls {
    Encrypt,
    Opportunistic,
}

impl InboundTls {
    fn word(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Opportunistic => "opportunistic",
        }
    }
}

/// `origin` of an inbound connector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    AddressAndCertificate,
    AddressOrCertificate,
    Unrestricted,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::AddressAndCertificate => "address-and-certificate",
            Self::AddressOrCertificate => "address-or-certificate",
            Self::Unrestricted => "unrestricted",
        }
    }
}

/// `tls` of an outbound connector, from the least to the most; the numbers are the contract's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Level {
    Opportunistic = 1,
    Encrypt = 2,
    Trusted = 3,
    Domain = 4,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Opportunistic => "opportunistic",
            Self::Encrypt => "encrypt",
            Self::Trusted => "trusted",
            Self::Domain => "domain",
        }
    }
}

/// `scope` of an outbound connector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    Domains,
    Rule,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Rule => "rule",
        }
    }
}

/// `action` of a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Defer,
    Reject,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::Reject => "reject",
        }
    }
}

/// The text of a file as it grows.
#[derive(Default)]
struct File {
    text: String,
}

impl File {
    fn table(&mut self, header: &str) {
        self.text.push('\n');
        self.text.push_str(header);
        self.text.push('\n');
    }

    /// Writes a key, unless it has no value.
    fn line(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.text.push_str(key);
            self.text.push_str(" = ");
            self.text.push_str(&value);
            self.text.push('\n');
        }
    }
}

/// A list, or none where it is empty: "an empty list" is an error.
fn written(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| list(items))
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// `text` as a TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                // Writing into a string cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
