//! A table of domain patterns, asked for those that cover a domain.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Domain, DomainPattern};

/// A value for each of many [`DomainPattern`]s, found by domain with one probe for each label.
#[derive(Clone, Debug)]
pub struct DomainTable<T> {
    names: HashMap<Box<str>, Values<T>, RandomState>,
    any: Option<T>,
}

/// The values of the two patterns that have one name.
#[derive(Clone, Debug)]
struct Values<T> {
    exact: Option<T>,
    subtree: Option<T>,
}

impl<T> DomainTable<T> {
    /// True where it has no pattern.
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.names.is_empty()
    }

    /// The value of `pattern`, where one may be put or taken.
    pub fn slot(&mut self, pattern: &DomainPattern) -> &mut Option<T> {
        let (domain, exact) = match pattern {
            DomainPattern::Any => return &mut self.any,
            DomainPattern::Exact(domain) => (domain, true),
            DomainPattern::Subtree(domain) => (domain, false),
        };
        // Why: asking before inserting saves an allocation for each pattern that is there already.
        if !self.names.contains_key(domain.as_str()) {
            self.names.insert(
                domain.as_str().into(),
                Values {
                    exact: None,
                    subtree: None,
                },
            );
        }
        match self.names.get_mut(domain.as_str()) {
            Some(values) if exact => &mut values.exact,
            Some(values) => &mut values.subtree,
            None => &mut self.any,
        }
    }

    /// The value of exactly this pattern.
    pub fn get(&self, pattern: &DomainPattern) -> Option<&T> {
        match pattern {
            DomainPattern::Any => self.any.as_ref(),
            DomainPattern::Exact(domain) => self.names.get(domain.as_str())?.exact.as_ref(),
            DomainPattern::Subtree(domain) => self.names.get(domain.as_str())?.subtree.as_ref(),
        }
    }

    /// The values of the patterns that cover `domain`, the most specific first: itself, the
    /// wildcards from the longest, everything. `None` is mail without a domain.
    pub fn covering(&self, domain: Option<&Domain>) -> impl Iterator<Item = &T> {
        let names = domain
            .filter(|_| !self.names.is_empty())
            .into_iter()
            .flat_map(Domain::ancestors);
        names
            .enumerate()
            .filter_map(|(above, name)| self.names.get(name).map(|values| (above, values)))
            .flat_map(|(above, values)| {
                let exact = if above == 0 {
                    values.exact.as_ref()
                } else {
                    None
                };
                exact.into_iter().chain(values.subtree.as_ref())
            })
            .chain(self.any.as_ref())
    }

    /// Every pattern with its value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (DomainPattern, &T)> {
        let named = self.names.iter().flat_map(|(name, values)| {
            let exact = values
                .exact
                .as_ref()
                .map(|value| (DomainPattern::Exact as fn(_) -> _, value));
            let subtree = values
                .subtree
                .as_ref()
                .map(|value| (DomainPattern::Subtree as fn(_) -> _, value));
            let pair = exact.into_iter().chain(subtree);
            pair.map(|(pattern, value)| (pattern(Domain::canonical(name)), value))
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
        let wider = names.filter_map(|name| self.names.get(name)?.subtree.as_ref());
        wider.chain(domain.and(self.any.as_ref()))
    }
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
            names: HashMap::default(),
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
