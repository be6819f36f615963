//! One file of an archive.

use fetchhost_artifact::ArtifactError;

use crate::support::zip::{Entry, of};
use crate::support::{member, refused, run, tar};

#[test]
fn one_member_is_a_file() {
    let content = of(&[
        Entry::deflated("report/junit.xml", b"<testsuite/>").with(|e| e.mode = 0o100_755),
        Entry::symlink("report/latest", "junit.xml"),
        Entry::stored("report/junit.html", b"page"),
    ]);
    for path in ["report/junit.xml", "./report/junit.xml"] {
        let (measured, nar) = run(member(content.clone(), "zip", path)).unwrap();
        assert_eq!(measured.flat_size(), Some(12));
        let mut expected = Vec::new();
        let node = nix_archive::nar::Node::Regular {
            executable: false,
            contents: b"<testsuite/>",
        };
        nix_archive::nar::encode_tree(&mut expected, &node).unwrap();
        assert_eq!(nar, expected);
    }
    let error = refused(member(content.clone(), "zip", "report/latest"));
    let expected = "`report/latest` is a symlink to `junit.xml` in the archive, not a file";
    assert_eq!(error.to_string(), expected);
    for path in ["report", "report/", "."] {
        let error = refused(member(content.clone(), "zip", path));
        assert!(
            matches!(error, ArtifactError::MemberNotFile { .. }),
            "{error}"
        );
    }
    let error = refused(member(content.clone(), "zip", "reports/junit.xml"));
    let expected = "the archive has no file `reports/junit.xml`; similar: `report/junit.xml`, \
                    `report/junit.html`";
    assert_eq!(error.to_string(), expected);
    let error = refused(member(content.clone(), "zip", "nothing-like-it"));
    assert_eq!(
        error.to_string(),
        "the archive has no file `nothing-like-it`"
    );
    assert!(matches!(
        refused(member(content, "zip", "../x")),
        ArtifactError::Path { .. }
    ));
}

#[test]
fn at_most_five_similar_names_are_listed() {
    let entries: Vec<_> = (0..20)
        .map(|i| Entry::stored(&format!("{i:02}/name"), b""))
        .collect();
    let error = refused(member(of(&entries), "zip", "name"));
    let ArtifactError::NoSuchMember { near, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        near,
        ["00/name", "01/name", "02/name", "03/name", "04/name"]
    );
}

#[test]
fn a_member_of_a_tar_may_be_a_hard_link_to_another() {
    let content = tar::Raw::new()
        .file("a", b"content")
        .hard_link("b", "a")
        .end();
    let (measured, _) = run(member(content, "tar", "b")).unwrap();
    assert_eq!(measured.flat_size(), Some(7));
}
