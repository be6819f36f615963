//! Verifying caches that were damaged by hand, and by hostile publishers.

use std::fs;
use std::io::Write as _;

use fetchhost_cache::{
    CacheError, Checks, Key, NarSource, Repair, Repaired, Repairs, Unchecked, Verified, repair,
    verify,
};
use fetchhost_formats::{
    Compression, ContentAddress, FixedOutput, HashAlgorithm, Hasher, NarInfo, OutputMode,
    SigningKey, StorePath,
};
use proptest::prelude::{any, prop, proptest};

use crate::common::{Made, WORK, made, nar, path};

impl Made {
    pub(crate) fn verify(&self) -> Verified {
        self.verify_with(&Checks::default())
    }

    pub(crate) fn verify_with(&self, checks: &Checks) -> Verified {
        verify(&self.cache, checks, &[], &WORK).unwrap()
    }

    pub(crate) fn repair(&self, found: &Verified, sources: Vec<Box<dyn NarSource>>) -> Repairs {
        let it = Repair {
            cache: &self.cache,
            checks: &Checks::default(),
            inventory: &found.inventory,
            sources: &sources,
        };
        repair(&it, &found.damaged, &WORK)
    }
}

pub(crate) fn kinds(found: &Verified) -> Vec<&'static str> {
    let faults = found.damaged.iter().flat_map(|entry| &entry.faults);
    faults.map(fetchhost_cache::Fault::kind).collect()
}

#[test]
fn what_was_published_is_sound_however_it_is_compressed() {
    for query in ["compression=none", "compression=xz", "compression=zstd"] {
        let made = made(query);
        made.publish(&path('a', "one"), b"content");
        made.publish(&path('b', "two"), &[7; 300_000]);
        made.publish(&path('c', "empty"), b"");
        let found = made.verify();
        assert_eq!(kinds(&found), [""; 0], "{query}");
        assert_eq!((found.records, found.unsigned), (3, 3));
        assert_eq!(found.orphans.as_deref(), Some(&[][..]));
        assert!(found.read > 0 && found.info.is_none());
    }
}

/// Damages the entry of a path.
type Hurt = fn(&Made, &NarInfo, &StorePath);

#[test]
fn each_kind_of_damage_is_found_and_named() {
    let damage: [(&str, Hurt); 14] = [
        ("nar-missing", |made, record, _| {
            fs::remove_file(made.nar(record)).unwrap();
        }),
        ("file-size", |made, record, _| {
            fs::OpenOptions::new()
                .append(true)
                .open(made.nar(record))
                .unwrap()
                .write_all(b"more")
                .unwrap();
        }),
        ("nar-undecodable", |made, record, _| {
            let length = fs::metadata(made.nar(record)).unwrap().len() as usize;
            fs::write(made.nar(record), vec![1; length]).unwrap();
        }),
        ("nar-hash", |made, record, _| {
            let changed = zstd::encode_all(&nar(b"CONTENT")[..], 3).unwrap();
            fs::write(made.nar(record), changed).unwrap();
        }),
        ("nar-size", |made, record, path| {
            let text = record.to_string();
            let said = format!("NarSize: {}", record.nar_size);
            made.write(path, &text.replace(&said, "NarSize: 999"));
        }),
        ("nar-size", |made, record, path| {
            let text = record.to_string();
            let said = format!("NarSize: {}", record.nar_size);
            made.write(path, &text.replace(&said, "NarSize: 9"));
        }),
        ("file-hash", |made, record, path| {
            let said = record.file_hash.as_ref().unwrap().prefixed_nix32();
            let other = Hasher::digest(HashAlgorithm::Sha256, b"").prefixed_nix32();
            made.write(path, &record.to_string().replace(&said, &other));
        }),
        ("record", |made, record, path| {
            let text = record.to_string();
            made.write(path, &text[..text.len() / 2]);
        }),
        ("record", |made, _, path| {
            fs::write(made.record(path), [0xff, 0xfe]).unwrap();
        }),
        ("name", |made, record, own| {
            let other = path('z', "one").to_string();
            made.write(own, &record.to_string().replace(&own.to_string(), &other));
        }),
        ("nar-elsewhere", |made, record, path| {
            let url = record.url.to_string();
            made.write(path, &record.to_string().replace(&url, "../../etc/passwd"));
        }),
        ("nar-elsewhere", |made, record, path| {
            let url = record.url.to_string();
            made.write(path, &record.to_string().replace(&url, "/etc/passwd"));
        }),
        ("content-address", |made, record, path| {
            let hash = Hasher::digest(HashAlgorithm::Sha256, b"x").prefixed_nix32();
            made.write(path, &format!("{record}CA: fixed:r:{hash}\n"));
        }),
        ("record", |made, record, path| {
            let long = "x".repeat(2 << 20);
            made.write(path, &format!("{record}Deriver: {long}\n"));
        }),
    ];
    for (wanted, hurt) in damage {
        let made = made("compression=zstd");
        let path = path('a', "one");
        let record = made.publish(&path, b"content");
        made.publish(&self::path('b', "sound"), b"sound");
        hurt(&made, &record, &path);
        let found = made.verify();
        assert!(
            kinds(&found).contains(&wanted),
            "{wanted}: {:?}",
            found.damaged
        );
        assert_eq!(found.damaged.len(), 1, "{wanted}");
        assert!(found.unread.is_empty());
    }
}

