//! Where a user sends an artifact.
//!
//! | text | meaning |
//! |---|---|
//! | `out:result`, `out:/srv/file`, `out:./a:b` | a plain file or folder |
//! | `file:///srv/cache?compression=none` | a binary cache on disk |
//! | `store` | the Nix store that Nix itself would use |
//! | `store=daemon`, `store=unix:///SOCKET`, `store=local?root=/DIR` | this one |
//! | `s3://BUCKET?region=REGION` | a binary cache in a bucket; not read from text here, because it needs a network |
//! | `store=`, `store=ssh://host`, `out:`, `out:..`, `out:/`, `file:x`, `file://host/x`, `/srv/file`, `http://…` | refused |

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fetchhost_cache::{Cache, CacheUrl, CacheUrlError};
use fetchhost_formats::FixedOutput;
use fetchhost_policy::printable;
use thiserror::Error;

use crate::cache;
use crate::error::SinkError;
use crate::held::Held;
use crate::out;
use crate::staged::{Incoming, Staged};
use crate::store::{Store, StoreUrl, StoreUrlError};

/// A place for artifacts, as typed after `--to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A plain file, or a folder when the artifact is a tree.
    Out(PathBuf),
    /// A binary cache on disk or in a bucket.
    Cache(Cache),
    /// A Nix store on this machine.
    Store(Store),
}

impl Destination {
    /// The destination without its parameters, as errors and results name it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Out(path) => format!("out:{}", printable(&path.to_string_lossy())),
            Self::Cache(cache) => cache.label(),
            Self::Store(store) => store.label(),
        }
    }

    /// What this place already has of `output`: a cache whose record names the same path and content
    /// address, and whose NAR is there, or a store where the path is valid and has that content
    /// address, or a plain file or folder that has the declared hash: that one is read as a whole.
    /// Devices and pipes have nothing. May block, and changes nothing.
    ///
    /// # Errors
    ///
    /// When the place cannot be read. A damaged or foreign record is not an error: it is not what
    /// was looked for, and a commit replaces it.
    pub fn lookup(&self, output: &FixedOutput) -> Result<Option<Held>, SinkError> {
        match self {
            Self::Out(path) => Ok(out::lookup(self.label(), path, output).map(Held::in_file)),
            Self::Cache(cache) => cache::lookup(cache, output),
            Self::Store(store) => store.lookup(output),
        }
    }

    /// What can be told beforehand of [`open`](Self::open): whether a plain file or folder can be made
    /// where it is wanted. Other places are not looked at. Changes nothing.
    ///
    /// # Errors
    ///
    /// As `open`.
    pub fn check(&self) -> Result<(), SinkError> {
        match self {
            Self::Out(path) => out::check(&self.label(), path),
            Self::Cache(_) | Self::Store(_) => Ok(()),
        }
    }

    /// Prepares to take one artifact. Nothing has a final name before it is committed. May block.
    ///
    /// # Errors
    ///
    /// When the place cannot be written to, or holds something that is not to be replaced.
    pub fn open(&self, incoming: &Incoming) -> Result<Box<dyn Staged>, SinkError> {
        match self {
            Self::Out(path) => out::open(self.label(), path),
            Self::Cache(cache) => cache::begin(cache),
            Self::Store(store) => store.open(incoming),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if let Some(path) = text.strip_prefix("out:") {
            return out_path(path).map(Self::Out);
        }
        if text.starts_with("file:") {
            let cache = Cache::on_disk(text.parse()?, false);
            return cache.map(Self::Cache).ok_or(DestinationError::Bucket);
        }
        if text == "store" {
            return Ok(Self::Store(Store::new(StoreUrl::Auto)));
        }
        if let Some(url) = text.strip_prefix("store=") {
            return Ok(Self::Store(Store::new(url.parse()?)));
        }
        if text.starts_with("s3:") {
            text.parse::<CacheUrl>()?;
            return Err(DestinationError::Bucket);
        }
        Err(DestinationError::Unknown {
            given: text.to_owned(),
        })
    }
}

/// A path whose last component can be created in the folder above it.
fn out_path(path: &str) -> Result<PathBuf, DestinationError> {
    let path = Path::new(path);
    match path.file_name().map(OsStr::as_encoded_bytes) {
        Some(name) if !name.contains(&0) => Ok(path.to_owned()),
        _ => Err(DestinationError::Path {
            given: path.to_string_lossy().into_owned(),
        }),
    }
}

/// Why a text is not a destination.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DestinationError {
    /// A bucket, which is made a destination by what reaches it: see [`Destination::Cache`].
    #[error("a bucket needs a network to be reached by")]
    Bucket,
    /// No kind of destination begins like this.
    #[error("unknown destination `{}`", printable(given))]
    Unknown {
        /// The text.
        given: String,
    },
    /// A path that names no file: empty, `/`, or ending in `..`.
    #[error(
        "`out:{}` does not name a file or folder that can be created",
        printable(given)
    )]
    Path {
        /// The path.
        given: String,
    },
    /// A cache's URL with something wrong in it.
    #[error(transparent)]
    Cache(#[from] CacheUrlError),
    /// A store with something wrong in it.
    #[error(transparent)]
    Store(#[from] StoreUrlError),
}

impl DestinationError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bucket => None,
            Self::Unknown { given } => {
                let plain = given.starts_with(['/', '.']);
                let shown = printable(given);
                match given.parse::<StoreUrl>() {
                    _ if plain => Some(format!("a file or folder is written `out:{shown}`")),
                    Ok(_) => Some(format!("a Nix store is written `store={shown}`")),
                    Err(error) if given.starts_with("ssh") => error.hint(),
                    Err(_) => Some(
                        "a destination is `store`, `out:PATH`, `file:///DIR` or `s3://BUCKET`"
                            .to_owned(),
                    ),
                }
            }
            Self::Path { .. } => Some("write a name after `out:`, as in `out:result`".to_owned()),
            Self::Cache(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}
