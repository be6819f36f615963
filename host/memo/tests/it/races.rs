//! Several who sign the same at once, in threads and in processes.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use fetchhost_e2e::S3Server;
use fetchhost_memo::Memo;

use crate::bucket::{Reached, bucket_url};
use crate::common::{Scene, forget, key, look_up, remember, remembered};

/// How many keys each one goes through.
const KEYS: u8 = 8;
/// What a process is to do.
const FOLDER: &str = "MEMO_TEST_FOLDER";
const NAME: &str = "MEMO_TEST_NAME";
const SHARED: &str = "MEMO_TEST_SHARED";
const KILLED: &str = "MEMO_TEST_KILLED";

/// What one of them ends up with.
fn race(memo: &Memo, name: &str) -> Vec<String> {
    let one = |content| remember(memo, &key(content), &format!("valid {name} {content}"));
    (0..KEYS).map(one).collect()
}

fn assert_one_won(results: &[Vec<String>], memos: &[Memo]) {
    let all: BTreeSet<_> = results.iter().collect();
    assert_eq!(all.len(), 1, "all got the same bytes");
    for memo in memos {
        for (content, text) in results[0].iter().enumerate() {
            let content = u8::try_from(content).unwrap();
            assert_eq!(look_up(memo, &key(content)), remembered(text));
        }
    }
}

fn threads(open: impl Fn(&str) -> Memo + Sync) {
    let names = ["a", "b", "c", "d"];
    let barrier = Barrier::new(names.len());
    let results: Vec<_> = std::thread::scope(|scope| {
        let started = names.map(|name| {
            let (open, barrier) = (&open, &barrier);
            scope.spawn(move || {
                let memo = open(name);
                barrier.wait();
                race(&memo, name)
            })
        });
        started.map(|thread| thread.join().unwrap()).into()
    });
    let memos = names.map(&open);
    assert_one_won(&results, &memos);
}

#[test]
fn of_threads_with_one_file_one_wins() {
    let scene = Scene::new();
    // All make the file, too.
    threads(|_| scene.alone("a"));
}

#[test]
fn of_threads_with_one_memo_one_wins() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    let results: Vec<_> = std::thread::scope(|scope| {
        let started = ["a", "b", "c"].map(|name| scope.spawn(|| race(&memo, name)));
        started.map(|thread| thread.join().unwrap()).into()
    });
    assert_one_won(&results, &[memo]);
}

#[test]
fn of_threads_that_share_a_cache_one_wins() {
    let scene = Scene::new();
    threads(|name| scene.together(name));
    assert!(scene.warned().is_empty());
}

/// Not a test by itself: what the processes below do.
#[test]
fn a_process_of_a_race() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let name = env::var(NAME).unwrap();
    let shared = env::var(SHARED).ok();
    let file = match shared {
        Some(_) => folder.join(&name).join("memo.sqlite"),
        None => folder.join("memo/memo.sqlite"),
    };
    fs::write(folder.join(format!("{name}.ready")), "").unwrap();
    while !folder.join("go").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut memo = Memo::open(&file).unwrap();
    let reached = shared.map(|url| Reached::new(&url));
    if let Some(reached) = &reached {
        memo = memo.with_shared(reached.cache.clone());
    }
    let results = race(&memo, &name);
    fs::write(folder.join(format!("{name}.results")), results.join("\n")).unwrap();
}

fn start(folder: &Path, name: &str, shared: Option<&str>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "races::a_process_of_a_race"])
        .env(FOLDER, folder)
        .env(NAME, name)
        .stdout(Stdio::null());
    if let Some(url) = shared {
        command.env(SHARED, url);
    }
    command.spawn().unwrap()
}

/// Has processes race in the folder of `scene`. What each ends up with.
fn processes(scene: &Scene, shared: Option<&str>) -> [Vec<String>; 4] {
    let folder = scene.dir.path();
    let names = ["a", "b", "c", "d"];
    let children = names.map(|name| start(folder, name, shared));
    let begin = Instant::now();
    let is_ready = |name: &&str| folder.join(format!("{name}.ready")).exists();
    while !names.iter().all(is_ready) {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::write(folder.join("go"), "").unwrap();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    names.map(|name| {
        let text = fs::read_to_string(folder.join(format!("{name}.results"))).unwrap();
        text.lines().map(str::to_owned).collect()
    })
}

#[test]
fn of_processes_with_one_file_one_wins() {
    let scene = Scene::new();
    let results = processes(&scene, None);
    assert_one_won(&results, &[scene.alone("memo")]);
}

#[test]
fn of_processes_that_share_a_cache_one_wins() {
    let scene = Scene::new();
    let url = format!("file://{}", scene.dir.path().join("cache").display());
    let results = processes(&scene, Some(&url));
    assert_one_won(
        &results,
        &["a", "b", "c", "d"].map(|name| scene.together(name)),
    );
}

#[test]
fn of_processes_that_share_a_bucket_one_wins() {
    let scene = Scene::new();
    let server = S3Server::start();
    server.make_bucket("team");
    let url = bucket_url(&server);
    let results = processes(&scene, Some(&url));
    let reached = Reached::new(&url);
    let open = |name| scene.alone(name).with_shared(reached.cache.clone());
    assert_one_won(&results, &["a", "b", "c", "d", "new"].map(open));
    assert!(scene.warned().is_empty());
}

#[test]
fn of_threads_that_share_a_bucket_one_wins() {
    let scene = Scene::new();
    let server = S3Server::start();
    server.make_bucket("team");
    let reached = Reached::new(&bucket_url(&server));
    threads(|name| scene.alone(name).with_shared(reached.cache.clone()));
}

/// Not a test by itself: what is killed below. It tells each entry once it is remembered.
#[test]
fn a_process_that_is_killed() {
    let Some(folder) = env::var_os(KILLED).map(PathBuf::from) else {
        return;
    };
    let memo = Memo::open(&folder.join("memo/memo.sqlite")).unwrap();
    for content in 0..=u8::MAX {
        remember(&memo, &key(content), &format!("valid {content}"));
        fs::write(folder.join("told"), content.to_string()).unwrap();
    }
}

/// Whoever is killed in the middle leaves a file that all others go on with, and in which nothing is missing that was
/// remembered.
#[test]
fn a_process_that_is_killed_leaves_the_file_whole() {
    for pause in [20, 60, 110] {
        let scene = Scene::new();
        let folder = scene.dir.path();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "races::a_process_that_is_killed"])
            .env(KILLED, folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while !folder.join("told").exists() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = fs::read_to_string(folder.join("told")).unwrap();
        let memo = scene.alone("memo");
        // What was being told when it died may be empty.
        for content in 0..=told.parse().unwrap_or(0) {
            let text = format!("valid {content}");
            assert_eq!(look_up(&memo, &key(content)), remembered(&text));
        }
        assert_eq!(remember(&memo, &key(255), "valid 255"), "valid 255");
        assert!(memo.list().unwrap().iter().all(|one| one.record.is_ok()));
    }
}

/// Forgetting and signing at once ends in one state, the same for all.
#[test]
fn forgetting_and_signing_at_once_leaves_all_with_the_same() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let memo = scene.together(name);
            scope.spawn(move || {
                for turn in 0..10 {
                    remember(&memo, &key(1), &format!("valid {name} {turn}"));
                    forget(&memo, &key(1));
                }
            });
        }
    });
    let winner = remember(&scene.together("a"), &key(1), "valid last");
    for name in ["a", "b", "c", "new"] {
        let found = look_up(&scene.together(name), &key(1));
        assert_eq!(found, remembered(&winner), "{name}");
    }
    assert!(scene.warned().is_empty());
}
