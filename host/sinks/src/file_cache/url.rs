//! Parsing `file:///DIR?…`.
//!
//! | URL | |
//! |---|---|
//! | `file:///srv/cache`, `file:///srv/a%20b` | the folder |
//! | `?compression=none`, `xz`, `zstd` | ours is `zstd` |
//! | `&compression-level=N` | 1 to 22 for zstd, 0 to 9 for xz; -1 is the default, as in Nix |
//! | `&secret-key=FILE`, `&secret-keys=FILE,FILE` | sign each record |
//! | `&priority=N`, `&want-mass-query=BOOL` | for a new `nix-cache-info` |
//! | `file:x`, `file://host/x`, `file:///x#y`, another parameter, a parameter twice | refused |

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use fetchhost_formats::Compression;
use fetchhost_policy::printable;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::FileCache;

/// The parameters, by Nix's names.
const PARAMETERS: [&str; 6] = [
    "compression",
    "compression-level",
    "secret-key",
    "secret-keys",
    "priority",
    "want-mass-query",
];

impl FromStr for FileCache {
    type Err = FileCacheError;

    fn from_str(text: &str) -> Result<Self, FileCacheError> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let path = place
            .strip_prefix("file://")
            .filter(|path| path.starts_with('/') && !text.contains('#'));
        let dir = path
            .and_then(decoded_path)
            .ok_or_else(|| FileCacheError::Url {
                given: text.to_owned(),
            })?;

        let mut cache = Self::new(dir);
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(FileCacheError::Twice {
                    name: name.to_owned(),
                });
            }
            seen.push(name);
            set(&mut cache, name, value)?;
        }
        check_level(&cache)?;
        Ok(cache)
    }
}

/// A path from a URL. NUL is in no path.
fn decoded_path(text: &str) -> Option<PathBuf> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    (!bytes.is_empty() && !bytes.contains(&0)).then(|| OsString::from_vec(bytes).into())
}

fn set(cache: &mut FileCache, name: &str, value: &str) -> Result<(), FileCacheError> {
    let refused = |wanted| FileCacheError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        wanted,
    };
    let key_path = |text| decoded_path(text).ok_or_else(|| refused("the path of a file"));
    match name {
        "compression" => {
            cache.compression = value
                .parse()
                .ok()
                .filter(|found| {
                    matches!(
                        found,
                        Compression::None | Compression::Xz | Compression::Zstd
                    )
                })
                .ok_or_else(|| refused("`none`, `xz` or `zstd`"))?;
        }
        "compression-level" => {
            let level: i32 = value.parse().map_err(|_| refused("a number"))?;
            cache.level = (level != -1).then_some(level);
        }
        "secret-key" => cache.secret_keys.push(key_path(value)?),
        "secret-keys" => {
            for file in value.split(',') {
                cache.secret_keys.push(key_path(file)?);
            }
        }
        "priority" => {
            cache.priority = value
                .parse()
                .map_err(|_| refused("a number that is not negative"))?
        }
        "want-mass-query" => {
            cache.want_mass_query = match value {
                "true" | "yes" | "1" => true,
                "false" | "no" | "0" => false,
                _ => return Err(refused("`true` or `false`")),
            };
        }
        _ => {
            return Err(FileCacheError::Unknown {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_level(cache: &FileCache) -> Result<(), FileCacheError> {
    let Some(level) = cache.level else {
        return Ok(());
    };
    let (levels, wanted) = match cache.compression {
        Compression::Zstd => (1..=22, "1 to 22 with `compression=zstd`"),
        Compression::Xz => (0..=9, "0 to 9 with `compression=xz`"),
        _ => {
            return Err(FileCacheError::Level {
                level,
                wanted: "left out with `compression=none`",
            });
        }
    };
    if levels.contains(&level) {
        Ok(())
    } else {
        Err(FileCacheError::Level { level, wanted })
    }
}

/// Why a text is not the URL of a cache on disk.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileCacheError {
    /// Not `file://` and an absolute path.
    #[error("`{}` is not `file://` and an absolute path", printable(given))]
    Url {
        /// The text.
        given: String,
    },
    /// A parameter that this program does not know.
    #[error("unknown parameter `{}` of a `file://` cache", printable(name))]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A parameter that is given twice.
    #[error("the parameter `{}` is given twice", printable(name))]
    Twice {
        /// Its name.
        name: String,
    },
    /// A value that the parameter cannot have.
    #[error("the parameter `{name}` is {wanted}, not `{}`", printable(value))]
    Value {
        /// The parameter.
        name: String,
        /// The value given.
        value: String,
        /// What it can be.
        wanted: &'static str,
    },
    /// A level that the compressor does not have.
    #[error("the parameter `compression-level` is {wanted}, not `{level}`")]
    Level {
        /// The level given.
        level: i32,
        /// What it can be.
        wanted: &'static str,
    },
}

impl FileCacheError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some(
                "write it with three slashes, as in `file:///srv/cache`; `#` and other special characters as `%23` and so on"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some(format!("the parameters are {}", PARAMETERS.map(|name| format!("`{name}`")).join(", "))),
            Self::Twice { .. } => Some("several keys are written `secret-keys=FILE,FILE`".to_owned()),
            Self::Value { .. } | Self::Level { .. } => None,
        }
    }
}
