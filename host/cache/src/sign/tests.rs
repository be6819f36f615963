mod races;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use fetchhost_formats::nar::{Encoder, Event};
use fetchhost_formats::{
    Compression, ContentAddress, FixedOutput, HashAlgorithm, Hasher, NarUrl, OutputMode,
};
use tempfile::TempDir;

use super::*;
use crate::StoreDoubt;
use crate::prove::Known;
use crate::url::CacheUrl;

/// A cache in a folder, which other people write to.
struct Folder {
    dir: TempDir,
    cache: Cache,
}

impl Folder {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let cache = Cache::on_disk(CacheUrl::folder(dir.path().to_owned()), true).unwrap();
        fs::create_dir(dir.path().join("nar")).unwrap();
        Self { dir, cache }
    }

    fn file(&self, record: &NarInfo) -> PathBuf {
        let name = Key::record(&record.store_path);
        self.dir.path().join(name.as_str())
    }

    fn put(&self, record: &NarInfo) {
        fs::write(self.file(record), record.to_string()).unwrap();
    }

    fn put_nar(&self, record: &NarInfo, nar: &[u8]) {
        fs::write(self.dir.path().join(record.url.as_str()), nar).unwrap();
    }

    fn read(&self, record: &NarInfo) -> NarInfo {
        NarInfo::parse(&fs::read_to_string(self.file(record)).unwrap()).unwrap()
    }
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[name.as_bytes()[0]; 32].into()).unwrap()
}

fn archive(content: &[u8], executable: bool) -> Vec<u8> {
    let size = content.len() as u64;
    let mut encoder = Encoder::new();
    let events = [
        Event::File { executable, size },
        Event::Data(content.to_vec().into()),
        Event::EndFile,
    ];
    let pieces = events.map(|event| encoder.push(event).unwrap().nar.to_vec());
    encoder.finish().unwrap();
    pieces.concat()
}

/// The record of a file, and its NAR.
fn record(content: &[u8], mode: OutputMode, algorithm: HashAlgorithm) -> (NarInfo, Vec<u8>) {
    let nar = archive(content, false);
    let hash = match mode {
        OutputMode::Nar => Hasher::digest(algorithm, &nar),
        OutputMode::Flat => Hasher::digest(algorithm, content),
    };
    let output = FixedOutput {
        name: "file".parse().unwrap(),
        mode,
        hash,
    };
    let nar_hash = Hasher::digest(HashAlgorithm::Sha256, &nar);
    let record = NarInfo {
        store_path: output.store_path(),
        url: NarUrl::for_file(&nar_hash, Compression::None),
        compression: Compression::None,
        file_hash: Some(nar_hash.clone()),
        file_size: Some(nar.len() as u64),
        nar_hash,
        nar_size: nar.len() as u64,
        references: BTreeSet::new(),
        deriver: None,
        signatures: Vec::new(),
        ca: Some(output.content_address().into()),
    };
    (record, nar)
}

fn fixed(content: &[u8]) -> NarInfo {
    record(content, OutputMode::Nar, HashAlgorithm::Sha256).0
}

/// A record that nothing proves.
fn built(content: &[u8]) -> NarInfo {
    NarInfo {
        ca: None,
        ..fixed(content)
    }
}

fn flat(content: &[u8]) -> (NarInfo, Vec<u8>) {
    record(content, OutputMode::Flat, HashAlgorithm::Sha256)
}

fn no_store(_: &StorePath) -> Said {
    Said::Nothing
}

/// Signs one record, with nobody to believe.
fn sign(cache: &Cache, record: &NarInfo, keys: &[SigningKey]) -> SignedRecord {
    let signing = Signing::new(cache, keys, &[], &no_store);
    signing.sign(record.store_path.hash_part(), None).unwrap()
}

