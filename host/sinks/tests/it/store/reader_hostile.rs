//! Reading from daemons that lie, break off, and do not come to an end.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use fetchhost_formats::{HashAlgorithm, Hasher, StoreEntry, StorePath};
use fetchhost_sinks::{SinkError, StoreReader};
use proptest::prelude::*;

use crate::scripted::{ADD_TEMPORARY_ROOT, Info, LAST, Peer, QUERY_PATH_INFO, Scripted};

const NAR_FROM_PATH: u64 = 38;

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("{}-{name}", "0".repeat(32))).unwrap()
}

fn info(name: &str, references: &[&str]) -> Info {
    Info {
        path: path(name).to_string(),
        nar_hash: "0".repeat(64),
        nar_size: 120,
        references: references
            .iter()
            .map(|name| path(name).to_string())
            .collect(),
        content_address: String::new(),
    }
}

/// What comes of the closure of `a`, of a daemon that follows `script` after the greeting.
fn closure(script: impl FnOnce(&mut Peer) + Send + 'static) -> Result<Vec<StoreEntry>, SinkError> {
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        script(client);
    });
    let reader = StoreReader::open(daemon.store()).unwrap();
    let closure = reader.closure(&[path("a")]);
    drop(reader);
    daemon.outcome();
    closure
}

fn message(result: Result<Vec<StoreEntry>, SinkError>) -> String {
    let text = result.unwrap_err().to_string();
    text.split_once("`: ").unwrap().1.to_owned()
}

/// Takes the questions for a path, and answers the first of them.
fn asked(client: &mut Peer) -> String {
    let protected = client.operation(ADD_TEMPORARY_ROOT);
    assert_eq!(client.operation(QUERY_PATH_INFO), protected);
    client.tell([LAST, 1]);
    protected
}

fn know(client: &mut Peer, info: &Info) {
    assert_eq!(asked(client), info.path);
    client.tell([LAST, 1]);
    client.info(info);
}

#[test]
fn each_path_is_protected_before_it_is_looked_up_and_asked_for_once() {
    let found = closure(|client| {
        know(client, &info("a", &["a", "b", "c"]));
        // All that a wave asks for comes at once.
        let names = ["b", "c"].map(|name| {
            let protected = client.operation(ADD_TEMPORARY_ROOT);
            assert_eq!(client.operation(QUERY_PATH_INFO), protected);
            assert_eq!(protected, path(name).to_string());
            name
        });
        for name in names {
            client.tell([LAST, 1, LAST, 1]);
            client.info(&info(name, if name == "b" { &["c"] } else { &[] }));
        }
    });
    let names: Vec<_> = found
        .unwrap()
        .iter()
        .map(|entry| entry.path.name().to_owned())
        .collect();
    assert_eq!(names, ["c", "b", "a"]);
}

#[test]
fn records_that_nix_would_not_send_are_refused() {
    let not_nix = |what: &str| {
        format!("what answers is not Nix: it sent {what} while looking up the store path")
    };
    for reference in ["", "/nix/store/x", "/gnu/store/x", "/nix/store/../x"] {
        let mut lie = info("a", &[]);
        lie.references.push(reference.to_owned());
        assert_eq!(
            message(closure(move |client| know(client, &lie))),
            not_nix("a store path that is none")
        );
    }
    let circle = closure(|client| {
        know(client, &info("a", &["b"]));
        know(client, &info("b", &["a"]));
    });
    assert_eq!(message(circle), not_nix("paths that refer to each other"));
    for length in [u64::MAX, 1 << 40] {
        let text = closure(move |client| {
            asked(client);
            client.tell([LAST, 1, length]);
        });
        assert_eq!(message(text), not_nix("a text that is too long"));
    }
    // References without number: an end comes before memory does.
    let endless = closure(|client| {
        asked(client);
        client.tell([LAST, 1, 0]);
        client.say(&"0".repeat(64));
        client.tell([u64::MAX]);
        let references = [0; 64 * 1024];
        while client.0.write_all(&references).is_ok() {}
    });
    assert_eq!(message(endless), not_nix("more than it was asked for"));
}

