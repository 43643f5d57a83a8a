//! How many calls a caller has in flight.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The calls that a caller has in flight. Every thread counts in the same one.
#[derive(Debug, Default)]
pub(super) struct Places(AtomicUsize);

/// A call that counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// A place for one more, where there are fewer than `most`.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Option<Place> {
        // What is taken is given back by dropping the place, also where it was one too many.
        let place = Place(Arc::clone(self));
        (self.0.fetch_add(1, Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_may_be() {
        let places = Arc::new(Places::default());
        let held = [places.take(2), places.take(2)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(2).is_none() && places.take(2).is_none());
        drop(held);
        assert_eq!(places.0.load(Relaxed), 0);
        assert!(places.take(1).is_some());
    }
}
