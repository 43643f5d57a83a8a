//! What the process says about itself: metrics and logs.

mod callers;
pub mod decision_log;
mod exposition;
pub mod logging;
mod metrics;
mod tally;
mod tls;

pub use callers::Unauthenticated;
pub use exposition::{Format, connector_counts};
pub use metrics::{Call, Metrics, ReloadResult, Rpc};
pub use tls::{Handshake, TlsTally};
