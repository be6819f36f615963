//! The tar family, well-behaved and hostile.

use crate::support::tar::{Raw, of_tree};
use crate::support::tree::{Tree, file, link, nar, program, tree};
use crate::support::*;
use fetchhost_artifact::{ArtifactError, PathProblem};

/// A compressor.
type Pack = fn(&[u8]) -> Vec<u8>;

fn sample() -> Tree {
    let deep = "d/".repeat(20) + &"n".repeat(120) + "/leaf";
    let mut sample = tree([
        ("bin/tool", program("#!/bin/sh\n")),
        ("empty", crate::support::tree::Node::Directory),
        ("share/doc/readme", file("read me\n")),
        ("share/link", link("../../outside")),
        ("share/absolute", link("/etc/passwd")),
        ("share.txt", file("")),
        ("share-d", file("sorts between\n")),
        ("ünï code", file("x")),
        ("A", file("upper")),
        ("a", file("lower")),
        ("back\\slash", file("systemd does that")),
    ]);
    sample.insert(deep, file("long name"));
    sample
}

#[test]
fn every_packing_gives_the_nar_of_the_same_tree_on_disk() {
    let sample = sample();
    let expected = nar(&sample);
    let archived = of_tree(&sample);
    for (format, packed) in [
        ("tar", archived.clone()),
        ("tar.gz", gzip(&archived)),
        ("tar.bz2", bzip2(&archived)),
        ("tar.xz", xz(&archived)),
        ("tar.zst", zstd(&archived)),
    ] {
        for name in [format, "auto"] {
            let (measured, got) = run(archive(packed.clone(), name)).unwrap();
            assert!(got == expected, "{format} read as {name}");
            assert_eq!(measured.flat(), None);
            assert_eq!(measured.flat_size(), None);
        }
    }
}

#[test]
fn several_members_of_one_compression_are_one_archive() {
    let sample = sample();
    let archived = of_tree(&sample);
    let (first, second) = archived.split_at(700);
    let packings: [Pack; 4] = [gzip, bzip2, xz, zstd];
    for (format, pack) in ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"]
        .into_iter()
        .zip(packings)
    {
        let packed = [pack(first), pack(second)].concat();
        assert!(
            run(archive(packed, format)).unwrap().1 == nar(&sample),
            "{format}"
        );
    }
}

#[test]
fn a_compression_that_is_cut_short_is_refused() {
    let archived = of_tree(&sample());
    let packings: [Pack; 4] = [gzip, bzip2, xz, zstd];
    for (format, pack) in ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"]
        .into_iter()
        .zip(packings)
    {
        let packed = pack(&archived);
        for missing in [1, 4, packed.len() / 2] {
            let error = refused(archive(packed[..packed.len() - missing].to_vec(), format));
            assert!(
                matches!(error, ArtifactError::Damaged { .. }),
                "{format}: {error}"
            );
        }
    }
}

