//! What the process says about itself: metrics, logs and traces.

pub mod bridge;
mod callers;
pub mod collector;
pub mod decision_log;
mod exposition;
mod lag;
mod load;
pub mod logging;
mod metrics;
pub mod pushing;
mod seldom;
mod tally;
mod tls;
pub mod traces;

use std::error::Error;

pub use callers::Unauthenticated;
pub use exposition::{Format, connector_counts};
pub use lag::Lag;
pub use load::{Closed, Limit, Load};
pub use metrics::{Call, Metrics, ReloadResult, Rpc};
pub use seldom::Seldom;
pub use tls::{Handshake, TlsTally};
pub use traces::{
    Traces,
    span::{CallSpan, Ends, From, TracedDecision},
};

/// `error` and what caused it, in one line.
pub fn line_of(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("no watch")]
        struct Cause(#[source] io::Error);

        #[derive(Debug, thiserror::Error)]
        #[error("no reload: {0}")]
        struct Fault(#[source] Cause);

        let error = Fault(Cause(io::Error::other("too many")));
        assert_eq!(line_of(&error), "no reload: no watch: too many");
    }
}
