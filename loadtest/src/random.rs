//! Numbers that look random and are always the same: every set of a size is the same set.

/// A number of its own for each `seed` (splitmix64).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number of its own for each thing `at` of each `kind`.
pub(crate) fn number(kind: &str, at: usize) -> u64 {
    let kind = kind
        .bytes()
        .fold(7, |seed, byte| mix(seed ^ u64::from(byte)));
    mix(kind ^ wide(at))
}

/// As [`number`], below `most`.
pub(crate) fn below(kind: &str, at: usize, most: usize) -> usize {
    usize::try_from(number(kind, at) % wide(most.max(1))).unwrap_or(0)
}

/// One of `words`, for each thing `at` of each `kind`.
pub(crate) fn word(kind: &str, at: usize, words: &[&'static str]) -> &'static str {
    words
        .get(below(kind, at, words.len()))
        .copied()
        .unwrap_or_default()
}

/// Puts `items` into another order.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for at in (1..items.len()).rev() {
        items.swap(at, below("order", at, at + 1));
    }
}

/// A count as a wider number.
pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
