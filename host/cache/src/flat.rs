//! One small file as a path of a cache: a fixed output, which needs no signature.

use std::collections::BTreeSet;

use fetchhost_formats::nar::{Encoder, Event, NarError};
use fetchhost_formats::{
    FixedOutput, Hash, HashAlgorithm, Hasher, NarInfo, OutputMode, StoreName, StorePath,
};

use crate::cache::{Cache, Published, Recorded, Standing};
use crate::error::CacheError;

impl Cache {
    /// Publishes `content` as the path that Nix has for a flat file of this name, unless it is there: NAR first,
    /// record last. Held in memory. Returns its path.
    ///
    /// # Errors
    /// When the cache cannot be written to, or is another store's.
    pub fn publish_file(&self, name: &StoreName, content: &[u8]) -> Result<StorePath, CacheError> {
        let output = FixedOutput {
            name: name.clone(),
            mode: OutputMode::Flat,
            hash: Hasher::digest(HashAlgorithm::Sha256, content),
        };
        let path = output.store_path();
        let nar = nar_of(content).map_err(|error| CacheError::Compression {
            label: self.label(),
            source: std::io::Error::other(error),
        })?;
        let (nar_hash, nar_size) = (
            Hasher::digest(HashAlgorithm::Sha256, &nar),
            nar.len() as u64,
        );
        self.check_store_dir()?;
        if let Some(found) = self.record(&path)?
            && self.standing(&found, &nar_hash, nar_size)? == Standing::Same
        {
            return Ok(path);
        }
        let keys = self.read_keys()?;
        self.ensure_info()?;
        let mut compressor = self.begin(Some(nar_size))?;
        compressor.write(std::iter::once(nar.as_slice()))?;
        let (url, file_hash, file_size) =
            self.complete(compressor.finish()?, &nar_hash, nar_size)?;
        let mut record = NarInfo {
            store_path: path.clone(),
            url: url.clone(),
            compression: self.writing().compression,
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: nar_hash.clone(),
            nar_size,
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(output.content_address().into()),
        };
        keys.iter().for_each(|key| record.sign(key));
        let judge = |found: &Recorded| self.standing(found, &nar_hash, nar_size);
        if let Published::Kept(kept) = self.publish(&record, &keys, &judge)? {
            self.discard(&url, &kept.url);
        }
        Ok(path)
    }

    /// What a record is that is there already: a path of this kind has one NAR only.
    fn standing(&self, found: &Recorded, hash: &Hash, size: u64) -> Result<Standing, CacheError> {
        let record = &found.record;
        let is_same = record.nar_hash == *hash
            && record.nar_size == size
            && record.references.is_empty()
            && self.has_nar(record)?;
        Ok(if is_same {
            Standing::Same
        } else {
            Standing::Broken
        })
    }
}

/// The archive of a plain file.
fn nar_of(content: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut encoder = Encoder::new();
    let mut nar = Vec::new();
    let begin = Event::File {
        executable: false,
        size: content.len() as u64,
    };
    nar.extend_from_slice(&encoder.push(begin)?.nar);
    if !content.is_empty() {
        let data = Event::Data(content.to_vec().into());
        nar.extend_from_slice(&encoder.push(data)?.nar);
    }
    nar.extend_from_slice(&encoder.push(Event::EndFile)?.nar);
    encoder.finish()?;
    Ok(nar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheUrl;

    #[test]
    fn a_small_file_is_a_path_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::on_disk(CacheUrl::folder(dir.path().to_owned()), false).unwrap();
        let name: StoreName = "signature.minisig".parse().unwrap();
        for content in [&b"content"[..], b""] {
            let path = cache.publish_file(&name, content).unwrap();
            assert_eq!(path.name(), "signature.minisig");
            let found = cache.record(&path).unwrap().unwrap();
            assert!(found.record.proof().is_ok());
            assert!(cache.has_nar(&found.record).unwrap());
            // A second time nothing is written.
            assert_eq!(cache.publish_file(&name, content).unwrap(), path);
            let again = cache.record(&path).unwrap().unwrap();
            assert_eq!(again.version, found.version);
            // What was lost comes back.
            let nar = dir.path().join(found.record.url.as_str());
            std::fs::remove_file(&nar).unwrap();
            cache.publish_file(&name, content).unwrap();
            assert!(nar.exists());
        }
    }
}
