//! A connector set as the text of its file.

use std::fmt::{self, Write as _};

use crate::{
    names,
    random::below,
    sets::{Demand, Inbound, Kind, Outbound, Shape},
};

impl Shape {
    /// The text of the set.
    pub fn text(self) -> String {
        let mut text = String::with_capacity(self.connectors * 240 + 400);
        // Why: writing to a String cannot fail.
        self.write(&mut text).ok();
        text
    }

    fn write(self, text: &mut String) -> fmt::Result {
        writeln!(text, "# A generated set of {} connectors.", self.connectors)?;
        writeln!(text, "version = 1")?;
        list(text, "accepted_domains", names::ACCEPTED)?;
        for at in 0..self.connectors {
            let outbound = Self::kind(at).0 == Kind::Outbound;
            let head = if outbound { "outbound" } else { "inbound" };
            writeln!(text, "\n[[{head}]]\nname = \"{}\"", names::connector(at))?;
            if below("comment", at, 3) == 0 {
                let ticket = 1000 + below("ticket", at, 90_000);
                writeln!(
                    text,
                    "comment = \"Agreed with their postmaster, ticket {ticket}\""
                )?;
            }
            if self.reports && Self::reports(at) {
                writeln!(text, "mode = \"report\"")?;
            }
            if outbound {
                write_outbound(text, &Self::outbound(at))?;
            } else {
                write_inbound(text, &self.inbound(at))?;
            }
            if below("reply", at, 12) == 0 {
                let reply = "see https://contoso.com/postmaster";
                writeln!(text, "[{head}.reply]\ntext = \"not as agreed, {reply}\"")?;
            }
        }
        writeln!(text, "\n[end]")
    }
}

fn write_inbound(text: &mut String, connector: &Inbound) -> fmt::Result {
    writeln!(text, "[inbound.match]")?;
    list(text, "sender_domains", &connector.senders)?;
    list(text, "client_ips", &connector.networks)?;
    list(text, "recipient_domains", &connector.recipients)?;
    writeln!(text, "[inbound.require]")?;
    let Demand {
        tls,
        min_version,
        certificate_names,
        fingerprint,
        client_ips,
        either,
    } = &connector.require;
    if *tls {
        writeln!(text, "tls = \"encrypt\"")?;
    }
    if let Some(version) = min_version {
        writeln!(text, "tls_min_version = \"{version}\"")?;
    }
    list(text, "certificate_names", certificate_names)?;
    let fingerprint = fingerprint.map(names::fingerprint);
    list(text, "certificate_fingerprints", fingerprint)?;
    list(text, "client_ips", client_ips)?;
    if *either {
        writeln!(text, "origin = \"address-or-certificate\"")?;
    }
    Ok(())
}

fn write_outbound(text: &mut String, connector: &Outbound) -> fmt::Result {
    if connector.recipients.is_empty() {
        writeln!(text, "scope = \"rule\"")?;
    } else {
        writeln!(text, "[outbound.match]")?;
        list(text, "recipient_domains", &connector.recipients)?;
    }
    if !connector.smart_hosts.is_empty() {
        writeln!(text, "[outbound.route]")?;
        list(text, "smart_hosts", &connector.smart_hosts)?;
    }
    writeln!(text, "[outbound.require]\ntls = \"{}\"", connector.level)?;
    if let Some(version) = connector.min_version {
        writeln!(text, "tls_min_version = \"{version}\"")?;
    }
    list(text, "certificate_names", &connector.certificate_names)?;
    let fingerprint = connector.fingerprint.map(names::fingerprint);
    list(text, "certificate_fingerprints", fingerprint)
}

/// A key with its values; nothing where there are none.
fn list<T: fmt::Display>(
    text: &mut String,
    key: &str,
    values: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let mut first = true;
    for value in values {
        let before = if first {
            format!("{key} = [")
        } else {
            ", ".to_owned()
        };
        write!(text, "{before}\"{value}\"")?;
        first = false;
    }
    if first { Ok(()) } else { writeln!(text, "]") }
}
