//! `postern list`: which connectors there are, and what they come to.

mod demands;
mod products;
mod remote;
mod rows;

use std::net::IpAddr;

use clap::Args;

use super::{
    Context,
    exit::{Exit, Stop},
    output::counted,
    remote::ServerArgs,
    table::Table,
};
use crate::mail::{Domain, parse_address};

/// What `postern list` is called with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// Only the connectors of this set
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// Only the connectors that match this partner: a domain, or the address of a server
    #[arg(long, value_name = "DOMAIN|IP", value_parser = parse_partner)]
    covers: Option<Partner>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: super::Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// Who mail comes from or goes to.
#[derive(Clone, Debug)]
pub(crate) enum Partner {
    /// A server, by its address.
    Address(IpAddr),
    /// A domain.
    Domain(Domain),
}

impl ListArgs {
    /// Lists the connectors.
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Exit, Stop> {
        if let Some(server) = &self.server.options()? {
            let partner = self.covers.as_ref().ok_or_else(|| {
                Stop::usage(
                    "a running service tells which connectors match, not which there are: add \
                     `--covers` with a domain or an address, or leave `--server` out",
                )
            })?;
            return remote::list(server, self.set.as_deref(), partner, self.format, context);
        }
        let settings = context.settings(Exit::Failure)?;
        let reading = context.sets(&settings, Exit::Failure)?;
        let mut sets: Vec<_> = reading.sets().collect();
        if let Some(name) = &self.set {
            sets.retain(|set| set.name() == name);
            if sets.is_empty() {
                let names: Vec<_> = reading
                    .sets()
                    .map(|set| format!("`{}`", set.name()))
                    .collect();
                return Err(Stop::usage(format!(
                    "there is no connector set `{name}`: the sets are {}",
                    names.join(", ")
                )));
            }
        }
        let mut rows = Vec::new();
        for set in &sets {
            let file = settings
                .settings
                .connectors
                .join(format!("{}.toml", set.name()));
            rows::of(
                set,
                &file.display().to_string(),
                self.covers.as_ref(),
                &mut rows,
            );
        }
        match self.format {
            super::Format::Json => {
                for part in rows::json(&rows) {
                    context.output.print(&part);
                }
            }
            super::Format::Human => {
                let mut table = Table::new(&rows::HEADINGS);
                for row in &rows {
                    table.row(row.cells());
                }
                context.output.print(&table.render(context.output.ink()));
                let (count, sets) = (counted(rows.len(), "row"), counted(sets.len(), "set"));
                context.output.line(&format!("{count} of {sets}"));
            }
        }
        Ok(Exit::Success)
    }
}

fn parse_partner(text: &str) -> Result<Partner, String> {
    if let Ok(address) = parse_address(text) {
        return Ok(Partner::Address(address));
    }
    let domain = text.parse().map(Partner::Domain);
    domain.map_err(|error| format!("write a domain or an IP address: {error}"))
}

const EXAMPLES: &str = "\
Each row shows what mail must meet that matches a connector and none more specific, with the
connector that a demand is inherited from. A connector has several rows where its patterns
inherit differently.

Examples:
  postern list
  postern list --set default --format json
  postern list --covers contosobank.com
  postern list --covers 203.0.113.7 --server https://postern.contoso.com:50051

Exit codes: 0 listed, 1 the connectors have errors, 2 wrong call, 3 the server cannot be asked.";