#[test]
fn an_archive_that_is_cut_short_is_refused_wherever_the_cut_is() {
    let whole = Raw::new().file("a", &[1; 700]).file("b", b"x").cut();
    for length in [1, 511, 512, 600, 1100, 1535, 1536, 2048, 2100, whole.len()] {
        let error = refused(archive(whole[..length].to_vec(), "tar"));
        assert!(
            matches!(error, ArtifactError::Malformed { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn what_follows_the_end_is_read_and_means_nothing() {
    let mut archived = Raw::new().file("a", b"x").end();
    archived.extend_from_slice(&Raw::new().file("b", b"y").end());
    assert_eq!(
        run(archive(archived, "tar")).unwrap().1,
        nar(&tree([("a", file("x"))]))
    );
}

#[test]
fn paths_that_lead_outside_are_refused() {
    for (path, problem) in [
        ("../evil", PathProblem::Parent),
        ("a/../../evil", PathProblem::Parent),
        ("/etc/passwd", PathProblem::Absolute),
        ("a//b", PathProblem::Unclean),
    ] {
        let error = refused(archive(Raw::new().file(path, b"x").end(), "tar"));
        let got = matches!(&error, ArtifactError::Path { problem: got, .. } if *got == problem);
        assert!(got, "{path}: {error}");
    }
}

#[test]
fn nothing_is_written_through_a_symlink_or_over_something_else() {
    let cases = [
        (
            Raw::new().symlink("a", "/etc").file("a/passwd", b"x"),
            PathProblem::BelowSymlink,
        ),
        (
            Raw::new().symlink("a", ".").directory("a/b/c"),
            PathProblem::BelowSymlink,
        ),
        (
            Raw::new().file("a", b"x").file("a/b", b"y"),
            PathProblem::BelowFile,
        ),
        (
            Raw::new().file("a/b", b"x").file("a", b"y"),
            PathProblem::OverDirectory,
        ),
        (
            Raw::new().file("a/b", b"x").symlink("a", "/etc"),
            PathProblem::OverDirectory,
        ),
        (
            Raw::new().symlink("a", "/etc").directory("a/"),
            PathProblem::OverFile,
        ),
        (
            Raw::new().file("a", b"x").file("a", b"x"),
            PathProblem::Duplicate,
        ),
        (
            Raw::new().file("a", b"x").file("./a", b"x"),
            PathProblem::Duplicate,
        ),
        (
            Raw::new().file("a", b"x").symlink("a", "b"),
            PathProblem::Duplicate,
        ),
        (Raw::new().symlink("./", "/etc"), PathProblem::NotDirectory),
    ];
    for (archived, problem) in cases {
        let error = refused(archive(archived.end(), "tar"));
        let got = matches!(&error, ArtifactError::Path { problem: got, .. } if *got == problem);
        assert!(got, "{problem:?}: {error}");
    }
}

#[test]
fn a_folder_may_come_twice_or_after_what_is_in_it() {
    let archived = Raw::new()
        .directory("./")
        .file("d/x", b"1")
        .directory("d/")
        .directory("./d");
    assert_eq!(
        run(archive(archived.end(), "tar")).unwrap().1,
        nar(&tree([("d/x", file("1"))]))
    );
}

#[test]
fn hard_links_share_the_content_of_an_earlier_entry() {
    let archived = Raw::new()
        .file("top/a", b"content")
        .hard_link("top/b", "top/a")
        .symlink("top/s", "a")
        .hard_link("top/t", "./top/s");
    let expected = tree([
        ("a", file("content")),
        ("b", file("content")),
        ("s", link("a")),
        ("t", link("a")),
    ]);
    let got = run(stripped(archived.end(), "tar", 1)).unwrap().1;
    assert_eq!(got, nar(&expected));
}

#[test]
fn a_hard_link_may_name_what_strip_drops() {
    let archived = Raw::new()
        .file("a", b"content")
        .hard_link("top/b", "a")
        .end();
    assert_eq!(
        run(stripped(archived, "tar", 1)).unwrap().1,
        nar(&tree([("b", file("content"))]))
    );
}

#[test]
fn hard_links_to_anything_else_are_refused() {
    for archived in [
        Raw::new().hard_link("b", "a"),
        Raw::new().hard_link("b", "a").file("a", b"later"),
        Raw::new().directory("a").hard_link("b", "a"),
        Raw::new()
            .symlink("s", ".")
            .file("f", b"")
            .hard_link("b", "s/f"),
    ] {
        let error = refused(archive(archived.end(), "tar"));
        assert!(error.to_string().contains("hard link"), "{error}");
    }
    for target in ["/etc/passwd", "../a", ""] {
        let error = refused(archive(Raw::new().hard_link("b", target).end(), "tar"));
        assert!(matches!(error, ArtifactError::Path { .. }), "{error}");
    }
}

#[test]
fn devices_fifos_sparse_files_and_unknown_entries_are_refused_by_name() {
    for (kind, name) in [
        (b'3', "character device"),
        (b'4', "block"),
        (b'6', "fifo"),
        (b'S', "sparse"),
        (b'?', "`?`"),
    ] {
        let error = refused(archive(Raw::new().entry(kind, b"x", b"", b"").end(), "tar"));
        assert!(matches!(error, ArtifactError::Entry { .. }));
        assert!(error.to_string().contains(name), "{error}");
    }
    let sparse = Raw::new()
        .pax(b'x', &[("GNU.sparse.major", "1")])
        .file("x", b"");
    assert!(
        refused(archive(sparse.end(), "tar"))
            .to_string()
            .contains("sparse")
    );
}

#[test]
fn a_symlink_without_a_target_or_with_too_long_a_one_is_refused() {
    let long = "x".repeat(4096);
    for archived in [
        Raw::new().symlink("a", ""),
        Raw::new()
            .pax(b'x', &[("linkpath", &long)])
            .symlink("a", "b"),
        Raw::new()
            .pax(b'x', &[("linkpath", "a\0b")])
            .symlink("a", "b"),
    ] {
        let error = refused(archive(archived.end(), "tar"));
        assert!(error.to_string().contains("target"), "{error}");
    }
}

#[test]
fn pax_records_and_gnu_long_names_replace_the_next_entry_only() {
    let long = "x".repeat(200);
    let archived = Raw::new()
        .pax(b'g', &[("comment", "a commit")])
        .pax(b'x', &[("path", "from pax"), ("mtime", "1.5")])
        .file("ignored", b"1")
        .entry(b'L', b"././@LongLink", b"", format!("{long}\0").as_bytes())
        .file("ignored", b"2")
        .entry(b'K', b"././@LongLink", b"", b"long target\0")
        .symlink("link", "ignored")
        .entry(b'V', b"label", b"", b"")
        .file("plain", b"3");
    let expected = tree([
        ("from pax", file("1")),
        (&long, file("2")),
        ("link", link("long target")),
        ("plain", file("3")),
    ]);
    assert_eq!(
        run(archive(archived.end(), "tar")).unwrap().1,
        nar(&expected)
    );
}

#[test]
fn a_pax_size_is_the_size() {
    let archived = Raw::new()
        .pax(b'x', &[("size", "600")])
        .sized(b'0', b"a", b"", 0, &[b'y'; 600])
        .file("b", b"after");
    let expected = tree([("a", file(&"y".repeat(600))), ("b", file("after"))]);
    assert_eq!(
        run(archive(archived.end(), "tar")).unwrap().1,
        nar(&expected)
    );
}

#[test]
fn extensions_that_are_ambiguous_or_endless_are_refused() {
    for archived in [
        Raw::new()
            .pax(b'g', &[("path", "all of them")])
            .file("a", b""),
        Raw::new().pax(b'g', &[("size", "5")]).file("a", b""),
        Raw::new().sized(b'L', b"x", b"", 1 << 33, b""),
        Raw::new().sized(b'x', b"x", b"", 1 << 33, b""),
        Raw::new()
            .entry(b'x', b"x", b"", b"nonsense")
            .file("a", b""),
        Raw::new().pax(b'x', &[("path", "of nothing")]),
    ] {
        let error = refused(archive(archived.end(), "tar"));
        assert!(matches!(error, ArtifactError::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_header_with_a_wrong_checksum_is_refused() {
    let mut archived = Raw::new().file("a", b"x").end();
    archived[0] = b'b';
    assert!(
        refused(archive(archived, "tar"))
            .to_string()
            .contains("checksum")
    );
    assert!(matches!(
        refused(archive(vec![b'x'; 4096], "tar")),
        ArtifactError::Malformed { .. }
    ));
}

#[test]
fn what_a_message_quotes_of_a_header_is_harmless_on_a_terminal() {
    let mut archived = Raw::new().file("a\x1b[2J", b"x").end();
    archived[124..130].copy_from_slice(b"\x1b[31m;");
    let error = refused(archive(archived, "tar"));
    assert!(matches!(error, ArtifactError::Malformed { .. }));
    assert!(!error.to_string().contains('\x1b'), "{error:?}");
}

#[test]
fn a_file_that_is_spelled_like_a_folder_is_one_and_holds_nothing() {
    let old = Raw::new().file("d/", b"").file("d/f", b"x").end();
    assert_eq!(
        run(archive(old, "tar")).unwrap().1,
        nar(&tree([("d/f", file("x"))]))
    );
    let error = refused(archive(Raw::new().file("d/", b"x").end(), "tar"));
    assert!(matches!(error, ArtifactError::Entry { .. }), "{error}");
}

#[test]
fn an_absurd_size_is_refused_without_being_believed() {
    for size in [1 << 40, i64::MAX.cast_unsigned(), u64::MAX] {
        let error = refused(archive(
            Raw::new().sized(b'0', b"a", b"", size, b"x").end(),
            "tar",
        ));
        assert!(matches!(error, ArtifactError::Malformed { .. }), "{error}");
    }
}

#[test]
fn strip_drops_leading_components_and_what_has_no_more_of_them() {
    let archived = Raw::new()
        .file("top-level", b"dropped")
        .file("pkg-1.0/file", b"1")
        .directory("./pkg-1.0/dir")
        .file("pkg-1.0/dir/deep", b"2")
        .file("other/dir/more", b"3")
        .end();
    let expected = tree([
        ("dir/deep", file("2")),
        ("dir/more", file("3")),
        ("file", file("1")),
    ]);
    assert_eq!(
        run(stripped(archived.clone(), "tar", 1)).unwrap().1,
        nar(&expected)
    );
    let expected = tree([("deep", file("2")), ("more", file("3"))]);
    assert_eq!(
        run(stripped(archived.clone(), "tar", 2)).unwrap().1,
        nar(&expected)
    );
    let error = refused(stripped(archived, "tar", 3));
    assert!(matches!(error, ArtifactError::NothingLeft { strip: 3 }));
    assert!(error.hint().unwrap().contains("--strip-components"));
}

#[test]
fn entries_that_fall_on_each_other_when_stripped_are_refused() {
    for archived in [
        Raw::new().file("a/x", b"1").file("b/x", b"2"),
        Raw::new().file("a/x", b"1").file("b/x/y", b"2"),
        Raw::new().file("a/x/y", b"1").file("b/x", b"2"),
    ] {
        let error = refused(stripped(archived.end(), "tar", 1));
        assert!(matches!(error, ArtifactError::Path { .. }), "{error}");
    }
}
