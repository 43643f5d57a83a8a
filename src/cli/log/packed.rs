//! Files that were compressed once they were rotated.

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Packed {
    Bzip2,
    Gzip,
    Lz4,
    Xz,
    Zstd,
}

impl Packed {
    /// How a file is compressed that starts so; none where it is not.
    pub(super) fn starting(start: &[u8]) -> Option<Self> {
        let signatures: [(&[u8], Self); 5] = [
            (b"BZh", Self::Bzip2),
            (b"\x1f\x8b", Self::Gzip),
            (b"\x04\x22\x4d\x18", Self::Lz4),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
        ];
        let mut signatures = signatures.into_iter();
        let found = signatures.find(|(signature, _)| start.starts_with(signature));
        found.map(|(_, packed)| packed)
    }

    /// How a file of that name is compressed, and what it was called before.
    pub(super) fn named(name: &str) -> Option<(Self, &str)> {
        let ends = [
            (".bz2", Self::Bzip2),
            (".gz", Self::Gzip),
            (".lz4", Self::Lz4),
            (".xz", Self::Xz),
            (".zst", Self::Zstd),
        ];
        let mut ends = ends.into_iter();
        ends.find_map(|(end, packed)| Some((packed, name.strip_suffix(end)?)))
    }

    /// The program that prints what is in such a file.
    pub(super) fn printer(self) -> &'static str {
        match self {
            Self::Bzip2 => "bzcat",
            Self::Gzip => "zcat",
            Self::Lz4 => "lz4cat",
            Self::Xz => "xzcat",
            Self::Zstd => "zstdcat",
        }
    }
}

/// The longest signature.
pub(super) const SIGNATURE: u64 = 6;
