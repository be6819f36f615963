//! Those who may write where entries are shared.

use std::fs;

use fetchhost_memo::{Found, MemoError, SignatureKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{Scene, forget, is_forgotten, key, look_up, remember, remembered, verify};

/// The shared entry of `key(1)` after somebody changed it.
fn changed(change: impl Fn(&mut Value)) -> (Scene, SignatureKey) {
    let scene = Scene::new();
    remember(&scene.together("writer"), &key(1), "valid 1");
    let file = scene.shared(&key(1));
    let mut entry: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut entry);
    fs::write(&file, entry.to_string()).unwrap();
    (scene, key(1))
}

/// It is used nowhere, named, in nobody's way who has an entry, and in the way of whoever would sign.
fn assert_refused(scene: &Scene, key: &SignatureKey, what: &str) {
    let reader = scene.together("reader");
    assert_eq!(look_up(&reader, key), Found::Nothing, "{what}");
    let warned = scene.warned();
    let name = key.id().to_string();
    assert!(
        warned.len() == 1 && warned[0].contains(&name),
        "{what}: {warned:?}"
    );
    assert!(!warned[0].contains('\u{1b}'));
    let before = reader.signature_before_signing(key, &verify).unwrap_err();
    assert!(
        matches!(before, MemoError::Poisoned { .. }),
        "{what}: {before}"
    );
    assert!(before.hint().unwrap().contains("memo forget"), "{what}");
    let error = reader.remember_signature(key, b"valid 2", &verify);
    assert!(matches!(error, Err(MemoError::Poisoned { .. })), "{what}");
    // Who has it still has it.
    let writer = scene.together("writer");
    assert_eq!(look_up(&writer, key), remembered("valid 1"), "{what}");
    scene.warned();
    // Forgetting it is the way out.
    assert_eq!(forget(&reader, key), [false, true], "{what}");
    assert!(is_forgotten(&reader, key), "{what}");
    assert_eq!(remember(&reader, key, "valid 3"), "valid 3", "{what}");
    assert_eq!(look_up(&writer, key), remembered("valid 3"), "{what}");
}

#[test]
fn an_entry_whose_members_are_changed_is_refused() {
    let other = "0b".repeat(32);
    for (member, value) in [
        ("domain", json!("other")),
        ("domain", json!("builtin:signer")),
        ("content", json!("07".repeat(32))),
        ("key", json!(format!("ed25519:sha256:{other}"))),
        ("format", json!("raw")),
        ("format", json!("narinfo")),
        ("format", json!("\u{1b}[31m")),
        ("parameters", json!({"namespace": "ssh"})),
        ("parameters", json!({"namespace": "file", "x": "y"})),
        ("parameters", json!([])),
        ("id", json!(other)),
        ("id", Value::Null),
        ("kind", json!("result")),
        ("kind", json!("\u{1b}")),
        ("version", json!(2)),
        ("version", json!("1")),
        ("signature", json!("!")),
        // Valid base64 of what does not verify: `forged`.
        ("signature", json!("Zm9yZ2Vk")),
        (
            "storePath",
            json!("/nix/store/0c0bhl1hk5hz6v0jfbmhzgqyxpsr5cba-x"),
        ),
        ("made", json!("yesterday")),
        ("supersedes", json!("9999-99-99T00:00:00.000Z")),
        ("more", json!(1)),
        ("\u{1b}[31mmore", json!(1)),
    ] {
        let (scene, key) = changed(|entry| entry[member] = value.clone());
        assert_refused(&scene, &key, &format!("{member} = {value}"));
    }
}

#[test]
fn an_entry_with_a_member_too_few_is_refused() {
    for member in [
        "version",
        "kind",
        "id",
        "domain",
        "key",
        "signature",
        "storePath",
    ] {
        let (scene, key) = changed(|entry| {
            entry.as_object_mut().unwrap().remove(member).unwrap();
        });
        assert_refused(&scene, &key, member);
    }
}

#[test]
fn what_is_no_entry_at_all_is_refused() {
    let huge = format!("{{\"version\":1,\"x\":\"{}\"}}", "x".repeat(10 << 20));
    let deep = "[".repeat(60_000);
    for text in ["", "null", "[]", "{", "{}", "\u{0}", &deep, &huge] {
        let (scene, key) = changed(|_| {});
        fs::write(scene.shared(&key), text).unwrap();
        let shown: String = text.chars().take(20).collect();
        assert_refused(&scene, &key, &shown);
    }
}

/// A valid entry of somebody, put under another's name.
#[test]
fn an_entry_of_another_content_is_refused() {
    let scene = Scene::new();
    let writer = scene.together("writer");
    for content in [1, 2] {
        remember(&writer, &key(content), "valid 1");
    }
    fs::copy(scene.shared(&key(2)), scene.shared(&key(1))).unwrap();
    assert_refused(&scene, &key(1), "of another content");
    // A tombstone too.
    let scene = Scene::new();
    let writer = scene.together("writer");
    for content in [1, 2] {
        remember(&writer, &key(content), "valid 1");
    }
    forget(&writer, &key(2));
    fs::copy(scene.shared(&key(2)), scene.shared(&key(1))).unwrap();
    assert_refused(&scene, &key(1), "another's tombstone");
}

#[test]
fn a_folder_where_an_entry_should_be_is_an_error_that_names_it() {
    let scene = Scene::new();
    let reader = scene.together("reader");
    fs::create_dir_all(scene.shared(&key(1))).unwrap();
    assert_eq!(look_up(&reader, &key(1)), Found::Nothing);
    assert!(scene.warned()[0].contains(&key(1).id().to_string()));
    assert!(reader.signature_before_signing(&key(1), &verify).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_lies_there_nothing_false_is_used(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let (scene, key) = changed(|_| {});
        let file = scene.shared(&key);
        let mut entry = fs::read(&file).unwrap();
        let at = at.index(entry.len());
        let end = (at + bytes.len()).min(entry.len());
        entry.splice(at..end, bytes);
        fs::write(&file, entry).unwrap();
        let found = look_up(&scene.together("reader"), &key);
        prop_assert!(matches!(&found, Found::Nothing) || matches!(&found, Found::Remembered(found) if found.starts_with(b"valid")));
    }
}
