//! Repairing caches that were damaged by hand, and by hostile publishers.

use std::fs;
use std::sync::Arc;

use fetchhost_cache::{
    Archive, Cache, CacheError, Checks, HashPart, Key, Kind, Listed, NarSource, Object, Objects,
    Repair, Repaired, Upload, Version, repair, verify,
};
use fetchhost_formats::{HashAlgorithm, Hasher, NarInfo, SigningKey};

use crate::common::{WORK, made, nar, path};
use crate::verify::kinds;

#[test]
fn a_lost_nar_comes_from_another_cache_in_our_compression() {
    let (hurt, whole) = (made("compression=zstd"), made("compression=xz"));
    let path = path('a', "one");
    let record = hurt.publish(&path, b"content");
    whole.publish(&path, b"content");
    fs::write(hurt.nar(&record), "damaged").unwrap();
    let found = hurt.verify();
    let done = hurt.repair(&found, vec![Box::new(whole.cache.clone())]);
    let from = whole.cache.label();
    assert_eq!(done.entries, [Repaired::Restored { from }]);
    // It has the name that its contents give it, which is the one that it had.
    assert!(done.nars.is_empty() && done.left.is_empty());
    let found = hurt.verify();
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(found.orphans.as_deref(), Some(&[][..]));
}

#[test]
fn another_content_of_the_same_path_does_not_take_its_place() {
    let (hurt, other) = (made("compression=zstd"), made("compression=xz"));
    let path = path('a', "one");
    let record = hurt.publish(&path, b"content");
    other.publish(&path, b"CONTENT");
    fs::write(hurt.nar(&record), "damaged").unwrap();
    let done = hurt.repair(&hurt.verify(), vec![Box::new(other.cache.clone())]);
    assert_eq!(done.entries, [Repaired::Removed]);
    assert_eq!(done.nars.len(), 1);
    assert!(!hurt.record(&path).exists() && !hurt.nar(&record).exists());
}

#[test]
fn a_broken_record_comes_whole_from_another_cache() {
    let (hurt, whole) = (made("compression=zstd"), made("compression=zstd"));
    let path = path('a', "one");
    hurt.publish(&path, b"content");
    whole.publish(&path, b"content");
    hurt.write(&path, "StorePath: ");
    let done = hurt.repair(&hurt.verify(), vec![Box::new(whole.cache.clone())]);
    let from = whole.cache.label();
    assert_eq!(done.entries, [Repaired::Restored { from }]);
    assert_eq!(kinds(&hurt.verify()), [""; 0]);
}

#[test]
fn what_is_wrong_about_the_file_alone_is_corrected_from_the_file() {
    let made = made("compression=zstd");
    let path = path('a', "one");
    let record = made.publish(&path, b"content");
    let said = format!("FileSize: {}", record.file_size.unwrap());
    made.write(&path, &record.to_string().replace(&said, "FileSize: 9999"));
    let done = made.repair(&made.verify(), Vec::new());
    assert!(
        matches!(done.entries[..], [Repaired::Restored { .. }]),
        "{done:?}"
    );
    assert_eq!(kinds(&made.verify()), [""; 0]);
    assert_eq!(
        fs::read_to_string(made.record(&path)).unwrap(),
        record.to_string()
    );
}

#[test]
fn a_nar_that_a_sound_record_names_stays_when_another_one_goes() {
    let made = made("compression=none");
    let (one, two) = (path('a', "one"), path('b', "two"));
    let record = made.publish(&one, b"content");
    let mut lying = made.publish(&two, b"content");
    assert_eq!(record.url, lying.url);
    lying.nar_hash = Hasher::digest(HashAlgorithm::Sha256, b"something else");
    made.write(&two, &lying.to_string());
    let done = made.repair(&made.verify(), Vec::new());
    assert_eq!(done.entries, [Repaired::Removed]);
    assert!(done.nars.is_empty() && made.nar(&record).exists());
    assert_eq!(kinds(&made.verify()), [""; 0]);
}

#[test]
fn two_records_of_one_damaged_nar_take_it_with_them() {
    let made = made("compression=none");
    let record = made.publish(&path('a', "one"), b"content");
    made.publish(&path('b', "two"), b"content");
    fs::write(made.nar(&record), "damaged").unwrap();
    let done = made.repair(&made.verify(), Vec::new());
    assert_eq!(done.entries, [Repaired::Removed, Repaired::Removed]);
    assert_eq!(done.nars.len(), 1);
    assert!(!made.nar(&record).exists());
}

