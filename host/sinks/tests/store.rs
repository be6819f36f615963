//! `store=…`: the conversation with Nix, held with a daemon that plays its part right.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod scripted;

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use common::{FLAT, NAR, archive, executable, flat, pieces, tree, verified};
use fetchhost_artifact::{Input, Layout, Verified, Want, prepare};
use fetchhost_formats::nar::{Event, Piece};
use fetchhost_formats::{HashAlgorithm, OutputMode};
use fetchhost_policy::Limits;
use fetchhost_sinks::{Destination, SinkError, SinkKind};
use scripted::{
    ADD_INDIRECT_ROOT, ADD_TEMPORARY_ROOT, IS_VALID_PATH, Info, LAST, LINE, QUERY_PATH_INFO,
    Scripted, declared,
};
use tempfile::TempDir;

const HELLO: &[u8] = b"hello\n";

/// A flat `hello.txt` and the pieces of its archive.
async fn hello() -> (Verified, Vec<Piece>) {
    let events = [
        Event::File {
            executable: false,
            size: HELLO.len() as u64,
        },
        Event::Data(HELLO.into()),
        Event::EndFile,
    ];
    (verified(FLAT, flat(HELLO)).await, pieces(events))
}

#[tokio::test]
async fn the_path_is_protected_the_bytes_are_framed_and_the_answer_is_compared() {
    for minor in [26, 32, 34, 35, 38, 255] {
        let (verified, pieces) = hello().await;
        let info = Info::of(&verified);
        let daemon = Scripted::start(move |client| {
            client.greet(minor.min(35));
            let protected = client.operation(ADD_TEMPORARY_ROOT);
            client.tell([LAST, 1]);
            let (name, method, bytes) = client.addition();
            client.tell([LAST]);
            client.say(&info.path);
            client.info(&info);
            (protected, name, method, bytes.unwrap())
        });
        let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
        for piece in pieces.chunks(1) {
            staged.write(piece).unwrap();
        }
        let (committed, _kept) = staged.commit(&verified).unwrap();
        assert_eq!(committed.kind, SinkKind::Store);
        assert_eq!(committed.label, daemon.destination().label());
        let path = verified.store_path().to_string();
        assert_eq!(
            committed.physical.to_str().unwrap(),
            format!("/chroot{path}")
        );
        let (protected, name, method, bytes) = daemon.outcome();
        assert_eq!((protected, name.as_str()), (path, "hello.txt"));
        assert_eq!((method.as_str(), bytes.as_slice()), ("fixed:sha256", HELLO));
    }
}

#[tokio::test]
async fn every_mode_and_algorithm_has_its_method_and_its_bytes() {
    for algorithm in HashAlgorithm::ALL {
        for mode in [OutputMode::Flat, OutputMode::Nar] {
            let scratch = tempfile::tempdir().unwrap();
            let layout = Layout::File {
                content: Input::bytes(HELLO),
                executable: false,
            };
            let ready = prepare(layout, &Limits::default(), scratch.path())
                .await
                .unwrap();
            let measured = ready
                .emit(Want::of(mode, algorithm), Vec::new())
                .await
                .unwrap();
            let name = "hello.txt".parse().unwrap();
            let verified = Verified::measured(name, mode, algorithm, measured).unwrap();
            let (_, pieces) = hello().await;
            let info = Info::of(&verified);
            let daemon = Scripted::start(move |client| {
                client.greet(35);
                // No path to protect yet, but a question all the same.
                client.operation(IS_VALID_PATH);
                client.tell([LAST, 0]);
                let (_, method, bytes) = client.addition();
                client.tell([LAST]);
                client.say(&info.path);
                client.info(&info);
                (method, bytes.unwrap())
            });
            // The first fetch, whose hash nobody knows.
            let mut incoming = declared(&verified);
            incoming.hash = None;
            let mut staged = daemon.destination().open(&incoming).unwrap();
            staged.write(&pieces).unwrap();
            drop(staged.commit(&verified).unwrap());
            let (method, bytes) = daemon.outcome();
            let recursive = if mode == OutputMode::Nar { "r:" } else { "" };
            assert_eq!(method, format!("fixed:{recursive}{algorithm}"));
            let expected = match mode {
                OutputMode::Flat => HELLO.to_vec(),
                OutputMode::Nar => archive(&pieces),
            };
            assert_eq!(bytes, expected);
        }
    }
}

