//! What can go wrong with a sink.

use std::io;
use std::path::{Path, PathBuf};

use fetchhost_formats::{CacheInfoError, KeyError, STORE_DIR};
use fetchhost_policy::printable;
use thiserror::Error;

use crate::store::StoreError;

/// A sink could not keep, look up or commit an artifact.
///
/// Each message names the destination and the path. Names that came from an archive are shown with
/// their control characters escaped.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The operating system refused.
    #[error("`{label}`: cannot {action} {}: {source}", shown(path))]
    Io {
        /// The destination.
        label: String,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its thread ended without a result; a defect of this program.
    #[error("`{label}` stopped without a result")]
    Stopped {
        /// The destination.
        label: String,
    },
    /// There is a folder with something in it where the artifact is to be.
    #[error("`{label}`: {} is a folder that is not empty", shown(path))]
    NotEmpty {
        /// The destination.
        label: String,
        /// The folder.
        path: PathBuf,
    },
    /// There is something that a folder cannot replace.
    #[error(
        "`{label}`: the artifact is a folder, and {} exists and is none",
        shown(path)
    )]
    NotAFolder {
        /// The destination.
        label: String,
        /// What is there.
        path: PathBuf,
    },
    /// There is a file where an empty folder was.
    #[error("`{label}`: the artifact is not a folder, and {} is one", shown(path))]
    IsAFolder {
        /// The destination.
        label: String,
        /// The folder.
        path: PathBuf,
    },
    /// There is a symlink where the artifact is to be; nothing is written through it.
    #[error("`{label}`: {} is a symlink to {}", shown(path), shown(target))]
    Symlink {
        /// The destination.
        label: String,
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Only the bytes of a file can be written to a device or pipe.
    #[error(
        "`{label}`: {} takes the bytes of a file, and the artifact is none",
        shown(path)
    )]
    NotAFile {
        /// The destination.
        label: String,
        /// The device or pipe.
        path: PathBuf,
    },
    /// The file of a secret key cannot be read.
    #[error("`{label}`: cannot read the secret key {}: {source}", shown(path))]
    SecretKeyFile {
        /// The destination.
        label: String,
        /// The key's file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret key of a cache is none.
    #[error("`{label}`: the secret key {} cannot be used: {source}", shown(path))]
    SecretKey {
        /// The destination.
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
        /// The destination.
        label: String,
        /// Its store directory.
        store_dir: String,
    },
    /// Nix would not read the cache.
    #[error("`{label}` is no cache that Nix reads: {source}")]
    CacheInfo {
        /// The destination.
        label: String,
        /// What is wrong with it.
        source: CacheInfoError,
    },
    /// What was written is not what was verified.
    #[error("`{label}`: {written} bytes of the archive arrived, and {verified} were verified")]
    Incomplete {
        /// The destination.
        label: String,
        /// The bytes that arrived.
        written: u64,
        /// The bytes that were verified.
        verified: u64,
    },
    /// A Nix store cannot be asked or written to.
    #[error("`{label}`: {source}")]
    Store {
        /// The destination.
        label: String,
        /// Why not.
        source: Box<StoreError>,
    },
    /// A commit without a single piece of the archive.
    #[error("`{label}`: nothing arrived")]
    Empty {
        /// The destination.
        label: String,
    },
}

impl SinkError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("make the folder writable for this user, or name another place with `--to`".to_owned())
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or name another place with `--to`".to_owned())
                }
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Some("create the folder above it first, or name another place with `--to`".to_owned())
                }
                _ => None,
            },
            Self::NotEmpty { path, .. } | Self::NotAFolder { path, .. } | Self::IsAFolder { path, .. } => {
                Some(format!("remove {} first, or name another path with `--to out:PATH`", shown(path)))
            }
            Self::Symlink { target, .. } => {
                Some(format!("name the path itself: `--to out:{}`", printable(&target.to_string_lossy())))
            }
            Self::NotAFile { .. } => Some("name a path that does not exist yet with `--to out:PATH`".to_owned()),
            Self::SecretKeyFile { .. } => Some("name a readable file with `secret-key=FILE`".to_owned()),
            Self::SecretKey { .. } => {
                Some("a secret key file holds `name:` and 64 bytes in base64, as `nix key generate-secret` makes it".to_owned())
            }
            Self::CacheInfo { source, .. } => source.hint(),
            Self::ForeignStore { .. } => Some("name another folder with `--to file:///DIR`".to_owned()),
            Self::Store { source, .. } => source.hint(),
            Self::Incomplete { .. } | Self::Empty { .. } | Self::Stopped { .. } => None,
        }
    }

    /// Whether the remedy is in what the user wrote rather than in the sink: a usage error.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SecretKeyFile { .. } | Self::SecretKey { .. } | Self::ForeignStore { .. } => true,
            Self::Store { source, .. } => source.is_configuration(),
            _ => false,
        }
    }

    /// Whether something that was found is not there any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Store { source, .. } => matches!(**source, StoreError::Gone { .. }),
            _ => false,
        }
    }

    /// Says of a store's error which store it is.
    pub(crate) fn of_store(label: &str) -> impl Fn(StoreError) -> Self + Copy {
        move |source| Self::Store {
            label: label.to_owned(),
            source: Box::new(source),
        }
    }
}

/// A path in backticks, without power over the terminal.
fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()))
}

/// Says of an I/O error which sink tried to do what to which path.
pub(crate) fn failed<E: Into<io::Error>>(
    label: &str,
    action: &'static str,
    path: &Path,
) -> impl Fn(E) -> SinkError + Copy {
    move |source| SinkError::Io {
        label: label.to_owned(),
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}
