//! Every golden vector that real Nix made, byte for byte.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Tree, cases, encode, text, vectors};
use fetchhost_formats::nar::file_size_as_nar;
use fetchhost_formats::{
    ContentAddress, FixedOutput, Hash, HashAlgorithm, Hasher, NarInfo, OutputMode, PublicKey,
    RecordedAddress, SigningKey,
};

fn file(contents: &[u8], executable: bool) -> Tree {
    Tree::File {
        executable,
        contents: contents.to_vec(),
    }
}

#[test]
fn fixed_outputs_have_the_hashes_and_store_paths_that_nix_gives_them() {
    for case in cases(&vectors(), "fixed-output-paths") {
        let algorithm: HashAlgorithm = text(&case, "algo").parse().unwrap();
        let content = STANDARD.decode(text(&case, "content-base64")).unwrap();
        let (mode, hashed) = match text(&case, "mode") {
            "flat" => (OutputMode::Flat, content),
            "recursive" => (
                OutputMode::Nar,
                encode(file(&content, false).events(3)).unwrap(),
            ),
            other => panic!("unknown mode {other}"),
        };

        let hash = Hasher::digest(algorithm, &hashed);
        assert_eq!(hash.hex(), text(&case, "hash-hex"));
        assert_eq!(hash.nix32(), text(&case, "hash-nix32"));
        assert_eq!(hash.sri(), text(&case, "hash-sri"));
        for spelling in [
            text(&case, "hash-sri").to_owned(),
            format!("{algorithm}:{}", text(&case, "hash-nix32")),
            format!("{algorithm}:{}", text(&case, "hash-hex")),
        ] {
            assert_eq!(spelling.parse::<Hash>().unwrap(), hash);
        }

        let output = FixedOutput {
            name: text(&case, "name").parse().unwrap(),
            mode,
            hash,
        };
        assert_eq!(output.store_path().to_string(), text(&case, "store-path"));
        assert_eq!(output.store_path().name(), text(&case, "name"));
        let address = output.content_address();
        assert_eq!(
            address.to_string().parse::<ContentAddress>().unwrap(),
            address
        );
    }
}

#[test]
fn archives_are_the_bytes_that_nix_writes() {
    for case in cases(&vectors(), "nar") {
        let mut tree = Tree::Directory(BTreeMap::new());
        for entry in case["entries"].as_array().unwrap() {
            let value = entry["value"].as_str().unwrap_or_default().as_bytes();
            let node = match text(entry, "kind") {
                "file" => file(value, false),
                "executable" => file(value, true),
                "symlink" => Tree::Symlink {
                    target: value.to_vec(),
                },
                "directory" => Tree::Directory(BTreeMap::new()),
                other => panic!("unknown kind {other}"),
            };
            tree.insert(text(entry, "path"), node);
        }

        let archive = encode(tree.events(4)).unwrap();
        assert_eq!(
            STANDARD.encode(&archive),
            text(&case, "nar-base64"),
            "{}",
            text(&case, "case")
        );
        assert_eq!(archive.len() as u64, case["nar-size"].as_u64().unwrap());
        assert_eq!(
            Hasher::digest(HashAlgorithm::Sha256, &archive).nix32(),
            text(&case, "nar-hash-nix32")
        );
        if let Tree::File {
            executable,
            contents,
        } = &tree
        {
            assert_eq!(
                file_size_as_nar(contents.len() as u64, *executable),
                archive.len() as u64
            );
        }
    }
}

#[test]
fn narinfos_are_read_written_and_signed_as_nix_does() {
    let vectors = vectors();
    let secret = SigningKey::parse(text(&vectors["signing-key"], "secret")).unwrap();
    let public: PublicKey = text(&vectors["signing-key"], "public").parse().unwrap();
    assert_eq!(secret.public_key(), public);
    assert_eq!(public.to_string(), text(&vectors["signing-key"], "public"));

    for case in cases(&vectors, "narinfo") {
        let record: NarInfo = text(&case, "text").parse().unwrap();
        assert_eq!(record.to_string(), text(&case, "text"));
        assert_eq!(
            format!("{}.narinfo", record.store_path.hash_part()),
            text(&case, "file")
        );
        assert_eq!(record.compression.name(), text(&case, "compression"));
        assert!(
            record
                .url
                .as_str()
                .ends_with(&format!(".nar{}", record.compression.extension()))
        );

        let fingerprint = record.fingerprint();
        let [signature] = record.signatures.as_slice() else {
            panic!("one signature")
        };
        assert!(public.verify(&fingerprint, signature));
        assert!(!public.verify(&fingerprint.replacen("1;", "2;", 1), signature));

        let mut unsigned = record.clone();
        unsigned.signatures.clear();
        unsigned.sign(&secret);
        assert_eq!(unsigned, record);
    }
}

#[test]
fn a_content_addressed_narinfo_describes_the_path_of_its_fixed_output() {
    let mut seen = 0;
    for case in cases(&vectors(), "narinfo") {
        let record: NarInfo = text(&case, "text").parse().unwrap();
        if let Some(RecordedAddress::Fixed(ContentAddress { mode, hash })) = record.ca {
            let output = FixedOutput {
                name: record.store_path.name().parse().unwrap(),
                mode,
                hash,
            };
            assert_eq!(output.store_path(), record.store_path);
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}

#[test]
fn the_snowflake_has_the_path_that_nix_reported_for_it() {
    let output = FixedOutput {
        name: "Nix_snowflake.svg".parse().unwrap(),
        mode: OutputMode::Flat,
        hash: "sha256:1wn57n3lrk3zqvyrv6xxscnz2x6diddaagjwv769hc2q9g8swj7p"
            .parse()
            .unwrap(),
    };
    assert_eq!(
        output.store_path().to_string(),
        "/nix/store/z0kkg4azsd7pjy4kj2qdiza8wbd9zf6n-Nix_snowflake.svg"
    );
}
