//! One file: streamed or spooled, hashed once, held to its length.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use fetchhost_artifact::{
    ArtifactError, Batch, BoxError, FEED_CAPACITY, Input, Layout, Spool, Want, prepare,
};
use fetchhost_formats::HashAlgorithm;
use fetchhost_policy::{Limit, Limits};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog\n";

fn file(content: Input) -> Layout {
    Layout::File {
        content,
        executable: false,
    }
}

fn streamed(data: &[u8], promised: u64) -> Layout {
    file(Input::stream(Some(promised), None, piece_stream(data, 7)))
}

fn expected(data: &[u8], executable: bool) -> Vec<u8> {
    let mut nar = Vec::new();
    let node = nix_archive::nar::Node::Regular {
        executable,
        contents: data,
    };
    nix_archive::nar::encode_tree(&mut nar, &node).unwrap();
    nar
}

#[test]
fn a_file_is_the_same_streamed_spooled_from_memory_and_of_unknown_length() {
    let dir = tempfile::tempdir().unwrap();
    for data in [&b""[..], b"a", b"12345678", TEXT, &vec![7; 1_000_003]] {
        let mut spool = Spool::create(dir.path()).unwrap();
        spool.append(data).unwrap();
        let inputs = [
            Input::stream(Some(data.len() as u64), None, piece_stream(data, 5000)),
            pieces(data, 5000),
            Input::bytes(data.to_vec()),
            Input::spooled(spool.finish().unwrap()),
        ];
        for input in inputs {
            let (measured, nar) = run(file(input)).unwrap();
            assert_eq!(nar, expected(data, false));
            assert_eq!(measured.flat(), Some(&hash(HashAlgorithm::Sha256, data)));
            assert_eq!(measured.flat_size(), Some(data.len() as u64));
        }
    }
}

#[test]
fn an_executable_file_says_so_in_its_nar_only() {
    let layout = Layout::File {
        content: Input::bytes(TEXT),
        executable: true,
    };
    let (measured, nar) = run(layout).unwrap();
    assert_eq!(nar, expected(TEXT, true));
    assert_eq!(measured.flat(), Some(&hash(HashAlgorithm::Sha256, TEXT)));
}

#[test]
fn the_caller_may_mark_any_single_file_executable() {
    let dir = tempfile::tempdir().unwrap();
    for input in [Input::bytes(TEXT), pieces(TEXT, 3)] {
        runtime().block_on(async {
            let ready = prepare(file(input), &Limits::default(), dir.path())
                .await
                .unwrap();
            let ready = ready.with_executable(true);
            let measured = ready.emit(Want::default(), Vec::new()).await.unwrap();
            let nar = expected(TEXT, true);
            assert_eq!(measured.nar_sha256(), &hash(HashAlgorithm::Sha256, &nar));
        });
    }
}

#[test]
fn a_stream_that_breaks_its_promised_length_is_refused() {
    for promised in [0, TEXT.len() as u64 - 1, TEXT.len() as u64 + 1, 1 << 30] {
        let error = refused(streamed(TEXT, promised));
        assert!(matches!(error, ArtifactError::Length { promised: p, .. } if p == promised));
    }
    // Spooled ones are held to it, too.
    let content = Input::stream(
        Some(9),
        Some("gzip".to_owned()),
        piece_stream(&gzip(TEXT), 7),
    );
    let error = refused(file(content));
    assert!(
        matches!(error, ArtifactError::Length { promised: 9, .. }),
        "{error}"
    );
}

#[test]
fn the_error_of_a_stream_comes_out_as_itself() {
    #[derive(Debug, thiserror::Error)]
    #[error("line cut")]
    struct LineCut;
    for length in [Some(100), None] {
        let pieces: [Result<Bytes, BoxError>; 2] =
            [Ok(Bytes::from_static(b"x")), Err(Box::new(LineCut))];
        let content = Input::stream(length, None, stream::iter(pieces).boxed());
        let ArtifactError::Upstream { source } = refused(file(content)) else {
            panic!()
        };
        assert!(source.downcast_ref::<LineCut>().is_some());
    }
}

#[test]
fn an_encoding_that_came_anyway_is_undone() {
    for (encoding, data) in [
        ("gzip", gzip(TEXT)),
        ("x-gzip", gzip(TEXT)),
        (" GZIP ", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", deflate(TEXT)),
        ("zstd", zstd(TEXT)),
        ("identity", TEXT.to_vec()),
        ("", TEXT.to_vec()),
    ] {
        let (measured, nar) = run(file(encoded(&data, encoding))).unwrap();
        assert_eq!(nar, expected(TEXT, false), "{encoding}");
        assert_eq!(measured.flat(), Some(&hash(HashAlgorithm::Sha256, TEXT)));
    }
}

#[test]
fn an_encoding_that_cannot_be_undone_is_refused_by_name() {
    for encoding in ["br", "compress", "gzip, gzip", "aws-chunked"] {
        let error = refused(file(encoded(TEXT, encoding)));
        assert!(matches!(error, ArtifactError::UnsupportedEncoding { .. }));
        assert!(
            error.to_string().contains(&format!("`{encoding}`")),
            "{error}"
        );
    }
}

#[test]
fn an_encoding_that_is_damaged_or_cut_short_is_refused() {
    for (encoding, mut data) in [
        ("gzip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("zstd", zstd(TEXT)),
    ] {
        data.truncate(data.len() - 3);
        let error = refused(file(encoded(&data, encoding)));
        assert!(
            matches!(error, ArtifactError::Damaged { .. }),
            "{encoding}: {error}"
        );
    }
    let error = refused(file(encoded(TEXT, "gzip")));
    assert!(
        matches!(error, ArtifactError::Damaged { what: "gzip", .. }),
        "{error}"
    );
}

#[test]
fn an_encoding_that_expands_beyond_the_ratio_is_refused() {
    let limits = Limits {
        ratio_floor: 1 << 20,
        ..Limits::default()
    };
    let zeros = vec![0; 8 << 20];
    for (encoding, data) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let error = refused_within(file(encoded(&data, encoding)), &limits);
        let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::ArchiveRatio);
        assert!(limit, "{encoding}: {error}");
        assert!(error.hint().unwrap().contains("archive-ratio"));
        // Below the floor nothing is judged.
        assert!(run(file(encoded(&data, encoding))).is_ok());
    }
}

