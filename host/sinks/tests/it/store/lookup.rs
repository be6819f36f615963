//! What counts as there, and what is gone again.

use std::fs;

use fetchhost_artifact::Verified;
use fetchhost_sinks::{Reached, SinkKind, Store};

use super::hello;
use crate::common::{FLAT, NAR, executable, flat, tree, verified};
use crate::scripted::{ADD_TEMPORARY_ROOT, Info, LAST, QUERY_PATH_INFO, Scripted};

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

#[test]
fn the_way_to_a_store_is_told_without_asking_for_anything_or_making_one() {
    let daemon = Scripted::start(|client| {
        client.greet(35);
        client.try_number().is_err()
    });
    let socket = daemon.path("socket");
    assert_eq!(daemon.store().reach().unwrap(), Reached::Daemon(socket));
    assert!(daemon.outcome(), "the client says nothing more");

    let folder = tempfile::tempdir().unwrap();
    let url = format!("local?root={}/root", folder.path().display());
    match Store::new(url.parse().unwrap()).reach() {
        Ok(reached) => assert_eq!(reached, Reached::Absent(url)),
        // Where Nix is not installed.
        Err(error) => assert!(
            error.to_string().contains("no program `nix-daemon`"),
            "{error}"
        ),
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}
