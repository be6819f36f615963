//! The place where several users and machines remember together: a binary cache.

use std::sync::OnceLock;

use fetchhost_cache::{Cache, CacheError, CachePlace, Key, Kind, MAX_MEMO, Version, memo_key};
use fetchhost_formats::StorePath;

use crate::id::MemoId;
use crate::record::{Record, SignatureRecord, Tombstone, signature_name};

/// A shared place. Its methods block.
#[derive(Debug)]
pub(crate) struct Shared {
    cache: Cache,
    /// Whether it was seen to it that what is written stays as it is.
    is_ready: OnceLock<()>,
}

/// An object as it was read.
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    version: Option<Version>,
}

impl Shared {
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            is_ready: OnceLock::new(),
        }
    }

    /// What lies under a name, with one byte more than an entry may have. Where the bucket cannot be listed, what is
    /// missing is forbidden.
    pub(crate) fn get(&self, id: MemoId) -> Result<Option<Held>, CacheError> {
        let found = match self.cache.objects().get(&key(id), MAX_MEMO) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        Ok(found.map(|object| Held {
            bytes: object.bytes,
            version: object.version,
        }))
    }

    /// Refuses a place where two writers at once could undo each other's entries: who was first would not be
    /// decided.
    pub(crate) fn make_ready(&self) -> Result<(), CacheError> {
        if self.is_ready.get().is_some() {
            return Ok(());
        }
        self.cache.check_store_dir()?;
        // By this a bucket tells whether it honours conditions.
        self.cache.ensure_info()?;
        let is_alone = self.cache.writing().single_writer;
        if matches!(self.cache.url().place, CachePlace::Bucket(_)) && !is_alone {
            match self.cache.objects().conditional_writes() {
                Some([true, true]) => {}
                _ => {
                    return Err(CacheError::Unconditional {
                        label: self.cache.label(),
                        what: "signatures",
                    });
                }
            }
        }
        let _ = self.is_ready.set(());
        Ok(())
    }

    /// Publishes a signature as a path of the cache.
    pub(crate) fn publish(&self, record: &SignatureRecord) -> Result<StorePath, CacheError> {
        let name = signature_name(record.key.format);
        self.cache.publish_file(&name, &record.signature)
    }

    /// Writes an entry where `before` is what is there. Whether it was.
    pub(crate) fn swap(&self, before: Option<&Held>, record: &Record) -> Result<bool, CacheError> {
        let (key, text) = (key(record.id()), record.to_json());
        let objects = self.cache.objects();
        let Some(before) = before else {
            return objects.create(&key, Kind::Json, text.as_bytes());
        };
        match &before.version {
            Some(version) => objects.replace(&key, Kind::Json, text.as_bytes(), version),
            None => Err(CacheError::Unconditional {
                label: self.cache.label(),
                what: "signatures",
            }),
        }
    }

    /// Puts a tombstone over what is there. False when somebody wrote meanwhile.
    pub(crate) fn bury(&self, before: Option<&Held>, tomb: Tombstone) -> Result<bool, CacheError> {
        if before.is_some_and(|before| before.version.is_none()) {
            // Too long to have a state, and for an entry.
            self.cache.objects().delete(&key(tomb.id))?;
            return self.swap(None, &Record::Forgotten(tomb));
        }
        self.swap(before, &Record::Forgotten(tomb))
    }

    /// Where an entry is, for people.
    pub(crate) fn place(&self, id: MemoId) -> String {
        self.cache.objects().place_of(&key(id))
    }
}

fn key(id: MemoId) -> Key {
    let key = memo_key(&id.to_string());
    key.expect("an id is a SHA-256 in small hexadecimal digits")
}