#[test]
fn content_is_measured_as_its_address_says() {
    for algorithm in [
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
    ] {
        for mode in [OutputMode::Flat, OutputMode::Nar] {
            let made = made("compression=xz");
            let archive = nar(b"content");
            let measured = match mode {
                OutputMode::Flat => &b"content"[..],
                OutputMode::Nar => &archive,
            };
            let output = |bytes: &[u8]| FixedOutput {
                name: "one".parse().unwrap(),
                mode,
                hash: Hasher::digest(algorithm, bytes),
            };
            let address = |output: &FixedOutput| ContentAddress {
                mode,
                hash: output.hash.clone(),
            };
            let (right, wrong) = (output(measured), output(b"another"));
            made.publish_nar(&right.store_path(), &archive, Some(&address(&right)));
            let found = made.verify();
            assert_eq!(kinds(&found), [""; 0]);
            assert_eq!(found.unsigned, 0, "its address proves it");
            made.publish_nar(&wrong.store_path(), &archive, Some(&address(&wrong)));
            assert_eq!(kinds(&made.verify()), ["content"], "{algorithm} {mode:?}");
        }
    }
}

#[test]
fn a_hash_that_fits_makes_no_archive() {
    let made = made("compression=none");
    made.publish_nar(&path('a', "one"), b"no archive at all", None);
    assert_eq!(kinds(&made.verify()), ["nar-malformed"]);
}

#[test]
fn signatures_of_trusted_keys_have_to_hold() {
    let made = made("compression=none");
    let path = path('a', "one");
    let mut record = made.publish(&path, b"content");
    let key = SigningKey::from_seed("cache-1", &[1; 32].into()).unwrap();
    let other = SigningKey::from_seed("cache-1", &[2; 32].into()).unwrap();
    let checks = |require_signature| Checks {
        keys: vec![key.public_key()],
        require_signature,
        fast: false,
    };
    let found = made.verify_with(&checks(false));
    assert_eq!((kinds(&found), found.unsigned), (vec![], 1));
    assert_eq!(kinds(&made.verify_with(&checks(true))), ["unsigned"]);
    record.sign(&other);
    made.write(&path, &record.to_string());
    assert_eq!(kinds(&made.verify_with(&checks(false))), ["signature"]);
    record.sign(&key);
    made.write(&path, &record.to_string());
    let found = made.verify_with(&checks(true));
    assert_eq!((kinds(&found), found.unsigned), (vec![], 0));
}

