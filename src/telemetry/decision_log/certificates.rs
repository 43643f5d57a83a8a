//! Certificates of partners that expire soon, or have expired.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

/// Certificates that were presented lately, and that expire within 14 days or have expired.
///
/// Only the thread that writes the log changes it.
#[derive(Debug, Default)]
pub struct Certificates(ArcSwap<BTreeMap<Presented, Expiry>>);

/// Who presented a certificate, and what it is called.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Presented {
    /// "inbound" or "outbound".
    pub direction: &'static str,
    /// The set that decided.
    pub connector_set: String,
    /// The connector that applied.
    pub connector: String,
    /// A name in the certificate, or its fingerprint.
    pub name: String,
}

/// When a certificate expires, and when it was last presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expiry {
    /// The end of its validity.
    pub not_after: SystemTime,
    /// When it was last presented, to the minute.
    pub seen: SystemTime,
}

impl Certificates {
    /// All of them, in order.
    pub fn all(&self) -> Arc<BTreeMap<Presented, Expiry>> {
        self.0.load_full()
    }

    /// Whether one that ends then is to be noted: it ends soon, or may follow one that did.
    pub fn concerns(&self, not_after: SystemTime, now: SystemTime) -> bool {
        is_soon(not_after, now) || !self.0.load().is_empty()
    }

    /// Notes that `presented` ends at `not_after`: one that ends soon is listed, one that does not
    /// takes the place of one that did. Those not seen for long are forgotten.
    pub fn note(&self, presented: Presented, not_after: SystemTime, now: SystemTime) {
        let known = self.0.load();
        let soon = is_soon(not_after, now);
        let fresh = match known.get(&presented) {
            None => !soon,
            Some(expiry) => {
                soon && expiry.not_after == not_after
                    && now < expiry.seen.checked_add(FRESH).unwrap_or(now)
            }
        };
        if fresh {
            return;
        }
        let mut next = BTreeMap::clone(&known);
        next.retain(|_, expiry| now < expiry.seen.checked_add(REMEMBERED).unwrap_or(now));
        let seen = now;
        if !soon {
            next.remove(&presented);
        } else if next.len() < MOST || next.contains_key(&presented) {
            next.insert(presented, Expiry { not_after, seen });
        }
        self.0.store(Arc::new(next));
    }
}

fn is_soon(not_after: SystemTime, now: SystemTime) -> bool {
    now.checked_add(SOON).is_none_or(|soon| not_after <= soon)
}

/// How long before its end a certificate is listed.
const SOON: Duration = Duration::from_hours(14 * 24);

/// How long one is listed that nobody presents any more.
const REMEMBERED: Duration = Duration::from_hours(14 * 24);

/// How exactly it is known when one was last presented.
const FRESH: Duration = Duration::from_mins(1);

/// How many are listed.
const MOST: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(days: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(24 * (20_000 + days))
    }

    fn presented(name: &str) -> Presented {
        Presented {
            direction: "inbound",
            connector_set: "default".into(),
            connector: "ContosoBank".into(),
            name: name.into(),
        }
    }

    #[test]
    fn what_ends_soon_is_listed_until_it_is_renewed() {
        let certificates = Certificates::default();
        assert!(!certificates.concerns(at(15), at(0)));
        assert!(certificates.concerns(at(14), at(0)) && certificates.concerns(at(1), at(3)));
        certificates.note(presented("a"), at(14), at(0));
        certificates.note(presented("b"), at(1), at(3));
        let ends: Vec<_> = certificates.all().values().map(|it| it.not_after).collect();
        assert_eq!(ends, [at(14), at(1)]);
        assert!(certificates.concerns(at(90), at(3)));
        certificates.note(presented("a"), at(90), at(3));
        certificates.note(presented("c"), at(90), at(3));
        let names: Vec<_> = certificates
            .all()
            .keys()
            .map(|it| it.name.clone())
            .collect();
        assert_eq!(names, ["b"]);
        certificates.note(presented("c"), at(18), at(18));
        let names: Vec<_> = certificates
            .all()
            .keys()
            .map(|it| it.name.clone())
            .collect();
        assert_eq!(names, ["c"]);
    }

    #[test]
    fn it_is_bounded_and_changes_seldom() {
        let certificates = Certificates::default();
        for name in 0..MOST + 10 {
            certificates.note(presented(&name.to_string()), at(1), at(0));
        }
        let all = certificates.all();
        assert_eq!(all.len(), MOST);
        certificates.note(presented("0"), at(1), at(0) + Duration::from_secs(59));
        assert!(Arc::ptr_eq(&all, &certificates.all()));
        certificates.note(presented("0"), at(1), at(0) + Duration::from_mins(1));
        assert!(!Arc::ptr_eq(&all, &certificates.all()));
    }
}
