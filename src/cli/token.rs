//! `postern token`: a new token for a caller, and what is written of it.

use std::io::{self, Read as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::json;

use super::{
    Context, Format,
    exit::{Exit, Stop},
};
use crate::callers::{SHORTEST_TOKEN, TokenHash, bearer};

/// What `postern token` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenArgs {
    /// Read a token from standard input, and print its hash alone
    #[arg(long)]
    hash: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

impl TokenArgs {
    /// Prints a token, or the hash of one.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let (token, shown) = if self.hash {
            (given()?, false)
        } else {
            (made()?, true)
        };
        let hash = TokenHash::of(token.as_bytes());
        let output = context.output;
        match (self.format, shown) {
            (Format::Human, true) => output.print(&format!(
                "The token, which is shown this once; the caller sends `authorization: Bearer <token>`:\n\n  \
                 {token}\n\n\
                 The line for it in callers.toml, below its [[callers]], or in the settings below [admin]:\n\n  \
                 token_sha256 = [\"{hash}\"]\n"
            )),
            (Format::Human, false) => output.line(&format!("token_sha256 = [\"{hash}\"]")),
            (Format::Json, true) => output.line(&format!(
                "{:#}",
                json!({ "token": token, "token_sha256": hash.to_string() })
            )),
            (Format::Json, false) => {
                output.line(&format!("{:#}", json!({ "token_sha256": hash.to_string() })));
            }
        }
        Ok(Exit::Success)
    }
}

/// A new token of 256 random bits.
fn made() -> Result<String, Stop> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets)
        .map_err(|error| Stop::usage(format!("the system gives no random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

/// The token on standard input, without the blanks around it.
fn given() -> Result<String, Stop> {
    let mut text = String::new();
    io::stdin()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Stop::usage(format!("no token could be read: {error}")))?;
    let token = text.trim();
    if bearer(format!("Bearer {token}").as_bytes()) != Some(token.as_bytes()) {
        return Err(Stop::usage(format!(
            "this is no token: it has {SHORTEST_TOKEN} to 4096 ASCII characters and no blank; \
             `postern token` makes one"
        )));
    }
    Ok(token.to_owned())
}

const LONGEST_INPUT: u64 = 16 * 1024;

const EXAMPLES: &str = "\
Only the hash is stored: whoever reads callers.toml cannot ask with it. To change a token, list the
new hash beside the old one, give the caller the new token, and then remove the old hash; each save
is in force for the next call.

Examples:
  postern token
  postern token --format json | jq -r .token > /run/secrets/postern-token
  postern token --hash < /run/secrets/postern-token

Exit codes: 0 printed, 2 wrong call, or no token on standard input.";
