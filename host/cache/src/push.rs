//! Many paths of a store, brought into a cache.
//!
//! ```text
//! batch   ── up to 1,000 paths, or 1 GiB of archives; each after those that it refers to
//!   look  ── is it there, whole and signed? then nothing is written
//!   NARs  ── in any order, several at once, the largest first: hashed on the pass on which they are compressed
//!   settle
//!   records ── several at once, each after those of all its references
//!   settle
//! ```
//!
//! **Must hold.** A record is written after its NAR and after the records of all its references, and only where
//! what was read is what the store knows of the path. So whoever reads the cache at any moment, also after this
//! process was killed, finds no record without what it needs; who pushes again completes what is missing.
//!
//! | what the cache has of a path | what happens |
//! |---|---|
//! | nothing, or a record without its NAR | it is pushed |
//! | the same contents and references, signed with all our keys | nothing |
//! | the same without one of our signatures | the signature is added to the record that is there |
//! | other contents: another build of the same path | that stays, without our signature |

mod archive;
mod batch;
mod parallel;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::num::NonZeroUsize;

use fetchhost_formats::{SigningKey, StoreEntry, StorePath};
use thiserror::Error;

use crate::cache::{Cache, Recorded, Standing};
use crate::decompress::Archive;
use crate::error::CacheError;

use batch::Batch;
use parallel::in_parallel;

/// How much one batch takes: what a killed push has to do again at most.
const BATCH_PATHS: usize = 1000;
const BATCH_BYTES: u64 = 1 << 30;

/// Why a store does not give an archive.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Where archives come from, and who watches.
pub trait Course: Sync {
    /// The archive of a path. What it gives is checked.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn archive(&self, offered: &StoreEntry) -> Result<Archive, SourceError>;

    /// Whether nothing more is to be begun.
    fn is_stopping(&self) -> bool;

    /// So many bytes of archives were read.
    fn read(&self, bytes: u64);

    /// A path has come to its end.
    fn ended(&self, offered: &StoreEntry, outcome: &Outcome);

    /// Something to know that ends nothing.
    fn warning(&self, text: &str);
}

/// What became of a path.
#[derive(Debug)]
pub enum Outcome {
    /// The cache has it, by this push.
    Pushed {
        /// Length in bytes of the file with its NAR.
        file_size: u64,
    },
    /// The cache had it, and has our signatures of it.
    Signed,
    /// The cache had it.
    Present,
    /// The cache has another build of it, which stays as it is.
    Differs,
    /// It would be pushed.
    Planned,
    /// It would be signed.
    Unsigned,
    /// It was not pushed.
    Failed(PushError),
    /// It was not pushed because this path, to which it refers, was not.
    LeftOut {
        /// The first one of them.
        because: StorePath,
    },
    /// The push ended before.
    NotBegun,
}

impl Outcome {
    /// Whether the cache has the path now.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        matches!(
            self,
            Self::Pushed { .. } | Self::Signed | Self::Present | Self::Differs | Self::Unsigned
        )
    }
}

/// Why a path was not pushed.
#[derive(Debug, Error)]
pub enum PushError {
    /// The store knows no length of its archive.
    #[error("the store does not say how long the archive of `{path}` is")]
    NoSize {
        /// The path.
        path: StorePath,
    },
    /// The store cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Unreadable {
        /// The path.
        path: StorePath,
        /// Why not.
        source: SourceError,
    },
    /// What the store holds is not what it knows.
    #[error("`{path}` is not what the store knows of it: {found}, and it should be {expected}")]
    Corrupt {
        /// The path.
        path: StorePath,
        /// What was read: its hash, or its length.
        found: String,
        /// What the store's database says.
        expected: String,
    },
    /// Its record was there, and is not any more.
    #[error("the record of `{path}` was taken away while it was signed")]
    Gone {
        /// The path.
        path: StorePath,
    },
    /// The cache does not take it.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl PushError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSize { path } => Some(format!(
                "build or fetch it anew: `nix-store --delete {path}`, then `nix-store --realise {path}`"
            )),
            Self::Unreadable { .. } => None,
            Self::Gone { .. } => Some("push it again".to_owned()),
            Self::Corrupt { path, .. } => Some(format!(
                "the store is damaged: see `nix-store --verify-path {path}`, and mend it by `nix-store --repair-path {path}`"
            )),
            Self::Cache(error) => error.hint(),
        }
    }

    /// Whether it is one of this path alone, and not of all that come after it.
    fn is_of_the_path(&self) -> bool {
        match self {
            Self::Cache(error) => matches!(
                error,
                CacheError::Parts { .. } | CacheError::Contended { .. } | CacheError::Record { .. }
            ),
            _ => true,
        }
    }
}

/// How to push.
pub struct Push<'a> {
    /// Whereto.
    pub cache: &'a Cache,
    /// The keys that sign each record.
    pub keys: &'a [SigningKey],
    /// How many paths are worked on at once.
    pub jobs: NonZeroUsize,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    /// Where archives come from.
    pub course: &'a dyn Course,
}

impl Push<'_> {
    /// Pushes paths that come each after those that it refers to. What they refer to and is not among them has
    /// to be in the cache ([`missing`](Self::missing)). An outcome for each, in their order.
    ///
    /// # Errors
    /// When the cache belongs to another store, or cannot be written to at all. What one path met is in its
    /// outcome.
    pub fn run(&self, offered: &[StoreEntry]) -> Result<Vec<Outcome>, CacheError> {
        self.cache.check_store_dir()?;
        let places = offered.iter().enumerate();
        let places: HashMap<_, _> = places.map(|(at, one)| (&one.path, at)).collect();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(offered.len());
        while outcomes.len() < offered.len() {
            let begin = outcomes.len();
            let batch = Batch {
                push: self,
                offered: &offered[begin..begin + batch_len(&offered[begin..])],
                begin,
                places: &places,
            };
            batch.run(&mut outcomes)?;
        }
        Ok(outcomes)
    }

    /// Those of some paths that the cache does not have.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn missing(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>, CacheError> {
        let paths: Vec<_> = paths.iter().collect();
        let all = (0..paths.len()).collect();
        let there = in_parallel(self.jobs, all, |at| {
            let Some(found) = self.cache.record(paths[at])? else {
                return Ok(false);
            };
            self.cache.has_nar(&found.record)
        });
        let mut missing = Vec::new();
        for (at, is_there) in there {
            if !is_there? {
                missing.push(paths[at].clone());
            }
        }
        missing.sort();
        Ok(missing)
    }

    /// What a record that is there is to what we have.
    fn judge(&self, offered: &StoreEntry, found: &Recorded) -> Result<Standing, CacheError> {
        let record = &found.record;
        if !self.cache.has_nar(record)? {
            return Ok(Standing::Broken);
        }
        Ok(if offered.is_same(record) {
            Standing::Same
        } else {
            Standing::Another
        })
    }
}

/// How many of these paths are one batch: at least one.
fn batch_len(offered: &[StoreEntry]) -> usize {
    let mut bytes = 0_u64;
    let fits = |one: &&StoreEntry| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(one.nar_size.max(1));
        is_first || bytes <= BATCH_BYTES
    };
    offered.iter().take(BATCH_PATHS).take_while(fits).count()
}
