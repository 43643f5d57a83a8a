//! `[[sets]]`: which domains the file of a connector set may claim.

use std::collections::BTreeMap;

use super::{
    super::{
        finding::{Finding, Findings},
        table::{At, table},
        words::shown,
    },
    name_of_set,
};
use crate::{mail::DomainPattern, policy::ConnectorSet};

/// Which domains sets may accept, by their names; a set that is not named may accept any.
///
/// Who writes the settings draws them, so that who writes one organization's set cannot claim the
/// domains of another one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bounds(BTreeMap<String, Vec<DomainPattern>>);

impl Bounds {
    /// The sets that are named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is to be said of the domains that `set` accepts and may not.
    pub fn judge(&self, set: &ConnectorSet) -> Vec<Finding> {
        let Some(bounds) = self.0.get(set.name()) else {
            return Vec::new();
        };
        let within = |domain: &DomainPattern| bounds.iter().any(|bound| bound.includes(domain));
        set.accepted_domains()
            .iter()
            .filter(|accepted| !within(&accepted.pattern.value))
            .map(|accepted| {
                let message = format!(
                    "`{}` is not among the domains that the settings let the set `{}` accept",
                    accepted.pattern.text(),
                    set.name()
                );
                let allowed: Vec<_> = bounds
                    .iter()
                    .take(MOST_SHOWN)
                    .map(|bound| format!("`{bound}`"))
                    .collect();
                let more = if bounds.len() > MOST_SHOWN {
                    " and more"
                } else {
                    ""
                };
                let help = if allowed.is_empty() {
                    "it may accept none: remove the entry, or add it to `accepted_domains` of its \
                     `[[sets]]` in the settings"
                        .to_owned()
                } else {
                    format!(
                        "it may accept {}{more}: remove the entry, or add it to `accepted_domains` \
                         of its `[[sets]]` in the settings",
                        allowed.join(", ")
                    )
                };
                Finding::error("accepted-out-of-bounds", accepted.span.clone(), message).help(help)
            })
            .collect()
    }
}

table! {
    /// Bounds of a connector set, which its own file cannot widen.
    pub struct RawSetBounds {
        /// The name of the set: its file without `.toml`.
        #[schemars(required, extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
        name: Option<At<String>> = "name" => "name = \"contoso\"";
        /// The domains that its file may list in `accepted_domains`, or parts of them.
        #[schemars(required, extend("items" = {"type": "string", "minLength": 1}))]
        accepted_domains: Option<At<Vec<At<String>>>> = "accepted_domains"
            => "accepted_domains = [\"*.contoso.com\"]";
    }
}

/// What the tables at `raw` say, and all that is wrong with them.
pub(super) fn check(raw: &[At<RawSetBounds>], findings: &mut Findings) -> Bounds {
    let mut bounds = BTreeMap::new();
    let mut names: BTreeMap<String, std::ops::Range<usize>> = BTreeMap::new();
    for At { value, span } in raw {
        let missing = |key: &str, written: bool| {
            let message = format!("`{key}` is missing in `[[sets]]`");
            (!written && !value.unread.has(key))
                .then(|| Finding::error("set-bounds-incomplete", span.clone(), message))
        };
        let finding = missing("name", value.name.is_some()).map(|finding| {
            finding.help("write `name = \"contoso\"`, the name of its file without `.toml`")
        });
        let finding = finding.or_else(|| {
            missing("accepted_domains", value.accepted_domains.is_some()).map(|finding| {
                finding.help("write `accepted_domains = [\"*.contoso.com\"]`, the domains that its file may claim")
            })
        });
        if let Some(finding) = finding {
            findings.push(finding);
        }
        let patterns = patterns(value.accepted_domains.as_ref(), findings);
        let Some(at) = &value.name else { continue };
        let Some(name) = name_of_set(at, findings) else {
            continue;
        };
        if let Some(other) = names.insert(name.clone(), at.span.clone()) {
            let message = format!("two `[[sets]]` are about the set `{name}`");
            findings.push(
                Finding::error("set-bounds-twice", at.span.clone(), message)
                    .label(other, "the other one")
                    .help("put their `accepted_domains` together into one"),
            );
        }
        bounds.insert(name, patterns);
    }
    Bounds(bounds)
}

/// The patterns of a list, and what is wrong with the others.
pub(super) fn patterns(
    list: Option<&At<Vec<At<String>>>>,
    findings: &mut Findings,
) -> Vec<DomainPattern> {
    let entries = list.map(|list| &*list.value).unwrap_or_default();
    let read = |entry: &At<String>| match entry.value.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("`{}`: {error}", shown(&entry.value));
            let help = "write `contoso.com` for that domain alone, `*.contoso.com` for it and all \
                        below it, `*` for everything";
            findings.push(Finding::error("pattern-bad", entry.span.clone(), message).help(help));
            None
        }
    };
    entries.iter().filter_map(read).collect()
}

/// How many bounds a finding names.
const MOST_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use crate::config::{load_str, settings::Settings};

    fn judged(bounds: &str, accepted: &str) -> Vec<String> {
        let settings =
            format!("version = 1\n[[sets]]\nname = \"contoso\"\naccepted_domains = [{bounds}]\n");
        let bounds = Settings::from_toml(&settings).unwrap().bounds;
        let text = format!("version = 1\naccepted_domains = [{accepted}]\nretired = true\n[end]\n");
        let judge = |name| bounds.judge(&load_str(name, &text).set.unwrap());
        assert_eq!(judge("fabrikam"), []);
        let findings = judge("contoso").into_iter();
        findings
            .map(|finding| text.get(finding.span()).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_set_claims_what_its_bounds_include() {
        let none = [""; 0];
        let bounds = r#""*.contoso.com", "contoso.net""#;
        assert_eq!(
            judged(
                bounds,
                r#""contoso.com", "*.eu.contoso.com", "contoso.net""#
            ),
            none
        );
        assert_eq!(
            judged(
                bounds,
                r#""fabrikam.com", "*.contoso.net", "xcontoso.com", "CONTOSO.com""#
            ),
            [
                r#""fabrikam.com""#,
                r#""*.contoso.net""#,
                r#""xcontoso.com""#
            ]
        );
        assert_eq!(judged("", ""), none);
        assert_eq!(judged("", r#""contoso.com""#), [r#""contoso.com""#]);
        assert_eq!(judged(r#""*""#, r#""*.com""#), none);
    }
}
