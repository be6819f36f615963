//! Results of other fetchers.

use std::fs;
use std::time::{Duration, SystemTime};

use fetchhost_formats::{OutputMode, PublicKey, SigningKey};
use fetchhost_memo::{Found, Memo, MemoError, RememberedResult, ResultKey, UnsignedResults};
use serde_json::{Value, json};

use crate::common::Scene;

const HASH: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const OTHER: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

fn result_key() -> ResultKey {
    let Value::Object(parameters) = json!({"url": "https://example.com/x"}) else {
        unreachable!()
    };
    ResultKey {
        domain: "acme".parse().unwrap(),
        fetcher: "http-file".to_owned(),
        parameters,
    }
}

fn result(hash: &str, expires: SystemTime) -> RememberedResult {
    RememberedResult {
        hash: hash.parse().unwrap(),
        mode: OutputMode::Flat,
        name: "x".parse().unwrap(),
        executable: false,
        expires,
    }
}

fn tomorrow() -> SystemTime {
    SystemTime::now() + Duration::from_secs(86_400)
}

fn yesterday() -> SystemTime {
    SystemTime::now() - Duration::from_secs(86_400)
}

/// A key, from a number.
fn signing(seed: u8) -> (SigningKey, PublicKey) {
    let name = format!("team-{seed}");
    let key = SigningKey::from_seed(&name, &[seed; 32].into()).unwrap();
    let public = key.public_key();
    (key, public)
}

fn publisher(scene: &Scene, name: &str, seed: u8) -> Memo {
    scene
        .together(name)
        .with_keys(Vec::new(), Some(signing(seed).0))
}

fn reader(scene: &Scene, name: &str, trusted: u8) -> Memo {
    scene
        .together(name)
        .with_keys(vec![signing(trusted).1], None)
}

fn hash_of(found: &Found<RememberedResult>) -> Option<String> {
    match found {
        Found::Remembered(result) => Some(result.hash.sri()),
        _ => None,
    }
}

fn shared_file(scene: &Scene) -> std::path::PathBuf {
    let name = format!("cache/memo/{}.json", result_key().id());
    scene.dir.path().join(name)
}

#[test]
fn a_result_is_remembered_until_it_expires() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    assert_eq!(memo.result(&result_key()).unwrap(), Found::Nothing);
    let remember = |hash, expires| {
        let result = result(hash, expires);
        memo.remember_result(&result_key(), &result).unwrap()
    };
    remember(HASH, yesterday());
    assert_eq!(memo.result(&result_key()).unwrap(), Found::Nothing);
    let first = remember(OTHER, tomorrow());
    assert_eq!(first.hash.sri(), OTHER);
    let second = remember(HASH, tomorrow());
    assert_eq!(second, first, "the first one stays until it expires");
    assert_eq!(
        memo.result(&result_key()).unwrap(),
        Found::Remembered(first)
    );
    memo.forget(result_key().id()).unwrap();
    let found = memo.result(&result_key()).unwrap();
    assert!(matches!(found, Found::Forgotten { .. }));
    assert!(scene.warned().is_empty());
}

#[test]
fn results_are_shared_by_whoever_signs_them_with_those_who_trust_the_key() {
    let scene = Scene::new();
    // Without a secret key it stays here.
    let unsigned = scene.together("mute");
    unsigned
        .remember_result(&result_key(), &result(OTHER, tomorrow()))
        .unwrap();
    assert!(!shared_file(&scene).exists());
    let signer = publisher(&scene, "signer", 1);
    signer
        .remember_result(&result_key(), &result(HASH, tomorrow()))
        .unwrap();
    let trusting = reader(&scene, "reader", 1);
    assert_eq!(
        hash_of(&trusting.result(&result_key()).unwrap()).unwrap(),
        HASH
    );
    assert_eq!(
        hash_of(&signer.result(&result_key()).unwrap()).unwrap(),
        HASH
    );
    // Here as well, as long as the key is trusted.
    let alone = |seed| scene.alone("reader").with_keys(vec![signing(seed).1], None);
    assert_eq!(
        hash_of(&alone(1).result(&result_key()).unwrap()).unwrap(),
        HASH
    );
    assert_eq!(alone(2).result(&result_key()).unwrap(), Found::Nothing);
    assert!(scene.warned()[0].contains("trusted-keys"));
    // Who does not trust it does not use it, and keeps what is theirs.
    let other = reader(&scene, "other", 2);
    assert_eq!(other.result(&result_key()).unwrap(), Found::Nothing);
    assert!(scene.warned()[0].contains("trusted-keys"));
    let mine = publisher(&scene, "mine", 2);
    mine.remember_result(&result_key(), &result(OTHER, tomorrow()))
        .unwrap();
    assert_eq!(
        hash_of(&mine.result(&result_key()).unwrap()).unwrap(),
        OTHER
    );
    assert_eq!(
        hash_of(&trusting.result(&result_key()).unwrap()).unwrap(),
        HASH
    );
}

#[test]
fn a_signed_result_is_bound_to_all_its_members() {
    for (member, value) in [
        ("hash", json!(OTHER)),
        ("mode", json!("nar")),
        ("name", json!("y")),
        ("executable", json!(true)),
        ("expires", json!("2999-01-01T00:00:00.000Z")),
        ("made", json!("2020-01-01T00:00:00.000Z")),
        ("supersedes", json!("2999-01-01T00:00:00.000Z")),
        ("fetcher", json!("other")),
        ("parameters", json!({})),
        ("signatures", json!([])),
        ("signatures", json!(["team-1:AAAA"])),
    ] {
        let scene = Scene::new();
        let signer = publisher(&scene, "signer", 1);
        signer
            .remember_result(&result_key(), &result(HASH, tomorrow()))
            .unwrap();
        let file = shared_file(&scene);
        let mut entry: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        entry[member] = value;
        fs::write(&file, entry.to_string()).unwrap();
        // With a path that fits, too.
        let found = reader(&scene, "reader", 1).result(&result_key()).unwrap();
        assert_eq!(found, Found::Nothing, "{member}");
        assert_eq!(scene.warned().len(), 1, "{member}");
    }
}

