//! What every sink offers.

use std::path::{Path, PathBuf};

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::Piece;
use fetchhost_formats::{Compression, FixedOutput, Hash, HashAlgorithm, OutputMode, StoreName};
use serde::{Serialize, Serializer};

use crate::error::SinkError;
use crate::held::Kept;

/// What is known of an artifact before its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The name in its store path.
    pub name: StoreName,
    /// Whether it is known by the hash of the file or of the NAR.
    pub mode: OutputMode,
    /// The algorithm of that hash.
    pub algorithm: HashAlgorithm,
    /// That hash, when it is declared.
    pub hash: Option<Hash>,
}

impl Incoming {
    /// The fixed output, when its hash is declared.
    #[must_use]
    pub fn fixed_output(&self) -> Option<FixedOutput> {
        Some(FixedOutput {
            name: self.name.clone(),
            mode: self.mode,
            hash: self.hash.clone()?,
        })
    }
}

/// A sink that holds an artifact nobody can see yet.
///
/// Dropping it removes what it holds. All of its methods may block.
pub trait Staged: Send {
    /// Takes the next pieces of the archive.
    ///
    /// # Errors
    ///
    /// When they cannot be kept. The sink is then of no further use and is to be dropped.
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError>;

    /// Makes the artifact appear under its final name, whole. Where garbage is collected, it is kept
    /// while the second thing lives.
    ///
    /// # Errors
    ///
    /// When it cannot appear, or when what was written is not all of `verified`. Nothing partial has
    /// a final name then.
    fn commit(self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError>;
}

/// Which kind of sink took an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// A plain file or folder.
    Out,
    /// A binary cache on disk.
    FileCache,
    /// A binary cache in a bucket.
    S3Cache,
    /// A Nix store.
    Store,
}

/// An artifact that a sink has made visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// The destination, without its parameters.
    pub label: String,
    /// Its kind.
    pub kind: SinkKind,
    /// Where the bytes are: the file or folder, the NAR of a cache (a URL, in a bucket), or the files of the store path.
    #[serde(serialize_with = "path_text")]
    pub physical: PathBuf,
    /// The record that a cache keeps.
    #[serde(
        serialize_with = "optional_path_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub narinfo: Option<PathBuf>,
}

/// An artifact that a destination had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Existing {
    /// The destination, without its parameters.
    pub label: String,
    /// Its kind.
    pub kind: SinkKind,
    /// The record that a cache keeps.
    #[serde(
        serialize_with = "optional_path_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub narinfo: Option<PathBuf>,
    /// The file or folder, the NAR of a cache, or the files of the store path.
    #[serde(serialize_with = "path_text")]
    pub nar: PathBuf,
    /// How the NAR of a cache is compressed.
    #[serde(serialize_with = "name_text")]
    pub compression: Compression,
    /// SHA-256 of the NAR, uncompressed.
    pub nar_hash: Hash,
    /// Length of the NAR, uncompressed, in bytes.
    pub nar_size: u64,
}

/// JSON has no bytes: a path that is no UTF-8 is shown, not kept.
fn path_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn optional_path_text<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    path.as_ref()
        .map(|path| path.to_string_lossy())
        .serialize(serializer)
}

fn name_text<S: Serializer>(compression: &Compression, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(compression.name())
}

/// Checks that all of the archive arrived: `written` bytes of it did.
pub(crate) fn check_complete(
    label: &str,
    written: u64,
    verified: &Verified,
) -> Result<(), SinkError> {
    if written == verified.nar_size() {
        return Ok(());
    }
    Err(SinkError::Incomplete {
        label: label.to_owned(),
        written,
        verified: verified.nar_size(),
    })
}

/// The archive bytes of a batch.
pub(crate) fn archive_len(batch: &[Piece]) -> u64 {
    batch.iter().map(|piece| piece.nar.len() as u64).sum()
}
