//! The gateway as a binary cache of what it holds.

use std::fs;
use std::time::Duration;

use fetchhost_formats::nar::file_size_as_nar;
use fetchhost_formats::{Compression, NarInfo, OutputMode};
use fetchhost_gateway::FetchUrl;
use fetchhost_policy::DaemonPeers;
use serde_json::json;

use crate::world::{BUILD_USER, OWNER, Setup, World, flat, sha256, url};

/// The names under which a path is asked for: of its record, and of its NAR.
pub(crate) fn names(url: &FetchUrl) -> [String; 2] {
    let path = url.output.store_path();
    let hash = path.hash_part();
    [format!("/{hash}.narinfo"), format!("/nar/{hash}.nar")]
}

/// A tree that was fetched.
fn tree(world: &World) -> FetchUrl {
    let mut tree = url(
        "tree",
        OutputMode::Nar,
        sha256(b""),
        json!({ "tree": "leaf" }),
    );
    let told = world.fetch(&tree);
    let got = told.text().split("got:").nth(1).unwrap();
    tree.output.hash = got.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(world.fetch(&tree).status, 200);
    tree
}

#[test]
fn what_was_fetched_is_a_path_of_a_binary_cache() {
    let world = World::new();
    let file = flat("content", json!({}));
    assert_eq!(world.fetch(&file).status, 200);
    let tree = tree(&world);
    let runs = world.runs();
    for url in [&file, &tree] {
        let [record, nar] = names(url);
        let answer = world.get(&record);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/x-nix-narinfo"));
        let record = NarInfo::parse(answer.text()).unwrap();
        assert_eq!(record.store_path, url.output.store_path());
        assert_eq!(record.ca, Some(url.output.content_address().into()));
        assert_eq!(format!("/{}", record.url), nar);
        assert_eq!(record.compression, Compression::None);
        assert!(record.references.is_empty());

        let answer = world.get(&nar);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/x-nix-nar"));
        let length = record.nar_size.to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
        assert_eq!(answer.body.len() as u64, record.nar_size);
        assert_eq!(sha256(&answer.body), record.nar_hash);
        let head = world.ask("HEAD", &nar, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    assert_eq!(world.runs(), runs, "nothing was fetched for it");
    let [_, nar] = names(&file);
    assert_eq!(
        world.get(&nar).body.len() as u64,
        file_size_as_nar(7, false)
    );
}

#[test]
fn it_says_what_nix_needs_to_know_of_a_cache() {
    let world = World::new();
    for known in [OWNER, BUILD_USER, 0] {
        world.becomes(known);
        let answer = world.get("/nix-cache-info");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.text(),
            "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 10\n"
        );
    }
}

#[test]
fn what_is_not_held_is_a_404_whatever_was_asked() {
    let world = World::new();
    let held = flat("content", json!({}));
    world.fetch(&held);
    let [record, nar] = names(&held);
    for target in names(&flat("other", json!({}))).into_iter().chain([
        record.to_uppercase(),
        record.replace(".narinfo", ""),
        record.replace(".narinfo", ".ls"),
        record.replace(".narinfo", ".narinfo/"),
        format!("/%{:02X}{}", record.as_bytes()[1], &record[2..]),
        format!("/nar{record}"),
        nar.replace(".nar", ".nar.xz"),
        nar.replace("/nar/", "/nar/../nar/"),
        nar.replace("/nar/", "/"),
        "/.narinfo".to_owned(),
        "/nix-cache-info.narinfo".to_owned(),
        "/..%2fcache%2fnix-cache-info".to_owned(),
        // A name of the files below, which are named by their content.
        format!("/nar/{}.nar", sha256(&world.get(&nar).body).nix32()),
    ]) {
        let answer = world.get(&target);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(answer.text(), "nothing is here\n", "{target}");
    }
    assert_eq!(world.get(&record).status, 200);
}

#[test]
fn strangers_and_web_pages_get_nothing() {
    let world = World::new();
    let held = flat("content", json!({}));
    world.fetch(&held);
    let [record, nar] = names(&held);
    let [missing, _] = names(&flat("other", json!({})));
    for target in [&record, &nar, &missing, "/nix-cache-info"] {
        for header in ["Origin: null", "Referer: http://a/", "Sec-Fetch-Site: none"] {
            assert_eq!(world.ask("GET", target, &[header]).status, 403, "{target}");
        }
        let host = format!(
            "GET {target} HTTP/1.1\r\nHost: a.example:{}\r\nConnection: close\r\n\r\n",
            world.port
        );
        assert_eq!(world.send(&host).status, 421, "{target}");
    }
    for stranger in [Some(1000), Some(OWNER + 1), None] {
        world.becomes(stranger);
        let first = world.get(&missing);
        assert_eq!(first.status, 403);
        for target in [&record, &nar, "/nix-cache-info"] {
            assert_eq!(world.get(target), first, "{stranger:?} {target}");
        }
    }
}

#[test]
fn a_daemon_cannot_tell_what_it_may_not_have_from_what_is_not_there() {
    for rule in [DaemonPeers::Approved, DaemonPeers::None, DaemonPeers::Open] {
        let world = World::with(Setup {
            daemon_peers: rule,
            ..Setup::default()
        });
        let held = flat("content", json!({}));
        world.fetch(&held);
        world.becomes(BUILD_USER);
        let [missing, _] = names(&flat("other", json!({})));
        let missing = world.get(&missing);
        assert_eq!(missing.status, 404);
        for target in names(&held) {
            let answer = world.get(&target);
            if rule == DaemonPeers::Open {
                assert_eq!(answer.status, 200, "{target}");
            } else {
                assert_eq!(answer, missing, "{rule} {target}");
            }
        }
    }
}

#[test]
fn no_state_of_the_folder_makes_a_narinfo_an_error_of_the_server() {
    let world = World::new();
    let held = flat("content", json!({}));
    let hash = held.output.store_path().hash_part().to_owned();
    let record = world.folder.path().join(format!("cache/{hash}.narinfo"));
    let [narinfo, nar] = names(&held);
    let miss = |what: &str| {
        for target in [&narinfo, &nar] {
            let answer = world.get(target);
            assert_eq!(answer.status, 404, "{what}: {target}");
        }
    };
    world.fetch(&held);
    let text = fs::read_to_string(&record).unwrap();
    for wrong in [
        String::new(),
        "\u{0}\n".to_owned(),
        text.replace("CA: ", "Unknown: "),
        text.replace("NarSize: 1", "NarSize: 2"),
        text.replace(&hash, "00000000000000000000000000000000"),
        text.replace("URL: nar/", "URL: ../nar/"),
        text.replace("URL: nar/", "URL: http://127.0.0.1:1/"),
        text.replace("fixed:sha256", "text:sha256"),
    ] {
        assert_ne!(wrong, text);
        fs::write(&record, &wrong).unwrap();
        miss(&wrong);
    }
    fs::write(&record, &text).unwrap();
    assert_eq!(world.get(&narinfo).status, 200);
    fs::remove_dir_all(world.folder.path().join("cache/nar")).unwrap();
    miss("no NAR");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    miss("a folder");
    world.becomes(BUILD_USER);
    assert_eq!(world.get(&narinfo).text(), "nothing is here\n");
}

#[test]
fn what_is_asked_for_by_its_path_is_not_the_next_to_go() {
    let world = World::with(Setup {
        cache_size: 25_000,
        ..Setup::default()
    });
    let content = |letter: &str| flat(&letter.repeat(10_000), json!({}));
    // Times of files may be coarse.
    let pause = || std::thread::sleep(Duration::from_millis(20));
    for letter in ["a", "b"] {
        assert_eq!(world.fetch(&content(letter)).status, 200);
        pause();
    }
    let [record, nar] = names(&content("a"));
    assert_eq!(world.get(&record).status, 200);
    pause();
    assert_eq!(world.fetch(&content("c")).status, 200);
    let [other, _] = names(&content("b"));
    // To ask for it would keep it.
    let other = world.folder.path().join(format!("cache{other}"));
    let start = std::time::Instant::now();
    while other.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "none went");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(world.get(&nar).status, 200);
}
