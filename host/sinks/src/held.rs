//! What a place has already.

use std::fmt;

use fetchhost_cache::{Archive, Cache, Key};

use crate::cache;
use crate::error::SinkError;
use crate::packing::Packing;
use crate::staged::Existing;
use crate::store::{Connection, Protected};

/// What a cache, a store or a folder has already. Nix's garbage collector keeps off it while this lives.
pub struct Held {
    existing: Existing,
    by: By,
}

/// What keeps it, or where it lies.
enum By {
    Folder,
    Cache(Box<Cache>, Key),
    Store(Box<Protected>),
}

impl Held {
    pub(crate) fn in_file(existing: Existing) -> Self {
        Self {
            existing,
            by: By::Folder,
        }
    }

    pub(crate) fn in_cache(existing: Existing, cache: Cache, key: Key) -> Self {
        Self {
            existing,
            by: By::Cache(Box::new(cache), key),
        }
    }

    pub(crate) fn in_store(existing: Existing, protected: Protected) -> Self {
        Self {
            existing,
            by: By::Store(Box::new(protected)),
        }
    }

    /// What it is and where.
    #[must_use]
    pub fn existing(&self) -> &Existing {
        &self.existing
    }

    /// Its archive, to be read while this lives; `None` when it is packed in a way that only Nix undoes.
    /// May block.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or [is gone](SinkError::is_gone).
    pub fn read(&mut self) -> Result<Option<Archive>, SinkError> {
        match &mut self.by {
            By::Folder => Ok(Some(Box::new(Packing::of(self.existing.nar.clone())))),
            By::Cache(cache, key) => cache::open(cache, key, &self.existing),
            By::Store(protected) => protected.read(&self.existing).map(Some),
        }
    }

    /// Prepares the GC root that was asked for: what is wrong with its place should cost no download.
    /// Does nothing for other places. May block.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn prepare(&mut self) -> Result<(), SinkError> {
        match &mut self.by {
            By::Folder | By::Cache(..) => Ok(()),
            By::Store(protected) => protected.prepare_root(&self.existing.label),
        }
    }

    /// Makes the GC root that was asked for: what is committed gets it at once. Says what is there, which
    /// the garbage collector keeps off while the second thing lives. May block.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or when what was there [is gone](SinkError::is_gone).
    pub fn confirm(self) -> Result<(Existing, Kept), SinkError> {
        let kept = match self.by {
            By::Folder | By::Cache(..) => Kept::without(),
            By::Store(protected) => Kept::by(protected.add_root(&self.existing.label)?),
        };
        Ok((self.existing, kept))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Held").field(&self.existing).finish()
    }
}

/// Nix's garbage collector keeps off something that was committed, or is there, while this lives.
#[must_use = "the garbage collector keeps off it only while this lives"]
pub struct Kept {
    _connection: Option<Connection>,
}

impl Kept {
    /// Where nobody collects garbage.
    pub(crate) fn without() -> Self {
        Self { _connection: None }
    }

    pub(crate) fn by(connection: Connection) -> Self {
        Self {
            _connection: Some(connection),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").finish_non_exhaustive()
    }
}