#[track_caller]
fn is_signed(outcome: &SignedRecord, expected: &Ground, was_read: bool) {
    let SignedRecord::Signed { ground, read, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((ground, read.is_some()), (expected, was_read));
}

#[track_caller]
fn doubt(outcome: SignedRecord) -> Doubt {
    match outcome {
        SignedRecord::Skipped { doubt, .. } => doubt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_its_address_fixes_is_signed_without_its_nar_and_once() {
    let folder = Folder::new();
    let (record, keys) = (fixed(b"a"), [key("a-1"), key("b-1")]);
    let text = format!("{record}Unknown: kept\n");
    fs::write(folder.file(&record), &text).unwrap();
    is_signed(
        &sign(&folder.cache, &record, &keys[..1]),
        &Ground::Address,
        false,
    );
    let signed = fs::read_to_string(folder.file(&record)).unwrap();
    assert!(signed.contains("Sig: a-1:") && signed.contains("Unknown: kept\n"));

    let before = fs::metadata(folder.file(&record))
        .unwrap()
        .modified()
        .unwrap();
    let again = sign(&folder.cache, &record, &keys[..1]);
    assert!(matches!(again, SignedRecord::Already { .. }));
    let after = fs::metadata(folder.file(&record))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);

    is_signed(
        &sign(&folder.cache, &record, &keys),
        &Ground::Address,
        false,
    );
    let public = keys.each_ref().map(SigningKey::public_key);
    assert_eq!(folder.read(&record).signers(&public).len(), 2);
}

#[test]
fn contents_are_read_before_a_hash_that_they_do_not_fix_is_signed() {
    use HashAlgorithm::{Sha1, Sha256, Sha512};
    for (mode, algorithm) in [
        (OutputMode::Flat, Sha256),
        (OutputMode::Flat, Sha512),
        (OutputMode::Nar, Sha1),
        (OutputMode::Nar, Sha512),
    ] {
        let (folder, keys) = (Folder::new(), [key("a-1")]);
        let (good, nar) = record(b"good", mode, algorithm);
        folder.put(&good);
        let missing = doubt(sign(&folder.cache, &good, &keys));
        assert!(
            matches!(&missing, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::Missing { .. })),
            "{missing}"
        );
        folder.put_nar(&good, &nar);
        is_signed(&sign(&folder.cache, &good, &keys), &Ground::Content, true);

        // The path and the content address of one content, the NAR of another: what Nix would take.
        let (evil, nar) = record(b"evil", mode, algorithm);
        let forged = NarInfo {
            store_path: good.store_path.clone(),
            ca: good.ca.clone(),
            ..evil
        };
        folder.put(&forged);
        folder.put_nar(&forged, &nar);
        for unverified in [false, true] {
            let mut signing = Signing::new(&folder.cache, &keys, &[], &no_store);
            signing.unverified = unverified;
            let outcome = signing.sign(forged.store_path.hash_part(), None).unwrap();
            let doubt = doubt(outcome);
            assert!(
                matches!(&doubt, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::Content)),
                "{doubt}"
            );
            assert!(doubt.is_false());
        }
        assert_eq!(folder.read(&forged).signatures, []);
    }
}

#[test]
fn a_nar_that_is_not_what_its_record_says_proves_nothing() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let (good, nar) = flat(b"good");
    folder.put(&good);
    let longer = [nar.as_slice(), &[0; 8]].concat();
    let executable = archive(b"good", true);
    for (nar, part) in [
        (longer.as_slice(), "its record says"),
        (&nar[..nar.len() - 8], "its record says"),
        (b"nothing of that kind", "its record says"),
        (&executable, "its record says"),
        (&archive(b"evil", false), "has the hash"),
    ] {
        folder.put_nar(&good, nar);
        let doubt = doubt(sign(&folder.cache, &good, &keys)).to_string();
        assert!(doubt.contains(part), "{doubt}");
    }
    // An executable file is another content than the same file that is none.
    let forged = NarInfo {
        nar_hash: Hasher::digest(HashAlgorithm::Sha256, &executable),
        nar_size: executable.len() as u64,
        file_size: None,
        file_hash: None,
        ..good.clone()
    };
    folder.put(&forged);
    folder.put_nar(&forged, &executable);
    let doubted = doubt(sign(&folder.cache, &forged, &keys));
    assert!(
        matches!(&doubted, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::Content)),
        "{doubted}"
    );
    let shorter = NarInfo {
        nar_size: good.nar_size + 8,
        ..good.clone()
    };
    folder.put(&shorter);
    folder.put_nar(&good, &nar);
    let doubted = doubt(sign(&folder.cache, &shorter, &keys)).to_string();
    assert!(doubted.contains("its record says"), "{doubted}");
    let elsewhere = NarInfo {
        url: "https://evil.example/x.nar".parse().unwrap(),
        ..good.clone()
    };
    folder.put(&elsewhere);
    let doubted = doubt(sign(&folder.cache, &elsewhere, &keys));
    assert!(
        matches!(&doubted, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::Elsewhere { .. })),
        "{doubted}"
    );
    let packed = NarInfo {
        compression: Compression::Br,
        ..good
    };
    folder.put(&packed);
    let doubted = doubt(sign(&folder.cache, &packed, &keys));
    assert!(
        matches!(doubted, Doubt::Nar(Mismeasured::Packed(_))),
        "{doubted}"
    );
}

