//! What is approved and not held is fetched when its narinfo is asked for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fetchhost_formats::NarInfo;
use fetchhost_gateway::FetchUrl;
use fetchhost_policy::DaemonPeers;
use serde_json::json;

use crate::approved::{approve, strict};
use crate::substituter::names;
use crate::world::{Answer, BUILD_USER, OWNER, Setup, World, eventually, flat, sha256};

const FILE: &str = "/a/fetches.lock.json";

/// Asks as Nix does, which follows ten redirects.
fn follow(world: &World, target: &str) -> (Answer, Vec<String>) {
    let (mut answer, mut hops) = (world.get(target), Vec::new());
    while answer.status == 302 {
        let next = answer.header("location").unwrap().to_owned();
        answer = world.get(&next);
        hops.push(next);
    }
    (answer, hops)
}

#[test]
fn a_record_that_is_asked_for_waits_for_its_fetch() {
    let world = strict();
    let [first, second] = ["first", "second"].map(|text| flat(text, json!({ "delay": 300 })));
    approve(&world, FILE, std::slice::from_ref(&first));
    let [record, nar] = names(&first);
    let record = NarInfo::parse(world.get(&record).text()).unwrap();
    assert_eq!(record.store_path, first.output.store_path());
    assert_eq!(sha256(&world.get(&nar).body), record.nar_hash);
    assert_eq!(world.runs(), 1);
    // It is the same fetch as by its URL.
    assert_eq!(world.fetch(&first).text(), "first");
    assert_eq!(world.runs(), 1);

    for target in names(&second) {
        assert_eq!(world.get(&target).status, 404, "not approved");
    }
    assert_eq!(world.runs(), 1);
}

#[test]
fn whoever_asks_at_once_waits_for_one_fetch() {
    let world = World::new();
    let url = flat("content", json!({ "delay": 500 }));
    approve(&world, FILE, std::slice::from_ref(&url));
    let [record, nar] = names(&url);
    std::thread::scope(|scope| {
        for target in [&record, &nar, &record, &url.to_string()] {
            let (target, world) = (target.clone(), &world);
            scope.spawn(move || assert_eq!(world.get(&target).status, 200, "{target}"));
        }
    });
    assert_eq!(world.runs(), 1);
}

#[test]
fn twenty_five_wait_at_once_and_a_miss_does_not() {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::Approved,
        max_fetches: 25,
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    let fetches: Vec<FetchUrl> = (0..25)
        .map(|number| flat(&number.to_string(), json!({ "delay": 4000 })))
        .collect();
    approve(&world, FILE, &fetches);
    let [missing, _] = names(&flat("other", json!({})));
    std::thread::scope(|scope| {
        let waiting: Vec<_> = fetches
            .iter()
            .map(|url| {
                let [record, _] = names(url);
                let world = &world;
                scope.spawn(move || assert_eq!(world.get(&record).status, 200))
            })
            .collect();
        eventually("all are under way", || {
            assert_eq!(world.get(&missing).status, 404);
            world.deeds.most.load(Ordering::SeqCst) == 25
        });
        assert!(waiting.iter().all(|one| !one.is_finished()), "all wait");
    });
    assert_eq!(world.runs(), 25);
}

#[test]
fn a_failure_is_a_miss_and_only_the_owner_learns_more() {
    let world = strict();
    let mut wrong = flat("the true content", json!({}));
    wrong.output.hash = sha256(b"guess");
    let failures = [
        wrong,
        flat("a", json!({ "fail": "upstream answered 401 for `work`" })),
        flat(
            "b",
            json!({ "unfit": "origin `https://a.example` is not granted" }),
        ),
        flat("c", json!({ "panic": true })),
    ];
    approve(&world, FILE, &failures);
    let [missing, _] = names(&flat("other", json!({})));
    let missing = world.get(&missing);
    assert_eq!(missing.status, 404);
    for failure in &failures {
        for target in names(failure) {
            assert_eq!(world.get(&target), missing, "{target}");
        }
    }
    world.becomes(OWNER);
    for (failure, reason) in failures
        .iter()
        .zip(["hash mismatch", "`work`", "not granted"])
    {
        let [record, _] = names(failure);
        let told = world.get(&record);
        assert_eq!(told.status, 404);
        assert!(told.text().contains(reason), "{}", told.text());
    }
}

#[test]
fn nobody_else_starts_a_fetch() {
    let url = flat("content", json!({}));
    for (rule, who) in [
        (DaemonPeers::None, Some(BUILD_USER)),
        (DaemonPeers::Open, Some(1000)),
        (DaemonPeers::Open, None),
    ] {
        let world = World::with(Setup {
            daemon_peers: rule,
            ..Setup::default()
        });
        approve(&world, FILE, std::slice::from_ref(&url));
        world.becomes(who);
        for target in names(&url) {
            assert_ne!(world.get(&target).status, 200, "{rule} {who:?}");
        }
        world.becomes(OWNER);
        let [record, _] = names(&url);
        world.ask("GET", &record, &["Sec-Fetch-Mode: no-cors"]);
        assert_eq!(world.runs(), 0, "{rule} {who:?}");
        assert_eq!(world.get(&record).status, 200, "the owner");
    }
}

#[test]
fn who_waits_long_is_sent_on_ten_times_and_then_held() {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::Approved,
        patience: Duration::from_millis(50),
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    let slow = flat("content", json!({ "delay": 1500 }));
    approve(&world, FILE, std::slice::from_ref(&slow));
    let [record, nar] = names(&slow);
    let (answer, hops) = follow(&world, &record);
    assert_eq!(answer.status, 200);
    assert!(NarInfo::parse(answer.text()).is_ok());
    let expected: Vec<String> = (1..=10)
        .map(|wait| format!("{record}?wait={wait}"))
        .collect();
    assert_eq!(hops, expected);
    assert_eq!(follow(&world, &format!("{nar}?wait=3")).0.status, 200);
    assert_eq!(world.runs(), 1);
    for wrong in [
        "wait=0",
        "wait=11",
        "wait=01",
        "wait",
        "wait=1&wait=1",
        "",
        "x",
    ] {
        let answer = world.get(&format!("{record}?{wrong}"));
        assert_eq!(answer.status, 404, "{wrong}");
    }
}

#[test]
fn what_went_meanwhile_is_fetched_again_for_its_nar() {
    let world = strict();
    let url = flat("content", json!({}));
    approve(&world, FILE, std::slice::from_ref(&url));
    let [record, nar] = names(&url);
    assert_eq!(world.get(&record).status, 200);
    std::fs::remove_dir_all(world.folder.path().join("cache")).unwrap();
    assert_eq!(world.get(&nar).status, 200);
    assert_eq!(world.runs(), 2);
}