#[test]
fn a_file_larger_than_the_output_limit_is_refused() {
    let limits = Limits {
        output_bytes: 10,
        ..Limits::default()
    };
    for layout in [streamed(TEXT, TEXT.len() as u64), file(pieces(TEXT, 7))] {
        let error = refused_within(layout, &limits);
        let limit = matches!(&error, ArtifactError::Limit(o) if o.limit == Limit::OutputBytes);
        assert!(limit, "{error}");
    }
}

#[test]
fn the_declared_algorithm_is_measured_beside_sha256() {
    let dir = tempfile::tempdir().unwrap();
    let nar = expected(TEXT, false);
    for algorithm in [
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
    ] {
        let want = Want {
            flat: Some(algorithm),
            nar: Some(algorithm),
        };
        let measured = runtime().block_on(async {
            let layout = file(Input::bytes(TEXT));
            let ready = prepare(layout, &Limits::default(), dir.path())
                .await
                .unwrap();
            ready.emit(want, Vec::new()).await.unwrap()
        });
        assert_eq!(measured.flat(), Some(&hash(algorithm, TEXT)));
        assert_eq!(measured.nar_declared(), Some(&hash(algorithm, &nar)));
        assert_eq!(measured.nar_sha256(), &hash(HashAlgorithm::Sha256, &nar));
    }
}

#[test]
fn a_sink_that_stops_reading_ends_the_pass_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = runtime().block_on(async {
        let layout = file(Input::bytes(vec![1; 4 << 20]));
        let ready = prepare(layout, &Limits::default(), dir.path())
            .await
            .unwrap();
        let (good, mut batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let (bad, gone) = mpsc::channel::<Batch>(FEED_CAPACITY);
        drop(gone);
        let reading = tokio::spawn(async move { while batches.recv().await.is_some() {} });
        let error = ready
            .emit(Want::default(), vec![good, bad])
            .await
            .unwrap_err();
        reading.await.unwrap();
        error
    });
    assert!(matches!(error, ArtifactError::SinkGone(1)));
}

#[test]
fn a_slow_sink_slows_the_network_down_and_holds_little_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 4096;
    let dir = tempfile::tempdir().unwrap();
    let drawn = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&drawn);
    let stream = stream::iter(0..PIECES).map(move |_| -> Result<Bytes, BoxError> {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from(vec![1; PIECE]))
    });
    runtime().block_on(async {
        let content = Input::stream(Some((PIECE * PIECES) as u64), None, stream.boxed());
        let ready = prepare(file(content), &Limits::default(), dir.path())
            .await
            .unwrap();
        let (feed, mut batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let pass = tokio::spawn(ready.emit(Want::default(), vec![feed]));
        // The sink does not read at all: the pass must come to rest.
        let mut before = usize::MAX;
        while before != drawn.load(Ordering::Relaxed) {
            before = drawn.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let held = before * PIECE;
        assert!(
            held <= 4 << 20,
            "{held} bytes are held for a sink that does not read"
        );
        while batches.recv().await.is_some() {}
        pass.await.unwrap().unwrap();
    });
    assert_eq!(drawn.load(Ordering::Relaxed), PIECES);
}

#[test]
fn a_large_piece_is_handed_on_in_parts_without_being_copied() {
    let dir = tempfile::tempdir().unwrap();
    let large = Bytes::from(vec![3; 10 << 20]);
    let range = large.as_ptr_range();
    runtime().block_on(async {
        let layout = file(Input::bytes(large.clone()));
        let ready = prepare(layout, &Limits::default(), dir.path())
            .await
            .unwrap();
        let (feed, mut batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let pass = tokio::spawn(ready.emit(Want::default(), vec![feed]));
        let mut seen = 0;
        while let Some(batch) = batches.recv().await {
            for piece in batch.iter() {
                assert!(piece.nar.len() <= 256 * 1024);
                if let fetchhost_formats::nar::Event::Data(data) = &piece.event {
                    assert!(range.contains(&data.as_ptr()));
                    seen += data.len();
                }
            }
        }
        pass.await.unwrap().unwrap();
        assert_eq!(seen, large.len());
    });
}

#[test]
fn a_missing_folder_for_temporary_files_is_named_with_the_way_out() {
    let limits = Limits::default();
    let dir = tempfile::tempdir().unwrap().path().join("missing");
    let layout = file(pieces(TEXT, 7));
    let error = runtime()
        .block_on(prepare(layout, &limits, &dir))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, ArtifactError::Temp { .. }));
    assert!(error.to_string().contains("missing"));
    assert!(error.hint().unwrap().contains("TMPDIR"));
}
