//! The figures that are quoted, measured in one run:
//! `cargo bench -p postern-benches --bench figures`. Tables go to stdout, all of it as JSON to
//! `target/benches/figures.json`, and what is under way to stderr.

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use postern_benches::{
    figures::{decisions, loading, peers, report},
    sets,
};
use serde_json::{Value, json};

/// That of the service, so that loading costs what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are its output"
)]
fn main() -> ExitCode {
    match run(&mut |what| eprintln!("{what} …")) {
        Ok(tables) => {
            println!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything; for a short round where cargo runs it as a test.
fn run(told: &mut dyn FnMut(&str)) -> Result<String, Box<dyn Error>> {
    let short = !env::args().any(|argument| argument == "--bench");
    let patience = |milliseconds| Duration::from_millis(if short { 0 } else { milliseconds });
    let sizes = sets::within(&sets::SIZES);
    let figures = json!({
        "decisions": decisions::measure(&sizes, patience(400), told),
        "peers": peers::measure(&sets::within(&sets::PEER_SIZES), patience(2_000), told),
        "loading": loading::measure(&sets::within(&loading::SIZES), patience(2_000), told),
        "reload": loading::one_among(sets::most().min(1_000), patience(2_000), told)?,
        "allocations": allocations(&sizes, told)?,
    });
    let figures = report::complete(figures);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/benches");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("figures.json"), format!("{figures:#}\n"))?;
    Ok(report::tables(&figures))
}

/// What the program that counts says; it is another one, since counting takes time.
fn allocations(sizes: &[usize], told: &mut dyn FnMut(&str)) -> Result<Value, Box<dyn Error>> {
    told("allocations");
    let mut counting = Command::new(env!("CARGO_BIN_EXE_allocations"));
    let output = counting
        .args(sizes.iter().map(ToString::to_string))
        .output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("allocations cannot be counted: {error}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
