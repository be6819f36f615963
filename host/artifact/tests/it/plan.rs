//! Trees that a plan puts together.

use crate::support::tree::{file, link, nar, program, tree};
use crate::support::*;
use fetchhost_artifact::{
    ArtifactError, Input, Layout, PathProblem, Spool, TreeEntry, Want, prepare,
};
use fetchhost_formats::HashAlgorithm;
use fetchhost_policy::Limits;

fn part(path: &str, content: Input) -> TreeEntry {
    TreeEntry::File {
        path: path.to_owned(),
        content,
        executable: false,
    }
}

fn symlink(path: &str, target: &str) -> TreeEntry {
    TreeEntry::Symlink {
        path: path.to_owned(),
        target: target.to_owned(),
    }
}

#[test]
fn parts_from_everywhere_make_one_tree() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(dir.path()).unwrap();
    spool.append(b"spooled").unwrap();
    let blob = spool.finish().unwrap();
    let layout = Layout::Tree(vec![
        part("z/streamed", pieces(b"streamed in pieces", 3)),
        part("bytes", Input::bytes("bytes")),
        part("spooled", Input::spooled(blob.clone())),
        part("spooled again", Input::spooled(blob)),
        part("decoded", encoded(&gzip(b"decoded"), "gzip")),
        symlink("link", "../outside"),
        TreeEntry::Directory {
            path: "empty".to_owned(),
        },
        TreeEntry::File {
            path: "bin/x".to_owned(),
            content: Input::bytes("run"),
            executable: true,
        },
    ]);
    let expected = tree([
        ("z/streamed", file("streamed in pieces")),
        ("bytes", file("bytes")),
        ("spooled", file("spooled")),
        ("spooled again", file("spooled")),
        ("decoded", file("decoded")),
        ("link", link("../outside")),
        ("empty", crate::support::tree::Node::Directory),
        ("bin/x", program("run")),
    ]);
    assert_eq!(run(layout).unwrap().1, nar(&expected));
}

#[test]
fn a_plan_cannot_lead_outside() {
    let bytes = || Input::bytes("x");
    for (entries, problem) in [
        (vec![part("../x", bytes())], PathProblem::Parent),
        (vec![part("/x", bytes())], PathProblem::Absolute),
        (vec![part("a\\x", bytes())], PathProblem::Backslash),
        (vec![part("", bytes())], PathProblem::Empty),
        (vec![part("a/", bytes())], PathProblem::NotDirectory),
        (vec![part(".", bytes())], PathProblem::NotDirectory),
        (vec![symlink("a/", "b")], PathProblem::NotDirectory),
        (
            vec![symlink("a", "/etc"), part("a/x", bytes())],
            PathProblem::BelowSymlink,
        ),
        (
            vec![part("a", bytes()), part("a", bytes())],
            PathProblem::Duplicate,
        ),
    ] {
        let error = refused(Layout::Tree(entries));
        let got = matches!(&error, ArtifactError::Path { problem: got, .. } if *got == problem);
        assert!(got, "{problem:?}: {error}");
    }
    let error = refused(Layout::Tree(vec![symlink("a", "")]));
    assert!(matches!(error, ArtifactError::Entry { .. }), "{error}");
}

#[test]
fn a_folder_has_no_flat_hash() {
    let dir = tempfile::tempdir().unwrap();
    let error = runtime().block_on(async {
        let ready = prepare(Layout::Tree(vec![]), &Limits::default(), dir.path())
            .await
            .unwrap();
        assert!(ready.is_tree());
        let want = Want {
            flat: Some(HashAlgorithm::Sha256),
            nar: None,
        };
        ready.emit(want, Vec::new()).await.unwrap_err()
    });
    assert!(matches!(error, ArtifactError::FlatOfTree));
}
