//! `postern bridge`: the process beside an MTA.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Context,
    exit::{Exit, Stop},
    settings::{SettingsError, text_of},
};
use crate::{app, config::settings::bridge::BridgeSettings};

/// What `postern bridge` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BridgeArgs {}

impl BridgeArgs {
    /// Answers MTAs until it is told to stop.
    pub(crate) fn run(context: &Context<'_>) -> Result<Exit, Stop> {
        let file = file(context.global.config.as_deref())?;
        let settings =
            read(&file).map_err(|error| context.no_settings(&error, Exit::Configuration))?;
        let from = file.display().to_string();
        app::bridge::run(&settings, &from).map_err(|error| {
            let exit = if error.exit_code() == 78 {
                Exit::Configuration
            } else {
                Exit::Failure
            };
            Stop::new(exit, error.to_string())
        })?;
        Ok(Exit::Success)
    }
}

/// The settings of a bridge that `file` has.
pub(super) fn read(file: &Path) -> Result<BridgeSettings, SettingsError> {
    let text = text_of(file)?;
    let mut settings =
        BridgeSettings::from_toml(&text).map_err(|findings| SettingsError::Findings {
            file: file.into(),
            text,
            findings,
        })?;
    if let Some(directory) = file.parent() {
        settings.relative_to(directory);
    }
    Ok(settings)
}

/// The settings file: the one that is named, else the first that is there.
fn file(named: Option<&Path>) -> Result<PathBuf, Stop> {
    if let Some(named) = named {
        return Ok(named.into());
    }
    for place in PLACES {
        match fs::metadata(place) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            // Why also others: what is there and cannot be read is said when it is read.
            Ok(_) | Err(_) => return Ok(place.into()),
        }
    }
    Err(Stop::new(
        Exit::Configuration,
        format!(
            "no bridge.toml is there: write `{}`, or name one with `--config`",
            PLACES.join("` or `")
        ),
    ))
}

/// How the settings file of a bridge is named.
pub(super) const FILE: &str = "bridge.toml";

/// Where a settings file is looked for, in this order, when none is named.
const PLACES: [&str; 2] = ["config/bridge.toml", "/etc/postern/bridge.toml"];

const EXAMPLES: &str = "\
It runs beside a mail server, answers it in its own protocol (Postfix policy delegation, which Exim
speaks, too; Postfix socketmap; milter), and asks a Postern service over gRPC. SIGTERM and SIGINT
stop it after the questions in hand, a second one at once. RUST_LOG chooses what is logged (default:
info).

Examples:
  postern bridge
  postern bridge --config /etc/postern/bridge.toml
  postern check /etc/postern/bridge.toml

Exit codes: 0 stopped as asked, 1 failed while running, 2 wrong call, 78 the settings have errors.";
