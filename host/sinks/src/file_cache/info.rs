//! `nix-cache-info`: what the cache says about itself.

use std::fs;
use std::io;

use fetchhost_formats::CacheInfo;

use super::{FileCache, publish};
use crate::error::{SinkError, failed};

impl FileCache {
    /// Refuses a cache that belongs to another store: its records could not name our paths.
    pub(super) fn check_store_dir(&self) -> Result<(), SinkError> {
        let path = self.dir.join(CacheInfo::FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(failed(&self.label(), "read", &path)(error));
            }
        };
        let info: CacheInfo = text.parse().map_err(|source| SinkError::CacheInfo {
            label: self.label(),
            source,
        })?;
        match info.foreign_store() {
            Some(store_dir) => Err(SinkError::ForeignStore {
                label: self.label(),
                store_dir: store_dir.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Writes the file unless there is one; an existing one belongs to whoever wrote it.
    pub(super) fn ensure_info(&self) -> Result<(), SinkError> {
        let path = self.dir.join(CacheInfo::FILE);
        let text = CacheInfo::new(self.want_mass_query, self.priority).to_string();
        let written = || -> io::Result<()> {
            if !path.try_exists()? {
                // Whoever comes first wins, and both wrote the same kind of thing.
                let _ = publish::create(publish::prepare(&path, &text)?, &path)?;
            }
            Ok(())
        };
        written().map_err(failed(&self.label(), "write", &path))
    }
}
