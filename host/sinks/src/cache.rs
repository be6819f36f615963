//! `file:///DIR?…` and `s3://BUCKET?…`: binary caches, as Nix writes and reads them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fetchhost_artifact::Verified;
use fetchhost_cache::{
    Archive, Cache, CacheError, CachePlace, Compressor, Key, Kind, Published, Recorded, Standing,
    decompressed, lacks,
};
use fetchhost_formats::nar::{Listing, ListingError, Piece};
use fetchhost_formats::{FixedOutput, HashAlgorithm, NarInfo, OutputMode, SigningKey};

use crate::error::SinkError;
use crate::held::{Held, Kept};
use crate::staged::{Committed, Existing, SinkKind, Staged, archive_len, check_complete};

/// What a cache has of `output`, if each of its keys has signed it.
pub(crate) fn lookup(cache: &Cache, output: &FixedOutput) -> Result<Option<Held>, SinkError> {
    let keys = cache.read_keys()?;
    let path = output.store_path();
    let Some(found) = cache.record(&path)? else {
        return Ok(None);
    };
    if !is_valid(cache, output, &found)? || !lacks(&found.record, &keys).is_empty() {
        return Ok(None);
    }
    let record = found.record;
    let Some(key) = Key::nar(&record.url) else {
        return Ok(None);
    };
    let existing = Existing {
        label: cache.label(),
        kind: kind(cache),
        narinfo: Some(place(cache, &Key::record(&path))),
        nar: place(cache, &key),
        compression: record.compression,
        nar_hash: record.nar_hash,
        nar_size: record.nar_size,
    };
    Ok(Some(Held::in_cache(existing, cache.clone(), key)))
}

/// Whether Nix could use a record: it names the content address of `output` and no references, and its NAR is
/// there in the length it says.
fn is_valid(cache: &Cache, output: &FixedOutput, found: &Recorded) -> Result<bool, CacheError> {
    let record = &found.record;
    // For a sha256 over the NAR both hashes are the same one.
    let agrees = output.mode == OutputMode::Flat
        || output.hash.algorithm() != HashAlgorithm::Sha256
        || output.hash == record.nar_hash;
    if record.ca != Some(output.content_address().into())
        || !agrees
        || !record.references.is_empty()
    {
        return Ok(false);
    }
    cache.has_nar(record)
}

/// The archive of what was found; `None` when it is packed in a way that only Nix undoes.
pub(crate) fn open(
    cache: &Cache,
    key: &Key,
    existing: &Existing,
) -> Result<Option<Archive>, SinkError> {
    let gone = |source: std::io::Error| {
        let path = &existing.nar;
        SinkError::Cache(fetchhost_cache::failed(&existing.label, "read", path)(
            source,
        ))
    };
    let Some(file) = cache.objects().open(key)? else {
        return Err(gone(std::io::ErrorKind::NotFound.into()));
    };
    decompressed(file, existing.compression, existing.nar_size).map_err(gone)
}

/// Reads the keys and begins the NAR.
pub(crate) fn begin(cache: &Cache) -> Result<Box<dyn Staged>, SinkError> {
    cache.check_store_dir()?;
    let keys = cache.read_keys()?;
    Ok(Box::new(Staging {
        cache: cache.clone(),
        keys,
        compressor: cache.begin(None)?,
        listing: cache.writing().listing.then(Contents::default),
        written: 0,
    }))
}

/// A NAR without a name.
struct Staging {
    cache: Cache,
    keys: Vec<SigningKey>,
    compressor: Compressor,
    /// What is in it, where that is wanted and can be said.
    listing: Option<Contents>,
    /// Bytes of the archive so far, before compression.
    written: u64,
}

impl Staged for Staging {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        self.written += archive_len(batch);
        if let Some(mut contents) = self.listing.take() {
            match contents.take(batch) {
                Ok(()) => self.listing = Some(contents),
                Err(error) => tracing::warn!(%error, "there will be no listing"),
            }
        }
        let bytes = batch.iter().map(|piece| piece.nar.as_ref());
        Ok(self.compressor.write(bytes)?)
    }

    fn commit(self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        let Self {
            cache,
            keys,
            compressor,
            listing,
            written,
        } = *self;
        check_complete(&cache.label(), written, verified)?;
        let compressed = compressor.finish()?;
        let (url, file_hash, file_size) =
            cache.complete(compressed, verified.nar_hash(), verified.nar_size())?;
        cache.ensure_info()?;
        let output = verified.fixed_output();
        let mut record = NarInfo {
            store_path: verified.store_path().clone(),
            url: url.clone(),
            compression: cache.writing().compression,
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: verified.nar_hash().clone(),
            nar_size: verified.nar_size(),
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(output.content_address().into()),
        };
        keys.iter().for_each(|key| record.sign(key));
        if let Some(listing) = listing {
            let key = Key::listing(verified.store_path());
            cache.objects().put(&key, Kind::Json, &listing.finish())?;
        }
        let published = cache.publish(&record, &keys, &|found| {
            Ok(if is_valid(&cache, output, found)? {
                Standing::Same
            } else {
                Standing::Broken
            })
        })?;
        let url = match published {
            Published::New => url,
            Published::Kept(record) => {
                cache.discard(&url, &record.url);
                record.url
            }
        };
        let committed = Committed {
            label: cache.label(),
            kind: kind(&cache),
            physical: Key::nar(&url).map_or_else(PathBuf::new, |key| place(&cache, &key)),
            narinfo: Some(place(&cache, &Key::record(verified.store_path()))),
        };
        Ok((committed, Kept::without()))
    }
}

/// The listing of an archive that passes by.
#[derive(Default)]
struct Contents {
    listing: Listing,
    text: Vec<u8>,
}

impl Contents {
    fn take(&mut self, batch: &[Piece]) -> Result<(), ListingError> {
        let mut pieces = batch.iter();
        pieces.try_for_each(|piece| self.listing.push(piece, &mut self.text))
    }

    fn finish(mut self) -> Vec<u8> {
        self.listing.finish(&mut self.text);
        self.text
    }
}

fn kind(cache: &Cache) -> SinkKind {
    match cache.url().place {
        CachePlace::Folder(_) => SinkKind::FileCache,
        CachePlace::Bucket(_) => SinkKind::S3Cache,
    }
}

fn place(cache: &Cache, key: &Key) -> PathBuf {
    cache.objects().place_of(key).into()
}
