//! Zips, well-behaved and hostile.

use crate::support::tree::{Tree, file, link, nar, program, tree};
use crate::support::zip::{Entry, Raw, of, of_tree};
use crate::support::*;
use fetchhost_artifact::{ArtifactError, Input, Layout, PathProblem, Spool};

fn sample() -> Tree {
    tree([
        ("bin/tool", program("#!/bin/sh\nexit 0\n")),
        ("bin/tool2", program("#!/bin/sh\nexit 00\n")),
        ("bin/tool3", program("#!/bin/sh\nexit 000\n")),
        ("empty", crate::support::tree::Node::Directory),
        ("share/link", link("../../outside")),
        ("share.txt", file("")),
        ("ünï code", file("x")),
        ("A", file("upper")),
        ("a", file("lower")),
    ])
}

fn zip_of(entry: Entry) -> Layout {
    archive(of(&[entry]), "zip")
}

#[test]
fn every_method_gives_the_nar_of_the_same_tree_on_disk() {
    let sample = sample();
    for format in ["zip", "auto"] {
        assert_eq!(
            run(archive(of_tree(&sample), format)).unwrap().1,
            nar(&sample)
        );
    }
}

#[test]
fn a_zip_that_lies_in_a_spool_is_read_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(dir.path()).unwrap();
    spool.append(&of_tree(&sample())).unwrap();
    let content = Input::spooled(spool.finish().unwrap());
    let layout = Layout::Archive {
        content,
        format: "zip".parse().unwrap(),
        strip: 0,
    };
    assert_eq!(run(layout).unwrap().1, nar(&sample()));
}

#[test]
fn sizes_after_the_data_comments_prefixes_and_zip64_are_read() {
    let entries = [
        Entry::stored("a", b"stored"),
        Entry::deflated("b", b"deflated deflated deflated"),
    ];
    let wide: Vec<_> = entries
        .iter()
        .cloned()
        .map(|e| e.with(|e| e.zip64 = true))
        .collect();
    let expected = nar(&tree([
        ("a", file("stored")),
        ("b", file("deflated deflated deflated")),
    ]));
    for raw in [
        Raw::new(&entries),
        Raw {
            comment: b"a comment, not PK\x05\x06 an end",
            ..Raw::new(&entries)
        },
        Raw {
            prefix: b"#!/bin/sh\nexec unzip $0\n",
            ..Raw::new(&entries)
        },
        Raw {
            zip64: true,
            ..Raw::new(&entries)
        },
        Raw {
            zip64: true,
            ..Raw::new(&wide)
        },
        Raw {
            zip64: true,
            prefix: b"MZ",
            ..Raw::new(&wide)
        },
        Raw::new(&wide),
    ] {
        assert_eq!(run(archive(raw.build(), "zip")).unwrap().1, expected);
    }
    assert_eq!(run(archive(of(&[]), "auto")).unwrap().1, nar(&tree([])));
}

#[test]
fn the_unix_mode_says_what_an_entry_is() {
    let with_mode = |mode| Entry::stored("x", b"t").with(|e| e.mode = mode);
    for (mode, node) in [
        (0o100_755, program("t")),
        (0o100_744, program("t")),
        (0o100_654, file("t")),
        (0o000_700, program("t")),
        (0, file("t")),
        (0o120_777, link("t")),
        (0o104_755, program("t")),
    ] {
        assert_eq!(
            run(zip_of(with_mode(mode))).unwrap().1,
            nar(&tree([("x", node)])),
            "{mode:o}"
        );
    }
    for mode in [0o020_644, 0o060_644, 0o010_644, 0o140_644] {
        assert!(matches!(
            refused(zip_of(with_mode(mode))),
            ArtifactError::Entry { .. }
        ));
    }
    // What another system wrote there is no Unix mode.
    let dos = with_mode(0o120_777).with(|e| e.system = 0);
    assert_eq!(run(zip_of(dos)).unwrap().1, nar(&tree([("x", file("t"))])));
    let folder = Entry::stored("x/", b"").with(|e| (e.mode, e.system) = (0, 0));
    let empty = nar(&tree([("x", crate::support::tree::Node::Directory)]));
    assert_eq!(run(zip_of(folder)).unwrap().1, empty);
    let folder = Entry::stored("x", b"").with(|e| e.mode = 0o040_755);
    assert_eq!(run(zip_of(folder)).unwrap().1, empty);
}

#[test]
fn paths_that_lead_outside_are_refused() {
    for (path, problem) in [
        ("../evil", PathProblem::Parent),
        ("a/../../evil", PathProblem::Parent),
        ("/etc/passwd", PathProblem::Absolute),
        ("..\\evil", PathProblem::Backslash),
        ("C:\\evil", PathProblem::Backslash),
        ("C:evil", PathProblem::Drive),
        ("a\0b", PathProblem::Nul),
        ("", PathProblem::Empty),
    ] {
        let error = refused(zip_of(Entry::stored(path, b"x")));
        let got = matches!(&error, ArtifactError::Path { problem: got, .. } if *got == problem);
        assert!(got, "{path:?}: {error}");
    }
}

