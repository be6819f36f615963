//! Signatures without a declared hash: the owner gets them, and nobody else learns anything.

use fetchhost_gateway::{SignatureUrl, StoreInputs};
use fetchhost_policy::DaemonPeers;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::url::{STORE_FILE, encoded};
use crate::world::{BUILD_USER, Setup, World};

fn signature(params: &Value) -> SignatureUrl {
    let inputs = [("content".parse().unwrap(), STORE_FILE.to_owned())];
    SignatureUrl {
        fetcher: "signer".to_owned(),
        name: "app.minisig".parse().unwrap(),
        params: params.as_object().unwrap().clone(),
        inputs: StoreInputs::new(inputs.into()).unwrap(),
        owner: None,
    }
}

#[test]
fn the_owner_gets_what_is_found_and_is_told_why_it_is_not() {
    let world = World::new();
    let found = signature(&json!({ "content": "a signature" })).to_string();
    let answer = world.get(&found);
    assert_eq!((answer.status, answer.text()), (200, "a signature"));
    // It may be another one the next time: each is looked up.
    assert_eq!(world.get(&found).status, 200);
    assert_eq!(world.runs(), 2);

    let missing = signature(&json!({ "fail": "not remembered\n\nhint: run\u{1b}[31m this" }));
    let answer = world.get(&missing.to_string());
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("hint: run") && answer.text().contains("nix-fetchhost log"),
        "{answer:?}"
    );
    assert!(!answer.text().contains('\u{1b}'), "{answer:?}");
}

#[test]
fn nobody_else_learns_anything_whatever_is_asked_for() {
    for rule in [DaemonPeers::Open, DaemonPeers::Approved, DaemonPeers::None] {
        let world = World::with(Setup {
            daemon_peers: rule,
            ..Setup::default()
        });
        let found = signature(&json!({ "content": "a signature" })).to_string();
        assert_eq!(world.get(&found).status, 200);
        let mut answers = Vec::new();
        for caller in [Some(BUILD_USER), Some(0), Some(1000), None] {
            world.becomes(caller);
            for target in [
                found.clone(),
                signature(&json!({ "content": "other" })).to_string(),
                signature(&json!({ "fail": "why" })).to_string(),
                format!("{found}&owner=0123456789abcdef"),
                "/v1/signature/x".to_owned(),
            ] {
                answers.push(world.get(&target));
            }
        }
        assert_eq!(answers[0].status, 404);
        assert!(!answers[0].text().contains("log"), "no ticket either");
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(world.runs(), 1, "nothing was looked up for them");
    }
}

#[test]
fn another_spelling_is_refused_with_what_is_wrong() {
    let world = World::new();
    let right = signature(&json!({ "content": "x" })).to_string();
    let (path, query) = right.split_once('?').unwrap();
    let members: Vec<&str> = query.split('&').collect();
    for (target, status, wrong) in [
        (path.to_owned(), 400, "`name` is not there"),
        (right.replace("signer", "Signer"), 400, "FETCHER"),
        (right.replace("/content", "/other"), 400, "/v1/signature/"),
        (
            format!("{path}?{}&{}", members[0], members[1]),
            400,
            "`inputs` is not there",
        ),
        (
            format!("{path}?{}&{}&{}", members[0], members[2], members[1]),
            400,
            "`params` is not there",
        ),
        (format!("{right}&hash=x"), 400, "after `inputs`"),
        (format!("{right}&executable=1"), 400, "after `inputs`"),
        (
            right.replace(&encoded(STORE_FILE), "%2Fetc%2Fpasswd"),
            400,
            "`inputs` is not",
        ),
        (
            right.replace(&encoded(STORE_FILE), &encoded(&format!("{STORE_FILE}/.."))),
            400,
            "`inputs` is not",
        ),
        (format!("{right}&owner=x"), 400, "`owner` is not"),
        (
            format!("{right}&owner=0123456789abcdef"),
            421,
            "another user's gateway",
        ),
    ] {
        let answer = world.get(&target);
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert!(answer.text().contains(wrong), "{target}: {answer:?}");
    }
    assert_eq!(world.runs(), 0);
    // `abab…` is the gateway of the tests.
    assert_eq!(
        world.get(&format!("{right}&owner=abababababababab")).status,
        200
    );
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        fetcher in "[a-z0-9-]{1,64}",
        name in "[a-zA-Z0-9+_?=-][a-zA-Z0-9+_?=-]{0,40}",
        params in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        below in "(/[^\\p{Cc}/]{3,12}){0,3}",
    ) {
        let mut url = signature(&json!({}));
        url.fetcher = fetcher;
        url.name = name.parse().unwrap();
        url.params = Map::from_iter(params.into_iter().map(|(name, value)| (name, value.into())));
        let path = format!("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a{below}");
        url.inputs = StoreInputs::new([("content".parse().unwrap(), path)].into()).unwrap();
        let text = url.to_string();
        prop_assert_eq!(SignatureUrl::parse(&text), Ok(url));
    }
}
