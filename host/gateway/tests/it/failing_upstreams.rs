//! Other binary caches that fail, or never end.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fetchhost_gateway::{Opened, Upstream};
use fetchhost_policy::UpstreamUrl;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use crate::upstreams::{HASH, NAR, record, url};
use crate::world::{BUILD_USER, OWNER, Setup, World, eventually};

/// A cache that does what its records are called.
#[derive(Default)]
struct Scripted {
    url: Option<UpstreamUrl>,
    /// What is there.
    files: HashMap<String, &'static str>,
    asked: AtomicUsize,
    told: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(url: &str, files: &[(&str, &'static str)]) -> Arc<Self> {
        Arc::new(Self {
            url: Some(url.parse().unwrap()),
            files: files
                .iter()
                .map(|(name, what)| ((*name).to_owned(), *what))
                .collect(),
            ..Self::default()
        })
    }
}

impl Upstream for Scripted {
    fn url(&self) -> &UpstreamUrl {
        self.url.as_ref().unwrap()
    }

    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Option<Opened>, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let chunks = match self.files.get(place).copied() {
            None => return Box::pin(async { Ok(None) }),
            Some("fail") => return Box::pin(async { Err("it answered \u{1b}[31m500".to_owned()) }),
            Some("break") => vec![Err(io::Error::other("the connection was lost"))],
            Some("break later") => vec![
                Ok(Bytes::from_static(NAR)),
                Err(io::Error::other("the connection was lost")),
            ],
            Some(text) => vec![Ok(Bytes::from_static(text.as_bytes()))],
        };
        let body = stream::iter(chunks).boxed();
        Box::pin(async { Ok(Some(Opened { length: None, body })) })
    }

    fn tell(&self, reason: &str) {
        self.told.lock().unwrap().push(reason.to_owned());
    }
}

fn text(hash: &str, nar: &str) -> &'static str {
    Box::leak(record(hash, nar, "").into_boxed_str())
}

#[test]
fn a_cache_that_fails_is_left_alone_and_the_next_one_asked() {
    let narinfo = format!("{HASH}.narinfo");
    for failure in ["fail", "break"] {
        let bad = Scripted::new("https://bad.example", &[(&narinfo, failure)]);
        let good = Scripted::new("https://good.example", &[(&narinfo, text(HASH, "x"))]);
        let world = World::with(Setup {
            upstreams: vec![
                Arc::clone(&bad) as Arc<dyn Upstream>,
                Arc::clone(&good) as Arc<dyn Upstream>,
            ],
            ..Setup::default()
        });
        for _ in 0..3 {
            assert_eq!(world.get(&format!("/{narinfo}")).status, 200, "{failure}");
        }
        assert_eq!(bad.asked.load(Ordering::SeqCst), 1);
        assert_eq!(good.asked.load(Ordering::SeqCst), 3);
        let told = bad.told.lock().unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("upstream `https://bad.example/` failed"),
            "{told:?}"
        );
        assert!(!told[0].contains('\u{1b}'), "{told:?}");
    }
}

#[test]
fn a_nar_that_breaks_is_not_taken_for_a_whole_one() {
    let narinfo = format!("{HASH}.narinfo");
    for how in ["break", "fail", "break later"] {
        let cache = Scripted::new(
            "https://a.example",
            &[(&narinfo, text(HASH, "x")), ("x", how)],
        );
        let world = World::with(Setup {
            upstreams: vec![cache],
            ..Setup::default()
        });
        let nar = url(&world.get(&format!("/{narinfo}")));
        if how != "break later" {
            assert_eq!(world.get(&nar).status, 404, "{how}");
            continue;
        }
        let mut stream = world.connect();
        let host = format!("Host: 127.0.0.1:{}", world.port);
        write!(
            stream,
            "GET {nar} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        // However the connection ends.
        let _ = stream.read_to_end(&mut answer);
        // The end of a body without a length is a last chunk of no bytes.
        assert!(!answer.ends_with(b"0\r\n\r\n"), "{answer:?}");
    }
}

#[test]
fn an_upstream_is_asked_for_nothing_by_those_who_may_not_have_it() {
    let cache = Scripted::new("https://a.example", &[]);
    let world = World::with(Setup {
        upstreams: vec![Arc::clone(&cache) as Arc<dyn Upstream>],
        ..Setup::default()
    });
    let target = format!("/{HASH}.narinfo");
    for who in [Some(BUILD_USER), Some(1000), None] {
        world.becomes(who);
        world.get(&target);
        world.get(&format!("/upstream/0000000000000000/{HASH}.nar"));
    }
    world.becomes(OWNER);
    world.ask("GET", &target, &["Origin: https://a.example"]);
    world.get("/x.narinfo");
    assert_eq!(cache.asked.load(Ordering::SeqCst), 0);
    assert_eq!(world.get(&target).status, 404);
    assert_eq!(cache.asked.load(Ordering::SeqCst), 1);
}

/// A NAR without end, which counts what was taken of it.
struct Endless {
    url: UpstreamUrl,
    taken: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

/// Counts when it goes.
struct Goes(Arc<AtomicUsize>);

impl Drop for Goes {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Upstream for Endless {
    fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Option<Opened>, String>> {
        let body = if place.ends_with(".narinfo") {
            stream::iter([Ok(Bytes::from_static(text(HASH, "x").as_bytes()))]).boxed()
        } else {
            let (taken, goes) = (Arc::clone(&self.taken), Goes(Arc::clone(&self.given_up)));
            let chunk = Bytes::from(vec![0; 1 << 20]);
            stream::repeat_with(move || {
                let _goes = &goes;
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(chunk.clone())
            })
            .boxed()
        };
        Box::pin(async { Ok(Some(Opened { length: None, body })) })
    }

    fn tell(&self, _: &str) {}
}

#[test]
fn no_more_is_taken_from_a_cache_than_the_client_takes() {
    let (taken, given_up) = (Arc::default(), Arc::default());
    let world = World::with(Setup {
        upstreams: vec![Arc::new(Endless {
            url: "https://a.example".parse().unwrap(),
            taken: Arc::clone(&taken),
            given_up: Arc::clone(&given_up),
        })],
        ..Setup::default()
    });
    let nar = url(&world.get(&format!("/{HASH}.narinfo")));
    let mut stream = world.connect();
    let host = format!("Host: 127.0.0.1:{}", world.port);
    write!(stream, "GET {nar} HTTP/1.1\r\n{host}\r\n\r\n").unwrap();
    // As much as fits between both ends is under way; then nothing goes on any more.
    let before = AtomicUsize::new(0);
    eventually("it stops", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = taken.load(Ordering::SeqCst);
        let stopped = now > 0 && now == before.swap(now, Ordering::SeqCst);
        assert!(now < 256, "{now} MiB were taken");
        stopped
    });
    drop(stream);
    eventually("it is given up", || given_up.load(Ordering::SeqCst) == 1);
}
