//! The command line: one file for each verb. Printing happens only here.

mod bridge;
mod check;
mod exit;
pub mod expectations;
mod explain;
mod explanation;
mod facts;
mod generate;
mod inheritance;
mod list;
mod log;
mod output;
mod refused;
mod remote;
mod serve;
mod sets;
mod settings;
mod table;
mod test;
mod token;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{
    Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};

use self::{
    exit::{Exit, Stop},
    output::{Colour, Output, Progress},
    sets::Reading,
    settings::{Flags, Resolved, SettingsError, Surroundings},
};

/// Runs the call `arguments`, of which the first is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = Arguments::command().color(colour_of_help(&arguments));
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(answer) => return answered(&answer),
    };
    let Arguments { global, verb } = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(answer) => return answered(&answer),
    };
    let output = Output::new(global.color);
    let context = Context {
        global: &global,
        output: &output,
    };
    let exit = verb.run(&context).unwrap_or_else(|stop| stop.tell(&output));
    let failure = output.failure();
    let Some(failure) = failure else {
        return exit.into();
    };
    let message = format!("the output could not be written: {failure}");
    Stop::usage(message).tell(&Output::new(global.color)).into()
}

/// Whether mail from and to partners meets what was agreed with them: a policy service for mail
/// gateways, and the tools for its connectors.
#[derive(Debug, Parser)]
#[command(
    name = "postern",
    version,
    about = "Decides whether mail from and to partners meets what was agreed with them",
    after_help = EXAMPLES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb can be told.
#[derive(Args, Clone, Debug)]
struct Global {
    /// Settings file [variable: POSTERN_CONFIG] [default: config/postern.toml, else
    /// /etc/postern/postern.toml, else the built-in settings]
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// Directory of the connector sets, instead of the one that the settings name [variable:
    /// POSTERN_CONNECTORS]
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    connectors: Option<PathBuf>,
    /// Colours in the output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN",
          hide_possible_values = false, help_heading = EVERYWHERE)]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answer mail gateways over gRPC, and take up edits of the connectors while running
    Serve(serve::ServeArgs),
    /// Answer an MTA in its own protocol, and ask a Postern service for it
    Bridge(bridge::BridgeArgs),
    /// Find what is wrong with connectors and settings, and where
    Check(check::CheckArgs),
    /// Show which connectors there are, and what each demands after inheritance
    List(list::ListArgs),
    /// Show what is decided about a message, and why
    Explain(explain::ExplainArgs),
    /// Compare what the connectors decide with what you expect
    Test(test::TestArgs),
    /// Read the decision log: sum it up, show one decision, wait for a partner's test mail
    Log(log::LogArgs),
    /// Make a token for a caller, and what is written of it
    Token(token::TokenArgs),
    /// Print a completion script for a shell
    Completions(generate::CompletionsArgs),
    /// Print or write the manual pages
    Man(generate::ManArgs),
    /// Print the JSON Schema of a file, for editors
    Schema(generate::SchemaArgs),
}

/// How a verb prints.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
}

impl Verb {
    fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        match self {
            Self::Serve(args) => args.run(context),
            Self::Bridge(_) => bridge::BridgeArgs::run(context),
            Self::Check(args) => args.run(context),
            Self::List(args) => args.run(context),
            Self::Explain(args) => args.run(context),
            Self::Test(args) => args.run(context),
            Self::Log(args) => args.run(context),
            Self::Token(args) => args.run(context),
            Self::Completions(args) => Ok(args.run(context)),
            Self::Man(args) => args.run(context),
            Self::Schema(args) => Ok(args.run(context)),
        }
    }
}

/// What a verb works with.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    global: &'a Global,
    output: &'a Output,
}

