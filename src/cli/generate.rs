//! `postern completions`, `postern man` and `postern schema`: what the binary says about itself.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::{
    Arguments, Context,
    exit::{Exit, Stop},
};
use crate::{
    config::{callers, raw, settings},
    rpc::journal,
};

/// What `postern completions` is called with.
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// What `postern man` is called with.
#[derive(Args, Debug)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write a page for each verb into this directory, which is created where it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `postern schema` is called with.
#[derive(Args, Debug)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum)]
    file: Kind,
}

/// A kind of file with a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A bridge
    Bridge,
    /// The callers
    Callers,
    /// A connector set
    Connectors,
    /// A line of the decision log
    DecisionLog,
    /// The settings
    Settings,
}

impl CompletionsArgs {
    /// Prints the script.
    pub(crate) fn run(self, context: &Context<'_>) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "postern",
            &mut script,
        );
        context.output.print(&String::from_utf8_lossy(&script));
        Exit::Success
    }
}

impl ManArgs {
    /// Prints the page of the whole, or writes those of all verbs.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let command = Arguments::command();
        let Some(directory) = self.out else {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(command).render(&mut page);
            rendered.map_err(|error| Stop::usage(format!("no manual page: {error}")))?;
            context.output.print(&String::from_utf8_lossy(&page));
            return Ok(Exit::Success);
        };
        let written = fs::create_dir_all(&directory)
            .and_then(|()| clap_mangen::generate_to(command, &directory));
        written.map_err(|error| {
            let directory = directory.display();
            Stop::usage(format!(
                "the pages cannot be written to `{directory}`: {error}"
            ))
        })?;
        Ok(Exit::Success)
    }
}

impl SchemaArgs {
    /// Prints the schema.
    pub(crate) fn run(self, context: &Context<'_>) -> Exit {
        let schema = match self.file {
            Kind::Bridge => settings::bridge::schema().to_value(),
            Kind::Callers => callers::schema().to_value(),
            Kind::Connectors => raw::schema().to_value(),
            Kind::DecisionLog => journal::schema(),
            Kind::Settings => settings::schema().to_value(),
        };
        context.output.line(&format!("{schema:#}"));
        Exit::Success
    }
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  postern completions bash > /etc/bash_completion.d/postern
  postern completions zsh > /usr/local/share/zsh/site-functions/_postern
  postern completions fish > ~/.config/fish/completions/postern.fish

Exit codes: 0 printed, 2 wrong call.";

const MAN_EXAMPLES: &str = "\
Examples:
  postern man | man -l -
  postern man --out /usr/local/share/man/man1

Exit codes: 0 printed or written, 2 wrong call, or the pages cannot be written.";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  postern schema bridge > bridge.schema.json
  postern schema callers > callers.schema.json
  postern schema connectors > connectors.schema.json
  postern schema settings > settings.schema.json
  postern schema decision-log > decision-log.schema.json

An editor with a TOML language server completes and checks by it: write
`#:schema ./connectors.schema.json` as the first line of a file.

Exit codes: 0 printed, 2 wrong call.";
