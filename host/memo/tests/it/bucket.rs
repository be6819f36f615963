//! Remembering together in a bucket.

use std::sync::Arc;

use fetchhost_cache::{Bucket, Cache, CacheError, CachePlace, CacheUrl};
use fetchhost_credentials::Keyring;
use fetchhost_e2e::{ACCESS_KEY_ID, Quirk, S3Server, SECRET_ACCESS_KEY};
use fetchhost_memo::{Found, MemoError};
use fetchhost_policy::{Broker, Config};
use fetchhost_transport::{Client, Settings};
use tokio::runtime::Runtime;

use crate::common::{Scene, forget, is_forgotten, key, look_up, remember, remembered, verify};

/// A cache, and what sends its requests.
pub(crate) struct Reached {
    pub(crate) cache: Cache,
    _runtime: Option<Runtime>,
}

impl Reached {
    /// The cache at a URL; a bucket's keys are those of the server for tests.
    pub(crate) fn new(url: &str) -> Self {
        let url: CacheUrl = url.parse().unwrap();
        let CachePlace::Bucket(place) = url.place.clone() else {
            return Self {
                cache: Cache::on_disk(url, false).unwrap(),
                _runtime: None,
            };
        };
        let runtime = Runtime::new().unwrap();
        let keyring = Keyring::with_environment(|name| match name {
            "AWS_ACCESS_KEY_ID" => Some(ACCESS_KEY_ID.into()),
            "AWS_SECRET_ACCESS_KEY" => Some(SECRET_ACCESS_KEY.into()),
            _ => None,
        });
        let client = Client::new(Settings::default(), Arc::new(keyring));
        let (broker, slot) = Broker::for_bucket(&place, &Config::default(), true).unwrap();
        let entered = runtime.enter();
        let bucket = Bucket::new(&place, &url.writing, client, Arc::new(broker), slot).unwrap();
        drop(entered);
        Self {
            cache: Cache::new(url, Arc::new(bucket)),
            _runtime: Some(runtime),
        }
    }
}

pub(crate) fn bucket_url(server: &S3Server) -> String {
    format!("s3://team?endpoint={}&region=us-east-1", server.url())
}

fn served(quirk: Quirk) -> (Scene, S3Server) {
    let server = S3Server::with(quirk);
    server.make_bucket("team");
    (Scene::new(), server)
}

fn object(content: u8) -> String {
    format!("memo/{}.json", key(content).id())
}

#[test]
fn all_have_the_same_in_a_bucket_and_forget_it_together() {
    for quirk in [Quirk::None, Quirk::BareStates] {
        let (scene, server) = served(quirk);
        let reached = Reached::new(&bucket_url(&server));
        let one = scene.alone("a").with_shared(reached.cache.clone());
        let other = scene.alone("b").with_shared(reached.cache.clone());
        let found = one.signature_before_signing(&key(1), &verify).unwrap();
        assert_eq!(found, Found::Nothing);
        assert_eq!(remember(&one, &key(1), "valid 1"), "valid 1");
        assert_eq!(remember(&other, &key(1), "valid 2"), "valid 1");
        let entry = server.get("team", &object(1));
        let path = fetchhost_cache::memo_path(&entry).unwrap();
        let found = reached.cache.record(&path).unwrap().unwrap();
        assert!(reached.cache.has_nar(&found.record).unwrap());
        assert_eq!(forget(&one, &key(1)), [true, true]);
        assert!(is_forgotten(&other, &key(1)));
        assert_eq!(remember(&other, &key(1), "valid 3"), "valid 3");
        assert_eq!(look_up(&one, &key(1)), remembered("valid 3"));
        assert!(scene.warned().is_empty());
    }
}

/// Where two at once could undo each other nobody is first; a single writer may say that there is no other.
#[test]
fn a_server_without_conditions_is_refused_unless_one_writes_alone() {
    for quirk in [Quirk::IgnoresConditions, Quirk::RefusesConditions] {
        let (scene, server) = served(quirk);
        let reached = Reached::new(&bucket_url(&server));
        let memo = scene.alone("a").with_shared(reached.cache.clone());
        assert_eq!(look_up(&memo, &key(1)), Found::Nothing);
        for error in [
            memo.signature_before_signing(&key(1), &verify).map(drop),
            memo.remember_signature(&key(1), b"valid", &verify)
                .map(drop),
        ] {
            let error = error.unwrap_err();
            let MemoError::Shared(CacheError::Unconditional { .. }) = &error else {
                panic!("{error}")
            };
            assert!(error.hint().unwrap().contains("single-writer"));
        }
        assert!(!server.bucket("team").join(object(1)).exists());
        let alone = format!("{}&single-writer=true", bucket_url(&server));
        let reached = Reached::new(&alone);
        let memo = scene.alone("a").with_shared(reached.cache.clone());
        assert_eq!(remember(&memo, &key(1), "valid 1"), "valid 1");
        assert_eq!(remember(&memo, &key(1), "valid 2"), "valid 1");
        assert_eq!(forget(&memo, &key(1)), [true, true]);
        assert_eq!(remember(&memo, &key(1), "valid 3"), "valid 3");
    }
}

#[test]
fn a_bucket_that_refuses_is_warned_of_and_in_the_way_of_signing() {
    let (scene, server) = served(Quirk::Refuses("GET", 500, "InternalError"));
    remember(&scene.alone("a"), &key(1), "valid 1");
    let reached = Reached::new(&bucket_url(&server));
    let memo = scene.alone("a").with_shared(reached.cache.clone());
    assert_eq!(look_up(&memo, &key(1)), remembered("valid 1"));
    assert_eq!(scene.warned().len(), 1);
    let error = memo.signature_before_signing(&key(2), &verify);
    assert!(matches!(error, Err(MemoError::Shared(_))));
}

#[test]
fn a_poisoned_or_huge_object_in_a_bucket_is_refused_by_its_url() {
    let (scene, server) = served(Quirk::None);
    let reached = Reached::new(&bucket_url(&server));
    let memo = scene.alone("a").with_shared(reached.cache.clone());
    let huge = vec![b' '; 3 << 20];
    for (number, content) in [(1, &b"{}"[..]), (2, &huge)] {
        server.put("team", &object(number), content);
        assert_eq!(look_up(&memo, &key(number)), Found::Nothing);
        let warned = scene.warned();
        assert!(
            warned[0].contains(&object(number)) && warned[0].contains("http://"),
            "{warned:?}"
        );
        let error = memo.remember_signature(&key(number), b"valid", &verify);
        assert!(matches!(error, Err(MemoError::Poisoned { .. })));
        assert_eq!(forget(&memo, &key(number)), [false, true]);
        assert!(is_forgotten(&memo, &key(number)));
        assert_eq!(remember(&memo, &key(number), "valid 1"), "valid 1");
    }
    scene.warned();
    // A secret is in no warning and no error.
    assert!(!format!("{memo:?}").contains(SECRET_ACCESS_KEY));
}
