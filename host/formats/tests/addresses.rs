//! Content addresses of records: which are read, and what they prove.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{cases, text, vectors};
use fetchhost_formats::{
    FixedOutput, Hash, HashAlgorithm, Hasher, NarInfo, OutputMode, Proof, RecordedAddress,
    StorePath, Unproved,
};
use proptest::prelude::*;

/// A derivation with its one input, as Nix 2.8.0 writes it into a cache.
const DERIVATION: &str = "\
StorePath: /nix/store/l4ha1vvr7nji4gl7fgc1mplyslgywf5z-d.drv
URL: nar/1g65gxnx6ghff3gzfqn2hhgijf708f91v0kaxvbxdxqpdphqa1d7.nar
Compression: none
FileHash: sha256:1g65gxnx6ghff3gzfqn2hhgijf708f91v0kaxvbxdxqpdphqa1d7
FileSize: 448
NarHash: sha256:1g65gxnx6ghff3gzfqn2hhgijf708f91v0kaxvbxdxqpdphqa1d7
NarSize: 448
References: a4h0lagzc6rv26f190rhlycyskk4vqvh-b.sh
CA: text:sha256:0lfy823xxqgxqyxjy01bvilbjrprih8i8xfbz7q7566zzw3ficff
";

/// The text that its input is, `x`.
const TEXT: &str = "\
StorePath: /nix/store/a4h0lagzc6rv26f190rhlycyskk4vqvh-b.sh
URL: nar/0rsv7kag23nvdpy4500mv2m0b4sm4c8fkgqrfsrmv1kgk77bi81c.nar
Compression: none
FileHash: sha256:0rsv7kag23nvdpy4500mv2m0b4sm4c8fkgqrfsrmv1kgk77bi81c
FileSize: 120
NarHash: sha256:0rsv7kag23nvdpy4500mv2m0b4sm4c8fkgqrfsrmv1kgk77bi81c
NarSize: 120
References: 
CA: text:sha256:10a83a91g1r50bdw8g4hn47m7j7m6angpabwc80l9c16nx11cw9d
";

const NIX32: &str = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

fn parse(text: &str) -> NarInfo {
    NarInfo::parse(text).unwrap()
}

fn other_path() -> StorePath {
    StorePath::from_base_name("00000000000000000000000000000000-other").unwrap()
}

fn address(hash: &str) -> RecordedAddress {
    hash.parse().unwrap()
}

/// The record of a fixed output whose content is `x`, with hashes of `x` for its NAR too.
fn record(mode: OutputMode, algorithm: HashAlgorithm) -> NarInfo {
    let output = FixedOutput {
        name: "x".parse().unwrap(),
        mode,
        hash: Hasher::digest(algorithm, b"x"),
    };
    let mut record = parse(TEXT);
    record.store_path = output.store_path();
    record.nar_hash = Hasher::digest(HashAlgorithm::Sha256, b"x");
    record.ca = Some(output.content_address().into());
    record
}

#[test]
fn every_record_of_the_vectors_is_written_back_as_it_was() {
    let vectors = vectors();
    let texts = cases(&vectors, "narinfo");
    let texts = texts.iter().map(|case| text(case, "text"));
    for text in texts.chain([DERIVATION, TEXT]) {
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn addresses_that_cannot_be_computed_are_kept() {
    for kept in [
        format!("fixed:git:sha1:{}", "0".repeat(32)),
        format!("fixed:git:sha256:{NIX32}"),
        format!("fixed:blake3:{NIX32}"),
        format!("fixed:r:blake3:{NIX32}"),
        format!("text:blake3:{NIX32}"),
        "future:whatever!".to_owned(),
    ] {
        let address = address(&kept);
        assert!(matches!(address, RecordedAddress::Unknown(_)), "{kept}");
        assert_eq!(address.to_string(), kept);
        assert_eq!((address.fixed(), address.hashed()), (None, None));

        let text = DERIVATION.replace(DERIVATION.rsplit_once("CA: ").unwrap().1.trim_end(), &kept);
        let record = parse(&text);
        assert_eq!(record.to_string(), text);
        assert!(matches!(record.proof(), Err(Unproved::Unknown { .. })));
        assert_eq!(record.said_of_content(), None);
    }
}

#[test]
fn addresses_that_nix_stops_at_are_refused() {
    for refused in [
        "nonsense".to_owned(),
        ":".to_owned(),
        "x:".to_owned(),
        ":x".to_owned(),
        "fixed:".to_owned(),
        "fixed:0".to_owned(),
        "fixed:sha256:short".to_owned(),
        "text:sha256:short".to_owned(),
        "text:sha256".to_owned(),
        format!("fixed:sha1:{NIX32}"),
        format!("fixed::{NIX32}"),
        format!("text:md5:{}", "0".repeat(26)),
        "fixed:sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
        "text:sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
        "future:a b".to_owned(),
        "future:\u{1b}[31m".to_owned(),
        "future:\0".to_owned(),
        "future:ü".to_owned(),
        format!("fixed:sha256:{}", "0".repeat(100_000)),
    ] {
        let error = refused.parse::<RecordedAddress>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.len() < 300, "{error}");
        assert!(NarInfo::parse(&format!("{}CA: {refused}\n", without_address())).is_err());
    }
}

fn without_address() -> &'static str {
    DERIVATION.split_once("CA: ").unwrap().0
}

