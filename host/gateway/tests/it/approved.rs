//! What builds of a daemon get where they get what is approved, and nothing else.

use fetchhost_gateway::{Approval, FetchUrl, LockFile, Locked};
use fetchhost_policy::DaemonPeers;
use serde_json::json;

use crate::world::{Answer, BUILD_USER, OWNER, Setup, World, approvals, eventually, flat, sha256};

fn lock(fetches: &[FetchUrl]) -> LockFile {
    let locked = |(number, fetch): (usize, &FetchUrl)| {
        let locked = Locked {
            fetch: fetch.clone(),
            nar_hash: sha256(b"of no matter here"),
            nar_size: 1000,
        };
        (format!("fetch-{number}"), locked)
    };
    let fetches = fetches.iter().enumerate().map(locked).collect();
    LockFile { fetches }
}

pub(crate) fn approve(world: &World, file: &str, fetches: &[FetchUrl]) {
    let approval = Approval {
        file: file.to_owned(),
        time: "2026-01-01T00:00:00Z".to_owned(),
        lock: lock(fetches),
    };
    approvals(&world.folder).approve(&approval).unwrap();
}

pub(crate) fn strict() -> World {
    let world = World::with(Setup {
        daemon_peers: DaemonPeers::Approved,
        ..Setup::default()
    });
    world.becomes(BUILD_USER);
    world
}

/// The body without the ticket.
fn told(answer: &Answer) -> (u16, String) {
    let (text, ticket) = answer.text().trim_end().rsplit_once(' ').unwrap();
    assert_eq!(ticket.trim_end_matches('\'').len(), 10, "{ticket}");
    (answer.status, text.to_owned())
}

#[test]
fn builds_get_what_is_approved_and_are_told_nothing_of_the_rest() {
    let world = strict();
    let (ours, failing) = (
        flat("ours", json!({})),
        flat("x", json!({"fail": "status 403"})),
    );
    let before = world.fetch(&ours);
    assert_eq!(before.status, 404);
    assert_eq!(world.runs(), 0, "nothing was asked for it");
    let reason = world.deeds.records.lock().unwrap()[0].clone();
    assert!(reason.contains("nix-fetchhost approve"), "{reason}");

    approve(
        &world,
        "/a/fetches.lock.json",
        &[ours.clone(), failing.clone()],
    );
    assert_eq!(world.fetch(&ours).text(), "ours");
    assert_eq!(told(&world.fetch(&failing)), told(&before));

    let other = flat("other", json!({}));
    world.becomes(OWNER);
    assert_eq!(world.fetch(&other).text(), "other");
    world.becomes(BUILD_USER);
    assert_eq!(told(&world.fetch(&other)), told(&before), "though at hand");
}

#[test]
fn an_approval_is_for_the_fetch_to_the_letter() {
    let world = strict();
    let ours = flat("ours", json!({"ref": "main"}));
    approve(&world, "/a/fetches.lock.json", std::slice::from_ref(&ours));
    let mut others = vec![ours.clone(); 4];
    others[0].params.insert("ref".to_owned(), "evil".into());
    others[1].params.remove("ref");
    others[2].output.name = "other".parse().unwrap();
    others[3].output.hash = sha256(b"another");
    for other in &others {
        assert_eq!(world.fetch(other).status, 404);
    }
    assert_eq!(world.runs(), 0);
    // What was refused is no failure of what is approved.
    assert_eq!(world.fetch(&ours).text(), "ours");
    let mut named = ours;
    named.owner = Some("abababababababab".parse().unwrap());
    assert_eq!(
        world.fetch(&named).text(),
        "ours",
        "the id says whose gateway"
    );
}

#[test]
fn an_approval_holds_from_when_it_is_given_to_when_it_is_withdrawn() {
    let world = strict();
    let (one, two) = (flat("one", json!({})), flat("two", json!({})));
    approve(&world, "/a/lock", std::slice::from_ref(&one));
    approve(&world, "/b/lock", std::slice::from_ref(&two));
    assert_eq!(world.fetch(&one).text(), "one");
    approve(&world, "/a/lock", &[]);
    assert_eq!(
        world.fetch(&one).status,
        404,
        "another approval of the same file"
    );
    let approvals = approvals(&world.folder);
    assert!(approvals.withdraw("/b/lock").unwrap());
    assert!(!approvals.withdraw("/b/lock").unwrap());
    assert_eq!(world.fetch(&two).status, 404);
    assert_eq!(approvals.list().unwrap().len(), 1);
}

#[test]
fn approvals_that_cannot_be_read_approve_nothing() {
    let world = strict();
    let ours = flat("ours", json!({}));
    approve(&world, "/a/lock", std::slice::from_ref(&ours));
    std::fs::write(world.folder.path().join("approved/x.json"), "{").unwrap();
    assert_eq!(world.fetch(&ours).status, 404);
    let reason = world.deeds.records.lock().unwrap()[0].clone();
    assert!(reason.contains("x.json"), "{reason}");
    world.becomes(OWNER);
    assert_eq!(world.fetch(&ours).text(), "ours", "the owner needs none");
}

#[test]
fn an_approval_that_would_not_be_read_back_is_not_kept() {
    let world = strict();
    let ours = flat("ours", json!({}));
    approve(&world, "/a/lock", std::slice::from_ref(&ours));
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let approval = Approval {
        file: "/b/lock".to_owned(),
        time: "2026-01-01T00:00:00Z".to_owned(),
        lock: lock(&[flat("deep", json!({ "deep": deep }))]),
    };
    let refused = approvals(&world.folder).approve(&approval).unwrap_err();
    assert!(refused.to_string().contains("too deep"), "{refused}");
    assert_eq!(world.fetch(&ours).text(), "ours", "the others still hold");
}

#[test]
fn many_refusals_share_one_record_and_leave_what_is_approved_alone() {
    let world = strict();
    let ours = flat("ours", json!({}));
    approve(&world, "/a/lock", std::slice::from_ref(&ours));
    for number in 0..70 {
        assert_eq!(
            world.fetch(&flat(&format!("{number}"), json!({}))).status,
            404
        );
    }
    // Should the minute have passed meanwhile, some more.
    let records = world.deeds.records.lock().unwrap().len();
    assert!((61..70).contains(&records), "{records}");
    assert_eq!(world.fetch(&ours).text(), "ours");
}

#[test]
fn with_the_first_fetch_of_a_file_the_others_start() {
    for caller in [BUILD_USER, OWNER] {
        let world = strict();
        let fetches = ["one", "two", "three"].map(|text| flat(text, json!({})));
        approve(&world, "/a/lock", &fetches);
        approve(&world, "/b/lock", &[flat("not of this file", json!({}))]);
        world.becomes(caller);
        assert_eq!(world.fetch(&fetches[1]).text(), "two");
        eventually("all were fetched", || world.runs() == 3);
        for fetch in &fetches {
            assert_eq!(world.fetch(fetch).status, 200);
        }
        assert_eq!(world.runs(), 3, "each once");
    }
}

#[test]
fn what_would_not_fit_into_the_cache_is_not_started_ahead() {
    let world = World::with(Setup {
        cache_size: 1500,
        ..Setup::default()
    });
    let fetches = ["one", "two"].map(|text| flat(text, json!({})));
    approve(&world, "/a/lock", &fetches);
    assert_eq!(world.fetch(&fetches[0]).text(), "one");
    assert_eq!(world.fetch(&fetches[0]).text(), "one");
    assert_eq!(world.runs(), 1);
}