#[test]
fn a_nar_that_was_written_anew_since_is_not_taken_for_the_damaged_one() {
    let made = made("compression=none");
    let [one, two] = [path('a', "one"), path('b', "two")];
    let record = made.publish(&one, b"content");
    fs::write(made.nar(&record), nar(b"CONTENT")).unwrap();
    let found = made.verify();
    // Somebody publishes the same content as another path: the NAR is there, and its record is still to come.
    struct Publisher(std::path::PathBuf);
    impl NarSource for Publisher {
        fn label(&self) -> String {
            String::new()
        }
        fn archive(&self, _: &NarInfo) -> Result<Option<Archive>, String> {
            fs::remove_file(&self.0).unwrap();
            fs::write(&self.0, nar(b"content")).unwrap();
            Ok(None)
        }
    }
    let publisher = Publisher(made.nar(&record));
    let done = made.repair(&found, vec![Box::new(publisher)]);
    assert_eq!(done.entries, [Repaired::Removed]);
    assert_eq!(done.nars, []);
    let late = NarInfo {
        store_path: two.clone(),
        ..record
    };
    made.write(&two, &late.to_string());
    assert_eq!(kinds(&made.verify()), [""; 0]);
}

#[test]
fn a_hostile_record_takes_nothing_else_with_it() {
    let made = made("compression=none");
    let sound = path('b', "sound");
    let its = made.publish(&sound, b"content");
    let hostile = path('a', "hostile");
    for url in [
        "nix-cache-info".to_owned(),
        Key::record(&sound).to_string(),
        "nar/../nix-cache-info".to_owned(),
        "/etc/hostname".to_owned(),
    ] {
        let mut record = its.clone();
        record.store_path = hostile.clone();
        record.url = url.parse().unwrap();
        record.file_size = None;
        record.file_hash = None;
        made.write(&hostile, &record.to_string());
        let found = made.verify();
        assert_eq!(found.damaged.len(), 1, "{url}");
        let done = made.repair(&found, Vec::new());
        assert_eq!((done.entries, done.nars), (vec![Repaired::Removed], vec![]));
        assert_eq!(kinds(&made.verify()), [""; 0]);
        assert!(made.dir.path().join("nix-cache-info").exists());
    }
}

/// Says that it has everything, and cannot be read.
struct Unreachable;

impl NarSource for Unreachable {
    fn label(&self) -> String {
        "nowhere".to_owned()
    }

    fn archive(&self, _: &NarInfo) -> Result<Option<Archive>, String> {
        Err("no answer".to_owned())
    }

    fn record(&self, _: &HashPart) -> Result<Option<NarInfo>, String> {
        Err("no answer".to_owned())
    }
}

#[test]
fn what_a_source_cannot_say_keeps_an_entry_from_being_taken_away() {
    let made = made("compression=none");
    let path = path('a', "one");
    let record = made.publish(&path, b"content");
    fs::remove_file(made.nar(&record)).unwrap();
    let done = made.repair(&made.verify(), vec![Box::new(Unreachable)]);
    assert!(
        matches!(done.entries[..], [Repaired::Left { .. }]),
        "{done:?}"
    );
    assert!(made.record(&path).exists());
}

/// A cache whose NARs break off, as over a network.
#[derive(Debug)]
struct Breaking(Cache);

