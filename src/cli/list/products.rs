//! Which patterns of a connector inherit the same, for mail to which recipients.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    rc::Rc,
};

use crate::{
    cli::inheritance::{By, Inheritance, Stated},
    policy::connector::InboundConnector,
};

/// What mail must meet by each of these patterns to each of these recipients, without exception.
#[derive(Debug)]
pub(super) struct Product<'a> {
    pub(super) patterns: Rc<[&'a str]>,
    /// Empty: whomever it is to.
    pub(super) recipients: Rc<[&'a str]>,
    pub(super) stated: Stated<'a>,
}

/// The products of `patterns` and the recipient patterns of `connector`: each pair is in exactly
/// one. What inherits alike is looked at once, so that lists may be long.
pub(super) fn of<'a>(
    inheritance: &Inheritance<'a>,
    connector: &'a InboundConnector,
    patterns: &[(By<'a>, &'a str)],
) -> Vec<Product<'a>> {
    let mut rows = Groups::default();
    for (by, text) in once(patterns, |&(_, text)| text) {
        rows.add(inheritance.above(connector, *by), (*by, *text));
    }
    let mut columns = Groups::default();
    for scope in once(&connector.recipient_domains, |scope| scope.text()) {
        let above = inheritance.above_scope(connector, &scope.value);
        columns.add(above, (&scope.value, scope.text()));
    }
    let mut scopes: Vec<_> = columns.firsts().map(|&(scope, _)| Some(scope)).collect();
    if scopes.is_empty() {
        scopes.push(None);
    }
    let mut products = Groups::default();
    for (row, &(by, _)) in rows.firsts().enumerate() {
        let mut alike = Groups::default();
        for (column, scope) in scopes.iter().enumerate() {
            let stated = inheritance.stated(connector, by, *scope);
            alike.add(stated.names(), (column, stated));
        }
        for (names, cells) in alike.listed {
            let columns: Rc<[usize]> = cells.iter().map(|&(_, (column, _))| column).collect();
            let stated = cells.first().map(|&(_, (_, stated))| stated);
            products.add((names, columns), (row, stated));
        }
    }
    let (mut patterns, mut recipients) = (Texts::of(rows), Texts::of(columns));
    let products = products.listed.into_iter().filter_map(|(key, members)| {
        let &(_, (_, stated)) = members.first()?;
        let rows = members.iter().map(|&(_, (row, _))| row).collect();
        Some(Product {
            patterns: patterns.all(rows),
            recipients: recipients.all(key.1),
            stated: stated?,
        })
    });
    products.collect()
}

/// What has one key, together: the keys in the order in which they come first.
struct Groups<K, T> {
    places: HashMap<K, usize>,
    /// Each with its place among all that was added.
    listed: Vec<(K, Vec<(usize, T)>)>,
    added: usize,
}

impl<K: Clone + Eq + Hash, T> Groups<K, T> {
    fn add(&mut self, key: K, value: T) {
        let value = (self.added, value);
        self.added += 1;
        let place = self.places.get(&key).copied();
        if let Some((_, group)) = place.and_then(|place| self.listed.get_mut(place)) {
            group.push(value);
        } else {
            self.places.insert(key.clone(), self.listed.len());
            self.listed.push((key, vec![value]));
        }
    }

    /// The first of each group.
    fn firsts(&self) -> impl Iterator<Item = &T> {
        let groups = self.listed.iter();
        groups.filter_map(|(_, group)| group.first().map(|(_, value)| value))
    }
}

impl<K, T> Default for Groups<K, T> {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            listed: Vec::new(),
            added: 0,
        }
    }
}

/// The texts of several groups, held once however many rows show them.
struct Texts<'a> {
    groups: Vec<Vec<(usize, &'a str)>>,
    known: HashMap<Rc<[usize]>, Rc<[&'a str]>>,
}

impl<'a> Texts<'a> {
    fn of<K, V>(groups: Groups<K, (V, &'a str)>) -> Self {
        let groups = groups.listed.into_iter().map(|(_, group)| {
            let texts = group.into_iter();
            texts.map(|(place, (_, text))| (place, text)).collect()
        });
        Self {
            groups: groups.collect(),
            known: HashMap::new(),
        }
    }

    /// Those of these groups, in the order of the file.
    fn all(&mut self, groups: Rc<[usize]>) -> Rc<[&'a str]> {
        if let Some(texts) = self.known.get(&groups) {
            return Rc::clone(texts);
        }
        let listed = groups.iter().filter_map(|group| self.groups.get(*group));
        let mut listed: Vec<_> = listed.flatten().copied().collect();
        listed.sort_unstable();
        let texts: Rc<[&str]> = listed.into_iter().map(|(_, text)| text).collect();
        self.known.insert(groups, Rc::clone(&texts));
        texts
    }
}

/// Each of `items` but those whose text is that of an earlier one.
fn once<'i, 'a, T>(items: &'i [T], text: impl Fn(&'i T) -> &'a str) -> impl Iterator<Item = &'i T>
where
    'i: 'a,
{
    let mut seen = HashSet::new();
    items.iter().filter(move |item| seen.insert(text(item)))
}

#[cfg(test)]
mod tests;
