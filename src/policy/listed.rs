//! The entries of a list of the file, as connectors keep them.

use std::{ops::Deref, slice};

/// Entries in the order written. Most lists have one: that lies where the list does, so that a
/// decision need not look elsewhere.
#[derive(Clone, Debug)]
pub struct Listed<T>(Entries<T>);

#[derive(Clone, Debug)]
enum Entries<T> {
    One(T),
    Any(Box<[T]>),
}

impl<T> Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Entries::One(only) => slice::from_ref(only),
            Entries::Any(entries) => entries,
        }
    }
}

impl<T> From<Vec<T>> for Listed<T> {
    fn from(mut entries: Vec<T>) -> Self {
        match (entries.pop(), entries.is_empty()) {
            (Some(only), true) => Self(Entries::One(only)),
            (last, _) => {
                entries.extend(last);
                Self(Entries::Any(entries.into()))
            }
        }
    }
}

impl<'a, T> IntoIterator for &'a Listed<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_is_made_of() {
        for entries in [vec![], vec![1], vec![1, 2, 3]] {
            assert_eq!(*Listed::from(entries.clone()), *entries);
        }
    }
}