#[test]
fn nothing_is_written_through_a_symlink_or_over_something_else() {
    let file = |name| Entry::stored(name, b"x");
    for (entries, problem) in [
        (
            [Entry::symlink("a", "/etc"), file("a/passwd")],
            PathProblem::BelowSymlink,
        ),
        ([file("a"), file("a/b")], PathProblem::BelowFile),
        ([file("a/b"), file("a")], PathProblem::OverDirectory),
        ([file("a"), file("a/")], PathProblem::OverFile),
        ([file("a"), file("a")], PathProblem::Duplicate),
        ([file("a"), file("./a")], PathProblem::Duplicate),
        (
            [Entry::symlink("a", "b"), file("a")],
            PathProblem::Duplicate,
        ),
    ] {
        let error = refused(archive(of(&entries), "zip"));
        let got = matches!(&error, ArtifactError::Path { problem: got, .. } if *got == problem);
        assert!(got, "{problem:?}: {error}");
    }
}

#[test]
fn names_that_are_no_utf_8_stay_as_they_are() {
    let entry = Entry::stored("x", b"t").with(|e| e.name = b"caf\x82".to_vec());
    let (_, nar) = run(zip_of(entry)).unwrap();
    assert!(nar.windows(4).any(|window| window == b"caf\x82"));
}

#[test]
fn an_encrypted_entry_or_an_unknown_method_is_refused_by_name() {
    let plain = || Entry::stored("secret", b"x");
    for entry in [
        plain().with(|e| e.flags = 1),
        plain().with(|e| e.flags = 1 | 1 << 6),
        plain().with(|e| e.flags = 1 << 13),
        plain().with(|e| e.method = 99),
    ] {
        assert_eq!(
            refused(zip_of(entry)).to_string(),
            "entry `secret` is encrypted"
        );
    }
    for (method, name) in [(12, "bzip2"), (14, "lzma"), (95, "xz"), (1, "method 1;")] {
        let error = refused(zip_of(plain().with(|e| e.method = method)));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_entry_that_lies_about_its_size_or_checksum_is_refused() {
    let text = b"text text text text text";
    let deflated = || Entry::deflated("x", text);
    for (entry, problem) in [
        (
            deflated().with(|e| e.size -= 1),
            "more than the archive claims",
        ),
        (
            deflated().with(|e| e.size += 1),
            "less than the archive claims",
        ),
        (
            deflated().with(|e| e.size = 1 << 20),
            "less than the archive claims",
        ),
        (deflated().with(|e| e.crc ^= 1), "CRC"),
        (Entry::stored("x", text).with(|e| e.crc ^= 1), "CRC"),
        (Entry::stored("x", text).with(|e| e.size += 1), "two sizes"),
        (Entry::stored("x", b"").with(|e| e.crc = 5), "CRC"),
        (deflated().with(|e| e.data[0] ^= 0x06), "damaged"),
        (deflated().with(|e| e.data.truncate(5)), "x"),
        (Entry::symlink("x", "target").with(|e| e.crc ^= 1), "CRC"),
    ] {
        let error = refused(zip_of(entry));
        assert!(matches!(error, ArtifactError::Entry { .. }), "{error}");
        assert!(error.to_string().contains("`x`"), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn an_archive_whose_end_lies_is_refused() {
    let entries = [Entry::stored("a", b"x"), Entry::stored("b", b"y")];
    for stated in [0, 1, 3, 60_000] {
        for zip64 in [false, true] {
            let raw = Raw {
                stated: Some(stated),
                zip64,
                ..Raw::new(&entries)
            };
            let error = refused(archive(raw.build(), "zip"));
            assert!(matches!(error, ArtifactError::Malformed { .. }), "{error}");
        }
    }
    let absurd = Raw {
        stated: Some(u64::MAX),
        zip64: true,
        ..Raw::new(&entries)
    };
    assert!(matches!(
        refused(archive(absurd.build(), "zip")),
        ArtifactError::Malformed { .. }
    ));
}

#[test]
fn a_zip_with_any_byte_missing_or_changed_never_panics() {
    let whole = of(&[
        Entry::deflated("a/b", b"text text text"),
        Entry::symlink("l", "t"),
    ]);
    for length in 0..whole.len() {
        refused(archive(whole[..length].to_vec(), "zip"));
    }
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at] ^ 1] {
            let mut changed = whole.clone();
            changed[at] = value;
            drop(run(archive(changed, "zip")));
        }
    }
}

#[test]
fn a_symlink_whose_target_is_too_long_is_refused_unread() {
    let error = refused(zip_of(Entry::symlink("x", &"t".repeat(4096))));
    assert!(error.to_string().contains("4095"), "{error}");
    let zeros = vec![b'x'; 1 << 20];
    let entry = Entry::deflated("x", &zeros).with(|e| e.mode = 0o120_777);
    assert!(refused(zip_of(entry)).to_string().contains("4095"));
}
