//! `postern log summary`: what a log comes to.

mod account;
mod certificates;
mod gather;
mod human;
mod page;
mod report;
mod times;

use std::{fs, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use self::{
    gather::{Filter, Gathered},
    report::Report,
};
use super::{
    files::{self, Files},
    moment::{self, Moment, When},
};
use crate::cli::{
    Context,
    exit::{Exit, Stop},
    output::{Ink, Progress},
};

/// What `postern log summary` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SummaryArgs {
    /// Files of the log, `-` for standard input; without any, the log of the settings with its
    /// rotated files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only decisions from then on: a time in UTC, or how long ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,
    /// Only decisions before then
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,
    /// Only decisions of this connector set
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// Only decisions that concern this connector
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// How many to show where there may be many: peers of each connector, callers
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// List certificates that expire within this time, from --until or now
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = moment::length)]
    expiring: Duration,
    /// How to print; `html` is one page with charts that needs nothing else
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How a summary is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    /// Tables
    #[default]
    Human,
    /// For programs
    Json,
    /// A page for a browser, or to be printed
    Html,
}

impl SummaryArgs {
    /// Sums it up.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let now = Moment::now();
        let filter = Filter {
            since: self.since.map(|when| when.at(now)),
            until: self.until.map(|when| when.at(now)),
            set: self.set,
            connector: self.connector,
        };
        let now = filter.until.unwrap_or(now);
        let expiring = now.after(self.expiring);
        let files = Files::chosen(self.files, context)?;
        let gathered = gather(&files, filter, expiring)?;
        let report = Report::of(gathered, files.names(), now, expiring, self.top);
        let to_file = self.output.is_some();
        let text = match self.format {
            Format::Human if to_file => human::render(&report, Ink::NONE),
            Format::Human => human::render(&report, context.output.ink()),
            Format::Json => {
                let json = serde_json::to_string_pretty(&report);
                json.map_err(|error| Stop::usage(format!("no JSON can be made of it: {error}")))?
                    + "\n"
            }
            Format::Html => page::render(&report),
        };
        match self.output {
            Some(path) => fs::write(&path, text).map_err(|error| {
                let path = path.display();
                Stop::usage(format!("`{path}` cannot be written: {error}"))
            })?,
            None => context.output.print(&text),
        }
        Ok(Exit::Success)
    }
}

fn gather(files: &Files, filter: Filter, expiring: Moment) -> Result<Gathered, Stop> {
    let progress = Progress::begin();
    let total = files.octets();
    let mut gathered = Gathered::new(filter, expiring);
    let mut before = 0;
    for path in &files.paths {
        let name = files::name(path);
        let mut lines = files::open(path)?;
        loop {
            let number = lines.number() + 1;
            let found = lines
                .next()
                .map_err(|error| Stop::usage(format!("`{name}` cannot be read: {error}")))?;
            let Some(found) = found else { break };
            gathered.add(&name, number, found);
            if number.is_multiple_of(1_024) {
                progress.show_octets(before + lines.octets(), total);
            }
        }
        before += lines.octets();
    }
    Ok(gathered)
}

const EXAMPLES: &str = "\
For each connector: the mail that it concerned, what became of it, why it was refused, who did not
meet what was agreed, and what its report would change; then certificates that expire soon, and who
asked. A decision counts, not a message: mail to three recipients is asked about three times.
However long the log, memory is bounded: what is rare goes to the others where there is too much.

Examples:
  postern log summary
  postern log summary --since 24h --connector ContosoBank
  postern log summary decisions.jsonl* --since 2026-11-16 --until 2026-11-23 --format html \\
      --output week.html
  postern log summary decisions.jsonl.7.gz --format json
  zstdcat decisions.jsonl.8.zst | postern log summary -

Exit codes: 0 summed up, 2 wrong call, or a file cannot be read or written.";
