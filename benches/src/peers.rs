//! What one could use instead of Postern, in the same process: each is given the facts of the
//! same questions in the form that it likes best, and must give the same answers.

pub mod cedar;
pub mod linear;
pub mod rego;

use postern::{
    mail::Domain,
    policy::{Decision, Reason, Verdict},
};

/// What an answer says, for comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meaning {
    /// May the mail pass?
    pub verdict: Verdict,
    /// What is not met, in order.
    pub reasons: Vec<Reason>,
}

impl Meaning {
    /// What Postern's own decision says, less what connectors in report would change.
    pub fn of(decision: &Decision<'_>) -> Self {
        let rejections = decision.rejections.iter();
        Self {
            verdict: decision.verdict,
            reasons: rejections.map(|rejection| rejection.reason).collect(),
        }
    }
}

/// Every pattern that covers `domain`, or mail without one; the most specific first.
fn patterns(domain: Option<&Domain>) -> Vec<String> {
    let mut patterns = Vec::new();
    if let Some(domain) = domain {
        patterns.push(domain.to_string());
        patterns.extend(domain.ancestors().map(|above| format!("*.{above}")));
    }
    patterns.push("*".to_owned());
    patterns
}
