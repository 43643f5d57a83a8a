//! Decisions: what may pass, and why not.

use std::{borrow::Cow, fmt};

use super::{
    connector::{SmartHost, Written},
    requirement::TlsLevel,
};
use crate::mail::{CertificateName, Fingerprint, TlsVersion};

/// The answer to one question, borrowed from the connector set that gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// May the mail pass?
    pub verdict: Verdict,
    /// The most specific connector that applies: of the chain that the first rejection comes from;
    /// without rejections by sender domain, else by client address. Outbound: the one that governs.
    pub connector: Option<Matched<'a>>,
    /// The most specific connector of the other chain.
    pub also_matched: Option<Matched<'a>>,
    /// The restrictions that are not met, one per reason, in a fixed order.
    pub rejections: Vec<Rejection<'a>>,
    /// What to say to the peer, where the verdict is reject or defer.
    pub reply: Option<Reply<'a>>,
    /// The decision if every connector in report were enforced; none where none of them applies.
    pub if_enforced: Option<Box<Report<'a>>>,
    /// Outbound: how to deliver, where the verdict is accept or conditional.
    pub delivery: Option<Delivery<'a>>,
}

/// May the mail pass?
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// No restriction stands against it.
    Accept,
    /// Not final: outbound, only over a session that meets the delivery; inbound, ask again with a
    /// recipient.
    Conditional,
    /// Not now: the peer keeps it and tries again.
    Defer,
    /// No.
    Reject,
}

/// What becomes of mail that does not meet a restriction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Refused for now, 4yz.
    Defer,
    /// Refused for good, 5yz.
    Reject,
}

/// A connector that applies, and what made it apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Matched<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it was recognised by.
    pub by: MatchedBy,
    /// The configured value that matched, as written; empty by rule.
    pub value: &'a str,
}

/// What a connector was recognised by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MatchedBy {
    /// The address of the sending server.
    ClientIp,
    /// The domain of the recipient.
    RecipientDomain,
    /// The call named it.
    Rule,
    /// The domain of the envelope sender.
    SenderDomain,
}

/// The decision if every connector in report were enforced.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    /// May the mail pass?
    pub verdict: Verdict,
    /// As in the decision.
    pub connector: Option<Matched<'a>>,
    /// As in the decision.
    pub rejections: Vec<Rejection<'a>>,
}

/// A restriction that is not met.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection<'a> {
    /// Which kind of restriction.
    pub reason: Reason,
    /// Name of the connector that states it; none where no connector is concerned.
    pub connector: Option<&'a str>,
    /// One sentence for a postmaster: what was expected, and what was seen.
    pub message: String,
    /// What the connector accepts, as written; at most [`LISTED`] entries, then one that counts the rest.
    pub expected: Vec<String>,
    /// What the session showed; bounded likewise, each entry at most [`OBSERVED_OCTETS`] long.
    pub observed: Vec<String>,
}

/// The kinds of restrictions that can be unmet, in the order in which they are given.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// TLS is demanded, and the session is in plaintext.
    TlsRequired,
    /// The session's TLS is of too low a version.
    TlsVersionTooLow,
    /// A certificate is demanded, and the peer presented none.
    CertificateRequired,
    /// Names count only in a trusted certificate, and this one is trusted but for its dates.
    CertificateExpired,
    /// Names count only in a trusted certificate, and this one is not.
    CertificateUntrusted,
    /// None of the presented names is among those demanded.
    CertificateNameMismatch,
    /// Neither the certificate nor its public key is among those demanded.
    CertificateFingerprintMismatch,
    /// The sending server's address is none of those demanded.
    ClientIpNotAllowed,
    /// The next hop is none of the smart hosts.
    HostNotAllowed,
    /// The call names a connector that is not there.
    RuleConnectorNotFound,
    /// The envelope sender cannot be understood as an address.
    MailFromInvalid,
    /// The envelope recipient cannot be understood as an address.
    RcptToInvalid,
}

/// What to say to the peer (RFC 5321 section 4.2, RFC 3463).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply<'a> {
    /// The reply code, "550" say.
    pub code: u16,
    /// The enhanced status code, "5.7.1" say.
    pub enhanced: &'static str,
    /// One line of printable ASCII, at most 400 octets, fit to be shown to the peer.
    pub text: Cow<'a, str>,
}

