//! Tombstones, by every way.

use std::fs;

use fetchhost_memo::{Found, Memo, Record, UnsignedResults};

use crate::common::{Scene, forget, is_forgotten, key, look_up, remember, remembered};

fn exported(memo: &Memo) -> Vec<u8> {
    let mut out = Vec::new();
    memo.export(&mut out).unwrap();
    out
}

#[test]
fn what_is_forgotten_is_gone_until_it_is_made_anew() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    remember(&memo, &key(1), "valid 1");
    let old = exported(&memo);
    assert_eq!(forget(&memo, &key(1)), [true, false]);
    assert!(is_forgotten(&memo, &key(1)));
    assert!(matches!(
        memo.show(key(1).id()).unwrap().here,
        Some(Ok(Record::Forgotten(_)))
    ));
    // Twice is once, and what never was leaves nothing.
    assert_eq!(forget(&memo, &key(1)), [false, false]);
    assert_eq!(forget(&memo, &key(2)), [false, false]);
    assert_eq!(look_up(&memo, &key(2)), Found::Nothing);
    // An import does not bring it back.
    let imported = memo
        .import(&mut old.as_slice(), UnsignedResults::Take)
        .unwrap();
    assert_eq!((imported.taken, imported.refused), (0, 1));
    assert!(is_forgotten(&memo, &key(1)));
    // Making it anew does.
    assert_eq!(remember(&memo, &key(1), "valid 2"), "valid 2");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 2"));
    // And it can be forgotten again, at once.
    assert_eq!(forget(&memo, &key(1)), [true, false]);
    assert!(is_forgotten(&memo, &key(1)));
}

#[test]
fn what_is_forgotten_together_is_forgotten_by_all() {
    let scene = Scene::new();
    let (one, other) = (scene.together("a"), scene.together("b"));
    remember(&one, &key(1), "valid 1");
    assert_eq!(look_up(&other, &key(1)), remembered("valid 1"));
    assert_eq!(forget(&one, &key(1)), [true, true]);
    assert!(is_forgotten(&other, &key(1)));
    // Here as well by then.
    assert!(is_forgotten(&scene.alone("b"), &key(1)));
    assert_eq!(remember(&other, &key(1), "valid 2"), "valid 2");
    assert_eq!(look_up(&one, &key(1)), remembered("valid 2"));
    assert_eq!(look_up(&scene.alone("a"), &key(1)), remembered("valid 2"));
    // Many times in the same moment.
    for turn in 3..8 {
        forget(&one, &key(1));
        assert!(is_forgotten(&other, &key(1)));
        let text = format!("valid {turn}");
        assert_eq!(remember(&other, &key(1), &text), text);
        assert_eq!(look_up(&one, &key(1)), remembered(&text));
    }
    assert!(scene.warned().is_empty());
}

/// What another machine has alone, from before the place was configured, is forgotten with the rest.
#[test]
fn what_is_not_there_yet_gets_a_tombstone_too() {
    let scene = Scene::new();
    for name in ["a", "b"] {
        remember(&scene.alone(name), &key(1), "valid 1");
    }
    let forgotten = forget(&scene.together("a"), &key(1));
    assert_eq!(forgotten, [true, false]);
    assert!(is_forgotten(&scene.together("b"), &key(1)));
}

#[test]
fn the_shared_place_does_not_bring_back_what_was_forgotten_here() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    // The place cannot be reached meanwhile.
    forget(&scene.alone("a"), &key(1));
    assert!(is_forgotten(&memo, &key(1)));
    // Somebody puts the old one back over the tombstone.
    let old = fs::read(scene.shared(&key(1))).unwrap();
    forget(&memo, &key(1));
    fs::write(scene.shared(&key(1)), &old).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
    // Signed anew here, it is what all have.
    assert_eq!(remember(&memo, &key(1), "valid 2"), "valid 2");
    assert_eq!(
        look_up(&scene.together("b"), &key(1)),
        remembered("valid 2")
    );
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 2"));
}

#[test]
fn a_machine_whose_tombstone_is_newer_keeps_it() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    forget(&memo, &key(1));
    remember(&memo, &key(1), "valid 2");
    let anew = fs::read(scene.shared(&key(1))).unwrap();
    forget(&memo, &key(1));
    // What came after the first tombstone does not come after the second.
    fs::write(scene.shared(&key(1)), anew).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
}

