//! The record that a binary cache keeps for each path.
//!
//! Written exactly as Nix writes it: the fields in Nix's order, `Compression` always, `References`
//! always and followed by a space even when empty, a newline after the last line.
//!
//! | record | read |
//! |---|---|
//! | what Nix writes; unknown fields; missing optional fields | yes |
//! | a signature that is none (`Sig: x`) | yes, without it, as Nix ignores it |
//! | no `Compression` | yes, and it means `bzip2`, as in Nix |
//! | no newline at the end, no space after a field's colon | no: Nix would misread it |
//! | a NarHash other than sha256, NarSize 0, a required field missing or twice | no |
//! | a `CA` of a kind that this program cannot compute (`fixed:git:`) | yes, kept as it is written |
//! | an empty `CA` | yes, and it means none, as in Nix |
//! | more than 1 MiB | no |

mod proof;
mod signatures;
mod url;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use nix_derivation::StoreDir;
use thiserror::Error;

use crate::compression::{Compression, UnknownCompression};
use crate::content_address::ContentAddressError;
use crate::hash::{Hash, HashAlgorithm, HashError};
use crate::quote::cut;
use crate::recorded_address::RecordedAddress;
use crate::signing::Signature;
use crate::store_path::StorePath;

pub use proof::{Proof, Unproved};
pub use signatures::add_signatures;
pub use url::{NarUrl, NarUrlError};

/// Longest record that is read, in bytes.
pub const MAX_NARINFO_BYTES: usize = nix_narinfo::MAX_NARINFO_SIZE;

/// The field of the content address.
const ADDRESS: &str = "CA: ";

/// A narinfo record. [`fmt::Display`] writes the file's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarInfo {
    /// The path described.
    pub store_path: StorePath,
    /// Where the NAR is, relative to the cache's root or absolute.
    pub url: NarUrl,
    /// How the file at `url` is compressed.
    pub compression: Compression,
    /// Hash of the file at `url`. Nix does not check it.
    pub file_hash: Option<Hash>,
    /// Length of the file at `url`, in bytes. Nix does not check it.
    pub file_size: Option<u64>,
    /// SHA-256 of the NAR, uncompressed.
    pub nar_hash: Hash,
    /// Length of the NAR, uncompressed, in bytes; never 0.
    pub nar_size: u64,
    /// The paths that this one mentions; none for a fixed output.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Signatures over [`NarInfo::fingerprint`].
    pub signatures: Vec<Signature>,
    /// What the path is said to be computed from; [`NarInfo::proof`] tells whether it is. With it Nix
    /// needs no signature.
    pub ca: Option<RecordedAddress>,
}

impl NarInfo {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When Nix would refuse or misread the record, or when it holds something that this program
    /// does not know; see the table above.
    pub fn parse(text: &str) -> Result<Self, NarInfoError> {
        if text.len() > MAX_NARINFO_BYTES {
            return Err(NarInfoError::TooLarge { got: text.len() });
        }
        check_lines(text)?;
        let (ca, rest) = split_address(text)?;
        let record = nix_narinfo::NarInfo::parse_in(&StoreDir::default(), rest.as_bytes())
            .map_err(|error| NarInfoError::Record {
                message: cut(&error.to_string()),
            })?;
        let nar_hash = Hash::from_nix(record.nar_hash())?;
        if nar_hash.algorithm() != HashAlgorithm::Sha256 {
            return Err(NarInfoError::NarHash {
                algorithm: nar_hash.algorithm(),
            });
        }
        Ok(Self {
            store_path: StorePath::from_nix(record.store_path()),
            url: record.url().parse()?,
            compression: record.compression().as_str().parse()?,
            file_hash: record.file_hash().map(Hash::from_nix).transpose()?,
            file_size: record.file_size(),
            nar_hash,
            nar_size: record.nar_size(),
            references: record
                .references()
                .iter()
                .map(StorePath::from_nix)
                .collect(),
            deriver: record.deriver().map(StorePath::from_nix),
            signatures: record
                .signatures()
                .iter()
                .filter_map(|found| found.to_nix_string().parse().ok())
                .collect(),
            ca,
        })
    }

    /// The text that signatures are over: path, NAR hash, NAR size and references. The content
    /// address is not part of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let references: Vec<_> = self.references.iter().map(StorePath::to_string).collect();
        format!(
            "1;{};{};{};{}",
            self.store_path,
            self.nar_hash.prefixed_nix32(),
            self.nar_size,
            references.join(",")
        )
    }
}

