//! Pushes of made-up paths into a folder: whatever goes wrong, no record stands without what it needs.

mod meanwhile;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fetchhost_formats::{HashAlgorithm, Hasher, SigningKey, StorePath};
use proptest::prelude::*;

use super::*;
use crate::decompressed;
use crate::objects::Key;
use crate::url::CacheUrl;

/// More than one thread takes alone.
const LARGE: usize = 17 << 20;

/// A store in memory.
#[derive(Default)]
struct Shelf {
    archives: BTreeMap<StorePath, Vec<u8>>,
    is_stopping: AtomicBool,
    /// After so many bytes it is to stop; 0 for never.
    stop_after: u64,
    read: AtomicU64,
    warnings: Mutex<Vec<String>>,
}

impl Course for Shelf {
    fn archive(&self, offered: &StoreEntry) -> Result<Archive, SourceError> {
        match self.archives.get(&offered.path) {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => Err("it is not there".into()),
        }
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn read(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.stop_after > 0 && read >= self.stop_after {
            self.is_stopping.store(true, Ordering::Relaxed);
        }
    }

    fn ended(&self, _: &StoreEntry, _: &Outcome) {}

    fn warning(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

impl Shelf {
    /// Offers a path of this content that refers to others.
    fn offer(&mut self, number: usize, content: Vec<u8>, references: &[usize]) -> StoreEntry {
        let path = path(number);
        let offered = StoreEntry {
            nar_hash: Hasher::digest(HashAlgorithm::Sha256, &content),
            nar_size: content.len() as u64,
            references: references.iter().copied().map(self::path).collect(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
            is_ultimate: false,
            path: path.clone(),
        };
        self.archives.insert(path, content);
        offered
    }
}

fn path(number: usize) -> StorePath {
    StorePath::from_base_name(&format!("{number:032}-x")).unwrap()
}

fn cache(folder: &Path, query: &str) -> Cache {
    let url: CacheUrl = format!("file://{}?{query}", folder.display())
        .parse()
        .unwrap();
    Cache::on_disk(url, true).unwrap()
}

fn push(cache: &Cache, shelf: &Shelf, keys: &[SigningKey], offered: &[StoreEntry]) -> Vec<Outcome> {
    let push = Push {
        cache,
        keys,
        jobs: NonZeroUsize::new(3).unwrap(),
        dry_run: false,
        course: shelf,
    };
    push.run(offered).unwrap()
}

/// The paths that the cache has. Each has its NAR, and all that it refers to.
fn whole(cache: &Cache, count: usize) -> BTreeSet<StorePath> {
    let found = (0..count).filter_map(|number| cache.record(&path(number)).unwrap());
    let records: Vec<_> = found.map(|found| found.record).collect();
    let there: BTreeSet<_> = records.iter().map(|one| one.store_path.clone()).collect();
    for record in records {
        assert!(record.references.is_subset(&there), "{record}");
        let file = cache.objects().open(&Key::nar(&record.url).unwrap());
        let file = file.unwrap().unwrap();
        let mut archive = decompressed(file, record.compression, record.nar_size)
            .unwrap()
            .unwrap();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut archive, &mut bytes).unwrap();
        assert_eq!(
            Hasher::digest(HashAlgorithm::Sha256, &bytes),
            record.nar_hash
        );
    }
    there
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_fails_no_record_stands_without_what_it_needs(
        references in prop::collection::vec(prop::collection::btree_set(0..24_usize, 0..4), 24),
        damaged in prop::collection::btree_set(0..24_usize, 0..4),
        gone in prop::collection::btree_set(0..24_usize, 0..2),
        stop_after in prop_oneof![Just(0), 1..2000_u64],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("cache"), "compression=zstd");
        let mut shelf = Shelf { stop_after, ..Shelf::default() };
        let offered: Vec<_> = references.iter().enumerate().map(|(at, references)| {
            let mut below: Vec<_> = references.iter().copied().filter(|one| *one < at).collect();
            // To itself too.
            below.extend((at % 3 == 0).then_some(at));
            shelf.offer(at, format!("content {at}").repeat(at + 1).into_bytes(), &below)
        }).collect();
        let intact = shelf.archives.clone();
        for at in &damaged {
            shelf.archives.get_mut(&path(*at)).unwrap()[0] ^= 1;
        }
        for at in &gone {
            shelf.archives.remove(&path(*at));
        }
        let outcomes = push(&cache, &shelf, &[], &offered);
        let there = whole(&cache, offered.len());
        for (at, (one, outcome)) in offered.iter().zip(&outcomes).enumerate() {
            prop_assert_eq!(outcome.is_there(), there.contains(&one.path));
            prop_assert!(!(outcome.is_there() && (damaged.contains(&at) || gone.contains(&at))));
            if stop_after == 0 {
                let is_lacking = |path: &StorePath| *path != one.path && !there.contains(path);
                let expected = !damaged.contains(&at) && !gone.contains(&at)
                    && !one.references.iter().any(is_lacking);
                prop_assert_eq!(outcome.is_there(), expected, "{:?}", outcome);
            }
        }
        // Run again, when all is well, it completes.
        let shelf = Shelf { archives: intact, ..Shelf::default() };
        let outcomes = push(&cache, &shelf, &[], &offered);
        prop_assert!(outcomes.iter().all(Outcome::is_there));
        prop_assert_eq!(whole(&cache, offered.len()).len(), offered.len());
    }
}

#[test]
fn a_large_archive_is_checked_and_compressed_as_a_small_one_is() {
    for query in [
        "compression=none",
        "compression=zstd",
        "compression=xz&compression-level=0",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("cache"), query);
        let mut shelf = Shelf::default();
        let content: Vec<u8> = (0..LARGE).map(|at| (at / 1000) as u8).collect();
        let one = shelf.offer(0, content.clone(), &[]);
        for damage in [
            |bytes: &mut Vec<u8>| bytes[LARGE / 2] ^= 1,
            |bytes: &mut Vec<u8>| bytes.truncate(LARGE - 1),
            |bytes: &mut Vec<u8>| bytes.push(0),
        ] {
            damage(shelf.archives.get_mut(&one.path).unwrap());
            let outcomes = push(&cache, &shelf, &[], std::slice::from_ref(&one));
            assert!(
                matches!(&outcomes[..], [Outcome::Failed(PushError::Corrupt { .. })]),
                "{outcomes:?}"
            );
            // Not even a file of another name.
            let mut left = 0;
            cache
                .objects()
                .list(&mut |_| {
                    left += 1;
                    Ok(())
                })
                .unwrap();
            assert_eq!(left, 0);
            shelf.archives.insert(one.path.clone(), content.clone());
        }
        let outcomes = push(&cache, &shelf, &[], std::slice::from_ref(&one));
        assert!(matches!(outcomes[..], [Outcome::Pushed { .. }]));
        whole(&cache, 1);
    }
}

#[test]
fn what_was_signed_and_what_is_another_build_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"), "compression=none");
    let keys = [1, 2].map(|seed| SigningKey::from_seed("k-1", &[seed; 32].into()).unwrap());
    let mut shelf = Shelf::default();
    let one = [shelf.offer(0, b"one".to_vec(), &[])];
    assert!(matches!(
        push(&cache, &shelf, &keys[..1], &one)[..],
        [Outcome::Pushed { .. }]
    ));
    assert!(matches!(
        push(&cache, &shelf, &keys[..1], &one)[..],
        [Outcome::Present]
    ));
    assert!(matches!(
        push(&cache, &shelf, &keys, &one)[..],
        [Outcome::Signed]
    ));
    let other = [shelf.offer(0, b"two".to_vec(), &[])];
    let before = cache.record(&path(0)).unwrap().unwrap().text;
    let third = [SigningKey::from_seed("k-2", &[3; 32].into()).unwrap()];
    assert!(matches!(
        push(&cache, &shelf, &third, &other)[..],
        [Outcome::Differs]
    ));
    // Other references under the same hash are other claims.
    let other = [shelf.offer(0, b"one".to_vec(), &[0])];
    assert!(matches!(
        push(&cache, &shelf, &third, &other)[..],
        [Outcome::Differs]
    ));
    assert_eq!(cache.record(&path(0)).unwrap().unwrap().text, before);