#[test]
fn whoever_is_trusted_vouches_for_what_proves_nothing_itself() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let record = built(b"built");
    folder.put(&record);
    let unproved = doubt(sign(&folder.cache, &record, &keys));
    assert!(!unproved.is_false(), "{unproved}");
    assert_eq!(
        unproved.to_string(),
        "it has no content address, no store was asked, and no trusted key is named"
    );

    let known = Known {
        nar_hash: record.nar_hash.clone(),
        nar_size: record.nar_size,
        references: BTreeSet::new(),
    };
    let ask = |said: Said| {
        let store = |_: &StorePath| said.clone();
        let mut signing = Signing::new(&folder.cache, &keys, &[], &store);
        signing.dry_run = true;
        signing.sign(record.store_path.hash_part(), None).unwrap()
    };
    for (said, why) in [
        (Said::Invalid, StoreDoubt::Invalid),
        (
            Said::Known(Known {
                nar_hash: fixed(b"other").nar_hash,
                ..known.clone()
            }),
            StoreDoubt::Nar,
        ),
        (
            Said::Known(Known {
                nar_size: known.nar_size + 1,
                ..known.clone()
            }),
            StoreDoubt::Nar,
        ),
        (
            Said::Known(Known {
                references: [record.store_path.clone()].into(),
                ..known.clone()
            }),
            StoreDoubt::References,
        ),
    ] {
        match doubt(ask(said)) {
            Doubt::Unproved { store, .. } => assert_eq!(store, why),
            other => panic!("{other}"),
        }
    }
    is_signed(&ask(Said::Known(known)), &Ground::Store, false);
    assert_eq!(folder.read(&record), record);

    // A signature counts only when it is the trusted key's own, of this record.
    let friend = key("friend-1");
    let trusted = [friend.public_key()];
    let mut borrowed = record.clone();
    borrowed.signatures = vec![friend.sign(&fixed(b"other").fingerprint())];
    let mut vouched = record.clone();
    vouched.sign(&friend);
    let signing = Signing::new(&folder.cache, &keys, &trusted, &no_store);
    let hash_part = record.store_path.hash_part();
    folder.put(&borrowed);
    let unproved = doubt(signing.sign(hash_part, None).unwrap()).to_string();
    assert!(
        unproved.ends_with("no trusted key has signed it"),
        "{unproved}"
    );
    folder.put(&vouched);
    let ground = Ground::Key("friend-1".to_owned());
    is_signed(&signing.sign(hash_part, None).unwrap(), &ground, false);
}

#[test]
fn what_the_path_contradicts_is_signed_for_nobody() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let mut forged = NarInfo {
        nar_hash: fixed(b"evil").nar_hash,
        ..fixed(b"good")
    };
    let friend = key("friend-1");
    forged.sign(&friend);
    folder.put(&forged);
    let trusted = [friend.public_key()];
    let mut signing = Signing::new(&folder.cache, &keys, &trusted, &no_store);
    signing.unverified = true;
    let hash_part = forged.store_path.hash_part();
    let doubted = doubt(signing.sign(hash_part, None).unwrap());
    assert!(matches!(doubted, Doubt::False(_)), "{doubted}");

    // Named after another path, or after nothing; wanted under another name.
    let good = fixed(b"good");
    let other = fixed(b"other").store_path;
    fs::write(
        folder.dir.path().join(Key::record(&other).as_str()),
        good.to_string(),
    )
    .unwrap();
    let doubted = doubt(signing.sign(other.hash_part(), None).unwrap());
    assert!(matches!(doubted, Doubt::Misnamed { .. }), "{doubted}");
    folder.put(&good);
    let named = format!("{}-else", good.store_path.hash_part());
    let named = StorePath::from_base_name(&named).unwrap();
    let doubted = doubt(signing.sign(hash_part, Some(&named)).unwrap());
    assert!(matches!(doubted, Doubt::Misnamed { .. }), "{doubted}");
    for name in ["", ".", "../x", "x", &"e".repeat(32), &"0".repeat(33), "é"] {
        let doubted = doubt(signing.sign(name, None).unwrap());
        assert!(matches!(doubted, Doubt::Name), "{name}: {doubted}");
    }
    let gone = doubt(signing.sign(&"0".repeat(32), None).unwrap());
    assert!(matches!(gone, Doubt::Gone), "{gone}");
}

