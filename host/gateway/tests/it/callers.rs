//! Who gets what, and who learns what.

use std::net::TcpStream;
use std::time::Duration;

use fetchhost_policy::DaemonPeers;
use serde_json::json;

use crate::world::{Answer, BUILD_USER, OWNER, Setup, World, flat, sha256};

#[test]
fn only_the_owner_and_the_daemon_are_served() {
    let world = World::new();
    let url = flat("content", json!({}));
    for stranger in [Some(1000), Some(OWNER + 1), None] {
        world.becomes(stranger);
        for target in [url.to_string(), "/v1/wait/x/1".to_owned()] {
            let answer = world.get(&target);
            assert_eq!(answer.status, 403, "{stranger:?} {target}");
        }
        assert_eq!(world.get("/metrics").status, 404);
        assert_eq!(world.get("/healthz").status, 200);
    }
    assert_eq!(world.runs(), 0);
    for known in [OWNER, BUILD_USER, 0] {
        world.becomes(known);
        assert_eq!(world.fetch(&url).text(), "content", "{known}");
    }
}

#[test]
fn builds_of_a_daemon_get_nothing_where_the_rule_is_none() {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::None,
        ..Setup::default()
    });
    let url = flat("content", json!({}));
    world.becomes(BUILD_USER);
    let before = world.fetch(&url);
    assert_eq!((before.status, world.runs()), (403, 0));
    world.becomes(OWNER);
    assert_eq!(world.fetch(&url).text(), "content");
    world.becomes(BUILD_USER);
    assert_eq!(world.fetch(&url), before, "what is at hand is no exception");
}

#[test]
fn strangers_who_hold_connections_keep_nobody_waiting() {
    let world = World::new();
    world.becomes(1000);
    let held: Vec<_> = (0..40).map(|_| world.connect()).collect();
    // Those beyond what strangers may hold are closed without an answer.
    let is_closed = |stream: &TcpStream| {
        let patience = Duration::from_millis(100);
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.peek(&mut [0]).is_ok_and(|bytes| bytes == 0)
    };
    let number = held.iter().filter(|stream| is_closed(stream)).count();
    assert_eq!(number, 40 - 16);
    world.becomes(OWNER);
    assert_eq!(world.fetch(&flat("content", json!({}))).text(), "content");
}

/// An answer whose ticket is taken out.
fn without_ticket(mut answer: Answer, ticket: &str) -> Answer {
    let text = answer.text().replace(ticket, "TICKET");
    answer.body = text.into_bytes();
    answer
}

#[test]
fn whatever_failed_looks_the_same_to_builds_of_a_daemon() {
    let world = World::new();
    let mut wrong = flat("the true content", json!({}));
    wrong.output.hash = sha256(b"guess");
    let failures = [
        wrong,
        flat("a", json!({ "fail": "upstream answered 404" })),
        flat(
            "b",
            json!({ "fail": "401: the credential `work` was not accepted" }),
        ),
        flat("c", json!({ "unfit": "there is no fetcher `c`" })),
        flat(
            "d",
            json!({ "unfit": "origin `https://a.example` is not granted" }),
        ),
    ];
    world.becomes(BUILD_USER);
    let answers: Vec<Answer> = (1..)
        .zip(&failures)
        .map(|(ticket, url)| without_ticket(world.fetch(url), &format!("{ticket:010x}")))
        .collect();
    assert_eq!(answers[0].status, 404);
    assert_eq!(
        answers[0].text(),
        "fetch failed; the owner runs 'nix-fetchhost log TICKET'\n"
    );
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(world.deeds.records.lock().unwrap().len(), failures.len());
    let got = sha256(b"the true content").sri();
    assert!(world.deeds.records.lock().unwrap()[0].contains(&got));

    // What the owner is told is the reason.
    world.becomes(OWNER);
    let told = world.fetch(&failures[0]);
    assert_eq!(told.status, 404);
    assert!(told.text().contains(&got), "{}", told.text());
    assert!(world.fetch(&failures[2]).text().contains("`work`"));
}

