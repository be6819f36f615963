//! What the tests share: running a layout, small archives made by hand, trees on disk.

pub mod tar;
pub mod tree;
pub mod zip;

use fetchhost_artifact::{
    ArtifactError, Batch, BoxError, FEED_CAPACITY, Input, Layout, Measured, Want, prepare,
};
use fetchhost_formats::HashAlgorithm;
use fetchhost_policy::Limits;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

/// Runs a layout to its end under the default limits.
pub fn run(layout: Layout) -> Result<(Measured, Vec<u8>), ArtifactError> {
    run_within(layout, &Limits::default())
}

/// Runs a layout to its end: what was measured, and the NAR that a sink was given.
pub fn run_within(layout: Layout, limits: &Limits) -> Result<(Measured, Vec<u8>), ArtifactError> {
    let dir = tempfile::tempdir().unwrap();
    let result = runtime().block_on(async {
        let ready = prepare(layout, limits, dir.path()).await?;
        let flat = (!ready.is_tree()).then_some(HashAlgorithm::Sha256);
        let (feed, mut batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let sink = tokio::spawn(async move {
            let mut nar = Vec::new();
            while let Some(batch) = batches.recv().await {
                for piece in batch.iter() {
                    nar.extend_from_slice(&piece.nar);
                }
            }
            nar
        });
        let measured = ready.emit(Want { flat, nar: None }, vec![feed]).await?;
        Ok((measured, sink.await.unwrap()))
    });
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "a temporary file has a name"
    );
    if let Ok((measured, nar)) = &result {
        assert_eq!(measured.nar_size(), nar.len() as u64);
        assert_eq!(measured.nar_sha256(), &hash(HashAlgorithm::Sha256, nar));
    }
    result
}

/// The error of a layout that must fail.
pub fn refused(layout: Layout) -> ArtifactError {
    run(layout).map(|(measured, _)| measured).unwrap_err()
}

/// The error of a layout that must fail under these limits.
pub fn refused_within(layout: Layout, limits: &Limits) -> ArtifactError {
    run_within(layout, limits)
        .map(|(measured, _)| measured)
        .unwrap_err()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub fn hash(algorithm: HashAlgorithm, data: &[u8]) -> fetchhost_formats::Hash {
    let mut hasher = fetchhost_formats::Hasher::new(algorithm);
    hasher.update(data);
    hasher.finish()
}

/// Content that arrives in pieces of `size` bytes, of unknown length.
pub fn pieces(data: &[u8], size: usize) -> Input {
    Input::stream(None, None, piece_stream(data, size))
}

/// The same with a content encoding.
pub fn encoded(data: &[u8], encoding: &str) -> Input {
    Input::stream(
        Some(data.len() as u64),
        Some(encoding.to_owned()),
        piece_stream(data, 1000),
    )
}

pub fn piece_stream(data: &[u8], size: usize) -> fetchhost_artifact::BoxStream {
    let pieces: Vec<Result<_, BoxError>> = data
        .chunks(size)
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces).boxed()
}

pub fn archive(content: impl Into<bytes::Bytes>, format: &str) -> Layout {
    stripped(content, format, 0)
}

pub fn stripped(content: impl Into<bytes::Bytes>, format: &str, strip: u32) -> Layout {
    // Small pieces, so that no reader may rely on getting everything at once.
    let content = pieces(&content.into(), 777);
    Layout::Archive {
        content,
        format: format.parse().unwrap(),
        strip,
    }
}

pub fn member(content: impl Into<bytes::Bytes>, format: &str, path: &str) -> Layout {
    let content = pieces(&content.into(), 777);
    Layout::Member {
        content,
        format: format.parse().unwrap(),
        path: path.to_owned(),
    }
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn deflate(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(data, 1).unwrap()
}