#[test]
fn an_empty_address_is_none_and_two_are_refused() {
    assert_eq!(parse(&format!("{}CA: \n", without_address())).ca, None);
    for second in [
        "",
        "future:x",
        DERIVATION.rsplit_once("CA: ").unwrap().1.trim(),
    ] {
        let error = NarInfo::parse(&format!("{DERIVATION}CA: {second}\n")).unwrap_err();
        assert_eq!(error.to_string(), "the narinfo has two content addresses");
    }
}

#[test]
fn a_text_proves_its_path_with_all_its_references() {
    for text in [DERIVATION, TEXT] {
        assert_eq!(parse(text).proof(), Ok(Proof::Content));
        assert_eq!(parse(text).fixed_output(), None);
    }
    let mut record = parse(DERIVATION);
    record.references.insert(other_path());
    assert!(matches!(record.proof(), Err(Unproved::Path { .. })));
    record.references.clear();
    assert!(matches!(record.proof(), Err(Unproved::Path { .. })));
    record.references.insert(record.store_path.clone());
    assert_eq!(record.proof(), Err(Unproved::References));

    let mut renamed = parse(TEXT);
    let base = renamed.store_path.base_name().replace("b.sh", "c.sh");
    renamed.store_path = StorePath::from_base_name(&base).unwrap();
    let Err(Unproved::Path { computed }) = renamed.proof() else {
        panic!("another name is another path");
    };
    assert_eq!(computed.name(), "c.sh");
}

#[test]
fn a_fixed_output_proves_its_path_in_every_mode_and_algorithm() {
    for mode in [OutputMode::Flat, OutputMode::Nar] {
        for algorithm in HashAlgorithm::ALL {
            let is_archive = mode == OutputMode::Nar && algorithm == HashAlgorithm::Sha256;
            let proof = [Proof::Content, Proof::Archive][usize::from(is_archive)];
            let good = record(mode, algorithm);
            assert_eq!(good.proof(), Ok(proof), "{mode} {algorithm}");
            assert!(good.fixed_output().is_some());

            let mut other = good.clone();
            other.store_path = other_path();
            assert!(matches!(other.proof(), Err(Unproved::Path { .. })));
            assert_eq!(other.fixed_output(), None);

            for reference in [other_path(), good.store_path.clone()] {
                let mut with_reference = good.clone();
                with_reference.references.insert(reference);
                assert_eq!(with_reference.proof(), Err(Unproved::References));
                assert_eq!(with_reference.fixed_output(), None);
            }

            let mut false_nar_hash = good.clone();
            false_nar_hash.nar_hash = Hasher::digest(HashAlgorithm::Sha256, b"y");
            let expected = if is_archive {
                Err(Unproved::NarHash)
            } else {
                Ok(Proof::Content)
            };
            assert_eq!(false_nar_hash.proof(), expected);
        }
    }
}

#[test]
fn a_record_without_an_address_proves_nothing() {
    let mut record = parse(DERIVATION);
    record.ca = None;
    assert_eq!(record.proof(), Err(Unproved::NoAddress));
    assert_eq!(record.said_of_content(), None);
    assert_eq!(record.agrees(&[], None), None);
}

