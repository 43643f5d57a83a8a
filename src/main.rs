//! Postern: arguments in, exit code out.

use std::process::ExitCode;

/// Why: less work for each call than with the system's allocator, and what a reload needed goes
/// back to the system after some seconds (docs/performance.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    postern::cli::run(std::env::args_os())
}
