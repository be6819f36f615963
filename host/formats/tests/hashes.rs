//! The spellings of a hash, accepted and refused.

#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_formats::{Hash, HashAlgorithm, HashError, Hasher};
use proptest::prelude::*;

const EMPTY_SRI: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const EMPTY_NIX32: &str = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
const EMPTY_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn the_three_spellings_are_one_hash() {
    let hash = Hasher::new(HashAlgorithm::Sha256).finish();
    for spelling in [
        EMPTY_SRI.to_owned(),
        format!("sha256:{EMPTY_NIX32}"),
        format!("sha256:{EMPTY_HEX}"),
        format!("sha256:{}", EMPTY_HEX.to_uppercase()),
    ] {
        assert_eq!(spelling.parse::<Hash>().unwrap(), hash, "{spelling}");
    }
    assert_eq!(hash.to_string(), EMPTY_SRI);
    assert_eq!(hash.nix32(), EMPTY_NIX32);
    assert_eq!(hash.hex(), EMPTY_HEX);
    assert_eq!(hash.prefixed_nix32(), format!("sha256:{EMPTY_NIX32}"));
}

#[test]
fn loose_spellings_are_refused() {
    let padded = EMPTY_SRI.trim_end_matches('=');
    let base64 = EMPTY_SRI.trim_start_matches("sha256-");
    for refused in [
        String::new(),
        "sha256".to_owned(),
        "sha256-".to_owned(),
        "sha256:".to_owned(),
        ":".to_owned(),
        EMPTY_HEX.to_owned(),
        EMPTY_NIX32.to_owned(),
        base64.to_owned(),
        padded.to_owned(),
        format!("{EMPTY_SRI}="),
        format!("{EMPTY_SRI} "),
        format!("{EMPTY_SRI}\n"),
        format!(" {EMPTY_SRI}"),
        format!("{EMPTY_SRI}?opt"),
        format!("{EMPTY_SRI} {EMPTY_SRI}"),
        format!("sha256:{base64}"),
        format!("sha256-{EMPTY_NIX32}"),
        format!("sha256-{EMPTY_HEX}"),
        format!("sha256:{EMPTY_NIX32} "),
        format!("sha256:{}", EMPTY_NIX32.to_uppercase()),
        format!("sha256:sha256:{EMPTY_NIX32}"),
        EMPTY_SRI.replace("sha256", "SHA256"),
        EMPTY_SRI.replace("sha256", "sha512"),
        EMPTY_SRI.replace("sha256", "blake3"),
        EMPTY_SRI.replace('+', "-").replace('/', "_"),
        // The last character's unused bits are not zero.
        EMPTY_SRI.replace("FU=", "FV="),
        // Nix32 whose first character spills over 256 bits.
        format!("sha256:z{}", &EMPTY_NIX32[1..]),
        format!("sha256:{}", "é".repeat(26)),
        format!("sha256:{}", "é".repeat(32)),
    ] {
        assert!(refused.parse::<Hash>().is_err(), "{refused:?}");
    }
}

#[test]
fn errors_say_what_to_write() {
    let no_algorithm = EMPTY_HEX.parse::<Hash>().unwrap_err();
    assert!(
        no_algorithm
            .to_string()
            .contains("does not say its hash algorithm"),
        "{no_algorithm}"
    );
    assert!(no_algorithm.hint().unwrap().contains("`sha256-…=`"));

    let unpadded = EMPTY_SRI.trim_end_matches('=').parse::<Hash>().unwrap_err();
    assert!(unpadded.hint().unwrap().contains("`=` padding"));

    let base64 = EMPTY_SRI.replace('-', ":").parse::<Hash>().unwrap_err();
    assert!(base64.hint().unwrap().contains("`sha256-…=`"));

    let unknown = "crc32:00".parse::<Hash>().unwrap_err();
    assert_eq!(unknown.to_string(), "unknown hash algorithm `crc32`");
    assert!(unknown.hint().unwrap().contains("`sha512`"));

    let cut = "sha256-AAAA".parse::<Hash>().unwrap_err();
    assert_eq!(
        cut.to_string(),
        "a sha256 digest is 32 bytes long, this one is 3"
    );
}

#[test]
fn an_error_shows_foreign_text_escaped_and_cut() {
    let hostile = format!("sha256:\u{1b}[2J{}", "a".repeat(1_000_000));
    let shown = hostile.parse::<Hash>().unwrap_err().to_string();
    assert!(shown.len() < 400 && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn serde_writes_and_reads_the_sri_form() {
    let hash: Hash = EMPTY_SRI.parse().unwrap();
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(json, format!("\"{EMPTY_SRI}\""));
    assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
    assert!(serde_json::from_str::<Hash>("\"sha256-\"").is_err());
    assert_eq!(
        serde_json::to_string(&HashAlgorithm::Sha512).unwrap(),
        "\"sha512\""
    );
}

#[test]
fn only_md5_and_sha1_are_weak() {
    let weak: Vec<_> = HashAlgorithm::ALL
        .into_iter()
        .filter(|algorithm| algorithm.is_weak())
        .collect();
    assert_eq!(weak, [HashAlgorithm::Md5, HashAlgorithm::Sha1]);
}

fn any_hash() -> impl Strategy<Value = Hash> {
    (
        prop::sample::select(HashAlgorithm::ALL.to_vec()),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
    )
        .prop_map(|(algorithm, head, tail)| {
            Hash::new(algorithm, &[head, tail].concat()[..algorithm.digest_len()]).unwrap()
        })
}

proptest! {
    #[test]
    fn every_hash_survives_every_spelling(hash in any_hash()) {
        for spelling in [hash.sri(), hash.prefixed_nix32(), format!("{}:{}", hash.algorithm(), hash.hex())] {
            prop_assert_eq!(&spelling.parse::<Hash>().unwrap(), &hash);
        }
    }

    #[test]
    fn what_parses_is_spelled_in_one_of_the_three_ways(text in "(md5|sha1|sha256|blake3)[:-][0-9a-zA-Z+/=]{0,70}") {
        if let Ok(hash) = text.parse::<Hash>() {
            let hex = format!("{}:{}", hash.algorithm(), hash.hex());
            prop_assert!([hash.sri(), hash.prefixed_nix32()].contains(&text) || text.eq_ignore_ascii_case(&hex));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = text.parse::<Hash>();
        let _ = format!("sha256:{text}").parse::<Hash>();
        let _ = format!("sha256-{text}").parse::<Hash>();
    }

    #[test]
    fn a_digest_of_another_length_is_refused(length in 0usize..100) {
        for algorithm in HashAlgorithm::ALL {
            let made = Hash::new(algorithm, &vec![7; length]);
            if length == algorithm.digest_len() {
                prop_assert!(made.is_ok());
            } else {
                let refused = matches!(made, Err(HashError::WrongLength { got, .. }) if got == length);
                prop_assert!(refused);
            }
        }
    }

    #[test]
    fn hashing_in_parts_is_hashing_at_once(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
        for algorithm in HashAlgorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            parts.iter().for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finish(), Hasher::digest(algorithm, &parts.concat()));
        }
    }
}
