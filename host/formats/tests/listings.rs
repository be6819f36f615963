//! Listings of archives. Real Nix judges them in the end-to-end tests.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::{Tree, encode};
use fetchhost_formats::nar::{
    DecodeError, Encoder, Listing, ListingError, MAX_NAME_LEN, NarError, list,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn file(contents: &str) -> Tree {
    Tree::File {
        executable: false,
        contents: contents.into(),
    }
}

fn executable(contents: &str) -> Tree {
    Tree::File {
        executable: true,
        contents: contents.into(),
    }
}

fn link(target: impl AsRef<[u8]>) -> Tree {
    Tree::Symlink {
        target: target.as_ref().to_vec(),
    }
}

fn directory<const N: usize>(entries: [(&str, Tree); N]) -> Tree {
    let named = |(name, tree): (&str, Tree)| (name.as_bytes().to_vec(), tree);
    Tree::Directory(entries.into_iter().map(named).collect())
}

/// The listing that is made while the archive is.
fn listing(tree: &Tree, chunk: usize) -> Result<Vec<u8>, ListingError> {
    let mut encoder = Encoder::new();
    let mut listing = Listing::new();
    let mut out = Vec::new();
    for event in tree.events(chunk) {
        listing.push(&encoder.push(event).unwrap(), &mut out)?;
    }
    listing.finish(&mut out);
    Ok(out)
}

fn refusal(tree: &Tree) -> ListingError {
    let error = listing(tree, 1).unwrap_err();
    let archive = encode(tree.events(1)).unwrap();
    let listed = list(&mut archive.as_slice()).unwrap_err();
    assert!(matches!(listed, DecodeError::Visitor(same) if same == error));
    error
}

#[test]
fn a_listing_is_what_nix_writes() {
    // The archive of this tree, copied by Nix 2.34.8 with `write-nar-listing=true`.
    let tree = directory([
        ("a", file("hello")),
        ("empty", directory([])),
        ("link", link("../odd\"target")),
        ("new\nline\u{1}\u{7f}", file("3")),
        ("q\"uo\\te", file("1")),
        (
            "sub",
            directory([
                ("deep", directory([("f", file("123456789"))])),
                ("exec0", executable("")),
                ("l", link("ü")),
            ]),
        ),
        ("x", executable("#!/bin/sh\n")),
        ("zero", file("")),
        ("ü€😀", file("2")),
    ]);
    let expected = concat!(
        r#"{"root":{"entries":{"a":{"narOffset":232,"size":5,"type":"regular"},"#,
        r#""empty":{"entries":{},"type":"directory"},"link":{"target":"../odd\"target","type":"symlink"},"#,
        r#""new\nline\u0001"#,
        "\u{7f}",
        r#"":{"narOffset":800,"size":1,"type":"regular"},"#,
        r#""q\"uo\\te":{"narOffset":992,"size":1,"type":"regular"},"sub":{"entries":{"deep":{"entries":"#,
        r#"{"f":{"narOffset":1456,"size":9,"type":"regular"}},"type":"directory"},"#,
        r#""exec0":{"executable":true,"narOffset":1720,"size":0,"type":"regular"},"#,
        r#""l":{"target":"ü","type":"symlink"}},"type":"directory"},"#,
        r#""x":{"executable":true,"narOffset":2160,"size":10,"type":"regular"},"#,
        r#""zero":{"narOffset":2360,"size":0,"type":"regular"},"#,
        r#""ü€😀":{"narOffset":2552,"size":1,"type":"regular"}},"type":"directory"},"version":1}"#,
    );
    assert_eq!(
        String::from_utf8(listing(&tree, 3).unwrap()).unwrap(),
        expected
    );
}

#[test]
fn a_root_may_be_a_file_or_a_symlink() {
    for (tree, expected) in [
        (
            file("root file"),
            r#"{"root":{"narOffset":96,"size":9,"type":"regular"},"version":1}"#,
        ),
        (
            file(""),
            r#"{"root":{"narOffset":96,"size":0,"type":"regular"},"version":1}"#,
        ),
        (
            link("x"),
            r#"{"root":{"target":"x","type":"symlink"},"version":1}"#,
        ),
        (
            directory([]),
            r#"{"root":{"entries":{},"type":"directory"},"version":1}"#,
        ),
    ] {
        assert_eq!(listing(&tree, 9).unwrap(), expected.as_bytes());
    }
}

#[test]
fn names_and_targets_that_are_no_text_are_refused() {
    let name = Tree::Directory(BTreeMap::from([(b"x\xff\x1b".to_vec(), file(""))]));
    for (tree, given) in [(name, r"x\xff\x1b"), (link(b"\xc3"), r"\xc3")] {
        let error = refusal(&tree);
        assert_eq!(
            error.to_string(),
            format!("`{given}` is not UTF-8, which a listing cannot hold")
        );
    }
}

#[test]
fn what_is_no_archive_has_no_listing() {
    let archive = encode(directory([("a", file("x"))]).events(1)).unwrap();
    for damaged in [
        &b""[..],
        b"nix-archive-1",
        &archive[..archive.len() - 8],
        &archive[8..],
        &[&archive[..], &archive[..]].concat(),
    ] {
        let error = list(&mut &damaged[..]).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
    }
    // An archive that others may write and this program does not.
    let long = "x".repeat(MAX_NAME_LEN + 1);
    let short = directory([(&long[1..], file(""))]);
    let text = encode(short.events(1)).unwrap();
    let at = text
        .windows(8)
        .position(|bytes| bytes == 255_u64.to_le_bytes())
        .unwrap();
    let mut text = text;
    text[at..at + 8].copy_from_slice(&256_u64.to_le_bytes());
    text[at + 8 + 255] = b'x';
    let error = list(&mut text.as_slice()).unwrap_err();
    let too_long = NarError::NameTooLong { got: 256 };
    assert!(matches!(error, DecodeError::Visitor(ListingError::Nar(found)) if found == too_long));
}

fn trees() -> impl Strategy<Value = Tree> {
    let contents = prop::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        (any::<bool>(), contents).prop_map(|(executable, contents)| Tree::File {
            executable,
            contents
        }),
        "[^\0]{1,20}".prop_map(link),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = "[^/\0]{1,10}".prop_filter("a name", |name| name != "." && name != "..");
        prop::collection::btree_map(name.prop_map(String::into_bytes), inner, 0..6)
            .prop_map(Tree::Directory)
    })
}