#[tokio::test]
async fn the_frame_that_ends_the_artifact_waits_for_the_commit() {
    // Nothing in an empty file may look like that frame either.
    let empty = verified(FLAT, flat("")).await;
    let events = [
        Event::File {
            executable: false,
            size: 0,
        },
        Event::Data(b"".as_slice().into()),
        Event::EndFile,
    ];
    let info = Info::of(&empty);
    let (told, hears) = mpsc::channel();
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        let addition = client.addition();
        told.send(()).unwrap();
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
        addition.2
    });
    let mut staged = daemon.destination().open(&declared(&empty)).unwrap();
    for piece in pieces(events).chunks(1) {
        staged.write(piece).unwrap();
    }
    let early = hears.recv_timeout(Duration::from_millis(100));
    assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
    drop(staged.commit(&empty).unwrap());
    assert_eq!(daemon.outcome(), Some(Vec::new()));
}

/// Nix registers a large archive as soon as it has been parsed, frame or no frame.
#[tokio::test]
async fn the_end_of_an_archive_waits_for_the_commit() {
    let verified = verified(NAR, executable("#!/bin/sh\n")).await;
    let (_, pieces) = hello().await;
    let archive = archive(&pieces);
    for at_once in [pieces.len(), 1] {
        let (told, hears) = mpsc::channel();
        let daemon = Scripted::start(move |client| {
            client.greet(35);
            client.operation(ADD_TEMPORARY_ROOT);
            client.tell([LAST, 1]);
            assert_eq!(client.number(), scripted::ADD_TO_STORE);
            let _ = (
                client.text(),
                client.text(),
                client.number(),
                client.number(),
            );
            let mut frames = Vec::new();
            while let Ok(length @ 1..) = client.try_number() {
                let mut frame = vec![0; usize::try_from(length).unwrap()];
                client.0.read_exact(&mut frame).unwrap();
                frames.extend(frame);
                told.send(frames.clone()).unwrap();
            }
        });
        let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
        for piece in pieces.chunks(at_once) {
            staged.write(piece).unwrap();
        }
        let mut arrived = Vec::new();
        while let Ok(more) = hears.recv_timeout(Duration::from_millis(200)) {
            arrived = more;
        }
        assert_eq!(arrived, archive[..archive.len() - 16]);
        drop(staged);
        assert_eq!(hears.recv().ok(), None);
        daemon.outcome();
    }
}

/// Nix takes the end of the connection for the end of the file, but an error for an error.
#[tokio::test]
async fn what_is_dropped_ends_in_a_reset_connection() {
    let (verified, pieces) = hello().await;
    for talks in [false, true] {
        let (go, gone) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (daemon_go, daemon_gone) = (Arc::clone(&go), Arc::clone(&gone));
        let daemon = Scripted::start(move |client| {
            client.greet(35);
            client.operation(ADD_TEMPORARY_ROOT);
            client.tell([LAST, 1]);
            if talks {
                client.tell([LINE]);
                client.say("unpacking");
            }
            daemon_go.wait();
            daemon_gone.wait();
            let mut rest = Vec::new();
            let error = client.0.read_to_end(&mut rest).unwrap_err();
            assert!(rest.ends_with(HELLO), "what was sent has arrived");
            error.kind()
        });
        let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
        go.wait();
        for piece in pieces.chunks(1) {
            staged.write(piece).unwrap();
        }
        drop(staged);
        gone.wait();
        assert_eq!(daemon.outcome(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn what_is_not_complete_is_never_ended() {
    let (verified, pieces) = hello().await;
    let daemon = Scripted::start(|client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        client.addition().2
    });
    let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
    staged.write(&pieces[..2]).unwrap();
    let error = staged.commit(&verified).unwrap_err().to_string();
    assert!(error.contains("bytes of the archive arrived"), "{error}");
    assert_eq!(daemon.outcome(), None);
}

/// More than all buffers between the two hold.
const MUCH: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn a_daemon_that_talks_before_it_reads_does_not_stop_both() {
    let content = vec![7; MUCH];
    let verified = verified(FLAT, flat(content.clone())).await;
    let (size, info) = (content.len(), Info::of(&verified));
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        for _ in 0..MUCH / 4096 {
            client.tell([LINE]);
            client.say(&"x".repeat(1000));
        }
        let addition = client.addition();
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
        addition.2.unwrap().len()
    });
    let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
    let chunks = content
        .chunks(256 * 1024)
        .map(|chunk| Event::Data(chunk.to_vec().into()));
    let file = Event::File {
        executable: false,
        size: size as u64,
    };
    let events = std::iter::once(file).chain(chunks).chain([Event::EndFile]);
    for piece in pieces(events).chunks(1) {
        staged.write(piece).unwrap();
    }
    drop(staged.commit(&verified).unwrap());
    assert_eq!(daemon.outcome(), size);
}

/// Asks a daemon that knows `info` of whatever it is asked for.
fn looked_up(verified: &Verified, info: Option<Info>) -> Option<fetchhost_sinks::Existing> {
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        let protected = client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        let asked = client.operation(QUERY_PATH_INFO);
        assert_eq!(asked, protected);
        client.tell([LAST, u64::from(info.is_some())]);
        if let Some(info) = &info {
            client.info(info);
        }
        asked
    });
    let found = daemon
        .destination()
        .lookup(verified.fixed_output())
        .unwrap();
    assert_eq!(daemon.outcome(), verified.store_path().to_string());
    found.map(|held| held.existing().clone())
}

