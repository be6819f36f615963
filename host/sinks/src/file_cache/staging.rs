//! One artifact on its way into the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::Piece;
use fetchhost_formats::{NarInfo, NarUrl, SigningKey};
use tempfile::TempPath;
use zeroize::Zeroizing;

use super::compress::Compressor;
use super::{FileCache, publish};
use crate::error::{SinkError, failed};
use crate::folders::NewFolders;
use crate::held::Kept;
use crate::staged::{Committed, SinkKind, Staged, archive_len, check_complete};
use crate::temporary;

impl FileCache {
    /// Reads the keys and creates the cache's folders and a temporary file for the NAR.
    pub(crate) fn open(&self) -> Result<Box<dyn Staged>, SinkError> {
        let label = self.label();
        self.check_store_dir()?;
        let keys = self.read_keys()?;
        let folder = self.nar_dir();
        let folders = NewFolders::create(&folder).map_err(failed(&label, "create", &folder))?;
        let failed = failed(&label, "create a file in", &folder);
        let (file, temporary) = temporary::name()
            .tempfile_in(&folder)
            .map_err(temporary::without_name)
            .map_err(failed)?
            .into_parts();
        let compressor = Compressor::new(self, file).map_err(failed)?;
        Ok(Box::new(Staging {
            cache: self.clone(),
            label,
            keys,
            compressor,
            temporary,
            _folders: folders,
            written: 0,
        }))
    }
}

impl FileCache {
    /// The keys that sign records.
    pub(super) fn read_keys(&self) -> Result<Vec<SigningKey>, SinkError> {
        let label = self.label();
        self.secret_keys
            .iter()
            .map(|path| read_key(&label, path))
            .collect()
    }
}

fn read_key(label: &str, path: &Path) -> Result<SigningKey, SinkError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| SinkError::SecretKeyFile {
            label: label.to_owned(),
            path: path.to_owned(),
            source,
        })?;
    SigningKey::parse(&text).map_err(|source| SinkError::SecretKey {
        label: label.to_owned(),
        path: path.to_owned(),
        source,
    })
}

/// A NAR in a temporary file of the cache.
struct Staging {
    cache: FileCache,
    label: String,
    keys: Vec<SigningKey>,
    compressor: Compressor,
    temporary: TempPath,
    /// After `temporary`, so that the folder is empty when it goes.
    _folders: NewFolders,
    /// Bytes of the archive so far, before compression.
    written: u64,
}

impl Staged for Staging {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        self.written += archive_len(batch);
        self.compressor
            .write(batch)
            .map_err(failed(&self.label, "write", &self.temporary))
    }

    fn commit(self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        let Self {
            cache,
            label,
            keys,
            compressor,
            temporary,
            _folders,
            written,
        } = *self;
        check_complete(&label, written, verified)?;
        let compressed = compressor
            .finish(verified)
            .map_err(failed(&label, "write", &temporary))?;

        let url = NarUrl::for_file(&compressed.hash, cache.compression);
        let nar = cache.dir.join(url.as_str());
        publish::replace(&compressed.file, temporary, &nar)
            .map_err(failed(&label, "create", &nar))?;
        cache.ensure_info()?;

        let mut record = NarInfo {
            store_path: verified.store_path().clone(),
            url,
            compression: cache.compression,
            file_hash: Some(compressed.hash),
            file_size: Some(compressed.size),
            nar_hash: verified.nar_hash().clone(),
            nar_size: verified.nar_size(),
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(verified.fixed_output().content_address().into()),
        };
        keys.iter().for_each(|key| record.sign(key));
        let (narinfo, nar) = publish_record(&cache, &label, &record, &keys, verified, nar)?;
        let committed = Committed {
            label,
            kind: SinkKind::FileCache,
            physical: nar,
            narinfo: Some(narinfo),
        };
        Ok((committed, Kept::without()))
    }
}

/// Writes the record unless there is a valid one; returns where it is and which NAR it names.
///
/// Our own NAR stays even if another publisher's record names another: a record of another path with
/// the same contents may name it.
fn publish_record(
    cache: &FileCache,
    label: &str,
    record: &NarInfo,
    keys: &[SigningKey],
    verified: &Verified,
    nar: PathBuf,
) -> Result<(PathBuf, PathBuf), SinkError> {
    let narinfo = cache.narinfo_path(&record.store_path);
    let failed = failed(label, "create", &narinfo);
    let file = publish::prepare(&narinfo, &record.to_string()).map_err(failed)?;
    if let Err(file) = publish::create(file, &narinfo).map_err(failed)? {
        match cache.find(verified.fixed_output())? {
            // Another publisher's record stays; what it lacks are our signatures.
            Some((mut signed, existing)) => {
                let before = signed.signatures.len();
                keys.iter().for_each(|key| signed.sign(key));
                if signed.signatures.len() != before {
                    let file = publish::prepare(&narinfo, &signed.to_string()).map_err(failed)?;
                    publish::overwrite(file, &narinfo).map_err(failed)?;
                }
                return Ok((narinfo, existing.nar));
            }
            None => publish::overwrite(file, &narinfo).map_err(failed)?,
        }
    }
    Ok((narinfo, nar))
}
