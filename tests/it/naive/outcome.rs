//! What a gateway is told, without the sentences.

use super::model::{Action, Level, Reply};

/// A decision. `also_matched` is inbound's, `delivery` outbound's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) connector: Option<Matched>,
    pub(crate) also_matched: Option<Matched>,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) reply: Option<ReplyCodes>,
    pub(crate) if_enforced: Option<Report>,
    pub(crate) delivery: Option<Delivery>,
}

impl Outcome {
    /// "the verdict is CONDITIONAL, without rejections: ask again with a recipient"
    pub(crate) fn ask_with_recipient() -> Self {
        Self {
            verdict: Verdict::Conditional,
            connector: None,
            also_matched: None,
            rejections: Vec::new(),
            reply: None,
            if_enforced: None,
            delivery: None,
        }
    }

    /// "REJECT with `MAIL_FROM_INVALID` or else `RCPT_TO_INVALID` as the only rejection, no
    /// connector, no `if_enforced`, whatever the set and its mode."
    pub(crate) fn malformed(reason: Reason, given: &str) -> Self {
        Self {
            verdict: Verdict::Reject,
            connector: None,
            also_matched: None,
            rejections: vec![Rejection::new(reason, "", Vec::new(), vec![given.into()])],
            reply: Some(ReplyCodes {
                code: 553,
                enhanced: if reason == Reason::MailFromInvalid {
                    "5.1.7"
                } else {
                    "5.1.3"
                },
                text: None,
            }),
            if_enforced: None,
            delivery: None,
        }
    }
}

/// `if_enforced`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) connector: Option<Matched>,
    pub(crate) rejections: Vec<Rejection>,
}

/// MatchedConnector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Matched {
    pub(crate) name: String,
    pub(crate) by: MatchedBy,
    /// As written; empty by rule.
    pub(crate) value: String,
}

/// A restriction that is not met; the lists are cut to the contract's length already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) reason: Reason,
    /// Empty where no connector is concerned.
    pub(crate) connector: String,
    pub(crate) expected: Vec<String>,
    pub(crate) observed: Vec<String>,
}

impl Rejection {
    pub(crate) fn new(
        reason: Reason,
        connector: &str,
        expected: Vec<String>,
        observed: Vec<String>,
    ) -> Self {
        // "empty where it showed nothing"
        let observed = observed.into_iter().filter(|text| !text.is_empty());
        // "entries of at most 255 octets"
        let observed = observed.map(|text| cut(&text, 255)).collect();
        Self {
            reason,
            connector: connector.into(),
            expected: at_most_16(expected),
            observed: at_most_16(observed),
        }
    }
}

/// The codes of the SMTP reply, and its text where the connector has one of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ReplyCodes {
    pub(crate) code: u32,
    pub(crate) enhanced: &'static str,
    pub(crate) text: Option<String>,
}

impl ReplyCodes {
    /// The table of replies, inbound.
    pub(crate) fn inbound(reason: Reason, reply: &Reply) -> Self {
        let (code, enhanced) = match (reason, reply.action.unwrap_or(Action::Reject)) {
            (Reason::TlsRequired, Action::Reject) => (530, "5.7.0"),
            (Reason::TlsRequired, Action::Defer) => (451, "4.7.0"),
            (_, Action::Reject) => (550, "5.7.1"),
            (_, Action::Defer) => (451, "4.7.1"),
        };
        Self {
            code,
            enhanced,
            text: reply.text.clone(),
        }
    }

    /// The table of replies, outbound.
    pub(crate) fn outbound(reason: Reason, reply: &Reply) -> Self {
        let (code, enhanced) = match (reason, reply.action.unwrap_or(Action::Defer)) {
            (Reason::TlsRequired, Action::Defer) => (451, "4.7.4"),
            (Reason::TlsRequired, Action::Reject) => (550, "5.7.4"),
            (Reason::HostNotAllowed | Reason::RuleConnectorNotFound, Action::Defer) => {
                (451, "4.3.5")
            }
            (Reason::HostNotAllowed | Reason::RuleConnectorNotFound, Action::Reject) => {
                (550, "5.3.5")
            }
            (_, Action::Defer) => (451, "4.7.5"),
            (_, Action::Reject) => (550, "5.7.5"),
        };
        Self {
            code,
            enhanced,
            text: reply.text.clone(),
        }
    }
}

/// How to deliver; everything in it is canonical.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Delivery {
    /// Hosts and ports; empty: by MX.
    pub(crate) smart_hosts: Vec<(String, u16)>,
    pub(crate) level: Level,
    pub(crate) names: Vec<String>,
    /// Empty: any.
    pub(crate) min_version: String,
    pub(crate) fingerprints: Vec<String>,
}

/// The verdicts, with the contract's numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Verdict {
    Accept = 1,
    Reject = 2,
    Conditional = 3,
    Defer = 4,
}

/// "REJECT and DEFER are the verdicts of the two actions."
impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        match action {
            Action::Defer => Self::Defer,
            Action::Reject => Self::Reject,
        }
    }
}

/// What of a connector matched, with the contract's numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum MatchedBy {
    SenderDomain = 1,
    ClientIp = 2,
    RecipientDomain = 3,
    Rule = 4,
}

/// The reasons, with the contract's numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Reason {
    TlsRequired = 1,
    TlsVersionTooLow = 2,
    CertificateRequired = 3,
    CertificateUntrusted = 4,
    CertificateNameMismatch = 5,
    ClientIpNotAllowed = 6,
    HostNotAllowed = 7,
    RuleConnectorNotFound = 8,
    CertificateFingerprintMismatch = 9,
    CertificateExpired = 10,
    MailFromInvalid = 11,
    RcptToInvalid = 12,
}

/// "at most 16 entries, then one that counts the rest"
fn at_most_16(mut entries: Vec<String>) -> Vec<String> {
    if entries.len() > 16 {
        let rest = entries.len() - 16;
        entries.truncate(16);
        entries.push(format!("and {rest} more"));
    }
    entries
}

/// The longest beginning of `text` in whole characters and at most `octets` octets.
fn cut(text: &str, octets: usize) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        if kept.len() + character.len_utf8() > octets {
            break;
        }
        kept.push(character);
    }
    kept
}
