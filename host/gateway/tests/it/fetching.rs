//! Content: once, verified, and not too late.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fetchhost_formats::OutputMode;
use fetchhost_formats::nar::file_size_as_nar;
use fetchhost_gateway::{Ended, serve};
use serde_json::json;

use crate::world::{BUILD_USER, OWNER, Setup, World, flat, settings, sha256, url};

#[test]
fn a_flat_output_is_the_file_and_any_other_the_nar() {
    let world = World::new();
    // Longer than what is read at once, and not a multiple of anything.
    for (content, times) in [("", 1), ("x", 1), ("0123456789", 70_001)] {
        let url = flat(content, json!({ "times": times }));
        assert!(world.fetch(&url).text() == content.repeat(times), "{times}");
    }
    let wrong = url("tree", OutputMode::Nar, sha256(b""), json!({ "tree": "x" }));
    let told = world.fetch(&wrong).text().to_owned();
    let got = told.split("got:").nth(1).unwrap();
    let hash = got.split_whitespace().next().unwrap().parse().unwrap();
    let tree = url("tree", OutputMode::Nar, hash, json!({ "tree": "x" }));
    let nar = world.fetch(&tree).body;
    assert_eq!(sha256(&nar), tree.output.hash);

    let mut tool = url(
        "tool",
        OutputMode::Nar,
        sha256(b""),
        json!({ "content": "x" }),
    );
    tool.executable = true;
    let told = world.fetch(&tool).text().to_owned();
    let got = told.split("got:").nth(1).unwrap();
    tool.output.hash = got.split_whitespace().next().unwrap().parse().unwrap();
    let nar = world.fetch(&tool).body;
    assert_eq!(nar.len() as u64, file_size_as_nar(1, true));
    assert_eq!(sha256(&nar), tool.output.hash);
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let world = World::new();
    let url = flat("content", json!({}));
    for _ in 0..3 {
        assert_eq!(world.fetch(&url).text(), "content");
    }
    assert_eq!(world.runs(), 1);
}

#[test]
fn those_who_ask_at_once_get_one_fetch() {
    let world = World::new();
    let url = flat("content", json!({ "delay": 500 }));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(world.fetch(&url).text(), "content"));
        }
    });
    assert_eq!(world.runs(), 1);
}

#[test]
fn no_more_fetches_run_at_once_than_are_set() {
    let world = World::with(Setup {
        max_fetches: 2,
        ..Setup::default()
    });
    std::thread::scope(|scope| {
        for number in 0..6 {
            let url = flat(&format!("{number}"), json!({ "delay": 100 }));
            scope.spawn({
                let world = &world;
                move || assert_eq!(world.fetch(&url).text(), number.to_string())
            });
        }
    });
    assert_eq!(world.deeds.most.load(Ordering::SeqCst), 2);
}

#[test]
fn a_client_that_hangs_up_loses_nothing() {
    let world = World::new();
    let url = flat("content", json!({ "delay": 300 }));
    let mut stream = world.connect();
    let request = format!(
        "GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        world.port
    );
    stream.write_all(request.as_bytes()).unwrap();
    while world.runs() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stream);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.fetch(&url).text(), "content");
    assert_eq!(world.runs(), 1);
}

#[test]
fn a_slow_fetch_sends_its_client_on_ten_times_and_then_holds() {
    let world = World::with(Setup {
        patience: Duration::from_millis(50),
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    let url = flat("content", json!({ "delay": 1500 }));
    let mut answer = world.fetch(&url);
    let mut hops = Vec::new();
    while answer.status == 302 {
        let next = answer.header("location").unwrap().to_owned();
        hops.push(next.clone());
        answer = world.get(&next);
    }
    assert_eq!(answer.text(), "content");
    assert_eq!(hops.len(), 10, "{hops:?}");
    let (id, _) = hops[0]
        .strip_prefix("/v1/wait/")
        .unwrap()
        .split_once('/')
        .unwrap();
    for (number, hop) in (1..).zip(&hops) {
        assert_eq!(hop, &format!("/v1/wait/{id}/{number}"));
    }
    assert_eq!(world.runs(), 1);

    // Who comes back late still gets it; who guesses, or counts on, does not.
    assert_eq!(world.get(&hops[3]).text(), "content");
    for wrong in [
        format!("/v1/wait/{id}/0"),
        format!("/v1/wait/{id}/11"),
        format!("/v1/wait/{id}/01"),
        format!("/v1/wait/{id}/+1"),
        format!("/v1/wait/{}/1", "0".repeat(32)),
    ] {
        assert_eq!(world.get(&wrong).status, 404, "{wrong}");
    }
    world.becomes(1000);
    assert_eq!(world.get(&hops[0]).status, 403);
}

#[test]
fn a_slow_failure_is_told_where_its_client_waits() {
    let world = World::with(Setup {
        patience: Duration::from_millis(50),
        ..Setup::default()
    });
    let url = flat("x", json!({ "delay": 200, "fail": "upstream is down" }));
    let mut answer = world.fetch(&url);
    while answer.status == 302 {
        answer = world.get(answer.header("location").unwrap());
    }
    assert_eq!(answer.status, 404);
    assert!(answer.text().starts_with("upstream is down"), "{answer:?}");
}

#[test]
fn a_fetch_that_breaks_down_is_told_and_can_be_asked_for_again() {
    let world = World::new();
    let url = flat("x", json!({ "panic": true }));
    for _ in 0..2 {
        let answer = world.fetch(&url);
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("broke down"), "{answer:?}");
    }
    assert_eq!(world.runs(), 2);
    world.becomes(BUILD_USER);
    assert!(world.fetch(&url).text().starts_with("fetch failed; "));
    world.becomes(OWNER);
    let metrics = world.get("/metrics");
    assert!(
        metrics.text().contains("fetches_running 0\n"),
        "{metrics:?}"
    );
}

#[test]
fn it_ends_when_asked_to_and_lets_answers_end() {
    let world = World::new();
    let url = flat("content", json!({ "delay": 400 }));
    let mut stream = world.connect();
    let request = format!(
        "GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        world.port
    );
    stream.write_all(request.as_bytes()).unwrap();
    while world.runs() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let waiting = std::thread::spawn(move || crate::world::Answer::read(stream));
    assert_eq!(world.stop(), Ended::Stopped);
    assert_eq!(waiting.join().unwrap().text(), "content");
}

#[test]
fn it_ends_by_itself_only_when_nothing_goes_on() {
    let idle = Duration::from_millis(300);
    let world = World::with(Setup {
        idle_exit: Some(idle),
        ..Setup::default()
    });
    let start = Instant::now();
    let url = flat("content", json!({ "delay": 900 }));
    assert_eq!(world.fetch(&url).text(), "content");
    assert_eq!(world.ended(), Ended::Idle);
    assert!(start.elapsed() >= Duration::from_millis(1200));
}

#[test]
fn it_listens_nowhere_but_on_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder, &Arc::default(), &Arc::default(), &Setup::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        serve(listener, settings, std::future::pending())
            .await
            .unwrap_err()
    });
    assert!(error.to_string().contains("loopback"), "{error}");
}
