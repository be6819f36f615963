//! Many clients, slow clients, and who is kept waiting by them.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use fetchhost_gateway::{Ended, FetchUrl};
use fetchhost_policy::DaemonPeers;
use serde_json::json;

use crate::approved::{approve, strict};
use crate::substituter::names;
use crate::world::{BUILD_USER, OWNER, Setup, World, approvals, eventually, flat};

/// A fetch that waits for [`open`].
fn waiting(content: &str) -> FetchUrl {
    flat(content, json!({ "gate": "open" }))
}

fn open(world: &World) {
    std::fs::write(world.folder.path().join("open"), "").unwrap();
}

fn impatient() -> World {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::Approved,
        patience: Duration::from_millis(50),
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    world
}

#[test]
fn builds_of_a_daemon_do_not_take_all_turns() {
    let world = World::with(Setup {
        max_fetches: 2,
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    let asked: Vec<_> = (0..4).map(|number| waiting(&format!("{number}"))).collect();
    let (world, asked) = (&world, &asked);
    std::thread::scope(|scope| {
        let ask_for_all = || {
            for url in asked {
                scope.spawn(move || assert_eq!(world.fetch(url).status, 200));
            }
        };
        ask_for_all();
        eventually("all were judged", || world.deeds.prepared() == 4);
        eventually("one runs", || world.runs() == 1);
        world.becomes(OWNER);
        assert_eq!(world.fetch(&flat("mine", json!({}))).text(), "mine");
        assert_eq!(world.runs(), 2);
        // What waits behind others becomes the owner's when he asks for it.
        ask_for_all();
        eventually("another one runs", || world.runs() == 3);
        open(world);
    });
}

#[test]
fn builds_of_a_daemon_do_not_fill_the_table_of_fetches() {
    let world = World::with(Setup {
        patience: Duration::from_millis(1),
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    for number in 0..1100 {
        let answer = world.fetch(&waiting(&format!("{number}")));
        assert_eq!(answer.status == 302, number < 256, "{number}");
    }
    world.becomes(OWNER);
    open(&world);
    let mut answer = world.fetch(&flat("mine", json!({})));
    while answer.status == 302 {
        answer = world.get(answer.header("location").unwrap());
    }
    assert_eq!(answer.text(), "mine");
    let records = world.deeds.records.lock().unwrap().len();
    assert!(records < 300, "few are recorded: {records}");
}

/// Where a fetch is asked for: its record in the binary cache, or its own URL.
fn target(fetch: &FetchUrl, is_record: bool) -> String {
    if is_record {
        names(fetch)[0].clone()
    } else {
        fetch.to_string()
    }
}

#[test]
fn an_approval_that_is_withdrawn_is_so_for_those_who_wait() {
    for is_record in [false, true] {
        let world = impatient();
        let ours = waiting("ours");
        approve(&world, "/a/lock", std::slice::from_ref(&ours));
        let target = target(&ours, is_record);
        let first = world.get(&target);
        assert_eq!(first.status, 302);
        approvals(&world.folder).withdraw("/a/lock").unwrap();
        let next = first.header("location").unwrap();
        assert_eq!(world.get(next).status, 404, "at once");
        open(&world);
        world.becomes(OWNER);
        assert_eq!(world.fetch(&ours).status, 200);
        world.becomes(BUILD_USER);
        assert_eq!(world.get(next).status, 404, "when it is there");
    }
}

#[test]
fn an_approval_that_is_withdrawn_while_it_is_fetched_gives_nothing() {
    for is_record in [false, true] {
        let world = strict();
        let ours = waiting("ours");
        approve(&world, "/a/lock", std::slice::from_ref(&ours));
        let target = target(&ours, is_record);
        std::thread::scope(|scope| {
            let told = scope.spawn(|| world.get(&target));
            eventually("it is fetched", || world.runs() == 1);
            approvals(&world.folder).withdraw("/a/lock").unwrap();
            open(&world);
            assert_eq!(told.join().unwrap().status, 404);
        });
    }
}

#[test]
fn who_can_log_in_since_it_started_counts() {
    let world = World::new();
    world.becomes(BUILD_USER);
    let ours = flat("ours", json!({}));
    assert_eq!(world.fetch(&ours).text(), "ours");
    let passwd = world.folder.path().join("passwd");
    std::fs::write(&passwd, "new:x:1000:1000::/home/new:/bin/sh\n").unwrap();
    assert_eq!(world.fetch(&ours).status, 404);
    assert_eq!(world.get(&names(&ours)[0]).status, 404);
    std::fs::write(&passwd, "new:x:1000:1000::/home/new:/sbin/nologin\n").unwrap();
    assert_eq!(world.fetch(&ours).text(), "ours");
}

#[test]
fn approvals_that_others_can_write_approve_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = strict();
    let ours = flat("ours", json!({}));
    approve(&world, "/a/lock", std::slice::from_ref(&ours));
    let folder = world.folder.path().join("approved");
    for mode in [0o777, 0o770] {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(world.fetch(&ours).status, 404);
        assert_eq!(world.get(&names(&ours)[0]).status, 404);
    }
    let told = world.deeds.records.lock().unwrap()[0].clone();
    assert!(told.contains("others can write"), "{told}");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(world.fetch(&ours).text(), "ours");
}

#[test]
fn who_reads_nothing_of_an_answer_is_cut_off() {
    let world = World::with(Setup {
        stalled: Duration::from_millis(100),
        idle_exit: Some(Duration::from_secs(3)),
        ..Setup::default()
    });
    // More than any socket takes in.
    let url = flat("0123456789abcdef", json!({ "times": 4_000_000 }));
    assert_eq!(world.fetch(&url).status, 200);
    let mut stream = world.connect();
    let port = world.port;
    let asked = format!("GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(asked.as_bytes()).unwrap();
    // While something is sent, the gateway is not idle.
    assert_eq!(world.ended(), Ended::Idle);
    let mut taken = Vec::new();
    let ended = stream.read_to_end(&mut taken);
    assert!(
        ended.is_err() || taken.len() < 64_000_000,
        "{}",
        taken.len()
    );
}

#[test]
fn what_is_larger_than_the_cache_is_there_for_who_asked_for_its_record() {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::Approved,
        cache_size: 1,
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    let fetches = ["one", "two"].map(|text| flat(text, json!({})));
    approve(&world, "/a/lock", &fetches);
    for url in &fetches {
        let [record, nar] = names(url);
        assert_eq!(world.get(&record).status, 200);
        assert_eq!(world.get(&nar).status, 200);
    }
    assert_eq!(world.runs(), 2, "each once");
}
