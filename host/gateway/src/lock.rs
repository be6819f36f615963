//! The lock file, `fetches.lock.json`: fetches by name, each with what came of it.
//!
//! `nix-fetchhost lock` writes it, `fetchhost.fromLock` of `nix/fetchhost.nix` makes derivations of it, and
//! `nix-fetchhost approve` lets builds of the Nix daemon have what it names.
//!
//! | member of a fetch | value |
//! |---|---|
//! | `fetcher`, `params`, `name`, `mode`, `executable` | as in the gateway's [URL](FetchUrl); `executable` may be left out |
//! | `inputs` | refused: the file would name content that it does not hold |
//! | `hash` | what the output's bytes must be, as SRI |
//! | `narHash`, `narSize` | SHA-256 of the output's NAR as SRI, and its size in bytes |
//! | `storePath` | where the output lies in `/nix/store`; follows from name, mode and hash |
//!
//! Members are read strictly: what this version does not know is refused, since it may restrict something, and
//! so is what stands twice.

use std::collections::BTreeMap;

use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, OutputMode, StoreName};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json;
use crate::url::{FetchUrl, MAX_LENGTH, StoreInputs, is_fetcher};

/// The version of the format.
const VERSION: u32 = 1;
/// The longest lock file that is read, in bytes.
pub const MAX_LOCK_FILE: usize = 16 << 20;
/// Most fetches in one file.
const MAX_FETCHES: usize = 10_000;
/// The longest name of a fetch, in bytes.
const MAX_NAME: usize = 128;

/// Fetches by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct LockFile {
    /// What each name stands for.
    pub fetches: BTreeMap<String, Locked>,
}

/// A fetch whose result is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Locked {
    /// What is fetched, for whichever gateway. It is given no files.
    pub fetch: FetchUrl,
    /// The SHA-256 of the output's NAR.
    pub nar_hash: Hash,
    /// The NAR's size in bytes.
    pub nar_size: u64,
}

/// Why a text is no lock file.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// Longer than [`MAX_LOCK_FILE`].
    #[error("it is longer than {MAX_LOCK_FILE} bytes")]
    TooLong,
    /// Not the JSON that a lock file is.
    #[error("it is no lock file")]
    Json(#[source] serde_json::Error),
    /// Of another version of the format.
    #[error("its version is {0}; this program reads version {VERSION}")]
    Version(u64),
    /// More fetches than one file may have.
    #[error("it holds more than {MAX_FETCHES} fetches")]
    TooMany,
    /// A name that cannot be one.
    #[error(
        "a fetch is called {0:?}; a name has 1 to {MAX_NAME} of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, and begins with none of the last three"
    )]
    Name(String),
    /// A member of a fetch with a value that it cannot have.
    #[error("`{member}` of the fetch `{name}` is not {expected}")]
    Member {
        /// Which fetch.
        name: String,
        /// Which member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Whether a fetch may be called this.
#[must_use]
pub fn is_fetch_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

impl LockFile {
    /// Reads the text of a lock file.
    ///
    /// # Errors
    ///
    /// With what is wrong, naming the fetch and its member.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        if text.len() > MAX_LOCK_FILE {
            return Err(LockFileError::TooLong);
        }
        // The version first: what else is in a later one is unknown.
        let Version { version } = serde_json::from_str(text).map_err(LockFileError::Json)?;
        if version != u64::from(VERSION) {
            return Err(LockFileError::Version(version));
        }
        let file: File = serde_json::from_str(text).map_err(LockFileError::Json)?;
        Self::try_from(file)
    }

    /// The file's text, which is the same for the same fetches.
    #[must_use]
    pub fn text(&self) -> String {
        // Strings and numbers only, which are always JSON.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }
}

impl TryFrom<File> for LockFile {
    type Error = LockFileError;

