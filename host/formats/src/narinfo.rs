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
//! | a `CA` that is no fixed output (`text:`, `fixed:git:`) | no: this program never makes one |

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use nix_derivation::StoreDir;
use thiserror::Error;

use crate::compression::{Compression, UnknownCompression};
use crate::content_address::{ContentAddress, ContentAddressError};
use crate::hash::{Hash, HashAlgorithm, HashError};
use crate::quote::{cut, quoted};
use crate::signing::{Signature, SigningKey};
use crate::store_path::StorePath;

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
    /// What the path is computed from; with it Nix needs no signature.
    pub ca: Option<ContentAddress>,
}

impl NarInfo {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When Nix would refuse or misread the record, or when it holds something that this program
    /// does not know; see the table above.
    pub fn parse(text: &str) -> Result<Self, NarInfoError> {
        check_lines(text)?;
        let record = nix_narinfo::NarInfo::parse_in(&StoreDir::default(), text.as_bytes())
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
            ca: record
                .content_address()
                .map(ContentAddress::from_nix)
                .transpose()?,
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

    /// Adds the signature of `key`.
    pub fn sign(&mut self, key: &SigningKey) {
        self.signatures.push(key.sign(&self.fingerprint()));
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
        // Nix keeps signatures as a sorted set of their texts.
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

/// The place of a NAR in a cache: visible ASCII, so that it cannot break the line it is written on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarUrl(String);

impl NarUrl {
    /// Where Nix puts a NAR: `nar/<nix32 of the file's hash>.nar` and the compression's extension.
    #[must_use]
    pub fn for_file(file_hash: &Hash, compression: Compression) -> Self {
        Self(format!(
            "nar/{}.nar{}",
            file_hash.nix32(),
            compression.extension()
        ))
    }

    /// The text of the field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NarUrl {
    type Err = NarUrlError;

    fn from_str(text: &str) -> Result<Self, NarUrlError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NarUrlError {
                given: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NarUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that cannot be a narinfo's `URL`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{} is not the URL of a NAR", quoted(given))]
pub struct NarUrlError {
    /// The text.
    pub given: String,
}

/// Why a text is not a narinfo record.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NarInfoError {
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
    /// The `CA` field.
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
    /// The `URL` field.
    #[error(transparent)]
    Url(#[from] NarUrlError),
}