#[test]
fn what_is_loose_or_refers_elsewhere_is_told_and_is_no_damage() {
    let made = made("compression=none");
    let (one, gone) = (path('a', "one"), path('b', "gone"));
    let mut record = made.publish(&one, b"content");
    record.references.insert(gone.clone());
    made.write(&one, &record.to_string());
    fs::write(made.dir.path().join("nar/loose.nar.xz"), "loose").unwrap();
    fs::write(made.dir.path().join("nar/1.nar.tmp.12.0"), "").unwrap();
    fs::write(made.dir.path().join(Key::listing(&gone).as_str()), "{}").unwrap();
    let found = made.verify();
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(found.dangling.get(&gone), Some(&one));
    assert_eq!(found.orphans.unwrap()[0].0.as_str(), "nar/loose.nar.xz");
    assert_eq!((found.listings.len(), found.temporary.len()), (1, 1));
}

#[test]
fn what_only_nix_undoes_is_not_taken_for_sound() {
    let made = made("compression=none");
    let path = path('a', "one");
    let mut record = made.publish(&path, b"content");
    record.compression = Compression::Br;
    made.write(&path, &record.to_string());
    let found = made.verify();
    assert_eq!(kinds(&found), [""; 0]);
    let why = Unchecked::Compression(Compression::Br);
    assert_eq!(found.unchecked, [(path, why)]);
}

#[test]
fn a_fast_check_reads_no_nar() {
    let made = made("compression=zstd");
    let record = made.publish(&path('a', "one"), b"content");
    let length = fs::metadata(made.nar(&record)).unwrap().len() as usize;
    let fast = Checks {
        fast: true,
        ..Checks::default()
    };
    fs::write(made.nar(&record), vec![1; length]).unwrap();
    let found = made.verify_with(&fast);
    assert_eq!((kinds(&found), found.read), (vec![], 0));
    fs::write(made.nar(&record), "short").unwrap();
    assert_eq!(kinds(&made.verify_with(&fast)), ["file-size"]);
    fs::remove_file(made.nar(&record)).unwrap();
    assert_eq!(kinds(&made.verify_with(&fast)), ["nar-missing"]);
}

#[test]
fn an_empty_folder_is_no_cache_and_a_lost_info_is_damage() {
    let made = made("compression=none");
    fs::remove_file(made.dir.path().join("nix-cache-info")).unwrap();
    let none = verify(&made.cache, &Checks::default(), &[], &WORK).unwrap_err();
    assert!(matches!(none, CacheError::NoCache { .. }), "{none}");
    made.publish(&path('a', "one"), b"content");
    assert!(made.verify().info.is_some());
    fs::write(made.dir.path().join("nix-cache-info"), "StoreDir: /other\n").unwrap();
    let foreign = verify(&made.cache, &Checks::default(), &[], &WORK).unwrap_err();
    assert!(
        matches!(foreign, CacheError::ForeignStore { .. }),
        "{foreign}"
    );
}

proptest! {
    /// Whatever one changed byte hits, in the record or in the NAR: nothing breaks, and a NAR is never taken for another.
    #[test]
    fn a_changed_byte_of_a_nar_is_always_found(
        content in prop::collection::vec(any::<u8>(), 0..500), at in any::<prop::sample::Index>(), change in 1_u8..,
        query in prop::sample::select(vec!["compression=none", "compression=xz", "compression=zstd"]),
    ) {
        let made = made(query);
        let record = made.publish(&path('a', "one"), &content);
        let mut bytes = fs::read(made.nar(&record)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(made.nar(&record), bytes).unwrap();
        assert!(!made.verify().damaged.is_empty());
    }

    #[test]
    fn any_record_is_judged_and_none_reaches_out(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let made = made("compression=none");
        fs::write(made.record(&path('a', "one")), bytes).unwrap();
        let found = made.verify();
        assert_eq!(found.damaged.len(), 1);
        assert_eq!(made.repair(&found, Vec::new()).entries, [Repaired::Removed]);
    }
}

#[test]
fn verification_of_named_paths_tells_of_those_that_are_not_there() {
    let made = made("compression=none");
    let (one, gone) = (path('a', "one"), path('b', "gone"));
    made.publish(&one, b"content");
    let wanted = [one, gone.clone()];
    let found = verify(&made.cache, &Checks::default(), &wanted, &WORK).unwrap();
    assert_eq!((found.records, found.absent), (1, vec![gone]));
    assert_eq!(found.orphans, None, "not all records were read");
}
