//! GC roots, and the daemon that is told of them.

use std::fs;
use std::os::unix::fs::symlink;

use fetchhost_sinks::{Destination, SinkError};
use tempfile::TempDir;

use super::hello;
use crate::scripted::{
    ADD_INDIRECT_ROOT, ADD_TEMPORARY_ROOT, Info, LAST, QUERY_PATH_INFO, Scripted, declared,
};

#[tokio::test]
async fn a_gc_root_is_a_link_that_the_daemon_is_told_of_once_the_path_is_there() {
    let (verified, pieces) = hello().await;
    let target = verified.store_path().to_string();
    for older in [None, Some("/nix/store/older")] {
        let info = Info::of(&verified);
        let (path, expected) = (target.clone(), target.clone());
        let daemon = Scripted::start(move |client| {
            client.take(&info);
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
        client.take(&info);
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
