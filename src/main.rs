//! Postern: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    postern::cli::run(std::env::args_os())
}
