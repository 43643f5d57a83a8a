//! Questions that were not answered.

use super::exit::{Exit, Stop};
use crate::rpc::{BadField, Failure, client::DialError};

/// Why a question has no answer, whoever was asked.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    status: String,
    reason: String,
    message: String,
    bad_fields: Vec<BadField>,
}

impl Refused {
    /// It for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let fields: Vec<_> = self
            .bad_fields
            .iter()
            .map(|bad| serde_json::json!({ "field": bad.field, "description": bad.description }))
            .collect();
        serde_json::json!({ "error": {
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "bad_fields": fields,
        } })
    }

    /// The name of the status, `NOT_FOUND` say.
    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// What is wrong and what to do.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The paths of the fields that must be written otherwise.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.bad_fields.iter().map(|bad| bad.field.as_str())
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let bad_fields: Vec<_> = failure.fields().iter().map(of_facts).collect();
        let message = if bad_fields.is_empty() {
            failure.message().to_owned()
        } else {
            let said = bad_fields
                .iter()
                .map(|bad| format!("{}: {}", bad.field, bad.description));
            said.collect::<Vec<_>>().join("; ")
        };
        // Why: a failure shows itself as the name of its status, and what is wrong.
        let shown = failure.to_string();
        let status = shown.split_once(':').map_or(&*shown, |(status, _)| status);
        Self {
            status: status.into(),
            reason: failure.reason().to_owned(),
            message,
            bad_fields,
        }
    }
}

impl From<DialError> for Refused {
    fn from(error: DialError) -> Self {
        Self {
            status: "UNAVAILABLE".into(),
            reason: "UNREACHABLE".into(),
            message: error.to_string(),
            bad_fields: Vec::new(),
        }
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        let usage = refused.status == "INVALID_ARGUMENT";
        let exit = if usage { Exit::Usage } else { Exit::Undecided };
        Self::new(exit, format!("{}: {}", refused.status, refused.message))
    }
}

/// The field by its path among the facts, which is how a caller of ours gave it.
fn of_facts(bad: &BadField) -> BadField {
    let field = bad
        .field
        .strip_prefix("facts.")
        .unwrap_or(&bad.field)
        .to_owned();
    BadField {
        field,
        description: bad.description.clone(),
    }
}
