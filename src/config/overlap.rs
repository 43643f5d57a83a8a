//! Sets that claim the same domain, so that none could tell which of them answers.

use super::finding::Finding;
use crate::{
    mail::{DomainPattern, DomainTable},
    policy::{ConnectorSet, set::AcceptedDomain},
};

/// Two sets with accepted domains that are equal or cover each other.
#[derive(Clone, Copy, Debug)]
pub struct Overlap<'a> {
    /// The place of the one set among those asked about, and its claim.
    pub one: (usize, &'a AcceptedDomain),
    /// The place of the other, later among them, and its claim.
    pub other: (usize, &'a AcceptedDomain),
}

/// Every pair of sets that claim the same domain, each pair once.
pub fn overlaps<'a>(sets: &[&'a ConnectorSet]) -> Vec<Overlap<'a>> {
    let mut claims: DomainTable<Vec<(usize, &'a AcceptedDomain)>> = DomainTable::default();
    for (at, set) in sets.iter().enumerate() {
        for claim in set.accepted_domains() {
            claims
                .slot(&claim.pattern.value)
                .get_or_insert_default()
                .push((at, claim));
        }
    }
    let mut pairs = std::collections::BTreeMap::new();
    for (at, set) in sets.iter().enumerate() {
        for claim in set.accepted_domains() {
            let (DomainPattern::Exact(domain) | DomainPattern::Subtree(domain)) =
                &claim.pattern.value
            else {
                continue;
            };
            for &(its, other) in claims.covering(Some(domain)).flatten() {
                if its < at {
                    pairs.entry((its, at)).or_insert(Overlap {
                        one: (its, other),
                        other: (at, claim),
                    });
                } else if its > at {
                    pairs.entry((at, its)).or_insert(Overlap {
                        one: (at, claim),
                        other: (its, other),
                    });
                }
            }
        }
    }
    pairs.into_values().collect()
}

impl Overlap<'_> {
    /// What is to be said in the file of each of the two sets; `sets` as they were asked about.
    pub fn findings(&self, sets: &[&ConnectorSet]) -> [Finding; 2] {
        [(self.one, self.other), (self.other, self.one)].map(|((_, own), (at, other))| {
            let name = sets.get(at).map_or("", |set| set.name());
            let message = format!(
                "`{}` overlaps `{}`, which the set `{name}` accepts ({name}.toml:{})",
                own.pattern.text(), other.pattern.text(), other.line
            );
            Finding::error("accepted-overlap", own.span.clone(), message).help(
                "a call that names no set must find one: let each domain be accepted by one set alone",
            )
        })
    }
}
