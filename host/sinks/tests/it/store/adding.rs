//! Adding, with a daemon that plays its part right.

use std::io::{self, Read as _};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use fetchhost_artifact::{Input, Layout, Verified, Want, prepare};
use fetchhost_formats::nar::Event;
use fetchhost_formats::{HashAlgorithm, OutputMode};
use fetchhost_policy::Limits;
use fetchhost_sinks::SinkKind;

use super::{HELLO, hello};
use crate::common::{FLAT, NAR, archive, executable, flat, pieces, verified};
use crate::scripted::{
    ADD_TEMPORARY_ROOT, ADD_TO_STORE, IS_VALID_PATH, Info, LAST, LINE, Scripted, declared,
};

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
            assert_eq!(client.number(), ADD_TO_STORE);
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

#[tokio::test]
async fn what_was_there_without_a_content_address_is_committed() {
    let (verified, pieces) = hello().await;
    let mut info = Info::of(&verified);
    info.content_address.clear();
    let daemon = Scripted::start(move |client| {
        client.take(&info);
    });
    let mut staged = daemon.destination().open(&declared(&verified)).unwrap();
    staged.write(&pieces).unwrap();
    drop(staged.commit(&verified).unwrap());
    daemon.outcome();
}