#[tokio::test]
async fn a_path_is_found_when_it_is_valid_and_not_known_to_be_another() {
    for verified in [
        verified(FLAT, flat("hello\n")).await,
        verified(NAR, tree()).await,
        verified(NAR, executable("#!/bin/sh\n")).await,
    ] {
        let truth = Info::of(&verified);
        let found = looked_up(&verified, Some(truth.clone())).unwrap();
        assert_eq!(found.kind, SinkKind::Store);
        assert_eq!(&found.nar_hash, verified.nar_hash());
        assert_eq!(found.nar_size, verified.nar_size());
        let path = format!("/chroot{}", verified.store_path());
        assert_eq!(found.nar.to_str().unwrap(), path);

        assert_eq!(looked_up(&verified, None), None);
        for content_address in ["text:sha256:x", "fixed:sha256:"] {
            let mut other = truth.clone();
            other.content_address = content_address.to_owned();
            assert_eq!(looked_up(&verified, Some(other)), None, "{content_address}");
        }
    }
}

/// As `nix-store --import` leaves it.
#[tokio::test]
async fn a_valid_path_without_a_content_address_is_present_unless_its_archive_is_another() {
    for (verified, is_compared) in [
        (verified(FLAT, flat("hello\n")).await, false),
        (verified(NAR, tree()).await, true),
    ] {
        let mut info = Info::of(&verified);
        info.content_address.clear();
        assert!(looked_up(&verified, Some(info.clone())).is_some());
        let mut other = info.clone();
        other.nar_hash = "0".repeat(64);
        assert_eq!(looked_up(&verified, Some(other)).is_none(), is_compared);
        info.references.push("/nix/store/x".to_owned());
        assert_eq!(looked_up(&verified, Some(info)), None);
    }
}

#[tokio::test]
async fn what_was_there_without_a_content_address_is_committed() {
    let (verified, pieces) = hello().await;
    let mut info = Info::of(&verified);
    info.content_address.clear();
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        client.addition();
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
    });
    let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
    staged.write(&pieces).unwrap();
    drop(staged.commit(&verified).unwrap());
    daemon.outcome();
}

#[tokio::test]
async fn a_gc_root_is_a_link_that_the_daemon_is_told_of_once_the_path_is_there() {
    let (verified, pieces) = hello().await;
    let target = verified.store_path().to_string();
    for older in [None, Some("/nix/store/older")] {
        let info = Info::of(&verified);
        let (path, expected) = (target.clone(), target.clone());
        let daemon = Scripted::start(move |client| {
            client.greet(35);
            client.operation(ADD_TEMPORARY_ROOT);
            client.tell([LAST, 1]);
            client.addition();
            client.tell([LAST]);
            client.say(&info.path);
            client.info(&info);
            let link = client.operation(ADD_INDIRECT_ROOT);
            assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(path.as_str()));
            client.tell([LAST, 1]);
            link
        });
        let link = daemon.path("result");
        if let Some(older) = older {
            symlink(older, &link).unwrap();
        }
        let mut store = daemon.store();
        store.gc_root = Some(link.clone());
        let mut staged = Destination::Store(store)
            .open(&declared(&verified))
            .unwrap();
        staged.write(&pieces).unwrap();
        assert_eq!(fs::read_link(&link).ok(), older.map(Into::into));
        drop(staged.commit(&verified).unwrap());
        assert_eq!(
            fs::read_link(&link).unwrap().to_str(),
            Some(expected.as_str())
        );
        assert_eq!(daemon.outcome(), link.to_str().unwrap());
    }
}