impl Objects for Breaking {
    fn label(&self) -> String {
        self.0.label()
    }
    fn place_of(&self, key: &Key) -> String {
        self.0.objects().place_of(key)
    }
    fn get(&self, key: &Key, limit: u64) -> Result<Option<Object>, CacheError> {
        self.0.objects().get(key, limit)
    }
    fn size(&self, key: &Key) -> Result<Option<u64>, CacheError> {
        self.0.objects().size(key)
    }
    fn open(&self, key: &Key) -> Result<Option<Box<dyn std::io::Read + Send>>, CacheError> {
        use std::io::Read as _;
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
            }
        }
        let file = self.0.objects().open(key)?;
        Ok(file.map(|file| Box::new(file.take(50).chain(Broken)) as Box<dyn std::io::Read + Send>))
    }
    fn create(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<bool, CacheError> {
        self.0.objects().create(key, kind, bytes)
    }
    fn put(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<(), CacheError> {
        self.0.objects().put(key, kind, bytes)
    }
    fn replace(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        of: &Version,
    ) -> Result<bool, CacheError> {
        self.0.objects().replace(key, kind, bytes, of)
    }
    fn delete(&self, key: &Key) -> Result<(), CacheError> {
        panic!("{key} is taken away");
    }
    fn list(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        self.0.objects().list(each)
    }
    fn upload(&self, kind: Kind, suffix: &str) -> Result<Box<dyn Upload>, CacheError> {
        self.0.objects().upload(kind, suffix)
    }
    fn settle(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

#[test]
fn a_wrong_key_and_a_folder_that_is_not_mounted_cost_nothing() {
    let made = made("compression=none");
    let [one, two] = [path('a', "one"), path('b', "two")];
    let mut record = made.publish(&one, b"content");
    made.publish(&two, b"another");
    let key = |seed: u8| SigningKey::from_seed("cache-1", &[seed; 32].into()).unwrap();
    record.sign(&key(1));
    made.write(&one, &record.to_string());
    let checks = Checks {
        keys: vec![key(2).public_key()],
        ..Checks::default()
    };
    let found = made.verify_with(&checks);
    let it = Repair {
        cache: &made.cache,
        checks: &checks,
        inventory: &found.inventory,
        sources: &[],
    };
    let done = repair(&it, &found.damaged, &WORK);
    assert!(
        matches!(done.entries[..], [Repaired::Left { .. }]),
        "{done:?}"
    );

    fs::rename(made.dir.path().join("nar"), made.dir.path().join("away")).unwrap();
    let done = made.repair(&made.verify(), Vec::new());
    let is_left = |one: &Repaired| matches!(one, Repaired::Left { .. });
    assert!(
        done.entries.len() == 2 && done.entries.iter().all(is_left),
        "{done:?}"
    );
    assert!(made.record(&one).exists() && made.record(&two).exists());
}

#[test]
fn a_record_that_another_nix_may_read_is_not_taken_away() {
    let made = made("compression=xz");
    let path = path('a', "one");
    let text = made.publish(&path, b"content").to_string();
    for (known, unknown) in [
        ("Compression: xz", "Compression: later".to_owned()),
        (
            "NarHash: ",
            format!("NarHash: sha512:{}\nWas: ", "0".repeat(128)),
        ),
    ] {
        let text = text.replace(known, &unknown);
        made.write(&path, &text);
        let found = made.verify();
        assert_eq!(kinds(&found), ["record"]);
        let done = made.repair(&found, Vec::new());
        assert!(
            matches!(done.entries[..], [Repaired::Left { .. }]),
            "{done:?}"
        );
        assert_eq!(fs::read_to_string(made.record(&path)).unwrap(), text);
    }
}

#[test]
fn what_breaks_off_on_its_way_is_no_damage() {
    for query in ["compression=none", "compression=xz", "compression=zstd"] {
        let made = made(query);
        let content: Vec<u8> = (0..2000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let record = made.publish(&path('a', "one"), &content);
        let breaking = Arc::new(Breaking(made.cache.clone()));
        let cache = Cache::new(made.cache.url().clone(), breaking);
        let found = verify(&cache, &Checks::default(), &[], &WORK).unwrap();
        assert_eq!((kinds(&found), found.unread.len()), (vec![], 1), "{query}");
        // Nor is it taken away when it was found damaged before.
        fs::write(made.nar(&record), [1; 60]).unwrap();
        let it = Repair {
            cache: &cache,
            checks: &Checks::default(),
            inventory: &found.inventory,
            sources: &[],
        };
        let done = repair(&it, &made.verify().damaged, &WORK);
        assert!(
            matches!(done.entries[..], [Repaired::Left { .. }]),
            "{query}: {done:?}"
        );
    }
}

#[test]
fn what_was_found_and_is_sound_by_now_is_left_alone() {
    let made = made("compression=none");
    let record = made.publish(&path('a', "one"), b"content");
    let whole = fs::read(made.nar(&record)).unwrap();
    fs::write(made.nar(&record), "damaged").unwrap();
    let found = made.verify();
    fs::write(made.nar(&record), whole).unwrap();
    assert_eq!(made.repair(&found, Vec::new()).entries, [Repaired::Sound]);
}
