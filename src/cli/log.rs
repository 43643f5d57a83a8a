//! `postern log`: what the decision log tells.

mod files;
mod follow;
mod line;
mod lines;
mod mend;
mod moment;
mod packed;
mod show;
mod summary;
mod tally;

use clap::{Args, Subcommand};

use super::{
    Context,
    exit::{Exit, Stop},
};

/// What `postern log` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// Sum up: what each connector saw and refused, who did not meet it, what expires
    Summary(Box<summary::SummaryArgs>),
    /// Explain one decision
    Show(show::ShowArgs),
    /// Wait for a partner's test mail, and say what became of it and what to mend
    Follow(follow::FollowArgs),
}

impl LogArgs {
    /// Reads the log.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        match self.asked {
            Asked::Summary(args) => args.run(context),
            Asked::Show(args) => args.run(context),
            Asked::Follow(args) => args.run(context),
        }
    }
}

const EXAMPLES: &str = "\
The service writes the log where `[decision_log]` of the settings says so.

Examples:
  postern log summary --since 24h                      what became of today's mail
  postern log show --correlation-id 4XyZ12             why this message was refused
  postern log follow --connector ContosoBank           what becomes of the test mail that comes now

Exit codes: 0 read, or the mail was accepted, 1 no such decision, or the mail was refused, 2 wrong
call, or a file cannot be read, 3 no mail came.";
