//! Store paths: `/nix/store/<32 characters of nix32>-<name>`.

use std::fmt;
use std::str::FromStr;

use nix_derivation::StorePath as NixStorePath;
use serde::Serialize;
use thiserror::Error;

use crate::quote::quoted;

/// The logical store directory. It is part of what a store path hashes, so it is the same for every
/// machine that shares paths; a chroot store keeps the files elsewhere and the name here.
pub const STORE_DIR: &str = nix_derivation::store_path::STORE_DIR;

/// Characters of the hash part.
const HASH_LEN: usize = 32;

/// A valid store path. Sorted as Nix sorts references: by base name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    /// `<hash>-<name>`, checked.
    base_name: String,
}

impl StorePath {
    /// Parses `<hash>-<name>`, as narinfo references are written.
    ///
    /// # Errors
    ///
    /// When the hash part is not 32 characters of nix32, or the name is none.
    pub fn from_base_name(text: &str) -> Result<Self, StorePathError> {
        let path = NixStorePath::from_basename(text.as_bytes()).map_err(|_| {
            StorePathError::Malformed {
                given: text.to_owned(),
            }
        })?;
        Ok(Self::from_nix(&path))
    }

    /// The 32 characters that name the path in a binary cache.
    #[must_use]
    pub fn hash_part(&self) -> &str {
        &self.base_name[..HASH_LEN]
    }

    /// The name part.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.base_name[HASH_LEN + 1..]
    }

    /// `<hash>-<name>`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The same path as the wrapped crate's type.
    pub(crate) fn to_nix(&self) -> NixStorePath {
        NixStorePath::from_basename(self.base_name.as_bytes()).expect("a checked path parses again")
    }

    /// From the wrapped crate's type.
    pub(crate) fn from_nix(path: &NixStorePath) -> Self {
        Self {
            base_name: path.to_basename(),
        }
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        let base_name = text
            .strip_prefix(STORE_DIR)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| StorePathError::OutsideStore {
                given: text.to_owned(),
            })?;
        Self::from_base_name(base_name)
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{STORE_DIR}/{}", self.base_name)
    }
}

impl Serialize for StorePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a store path.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StorePathError {
    /// It does not begin with the store directory.
    #[error("{} is not below `{STORE_DIR}`", quoted(given))]
    OutsideStore {
        /// The text.
        given: String,
    },
    /// What follows the store directory is not `<hash>-<name>`.
    #[error(
        "{} is not a store path: 32 characters of nix32, a dash and a name",
        quoted(given)
    )]
    Malformed {
        /// The text.
        given: String,
    },
}
