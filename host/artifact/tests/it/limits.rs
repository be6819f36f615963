//! What an artifact may cost.

use fetchhost_artifact::ArtifactError;
use fetchhost_policy::{Limit, Limits};

use crate::support::{archive, bzip2, gzip, refused_within, run, tar, xz, zip, zstd};

#[test]
fn more_entries_than_the_limit_are_refused() {
    let limits = Limits {
        entries: 1000,
        ..Limits::default()
    };
    let mut many = tar::Raw::new();
    for index in 0..1001 {
        many = many.file(&format!("{index}"), b"");
    }
    // Folders that are never named count, too.
    let mut folders = tar::Raw::new();
    for index in 0..30 {
        folders = folders.file(&format!("{index}/{}x", "d/".repeat(40)), b"");
    }
    for archived in [many, folders] {
        let error = refused_within(archive(archived.end(), "tar"), &limits);
        let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::Entries);
        assert!(limit, "{error}");
    }
}

#[test]
fn a_tree_may_have_64_levels_and_no_more() {
    let deep = |levels: usize| {
        tar::Raw::new()
            .file(&("d/".repeat(levels - 2) + "f"), b"")
            .end()
    };
    assert!(run(archive(deep(48), "tar")).is_ok());
    let path = "d/".repeat(62) + "f";
    let longest = tar::Raw::new()
        .pax(b'x', &[("path", &path)])
        .file("x", b"")
        .end();
    assert!(run(archive(longest, "tar")).is_ok());
    // Raising the limit does not help: the NAR goes no deeper.
    let raised = Limits {
        depth: 1_000_000,
        ..Limits::default()
    };
    let path = "d/".repeat(63) + "f";
    let deeper = tar::Raw::new()
        .pax(b'x', &[("path", &path)])
        .file("x", b"")
        .end();
    let path = "d/".repeat(400_000) + "f";
    let deepest = tar::Raw::new()
        .pax(b'x', &[("path", &path)])
        .file("x", b"")
        .end();
    for archived in [deeper, deepest] {
        for limits in [&Limits::default(), &raised] {
            let error = refused_within(archive(archived.clone(), "tar"), limits);
            let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::Depth);
            assert!(limit, "{error}");
        }
    }
}

#[test]
fn an_archive_that_expands_beyond_the_ratio_is_refused() {
    let limits = Limits {
        ratio_floor: 1 << 20,
        ..Limits::default()
    };
    let bomb = tar::Raw::new().file("zeros", &vec![0; 16 << 20]).end();
    // Zeros after the end of the archive are not free either.
    let mut tail = tar::Raw::new().file("a", b"x").end();
    tail.resize(16 << 20, 0);
    for archived in [bomb, tail] {
        for packed in [
            gzip(&archived),
            bzip2(&archived),
            xz(&archived),
            zstd(&archived),
        ] {
            let error = refused_within(archive(packed, "auto"), &limits);
            let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::ArchiveRatio);
            assert!(limit, "{error}");
        }
    }
}

#[test]
fn hard_links_count_like_their_files() {
    let limits = Limits {
        ratio_floor: 1 << 20,
        ..Limits::default()
    };
    let mut archived = tar::Raw::new().file("a", &[7; 100_000]);
    for index in 0..300 {
        archived = archived.hard_link(&format!("b{index}"), "a");
    }
    let archived = archived.end();
    let error = refused_within(archive(gzip(&archived), "tar.gz"), &limits);
    let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::ArchiveRatio);
    assert!(limit, "{error}");
    let limits = Limits {
        output_bytes: 10_000_000,
        ..Limits::default()
    };
    let error = refused_within(archive(archived, "tar"), &limits);
    let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::OutputBytes);
    assert!(limit, "{error}");
}

#[test]
fn a_decoder_window_beyond_the_limit_is_refused() {
    let archived = tar::Raw::new().file("a", &vec![b'x'; 3 << 20]).end();
    let limits = Limits {
        decoder_window: 1 << 20,
        ..Limits::default()
    };
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, &archived).unwrap();
    let wide_zstd = encoder.finish().unwrap();
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    std::io::Write::write_all(&mut encoder, &archived).unwrap();
    let wide_xz = encoder.finish().unwrap();
    for (format, packed) in [("tar.zst", wide_zstd), ("tar.xz", wide_xz)] {
        assert!(run(archive(packed.clone(), format)).is_ok(), "{format}");
        let error = refused_within(archive(packed, format), &limits);
        let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::DecoderWindow);
        assert!(limit, "{format}: {error}");
    }
}

#[test]
fn a_zip_that_expands_beyond_the_ratio_is_refused_before_it_is_unpacked() {
    let limits = Limits {
        ratio_floor: 1 << 20,
        ..Limits::default()
    };
    let zeros = vec![0; 8 << 20];
    // One compressed block that is every file.
    let overlapping: Vec<_> = (0..100)
        .map(|index| zip::Entry::deflated(&format!("{index:03}"), &zeros[..1 << 20]))
        .collect();
    let overlapping = zip::Raw {
        overlapping: true,
        ..zip::Raw::new(&overlapping)
    }
    .build();
    for bomb in [
        zip::of(&[zip::Entry::deflated("zeros", &zeros)]),
        overlapping,
    ] {
        let error = refused_within(archive(bomb, "zip"), &limits);
        let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::ArchiveRatio);
        assert!(limit, "{error}");
    }
}

#[test]
fn entries_and_output_of_a_zip_are_held_to_their_limits() {
    let entries: Vec<_> = (0..11)
        .map(|i| zip::Entry::stored(&i.to_string(), b"0123456789"))
        .collect();
    for (limits, name) in [
        (
            Limits {
                entries: 10,
                ..Limits::default()
            },
            Limit::Entries,
        ),
        (
            Limits {
                output_bytes: 100,
                ..Limits::default()
            },
            Limit::OutputBytes,
        ),
    ] {
        let error = refused_within(archive(zip::of(&entries), "zip"), &limits);
        assert!(
            matches!(&error, ArtifactError::Limit(o) if o.limit == name),
            "{error}"
        );
    }
}
