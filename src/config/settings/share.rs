//! A part of a whole, from none to all.

use super::super::{
    finding::{Finding, Findings},
    table::At,
};

/// A part of a whole, from none to all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// How many of 2^32 belong to it.
    of_2_32: u64,
}

impl Share {
    /// All.
    pub const ALL: Self = Self { of_2_32: WHOLE };
    /// None.
    pub const NONE: Self = Self { of_2_32: 0 };

    /// The share that `fraction` says; none where it is not from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to 2^32, which both types have exactly"
    )]
    pub fn of(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then(|| Self {
            of_2_32: (fraction * WHOLE as f64).round() as u64,
        })
    }

    /// Whether what hashes to `hash` belongs to it: the same hash always or never does, and what
    /// belongs to a smaller share belongs to every larger one.
    pub fn has(self, hash: u64) -> bool {
        hash >> 32 < self.of_2_32
    }

    /// Whether `hasher`, which is only asked where it counts, comes to what belongs to it.
    pub fn has_hashed(self, hasher: impl FnOnce() -> u64) -> bool {
        self == Self::ALL || self != Self::NONE && self.has(hasher())
    }
}

/// The share that `raw` says.
pub(super) fn share(raw: Option<&At<f64>>, key: &str, findings: &mut Findings) -> Option<Share> {
    let At { value, span } = raw?;
    let share = Share::of(*value);
    if share.is_none() {
        let message = format!("`{key}` must be from 0.0 to 1.0, not {value}");
        let finding = Finding::error("share-invalid", span.clone(), message);
        findings.push(finding.help("1.0 is all, 0.01 is one of a hundred, 0.0 is none"));
    }
    share
}

const WHOLE: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_it_says() {
        assert_eq!(Share::of(1.0), Some(Share::ALL));
        assert_eq!(Share::of(0.0), Some(Share::NONE));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::of(wrong), None);
        }
        assert!(Share::ALL.has(u64::MAX) && !Share::NONE.has(0));
        let half = Share::of(0.5).unwrap();
        assert!(half.has(0x7fff_ffff_ffff_ffff) && !half.has(0x8000_0000_0000_0000));
        assert!(Share::ALL.has_hashed(|| panic!("asked")));
        assert!(!Share::NONE.has_hashed(|| panic!("asked")));
        assert!(half.has_hashed(|| 1));
    }
}
