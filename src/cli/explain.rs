//! `postern explain`: what is decided about a message, and why.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Stop},
    explanation::Explanation,
    facts::{InboundFlags, OutboundFlags, TlsFlags},
    refused::Refused,
    remote::{self, ServerArgs},
};
use crate::{
    live::Snapshot,
    rpc::{answer, json, pb},
};

/// What `postern explain` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    direction: Direction,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// Mail that a remote server is sending to us
    #[command(after_help = INBOUND_EXAMPLES)]
    Inbound(Box<InboundArgs>),
    /// Mail that we are about to send
    #[command(after_help = OUTBOUND_EXAMPLES)]
    Outbound(Box<OutboundArgs>),
}

#[derive(Args, Debug)]
struct InboundArgs {
    #[command(flatten)]
    flags: InboundFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args, Debug)]
struct OutboundArgs {
    #[command(flatten)]
    flags: OutboundFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    asking: Asking,
}

/// Whom to ask, and how to print.
#[derive(Args, Debug)]
struct Asking {
    /// Read the facts from a file instead: a CheckInboundRequest or CheckOutboundRequest in proto3
    /// JSON; `-` is standard input
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["facts_flags", "TlsFlags", "CertificateFlags"])]
    facts: Option<PathBuf>,
    /// Say why this connector does not apply; can be given several times
    #[arg(long, value_name = "NAME")]
    connector: Vec<String>,
    /// How to print; `json` is the contract's answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ExplainArgs {
    /// Explains the decision.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        match self.direction {
            Direction::Inbound(args) => inbound(*args, context),
            Direction::Outbound(args) => outbound(*args, context),
        }
    }
}

fn inbound(args: InboundArgs, context: &Context<'_>) -> Result<Exit, Stop> {
    let InboundArgs { flags, tls, asking } = args;
    let facts = match &asking.facts {
        Some(file) => read_facts(file, "postern.v1.CheckInboundRequest")?,
        None => flags.question(tls)?,
    };
    let question = pb::ExplainInboundRequest {
        facts: Some(facts),
        connectors: asking.connector.clone(),
    };
    let answer = match &asking.server.options()? {
        Some(server) => remote::explain_inbound(server, question),
        None => {
            answer::explain_inbound(&snapshot(context)?, None, &question).map_err(Refused::from)
        }
    };
    let answer = answered(answer, asking.format, context)?;
    let json = || json::to_json("postern.v1.ExplainInboundResponse", &answer);
    tell(Explanation::inbound(&answer), json, asking.format, context)
}

fn outbound(args: OutboundArgs, context: &Context<'_>) -> Result<Exit, Stop> {
    let OutboundArgs { flags, tls, asking } = args;
    let facts = match &asking.facts {
        Some(file) => read_facts(file, "postern.v1.CheckOutboundRequest")?,
        None => flags.question(tls)?,
    };
    let question = pb::ExplainOutboundRequest {
        facts: Some(facts),
        connectors: asking.connector.clone(),
    };
    let answer = match &asking.server.options()? {
        Some(server) => remote::explain_outbound(server, question),
        None => {
            answer::explain_outbound(&snapshot(context)?, None, &question).map_err(Refused::from)
        }
    };
    let answer = answered(answer, asking.format, context)?;
    let json = || json::to_json("postern.v1.ExplainOutboundResponse", &answer);
    tell(Explanation::outbound(&answer), json, asking.format, context)
}

/// What a service would answer from if it started now.
fn snapshot(context: &Context<'_>) -> Result<Snapshot, Stop> {
    let resolved = context.settings(Exit::Undecided)?;
    let reading = context.sets(&resolved, Exit::Undecided)?;
    Ok(reading.snapshot(resolved.settings.default_set.as_deref()))
}

/// The answer; one that failed is printed for programs, too.
fn answered<T>(
    answer: Result<T, Refused>,
    format: Format,
    context: &Context<'_>,
) -> Result<T, Stop> {
    answer.map_err(|refused| {
        if format == Format::Json {
            context.output.line(&format!("{:#}", refused.json()));
        }
        refused.into()
    })
}

fn tell(
    explanation: Option<Explanation<'_>>,
    json: impl FnOnce() -> serde_json::Value,
    format: Format,
    context: &Context<'_>,
) -> Result<Exit, Stop> {
    let explanation = explanation.ok_or_else(|| {
        Stop::new(
            Exit::Undecided,
            "the server answered without a decision: compare its version with `postern --version`",
        )
    })?;
    match format {
        Format::Human => context
            .output
            .print(&explanation.render(context.output.ink())),
        Format::Json => context.output.line(&format!("{:#}", json())),
    }
    Ok(match explanation.verdict() {
        pb::Verdict::Accept | pb::Verdict::Conditional => Exit::Success,
        pb::Verdict::Reject => Exit::Failure,
        pb::Verdict::Defer => Exit::Deferred,
        pb::Verdict::Unspecified => Exit::Undecided,
    })
}

/// The question in the JSON file `file`, or in standard input.
fn read_facts<M: prost::Message + Default>(file: &Path, message: &str) -> Result<M, Stop> {
    let shown = file.display();
    let read = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = read
        .map_err(|error| Stop::usage(format!("the facts in `{shown}` cannot be read: {error}")))?;
    let value = serde_json::from_str(&text)
        .map_err(|error| Stop::usage(format!("the facts in `{shown}` are not JSON: {error}")))?;
    json::from_json(message, value)
        .map_err(|error| Stop::usage(format!("the facts in `{shown}` cannot be used: {error}")))
}

const EXAMPLES: &str = "\
Examples:
  postern explain inbound --client-ip 192.0.2.7 --mail-from ann@contosobank.com \\
      --rcpt-to bob@contoso.com
  postern explain outbound --rcpt-to ann@contosobank.com

Exit codes: 0 accepted or on a condition, 1 rejected, 2 wrong call, 3 cannot decide (no connector
set answers, the connectors have errors, the server cannot be asked), 4 deferred.";

const INBOUND_EXAMPLES: &str = "\
Examples:
  postern explain inbound --client-ip 192.0.2.7 --mail-from ann@contosobank.com \\
      --rcpt-to bob@contoso.com
  postern explain inbound --client-ip 203.0.113.7 --mail-from ann@contosobank.com \\
      --rcpt-to bob@contoso.com --tls TLSv1.2 --cert-name mx.contosobank.com --cert-trust trusted
  postern explain inbound --client-ip 192.0.2.7 --mail-from ann@contosobank.com \\
      --connector \"ContosoBank\" --server https://postern.contoso.com:50051
  postern explain inbound --facts refused.json --format json

Exit codes: 0 accepted or on a condition, 1 rejected, 2 wrong call, 3 cannot decide (no connector
set answers, the connectors have errors, the server cannot be asked), 4 deferred.";

const OUTBOUND_EXAMPLES: &str = "\
Examples:
  postern explain outbound --rcpt-to ann@contosobank.com --mail-from bob@contoso.com
  postern explain outbound --rcpt-to ann@contosobank.com --host mail.contosobank.com \\
      --tls TLSv1.3 --cert-name mail.contosobank.com --cert-trust trusted
  postern explain outbound --rcpt-to ann@contosobank.com --rule-connector \"Through the archive\"
  postern explain outbound --facts deferred.json --server 127.0.0.1:50051

Exit codes: 0 accepted or on a condition, 1 rejected, 2 wrong call, 3 cannot decide (no connector
set answers, the connectors have errors, the server cannot be asked), 4 deferred.";
