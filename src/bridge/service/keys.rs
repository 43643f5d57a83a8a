//! What shows a service who asks, and a bridge whom it asks: files that are renewed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    config::settings::bridge,
    rpc::client::{ClientOptions, DialError, Token, TokenError},
};

/// What was read, and when the files were written.
#[derive(Debug)]
pub(super) struct Keys {
    token: Option<Token>,
    stamps: Vec<Stamp>,
}

/// When a file was written, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// Why the service cannot be asked as the settings say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// An endpoint, a certificate or a key is none.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The token cannot be read.
    #[error("the token in `{}` cannot be read: {error}", file.display())]
    Read {
        /// Its file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The token is none.
    #[error("the token in `{}` cannot be used: {error}", file.display())]
    Token {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it.
        error: TokenError,
    },
}

impl Keys {
    /// Reads what `settings` name.
    pub(super) fn read(settings: &bridge::Service) -> Result<Self, KeyError> {
        let stamps = stamps(settings);
        let token = settings.token_file.as_ref().map(|file| {
            let text = fs::read_to_string(file).map_err(|error| KeyError::Read {
                file: file.clone(),
                error,
            })?;
            Token::new(&text).map_err(|error| KeyError::Token {
                file: file.clone(),
                error,
            })
        });
        Ok(Self {
            token: token.transpose()?,
            stamps,
        })
    }

    /// Whether the files are as they were when they were read.
    pub(super) fn are_current(&self, settings: &bridge::Service) -> bool {
        self.stamps == stamps(settings)
    }

    /// How `endpoint` is asked.
    pub(super) fn options(&self, settings: &bridge::Service, endpoint: &str) -> ClientOptions {
        ClientOptions {
            server: endpoint.to_owned(),
            ca: settings.ca.clone(),
            identity: settings.identity.clone(),
            server_name: settings.server_name.clone(),
            token: self.token.clone(),
        }
    }
}

fn stamps(settings: &bridge::Service) -> Vec<Stamp> {
    let (certificate, key) = settings
        .identity
        .as_ref()
        .map(|(one, other)| (one, other))
        .unzip();
    let files = [
        settings.ca.as_ref(),
        certificate,
        key,
        settings.token_file.as_ref(),
    ];
    files
        .into_iter()
        .flatten()
        .map(|file| stamp(file))
        .collect()
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
