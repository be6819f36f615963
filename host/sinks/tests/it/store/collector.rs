//! GC roots before the judge who knows: the garbage collector of the installed Nix.

use std::fs;

use fetchhost_sinks::{Destination, Store, StoreSession};

use crate::common::{NAR, flat, publish, stage, tree, verified};
use crate::nix::{Nix, settle};

#[tokio::test]
async fn what_has_a_root_stays_until_the_root_is_removed() {
    let Some(nix) = Nix::or_skip("what_has_a_root_stays_until_the_root_is_removed") else {
        return;
    };
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("result");
    let rooted = Destination::Store(Store {
        gc_root: Some(link.clone()),
        ..nix.store()
    });
    let (staged, verified) = stage(&rooted, NAR, tree()).await.unwrap();
    let (committed, kept) = staged.commit(&verified).unwrap();
    let path = verified.store_path();
    assert_eq!(
        fs::read_link(&link).unwrap().to_str(),
        Some(path.to_string().as_str())
    );
    assert!(committed.physical.join("bin/tool").exists());
    nix.collect_garbage();
    assert!(nix.has(path));

    // The same for a root of what was there, which stays without one while somebody holds it.
    fs::remove_file(&link).unwrap();
    let held = rooted.lookup(verified.fixed_output()).unwrap().unwrap();
    drop(kept);
    settle();
    nix.collect_garbage();
    assert!(nix.has(path));
    drop(held.confirm().unwrap());
    settle();
    nix.collect_garbage();
    assert!(nix.has(path));

    fs::remove_file(&link).unwrap();
    nix.collect_garbage();
    assert!(!nix.has(path));
    assert!(rooted.lookup(verified.fixed_output()).unwrap().is_none());
}

#[tokio::test]
async fn what_is_being_added_is_protected_as_long_as_its_sink_lives() {
    let test = "what_is_being_added_is_protected_as_long_as_its_sink_lives";
    let Some(nix) = Nix::or_skip(test) else {
        return;
    };
    let plain = Destination::Store(nix.store());
    let declared = verified(NAR, tree()).await;
    let incoming = fetchhost_sinks::Incoming {
        name: declared.fixed_output().name.clone(),
        mode: declared.fixed_output().mode,
        algorithm: declared.fixed_output().hash.algorithm(),
        hash: Some(declared.fixed_output().hash.clone()),
    };
    let waiting = plain.open(&incoming).unwrap();
    // Another run adds it meanwhile, and ends.
    let (staged, verified) = stage(&plain, NAR, tree()).await.unwrap();
    drop(staged.commit(&verified).unwrap());
    // The question was asked; its answer is not waited for.
    settle();
    nix.collect_garbage();
    assert!(nix.has(verified.store_path()));
    drop(waiting);
    settle();
    nix.collect_garbage();
    assert!(!nix.has(verified.store_path()));
}

#[tokio::test]
async fn what_was_committed_is_kept_until_all_others_are() {
    let Some(nix) = Nix::or_skip("what_was_committed_is_kept_until_all_others_are") else {
        return;
    };
    let plain = Destination::Store(nix.store());
    let (staged, verified) = stage(&plain, NAR, tree()).await.unwrap();
    let (_, kept) = staged.commit(&verified).unwrap();
    nix.collect_garbage();
    assert!(nix.has(verified.store_path()));
    drop(kept);
    settle();
    nix.collect_garbage();
    assert!(!nix.has(verified.store_path()));
}

#[tokio::test]
async fn a_session_protects_what_it_holds_whatever_becomes_of_other_connections() {
    let test = "a_session_protects_what_it_holds_whatever_becomes_of_other_connections";
    let Some(nix) = Nix::or_skip(test) else {
        return;
    };
    let session = StoreSession::open(nix.store()).unwrap();
    let first = verified(NAR, tree()).await;
    let second = verified(NAR, flat("second")).await;
    for verified in [&first, &second] {
        assert!(!session.hold(verified.fixed_output()).unwrap());
    }
    let destination = session.destination(None);
    drop(publish(&destination, NAR, tree()).await.unwrap());
    // The connection that added the first is given up in the middle of something else.
    let (staged, _) = stage(&destination, NAR, flat("never")).await.unwrap();
    drop(staged);
    drop(publish(&destination, NAR, flat("second")).await.unwrap());
    settle();
    nix.collect_garbage();
    for verified in [&first, &second] {
        assert!(nix.has(verified.store_path()));
        assert!(session.hold(verified.fixed_output()).unwrap());
    }
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("result");
    session.add_root(second.fixed_output(), &link).unwrap();
    drop((session, destination));
    settle();
    nix.collect_garbage();
    assert!(!nix.has(first.store_path()));
    assert!(nix.has(second.store_path()));
}
