//! Writes a connector set: `generate CONNECTORS [--no-reports] [FILE]`.

use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
};

use postern_loadtest::Shape;

const USAGE: &str = "usage: generate CONNECTORS [--no-reports] [FILE]

Writes a connector set of so many connectors (at least 10) to FILE, or to standard output. The same
number always gives the same set. Two connectors in a hundred are in report; with --no-reports none.

  generate 1000 connectors/generated.toml
  generate 100000 --no-reports > large.toml
";

fn main() -> ExitCode {
    let (mut numbers, mut file, mut reports) = (None, None, true);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--help" | "-h" => return said(io::stdout().write_all(USAGE.as_bytes())),
            "--no-reports" => reports = false,
            _ if numbers.is_none() => match argument.parse() {
                Ok(number) => numbers = Some(number),
                Err(_) => return wrong(),
            },
            _ if file.is_none() && !argument.starts_with('-') => file = Some(argument),
            _ => return wrong(),
        }
    }
    let Some(connectors) = numbers else {
        return wrong();
    };
    let mut shape = Shape::of(connectors);
    shape.reports = reports;
    let text = shape.text();
    said(match file {
        Some(file) => fs::write(file, text),
        None => io::stdout().write_all(text.as_bytes()),
    })
}

fn said(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Why: there is nowhere else to say it.
            writeln!(io::stderr(), "cannot write: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn wrong() -> ExitCode {
    io::stderr().write_all(USAGE.as_bytes()).ok();
    ExitCode::from(2)
}
