//! The Nix store of this machine, as a place that may have what a cache has lost.

use fetchhost_cache::{Archive, NarSource};
use fetchhost_formats::NarInfo;
use fetchhost_sinks::StoreReader;

use crate::failure::with_causes;

/// A store.
pub(super) struct StoreSource(pub(super) StoreReader);

impl NarSource for StoreSource {
    fn label(&self) -> String {
        "the Nix store".to_owned()
    }

    fn archive(&self, wanted: &NarInfo) -> Result<Option<Archive>, String> {
        let said = |error| with_causes(&error);
        // The garbage collector is to leave it alone while it is read.
        let found = self
            .0
            .hold(std::slice::from_ref(&wanted.store_path))
            .map_err(said)?;
        let Some(entry) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        if entry.nar_hash != wanted.nar_hash || entry.nar_size != wanted.nar_size {
            return Ok(None);
        }
        self.0.archive(&entry).map(Some).map_err(said)
    }
}
