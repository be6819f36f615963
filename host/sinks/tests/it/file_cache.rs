//! `file://`: what is published, by one and by several at once.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fetchhost_artifact::{Layout, Verified};
use fetchhost_formats::{Compression, HashAlgorithm, Hasher, NarInfo};
use fetchhost_sinks::{SinkError, SinkKind};

use crate::common::{
    FLAT, NAR, Named, cache, executable, files, flat, incoming, narinfo_path, publish, stage, tree,
    verified,
};

fn record(folder: &Path, verified: &Verified) -> NarInfo {
    fs::read_to_string(narinfo_path(folder, verified))
        .unwrap()
        .parse()
        .unwrap()
}

fn decompressed(path: &Path, compression: Compression) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let mut archive = Vec::new();
    match compression {
        Compression::None => archive = bytes,
        Compression::Zstd => archive = zstd::decode_all(bytes.as_slice()).unwrap(),
        Compression::Xz => {
            liblzma::read::XzDecoder::new(bytes.as_slice())
                .read_to_end(&mut archive)
                .unwrap();
        }
        other => panic!("{other}"),
    }
    archive
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn what_is_published_is_a_cache_that_nix_can_read() {
    type Make = fn() -> Layout;
    let artifacts: [(Named, Make); 3] = [
        (FLAT, || flat("hello\n")),
        (NAR, tree),
        (NAR, || executable("#!/bin/sh\n")),
    ];
    for query in [
        "compression=none",
        "compression=xz&compression-level=0",
        "compression=zstd&compression-level=19",
        "",
    ] {
        for (named, make) in artifacts {
            let folder = tempfile::tempdir().unwrap();
            let destination = cache(folder.path(), query);
            let (committed, verified) = publish(&destination, named, make()).await.unwrap();

            let record = record(folder.path(), &verified);
            assert_eq!(&record.store_path, verified.store_path());
            assert_eq!(
                record.ca,
                Some(verified.fixed_output().content_address().into())
            );
            assert!(record.references.is_empty() && record.signatures.is_empty());
            let nar = folder.path().join(record.url.as_str());
            assert_eq!(committed.physical, nar);
            assert_eq!(
                committed.narinfo,
                Some(narinfo_path(folder.path(), &verified))
            );
            assert_eq!(
                (committed.kind, committed.label),
                (SinkKind::FileCache, destination.label())
            );

            let file = fs::read(&nar).unwrap();
            assert_eq!(
                record.file_hash,
                Some(Hasher::digest(HashAlgorithm::Sha256, &file))
            );
            assert_eq!(record.file_size, Some(file.len() as u64));
            let name = format!(
                "nar/{}.nar{}",
                record.file_hash.unwrap().nix32(),
                record.compression.extension()
            );
            assert_eq!(record.url.as_str(), name);

            let archive = decompressed(&nar, record.compression);
            assert_eq!(
                Hasher::digest(HashAlgorithm::Sha256, &archive),
                record.nar_hash
            );
            assert_eq!(archive.len() as u64, record.nar_size);

            let info = fs::read_to_string(folder.path().join("nix-cache-info")).unwrap();
            assert_eq!(
                info,
                "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
            );
            let listed = files(folder.path());
            assert_eq!(listed.len(), 3, "{listed:?}");
            assert!(
                listed
                    .iter()
                    .all(|file| mode(&folder.path().join(file)) == 0o644),
                "{listed:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_listing_says_what_is_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let destination = cache(folder.path(), "write-nar-listing=true&compression=none");
    let (_, verified) = publish(&destination, NAR, tree()).await.unwrap();
    let record = record(folder.path(), &verified);
    let archive = fs::read(folder.path().join(record.url.as_str())).unwrap();
    let listing = narinfo_path(folder.path(), &verified).with_extension("ls");
    let expected = fetchhost_formats::nar::list(&mut archive.as_slice()).unwrap();
    assert_eq!(fs::read(listing).unwrap(), expected);
}

#[tokio::test]
async fn a_signed_record_is_the_one_that_nix_made_of_the_same_file() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../formats/tests/vectors/nix.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(
        &key,
        format!("{}\n", vectors["signing-key"]["secret"].as_str().unwrap()),
    )
    .unwrap();
    let dir = folder.path().join("cache");
    let destination = cache(
        &dir,
        &format!("compression=none&secret-key={}", key.display()),
    );
    let (committed, verified) = publish(&destination, FLAT, flat("hello\n")).await.unwrap();

    let expected = vectors["narinfo"].as_array().unwrap().iter().find(|case| {
        case["compression"] == "none" && case["text"].as_str().unwrap().contains("hello.txt")
    });
    assert_eq!(
        fs::read_to_string(narinfo_path(&dir, &verified)).unwrap(),
        expected.unwrap()["text"].as_str().unwrap()
    );
    assert!(
        committed
            .physical
            .ends_with("04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw.nar")
    );
}

#[tokio::test]
async fn nothing_has_a_final_name_before_the_commit_and_nothing_stays_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let destination = cache(folder.path(), "");
    let (staged, verified) = stage(&destination, NAR, tree()).await.unwrap();
    let waiting = files(folder.path());
    let [temporary] = waiting.as_slice() else {
        panic!("{waiting:?}")
    };
    assert!(
        temporary.starts_with("nar/.nix-fetchhost-") && temporary.ends_with(".tmp"),
        "{temporary}"
    );
    assert_eq!(mode(&folder.path().join(temporary)), 0o600);
    assert!(
        destination
            .lookup(verified.fixed_output())
            .unwrap()
            .is_none()
    );
    drop(staged);
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_commit_of_less_than_was_verified_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for query in ["compression=none", "compression=zstd", "compression=xz"] {
        let staged = cache(folder.path(), query).open(&incoming()).unwrap();
        let verified = verified(FLAT, flat("hello\n")).await;
        let error = staged.commit(&verified).unwrap_err();
        assert!(
            matches!(
                error,
                SinkError::Incomplete {
                    written: 0,
                    verified: 120,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn publishers_at_the_same_time_leave_one_valid_record() {
    for round in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let wanted = verified(NAR, tree()).await;
        if round % 2 == 0 {
            fs::write(narinfo_path(folder.path(), &wanted), "damaged").unwrap();
        }
        let mut commits = Vec::new();
        for query in [
            "compression=none",
            "compression=zstd",
            "compression=zstd",
            "compression=xz",
        ] {
            let (staged, verified) = stage(&cache(folder.path(), query), NAR, tree())
                .await
                .unwrap();
            commits.push(std::thread::spawn(move || {
                staged.commit(&verified).map(|(committed, _)| committed)
            }));
        }
        for commit in commits {
            commit.join().unwrap().unwrap();
        }
        let found = cache(folder.path(), "")
            .lookup(wanted.fixed_output())
            .unwrap()
            .map(|held| held.existing().clone())
            .unwrap();
        let archive = decompressed(&found.nar, found.compression);
        assert_eq!(
            &Hasher::digest(HashAlgorithm::Sha256, &archive),
            wanted.nar_hash()
        );
        let listed = files(folder.path());
        assert!(
            listed.iter().all(|file| !file.ends_with(".tmp")),
            "{listed:?}"
        );
        assert_eq!(
            listed
                .iter()
                .filter(|file| file.ends_with(".narinfo"))
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn a_new_cache_says_what_the_url_asked_for_and_an_old_one_keeps_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let info = folder.path().join("nix-cache-info");
    publish(
        &cache(folder.path(), "priority=7&want-mass-query=0"),
        FLAT,
        flat("a"),
    )
    .await
    .unwrap();
    assert_eq!(
        fs::read_to_string(&info).unwrap(),
        "StoreDir: /nix/store\nWantMassQuery: 0\nPriority: 7\n"
    );
    fs::write(&info, "StoreDir: /nix/store\n").unwrap();
    publish(&cache(folder.path(), ""), FLAT, flat("b"))
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(&info).unwrap(), "StoreDir: /nix/store\n");
}

#[tokio::test]
async fn a_cache_of_another_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("nix-cache-info"),
        "StoreDir: /gnu/store\n",
    )
    .unwrap();
    let error = cache(folder.path(), "").open(&incoming()).err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("is a cache for the store `/gnu/store`, not `/nix/store`"),
        "{error}"
    );
    assert!(error.is_configuration());
    assert_eq!(files(folder.path()), ["nix-cache-info"]);
}

#[tokio::test]
async fn a_cache_that_nix_could_not_open_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nix-cache-info"), "Priority: high\n").unwrap();
    let error = cache(folder.path(), "").open(&incoming()).err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("has the priority `high`, which is no number that Nix reads"),
        "{error}"
    );
    assert!(!error.is_configuration() && error.hint().is_some());
}

#[tokio::test]
async fn a_bad_secret_key_is_refused_before_anything_is_fetched_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let destination = cache(
        &folder.path().join("cache"),
        &format!("secret-key={}", key.display()),
    );

    let missing = destination.open(&incoming()).err().unwrap();
    assert!(
        missing.to_string().contains("cannot read the secret key"),
        "{missing}"
    );
    assert!(missing.is_configuration());

    fs::write(&key, "cache.example-1:c2VjcmV0IGNhbmFyeQ==").unwrap();
    let invalid = destination.open(&incoming()).err().unwrap();
    assert!(invalid.is_configuration() && invalid.hint().is_some());
    for shown in [invalid.to_string(), format!("{invalid:?}")] {
        assert!(
            !shown.contains("c2VjcmV0") && shown.contains("key"),
            "{shown}"
        );
    }
    assert!(!folder.path().join("cache").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("cache");
    fs::create_dir_all(dir.join("nar")).unwrap();
    fs::set_permissions(dir.join("nar"), fs::Permissions::from_mode(0o555)).unwrap();
    match cache(&dir, "").open(&incoming()) {
        Ok(_) => assert!(
            rustix::process::geteuid().is_root(),
            "only root may write there"
        ),
        Err(error) => {
            assert!(
                error.to_string().contains("/nar`: Permission denied"),
                "{error}"
            );
            assert!(
                error
                    .hint()
                    .unwrap()
                    .starts_with("make the folder writable"),
                "{error}"
            );
        }
    }

    fs::write(folder.path().join("file"), "").unwrap();
    let error = cache(&folder.path().join("file"), "")
        .open(&incoming())
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with("`file:///") && error.to_string().contains("Not a directory"),
        "{error}"
    );
}

#[tokio::test]
async fn a_result_says_in_json_where_the_bytes_are() {
    let folder = tempfile::tempdir().unwrap();
    let destination = cache(folder.path(), "compression=none");
    let (committed, verified) = publish(&destination, FLAT, flat("hello\n")).await.unwrap();
    let json = serde_json::to_value(&committed).unwrap();
    assert_eq!(json["kind"], "file-cache");
    assert_eq!(json["label"], format!("file://{}", folder.path().display()));
    assert_eq!(json["physical"], committed.physical.to_str().unwrap());
    assert!(json["narinfo"].as_str().unwrap().ends_with(".narinfo"));
    let found = destination
        .lookup(verified.fixed_output())
        .unwrap()
        .map(|held| held.existing().clone());
    assert_eq!(serde_json::to_value(&found).unwrap()["compression"], "none");
}
