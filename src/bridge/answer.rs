//! What an MTA does with a message, for what the service answered.

use std::fmt;

use tonic::Code;

use super::facts::plain_text;
use crate::{
    config::settings::bridge::OnUnavailable,
    rpc::pb::{CheckInboundResponse, SmtpReply, Verdict},
};

/// Where in an SMTP session the MTA asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Before any recipient: each of them will still be asked about.
    Early,
    /// At a recipient.
    Recipient,
    /// After the last recipient.
    Late {
        /// A recipient of the same message was asked about, and let pass.
        asked: bool,
    },
}

/// What the MTA is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing stands against the mail.
    Pass {
        /// The name of the connector that applies; none where none does, or nobody could be asked.
        connector: Option<String>,
    },
    /// It is refused for good.
    Refuse(Reply),
    /// It is refused for now.
    Defer(Reply),
}

/// What is said to the sending server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// 4yz or 5yz.
    pub code: u16,
    /// "5.7.51", say; of the same class as the code.
    pub enhanced: String,
    /// One line of printable ASCII, at most 400 octets.
    pub text: String,
}

impl Reply {
    fn own(enhanced: &str, text: &str) -> Self {
        Self {
            code: 451,
            enhanced: enhanced.to_owned(),
            text: text.to_owned(),
        }
    }

    /// That of an answer; what is no reply of the class `class` is mended.
    fn of(reply: Option<&SmtpReply>, class: char) -> Self {
        let usual = if class == '5' { 550 } else { 451 };
        let code = reply.and_then(|reply| u16::try_from(reply.code).ok());
        let code =
            code.filter(|code| (400..600).contains(code) && code.to_string().starts_with(class));
        let enhanced = reply.map(|reply| reply.enhanced_code.as_str());
        let enhanced = enhanced.filter(|enhanced| is_enhanced(enhanced, class));
        let text = plain_text(reply.map(|reply| reply.text.as_str()).unwrap_or_default());
        Self {
            code: code.unwrap_or(usual),
            enhanced: enhanced.map_or_else(|| format!("{class}.7.1"), str::to_owned),
            text: if text.is_empty() {
                "connector policy".to_owned()
            } else {
                text
            },
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

/// The service gave no answer: what the last attempt came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unanswered {
    /// The status of the call.
    pub code: Code,
    /// What it says.
    pub message: String,
}

impl Unanswered {
    /// Whether nobody was there to answer in time: what `on_unavailable` is for. All else is a
    /// fault of a configuration, which must not let mail pass.
    pub fn is_unavailability(&self) -> bool {
        matches!(
            self.code,
            Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unavailable
        )
    }

    /// Whether mail passes for it all the same.
    pub fn passes(&self, on_unavailable: OnUnavailable) -> bool {
        self.is_unavailability() && on_unavailable == OnUnavailable::Accept
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

/// What the MTA is to do about mail to us, for what the service answered at `stage`.
pub fn inbound(
    answer: &Result<CheckInboundResponse, Unanswered>,
    stage: Stage,
    on_unavailable: OnUnavailable,
) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(unanswered) if unanswered.passes(on_unavailable) => {
            return Outcome::Pass { connector: None };
        }
        Err(unanswered) if unanswered.is_unavailability() => {
            return Outcome::Defer(Reply::own("4.7.1", UNAVAILABLE));
        }
        Err(_) => return undecided(),
    };
    let connector = answer.connector.as_ref();
    let pass = || Outcome::Pass {
        connector: connector.map(|connector| connector.name.clone()),
    };
    match (Verdict::try_from(answer.verdict), stage) {
        (Ok(Verdict::Accept), _)
        | (Ok(Verdict::Conditional), Stage::Early | Stage::Late { asked: true }) => pass(),
        (Ok(Verdict::Reject), _) => Outcome::Refuse(Reply::of(answer.smtp_reply.as_ref(), '5')),
        (Ok(Verdict::Defer), _) => Outcome::Defer(Reply::of(answer.smtp_reply.as_ref(), '4')),
        (Ok(Verdict::Conditional), Stage::Recipient | Stage::Late { asked: false })
        | (Ok(Verdict::Unspecified) | Err(_), _) => undecided(),
    }
}

/// There is no verdict that could let the mail pass.
fn undecided() -> Outcome {
    Outcome::Defer(Reply::own("4.3.5", UNDECIDED))
}

/// Whether it is an enhanced status code (RFC 3463) of the class.
fn is_enhanced(text: &str, class: char) -> bool {
    let number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|it| it.is_ascii_digit());
    let mut parts = text.split('.');
    parts
        .next()
        .is_some_and(|part| part.len() == 1 && part.starts_with(class))
        && parts.next().is_some_and(number)
        && parts.next().is_some_and(number)
        && parts.next().is_none()
}

/// What is said where nobody answered in time.
pub const UNAVAILABLE: &str = "connector policy unavailable, try later";

/// What is said where the question or the answer was none: a fault of a configuration.
pub const UNDECIDED: &str = "connector policy undecided, try later";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::pb::MatchedConnector;