#[test]
fn tombstones_are_exported_and_bury_nothing_when_they_are_imported() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    remember(&memo, &key(1), "valid 1");
    forget(&memo, &key(1));
    let tombstones = exported(&memo);
    let other = scene.alone("b");
    remember(&other, &key(1), "valid 9");
    let import = |memo: &Memo| {
        let mut input = tombstones.as_slice();
        memo.import(&mut input, UnsignedResults::Refuse).unwrap()
    };
    assert_eq!(import(&other).present, 1);
    assert_eq!(look_up(&other, &key(1)), remembered("valid 9"));
    let new = scene.alone("c");
    assert_eq!(import(&new).taken, 1);
    assert!(is_forgotten(&new, &key(1)));
    assert_eq!(import(&new).present, 1);
}

/// A machine that has what was made after a tombstone is not given what was before it.
#[test]
fn what_was_forgotten_does_not_replace_what_came_after() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    let old = fs::read(scene.shared(&key(1))).unwrap();
    forget(&memo, &key(1));
    remember(&memo, &key(1), "valid 2");
    fs::write(scene.shared(&key(1)), &old).unwrap();
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 2"));
    assert!(scene.warned()[0].contains("forgotten"));
    // Who remembers it puts it right.
    assert_eq!(remember(&memo, &key(1), "valid 3"), "valid 2");
    assert_eq!(
        look_up(&scene.together("b"), &key(1)),
        remembered("valid 2")
    );
}

/// Who forgets what only the others have is not given it again.
#[test]
fn what_was_forgotten_there_alone_does_not_come_back_here() {
    let scene = Scene::new();
    remember(&scene.together("a"), &key(1), "valid 1");
    let old = fs::read(scene.shared(&key(1))).unwrap();
    let memo = scene.together("b");
    assert_eq!(forget(&memo, &key(1)), [false, true]);
    fs::write(scene.shared(&key(1)), &old).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
    // And an older tombstone takes nothing from a newer one.
    remember(&scene.together("b"), &key(1), "valid 2");
    let anew = fs::read(scene.shared(&key(1))).unwrap();
    let older = fs::read(scene.shared(&key(1))).unwrap();
    let older: serde_json::Value = serde_json::from_slice(&older).unwrap();
    let stone = serde_json::json!({
        "version": 1,
        "kind": "forgotten",
        "id": key(1).id().to_string(),
        "forgotten": older["supersedes"],
    });
    forget(&memo, &key(1));
    fs::write(scene.shared(&key(1)), stone.to_string()).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
    fs::write(scene.shared(&key(1)), anew).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
}

/// Who may write there says that it was made anew, and it is the same signature.
#[test]
fn a_false_word_brings_nothing_back_where_it_was_forgotten() {
    let scene = Scene::new();
    let memo = scene.together("a");
    remember(&memo, &key(1), "valid 1");
    let old = fs::read(scene.shared(&key(1))).unwrap();
    forget(&memo, &key(1));
    let mut forged: serde_json::Value = serde_json::from_slice(&old).unwrap();
    forged["supersedes"] = "2999-01-01T00:00:00.000Z".into();
    let forged = forged.to_string();
    fs::write(scene.shared(&key(1)), &forged).unwrap();
    assert!(is_forgotten(&memo, &key(1)));
    assert!(scene.warned()[0].contains("forgotten"));
    // Made anew here, it may be the same: not all algorithms give another one each time.
    assert_eq!(remember(&memo, &key(1), "valid 1"), "valid 1");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    assert_eq!(
        look_up(&scene.together("b"), &key(1)),
        remembered("valid 1")
    );
    assert!(scene.warned().is_empty());
    // And such a word does not keep it from being forgotten again, anywhere.
    fs::write(scene.shared(&key(1)), &forged).unwrap();
    assert_eq!(
        look_up(&scene.together("c"), &key(1)),
        remembered("valid 1")
    );
    assert_eq!(forget(&memo, &key(1)), [true, true]);
    for name in ["a", "b", "c"] {
        assert!(is_forgotten(&scene.together(name), &key(1)), "{name}");
    }
}
