//! Which connectors a new text of a set adds, removes and changes.

use std::{collections::HashMap, fmt, num::NonZeroUsize};

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

/// Names of connectors in the order of their file. All are shown, with commas.
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

    /// The same in parts that can be told one by one: at least one, and at most `most` names in
    /// each list of a part.
    pub(super) fn parts(&self, most: NonZeroUsize) -> Vec<Self> {
        let longest = self.lists().map(|names| names.0.len()).into_iter().max();
        let count = longest.unwrap_or(0).div_ceil(most.get()).max(1);
        (0..count)
            .map(|at| Self {
                inbound: self.inbound.part(at, most),
                outbound: self.outbound.part(at, most),
            })
            .collect()
    }

    fn lists(&self) -> [&Names; 6] {
        let Self { inbound, outbound } = self;
        [
            &inbound.added,
            &inbound.removed,
            &inbound.changed,
            &outbound.added,
            &outbound.removed,
            &outbound.changed,
        ]
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

    fn part(&self, at: usize, most: NonZeroUsize) -> Self {
        let part = |names: &Names| {
            let names = names.0.chunks(most.get()).nth(at);
            Names(names.unwrap_or_default().to_vec())
        };
        Self {
            added: part(&self.added),
            removed: part(&self.removed),
            changed: part(&self.changed),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}`")?;
        }
        Ok(())
    }
}

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
    fn many_names_are_told_in_parts_and_all() {
        let names = |count: usize| Names((0..count).map(|at| at.to_string().into()).collect());
        let mut difference = Difference::default();
        difference.inbound.removed = names(60);
        difference.outbound.added = names(101);
        difference.outbound.changed = names(50);
        let parts = difference.parts(NonZeroUsize::new(50).unwrap());
        let lengths: Vec<_> = parts
            .iter()
            .map(|part| part.lists().map(|names| names.0.len()))
            .collect();
        assert_eq!(
            lengths,
            [
                [0, 50, 0, 50, 0, 50],
                [0, 10, 0, 50, 0, 0],
                [0, 0, 0, 1, 0, 0]
            ]
        );
        let removed: Vec<_> = parts
            .iter()
            .flat_map(|part| part.inbound.removed.0.clone())
            .collect();
        assert_eq!(Names(removed), names(60));
        assert!(names(60).to_string().ends_with("`58`, `59`"));
        let nothing = Difference::default();
        assert_eq!(
            nothing.parts(NonZeroUsize::MIN).as_slice(),
            [Difference::default()]
        );
    }
}
