//! `file://`: what is found, and what a damaged record comes to.

use std::fs;

use crate::common::{FLAT, NAR, cache, files, flat, narinfo_path, publish, tree, verified};

#[tokio::test]
async fn what_was_published_is_found() {
    for query in ["compression=none", "compression=zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let destination = cache(folder.path(), query);
        let output = verified(NAR, tree()).await.fixed_output().clone();
        assert!(destination.lookup(&output).unwrap().is_none());

        let (committed, verified) = publish(&destination, NAR, tree()).await.unwrap();
        let found = destination
            .lookup(&output)
            .unwrap()
            .map(|held| held.existing().clone())
            .unwrap();
        assert_eq!(found.narinfo, committed.narinfo);
        assert_eq!(found.nar, committed.physical);
        assert_eq!(
            (&found.nar_hash, found.nar_size),
            (verified.nar_hash(), verified.nar_size())
        );
        assert_eq!(
            found.compression.name(),
            query.trim_start_matches("compression=")
        );

        let mut other = output.clone();
        other.name = "other".parse().unwrap();
        assert!(destination.lookup(&other).unwrap().is_none());
    }
}

#[tokio::test]
async fn a_cache_that_does_not_exist_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = verified(FLAT, flat("x")).await.fixed_output().clone();
    assert_eq!(
        cache(&folder.path().join("missing"), "")
            .lookup(&output)
            .unwrap()
            .map(|held| held.existing().clone()),
        None
    );
    assert!(
        !folder.path().join("missing").exists(),
        "looking creates nothing"
    );
}

/// What is wrong with a record, and how it comes to be.
type Damage = (&'static str, fn(&str) -> String);

/// Ways to damage a record, each of which makes it useless to Nix or to us.
fn damages() -> Vec<Damage> {
    vec![
        ("empty", |_| String::new()),
        ("cut", |text| text.trim_end().to_owned()),
        ("no text", |text| format!("{text}\0")),
        ("another path", |text| text.replace("-source", "-saucer")),
        ("no content address", |text| {
            text.lines()
                .filter(|line| !line.starts_with("CA:"))
                .fold(String::new(), |all, line| all + line + "\n")
        }),
        ("another content address", |text| {
            text.replace("fixed:r:sha256:", "fixed:sha256:")
        }),
        ("another NAR hash", |text| {
            let digest = text.find("NarHash: sha256:").unwrap() + 16;
            let mut changed = text.to_owned();
            changed.replace_range(
                digest + 51..digest + 52,
                if &text[digest + 51..digest + 52] == "a" {
                    "b"
                } else {
                    "a"
                },
            );
            changed
        }),
        ("another length", |text| {
            text.replace("FileSize: ", "FileSize: 1")
        }),
        ("no such NAR", |text| text.replace(".nar\n", ".nix\n")),
        ("a NAR outside of the cache", |text| {
            text.replace("URL: nar/", "URL: ../nar/")
        }),
        ("an absolute NAR", |text| {
            text.replace("URL: nar/", "URL: /nar/")
        }),
        ("a NAR elsewhere", |text| {
            text.replace("URL: nar/", "URL: http://127.0.0.1:1/nar/")
        }),
        ("a folder for a NAR", |text| {
            text.lines()
                .map(|line| {
                    if line.starts_with("URL:") {
                        "URL: nar\n".to_owned()
                    } else {
                        format!("{line}\n")
                    }
                })
                .collect()
        }),
        ("too long", |text| {
            format!("{text}X: {}\n", "x".repeat(2 << 20))
        }),
    ]
}

#[tokio::test]
async fn a_record_that_does_not_hold_is_not_found_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let destination = cache(folder.path(), "compression=none");
    let (_, verified) = publish(&destination, NAR, tree()).await.unwrap();
    let path = narinfo_path(folder.path(), &verified);
    let good = fs::read_to_string(&path).unwrap();
    for (what, damage) in damages() {
        let bad = damage(&good);
        assert_ne!(bad, good, "{what}");
        fs::write(&path, bad).unwrap();
        assert_eq!(
            destination
                .lookup(verified.fixed_output())
                .unwrap()
                .map(|held| held.existing().clone()),
            None,
            "{what}"
        );
        publish(&destination, NAR, tree()).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), good, "{what}");
        assert_eq!(files(folder.path()).len(), 3, "{what}");
    }
}

#[tokio::test]
async fn a_record_whose_nar_is_gone_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let destination = cache(folder.path(), "");
    let (committed, verified) = publish(&destination, FLAT, flat("hello\n")).await.unwrap();
    fs::remove_file(&committed.physical).unwrap();
    assert!(
        destination
            .lookup(verified.fixed_output())
            .unwrap()
            .is_none()
    );
    publish(&destination, FLAT, flat("hello\n")).await.unwrap();
    assert!(
        destination
            .lookup(verified.fixed_output())
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_valid_record_stays_as_its_first_publisher_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, verified) = publish(&cache(folder.path(), "compression=none"), NAR, tree())
        .await
        .unwrap();
    let before = fs::read_to_string(narinfo_path(folder.path(), &verified)).unwrap();
    let (second, _) = publish(
        &cache(folder.path(), "compression=xz&priority=1"),
        NAR,
        tree(),
    )
    .await
    .unwrap();
    assert_eq!(
        fs::read_to_string(narinfo_path(folder.path(), &verified)).unwrap(),
        before
    );
    assert_eq!(
        (second.physical, second.narinfo),
        (first.physical, first.narinfo)
    );
    let info = fs::read_to_string(folder.path().join("nix-cache-info")).unwrap();
    assert!(info.contains("Priority: 30"));
}
