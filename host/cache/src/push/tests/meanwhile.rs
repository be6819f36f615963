//! What happens to the cache between looking and writing.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::Folder;
use crate::objects::{Kind, Listed, Object, Objects, Upload, Version};

/// What somebody does before records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// The disk is full: no record can be written.
    Full,
    /// The records and NARs that are there are taken away.
    Collected,
}

#[derive(Debug)]
struct Place {
    folder: Folder,
    meanwhile: Meanwhile,
    /// How many records were to be written.
    tried: AtomicUsize,
}

impl Objects for Place {
    fn label(&self) -> String {
        self.folder.label()
    }
    fn place_of(&self, key: &Key) -> String {
        self.folder.place_of(key)
    }
    fn get(&self, key: &Key, limit: u64) -> Result<Option<Object>, CacheError> {
        self.folder.get(key, limit)
    }
    fn size(&self, key: &Key) -> Result<Option<u64>, CacheError> {
        self.folder.size(key)
    }
    fn open(&self, key: &Key) -> Result<Option<Box<dyn Read + Send>>, CacheError> {
        self.folder.open(key)
    }
    fn create(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<bool, CacheError> {
        if kind == Kind::Record && self.meanwhile == Meanwhile::Full {
            self.tried.fetch_add(1, Ordering::Relaxed);
            let full = io::Error::from(io::ErrorKind::StorageFull);
            let path = self.place_of(key);
            return Err(crate::failed("a cache", "create", Path::new(&path))(full));
        }
        self.folder.create(key, kind, bytes)
    }
    fn put(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<(), CacheError> {
        self.folder.put(key, kind, bytes)
    }
    fn replace(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        of: &Version,
    ) -> Result<bool, CacheError> {
        self.folder.replace(key, kind, bytes, of)
    }
    fn delete(&self, key: &Key) -> Result<(), CacheError> {
        self.folder.delete(key)
    }
    fn list(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        self.folder.list(each)
    }
    fn upload(&self, kind: Kind, suffix: &str) -> Result<Box<dyn Upload>, CacheError> {
        self.folder.upload(kind, suffix)
    }
    /// Comes between NARs and records.
    fn settle(&self) -> Result<(), CacheError> {
        if self.meanwhile == Meanwhile::Collected {
            let mut names = Vec::new();
            self.list(&mut |listed| {
                names.push(Key::parse(&listed.name).unwrap());
                Ok(())
            })?;
            for name in names {
                self.delete(&name)?;
            }
        }
        self.folder.settle()
    }
}

fn place(folder: &Path, meanwhile: Meanwhile) -> (Arc<Place>, Cache) {
    let place = Arc::new(Place {
        folder: Folder::for_many(folder.to_owned()),
        meanwhile,
        tried: AtomicUsize::new(0),
    });
    let cache = Cache::new(CacheUrl::folder(folder.to_owned()), place.clone());
    (place, cache)
}

#[test]
fn a_cache_that_takes_no_record_is_not_asked_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::default();
    let offered: Vec<_> = (0..100)
        .map(|number| shelf.offer(number, vec![7; 10 + number], &[]))
        .collect();
    let (place, cache) = place(folder.path(), Meanwhile::Full);
    let outcomes = push(&cache, &shelf, &[], &offered);
    // As many as were on their way at once.
    let tried = place.tried.load(Ordering::Relaxed);
    assert!((1..=3).contains(&tried), "{tried}");
    let failed = |outcome: &&Outcome| matches!(outcome, Outcome::Failed(_));
    assert_eq!(outcomes.iter().filter(failed).count(), tried);
    let rest = |outcome: &&Outcome| matches!(outcome, Outcome::NotBegun);
    assert_eq!(outcomes.iter().filter(rest).count(), 100 - tried);
}

#[test]
fn what_is_taken_away_while_it_is_signed_is_not_written_without_its_nar() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::default();
    let one = [shelf.offer(0, b"one".to_vec(), &[])];
    let plain = super::cache(folder.path(), "");
    push(&plain, &shelf, &[], &one);
    let key = [SigningKey::from_seed("k-1", &[1; 32].into()).unwrap()];
    let (_, cache) = place(folder.path(), Meanwhile::Collected);
    let outcomes = push(&cache, &shelf, &key, &one);
    let [Outcome::Failed(error @ PushError::Gone { .. })] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(error.hint().is_some());
    assert!(plain.record(&path(0)).unwrap().is_none());
    let again = push(&plain, &shelf, &key, &one);
    assert!(matches!(again[..], [Outcome::Pushed { .. }]));
}