#[test]
fn after_an_answer_that_broke_off_no_other_is_taken_for_the_next() {
    let (a, b) = (path("a"), path("b"));
    let daemon = Scripted::start(|client| {
        client.greet(35);
        let both = [
            client.operation(QUERY_PATH_INFO),
            client.operation(QUERY_PATH_INFO),
        ];
        client.fail("the database is locked");
        client.tell([LAST, 1]);
        client.info(&info("b", &[]));
        both
    });
    let reader = StoreReader::open(daemon.store()).unwrap();
    let error = reader
        .infos(&[a.clone(), b.clone()])
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("while looking up the store path: the database is locked"),
        "{error}"
    );
    let error = reader.info(&a).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the connection to Nix broke before"),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert_eq!(daemon.outcome(), [a.to_string(), b.to_string()]);
}

fn entry(nar_size: u64) -> StoreEntry {
    StoreEntry {
        path: path("a"),
        nar_hash: Hasher::digest(HashAlgorithm::Sha256, b""),
        nar_size,
        references: [].into(),
        deriver: None,
        signatures: Vec::new(),
        ca: None,
        is_ultimate: false,
    }
}

/// What comes of the archive of `a`, which is to be 120 bytes long, of a daemon that sends this.
fn sent(bytes: Vec<u8>, then_closes: bool) -> io::Result<Vec<u8>> {
    let daemon = Scripted::listening(move |listener| {
        let mut keeper = Peer::accept(listener);
        keeper.greet(35);
        let mut client = Peer::accept(listener);
        client.greet(35);
        assert_eq!(client.operation(NAR_FROM_PATH), path("a").to_string());
        client.tell([LAST]);
        let _ = client.0.write_all(&bytes);
        while !then_closes && client.try_number().is_ok() {}
    });
    let mut store = daemon.store();
    store.patience = Duration::from_millis(300);
    let reader = StoreReader::open(store).unwrap();
    let mut archive = Vec::new();
    let read = reader
        .archive(&entry(120))
        .unwrap()
        .read_to_end(&mut archive);
    drop(reader);
    daemon.outcome();
    read.map(|_| archive)
}

/// The archive of a file, 120 bytes.
fn file() -> Vec<u8> {
    let mut archive = Vec::new();
    let tokens = [
        "nix-archive-1",
        "(",
        "type",
        "regular",
        "contents",
        "hello\n",
        ")",
    ];
    for token in tokens {
        archive.extend(crate::scripted::encoded(token));
    }
    archive
}

#[test]
fn an_archive_that_breaks_off_or_goes_on_is_an_error() {
    assert_eq!(sent(file(), false).unwrap(), file());
    for (bytes, closes, expected) in [
        (
            file()[..100].to_vec(),
            true,
            "Nix closed the connection while it sent the archive",
        ),
        (
            file()[..100].to_vec(),
            false,
            "Nix did nothing for 0 seconds while it sent the archive",
        ),
        (vec![0xff; 64], false, "a text that is too long"),
        (
            crate::scripted::encoded("nix-archive-2"),
            false,
            "what is no archive",
        ),
        (
            [&file()[..88], &[0xf0, 0xff, 0, 0, 0, 0, 0, 0], &[0; 200]].concat(),
            false,
            "longer than it said",
        ),
    ] {
        let error = sent(bytes, closes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_nix_says_when_it_sends_nothing_is_told() {
    let daemon = Scripted::listening(|listener| {
        let mut keeper = Peer::accept(listener);
        keeper.greet(35);
        let mut client = Peer::accept(listener);
        client.greet(35);
        client.operation(NAR_FROM_PATH);
        client.fail("path is not valid");
    });
    let reader = StoreReader::open(daemon.store()).unwrap();
    let error = reader.archive(&entry(120)).err().unwrap().to_string();
    assert!(
        error.ends_with("while it sent the archive of the store path: path is not valid"),
        "{error}"
    );
    daemon.outcome();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn whatever_a_daemon_answers_there_is_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let answer = bytes.clone();
        let found = closure(move |client| {
            asked(client);
            client.tell([LAST, 1]);
            let _ = client.0.write_all(&answer);
        });
        prop_assert!(found.is_err());
        prop_assert!(sent(bytes, true).is_err());
    }
}
