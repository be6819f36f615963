//! Caches that tests make, in folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use fetchhost_cache::{Cache, CacheUrl, Key, Work};
use fetchhost_formats::nar::{Encoder, Event};
use fetchhost_formats::{ContentAddress, HashAlgorithm, Hasher, NarInfo, StorePath};
use tempfile::TempDir;

/// A cache in a folder that goes with it.
pub(crate) struct Made {
    pub(crate) dir: TempDir,
    pub(crate) cache: Cache,
}

pub(crate) fn made(query: &str) -> Made {
    let dir = TempDir::new().unwrap();
    let url = format!("file://{}?{query}", dir.path().display());
    let url: CacheUrl = url.parse().unwrap();
    let cache = Cache::on_disk(url, true).unwrap();
    cache.ensure_info().unwrap();
    Made { dir, cache }
}

/// The NAR of one plain file.
pub(crate) fn nar(content: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    let size = content.len() as u64;
    for event in [
        Event::File {
            executable: false,
            size,
        },
        Event::Data(content.to_vec().into()),
        Event::EndFile,
    ] {
        if !matches!(&event, Event::Data(bytes) if bytes.is_empty()) {
            out.extend_from_slice(&encoder.push(event).unwrap().nar);
        }
    }
    encoder.finish().unwrap();
    out
}

pub(crate) fn path(letter: char, name: &str) -> StorePath {
    let hash: String = std::iter::repeat_n(letter, 32).collect();
    StorePath::from_base_name(&format!("{hash}-{name}")).unwrap()
}

impl Made {
    /// Publishes the NAR of a file as `path`.
    pub(crate) fn publish(&self, path: &StorePath, content: &[u8]) -> NarInfo {
        self.publish_nar(path, &nar(content), None)
    }

    pub(crate) fn publish_nar(
        &self,
        path: &StorePath,
        nar: &[u8],
        ca: Option<&ContentAddress>,
    ) -> NarInfo {
        let mut compressor = self.cache.begin(Some(nar.len() as u64)).unwrap();
        compressor.write(std::iter::once(nar)).unwrap();
        let hash = Hasher::digest(HashAlgorithm::Sha256, nar);
        let size = nar.len() as u64;
        let (url, file_hash, file_size) = self
            .cache
            .complete(compressor.finish().unwrap(), &hash, size)
            .unwrap();
        let record = NarInfo {
            store_path: path.clone(),
            url,
            compression: self.cache.writing().compression,
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: hash,
            nar_size: size,
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: ca.cloned().map(Into::into),
        };
        self.write(path, &record.to_string());
        record
    }

    pub(crate) fn write(&self, path: &StorePath, text: &str) {
        fs::write(self.record(path), text).unwrap();
    }

    pub(crate) fn record(&self, path: &StorePath) -> PathBuf {
        self.dir.path().join(Key::record(path).as_str())
    }

    pub(crate) fn nar(&self, record: &NarInfo) -> PathBuf {
        self.dir.path().join(record.url.as_str())
    }
}

pub(crate) const WORK: Work<'static> = Work {
    jobs: 3,
    stop: &|| false,
    progress: &|_, _| {},
};
