//! Who may ask, as it stands right now.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

use super::Fault;
use crate::callers::Callers;

/// Who may ask. Only `source::callers` replaces it (I2).
///
/// Why not a part of the snapshot: who asks is settled before it is known what, at the gate, and
/// the two come from different files that are saved at different times.
#[derive(Debug, Default)]
pub struct Access(ArcSwap<Standing>);

/// Who may ask at one moment; it never changes.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Counts what has been in force: where it is the same, so is all else.
    pub version: u64,
    /// The callers; none where everybody may ask.
    pub callers: Option<Arc<Callers>>,
    /// When their text was loaded.
    pub loaded_at: Option<SystemTime>,
    /// Why the newest text of their file is not in force.
    pub fault: Option<Fault>,
}

impl Access {
    /// One that begins with `first`.
    pub fn new(first: Standing) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// Runs `read` against what is in force, without waiting (I6).
    pub fn with<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        read(&self.0.load())
    }

    /// Puts `next` in force: the next call is let in by it.
    pub fn replace(&self, next: Standing) {
        self.0.store(Arc::new(next));
    }
}
