//! The current state: what the service answers from right now, and how it came to it.

mod access;
mod tls;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

pub use self::access::{Access, Standing};
pub use self::tls::TlsStatus;
use crate::policy::Catalog;

/// The state that calls are answered from. Only `source::reload` replaces it (I2).
#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

/// All that is in force at one moment; it never changes.
#[derive(Debug)]
pub struct Snapshot {
    /// The connector sets.
    pub catalog: Catalog,
    /// How each set came to be as it is, by name; also of those that are not in the catalog.
    pub status: BTreeMap<String, Status>,
    /// The fault of the connectors' directory itself, until it is mended.
    pub directory_fault: Option<Fault>,
}

/// How one connector set came to be as it is.
#[derive(Clone, Debug)]
pub struct Status {
    /// When its text in force was loaded; none where no text of it ever was.
    pub loaded_at: Option<SystemTime>,
    /// Why its newest text is not in force; none where it is.
    pub fault: Option<Fault>,
}

/// Why something that was saved is not in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The file, and where a place in it is known the line and the column: `contoso.toml:7:12`.
    pub place: String,
    /// The stable code of the finding, or of the failure to read it.
    pub code: String,
    /// What is wrong, in one line.
    pub message: String,
    /// Since when: kept while one fault follows another, until all is well again.
    pub since: SystemTime,
}

impl Live {
    /// A state that begins with `first`.
    pub fn new(first: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// Runs `read` against one consistent snapshot. It is a plain closure, so that nothing can
    /// wait while it holds the snapshot (I6).
    pub fn with<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.0.load())
    }

    /// The snapshot itself, for those that need it longer than for one decision.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts `next` in force and gives back what was: calls in flight finish on it.
    pub fn replace(&self, next: Snapshot) -> Arc<Snapshot> {
        self.0.swap(Arc::new(next))
    }
}