/// The listing of a tree, each file with its contents instead of a place.
fn described(tree: &Tree) -> Value {
    match tree {
        Tree::File {
            executable,
            contents,
        } => {
            let mut file =
                json!({ "type": "regular", "size": contents.len(), "contents": contents });
            if *executable {
                file["executable"] = true.into();
            }
            file
        }
        Tree::Symlink { target } => {
            json!({ "type": "symlink", "target": String::from_utf8_lossy(target) })
        }
        Tree::Directory(entries) => {
            let entries = entries.iter();
            let entries = entries
                .map(|(name, tree)| (String::from_utf8(name.clone()).unwrap(), described(tree)));
            json!({ "type": "directory", "entries": entries.collect::<serde_json::Map<_, _>>() })
        }
    }
}

/// Reads the contents of each file where the listing says that they are.
fn read_contents(node: &mut Value, archive: &[u8]) {
    if let Some(offset) = node.as_object_mut().unwrap().remove("narOffset") {
        let offset = offset.as_u64().unwrap() as usize;
        let size = node["size"].as_u64().unwrap() as usize;
        node["contents"] = json!(&archive[offset..offset + size]);
    }
    if let Some(entries) = node.get_mut("entries") {
        for node in entries.as_object_mut().unwrap().values_mut() {
            read_contents(node, archive);
        }
    }
}

proptest! {
    #[test]
    fn every_file_is_found_by_the_listing(tree in trees(), chunk in 1_usize..9) {
        let archive = encode(tree.events(chunk)).unwrap();
        let listing = listing(&tree, chunk).unwrap();
        let mut found: Value = serde_json::from_slice(&listing).unwrap();
        read_contents(&mut found["root"], &archive);
        prop_assert_eq!(found, json!({ "version": 1, "root": described(&tree) }));
        prop_assert_eq!(list(&mut archive.as_slice()).unwrap(), listing);
    }

    #[test]
    fn no_damaged_archive_makes_it_panic(
        tree in trees(), position in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut archive = encode(tree.events(9)).unwrap();
        let position = position.index(archive.len());
        archive[position] = byte;
        if let Ok(listing) = list(&mut archive.as_slice()) {
            prop_assert!(serde_json::from_slice::<Value>(&listing).is_ok());
        }
    }
}
