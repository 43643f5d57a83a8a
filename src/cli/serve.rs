//! `postern serve`: the service itself.

use std::net::SocketAddr;

use clap::Args;

use super::{
    Context,
    exit::{Exit, Stop},
    settings::Flags,
};
use crate::{
    app,
    config::listen::{Endpoint, EndpointError, Listen},
};

/// What `postern serve` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where gateways ask, over gRPC; can be given several times [variable: POSTERN_LISTEN]
    /// [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS:PORT|unix:PATH", value_delimiter = ',',
          value_parser = parse_endpoint)]
    listen: Vec<Endpoint>,
    /// Where health, status and metrics are read, over HTTP [variable: POSTERN_ADMIN_LISTEN]
    /// [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    admin_listen: Option<SocketAddr>,
}

impl ServeArgs {
    /// Serves until it is told to stop.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        let flags = Flags {
            listen: self.listen,
            admin_listen: self.admin_listen,
            ..Flags::default()
        };
        let resolved = context
            .resolve(flags)
            .map_err(|error| context.no_settings(&error, Exit::Configuration))?;
        let from = resolved.from();
        match app::run(&resolved.settings, &from) {
            Ok(()) => Ok(Exit::Success),
            Err(error) => {
                let exit = if error.exit_code() == 78 {
                    Exit::Configuration
                } else {
                    Exit::Failure
                };
                let findings = error.findings(context.output.error_ink().is_coloured());
                Err(Stop::new(exit, error.to_string()).with_findings(findings))
            }
        }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let listen = text.parse::<Listen>();
    listen
        .map(|Listen(address)| address)
        .map_err(|error| format!("{error}: {}", error.help()))
}

fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse()
        .map_err(|error: EndpointError| format!("{error}: {}", error.help()))
}

const EXAMPLES: &str = "\
A flag goes before a variable, a variable before the settings file, the file before the built-in
value. Connectors are taken up as they are saved; settings are read once. SIGTERM and SIGINT stop
the service after the calls in flight, a second one at once; SIGHUP reads the connectors again,
and opens the file of the decision log anew.
Other machines may ask over TLS, which `[server.tls]` in the settings file sets up; in plaintext
only where `[server]` has `allow_plaintext = true`. RUST_LOG chooses what is logged (default: info).

Examples:
  postern serve
  postern serve --config /etc/postern/postern.toml
  postern serve --connectors ./connectors --listen 127.0.0.1:50061 --admin-listen 127.0.0.1:9474
  postern serve --listen 127.0.0.1:50051 --listen unix:/run/postern/postern.sock
  RUST_LOG=postern=debug postern serve

Exit codes: 0 stopped as asked, 1 failed while running, 2 wrong call, 78 the settings or the
connectors have errors.";
