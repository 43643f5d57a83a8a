//! Expectations files: what connectors must decide, as data (docs/expectations.md).
//!
//! `postern test` runs a team's own beside its connectors; the project's decision tables have the
//! same format.

mod compare;
mod raw;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::refused::Refused;
use crate::{
    config::finding::Finding,
    rpc::{Failure, pb},
};

pub use compare::check;

/// An expectations file.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectations {
    /// Whom the cases ask.
    pub asked: Asked,
    /// As in the settings; none: as the settings say, where they are asked.
    pub default_set: Option<String>,
    /// In the order written.
    pub cases: Vec<Case>,
}

/// The connectors that the cases of a file ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A connector set's file, or a directory of them; relative to the expectations file.
    Path(PathBuf),
    /// The connectors' directory of the settings.
    Settings,
    /// Sets that the file itself holds: their names and texts.
    Written(Vec<(String, String)>),
}

/// One question, and what must come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Unique in its file.
    pub name: String,
    /// What the case stands for.
    pub why: Option<String>,
    /// The line of the file at which it begins, from 1.
    pub line: usize,
    /// What is asked.
    pub question: Question,
    /// What must come out.
    pub expect: Expect,
}

/// What a case asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// About mail that a remote server is sending to us.
    Inbound(pb::CheckInboundRequest),
    /// About mail that we are about to send.
    Outbound(pb::CheckOutboundRequest),
}

/// What came out of a question, whoever was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A decision about mail that a remote server is sending to us.
    Inbound(Box<pb::CheckInboundResponse>),
    /// A decision about mail that we are about to send.
    Outbound(Box<pb::CheckOutboundResponse>),
    /// The call ended with a status.
    Failure {
        /// Its name, `NOT_FOUND` say.
        status: String,
        /// Its message, for people.
        message: String,
        /// The fields that its BadRequest names, in their order.
        bad_fields: Vec<String>,
    },
}

/// What must come out of a case; what is none here is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// The verdict, less its prefix.
    pub verdict: Option<String>,
    /// Name of the connector; empty: none.
    pub connector: Option<String>,
    /// Name of the other chain's connector; empty: none.
    pub also_matched: Option<String>,
    /// How the connector matched, less the prefix.
    pub matched_by: Option<String>,
    /// The pattern that matched, as written.
    pub matched_value: Option<String>,
    /// All reasons, less their prefix, in their order.
    pub reasons: Option<Vec<String>>,
    /// The connectors that the rejections name, in their order.
    pub rejected_by: Option<Vec<String>>,
    /// All rejections, in their order.
    pub rejections: Option<Vec<ExpectedRejection>>,
    /// The beginning of the SMTP reply; empty: no reply.
    pub reply: Option<String>,
    /// The decision if every connector in report were enforced.
    pub if_enforced: Option<Presence<ExpectedReport>>,
    /// Name of the set that decided; empty: none.
    pub set: Option<String>,
    /// Why it was that set, less the prefix.
    pub selected_by: Option<String>,
    /// How to deliver.
    pub delivery: Option<Presence<ExpectedDelivery>>,
    /// The status that the call ends with.
    pub error: Option<String>,
    /// The fields that the BadRequest names, in their order.
    pub bad_fields: Option<Vec<String>>,
}

/// Whether a part of the answer is there, and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence<T> {
    /// It is not there.
    Absent,
    /// It is there, and like this.
    Present(T),
}

/// What one rejection must be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExpectedRejection {
    /// Its reason, less the prefix.
    pub reason: Option<String>,
    /// The connector that it names; empty: none.
    pub connector: Option<String>,
    /// Its sentence.
    pub message: Option<String>,
    /// What the connector accepts.
    pub expected: Option<Vec<String>>,
    /// What the session showed.
    pub observed: Option<Vec<String>>,
}

/// What the decision must be if every connector in report were enforced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExpectedReport {
    /// The verdict, less its prefix.
    pub verdict: Option<String>,
    /// Name of the connector; empty: none.
    pub connector: Option<String>,
    /// All reasons, less their prefix, in their order.
    pub reasons: Option<Vec<String>>,
}

/// How a message must be delivered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExpectedDelivery {
    /// Next hops with their ports, in order; none of them: by MX.
    pub smart_hosts: Option<Vec<String>>,
    /// The level of TLS, less its prefix.
    pub level: Option<String>,
    /// Names of which the certificate must bear one.
    pub names: Option<Vec<String>>,
    /// The lowest version; empty: any.
    pub min_version: Option<String>,
    /// Fingerprints of which one must match.
    pub fingerprints: Option<Vec<String>>,
}

/// One thing that is not as a case expects it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// The key of `[case.expect]` that says so.
    pub key: String,
    /// What must come out.
    pub expected: String,
    /// What came out.
    pub got: String,
}

impl Answer {
    /// What it says in sentences: why mail is refused, or why there is no decision.
    pub fn sentences(&self) -> Vec<String> {
        let rejections = match self {
            Self::Inbound(answer) => &answer.rejections,
            Self::Outbound(answer) => &answer.rejections,
            Self::Failure { message, .. } => return vec![message.clone()],
        };
        rejections
            .iter()
            .map(|rejection| rejection.message.clone())
            .collect()
    }
}

impl From<Result<pb::CheckInboundResponse, Failure>> for Answer {
    fn from(answer: Result<pb::CheckInboundResponse, Failure>) -> Self {
        answer.map_or_else(Self::from, |answer| Self::Inbound(Box::new(answer)))
    }
}

impl From<Result<pb::CheckOutboundResponse, Failure>> for Answer {
    fn from(answer: Result<pb::CheckOutboundResponse, Failure>) -> Self {
        answer.map_or_else(Self::from, |answer| Self::Outbound(Box::new(answer)))
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let refused = Refused::from(failure);
        Self::Failure {
            status: refused.status().to_owned(),
            message: refused.message().to_owned(),
            bad_fields: refused.fields().map(str::to_owned).collect(),
        }
    }
}

impl Expectations {
    /// Reads the text of an expectations file. Where it is wrong, the answer is what is wrong with
    /// it, with the places.
    pub fn parse(text: &str) -> Result<Self, Vec<Finding>> {
        raw::read(text)
    }

    /// Where the connectors are that the cases ask, for the file at `path`; none where it holds
    /// them itself or leaves it to the settings.
    pub fn connectors_of(&self, path: &Path) -> Option<PathBuf> {
        match &self.asked {
            Asked::Path(connectors) => Some(
                path.parent()
                    .unwrap_or_else(|| Path::new(""))
                    .join(connectors),
            ),
            Asked::Settings | Asked::Written(_) => None,
        }
    }
}
