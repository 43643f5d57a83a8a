//! One caller.

use std::sync::Arc;

use super::{allowance::Allowance, token::TokenHash};
use crate::policy::Scope;

/// A gateway, or a fleet of them, that may ask.
#[derive(Clone, Debug)]
pub struct Caller {
    name: Box<str>,
    scope: Scope,
    may_explain: bool,
    allowance: Option<Arc<Allowance>>,
}

/// By what a caller is known; each of them alone is enough.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ways {
    /// Names of hosts among the alternative names of its certificate, in lower case.
    pub certificate_names: Vec<String>,
    /// URIs among them, as they are written.
    pub certificate_uris: Vec<String>,
    /// Its tokens.
    pub tokens: Vec<TokenHash>,
}

impl Caller {
    /// A caller of this name that may ask the sets of `scope`; to have answers explained where
    /// `may_explain`, and so many questions in a second where that is limited.
    pub fn new(
        name: impl Into<Box<str>>,
        scope: Scope,
        may_explain: bool,
        calls_per_second: Option<u32>,
    ) -> Self {
        Self {
            name: name.into(),
            scope,
            may_explain,
            allowance: calls_per_second.map(|rate| Arc::new(Allowance::per_second(rate))),
        }
    }

    /// Its name in metrics, logs and traces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sets that it may ask.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it may have answers explained.
    pub fn may_explain(&self) -> bool {
        self.may_explain
    }

    /// How much it may ask; none where that is not limited.
    pub fn allowance(&self) -> Option<&Allowance> {
        self.allowance.as_deref()
    }

    /// Goes on with the allowance of `before`, where that is of the same rate.
    pub(super) fn keep_allowance_of(&mut self, before: &Self) {
        if let (Some(own), Some(old)) = (&mut self.allowance, &before.allowance)
            && own.calls_per_second() == old.calls_per_second()
        {
            *own = Arc::clone(old);
        }
    }
}
