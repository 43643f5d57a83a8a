//! A table of domain patterns, asked for those that cover a domain.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Domain, DomainPattern};

/// A value for each of many [`DomainPattern`]s, found by domain with one probe for each label.
#[derive(Clone, Debug)]
pub struct DomainTable<T> {
    /// All names, one behind the other.
    names: String,
    entries: HashTable<Named<T>>,
    hasher: RandomState,
    any: Option<T>,
}

/// The values of the two patterns that have one name.
#[derive(Clone, Debug)]
struct Named<T> {
    /// Where the name begins among all names.
    start: u32,
    /// How long it is: a domain has at most 253 octets.
    length: u8,
    exact: Option<T>,
    subtree: Option<T>,
}

impl<T> Named<T> {
    fn name<'n>(&self, names: &'n str) -> &'n str {
        let start = self.start as usize;
        names
            .get(start..start + usize::from(self.length))
            .unwrap_or_default()
    }
}

impl<T> DomainTable<T> {
    /// True where it has no pattern.
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.entries.is_empty()
    }

    /// The value of `pattern`, where one may be put or taken.
    pub fn slot(&mut self, pattern: &DomainPattern) -> &mut Option<T> {
        let (domain, exact) = match pattern {
            DomainPattern::Any => return &mut self.any,
            DomainPattern::Exact(domain) => (domain.as_str(), true),
            DomainPattern::Subtree(domain) => (domain.as_str(), false),
        };
        let Self {
            names,
            entries,
            hasher,
            any,
        } = self;
        // Why: a set's text is bounded at 64 MiB, and a name at 253 octets.
        let (Ok(start), Ok(length)) = (u32::try_from(names.len()), u8::try_from(domain.len()))
        else {
            return any;
        };
        let named = entries
            .entry(
                hash(hasher, domain),
                |named| named.name(names) == domain,
                |named| hash(hasher, named.name(names)),
            )
            .or_insert_with(|| Named {
                start,
                length,
                exact: None,
                subtree: None,
            })
            .into_mut();
        if named.start == start {
            names.push_str(domain);
        }
        if exact {
            &mut named.exact
        } else {
            &mut named.subtree
        }
    }

    /// The value of exactly this pattern.
    pub fn get(&self, pattern: &DomainPattern) -> Option<&T> {
        match pattern {
            DomainPattern::Any => self.any.as_ref(),
            DomainPattern::Exact(domain) => self.named(domain.as_str())?.exact.as_ref(),
            DomainPattern::Subtree(domain) => self.named(domain.as_str())?.subtree.as_ref(),
        }
    }

    /// The value of the most specific pattern that covers `domain`: the first of
    /// [`covering`](Self::covering).
    pub fn most_specific(&self, domain: Option<&Domain>) -> Option<&T> {
        if let Some(domain) = domain
            && !self.entries.is_empty()
        {
            if let Some(named) = self.named(domain.as_str())
                && let Some(value) = named.exact.as_ref().or(named.subtree.as_ref())
            {
                return Some(value);
            }
            for above in domain.ancestors().skip(1) {
                let value = self.named(above).and_then(|named| named.subtree.as_ref());
                if value.is_some() {
                    return value;
                }
            }
        }
        self.any.as_ref()
    }

    /// The values of the patterns that cover `domain`, the most specific first: itself, the
    /// wildcards from the longest, everything. `None` is mail without a domain.
    pub fn covering(&self, domain: Option<&Domain>) -> impl Iterator<Item = &T> {
        let names = domain
            .filter(|_| !self.entries.is_empty())
            .into_iter()
            .flat_map(Domain::ancestors);
        names
            .enumerate()
            .filter_map(|(above, name)| self.named(name).map(|named| (above, named)))
            .flat_map(|(above, named)| {
                let exact = if above == 0 {
                    named.exact.as_ref()
                } else {
                    None
                };
                exact.into_iter().chain(named.subtree.as_ref())
            })
            .chain(self.any.as_ref())
    }

    /// Every pattern with its value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (DomainPattern, &T)> {
        let named = self.entries.iter().flat_map(|named| {
            let exact = named
                .exact
                .as_ref()
                .map(|value| (DomainPattern::Exact as fn(_) -> _, value));
            let subtree = named
                .subtree
                .as_ref()
                .map(|value| (DomainPattern::Subtree as fn(_) -> _, value));
            let name = named.name(&self.names);
            let pair = exact.into_iter().chain(subtree);
            pair.map(move |(pattern, value)| (pattern(Domain::canonical(name)), value))
        });
        named.chain(self.any.iter().map(|value| (DomainPattern::Any, value)))
    }

    /// The most specific wildcard, `*` included, that covers all that `pattern` covers and more.
    pub fn parent(&self, pattern: &DomainPattern) -> Option<&T> {
        self.parents(pattern).next()
    }

    /// The wildcards, `*` included, that cover all that `pattern` covers and more, the most
    /// specific first.
    pub fn parents(&self, pattern: &DomainPattern) -> impl Iterator<Item = &T> {
        let (domain, own) = match pattern {
            DomainPattern::Any => (None, 0),
            DomainPattern::Exact(domain) => (Some(domain), 0),
            DomainPattern::Subtree(domain) => (Some(domain), 1),
        };
        let names = domain.into_iter().flat_map(Domain::ancestors).skip(own);
        let wider = names.filter_map(|name| self.named(name)?.subtree.as_ref());
        wider.chain(domain.and(self.any.as_ref()))
    }

    /// Gives back the room that was kept for more patterns.
    pub fn shrink(&mut self) {
        let Self {
            names,
            entries,
            hasher,
            ..
        } = self;
        names.shrink_to_fit();
        entries.shrink_to_fit(|named| hash(hasher, named.name(names)));
    }

    fn named(&self, name: &str) -> Option<&Named<T>> {
        self.entries.find(hash(&self.hasher, name), |named| {
            named.name(&self.names) == name
        })
    }
}

