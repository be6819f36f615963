//! Content as a binary cache names it: by the hash in its store path.

use std::fs;
use std::io::{self, Read as _};

use fetchhost_formats::{FixedOutput, NarInfo, StorePath};

use super::{Cache, Content, MAX_RECORD};

/// A path that is here: its record, and its NAR.
pub(crate) struct Archive {
    /// As the cache wrote it.
    pub(crate) record: Box<NarInfo>,
    pub(crate) nar: Content,
}

/// Whether `text` is the hash of a store path: 32 characters of nix32.
pub(crate) fn is_store_hash(text: &str) -> bool {
    text.len() == 32 && StorePath::from_base_name(&format!("{text}-x")).is_ok()
}

impl Cache {
    /// The path whose store path has this hash. None when it is not here, or `hash` is none. To have been
    /// asked for keeps it from being the next to go. May block.
    pub(crate) fn archive(&self, hash: &str) -> io::Result<Option<Archive>> {
        if !is_store_hash(hash) {
            return Ok(None);
        }
        let Some((record, output)) = self.described(hash)? else {
            return Ok(None);
        };
        let held = self.held(&output)?;
        // The record might have been replaced meanwhile: then the next to ask gets the new one.
        Ok(held
            .filter(|(_, nar_size)| *nar_size == record.nar_size)
            .map(|(file, length)| Archive {
                record: Box::new(record),
                nar: Content::whole(file, length),
            }))
    }

    /// The record under this hash, and which fixed output it is about.
    fn described(&self, hash: &str) -> io::Result<Option<(NarInfo, FixedOutput)>> {
        let path = self.folder.join(format!("{hash}.narinfo"));
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_RECORD).read_to_end(&mut bytes)?;
        let described = || {
            let record = NarInfo::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
            let output = record.fixed_output()?;
            Some((record, output))
        };
        Ok(described())
    }
}
