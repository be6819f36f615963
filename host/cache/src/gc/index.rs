//! What the records of a cache name and refer to, held compactly: a hundred thousand of them take some 60 MB.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::{Cache, MAX_RECORD};
use crate::error::CacheError;
use crate::inventory::{HashPart, Inventory, Seen};
use crate::memo::{MAX_MEMO, memo_path};
use crate::objects::Key;
use crate::verify::{Work, in_parallel, names_in, parse, urls_in};

/// What one record says that matters here.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// How it was listed.
    pub(super) seen: Seen,
    /// What it names as its NAR; of what is no record, each line that looks like it.
    pub(super) nars: Arc<[Box<str>]>,
    /// What it refers to. None when it is no record that Nix reads.
    pub(super) references: Option<Arc<[HashPart]>>,
}

/// All records of a cache.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) inventory: Inventory,
    pub(super) records: BTreeMap<HashPart, Named>,
    /// What is remembered, as it was listed, and the path that it names.
    memo: Memo,
}

type Memo = BTreeMap<Key, (Seen, Option<HashPart>)>;

impl Index {
    /// Lists a cache, and reads those records that are not in `before` as they are now. None when it was stopped before
    /// it had read all.
    ///
    /// # Errors
    /// When the cache, or any record, cannot be read: what it names is not known then.
    pub(super) fn read(
        cache: &Cache,
        before: &Self,
        work: &Work<'_>,
    ) -> Result<Option<Self>, CacheError> {
        let inventory = Inventory::of(cache.objects())?;
        let mut records = BTreeMap::new();
        let mut unknown = Vec::new();
        for (hash_part, seen) in &inventory.records {
            match before
                .records
                .get(hash_part)
                .filter(|named| named.seen == *seen)
            {
                Some(named) => drop(records.insert(*hash_part, named.clone())),
                None => unknown.push((*hash_part, *seen)),
            }
        }
        let found = Mutex::new((records, None));
        in_parallel(&unknown, work, |(hash_part, seen)| {
            let named = read(cache, hash_part, *seen);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match named {
                Ok(Some(named)) => drop(found.0.insert(*hash_part, named)),
                // Somebody took it away meanwhile.
                Ok(None) => {}
                Err(error) => found.1 = Some(error),
            }
        });
        let (records, failure) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => Err(error),
            None if (work.stop)() => Ok(None),
            None => {
                let memo = memo_of(cache, &inventory, before, work)?;
                Ok(memo.map(|memo| Self {
                    inventory,
                    records,
                    memo,
                }))
            }
        }
    }

    /// The paths that what is remembered names.
    pub(super) fn remembered(&self) -> impl Iterator<Item = HashPart> {
        self.memo.values().filter_map(|(_, named)| *named)
    }

    /// The records that Nix does not read.
    pub(super) fn damaged(&self) -> impl Iterator<Item = Key> {
        let damaged = self.records.iter();
        damaged
            .filter(|(_, named)| named.references.is_none())
            .map(|(hash_part, _)| hash_part.record())
    }
}

/// Which paths the remembered entries of a cache name. What is damaged names none, and loses nothing: it would be used
/// by itself, not by its path. None when it was stopped.
fn memo_of(
    cache: &Cache,
    inventory: &Inventory,
    before: &Index,
    work: &Work<'_>,
) -> Result<Option<Memo>, CacheError> {
    let mut memo = Memo::new();
    let mut unknown = Vec::new();
    for (key, seen) in &inventory.memo {
        match before.memo.get(key).filter(|(was, _)| was == seen) {
            Some(known) => drop(memo.insert(key.clone(), *known)),
            None => unknown.push((key.clone(), *seen)),
        }
    }
    let found = Mutex::new((memo, None));
    let quietly = Work {
        progress: &|_, _| {},
        ..*work
    };
    in_parallel(&unknown, &quietly, |(key, seen)| {
        let read = cache.objects().get(key, MAX_MEMO);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(Some(object)) => {
                let named = memo_path(&object.bytes);
                let named = named.as_ref().map(HashPart::of);
                found.0.insert(key.clone(), (*seen, named));
            }
            Ok(None) => {}
            Err(error) => found.1 = Some(error),
        }
    });
    let (memo, failure) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(error) => Err(error),
        None => Ok((!(work.stop)()).then_some(memo)),
    }
}

fn read(cache: &Cache, hash_part: &HashPart, seen: Seen) -> Result<Option<Named>, CacheError> {
    let Some(found) = cache.objects().get(&hash_part.record(), MAX_RECORD)? else {
        return Ok(None);
    };
    Ok(Some(match parse(&found.bytes) {
        Ok(record) => Named {
            seen,
            nars: names_in(record.url.as_str()).into(),
            references: Some(record.references.iter().map(HashPart::of).collect()),
        },
        Err(_) => Named {
            seen,
            nars: urls_in(&found.bytes).into(),
            references: None,
        },
    }))
}
