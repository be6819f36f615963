//! Others write at the same time.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::Kind;
use crate::objects::{Listed, Object, Objects, Upload, Version};

/// A place where somebody else changes what was read before it can be replaced.
#[derive(Debug)]
struct Meddled {
    folder: crate::Folder,
    replaced: AtomicU64,
    /// How often conditions of writing were tried.
    tried: AtomicU64,
    /// What is put there, again and again or once.
    text: Box<dyn Meddling>,
}

trait Meddling: std::fmt::Debug + Send + Sync {
    fn text(&self, time: u64) -> Option<String>;
}

#[derive(Debug)]
struct Always(NarInfo);

impl Meddling for Always {
    fn text(&self, time: u64) -> Option<String> {
        Some(format!("{}Time: {time}\n", self.0))
    }
}

#[derive(Debug)]
struct Once(NarInfo);

impl Meddling for Once {
    fn text(&self, time: u64) -> Option<String> {
        (time == 0).then(|| self.0.to_string())
    }
}

impl Objects for Meddled {
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
    fn open(&self, key: &Key) -> Result<Option<Box<dyn std::io::Read + Send>>, CacheError> {
        self.folder.open(key)
    }
    fn create(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<bool, CacheError> {
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
        let time = self.replaced.fetch_add(1, Ordering::Relaxed);
        if let Some(text) = self.text.text(time) {
            self.folder.put(key, kind, text.as_bytes())?;
        }
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
    fn conditional_writes(&self) -> Option<[bool; 2]> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        Some([true, false])
    }
    fn settle(&self) -> Result<(), CacheError> {
        self.folder.settle()
    }
}

fn meddled(folder: &Folder, text: Box<dyn Meddling>) -> Cache {
    let place = folder.dir.path().to_owned();
    let objects = Meddled {
        folder: crate::Folder::for_many(place.clone()),
        replaced: AtomicU64::new(0),
        tried: AtomicU64::new(0),
        text,
    };
    Cache::new(CacheUrl::folder(place), std::sync::Arc::new(objects))
}

#[test]
fn what_was_changed_between_proof_and_signature_is_judged_anew() {
    let keys = [key("a-1")];
    let (good, nar) = flat(b"good");
    let (evil, evil_nar) = flat(b"evil");
    let forged = NarInfo {
        store_path: good.store_path.clone(),
        ca: good.ca.clone(),
        ..evil
    };
    let folder = Folder::new();
    folder.put(&good);
    folder.put_nar(&good, &nar);
    folder.put_nar(&forged, &evil_nar);
    let cache = meddled(&folder, Box::new(Once(forged.clone())));
    let doubted = doubt(sign(&cache, &good, &keys));
    assert!(
        matches!(&doubted, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::Content)),
        "{doubted}"
    );
    assert_eq!(folder.read(&good), forged);

    // Another's signature is kept, and the NAR not read once more.
    folder.put(&good);
    let mut signed = good.clone();
    signed.sign(&key("b-1"));
    let cache = meddled(&folder, Box::new(Once(signed)));
    let signing = Signing::new(&cache, &keys, &[], &no_store);
    let outcome = signing.sign(good.store_path.hash_part(), None).unwrap();
    is_signed(&outcome, &Ground::Content, true);
    assert_eq!(
        (signing.nars_read(), folder.read(&good).signatures.len()),
        (1, 2)
    );
}

#[test]
fn a_record_that_changes_all_the_time_is_given_up() {
    let folder = Folder::new();
    let record = fixed(b"a");
    folder.put(&record);
    let cache = meddled(&folder, Box::new(Always(record.clone())));
    let doubted = doubt(sign(&cache, &record, &[key("a-1")]));
    assert!(matches!(doubted, Doubt::Contended), "{doubted}");
}

#[test]
fn a_place_that_ignores_conditions_is_refused_unless_one_writes_alone() {
    let folder = Folder::new();
    let cache = meddled(&folder, Box::new(Once(fixed(b"a"))));
    let keys = [key("a-1")];
    let mut signing = Signing::new(&cache, &keys, &[], &no_store);
    let refused = signing.check_place().unwrap_err();
    assert!(refused.hint().unwrap().contains("--single-writer"));
    signing.dry_run = true;
    signing.check_place().unwrap();
    let mut url = cache.url().clone();
    url.writing.single_writer = true;
    let objects = std::sync::Arc::new(Meddled {
        folder: crate::Folder::new(folder.dir.path().to_owned()),
        replaced: AtomicU64::new(0),
        tried: AtomicU64::new(0),
        text: Box::new(Once(fixed(b"a"))),
    });
    let alone = Cache::new(url, objects.clone());
    Signing::new(&alone, &keys, &[], &no_store)
        .check_place()
        .unwrap();
    let there = Cache::new(cache.url().clone(), objects.clone());
    let mut signing = Signing::new(&there, &keys, &[], &no_store);
    signing.dry_run = true;
    signing.check_place().unwrap();
    // That is a request to write.
    assert_eq!(objects.tried.load(Ordering::Relaxed), 0);
}

#[test]
fn many_at_once_lose_no_signature() {
    let folder = Folder::new();
    let records: Vec<_> = (0..50_u8).map(|number| fixed(&[number])).collect();
    records.iter().for_each(|record| folder.put(record));
    let keys: Vec<_> = ["a-1", "b-1", "c-1", "d-1"].map(key).into();
    std::thread::scope(|scope| {
        for key in &keys {
            let (cache, records) = (&folder.cache, &records);
            scope.spawn(move || {
                for record in records {
                    let outcome = sign(cache, record, std::slice::from_ref(key));
                    is_signed(&outcome, &Ground::Address, false);
                }
            });
        }
    });
    let public: Vec<_> = keys.iter().map(SigningKey::public_key).collect();
    for record in &records {
        assert_eq!(folder.read(record).signers(&public).len(), 4);
    }
}