    const STAGES: [Stage; 4] = [
        Stage::Early,
        Stage::Recipient,
        Stage::Late { asked: true },
        Stage::Late { asked: false },
    ];

    type Answer = Result<CheckInboundResponse, Unanswered>;

    #[expect(clippy::unnecessary_wraps, reason = "as the service answers")]
    fn answer(verdict: i32, reply: Option<(u32, &str, &str)>) -> Answer {
        Ok(CheckInboundResponse {
            verdict,
            connector: Some(MatchedConnector {
                name: "Contoso".to_owned(),
                ..MatchedConnector::default()
            }),
            smtp_reply: reply.map(|(code, enhanced, text)| SmtpReply {
                code,
                enhanced_code: enhanced.to_owned(),
                text: text.to_owned(),
            }),
            ..CheckInboundResponse::default()
        })
    }

    fn unanswered(code: Code) -> Result<CheckInboundResponse, Unanswered> {
        Err(Unanswered {
            code,
            message: String::new(),
        })
    }

    fn shown(outcome: Outcome) -> String {
        match outcome {
            Outcome::Pass { connector } => format!("pass {}", connector.unwrap_or_default()),
            Outcome::Refuse(reply) => format!("refuse {reply}"),
            Outcome::Defer(reply) => format!("defer {reply}"),
        }
    }

    #[test]
    fn a_verdict_is_what_it_says_at_every_stage() {
        let defer = OnUnavailable::Defer;
        for stage in STAGES {
            let told = |verdict: Verdict, reply| {
                shown(inbound(&answer(verdict.into(), reply), stage, defer))
            };
            assert_eq!(told(Verdict::Accept, None), "pass Contoso");
            let text = "TenantInboundAttribution; no";
            assert_eq!(
                told(Verdict::Reject, Some((550, "5.7.51", text))),
                format!("refuse 550 5.7.51 {text}")
            );
            assert_eq!(
                told(Verdict::Defer, Some((421, "4.7.0", "x"))),
                "defer 421 4.7.0 x"
            );
        }
    }

    #[test]
    fn only_an_accept_lets_mail_pass() {
        for on_unavailable in [OnUnavailable::Accept, OnUnavailable::Defer] {
            for verdict in [-1, 0, 5, i32::MAX] {
                for stage in STAGES {
                    let told = shown(inbound(&answer(verdict, None), stage, on_unavailable));
                    assert_eq!(told, format!("defer 451 4.3.5 {UNDECIDED}"));
                }
            }
            let conditional = answer(Verdict::Conditional.into(), None);
            let told = STAGES.map(|stage| shown(inbound(&conditional, stage, on_unavailable)));
            let defer = format!("defer 451 4.3.5 {UNDECIDED}");
            assert_eq!(told, ["pass Contoso", &defer, "pass Contoso", &defer]);
        }
    }

    #[test]
    fn only_unavailability_may_let_mail_pass() {
        let may = [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
        ];
        for code in (0..=16).map(Code::from) {
            for stage in STAGES {
                let accept = shown(inbound(&unanswered(code), stage, OnUnavailable::Accept));
                let defer = shown(inbound(&unanswered(code), stage, OnUnavailable::Defer));
                if may.contains(&code) {
                    assert_eq!(
                        (&*accept, defer),
                        ("pass ", format!("defer 451 4.7.1 {UNAVAILABLE}"))
                    );
                } else {
                    assert_eq!(
                        (&accept, &*defer),
                        (&defer, &*format!("defer 451 4.3.5 {UNDECIDED}"))
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_mended() {
        let reject = |reply| {
            let answer = answer(Verdict::Reject.into(), reply);
            shown(inbound(&answer, Stage::Recipient, OnUnavailable::Defer))
        };
        assert_eq!(reject(None), "refuse 550 5.7.1 connector policy");
        for (code, enhanced) in [
            (250, "2.0.0"),
            (451, "4.7.1"),
            (5_500, "5.7"),
            (0, "5.7.1.1"),
            (70_000, "x"),
        ] {
            assert_eq!(
                reject(Some((code, enhanced, "a\r\n250 ö"))),
                "refuse 550 5.7.1 a  250 ?"
            );
        }
        assert_eq!(
            reject(Some((521, "5.100.999", "x"))),
            "refuse 521 5.100.999 x"
        );
    }
}
