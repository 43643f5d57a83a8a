//! Questions to a running service.

use std::{
    env,
    ffi::OsString,
    fs,
    future::Future,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tonic::{Request, Response, Status};

use super::{exit::Stop, refused::Refused};
use crate::rpc::{
    Failure,
    client::{Client, ClientOptions, Token},
    pb,
};

/// Which service to ask instead of the files.
#[derive(Args, Debug)]
#[command(next_help_heading = "A running service")]
pub(crate) struct ServerArgs {
    /// Ask it instead of the files: `https://host:port`, `host:port` in plaintext, or `unix:/path`
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The authorities that vouch for it, in PEM; those of this machine where none are given
    #[arg(long, value_name = "FILE", requires = "server")]
    ca: Option<PathBuf>,
    /// The client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["server", "key"])]
    certificate: Option<PathBuf>,
    /// The private key of the client's certificate, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["server", "certificate"])]
    key: Option<PathBuf>,
    /// The name that its certificate must have, where that is not the host of the URL
    #[arg(long, value_name = "NAME", requires = "server")]
    server_name: Option<String>,
    /// The token that shows who asks; `-` is standard input [variable: POSTERN_TOKEN, the token
    /// itself]
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

impl ServerArgs {
    /// The service to ask, where one is.
    pub(crate) fn options(&self) -> Result<Option<ClientOptions>, Stop> {
        let Some(server) = self.server.clone() else {
            return Ok(None);
        };
        let token = match &self.token_file {
            Some(file) => Some(read_token(file)?),
            None => env::var_os("POSTERN_TOKEN")
                .filter(|token| !token.is_empty())
                .map(|token| token_of(token, "variable POSTERN_TOKEN"))
                .transpose()?,
        };
        Ok(Some(ClientOptions {
            server,
            ca: self.ca.clone(),
            identity: self.certificate.clone().zip(self.key.clone()),
            server_name: self.server_name.clone(),
            token,
        }))
    }
}

fn read_token(file: &Path) -> Result<Token, Stop> {
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = read
        .map_err(|error| Stop::usage(format!("the token in `{shown}` cannot be read: {error}")))?;
    token_of(text.into(), &format!("the token in `{shown}`"))
}

fn token_of(text: OsString, what: &str) -> Result<Token, Stop> {
    let token = Token::new(&text.to_string_lossy());
    token.map_err(|error| Stop::usage(format!("{what} cannot be used: {error}")))
}

/// What the service that `server` names explains about a sending server.
pub(crate) fn explain_inbound(
    server: &ClientOptions,
    question: pb::ExplainInboundRequest,
) -> Result<pb::ExplainInboundResponse, Refused> {
    asked(server, async |mut client| {
        client.explanations.explain_inbound(timed(question)).await
    })
}

/// What the service that `server` names explains about a next hop.
pub(crate) fn explain_outbound(
    server: &ClientOptions,
    question: pb::ExplainOutboundRequest,
) -> Result<pb::ExplainOutboundResponse, Refused> {
    asked(server, async |mut client| {
        client.explanations.explain_outbound(timed(question)).await
    })
}

fn asked<T>(
    server: &ClientOptions,
    ask: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
) -> Result<T, Refused> {
    waiting(async {
        let client = Client::connect(server).await?;
        let answer = ask(client.clone()).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(match client.unanswered(&status).await {
                Some(error) => error.into(),
                None => Failure::from(&status).into(),
            }),
        }
    })
}

fn waiting<T>(work: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        let message = format!("no runtime for the call: {error}");
        Refused::from(Failure::from(&Status::unavailable(message)))
    })?;
    runtime.block_on(work)
}

fn timed<T>(question: T) -> Request<T> {
    let mut request = Request::new(question);
    request.set_timeout(TIMEOUT);
    request
}

const TIMEOUT: Duration = Duration::from_secs(10);
