//! Who was first.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use fetchhost_cache::{HashPart, Keep, Work, collect, plan};
use fetchhost_formats::StorePath;
use fetchhost_keys::VerifyError;
use fetchhost_memo::{Flaw, Found, MemoError, Record};

use fetchhost_policy::Use;

use crate::common::{Scene, forget, key, look_up, remember, remembered, verify};

#[test]
fn the_first_one_wins_here() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    assert_eq!(look_up(&memo, &key(1)), Found::Nothing);
    assert_eq!(remember(&memo, &key(1), "valid 1"), "valid 1");
    assert_eq!(remember(&memo, &key(1), "valid 2"), "valid 1");
    drop(memo);
    let again = scene.alone("a");
    assert_eq!(look_up(&again, &key(1)), remembered("valid 1"));
    assert_eq!(look_up(&again, &key(2)), Found::Nothing);
    assert!(scene.warned().is_empty());
}

#[test]
fn the_first_one_wins_together_and_has_a_path_in_the_cache() {
    let scene = Scene::new();
    let (one, other) = (scene.together("a"), scene.together("b"));
    assert_eq!(remember(&one, &key(1), "valid 1"), "valid 1");
    assert_eq!(remember(&other, &key(1), "valid 2"), "valid 1");
    assert_eq!(look_up(&other, &key(1)), remembered("valid 1"));
    // Who comes later has it from there, and then has it without the place too.
    assert_eq!(
        look_up(&scene.together("c"), &key(1)),
        remembered("valid 1")
    );
    assert_eq!(look_up(&scene.alone("c"), &key(1)), remembered("valid 1"));
    let entry = fs::read(scene.shared(&key(1))).unwrap();
    let path: StorePath = fetchhost_cache::memo_path(&entry).unwrap();
    assert_eq!(path.name(), "signature.sig");
    let cache = scene.cache();
    let found = cache.record(&path).unwrap().unwrap();
    assert!(found.record.proof().is_ok());
    assert!(cache.has_nar(&found.record).unwrap());
    assert!(scene.warned().is_empty());
}

#[test]
fn what_was_here_before_the_place_was_configured_is_shared_by_whoever_remembers_it() {
    let scene = Scene::new();
    remember(&scene.alone("a"), &key(1), "valid 1");
    let memo = scene.together("a");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    // A lookup writes nothing there.
    assert!(!scene.shared(&key(1)).exists());
    // What was remembered here first is what is offered, whatever came now.
    assert_eq!(remember(&memo, &key(1), "valid 2"), "valid 1");
    assert_eq!(
        look_up(&scene.together("b"), &key(1)),
        remembered("valid 1")
    );
    // So does whoever would have signed.
    remember(&scene.alone("a"), &key(2), "valid 2");
    let found = memo.signature_before_signing(&key(2), &verify).unwrap();
    assert_eq!(found, remembered("valid 2"));
    assert_eq!(
        look_up(&scene.together("b"), &key(2)),
        remembered("valid 2")
    );
}

#[test]
fn the_shared_place_decides() {
    let scene = Scene::new();
    remember(&scene.alone("a"), &key(1), "valid here");
    remember(&scene.together("b"), &key(1), "valid there");
    assert_eq!(
        look_up(&scene.together("a"), &key(1)),
        remembered("valid there")
    );
    assert_eq!(
        look_up(&scene.alone("a"), &key(1)),
        remembered("valid there")
    );
}

#[test]
fn without_the_place_one_looks_up_and_signs_nothing() {
    let scene = Scene::new();
    remember(&scene.together("a"), &key(1), "valid 1");
    // A file where the folder was: nothing can be read or written.
    let cache = scene.dir.path().join("cache");
    fs::rename(&cache, scene.dir.path().join("away")).unwrap();
    fs::write(&cache, "").unwrap();
    let memo = scene.together("a");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    assert!(scene.warned()[0].contains("file://"));
    assert_eq!(look_up(&memo, &key(2)), Found::Nothing);
    assert_eq!(scene.warned().len(), 1);
    // With an entry nothing would be signed.
    let found = memo.signature_before_signing(&key(1), &verify).unwrap();
    assert_eq!(found, remembered("valid 1"));
    let error = memo.signature_before_signing(&key(2), &verify).unwrap_err();
    assert!(matches!(error, MemoError::Shared(_)), "{error}");
    let error = memo.remember_signature(&key(2), b"valid", &verify);
    assert!(matches!(error, Err(MemoError::Shared(_))));
    // And nothing was remembered here alone.
    assert_eq!(look_up(&scene.alone("a"), &key(2)), Found::Nothing);
}

