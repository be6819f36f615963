//! What can be wrong with an entry of a cache.

use fetchhost_formats::{Compression, Hash, NarInfoError, StorePath};
use fetchhost_policy::printable;
use thiserror::Error;

use crate::objects::Key;

/// Damage that was proved: never that something could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// Nix would refuse the record.
    #[error("its record is none that Nix reads: {0}")]
    Record(NarInfoError),
    /// It is no text.
    #[error("its record is not UTF-8")]
    NotText,
    /// Its name is that of no path.
    #[error("no path has a record of this name")]
    Misnamed,
    /// It describes a path that would have another name.
    #[error("its record describes `{path}`, which is looked for under another name")]
    Name {
        /// The path.
        path: StorePath,
    },
    /// Its NAR would lie outside of the cache.
    #[error(
        "its record names `{}` as its NAR, which does not lie in the cache",
        printable(url)
    )]
    Elsewhere {
        /// The record's URL.
        url: String,
    },
    /// Its NAR is not there.
    #[error("its NAR `{nar}` is not there")]
    Missing {
        /// Where it should be.
        nar: Key,
    },
    /// The NAR's file is longer or shorter than the record says.
    #[error("its NAR's file has {found} bytes, its record says {said}")]
    FileSize {
        /// By the record.
        said: u64,
        /// In truth; of what is too long, one byte more.
        found: u64,
    },
    /// The NAR's file is another one.
    #[error("its NAR's file has the hash {}, its record says {}", found.sri(), said.sri())]
    FileHash {
        /// By the record.
        said: Hash,
        /// In truth.
        found: Hash,
    },
    /// The NAR cannot be decompressed.
    #[error(
        "its NAR is no {compression} that can be undone: {}",
        printable(detail)
    )]
    Undecodable {
        /// By the record.
        compression: Compression,
        /// Why not.
        detail: String,
    },
    /// The NAR is longer or shorter than the record says.
    #[error("its NAR has {found} bytes, its record says {said}")]
    NarSize {
        /// By the record.
        said: u64,
        /// In truth; of what is too long, one byte more.
        found: u64,
    },
    /// The NAR is another one.
    #[error("its NAR has the hash {}, its record says {}", found.sri(), said.sri())]
    NarHash {
        /// By the record.
        said: Hash,
        /// In truth.
        found: Hash,
    },
    /// The NAR has the hash that the record says, and Nix cannot unpack it.
    #[error("its NAR is none that Nix unpacks: {}", printable(detail))]
    Malformed {
        /// Why not.
        detail: String,
    },
    /// The content is not what the content address says.
    #[error("its content is not what its content address says")]
    Content,
    /// The content address belongs to another path.
    #[error("its content address makes `{computed}`")]
    Address {
        /// The path that it belongs to.
        computed: StorePath,
    },
    /// A signature by the name of a trusted key is not that key's own.
    #[error("a signature by the name of the trusted key `{key}` is false")]
    Signature {
        /// The name.
        key: String,
    },
    /// No trusted key has signed it, where that is asked for.
    #[error("no trusted key has signed it")]
    Unsigned,
}

impl Fault {
    /// A word for it, for other programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Record(_) | Self::NotText => "record",
            Self::Misnamed | Self::Name { .. } => "name",
            Self::Elsewhere { .. } => "nar-elsewhere",
            Self::Missing { .. } => "nar-missing",
            Self::FileSize { .. } => "file-size",
            Self::FileHash { .. } => "file-hash",
            Self::Undecodable { .. } => "nar-undecodable",
            Self::NarSize { .. } => "nar-size",
            Self::NarHash { .. } => "nar-hash",
            Self::Malformed { .. } => "nar-malformed",
            Self::Content => "content",
            Self::Address { .. } => "content-address",
            Self::Signature { .. } => "signature",
            Self::Unsigned => "unsigned",
        }
    }

    /// Whether the record may be right, so that the NAR that it describes makes the entry good.
    #[must_use]
    pub const fn is_of_nar(&self) -> bool {
        matches!(
            self,
            Self::Elsewhere { .. }
                | Self::Missing { .. }
                | Self::FileSize { .. }
                | Self::FileHash { .. }
                | Self::Undecodable { .. }
                | Self::NarSize { .. }
                | Self::NarHash { .. }
        )
    }

    /// Whether it is only about the file that holds the NAR, which Nix does not check.
    #[must_use]
    pub const fn is_of_file(&self) -> bool {
        matches!(self, Self::FileSize { .. } | Self::FileHash { .. })
    }

    /// Whether a newer Nix than this program knows may read the record.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(
            self,
            Self::Record(NarInfoError::Compression(_) | NarInfoError::NarHash { .. })
        )
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned => "sign it with `cache sign`, once its origin is known",
            fault if fault.is_of_nar() => {
                "`--repair` gets its NAR anew, from the store or a cache named by `--from`, or takes the entry away"
            }
            Self::Signature { .. } => {
                "check the trusted key; `--repair` gets it anew from a cache named by `--from` that has a valid signature, or leaves it"
            }
            Self::Misnamed => "`--repair` takes it away",
            _ => "`--repair` gets it anew from a cache named by `--from`, or takes the entry away",
        }
    }
}