    // Without its NAR a record is nothing.
    let record = cache.record(&path(0)).unwrap().unwrap().record;
    cache
        .objects()
        .delete(&Key::nar(&record.url).unwrap())
        .unwrap();
    assert!(matches!(
        push(&cache, &shelf, &[], &one)[..],
        [Outcome::Pushed { .. }]
    ));
    whole(&cache, 1);
    let again = cache.record(&path(0)).unwrap().unwrap().record;
    assert_eq!(again.signatures, record.signatures);
}

#[test]
fn a_record_that_says_no_length_of_its_file_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"), "compression=zstd");
    let key = [SigningKey::from_seed("k-1", &[1; 32].into()).unwrap()];
    let mut shelf = Shelf::default();
    let one = [shelf.offer(0, b"one".to_vec(), &[])];
    push(&cache, &shelf, &key, &one);
    let text = cache.record(&path(0)).unwrap().unwrap().text;
    let is_of_file = |line: &&str| line.starts_with("File");
    let without: Vec<_> = text.lines().filter(|line| !is_of_file(line)).collect();
    let without = without.join("\n") + "\n";
    for text in [without.clone(), format!("{without}FileSize: 0\n")] {
        cache
            .objects()
            .put(&Key::record(&path(0)), crate::Kind::Record, text.as_bytes())
            .unwrap();
        assert!(matches!(
            push(&cache, &shelf, &[], &one)[..],
            [Outcome::Present]
        ));
        assert_eq!(cache.record(&path(0)).unwrap().unwrap().text, text);
    }
}

#[test]
fn what_the_store_knows_no_length_of_is_refused_and_a_full_cache_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::default();
    let mut one = shelf.offer(0, b"one".to_vec(), &[]);
    one.nar_size = 0;
    let there = cache(&folder.path().join("cache"), "");
    let outcomes = push(&there, &shelf, &[], &[one]);
    assert!(matches!(
        outcomes[..],
        [Outcome::Failed(PushError::NoSize { .. })]
    ));

    std::fs::write(folder.path().join("file"), "").unwrap();
    let broken = cache(&folder.path().join("file/cache"), "");
    let many: Vec<_> = (0..50)
        .map(|at| shelf.offer(at, vec![7; 10 + at], &[]))
        .collect();
    let push = Push {
        cache: &broken,
        keys: &[],
        jobs: NonZeroUsize::new(2).unwrap(),
        dry_run: false,
        course: &shelf,
    };
    // It may be found before the first path.
    if let Ok(outcomes) = push.run(&many) {
        let failed = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Failed(_)));
        assert!((1..=4).contains(&failed.count()));
    }
}

#[test]
fn a_batch_is_bounded_and_never_empty() {
    let mut shelf = Shelf::default();
    let mut many: Vec<_> = (0..BATCH_PATHS + 5)
        .map(|at| shelf.offer(at, vec![0], &[]))
        .collect();
    assert_eq!(batch_len(&many), BATCH_PATHS);
    many[0].nar_size = u64::MAX;
    assert_eq!(batch_len(&many), 1);
    many[0].nar_size = BATCH_BYTES - 2;
    assert_eq!(batch_len(&many), 3);
}