#[test]
fn before_signing_the_place_is_found_to_work() {
    let scene = Scene::new();
    let memo = scene.together("a");
    let found = memo.signature_before_signing(&key(1), &verify).unwrap();
    assert_eq!(found, Found::Nothing);
    assert!(scene.dir.path().join("cache/nix-cache-info").exists());
}

#[test]
fn what_is_not_valid_is_not_remembered() {
    let scene = Scene::new();
    let memo = scene.together("a");
    let error = memo.remember_signature(&key(1), b"forged", &verify);
    assert!(matches!(error, Err(MemoError::NotValid(_))));
    assert_eq!(look_up(&memo, &key(1)), Found::Nothing);
    let long = [b"valid".to_vec(), vec![b' '; 70_000]].concat();
    let error = memo.remember_signature(&key(1), &long, &verify);
    assert!(matches!(error, Err(MemoError::Unwritable(Flaw::TooLarge))));
    assert!(!scene.shared(&key(1)).exists());
    // Signatures of store paths are another matter.
    let mut narinfo = key(1);
    narinfo.format = Use::Narinfo;
    for memo in [memo, scene.alone("b")] {
        let error = memo.remember_signature(&narinfo, b"valid", &verify);
        assert!(matches!(error, Err(MemoError::Unwritable(_))));
    }
}

/// A content that cannot be read is no fault of the entry's, which stays.
#[test]
fn a_content_that_cannot_be_read_is_told_as_such() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    remember(&memo, &key(1), "valid 1");
    let unreadable = |_: &[u8]| Err(VerifyError::Read(io::Error::other("gone")));
    let error = memo.signature(&key(1), &unreadable).unwrap_err();
    assert!(matches!(error, MemoError::Content(_)), "{error}");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    assert!(scene.warned().is_empty());
}

#[test]
fn each_signature_is_verified_whenever_it_is_used() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    let calls = Cell::new(0);
    let counting = |bytes: &[u8]| {
        calls.set(calls.get() + 1);
        verify(bytes)
    };
    memo.signature(&key(1), &counting).unwrap();
    memo.signature(&key(1), &counting).unwrap();
    assert!(calls.get() >= 2);
}

/// A user who may read the place and not write to it uses what is there.
#[test]
fn a_place_that_cannot_be_written_to_is_read() {
    if is_root() {
        // Root writes everywhere.
        return;
    }
    let scene = Scene::new();
    remember(&scene.together("a"), &key(1), "valid 1");
    let folder = scene.dir.path().join("cache/memo");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let memo = scene.together("b");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    assert!(memo.remember_signature(&key(2), b"valid", &verify).is_err());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_is_remembered_is_listed_and_shown() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    remember(&memo, &key(2), "valid 2");
    let listed = memo.list().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|one| one.record.is_ok()));
    let id = key(1).id();
    let shown = memo.show(id).unwrap();
    let Some(Ok(Record::Signature(record))) = shown.here else {
        panic!("{shown:?}")
    };
    assert_eq!(record.key, key(1));
    assert_eq!(record.signature, b"valid 1");
    assert!(matches!(shown.together, Some(Ok(Record::Signature(_)))));
    let nothing = memo.show(key(9).id()).unwrap();
    assert!(nothing.here.is_none() && nothing.together.is_none());
}

/// What collects the cache keeps the path of a signature until it is forgotten.
#[test]
fn a_collected_cache_keeps_what_is_remembered() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    let cache = scene.cache();
    let root = cache
        .publish_file(&"root".parse().unwrap(), b"root")
        .unwrap();
    let work = Work {
        jobs: 2,
        stop: &|| false,
        progress: &|_, _| {},
    };
    let keep = Keep {
        roots: Some([HashPart::of(&root)].into()),
        since: None,
        young: SystemTime::now() - Duration::from_secs(3600),
        ignore_damaged: false,
    };
    // So that nothing is too young, everything is made old.
    let age = || {
        let then = SystemTime::now() - Duration::from_secs(86_400);
        cache
            .objects()
            .list(&mut |listed| {
                let path = scene.dir.path().join("cache").join(listed.name);
                let file = fs::File::options().append(true).open(path).unwrap();
                file.set_modified(then).unwrap();
                Ok(())
            })
            .unwrap();
    };
    let collect = || {
        age();
        let planned = plan(&cache, &keep, &work).unwrap().unwrap();
        collect(&cache, planned, &keep, &work).unwrap().records
    };
    assert_eq!(collect(), 0);
    forget(&memo, &key(1));
    assert_eq!(collect(), 1);
    assert!(matches!(look_up(&memo, &key(1)), Found::Forgotten { .. }));
}
