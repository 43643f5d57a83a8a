//! The certificate that TLS is spoken with.

use std::time::SystemTime;

use super::Fault;

/// How the certificate in force came to be as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsStatus {
    /// What it is for: its names and addresses.
    pub names: Vec<String>,
    /// When it ends to hold.
    pub not_after: SystemTime,
    /// When it was loaded.
    pub loaded_at: SystemTime,
    /// Why what the files are now is not in force; none where it is.
    pub fault: Option<Fault>,
}
