//! What can go wrong with a cache.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_formats::{CacheInfoError, KeyError, NarInfoError, STORE_DIR};
use fetchhost_policy::printable;
use fetchhost_transport::Category;
use thiserror::Error;

use crate::bucket::BucketError;

/// A cache cannot be read or written. Each message names the cache, and what of it.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The operating system refused.
    #[error("`{label}`: cannot {action} {}: {source}", shown(path))]
    Io {
        /// The cache.
        label: String,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A NAR cannot be compressed.
    #[error("`{label}`: cannot compress: {source}")]
    Compression {
        /// The cache.
        label: String,
        /// Why not.
        source: io::Error,
    },
    /// A bucket's server did not do it.
    #[error("`{label}`: cannot {action}{}: {source}", of(key))]
    Bucket {
        /// The cache.
        label: String,
        /// What was tried.
        action: &'static str,
        /// On what; empty for the bucket itself.
        key: String,
        /// Why not.
        source: Arc<BucketError>,
    },
    /// An object has more parts than a bucket takes.
    #[error(
        "`{label}`: the NAR is longer than {limit} bytes compressed, in parts of the present size"
    )]
    Parts {
        /// The cache.
        label: String,
        /// The longest that is possible, in bytes.
        limit: u64,
    },
    /// The bucket overwrites where it is asked not to.
    #[error(
        "`{label}`: the server ignores conditions of writing, so that two writers at once could undo each other's {what}"
    )]
    Unconditional {
        /// The cache.
        label: String,
        /// What would be lost.
        what: &'static str,
    },
    /// The file of a secret key cannot be read.
    #[error("`{label}`: cannot read the secret key {}: {source}", shown(path))]
    SecretKeyFile {
        /// The cache.
        label: String,
        /// The key's file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret key of a cache is none.
    #[error("`{label}`: the secret key {} cannot be used: {source}", shown(path))]
    SecretKey {
        /// The cache.
        label: String,
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The cache holds the paths of another store.
    #[error(
        "`{label}` is a cache for the store `{}`, not `{STORE_DIR}`",
        printable(store_dir)
    )]
    ForeignStore {
        /// The cache.
        label: String,
        /// Its store directory.
        store_dir: String,
    },
    /// Nix would not read the cache.
    #[error("`{label}` is no cache that Nix reads: {source}")]
    Info {
        /// The cache.
        label: String,
        /// What is wrong with it.
        source: CacheInfoError,
    },
    /// None of the paths that are to stay is there, so that everything would go.
    #[error("`{label}`: none of the roots is in the cache")]
    NoRoots {
        /// The cache.
        label: String,
    },
    /// There is nothing that a cache has.
    #[error("`{label}` is no binary cache: it has no `nix-cache-info`")]
    NoCache {
        /// The place.
        label: String,
    },
    /// A record cannot be what it would have to be.
    #[error("`{label}`: the record `{key}` cannot be written: {source}")]
    Record {
        /// The cache.
        label: String,
        /// The record.
        key: String,
        /// Why not.
        source: NarInfoError,
    },
    /// Others write the same record again and again.
    #[error("`{label}`: others keep writing `{key}`")]
    Contended {
        /// The cache.
        label: String,
        /// The object.
        key: String,
    },
}

impl CacheError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => io_hint(source).map(str::to_owned),
            Self::Compression { .. } => None,
            Self::Bucket { source, action, .. } => source.hint(action),
            Self::Unconditional { .. } => Some(
                "if nobody else writes to this cache meanwhile, say so with `single-writer=true` in its URL; `cache` commands also take `--single-writer`"
                    .to_owned(),
            ),
            Self::Parts { .. } => {
                Some("give a greater `multipart-chunk-size` in the URL".to_owned())
            }
            Self::SecretKeyFile { .. } => {
                Some("name a readable file with `secret-key=FILE`".to_owned())
            }
            Self::SecretKey { .. } => {
                Some("a secret key file holds `name:` and 64 bytes in base64, as `nix-fetchhost key generate NAME FILE` makes it".to_owned())
            }
            Self::Info { source, .. } => source.hint(),
            Self::NoRoots { .. } => Some(
                "check them, and the cache's URL: without any root all entries would go".to_owned(),
            ),
            // Without its parameters it would be another bucket.
            Self::NoCache { .. } => Some(
                "check its URL; `nix-fetchhost cache init` with the same URL makes it one"
                    .to_owned(),
            ),
            Self::Record { .. } => None,
            Self::ForeignStore { .. } => Some("name another cache".to_owned()),
            Self::Contended { .. } => Some("try again when they are done".to_owned()),
        }
    }

    /// Whether the remedy is in what the user wrote rather than in the cache: a usage error.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SecretKeyFile { .. }
            | Self::SecretKey { .. }
            | Self::ForeignStore { .. }
            | Self::NoRoots { .. } => true,
            Self::Bucket { source, .. } => source.is_configuration(),
            _ => false,
        }
    }

    /// Whether something that was found is not there any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether whoever asked is known, and may not: which is also what a bucket that may not be listed says of
    /// what it lacks.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Bucket { source, .. } if source.is_denied())
    }

    /// Whether no grant of the user's allows what was to be asked.
    #[must_use]
    pub fn is_ungranted(&self) -> bool {
        matches!(self, Self::Bucket { source, .. } if source.category() == Some(Category::Denied))
    }
}

/// What to do about an error of the file system.
fn io_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("make the folder writable for this user, or name another place")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or name another place")
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Some("create the folder above it first, or name another place")
        }
        _ => None,
    }
}

/// A key in backticks, if it is one.
fn of(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!(" `{key}`"),
    }
}

/// A path in backticks, without power over the terminal.
fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()))
}

/// Says of an I/O error which cache tried to do what to which path.
pub fn failed<E: Into<io::Error>>(
    label: &str,
    action: &'static str,
    path: &Path,
) -> impl Fn(E) -> CacheError + Copy {
    move |source| CacheError::Io {
        label: label.to_owned(),
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}