fn hash(hasher: &RandomState, name: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name.as_bytes());
    state.finish()
}

impl DomainTable<()> {
    /// A table that says only which patterns there are.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a DomainPattern>) -> Self {
        let mut table = Self::default();
        for pattern in patterns {
            *table.slot(pattern) = Some(());
        }
        table
    }
}

impl<T> Default for DomainTable<T> {
    fn default() -> Self {
        Self {
            names: String::new(),
            entries: HashTable::new(),
            hasher: RandomState::default(),
            any: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_from_the_most_specific_to_the_most_general() {
        let mut table = DomainTable::default();
        for text in [
            "*",
            "*.com",
            "*.contoso.com",
            "contoso.com",
            "*.mail.contoso.com",
            "x.contoso.com",
        ] {
            *table.slot(&text.parse().unwrap()) = Some(text);
        }
        for (domain, expected) in [
            (
                "contoso.com",
                vec!["contoso.com", "*.contoso.com", "*.com", "*"],
            ),
            (
                "a.mail.contoso.com",
                vec!["*.mail.contoso.com", "*.contoso.com", "*.com", "*"],
            ),
            ("fabrikam.net", vec!["*"]),
        ] {
            let domain = domain.parse().unwrap();
            assert_eq!(
                table.covering(Some(&domain)).copied().collect::<Vec<_>>(),
                expected
            );
        }
        assert_eq!(table.covering(None).collect::<Vec<_>>(), [&"*"]);
        for (pattern, parent) in [
            ("contoso.com", Some("*.contoso.com")),
            ("*.contoso.com", Some("*.com")),
            ("x.contoso.com", Some("*.contoso.com")),
            ("*.com", Some("*")),
            ("*", None),
        ] {
            assert_eq!(
                table.parent(&pattern.parse().unwrap()).copied(),
                parent,
                "{pattern}"
            );
        }
    }
}