impl Context<'_> {
    /// The settings that hold for all verbs; where there are none, the run ends with `exit`.
    fn settings(&self, exit: Exit) -> Result<Resolved, Stop> {
        self.resolve(Flags::default())
            .map_err(|error| self.no_settings(&error, exit))
    }

    /// The settings that hold with `flags` beside those that every verb has.
    fn resolve(&self, flags: Flags) -> Result<Resolved, SettingsError> {
        let config = self.global.config.clone();
        let connectors = self.global.connectors.clone();
        let resolved = Surroundings::of_process().resolve(&Flags {
            config,
            connectors,
            ..flags
        })?;
        for warning in &resolved.warnings {
            self.output.warning(warning);
        }
        Ok(resolved)
    }

    /// Ends the run, since no settings hold.
    fn no_settings(&self, error: &SettingsError, exit: Exit) -> Stop {
        let findings = error.carets(self.output.error_ink().is_coloured());
        Stop::new(exit, error.message()).with_findings(findings)
    }

    /// The connector sets of the settings; where a service would not start with them, the run ends
    /// with `exit`.
    fn sets(&self, resolved: &Resolved, exit: Exit) -> Result<Reading, Stop> {
        let settings = &resolved.settings;
        let progress = Progress::begin();
        let reading = Reading::directory(
            &settings.connectors,
            settings.default_set.as_deref(),
            &settings.bounds,
            &|done, total| {
                progress.show(done, total);
            },
        );
        drop(progress);
        if reading.has_errors() {
            let place = settings.connectors.display();
            let message = format!("the connectors in `{place}` cannot be used: mend what is shown");
            return Err(self.broken(&reading, message, exit));
        }
        Ok(reading)
    }

    /// Ends the run with `exit`, since the sets of `reading` have errors.
    fn broken(&self, reading: &Reading, message: String, exit: Exit) -> Stop {
        let (findings, _) = reading.errors(ERRORS_SHOWN, self.output.error_ink().is_coloured());
        Stop::new(exit, message).with_findings(findings)
    }
}

/// Help, a version or a complaint about the call, as clap words it.
fn answered(answer: &clap::Error) -> ExitCode {
    // Why: where the output is gone there is nobody left to tell.
    answer.print().ok();
    if answer.exit_code() == 0 {
        Exit::Success.into()
    } else {
        Exit::Usage.into()
    }
}

/// The colours of help, which is printed before the call is understood.
fn colour_of_help(arguments: &[OsString]) -> ColorChoice {
    let follows = |pair: &[OsString], value: &str| match pair {
        [flag, given] => flag == "--color" && given == value,
        _ => false,
    };
    let said = |value: &str| {
        let joined = format!("--color={value}");
        arguments.windows(2).any(|pair| follows(pair, value))
            || arguments.iter().any(|argument| *argument == *joined)
    };
    match (said("never"), said("always")) {
        (true, _) => ColorChoice::Never,
        (_, true) => ColorChoice::Always,
        _ => ColorChoice::Auto,
    }
}

const EVERYWHERE: &str = "Everywhere";
const ERRORS_SHOWN: usize = 50;
const EXAMPLES: &str = "\
Examples:
  postern serve                                    answer gateways with the settings found
  postern check                                    what is wrong before it is saved or started
  postern explain inbound --client-ip 192.0.2.7 --mail-from ann@contosobank.com \\
      --rcpt-to bob@contoso.com                    what happens to such a message, and why

`postern <COMMAND> --help` shows examples and exit codes of each.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_by_examples() {
        let command = Arguments::command();
        for verb in command.get_subcommands() {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Example"), "{}", verb.get_name());
            assert!(help.contains("Exit codes:"), "{}", verb.get_name());
        }
    }

    #[test]
    fn help_is_coloured_as_asked() {
        let of = |text: &str| {
            let arguments: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            colour_of_help(&arguments)
        };
        assert_eq!(of("postern --color never --help"), ColorChoice::Never);
        assert_eq!(
            of("postern list --color=always --help"),
            ColorChoice::Always
        );
        assert_eq!(of("postern --help"), ColorChoice::Auto);
    }
}
