//! Whether the cache has an artifact already.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use fetchhost_formats::{Compression, FixedOutput, HashAlgorithm, NarInfo, OutputMode, SigningKey};

use super::FileCache;
use crate::error::{SinkError, failed};
use crate::reading::{Archive, decompressed};
use crate::staged::{Existing, SinkKind};

/// No record of a fixed output is longer, by far.
const MAX_RECORD: u64 = 1024 * 1024;

impl FileCache {
    /// The record of `output`, if Nix could use it and each of our keys has signed it.
    pub(crate) fn lookup(&self, output: &FixedOutput) -> Result<Option<Existing>, SinkError> {
        let keys: Vec<_> = self
            .read_keys()?
            .iter()
            .map(SigningKey::public_key)
            .collect();
        let found = self.find(output)?;
        Ok(found
            .filter(|(record, _)| record.signers(&keys).len() == keys.len())
            .map(|(_, existing)| existing))
    }

    /// The record of `output`, if Nix could use it: it names the same path and content address and no
    /// references, and its NAR is there in the length it says.
    pub(super) fn find(
        &self,
        output: &FixedOutput,
    ) -> Result<Option<(NarInfo, Existing)>, SinkError> {
        let path = output.store_path();
        let narinfo = self.narinfo_path(&path);
        let text = read(&narinfo).map_err(failed(&self.label(), "read", &narinfo))?;
        let Some(record) = text.and_then(|text| NarInfo::parse(&text).ok()) else {
            return Ok(None);
        };

        // For a sha256 over the NAR both hashes are the same one.
        let agrees = output.mode == OutputMode::Flat
            || output.hash.algorithm() != HashAlgorithm::Sha256
            || output.hash == record.nar_hash;
        let address = Some(output.content_address().into());
        if record.store_path != path || record.ca != address || !agrees {
            return Ok(None);
        }
        let Some(nar) = self.nar_path(record.url.as_str()) else {
            return Ok(None);
        };
        let found = match fs::metadata(&nar) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(failed(&self.label(), "look at", &nar)(error));
            }
        };
        // Its length is said at least once: of the file, or of the NAR when that is the file.
        let nar_size = (record.compression == Compression::None).then_some(record.nar_size);
        let mut lengths = record.file_size.into_iter().chain(nar_size).peekable();
        let fits = lengths.peek().is_some() && lengths.all(|length| length == found.len());
        if !found.is_file() || !fits || !record.references.is_empty() {
            return Ok(None);
        }
        let existing = Existing {
            label: self.label(),
            kind: SinkKind::FileCache,
            narinfo: Some(narinfo),
            nar,
            compression: record.compression,
            nar_hash: record.nar_hash.clone(),
            nar_size: record.nar_size,
        };
        Ok(Some((record, existing)))
    }
}

/// The archive of what was found; `None` when it is packed in a way that only Nix undoes.
pub(crate) fn open(existing: &Existing) -> Result<Option<Archive>, SinkError> {
    File::open(&existing.nar)
        .and_then(|file| decompressed(file, existing.compression, existing.nar_size))
        .map_err(failed(&existing.label, "read", &existing.nar))
}

/// The text of a record; `None` when there is no file, or one that is no record by its size or bytes.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_RECORD + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() as u64 <= MAX_RECORD))
}
