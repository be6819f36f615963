//! The names that a narinfo's `Compression` field may hold.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::quote::quoted;

/// How a NAR is compressed in a binary cache, by Nix's own names.
///
/// Every name that Nix reads is here, so that a foreign record can be read; which of them this
/// program can write is for the sinks to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// `none`: the NAR as it is.
    None,
    /// `br` (Brotli).
    Br,
    /// `bzip2`: what a record without the field means.
    Bzip2,
    /// `compress` (LZW).
    Compress,
    /// `grzip`.
    Grzip,
    /// `gzip`.
    Gzip,
    /// `lrzip`.
    Lrzip,
    /// `lz4`.
    Lz4,
    /// `lzip`.
    Lzip,
    /// `lzma`.
    Lzma,
    /// `lzop`.
    Lzop,
    /// `xz`: Nix's default when it writes.
    Xz,
    /// `zstd`: our default when we write.
    Zstd,
}

impl Compression {
    /// Every compression, in the order of their names.
    pub const ALL: [Self; 13] = [
        Self::None,
        Self::Br,
        Self::Bzip2,
        Self::Compress,
        Self::Grzip,
        Self::Gzip,
        Self::Lrzip,
        Self::Lz4,
        Self::Lzip,
        Self::Lzma,
        Self::Lzop,
        Self::Xz,
        Self::Zstd,
    ];

    /// Nix's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Br => "br",
            Self::Bzip2 => "bzip2",
            Self::Compress => "compress",
            Self::Grzip => "grzip",
            Self::Gzip => "gzip",
            Self::Lrzip => "lrzip",
            Self::Lz4 => "lz4",
            Self::Lzip => "lzip",
            Self::Lzma => "lzma",
            Self::Lzop => "lzop",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What Nix appends to `.nar` in the file's name, with its dot; empty for most.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Br => ".br",
            Self::Bzip2 => ".bz2",
            Self::Lz4 => ".lz4",
            Self::Lzip => ".lzip",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            _ => "",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, UnknownCompression> {
        Self::ALL
            .into_iter()
            .find(|compression| compression.name() == text)
            .ok_or_else(|| UnknownCompression {
                given: text.to_owned(),
            })
    }
}

/// A name that Nix has no compression for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown compression {}", quoted(given))]
pub struct UnknownCompression {
    /// The name.
    pub given: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_compression() {
        for compression in Compression::ALL {
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
    }

    #[test]
    fn names_are_exact() {
        for text in ["", "XZ", "zst", "zstd ", "xz\n"] {
            assert!(text.parse::<Compression>().is_err(), "{text:?}");
        }
    }
}