#[test]
fn guessing_hashes_costs_upstream_one_fetch() {
    let world = World::new();
    world.becomes(BUILD_USER);
    let right = flat("the true content", json!({}));
    let guess = |text: &str| {
        let mut url = right.clone();
        url.output.hash = sha256(text.as_bytes());
        world.fetch(&url)
    };
    let first = guess("1");
    for text in ["1", "2", "3"] {
        assert_eq!(guess(text), first, "the same ticket even");
    }
    assert_eq!(world.runs(), 1);
    assert_eq!(world.fetch(&right).text(), "the true content");
    assert_eq!(world.runs(), 2);
    // The owner's tries are tried.
    world.becomes(OWNER);
    guess("1");
    assert_eq!(world.runs(), 3);
}

#[test]
fn asking_twice_does_not_tell_whether_there_is_content() {
    let world = World::new();
    world.becomes(BUILD_USER);
    let there = flat("the true content", json!({}));
    let missing = flat("x", json!({ "fail": "upstream answered 404" }));
    let unfit = flat("x", json!({ "unfit": "not granted" }));
    let mut tickets = Vec::new();
    for url in [there, missing, unfit] {
        let guess = |text: &str, name: &str| {
            let mut url = url.clone();
            url.output.hash = sha256(text.as_bytes());
            url.output.name = name.parse().unwrap();
            world.fetch(&url)
        };
        let first = guess("1", "a");
        for (text, name) in [("1", "a"), ("2", "a"), ("3", "b")] {
            assert_eq!(guess(text, name), first);
        }
        tickets.push(first.text().to_owned());
    }
    tickets.dedup();
    assert_eq!(tickets.len(), 3);
}

#[test]
fn what_is_at_hand_is_served_although_it_would_fail_now() {
    let world = World::new();
    world.becomes(BUILD_USER);
    let url = flat("content", json!({}));
    assert_eq!(world.fetch(&url).text(), "content");
    let mut wrong = url.clone();
    wrong.output.hash = sha256(b"guess");
    let mut right_elsewhere = url.clone();
    right_elsewhere.output.name = "other".parse().unwrap();
    assert_eq!(world.fetch(&wrong).status, 404);
    assert_eq!(world.fetch(&url).text(), "content");
    assert_eq!(world.fetch(&right_elsewhere).text(), "content");
    assert_eq!(world.runs(), 3);
}

#[test]
fn control_characters_of_others_reach_no_terminal() {
    let world = World::new();
    let answer = world.fetch(&flat(
        "a",
        json!({ "fail": "says \u{1b}[31mred\u{7}\nnext line" }),
    ));
    assert!(!answer.text().contains(['\u{1b}', '\u{7}']), "{answer:?}");
    assert!(answer.text().contains("\nnext line"), "{answer:?}");
}

#[test]
fn metrics_count_and_name_nothing() {
    let world = World::new();
    let url = flat("content", json!({ "canary": "c4n4ry" }));
    world.fetch(&url);
    world.fetch(&url);
    world.fetch(&flat("x", json!({ "fail": "c4n4ry" })));
    world.get("/nowhere");
    world.ask("GET", "/", &["Origin: null"]);
    let text = world.get("/metrics").text().to_owned();
    for line in [
        "requests_total{outcome=\"served\"} 2",
        "requests_total{outcome=\"failed\"} 1",
        "requests_total{outcome=\"not-found\"} 1",
        "requests_total{outcome=\"refused\"} 1",
        "fetches_total{outcome=\"fetched\"} 1",
        "fetches_total{outcome=\"failed\"} 1",
        "cache_hits_total 1",
        "sent_bytes_total 14",
    ] {
        let line = format!("\nfetchhost_gateway_{line}\n");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    assert!(!text.contains("c4n4ry") && !text.contains("scripted"));
    world.becomes(BUILD_USER);
    assert_eq!(world.get("/metrics").status, 404);
}