    fn try_from(file: File) -> Result<Self, LockFileError> {
        if file.version != VERSION {
            return Err(LockFileError::Version(file.version.into()));
        }
        if file.fetches.len() > MAX_FETCHES {
            return Err(LockFileError::TooMany);
        }
        let locked = |(name, entry): (String, Entry)| {
            if !is_fetch_name(&name) {
                return Err(LockFileError::Name(name));
            }
            match entry.locked() {
                Ok(locked) => Ok((name, locked)),
                Err((member, expected)) => Err(LockFileError::Member {
                    name,
                    member,
                    expected,
                }),
            }
        };
        let fetches = file
            .fetches
            .into_iter()
            .map(locked)
            .collect::<Result<_, _>>()?;
        Ok(Self { fetches })
    }
}

impl From<LockFile> for File {
    fn from(lock: LockFile) -> Self {
        let entry = |(name, locked): (String, Locked)| (name, Entry::of(locked));
        Self {
            version: VERSION,
            fetches: lock.fetches.into_iter().map(entry).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(deserialize_with = "json::members")]
    fetches: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    fetcher: String,
    #[serde(deserialize_with = "json::object")]
    params: Map<String, Value>,
    /// Only to say why they are refused.
    #[serde(default, skip_serializing)]
    inputs: Option<IgnoredAny>,
    name: String,
    mode: String,
    #[serde(default, skip_serializing_if = "is_false")]
    executable: bool,
    hash: String,
    nar_hash: String,
    nar_size: u64,
    store_path: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Entry {
    fn of(locked: Locked) -> Self {
        let FetchUrl {
            fetcher,
            output,
            params,
            executable,
            inputs: _,
            owner: _,
        } = locked.fetch;
        Self {
            fetcher,
            params,
            inputs: None,
            name: output.name.to_string(),
            mode: output.mode.to_string(),
            executable,
            hash: output.hash.sri(),
            nar_hash: locked.nar_hash.sri(),
            nar_size: locked.nar_size,
            store_path: output.store_path().to_string(),
        }
    }

    /// The fetch; or the member that is wrong, and what it should be.
    fn locked(self) -> Result<Locked, (&'static str, &'static str)> {
        if !is_fetcher(&self.fetcher) {
            return Err(("fetcher", "the name of a fetcher"));
        }
        if self.inputs.is_some() {
            return Err((
                "inputs",
                "possible in a lock file, whose fetches are given no files: let the expression name them",
            ));
        }
        let name: StoreName = self
            .name
            .parse()
            .or(Err(("name", "a name that Nix accepts")))?;
        let mode: OutputMode = self.mode.parse().or(Err(("mode", "`flat` or `nar`")))?;
        if self.executable && mode == OutputMode::Flat {
            return Err((
                "executable",
                "possible with `mode` flat: Nix takes no executable flat output",
            ));
        }
        let hash = sri(&self.hash).ok_or(("hash", "a hash in SRI form, `sha256-…=`"))?;
        let nar_hash = sri(&self.nar_hash)
            .filter(|hash| hash.algorithm() == HashAlgorithm::Sha256)
            .ok_or(("narHash", "a SHA-256 in SRI form, `sha256-…=`"))?;
        let output = FixedOutput { name, mode, hash };
        if output.store_path().to_string() != self.store_path {
            return Err(("storePath", "the one that follows from name, mode and hash"));
        }
        let fetch = FetchUrl {
            fetcher: self.fetcher,
            output,
            params: self.params,
            inputs: StoreInputs::default(),
            executable: self.executable,
            owner: None,
        };
        if fetch.to_string().len() > MAX_LENGTH {
            return Err(("params", "short enough for a URL of the gateway"));
        }
        Ok(Locked {
            fetch,
            nar_hash,
            nar_size: self.nar_size,
        })
    }
}

/// A hash that is spelt as SRI, of whose spellings there is one.
fn sri(text: &str) -> Option<Hash> {
    text.parse().ok().filter(|hash: &Hash| hash.sri() == text)
}
