//! Where a NAR is.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::compression::Compression;
use crate::hash::Hash;
use crate::quote::quoted;

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
