//! The name part of a store path.
//!
//! | text | as a name | sanitised |
//! |---|---|---|
//! | `hello.txt`, `a+b-1.0_x?=.tar.gz`, `.config` | accepted | the same |
//! | `my file.zip`, `a/b`, `a~b` | refused | `my-file.zip`, `a-b`, `a-b` |
//! | `ü` (two bytes) | refused | `--` |
//! | empty, `.`, `..`, `.-x`, `..-x` | refused | refused |
//! | longer than 211 bytes | refused | refused |
//! | `x.drv` | refused: Nix would take the output for a derivation | refused |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::quote::quoted;

/// Longest name, in bytes.
const MAX_LEN: usize = nix_derivation::store_path::MAX_NAME_LEN;

/// A name that Nix accepts for a fixed output: 1 to 211 of `[0-9A-Za-z+-._?=]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(String);

impl StoreName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name from the last segment of a path or URL, with every byte that Nix refuses replaced by
    /// `-`. Bytes, not characters: Nix strings are bytes, and a Nix expression that computes the
    /// same name must come to the same result.
    ///
    /// # Errors
    ///
    /// When what remains is still no name: empty, too long, a reserved dot form, or `….drv`.
    pub fn sanitise(segment: &str) -> Result<Self, StoreNameError> {
        let name: String = segment
            .bytes()
            .map(|byte| if allowed(byte) { char::from(byte) } else { '-' })
            .collect();
        Self::try_from(name)
    }
}

/// The bytes that Nix accepts in a name.
fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}

impl TryFrom<String> for StoreName {
    type Error = StoreNameError;

    fn try_from(name: String) -> Result<Self, StoreNameError> {
        if name.is_empty() {
            return Err(StoreNameError::Empty);
        }
        if name.len() > MAX_LEN {
            return Err(StoreNameError::TooLong { got: name.len() });
        }
        if let Some(refused) = name
            .chars()
            .find(|&character| !u8::try_from(character).is_ok_and(allowed))
        {
            return Err(StoreNameError::Character { name, refused });
        }
        // Nix keeps `.` and `..` from being components of a name that is cut at its dashes.
        if matches!(name.split('-').next(), Some("." | "..")) {
            return Err(StoreNameError::Dots { name });
        }
        if name.ends_with(".drv") {
            return Err(StoreNameError::Derivation { name });
        }
        Ok(Self(name))
    }
}

impl FromStr for StoreName {
    type Err = StoreNameError;

    fn from_str(text: &str) -> Result<Self, StoreNameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<StoreName> for String {
    fn from(name: StoreName) -> Self {
        name.0
    }
}

impl AsRef<str> for StoreName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a text is not a store name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreNameError {
    /// There is no name.
    #[error("a store name is not empty")]
    Empty,
    /// Longer than Nix accepts.
    #[error("a store name has at most {MAX_LEN} bytes, this one has {got}")]
    TooLong {
        /// The length given, in bytes.
        got: usize,
    },
    /// A character that Nix refuses.
    #[error(
        "the store name {} holds {refused:?}; Nix accepts letters, digits and `+-._?=`",
        quoted(name)
    )]
    Character {
        /// The name given.
        name: String,
        /// Its first refused character.
        refused: char,
    },
    /// `.`, `..`, or one of them followed by a dash.
    #[error(
        "the store name {} is reserved: it is or begins with a dot component",
        quoted(name)
    )]
    Dots {
        /// The name given.
        name: String,
    },
    /// A name that Nix gives to derivations.
    #[error(
        "the store name {} ends in `.drv`, which Nix keeps for derivations",
        quoted(name)
    )]
    Derivation {
        /// The name given.
        name: String,
    },
}

impl StoreNameError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("give another name with `--name`".to_owned())
    }
}
