//! Store names, store paths and content addresses.

#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_formats::{
    ContentAddress, FixedOutput, Hash, HashAlgorithm, OutputMode, StoreName, StorePath,
};
use proptest::prelude::*;

const HASH_PART: &str = "f6jkrn77ysv9dhs8hh6s2faflhjc930i";

#[test]
fn names_that_nix_accepts_are_accepted() {
    for name in [
        "source",
        "hello.txt",
        "a+b-1.0_x?=.tar.gz",
        ".config",
        "..a",
        ".a-b",
        "...",
        "-lead",
        "_",
        "x.drv2",
        "drv",
    ] {
        assert_eq!(name.parse::<StoreName>().unwrap().as_str(), name);
    }
    assert!("x".repeat(211).parse::<StoreName>().is_ok());
}

#[test]
fn names_that_nix_refuses_are_refused() {
    for name in [
        "", ".", "..", ".-a", "..-a", "a b", "a/b", "a\0", "a\n", "é", "a~b", "a%20b", "../x",
        "x.drv", ".drv",
    ] {
        let error = name.parse::<StoreName>().unwrap_err();
        assert!(error.hint().unwrap().contains("--name"), "{error}");
    }
    assert!("x".repeat(212).parse::<StoreName>().is_err());
}

#[test]
fn a_sanitised_segment_keeps_what_nix_accepts_and_dashes_every_other_byte() {
    for (segment, name) in [
        ("hello.txt", "hello.txt"),
        ("my file (1).zip", "my-file--1-.zip"),
        ("a/b", "a-b"),
        ("ü.txt", "--.txt"),
        ("a\u{1b}[31m", "a--31m"),
    ] {
        assert_eq!(StoreName::sanitise(segment).unwrap().as_str(), name);
    }
    let long = "é".repeat(106);
    for refused in ["", ".", "..", ". x", "../../etc", "evil.drv", &long] {
        assert!(StoreName::sanitise(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn serde_checks_names() {
    assert_eq!(
        serde_json::from_str::<StoreName>("\"source\"")
            .unwrap()
            .as_str(),
        "source"
    );
    assert!(serde_json::from_str::<StoreName>("\"a/b\"").is_err());
}

#[test]
fn a_store_path_is_the_store_directory_a_hash_and_a_name() {
    let text = format!("/nix/store/{HASH_PART}-source");
    let path: StorePath = text.parse().unwrap();
    assert_eq!(path.to_string(), text);
    assert_eq!(path.hash_part(), HASH_PART);
    assert_eq!(path.name(), "source");
    assert_eq!(StorePath::from_base_name(path.base_name()).unwrap(), path);
    assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{text}\""));
}

#[test]
fn texts_that_are_not_a_store_path_are_refused() {
    for text in [
        String::new(),
        "/nix/store".to_owned(),
        "/nix/store/".to_owned(),
        format!("{HASH_PART}-source"),
        format!("/gnu/store/{HASH_PART}-source"),
        format!("/nix/storeX/{HASH_PART}-source"),
        format!("/nix/store//{HASH_PART}-source"),
        format!("/nix/store/{HASH_PART}"),
        format!("/nix/store/{HASH_PART}-"),
        format!("/nix/store/{HASH_PART}-a/b"),
        format!("/nix/store/{HASH_PART}-a\n"),
        format!("/nix/store/{HASH_PART}--/../../x"),
        format!("/nix/store/{}-source", HASH_PART.to_uppercase()),
        format!("/nix/store/{}-source", HASH_PART.replace('0', "e")),
        format!("/nix/store/{}-source", &HASH_PART[1..]),
        format!("/nix/store/{}é-source", &HASH_PART[2..]),
    ] {
        assert!(text.parse::<StorePath>().is_err(), "{text:?}");
    }
}

#[test]
fn only_fixed_content_addresses_are_read() {
    let nix32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    for (text, mode) in [
        (format!("fixed:sha256:{nix32}"), OutputMode::Flat),
        (format!("fixed:r:sha256:{nix32}"), OutputMode::Nar),
    ] {
        let address: ContentAddress = text.parse().unwrap();
        assert_eq!(address.mode, mode);
        assert_eq!(address.to_string(), text);
    }
    for text in [
        String::new(),
        nix32.to_owned(),
        format!("sha256:{nix32}"),
        format!("text:sha256:{nix32}"),
        format!("fixed:git:sha256:{nix32}"),
        format!("fixed:r:r:sha256:{nix32}"),
        format!("fixed: sha256:{nix32}"),
        format!("fixed:blake3:{nix32}"),
        "fixed:sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
    ] {
        assert!(text.parse::<ContentAddress>().is_err(), "{text:?}");
    }
}

#[test]
fn modes_are_named_flat_and_nar() {
    assert_eq!("flat".parse(), Ok(OutputMode::Flat));
    assert_eq!("nar".parse(), Ok(OutputMode::Nar));
    assert!("recursive".parse::<OutputMode>().is_err());
    assert_eq!(serde_json::to_string(&OutputMode::Nar).unwrap(), "\"nar\"");
}

fn any_output() -> impl Strategy<Value = FixedOutput> {
    let name = "[0-9A-Za-z+_?=][0-9A-Za-z+._?=-]{0,40}"
        .prop_filter_map("a name", |name| name.parse().ok());
    let mode = prop::sample::select(vec![OutputMode::Flat, OutputMode::Nar]);
    (name, mode, any::<[u8; 20]>()).prop_map(|(name, mode, digest)| FixedOutput {
        name,
        mode,
        hash: Hash::new(HashAlgorithm::Sha1, &digest).unwrap(),
    })
}

proptest! {
    #[test]
    fn every_fixed_output_has_a_path_that_parses_back(output in any_output()) {
        let path = output.store_path();
        prop_assert_eq!(path.to_string().parse::<StorePath>().unwrap(), path.clone());
        prop_assert_eq!(path.name(), output.name.as_str());
        prop_assert_eq!(output.content_address().to_string().parse::<ContentAddress>().unwrap(), output.content_address());
    }

    #[test]
    fn the_mode_is_part_of_the_path(output in any_output()) {
        let mode = if output.mode == OutputMode::Flat { OutputMode::Nar } else { OutputMode::Flat };
        prop_assert_ne!(FixedOutput { mode, ..output.clone() }.store_path(), output.store_path());
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".*") {
        let _ = text.parse::<StoreName>();
        let _ = text.parse::<StorePath>();
        let _ = format!("/nix/store/{text}").parse::<StorePath>();
        let _ = format!("fixed:{text}").parse::<ContentAddress>();
        if let Ok(name) = StoreName::sanitise(&text) {
            prop_assert_eq!(name.as_str().parse::<StoreName>().unwrap(), name);
        }
    }
}