#[tokio::test]
async fn a_gc_root_of_what_was_there_is_made_at_the_end_while_the_path_is_protected() {
    let (verified, _) = hello().await;
    for still_valid in [true, false] {
        let info = Info::of(&verified);
        let daemon = Scripted::start(move |client| {
            client.greet(35);
            let protected = client.operation(ADD_TEMPORARY_ROOT);
            client.tell([LAST, 1]);
            for valid in [true, still_valid] {
                assert_eq!(client.operation(QUERY_PATH_INFO), protected);
                client.tell([LAST, u64::from(valid)]);
                if valid {
                    client.info(&info);
                }
            }
            if still_valid {
                client.operation(ADD_INDIRECT_ROOT);
                client.tell([LAST, 1]);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("new/result");
        let mut store = daemon.store();
        store.gc_root = Some(link.clone());
        let found = Destination::Store(store).lookup(verified.fixed_output());
        let mut held = found.unwrap().unwrap();
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
        held.prepare().unwrap();
        assert!(!link.is_symlink());
        let made = held.confirm();
        assert_eq!(made.is_ok(), still_valid);
        if let Err(error) = made {
            assert!(error.to_string().ends_with("is no longer there"), "{error}");
            assert!(error.is_gone() && error.hint().is_some());
        }
        assert_eq!(link.is_symlink(), still_valid);
        assert_eq!(link.parent().unwrap().exists(), still_valid);
        daemon.outcome();
    }
}

#[tokio::test]
async fn what_is_gone_when_it_is_to_be_read_is_no_archive() {
    let (verified, _) = hello().await;
    let info = Info::of(&verified);
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        client.operation(QUERY_PATH_INFO);
        client.tell([LAST, 1]);
        client.info(&info);
        client.operation(QUERY_PATH_INFO);
        client.tell([LAST, 0]);
    });
    let found = daemon.destination().lookup(verified.fixed_output());
    let error = found.unwrap().unwrap().read().err().unwrap();
    assert!(error.is_gone(), "{error}");
    daemon.outcome();
}

#[tokio::test]
async fn a_gc_root_replaces_nothing_of_the_users_and_is_refused_before_anything_is_sent() {
    let (verified, _) = hello().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "mine").unwrap();
    fs::create_dir(path("folder")).unwrap();
    symlink("elsewhere", path("link")).unwrap();
    for name in ["file", "folder", "link"] {
        // Nobody listens: what is wrong is found without asking.
        let mut store = fetchhost_sinks::Store::new("unix:///nowhere".parse().unwrap());
        store.gc_root = Some(path(name));
        let destination = Destination::Store(store);
        let error = destination.open(&declared(&verified)).err().unwrap();
        let expected = "exists and is no link into the store";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(error.is_configuration() && error.hint().unwrap().contains("--gc-root"));
    }
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "mine");
}

#[tokio::test]
async fn what_a_gc_root_needs_is_made_before_anything_is_sent() {
    let (verified, _) = hello().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    let mut store = fetchhost_sinks::Store::new("unix:///nowhere".parse().unwrap());
    store.gc_root = Some(folder.path().join("file/result"));
    let error = Destination::Store(store.clone())
        .open(&declared(&verified))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("cannot create the link"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--gc-root"));

    // Folders that were made for a link that never came go again.
    store.gc_root = Some(folder.path().join("new/one/result"));
    let opened = Destination::Store(store).open(&declared(&verified));
    assert!(opened.err().unwrap().to_string().contains("/nowhere"));
    assert!(!folder.path().join("new").exists());
}

/// Adds a `hello.txt` with a GC root at `link`, which may come to something at the last moment.
async fn rooted(
    link: &str,
    meanwhile: impl FnOnce(&std::path::Path),
) -> (Result<(), SinkError>, TempDir) {
    let (verified, pieces) = hello().await;
    let info = Info::of(&verified);
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        client.addition();
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
        if client.try_number().is_ok() {
            client.text();
            client.tell([LAST, 1]);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut store = daemon.store();
    store.gc_root = Some(format!("{}/{link}", folder.path().display()).into());
    let mut staged = Destination::Store(store)
        .open(&declared(&verified))
        .unwrap();
    staged.write(&pieces).unwrap();
    meanwhile(folder.path());
    let done = staged.commit(&verified).map(drop);
    daemon.outcome();
    let target = verified.store_path().to_string();
    if let Err(error) = &done {
        let added = format!("`{target}` was added, but it has no GC root: ");
        assert!(error.to_string().contains(&added), "{error}");
    } else {
        let made = fs::read_link(folder.path().join("a/result")).unwrap();
        assert_eq!(made.to_str(), Some(target.as_str()));
    }
    let left = fs::read_dir(folder.path()).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name());
    assert!(names.eq(["a"]), "nothing else is left");
    (done, folder)
}

#[tokio::test]
async fn the_path_of_a_gc_root_is_taken_as_nix_takes_it() {
    for link in ["a/result", "a/result/", "a/./result//", "b/../a/result"] {
        rooted(link, |_| {}).await.0.unwrap();
    }
}

#[tokio::test]
async fn what_comes_into_the_place_of_a_gc_root_meanwhile_is_not_replaced() {
    let file = |folder: &std::path::Path| fs::write(folder.join("a/result"), "mine").unwrap();
    let (done, folder) = rooted("a/result", file).await;
    let error = done.unwrap_err();
    assert!(error.is_configuration() && error.hint().unwrap().contains("--gc-root"));
    assert_eq!(
        fs::read_to_string(folder.path().join("a/result")).unwrap(),
        "mine"
    );

    // But the root of another run is.
    let root = |folder: &std::path::Path| symlink("/nix/store/x", folder.join("a/result")).unwrap();
    rooted("a/result", root).await.0.unwrap();
}
