//! What the benchmarks share: connector sets and questions to measure by, and what one could use
//! instead of Postern.
//!
//! benches/README.md tells what each figure means and how to get it.

pub mod figures;
pub mod peers;
pub mod sets;

use std::fmt::Display;

/// What `result` holds.
///
/// # Panics
///
/// With the error, where it is one: no figure could be trusted after it.
#[expect(
    clippy::panic,
    reason = "a benchmark that cannot be prepared can only end"
)]
#[track_caller]
pub fn must<T, E: Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
