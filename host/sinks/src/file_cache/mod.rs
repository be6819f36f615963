//! `file:///DIR?…`: a binary cache on disk, as Nix writes and reads it.
//!
//! ```text
//! DIR/nix-cache-info                 once, by whoever publishes first
//! DIR/nar/<nix32 of the file>.nar…   first
//! DIR/<hash part>.narinfo            last, so that a record never precedes its NAR
//! ```
//!
//! Files get their final names by rename or link, whole and synced. Publishers need no lock: a NAR
//! is named by its contents, and of two records for one path the first valid one stays.

mod compress;
mod info;
mod lookup;
mod publish;
mod staging;
mod url;

use std::path::{Path, PathBuf};

use fetchhost_formats::{Compression, StorePath};
use fetchhost_policy::printable;

pub(crate) use lookup::open;
pub use url::FileCacheError;

/// What `nix-cache-info` says when nothing else is asked for. Nix asks caches with lower numbers
/// first, and `cache.nixos.org` has 40: a folder on this machine is cheaper to ask.
const DEFAULT_PRIORITY: u32 = 30;

/// A binary cache on disk and how to write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCache {
    /// The cache's folder.
    pub dir: PathBuf,
    /// How NARs are compressed: `none`, `xz` or `zstd`.
    pub compression: Compression,
    /// The compressor's level; its own default without one.
    pub level: Option<i32>,
    /// Files with secret keys; each record is signed with all of them.
    pub secret_keys: Vec<PathBuf>,
    /// For `nix-cache-info`, if that does not exist yet.
    pub priority: u32,
    /// For `nix-cache-info`, if that does not exist yet: whether Nix may ask for many paths at once.
    pub want_mass_query: bool,
}

impl FileCache {
    /// A cache in `dir` with our defaults: zstd, no signature, priority 30, mass queries wanted.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            compression: Compression::Zstd,
            level: None,
            secret_keys: Vec::new(),
            priority: DEFAULT_PRIORITY,
            want_mass_query: true,
        }
    }

    /// The URL without its parameters.
    pub(crate) fn label(&self) -> String {
        format!("file://{}", printable(&self.dir.to_string_lossy()))
    }

    /// Where the record of `path` is.
    fn narinfo_path(&self, path: &StorePath) -> PathBuf {
        self.dir.join(format!("{}.narinfo", path.hash_part()))
    }

    /// The folder of the NARs.
    fn nar_dir(&self) -> PathBuf {
        self.dir.join("nar")
    }

    /// The file of a record's `URL`, when that is a plain path below the cache's folder.
    fn nar_path(&self, url: &str) -> Option<PathBuf> {
        let plain = !url.is_empty()
            && url.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !url.contains([':', '?', '#', '%']);
        plain.then(|| self.dir.join(Path::new(url)))
    }
}