impl fmt::Display for NarInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "StorePath: {}", self.store_path)?;
        writeln!(out, "URL: {}", self.url)?;
        writeln!(out, "Compression: {}", self.compression)?;
        if let Some(hash) = &self.file_hash {
            writeln!(out, "FileHash: {}", hash.prefixed_nix32())?;
        }
        if let Some(size) = self.file_size.filter(|&size| size != 0) {
            writeln!(out, "FileSize: {size}")?;
        }
        writeln!(out, "NarHash: {}", self.nar_hash.prefixed_nix32())?;
        writeln!(out, "NarSize: {}", self.nar_size)?;
        out.write_str("References: ")?;
        for (index, reference) in self.references.iter().enumerate() {
            if index > 0 {
                out.write_char(' ')?;
            }
            out.write_str(reference.base_name())?;
        }
        out.write_char('\n')?;
        if let Some(deriver) = &self.deriver {
            writeln!(out, "Deriver: {}", deriver.base_name())?;
        }
        // Nix keeps signatures as a sorted set: of their texts in 2.26, by the names of keys in 2.34.
        for signature in self
            .signatures
            .iter()
            .map(Signature::to_string)
            .collect::<BTreeSet<_>>()
        {
            writeln!(out, "Sig: {signature}")?;
        }
        if let Some(ca) = &self.ca {
            writeln!(out, "CA: {ca}")?;
        }
        Ok(())
    }
}

impl FromStr for NarInfo {
    type Err = NarInfoError;

    fn from_str(text: &str) -> Result<Self, NarInfoError> {
        Self::parse(text)
    }
}

/// Nix takes a value from two bytes after the colon up to the newline: without the space, or without
/// the last newline, it reads something else than the writer meant.
fn check_lines(text: &str) -> Result<(), NarInfoError> {
    let Some(body) = text.strip_suffix('\n') else {
        return Err(NarInfoError::Unterminated);
    };
    for (index, line) in body.split('\n').enumerate() {
        let well_formed = line.split_once(':').is_some_and(|(_, value)| {
            value.starts_with(' ') && !line.contains(|character: char| character.is_control())
        });
        if !well_formed {
            return Err(NarInfoError::Line { number: index + 1 });
        }
    }
    Ok(())
}

/// Takes the content address out of a record: the wrapped crate refuses those that it does not know.
fn split_address(text: &str) -> Result<(Option<RecordedAddress>, String), NarInfoError> {
    let mut address = None;
    let mut rest = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let Some(value) = line.strip_prefix(ADDRESS) else {
            rest.push_str(line);
            continue;
        };
        if address.replace(value.trim_end_matches('\n')).is_some() {
            return Err(NarInfoError::Addresses);
        }
    }
    let address = address.filter(|value| !value.is_empty());
    Ok((address.map(str::parse).transpose()?, rest))
}

/// Why a text is not a narinfo record.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NarInfoError {
    /// Longer than any record.
    #[error("a narinfo has at most {} KiB, this one has {} KiB", MAX_NARINFO_BYTES >> 10, got.div_ceil(1024))]
    TooLarge {
        /// Its length, in bytes.
        got: usize,
    },
    /// The last line has no newline: the record was cut.
    #[error("the narinfo does not end with a newline")]
    Unterminated,
    /// A line that is not `Field: value`.
    #[error("line {number} of the narinfo is not a field, a colon, a space and a value")]
    Line {
        /// Counted from 1.
        number: usize,
    },
    /// A field is missing, doubled or malformed.
    #[error("{message}")]
    Record {
        /// Which field, and what is wrong with it.
        message: String,
    },
    /// A hash is none that this program knows.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The NAR's hash is of another algorithm.
    #[error("the narinfo's NarHash is {algorithm}, Nix wants sha256")]
    NarHash {
        /// The algorithm given.
        algorithm: HashAlgorithm,
    },
    /// The `Compression` field.
    #[error(transparent)]
    Compression(#[from] UnknownCompression),
    /// There is more than one `CA` field.
    #[error("the narinfo has two content addresses")]
    Addresses,
    /// The `CA` field.
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
    /// The `URL` field.
    #[error(transparent)]
    Url(#[from] NarUrlError),
}
