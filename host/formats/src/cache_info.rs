//! `nix-cache-info`: what a binary cache says about itself.
//!
//! | line | read |
//! |---|---|
//! | `StoreDir: /nix/store` | the store whose paths are in the cache; Nix refuses a cache of another one |
//! | `WantMassQuery: 1` | Nix may ask for many paths at once; every other value is a no |
//! | `Priority: 40` | an integer, and what follows it is left out; of a value that is none, Nix refuses the cache |
//! | a line twice | the last one counts; two different stores are refused |
//! | anything else, lines without a colon | left out |
//!
//! As `BinaryCacheStore::init` in Nix's `src/libstore/binary-cache-store.cc`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::quote::quoted;
use crate::store_path::STORE_DIR;

/// What Nix trims from a value.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The file of a cache. [`fmt::Display`] writes its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store whose paths are in the cache. A cache that does not say it holds any.
    pub store_dir: Option<String>,
    /// Whether Nix may ask for many paths at once.
    pub want_mass_query: bool,
    /// Lower ones are asked first. Where there is none, Nix takes its own default.
    pub priority: Option<i32>,
}

impl CacheInfo {
    /// The name of the file.
    pub const FILE: &str = "nix-cache-info";

    /// Of a cache for the paths of [`STORE_DIR`]. Nix reads no priority above [`i32::MAX`]: a larger one
    /// becomes that.
    #[must_use]
    pub fn new(want_mass_query: bool, priority: u32) -> Self {
        Self {
            store_dir: Some(STORE_DIR.to_owned()),
            want_mass_query,
            priority: Some(priority.try_into().unwrap_or(i32::MAX)),
        }
    }

    /// The store it is for, when that is another one than [`STORE_DIR`].
    #[must_use]
    pub fn foreign_store(&self) -> Option<&str> {
        self.store_dir.as_deref().filter(|&dir| dir != STORE_DIR)
    }
}

impl FromStr for CacheInfo {
    type Err = CacheInfoError;

    fn from_str(text: &str) -> Result<Self, CacheInfoError> {
        let mut info = Self {
            store_dir: None,
            want_mass_query: false,
            priority: None,
        };
        for (name, value) in text.split('\n').filter_map(|line| line.split_once(':')) {
            let value = value.trim_matches(BLANKS);
            match name {
                "StoreDir" => {
                    let before = info.store_dir.replace(value.to_owned());
                    if let Some(first) = before.filter(|first| first != value) {
                        return Err(CacheInfoError::Stores {
                            first,
                            second: value.to_owned(),
                        });
                    }
                }
                "WantMassQuery" => info.want_mass_query = value == "1",
                "Priority" => {
                    let priority = leading_integer(value);
                    info.priority = Some(priority.ok_or_else(|| CacheInfoError::Priority {
                        given: value.to_owned(),
                    })?);
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

/// The number that a text begins with, as C++'s `stoi` reads it.
fn leading_integer(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - digits.len();
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + length].parse().ok()
}

impl fmt::Display for CacheInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(store_dir) = &self.store_dir {
            writeln!(out, "StoreDir: {store_dir}")?;
        }
        writeln!(out, "WantMassQuery: {}", u8::from(self.want_mass_query))?;
        if let Some(priority) = self.priority {
            writeln!(out, "Priority: {priority}")?;
        }
        Ok(())
    }
}

/// Why Nix would not take a folder or server for a cache.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CacheInfoError {
    /// Two lines name different stores.
    #[error(
        "its `{}` names two stores: {} and {}",
        CacheInfo::FILE,
        quoted(first),
        quoted(second)
    )]
    Stores {
        /// The one named first.
        first: String,
        /// The other.
        second: String,
    },
    /// The priority is no number that Nix reads.
    #[error(
        "its `{}` has the priority {}, which is no number that Nix reads",
        CacheInfo::FILE,
        quoted(given)
    )]
    Priority {
        /// The value.
        given: String,
    },
}

impl CacheInfoError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stores { .. } => format!(
                "leave one `StoreDir` line in `{}`, as in `StoreDir: {STORE_DIR}`",
                CacheInfo::FILE
            ),
            Self::Priority { .. } => format!(
                "write a whole number into `{}`, as in `Priority: 30`",
                CacheInfo::FILE
            ),
        })
    }
}