/// How to deliver a message.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Next hops in order of preference; empty: by MX.
    pub smart_hosts: &'a [Written<SmartHost>],
    /// What the session must at least be.
    pub level: TlsLevel,
    /// Names of which the certificate must bear one.
    pub names: &'a [Written<CertificateName>],
    /// The lowest version allowed.
    pub min_version: Option<TlsVersion>,
    /// Certificates or public keys of which one must match.
    pub fingerprints: &'a [Written<Fingerprint>],
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: [Self; 12] = [
        Self::TlsRequired,
        Self::TlsVersionTooLow,
        Self::CertificateRequired,
        Self::CertificateExpired,
        Self::CertificateUntrusted,
        Self::CertificateNameMismatch,
        Self::CertificateFingerprintMismatch,
        Self::ClientIpNotAllowed,
        Self::HostNotAllowed,
        Self::RuleConnectorNotFound,
        Self::MailFromInvalid,
        Self::RcptToInvalid,
    ];

    /// Its stable name in the contract, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsRequired => "TLS_REQUIRED",
            Self::TlsVersionTooLow => "TLS_VERSION_TOO_LOW",
            Self::CertificateRequired => "CERTIFICATE_REQUIRED",
            Self::CertificateExpired => "CERTIFICATE_EXPIRED",
            Self::CertificateUntrusted => "CERTIFICATE_UNTRUSTED",
            Self::CertificateNameMismatch => "CERTIFICATE_NAME_MISMATCH",
            Self::CertificateFingerprintMismatch => "CERTIFICATE_FINGERPRINT_MISMATCH",
            Self::ClientIpNotAllowed => "CLIENT_IP_NOT_ALLOWED",
            Self::HostNotAllowed => "HOST_NOT_ALLOWED",
            Self::RuleConnectorNotFound => "RULE_CONNECTOR_NOT_FOUND",
            Self::MailFromInvalid => "MAIL_FROM_INVALID",
            Self::RcptToInvalid => "RCPT_TO_INVALID",
        }
    }
}

impl Verdict {
    /// Its name in the contract, metrics and logs, less the prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Conditional => "CONDITIONAL",
            Self::Defer => "DEFER",
            Self::Reject => "REJECT",
        }
    }
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        match action {
            Action::Defer => Self::Defer,
            Action::Reject => Self::Reject,
        }
    }
}

impl Action {
    /// The word for it in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::Reject => "reject",
        }
    }
}

impl MatchedBy {
    /// Its name in the contract, less the prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientIp => "CLIENT_IP",
            Self::RecipientDomain => "RECIPIENT_DOMAIN",
            Self::Rule => "RULE",
            Self::SenderDomain => "SENDER_DOMAIN",
        }
    }
}

impl Decision<'_> {
    /// A decision of `verdict`, of which nothing else is known.
    pub(super) fn bare(verdict: Verdict) -> Self {
        Self {
            verdict,
            connector: None,
            also_matched: None,
            rejections: Vec::new(),
            reply: None,
            if_enforced: None,
            delivery: None,
        }
    }
}

impl Delivery<'_> {
    /// By MX, over TLS where the server offers it.
    pub const BY_MX: Delivery<'static> = Delivery {
        smart_hosts: &[],
        level: TlsLevel::Opportunistic,
        names: &[],
        min_version: None,
        fingerprints: &[],
    };

    /// True where any session will do.
    pub fn is_unconditional(&self) -> bool {
        self.smart_hosts.is_empty() && self.level == TlsLevel::Opportunistic
    }
}

impl PartialEq for Delivery<'_> {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(a: &[Written<T>], b: &[Written<T>]) -> bool {
            a.iter()
                .map(|written| &written.value)
                .eq(b.iter().map(|written| &written.value))
        }
        self.level == other.level
            && self.min_version == other.min_version
            && same(self.smart_hosts, other.smart_hosts)
            && same(self.names, other.names)
            && same(self.fingerprints, other.fingerprints)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many values a rejection lists before it counts the rest.
pub const LISTED: usize = 16;

/// How long an observed value may be, in octets, before it is cut.
pub const OBSERVED_OCTETS: usize = 255;
