//! Export and import.

use std::io::Read;

use fetchhost_memo::{Flaw, Found, Imported, Memo, MemoError, UnsignedResults};
use proptest::prelude::*;

use crate::common::{Scene, key, look_up, remember, remembered};

fn exported(memo: &Memo) -> String {
    let mut out = Vec::new();
    memo.export(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn import(memo: &Memo, text: &str) -> Imported {
    let mut input = text.as_bytes();
    memo.import(&mut input, UnsignedResults::Refuse).unwrap()
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    // More than the file is read in at once.
    for content in 0..=255 {
        remember(&memo, &key(content), &format!("valid {content}"));
    }
    for content in 0..=200 {
        let mut more = key(content);
        more.domain = "more".parse().unwrap();
        remember(&memo, &more, "valid");
    }
    let text = exported(&memo);
    assert_eq!(text.lines().count(), 458);
    assert_eq!(text.lines().next(), Some(r#"{"nix-fetchhost-memo":1}"#));
    let other = scene.alone("b");
    remember(&other, &key(7), "valid mine");
    let imported = import(&other, &text);
    assert_eq!(
        (imported.taken, imported.present, imported.refused),
        (456, 1, 0)
    );
    assert_eq!(look_up(&other, &key(3)), remembered("valid 3"));
    assert_eq!(look_up(&other, &key(7)), remembered("valid mine"));
    assert_eq!(import(&other, &text).present, 457);
    // The same file gives the same text.
    assert_eq!(exported(&memo), text);
}

/// An imported signature is a candidate: what does not verify is replaced by what is signed.
#[test]
fn an_imported_signature_that_is_not_valid_is_never_used() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    remember(&memo, &key(1), "valid 1");
    // `valid 1` and `forge 1` in base64; the path follows from the bytes.
    let text = exported(&memo);
    let other = scene.alone("b");
    let imported = import(&other, &text.replace("dmFsaWQgMQ==", "Zm9yZ2UgMQ=="));
    assert_eq!(imported.refused, 1, "its path is another's");
    import(&other, &text);
    let strict = |_: &[u8]| Err(fetchhost_keys::VerifyError::Invalid);
    assert_eq!(other.signature(&key(1), &strict).unwrap(), Found::Nothing);
    assert_eq!(scene.warned().len(), 1);
    let verify = |bytes: &[u8]| match bytes {
        b"anew" => Ok(()),
        _ => Err(fetchhost_keys::VerifyError::Invalid),
    };
    let made = other.remember_signature(&key(1), b"anew", &verify).unwrap();
    assert_eq!(made, b"anew");
}

#[test]
fn hostile_lines_are_refused_one_by_one() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    remember(&memo, &key(1), "valid 1");
    let text = exported(&memo);
    let (header, entry) = text.split_once('\n').unwrap();
    let entry = entry.trim_end();
    let long = "x".repeat(200_000);
    let edge = "y".repeat(64 * 1024 + 1);
    let lines = [
        "{",
        "null",
        &entry.replace("acme", "evil"),
        &entry.replace(r#""version":1"#, r#""version":2"#),
        &long,
        &edge,
        "",
        entry,
    ];
    let other = scene.alone("b");
    let imported = import(&other, &format!("{header}\n{}", lines.join("\n")));
    assert_eq!((imported.taken, imported.refused), (1, 6));
    let numbers: Vec<_> = imported.examples.iter().map(|one| one.line).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7]);
    assert!(matches!(imported.examples[2].flaw, Flaw::OtherId));
    assert!(matches!(imported.examples[3].flaw, Flaw::Version(_)));
    assert!(matches!(imported.examples[4].flaw, Flaw::TooLarge));
    assert!(matches!(imported.examples[5].flaw, Flaw::TooLarge));
    assert_eq!(look_up(&other, &key(1)), remembered("valid 1"));
    assert_eq!(other.list().unwrap().len(), 1);
}

#[test]
fn what_is_no_export_is_refused_as_a_whole() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    for text in [
        "",
        "\n",
        "{}",
        "{\"nix-fetchhost-memo\":2}\n",
        "{\"nix-fetchhost-memo\":\"1\"}\n",
        "[1]",
        &"x".repeat(1 << 20),
    ] {
        let error = memo.import(&mut text.as_bytes(), UnsignedResults::Take);
        assert!(matches!(error, Err(MemoError::NoExport(_))), "{text:.20}");
    }
    // An endless line is not held in memory.
    let endless = std::io::repeat(b'x').take(300 << 20);
    let mut endless = std::io::BufReader::new(endless);
    let error = memo
        .import(&mut endless, UnsignedResults::Take)
        .unwrap_err();
    assert!(error.hint().unwrap().contains("memo export"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_import_makes_it_panic(lines in prop::collection::vec("(\\{\"version\":1,\"kind\":\"(signature|result|forgotten)\"[a-z0-9:,\"{}]{0,80})|.{0,60}", 0..8)) {
        let scene = Scene::new();
        let memo = scene.alone("a");
        let text = format!("{{\"nix-fetchhost-memo\":1}}\n{}", lines.join("\n"));
        let imported = import(&memo, &text);
        prop_assert_eq!(imported.taken, 0);
    }
}