#[test]
fn what_is_no_record_is_left_alone() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let record = fixed(b"a");
    let file = folder.file(&record);
    let huge = format!("{record}X: {}\n", "x".repeat(MAX_NARINFO_BYTES));
    let full = MAX_NARINFO_BYTES - record.to_string().len() - 10;
    let full = format!("{record}X: {}\n", "x".repeat(full));
    for (content, part) in [
        (&b""[..], "no record"),
        (b"\xff", "no text"),
        (huge.as_bytes(), "longer than"),
        (full.as_bytes(), "cannot take a signature"),
    ] {
        fs::write(&file, content).unwrap();
        let mut signing = Signing::new(&folder.cache, &keys, &[], &no_store);
        signing.unverified = true;
        let outcome = signing.sign(record.store_path.hash_part(), None).unwrap();
        let doubted = doubt(outcome).to_string();
        assert!(doubted.contains(part), "{doubted}");
        assert_eq!(fs::read(&file).unwrap(), content);
    }
    fs::remove_file(&file).unwrap();
    let pipe = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &file, kind, pipe, 0).unwrap();
    let doubted = doubt(sign(&folder.cache, &record, &keys)).to_string();
    assert!(doubted.contains("no plain file"), "{doubted}");
}

#[test]
fn a_link_that_leads_out_of_the_cache_is_not_written_through() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("record");
    let record = fixed(b"a");
    fs::write(&target, record.to_string()).unwrap();
    symlink(&target, folder.file(&record)).unwrap();
    is_signed(
        &sign(&folder.cache, &record, &keys),
        &Ground::Address,
        false,
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), record.to_string());
    assert_eq!(folder.read(&record).signatures.len(), 1);
}

#[test]
fn false_signatures_of_our_name_neither_hide_ours_nor_bring_more() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let mut record = fixed(b"a");
    record.signatures = (0..200)
        .map(|number| keys[0].sign(&format!("something else {number}")))
        .collect();
    folder.put(&record);
    is_signed(
        &sign(&folder.cache, &record, &keys),
        &Ground::Address,
        false,
    );
    let signed = folder.read(&record);
    assert_eq!(signed.signatures.len(), 201);
    let again = sign(&folder.cache, &record, &keys);
    assert!(matches!(again, SignedRecord::Already { .. }));
    assert_eq!(folder.read(&record), signed);
}

#[test]
fn each_nar_is_read_where_that_is_asked_for() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let (record, nar) = record(b"a", OutputMode::Nar, HashAlgorithm::Sha256);
    folder.put(&record);
    let mut signing = Signing::new(&folder.cache, &keys, &[], &no_store);
    signing.verify = true;
    let hash_part = record.store_path.hash_part();
    folder.put_nar(&record, &archive(b"b", false));
    let doubted = doubt(signing.sign(hash_part, None).unwrap());
    assert!(
        matches!(&doubted, Doubt::Nar(Mismeasured::Fault(fault)) if matches!(**fault, Fault::FileHash { .. })),
        "{doubted}"
    );
    folder.put_nar(&record, &nar);
    is_signed(
        &signing.sign(hash_part, None).unwrap(),
        &Ground::Address,
        true,
    );
    assert_eq!(signing.nars_read(), 2);
}

#[test]
fn the_user_may_sign_what_nothing_proves() {
    let (folder, keys) = (Folder::new(), [key("a-1")]);
    let built = built(b"built");
    // Nobody can tell: its NAR is away.
    let (flat, _) = flat(b"flat");
    for record in [built, flat] {
        folder.put(&record);
        let mut signing = Signing::new(&folder.cache, &keys, &[], &no_store);
        signing.unverified = true;
        let outcome = signing.sign(record.store_path.hash_part(), None).unwrap();
        is_signed(&outcome, &Ground::Unverified, false);
        assert_eq!(folder.read(&record).signatures.len(), 1);
    }
}

#[test]
fn an_unknown_address_proves_nothing_and_is_no_lie() {
    let folder = Folder::new();
    let record = fixed(b"a");
    let text = record.to_string();
    let address = ContentAddress {
        mode: OutputMode::Nar,
        hash: record.nar_hash.clone(),
    };
    let text = text.replace(&address.to_string(), "fixed:git:sha1:0000");
    fs::write(folder.file(&record), text).unwrap();
    let doubted = doubt(sign(&folder.cache, &record, &[key("a-1")]));
    assert!(matches!(doubted, Doubt::Unproved { .. }), "{doubted}");
}
