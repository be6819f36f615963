//! What is kept, and for how long.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fetchhost_gateway::Cache;
use serde_json::json;

use crate::world::{Setup, World, eventually, flat};

/// Bytes of all NARs; those that go at the same time do not count.
fn held(world: &World) -> u64 {
    let nars = fs::read_dir(world.folder.path().join("cache/nar")).unwrap();
    let size = |nar: fs::DirEntry| nar.metadata().map_or(0, |found| found.len());
    nars.map(|nar| size(nar.unwrap())).sum()
}

#[test]
fn what_was_not_asked_for_the_longest_goes_first() {
    let world = World::with(Setup {
        cache_size: 25_000,
        ..Setup::default()
    });
    let content = |letter: &str| letter.repeat(10_000);
    let get = |letter: &str| {
        // Times of files may be coarse.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(
            world.fetch(&flat(&content(letter), json!({}))).text(),
            content(letter)
        );
    };
    for letter in ["a", "b", "a", "c"] {
        get(letter);
    }
    eventually("one goes", || held(&world) <= 25_000);
    assert_eq!(world.runs(), 3);
    get("a");
    assert_eq!(world.runs(), 3, "asked for of late");
    get("b");
    assert_eq!(world.runs(), 4, "the one that went");
}

#[test]
fn where_nothing_may_stay_all_is_served_and_nothing_stays() {
    let world = World::with(Setup {
        cache_size: 0,
        ..Setup::default()
    });
    let url = flat("x", json!({ "times": 1_000_000 }));
    assert_eq!(world.fetch(&url).body.len(), 1_000_000);
    eventually("nothing stays", || held(&world) == 0);
    assert_eq!(world.fetch(&url).body.len(), 1_000_000);
    assert_eq!(world.runs(), 2);
}

#[test]
fn a_file_that_two_records_name_goes_with_the_last_of_them() {
    let world = World::with(Setup {
        cache_size: 15_000,
        ..Setup::default()
    });
    let mut first = flat(&"a".repeat(10_000), json!({}));
    let mut second = first.clone();
    first.output.name = "first".parse().unwrap();
    second.output.name = "second".parse().unwrap();
    for url in [&first, &second, &second] {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(world.fetch(url).status, 200);
    }
    assert_eq!(world.runs(), 2);
    eventually("both share one", || held(&world) < 15_000);
    for url in [&first, &second] {
        assert_eq!(world.fetch(url).body.len(), 10_000);
    }
    assert_eq!(world.runs(), 2, "both are still there");
}

#[test]
fn damaged_content_is_fetched_again() {
    let world = World::new();
    let url = flat(&"a".repeat(10_000), json!({}));
    assert_eq!(world.fetch(&url).status, 200);
    let nar = fs::read_dir(world.folder.path().join("cache/nar")).unwrap();
    let nar = nar.last().unwrap().unwrap().path();
    fs::write(&nar, "short").unwrap();
    assert_eq!(world.fetch(&url).body.len(), 10_000);
    assert_eq!(world.runs(), 2);
}

#[test]
fn the_folder_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let new = folder.path().join("a/b");
    Cache::open(new.clone(), 1).unwrap();
    assert_eq!(mode(&new), 0o700);
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    Cache::open(open.clone(), 1).unwrap();
    assert_eq!(mode(&open), 0o700);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&new, &link).unwrap();
    assert!(Cache::open(link, 1).is_err());
}
