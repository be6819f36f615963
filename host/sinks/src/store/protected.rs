//! What a store has already.

use std::path::PathBuf;

use fetchhost_cache::Archive;
use fetchhost_formats::StorePath;

use super::daemon::Connection;
use super::error::StoreError;
use super::gc_root::Root;
use crate::error::SinkError;
use crate::packing::Packing;
use crate::staged::Existing;

/// A valid path, and the connection over which Nix was told to keep its garbage collector from it.
pub(crate) struct Protected {
    pub(super) connection: Connection,
    pub(super) path: StorePath,
    /// The GC root that is wanted.
    pub(super) gc_root: Option<PathBuf>,
    /// That, as soon as it was prepared.
    pub(super) root: Option<Root>,
}

impl Protected {
    /// Its archive.
    pub(crate) fn read(&mut self, existing: &Existing) -> Result<Archive, SinkError> {
        self.demand()
            .map_err(SinkError::of_store(&existing.label))?;
        Ok(Box::new(Packing::of(existing.nar.clone())))
    }

    /// Makes all that the GC root needs.
    pub(crate) fn prepare_root(&mut self, label: &str) -> Result<(), SinkError> {
        if let (Some(link), None) = (&self.gc_root, &self.root) {
            let root = Root::prepare(link, Some(&self.path));
            self.root = Some(root.map_err(SinkError::of_store(label))?);
        }
        Ok(())
    }

    /// Makes the GC root. The connection goes on protecting the path.
    pub(crate) fn add_root(mut self, label: &str) -> Result<Connection, SinkError> {
        self.prepare_root(label)?;
        let added = match self.root.take() {
            None => Ok(()),
            Some(root) => self
                .demand()
                .and_then(|()| root.add(&self.path, &mut self.connection)),
        };
        added.map_err(SinkError::of_store(label))?;
        Ok(self.connection)
    }

    /// The garbage collector keeps off it, but not whoever repairs or damages a store.
    fn demand(&mut self) -> Result<(), StoreError> {
        match self.connection.query(&self.path)? {
            Some(_) => Ok(()),
            None => Err(StoreError::Gone {
                path: self.path.to_string(),
            }),
        }
    }
}
