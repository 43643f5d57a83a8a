//! Which connectors a new text of a set adds, removes and changes.

use std::{collections::HashMap, fmt};

use super::statement::Statement;
use crate::policy::ConnectorSet;

/// What differs between two texts of a connector set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference {
    /// Among the connectors for mail that is sent to us.
    pub inbound: Connectors,
    /// Among the connectors for mail that we send.
    pub outbound: Connectors,
}

/// The connectors of one direction that are not as they were.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Connectors {
    /// Those that were not there before.
    pub added: Names,
    /// Those that are there no longer.
    pub removed: Names,
    /// Those of which anything but the place in the file is different.
    pub changed: Names,
}

/// Names of connectors in the order of their file. It is shown with commas, and cut where there
/// are many.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names(pub Vec<Box<str>>);

impl Difference {
    /// What makes `new` another set than `old`.
    pub fn between(old: &ConnectorSet, new: &ConnectorSet) -> Self {
        Self {
            inbound: Connectors::between(old.inbound(), new.inbound()),
            outbound: Connectors::between(old.outbound(), new.outbound()),
        }
    }
}

impl Connectors {
    fn between<C: Statement>(old: &[C], new: &[C]) -> Self {
        let mut before: HashMap<&str, &C> = old
            .iter()
            .map(|connector| (connector.name(), connector))
            .collect();
        let mut connectors = Self::default();
        for connector in new {
            let list = match before.remove(connector.name()) {
                None => &mut connectors.added,
                Some(known) if !known.says_the_same(connector) => &mut connectors.changed,
                Some(_) => continue,
            };
            list.0.push(connector.name().into());
        }
        let names = old.iter().map(Statement::name);
        connectors.removed.0 = names
            .filter(|name| before.contains_key(name))
            .map(Into::into)
            .collect();
        connectors
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().take(MOST_NAMES).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}`")?;
        }
        match self.0.len().saturating_sub(MOST_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

const MOST_NAMES: usize = 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config;

    const TEXT: &str = r#"
version = 1
[[inbound]]
name = "Bank"
match.sender_domains = ["bank.example"]
require.tls = "encrypt"
[[inbound]]
name = "Filter"
match.sender_domains = ["*"]
require.client_ips = ["192.0.2.1"]
[[outbound]]
name = "Bank"
match.recipient_domains = ["bank.example"]
require.tls = "domain"
require.certificate_names = ["bank.example"]
[end]
"#;

    fn set(text: &str) -> Arc<ConnectorSet> {
        let outcome = config::load_str("contoso", text);
        outcome
            .set
            .unwrap_or_else(|| panic!("{:?}", outcome.findings))
    }

    fn between(new: &str) -> [String; 6] {
        let Difference { inbound, outbound } = Difference::between(&set(TEXT), &set(new));
        [
            inbound.added,
            inbound.removed,
            inbound.changed,
            outbound.added,
            outbound.removed,
            outbound.changed,
        ]
        .map(|names| names.to_string())
    }

    #[test]
    fn another_place_in_the_file_is_no_change() {
        assert_eq!(between(TEXT), [""; 6]);
        assert_eq!(between(&format!("\n# moved\n{TEXT}")), [""; 6]);
    }

    #[test]
    fn every_other_difference_is_one() {
        let renamed = TEXT.replacen("\"Bank\"", "\"The Bank\"", 1);
        assert_eq!(between(&renamed), ["`The Bank`", "`Bank`", "", "", "", ""]);
        let both = [
            (
                "match.sender_domains = [\"bank",
                "comment = \"\"\nmatch.sender_domains = [\"bank",
            ),
            (
                "[\"bank.example\"]\nrequire.tls = \"e",
                "[\"*.bank.example\"]\nrequire.tls = \"e",
            ),
            (
                "require.tls = \"encrypt\"",
                "require.tls = \"encrypt\"\nreply.action = \"defer\"",
            ),
            (
                "require.tls = \"encrypt\"",
                "require.tls_min_version = \"1.2\"",
            ),
        ];
        for (old, new) in both {
            assert_eq!(
                between(&TEXT.replacen(old, new, 1)),
                ["", "", "`Bank`", "", "", ""],
                "{new}"
            );
        }
        let address = TEXT.replace("192.0.2.1", "192.0.2.2");
        assert_eq!(between(&address), ["", "", "`Filter`", "", "", ""]);
        let names = TEXT.replace("names = [\"bank", "names = [\"mx.bank");
        assert_eq!(between(&names), ["", "", "", "", "", "`Bank`"]);
        let whole = TEXT.replace("version = 1", "version = 1\nmode = \"report\"");
        assert_eq!(
            between(&whole),
            ["", "", "`Bank`, `Filter`", "", "", "`Bank`"]
        );
        assert_eq!(
            between("version = 1\nretired = true\n[end]\n"),
            ["", "`Bank`, `Filter`", "", "", "`Bank`", ""]
        );
    }

    #[test]
    fn many_names_are_cut() {
        let names = Names((0..23).map(|at| at.to_string().into()).collect());
        assert!(names.to_string().ends_with("`18`, `19` and 3 more"));
    }
}