/// Even with all else recomputed, only the signature counts.
#[test]
fn a_forged_result_with_a_fitting_path_is_refused() {
    let scene = Scene::new();
    let signer = publisher(&scene, "signer", 1);
    signer
        .remember_result(&result_key(), &result(HASH, tomorrow()))
        .unwrap();
    let theirs = fs::read(shared_file(&scene)).unwrap();
    let theirs: Value = serde_json::from_slice(&theirs).unwrap();
    // A forger's own entry, with the signature of the other one.
    let forger = Scene::new();
    let memo = publisher(&forger, "forger", 3);
    memo.remember_result(&result_key(), &result(OTHER, tomorrow()))
        .unwrap();
    let forged = fs::read(shared_file(&forger)).unwrap();
    let mut forged: Value = serde_json::from_slice(&forged).unwrap();
    forged["signatures"] = theirs["signatures"].clone();
    fs::write(shared_file(&scene), forged.to_string()).unwrap();
    let found = reader(&scene, "reader", 1).result(&result_key()).unwrap();
    assert_eq!(found, Found::Nothing);
    assert!(scene.warned()[0].contains("trusted-keys"));
}

#[test]
fn a_shared_result_that_expired_is_not_used_and_is_replaced() {
    let scene = Scene::new();
    let signer = publisher(&scene, "signer", 1);
    signer
        .remember_result(&result_key(), &result(HASH, yesterday()))
        .unwrap();
    assert!(shared_file(&scene).exists());
    let memo = reader(&scene, "reader", 1);
    assert_eq!(memo.result(&result_key()).unwrap(), Found::Nothing);
    assert!(scene.warned().is_empty(), "that is nobody's fault");
    signer
        .remember_result(&result_key(), &result(OTHER, tomorrow()))
        .unwrap();
    assert_eq!(
        hash_of(&memo.result(&result_key()).unwrap()).unwrap(),
        OTHER
    );
}

/// A tombstone bears nobody's signature: it would have a changed file taken on trust as if it were the first.
#[test]
fn nobodys_tombstone_takes_a_result_away() {
    let scene = Scene::new();
    let mine = publisher(&scene, "mine", 1);
    mine.remember_result(&result_key(), &result(HASH, tomorrow()))
        .unwrap();
    let trusting = reader(&scene, "reader", 1);
    let hash = |memo: &Memo| hash_of(&memo.result(&result_key()).unwrap());
    assert_eq!(hash(&trusting).unwrap(), HASH);
    let stranger = scene.together("stranger");
    stranger.forget(result_key().id()).unwrap();
    for memo in [&mine, &trusting] {
        assert_eq!(hash(memo).unwrap(), HASH);
        assert!(scene.warned()[0].contains("memo forget"));
    }
    // Who has nothing learns that it was forgotten.
    let found = reader(&scene, "new", 1).result(&result_key()).unwrap();
    assert!(matches!(found, Found::Forgotten { .. }));
    let first = mine.remember_result(&result_key(), &result(OTHER, tomorrow()));
    assert_eq!(first.unwrap().hash.sri(), HASH);
    assert_eq!(hash(&trusting).unwrap(), HASH);
    // The user's own word holds.
    mine.forget(result_key().id()).unwrap();
    let found = mine.result(&result_key()).unwrap();
    assert!(matches!(found, Found::Forgotten { .. }));
}

#[test]
fn a_poisoned_result_is_in_the_way_of_sharing_and_named() {
    let scene = Scene::new();
    let signer = publisher(&scene, "signer", 1);
    fs::create_dir_all(shared_file(&scene).parent().unwrap()).unwrap();
    fs::write(shared_file(&scene), "{").unwrap();
    let error = signer.remember_result(&result_key(), &result(HASH, tomorrow()));
    assert!(matches!(error, Err(MemoError::Poisoned { .. })));
}

#[test]
fn results_are_imported_signed_or_by_the_users_word() {
    let scene = Scene::new();
    let own = scene.alone("own");
    own.remember_result(&result_key(), &result(HASH, tomorrow()))
        .unwrap();
    let mut unsigned = Vec::new();
    own.export(&mut unsigned).unwrap();
    let signer = publisher(&scene, "signer", 1);
    signer
        .remember_result(&result_key(), &result(OTHER, tomorrow()))
        .unwrap();
    let mut signed = Vec::new();
    signer.export(&mut signed).unwrap();
    let import = |name: &str, text: &[u8], how| {
        let memo = scene.alone(name).with_keys(vec![signing(1).1], None);
        let imported = memo.import(&mut &*text, how).unwrap();
        (
            imported.taken,
            imported.refused,
            hash_of(&memo.result(&result_key()).unwrap()),
        )
    };
    let refused = import("a", &unsigned, UnsignedResults::Refuse);
    assert_eq!(refused, (0, 1, None));
    let taken = import("b", &unsigned, UnsignedResults::Take);
    assert_eq!(taken, (1, 0, Some(HASH.to_owned())));
    let trusted = import("c", &signed, UnsignedResults::Refuse);
    assert_eq!(trusted, (1, 0, Some(OTHER.to_owned())));
}