#[test]
fn the_vectors_prove_their_paths_and_input_addressed_ones_do_not() {
    let vectors = vectors();
    let mut seen = [0; 3];
    for case in cases(&vectors, "narinfo") {
        let proof = parse(text(&case, "text")).proof();
        seen[match proof {
            Ok(Proof::Archive) => 0,
            Ok(Proof::Content) => 1,
            Err(Unproved::NoAddress) => 2,
            Err(error) => panic!("{error}"),
        }] += 1;
    }
    assert_eq!(seen, [3, 3, 6]);
}

#[test]
fn content_is_compared_by_what_the_address_is_over() {
    let both = |text: &[u8]| {
        HashAlgorithm::ALL
            .map(|algorithm| Hasher::digest(algorithm, text))
            .to_vec()
    };
    let (right, wrong): (Vec<Hash>, Vec<Hash>) = (both(b"x"), both(b"y"));
    for algorithm in HashAlgorithm::ALL {
        let flat = record(OutputMode::Flat, algorithm);
        assert_eq!(flat.agrees(&wrong, Some(&right)), Some(true));
        assert_eq!(flat.agrees(&right, Some(&wrong)), Some(false));
        assert_eq!(flat.agrees(&right, None), Some(false), "no plain file");
        assert_eq!(flat.agrees(&right, Some(&[])), None, "not measured");

        let nar = record(OutputMode::Nar, algorithm);
        assert_eq!(nar.agrees(&right, Some(&wrong)), Some(true));
        assert_eq!(nar.agrees(&wrong, None), Some(false));
        assert_eq!(nar.agrees(&[], None), None, "not measured");
        let said = nar.said_of_content().unwrap();
        assert_eq!(
            (said.mode, said.hash),
            (OutputMode::Nar, Hasher::digest(algorithm, b"x"))
        );

        let mut itself = nar.clone();
        itself.references.insert(itself.store_path.clone());
        assert_eq!(itself.agrees(&wrong, None), None, "hashed without itself");
    }
    assert_eq!(parse(TEXT).agrees(&[], Some(&right)), Some(true));
    assert_eq!(parse(TEXT).agrees(&[], Some(&wrong)), Some(false));
    assert_eq!(parse(TEXT).agrees(&right, None), Some(false));
}

#[test]
fn thousands_of_references_are_no_trouble() {
    let mut record = parse(DERIVATION);
    for number in 0..10_000 {
        let base = format!("{number:032}-x");
        record
            .references
            .insert(StorePath::from_base_name(&base).unwrap());
    }
    let again = parse(&record.to_string());
    assert_eq!(again, record);
    assert!(matches!(again.proof(), Err(Unproved::Path { .. })));
}

proptest! {
    #[test]
    fn an_address_that_is_read_is_written_as_something_that_reads_the_same(
        text in "(fixed|text|x):((r|git|sha256|md5|blake3|x):){0,3}[0-9a-z=/ -]{0,60}|(?s).*",
    ) {
        if let Ok(address) = text.parse::<RecordedAddress>() {
            let written = address.to_string();
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(written.parse::<RecordedAddress>(), Ok(address));
        }
    }

    #[test]
    fn a_changed_path_name_or_hash_proves_nothing(
        digest in prop::array::uniform32(any::<u8>()), name in "[a-z]{1,20}", other in "[A-Z]{1,20}", flat in any::<bool>(),
    ) {
        let output = FixedOutput {
            name: name.parse().unwrap(),
            mode: if flat { OutputMode::Flat } else { OutputMode::Nar },
            hash: Hash::new(HashAlgorithm::Sha256, &digest).unwrap(),
        };
        let mut record = parse(TEXT);
        record.store_path = output.store_path();
        record.ca = Some(output.content_address().into());
        record.nar_hash = output.hash.clone();
        prop_assert!(record.proof().is_ok());
        prop_assert_eq!(record.fixed_output(), Some(output.clone()));

        let mut changed = digest;
        changed[0] ^= 1;
        let hash = Hash::new(HashAlgorithm::Sha256, &changed).unwrap();
        let renamed = format!("{}-{other}", output.store_path().hash_part());
        let elsewhere = [
            FixedOutput { hash, ..output }.store_path(),
            StorePath::from_base_name(&renamed).unwrap(),
        ];
        for elsewhere in elsewhere {
            record.store_path = elsewhere;
            let refused = matches!(record.proof(), Err(Unproved::Path { .. }));
            prop_assert!(refused);
        }
    }
}
