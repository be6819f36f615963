//! Files that the user gives the fetcher, with `--input NAME=PATH`.
//!
//! They are what the [description](crate::FetcherDescription::input) names. The fetcher sees what it reads of them
//! and their digests; what is large is never in its memory.

use crate::FetchError;
use crate::bindings::nix_fetchhost::fetcher::inputs as raw;

/// Opens the input called `name`.
///
/// # Errors
///
/// `Invalid` when the description does not name it, `BadParams` when the user did not give it. The user reads the
/// latter whatever the fetcher returns.
pub fn open(name: &str) -> Result<Input, FetchError> {
    Ok(Input(raw::open(name)?))
}

/// A file that the user gave. It stays as it was when it was opened: once somebody has written to it, every call
/// fails.
#[derive(Debug)]
pub struct Input(raw::Input);

/// A digest of a whole input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256, of 32 bytes.
    Sha256,
    /// SHA-512, of 64 bytes.
    Sha512,
    /// BLAKE2b-512, of 64 bytes.
    Blake2b512,
}

impl Digest {
    /// The algorithm as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake2b512 => "blake2b-512",
        }
    }
}

impl Input {
    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// The digest of the whole file, which the host calculates: the first time it reads all of the file, and then
    /// no more.
    ///
    /// # Errors
    ///
    /// `Other` when the file cannot be read or was written to, `Unsupported` when the host is too old for `digest`.
    pub fn digest(&self, digest: Digest) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.digest(digest.as_str())?)
    }

    /// Up to `len` bytes, and up to 64 KiB, from `offset` on; an empty list at or past the end. They count as read by
    /// the fetcher, as those of [`Response::read`](crate::Response::read) do.
    ///
    /// # Errors
    ///
    /// `Other` when the file cannot be read or was written to.
    pub fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.read(offset, len)?)
    }

    pub(crate) fn as_raw(&self) -> &raw::Input {
        &self.0
    }
}
