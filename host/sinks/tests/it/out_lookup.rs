//! `out:PATH` where the output is already.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use fetchhost_formats::{FixedOutput, HashAlgorithm, Hasher, OutputMode};
use fetchhost_sinks::{Destination, Held, SinkKind};

use crate::common::{FLAT, NAR, archived, executable, flat, publish, tree, verified};

fn to(path: &Path) -> Destination {
    Destination::Out(path.to_owned())
}

/// What is at `path`, if that is `output`.
fn held(path: &Path, output: &FixedOutput) -> Option<Held> {
    to(path).lookup(output).unwrap()
}

#[tokio::test]
async fn what_has_the_declared_hash_is_there_already_and_can_be_read() {
    for (named, layout) in [
        (FLAT, flat("hello\n")),
        (FLAT, flat("")),
        (FLAT, flat(vec![b'x'; 300_001])),
        (NAR, flat("hello\n")),
        (NAR, executable("#!/bin/sh\n")),
        (NAR, tree()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let (_, verified) = publish(&to(&path), named, layout).await.unwrap();
        let output = verified.fixed_output();
        let mut held = held(&path, output).unwrap();
        let existing = held.existing().clone();
        assert_eq!(existing.nar_hash, *verified.nar_hash());
        assert_eq!(existing.nar_size, verified.nar_size());
        assert_eq!(
            (existing.kind, &existing.nar, &existing.narinfo),
            (SinkKind::Out, &path, &None)
        );
        let mut archive = Vec::new();
        let read = held.read().unwrap();
        read.unwrap().read_to_end(&mut archive).unwrap();
        assert_eq!(archive, archived(&path));
    }
}

#[tokio::test]
async fn a_hash_by_any_algorithm_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "hello\n").unwrap();
    for algorithm in [HashAlgorithm::Sha512, HashAlgorithm::Md5] {
        for (mode, bytes) in [
            (OutputMode::Flat, b"hello\n".to_vec()),
            (OutputMode::Nar, archived(&path)),
        ] {
            let output = FixedOutput {
                name: "file".parse().unwrap(),
                mode,
                hash: Hasher::digest(algorithm, &bytes),
            };
            assert!(held(&path, &output).is_some(), "{algorithm} {mode}");
        }
    }
}

#[tokio::test]
async fn what_differs_in_anything_is_not_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let file = verified(FLAT, flat("hello\n")).await;
    let other = place("other");
    fs::write(&other, "hello!").unwrap();
    let tool = place("tool");
    fs::write(&tool, "hello\n").unwrap();
    mode(&tool, 0o755);
    let link = place("link");
    fs::write(place("target"), "hello\n").unwrap();
    symlink("target", &link).unwrap();
    for path in [&other, &tool, &link, &place("missing"), &place("tool/x")] {
        assert!(
            held(path, file.fixed_output()).is_none(),
            "{}",
            path.display()
        );
    }
    let nothing = verified(FLAT, flat("")).await;
    for path in [Path::new("/dev/null"), folder.path()] {
        assert!(held(path, nothing.fixed_output()).is_none());
    }
    // Nobody writes into it: whoever opened it would wait.
    let pipe = place("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert!(held(&pipe, nothing.fixed_output()).is_none());

    let path = place("tree");
    let (_, verified) = publish(&to(&path), NAR, tree()).await.unwrap();
    assert!(held(&path, verified.fixed_output()).is_some());
    mode(&path.join("readme"), 0o755);
    assert!(held(&path, verified.fixed_output()).is_none());
    mode(&path.join("readme"), 0o644);
    fs::rename(&pipe, path.join("pipe")).unwrap();
    assert!(held(&path, verified.fixed_output()).is_none());
}
