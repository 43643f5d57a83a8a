//! `[callers]`, and the tokens of `[admin]`: where it stands who may ask.

use std::path::{Path, PathBuf};

use super::{
    super::{
        callers::token_hash,
        finding::{Finding, Findings},
        table::{At, table},
    },
    decision_log::{path, word},
};
use crate::callers::TokenHash;

/// Where the callers are, and what is answered to those that are none of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallerSettings {
    /// The file of the callers; a relative one in a settings file is relative to that file's
    /// directory.
    pub file: PathBuf,
    /// The file must be there: the settings name it. Otherwise it counts where it is there.
    pub required: bool,
    /// Who may ask about health, where there are callers.
    pub health: HealthFor,
}

/// Who may ask about health.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HealthFor {
    /// Everybody: load balancers have no name.
    #[default]
    Everybody,
    /// Callers alone.
    Callers,
}

impl CallerSettings {
    /// Takes a relative path as relative to `directory`.
    pub fn relative_to(&mut self, directory: &Path) {
        self.file = directory.join(&self.file);
    }
}

impl Default for CallerSettings {
    fn default() -> Self {
        Self {
            file: PathBuf::from("callers.toml"),
            required: false,
            health: HealthFor::default(),
        }
    }
}

table! {
    /// Where it stands who may ask what. Without a file of callers, everybody may.
    pub struct RawCallerSettings {
        /// The file of the callers, which must be there then; relative to the directory of this
        /// file. Without this line it is `callers.toml`, if it is there.
        #[schemars(extend("minLength" = 1))]
        file: Option<At<String>> = "file" => "file = \"callers.toml\"";
        /// Who may ask about health where there are callers: everybody (open), or they (known).
        #[schemars(extend("enum" = ["open", "known"], "default" = "open"))]
        health: Option<At<String>> = "health" => "health = \"open\"";
    }
}

/// What the table at `raw` says, and all that is wrong with it.
pub(super) fn check(raw: &RawCallerSettings, findings: &mut Findings) -> CallerSettings {
    let mut settings = CallerSettings::default();
    if let Some(file) = &raw.file {
        settings.required = true;
        settings.file = path(file, "file", findings).unwrap_or_default();
    }
    if let Some(health) = &raw.health
        && word(health, "health", ["open", "known"], findings) == Some("known")
    {
        settings.health = HealthFor::Callers;
    }
    settings
}

/// The hashes of the operators' tokens; an empty list would lock everybody out.
pub(super) fn tokens(
    list: Option<&At<Vec<At<String>>>>,
    findings: &mut Findings,
) -> Vec<TokenHash> {
    let Some(At { value, span }) = list else {
        return Vec::new();
    };
    if value.is_empty() {
        let finding = Finding::error("list-empty", span.clone(), "the list is empty");
        findings.push(finding.help("list at least one entry, or remove the key"));
    }
    value
        .iter()
        .filter_map(|entry| token_hash(entry, findings))
        .collect()
}
