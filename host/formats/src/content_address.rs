//! What makes a fixed output: a name, a mode and a hash. Together they are its store path.

use std::fmt;
use std::str::FromStr;

use nix_derivation::CAHash;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::{Hash, HashAlgorithm, HashError};
use crate::quote::quoted;
use crate::store_name::StoreName;
use crate::store_path::StorePath;

/// What the hash of a fixed output is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputMode {
    /// The bytes of one plain, non-executable file.
    Flat,
    /// The NAR of a file, symlink or tree (`recursive` in Nix).
    Nar,
}

impl OutputMode {
    /// `flat` or `nar`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Nar => "nar",
        }
    }
}

impl fmt::Display for OutputMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for OutputMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        [Self::Flat, Self::Nar]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| UnknownMode {
                given: text.to_owned(),
            })
    }
}

/// A text that names no output mode.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown output mode {}; it is `flat` or `nar`", quoted(given))]
pub struct UnknownMode {
    /// The text.
    pub given: String,
}

/// A content address as narinfo records and the daemon write it: `fixed:sha256:<nix32>` or
/// `fixed:r:sha256:<nix32>`.
///
/// Nix also has `text:` and `fixed:git:`; neither can be a fixed output that this program makes, and
/// both are refused. A record may hold them: [`RecordedAddress`](crate::RecordedAddress).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    /// What was hashed.
    pub mode: OutputMode,
    /// Its hash.
    pub hash: Hash,
}

impl ContentAddress {
    /// From the wrapped crate's type.
    pub(crate) fn from_nix(address: &CAHash) -> Result<Self, ContentAddressError> {
        let (mode, hash) = match address {
            CAHash::Flat(hash) => (OutputMode::Flat, hash),
            CAHash::Nar(hash) => (OutputMode::Nar, hash),
            CAHash::Text(_) | CAHash::Git(_) => {
                return Err(ContentAddressError::NotFixed {
                    given: address.to_nix_string(),
                });
            }
        };
        Ok(Self {
            mode,
            hash: Hash::from_nix(hash)?,
        })
    }

    pub(crate) fn to_nix(&self) -> CAHash {
        match self.mode {
            OutputMode::Flat => CAHash::Flat(self.hash.to_nix()),
            OutputMode::Nar => CAHash::Nar(self.hash.to_nix()),
        }
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_nix().to_nix_string())
    }
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let rest = text
            .strip_prefix("fixed:")
            .filter(|rest| !rest.starts_with("git:"))
            .ok_or_else(|| ContentAddressError::NotFixed {
                given: text.to_owned(),
            })?;
        let (mode, hash) = match rest.strip_prefix("r:") {
            Some(hash) => (OutputMode::Nar, hash),
            None => (OutputMode::Flat, rest),
        };
        if hash.contains('-') {
            return Err(ContentAddressError::Sri {
                given: text.to_owned(),
            });
        }
        Ok(Self {
            mode,
            hash: hash.parse()?,
        })
    }
}

/// Why a text is not the content address of a fixed output.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ContentAddressError {
    /// It does not begin with `fixed:`, or it is a git address.
    #[error("{} is not the content address of a fixed output", quoted(given))]
    NotFixed {
        /// The text.
        given: String,
    },
    /// Another algorithm than the one that Nix hashes texts with.
    #[error("the content address of a text is a sha256, this one is a {algorithm}")]
    Text {
        /// The algorithm given.
        algorithm: HashAlgorithm,
    },
    /// It is not a kind, a colon and more, all of visible ASCII.
    #[error("{} is not a content address", quoted(given))]
    Malformed {
        /// The text.
        given: String,
    },
    /// Nix takes every encoding here but SRI.
    #[error(
        "the content address {} holds an SRI hash, which Nix does not read there",
        quoted(given)
    )]
    Sri {
        /// The text.
        given: String,
    },
    /// The hash in it is none.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// A fixed output: all that its store path depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FixedOutput {
    /// The name part of its path.
    pub name: StoreName,
    /// What the hash is taken over.
    pub mode: OutputMode,
    /// The hash.
    pub hash: Hash,
}

impl FixedOutput {
    /// The path at which Nix keeps this output, always without references.
    #[must_use]
    pub fn store_path(&self) -> StorePath {
        // The only failures are a bad name, which `StoreName` excludes, and references.
        let path = nix_derivation::store_path::build_ca_path(
            self.name.as_str(),
            &self.content_address().to_nix(),
            std::iter::empty(),
            false,
        )
        .expect("a checked name and a fixed address without references always have a path");
        StorePath::from_nix(&path)
    }

    /// Its content address.
    #[must_use]
    pub fn content_address(&self) -> ContentAddress {
        ContentAddress {
            mode: self.mode,
            hash: self.hash.clone(),
        }
    }
}
