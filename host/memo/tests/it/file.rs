//! The file, and those who made it otherwise.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::OnceLock;

use fetchhost_memo::{Memo, MemoError};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::common::{Scene, forget, key, look_up, remember, remembered};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_file_is_its_owners_alone() {
    let scene = Scene::new();
    let memo = scene.alone("deep/er");
    remember(&memo, &key(1), "valid 1");
    let file = scene.file("deep/er");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let entries = fs::read_dir(file.parent().unwrap()).unwrap();
    assert_eq!(entries.count(), 1, "nothing is left beside it");
}

#[test]
fn what_others_could_change_is_refused() {
    let scene = Scene::new();
    drop(scene.alone("a"));
    let file = scene.file("a");
    let folder = file.parent().unwrap().to_owned();
    for (path, wrong, right) in [(&file, 0o620, 0o600), (&folder, 0o702, 0o700)] {
        set_mode(path, wrong);
        let error = Memo::open(&file).unwrap_err();
        assert!(matches!(error, MemoError::Exposed { .. }), "{error}");
        assert!(error.hint().unwrap().contains("chmod"));
        set_mode(path, right);
    }
    // Readable by others is no harm: signatures are public.
    set_mode(&file, 0o644);
    Memo::open(&file).unwrap();
    // A link may lead to what others made.
    let link = folder.join("link.sqlite");
    symlink(&file, &link).unwrap();
    assert!(matches!(Memo::open(&link), Err(MemoError::Exposed { .. })));
    let directory = folder.join("directory");
    fs::create_dir(&directory).unwrap();
    let error = Memo::open(&directory).unwrap_err();
    assert!(matches!(error, MemoError::Exposed { .. }), "{error}");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        let error = Memo::open(&file).unwrap_err();
        assert!(error.to_string().contains("another user"), "{error}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let scene = Scene::new();
    fs::write(scene.dir.path().join("a"), "").unwrap();
    let error = Memo::open(&scene.file("a")).unwrap_err();
    assert!(matches!(error, MemoError::Io { .. }), "{error}");
    assert!(error.hint().is_some());
}

fn opened(file: &Path) -> MemoError {
    Memo::open(file).unwrap_err()
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let scene = Scene::new();
    remember(&scene.alone("a"), &key(1), "valid 1");
    let file = scene.file("a");
    let raw = Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    let error = opened(&file);
    assert!(matches!(error, MemoError::Newer { .. }), "{error}");
    raw.pragma_update(None, "user_version", 1).unwrap();
    drop(raw);
    assert_eq!(look_up(&scene.alone("a"), &key(1)), remembered("valid 1"));
}

#[test]
fn another_programs_file_is_refused() {
    let scene = Scene::new();
    for (name, statements) in [
        (
            "other",
            "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)",
        ),
        ("id", "PRAGMA application_id = 7"),
        ("version", "PRAGMA user_version = 7"),
    ] {
        drop(scene.alone("fresh"));
        let file = scene.file(name);
        fs::create_dir(file.parent().unwrap()).unwrap();
        set_mode(file.parent().unwrap(), 0o700);
        let raw = Connection::open(&file).unwrap();
        raw.execute_batch(statements).unwrap();
        drop(raw);
        set_mode(&file, 0o600);
        let before = fs::read(&file).unwrap();
        let error = opened(&file);
        assert!(matches!(error, MemoError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), before, "it is left as it was");
    }
}

/// What does something by itself, or calls things by our names.
#[test]
fn a_file_with_more_than_our_tables_is_refused() {
    for more in [
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
        "CREATE VIEW v AS SELECT * FROM entry",
        "CREATE TABLE other (x)",
        "CREATE INDEX i ON entry (record)",
        "DROP TABLE approval",
        "DROP TABLE entry; CREATE TABLE entry (id TEXT PRIMARY KEY, record TEXT, more TEXT)",
        "DROP TABLE entry; CREATE VIEW entry AS SELECT 'a' AS id, 'b' AS record",
    ] {
        let scene = Scene::new();
        remember(&scene.alone("a"), &key(1), "valid 1");
        let raw = Connection::open(scene.file("a")).unwrap();
        raw.execute_batch(more).unwrap();
        drop(raw);
        let error = opened(&scene.file("a"));
        assert!(
            matches!(error, MemoError::Damaged { .. }),
            "{more}: {error}"
        );
    }
}

#[test]
fn what_is_no_database_is_named_with_what_to_do() {
    let scene = Scene::new();
    let file = scene.file("a");
    for content in ["not a database at all", &"x".repeat(5000)] {
        drop(scene.alone("b"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        set_mode(file.parent().unwrap(), 0o700);
        fs::write(&file, content).unwrap();
        set_mode(&file, 0o600);
        let error = opened(&file);
        assert!(matches!(error, MemoError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("memo.sqlite"), "{error}");
        assert!(error.hint().unwrap().contains("away"));
        assert_eq!(fs::read(&file).unwrap(), content.as_bytes());
    }
}

/// Rows that our program never writes are no entries, and harm no others.
#[test]
fn damaged_rows_are_not_used() {
    let scene = Scene::new();
    remember(&scene.alone("a"), &key(1), "valid 1");
    let raw = Connection::open(scene.file("a")).unwrap();
    let long = "y".repeat(200_000);
    for (id, record) in [
        (key(2).id().to_string(), "{"),
        (key(3).id().to_string(), &long),
        ("../../etc".to_owned(), "{}"),
    ] {
        raw.execute("INSERT INTO entry VALUES (?1, ?2)", [&id, record])
            .unwrap();
    }
    drop(raw);
    let memo = scene.alone("a");
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    for damaged in [2, 3] {
        assert_eq!(
            look_up(&memo, &key(damaged)),
            fetchhost_memo::Found::Nothing
        );
        let warned = scene.warned();
        assert!(
            warned[0].contains(&key(damaged).id().to_string()),
            "{warned:?}"
        );
    }
    let listed = memo.list().unwrap();
    assert_eq!(listed.iter().filter(|one| one.record.is_err()).count(), 3);
    let mut out = Vec::new();
    assert_eq!(memo.export(&mut out).unwrap(), 1);
    // They are written over by what is remembered anew, and can be forgotten.
    assert_eq!(remember(&memo, &key(2), "valid 2"), "valid 2");
    assert_eq!(forget(&memo, &key(3)), [true, false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is flipped in the file: it is refused, or an entry is not used, or nothing happened.
    #[test]
    fn a_damaged_file_gives_no_false_entry(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| {
            let scene = Scene::new();
            let memo = scene.alone("a");
            for content in 0..20 {
                remember(&memo, &key(content), &format!("valid {content}"));
            }
            drop(memo);
            fs::read(scene.file("a")).unwrap()
        });
        let scene = Scene::new();
        drop(scene.alone("a"));
        let file = scene.file("a");
        let mut bytes = whole.clone();
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        fs::write(&file, &bytes).unwrap();
        let Ok(memo) = Memo::open(&file) else { return Ok(()) };
        for content in 0..20 {
            let verify = |found: &[u8]| match found == format!("valid {content}").as_bytes() {
                true => Ok(()),
                false => Err(fetchhost_keys::VerifyError::Invalid),
            };
            let _ = memo.signature(&key(content), &verify);
        }
        let _ = memo.list();
        let _ = memo.approvals();
    }
}
