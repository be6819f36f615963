//! Running artifacts into sinks the way the pipeline does.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fetchhost_artifact::{Input, Layout, TreeEntry, Verified, Want, prepare};
use fetchhost_formats::nar::{Encoder, Event, Piece};
use fetchhost_formats::{HashAlgorithm, OutputMode};
use fetchhost_policy::Limits;
use fetchhost_sinks::{Committed, Destination, Incoming, SinkError, Staged, spawn};

pub(crate) fn flat(contents: impl Into<Bytes>) -> Layout {
    Layout::File {
        content: Input::bytes(contents),
        executable: false,
    }
}

pub(crate) fn executable(contents: &'static str) -> Layout {
    Layout::File {
        content: Input::bytes(contents),
        executable: true,
    }
}

pub(crate) fn tree() -> Layout {
    Layout::Tree(vec![
        TreeEntry::File {
            path: "bin/tool".to_owned(),
            content: Input::bytes("#!/bin/sh\n"),
            executable: true,
        },
        TreeEntry::Symlink {
            path: "bin/link".to_owned(),
            target: "tool".to_owned(),
        },
        TreeEntry::Directory {
            path: "empty".to_owned(),
        },
        TreeEntry::File {
            path: "readme".to_owned(),
            content: Input::bytes("hello\n"),
            executable: false,
        },
    ])
}

/// Names a sha256 fixed output `name` of `mode` for what `layout` turns out to be.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) mode: OutputMode,
}

pub(crate) const FLAT: Named = Named {
    name: "hello.txt",
    mode: OutputMode::Flat,
};
pub(crate) const NAR: Named = Named {
    name: "source",
    mode: OutputMode::Nar,
};

/// Something of which nothing is known that a file or cache would look at.
pub(crate) fn incoming() -> Incoming {
    Incoming {
        name: "source".parse().unwrap(),
        mode: OutputMode::Nar,
        algorithm: HashAlgorithm::Sha256,
        hash: None,
    }
}

/// Feeds `layout` to a sink and does not commit it yet.
pub(crate) async fn stage(
    destination: &Destination,
    named: Named,
    layout: Layout,
) -> Result<(Box<dyn Staged>, Verified), SinkError> {
    let (feed, sink) = spawn(destination.open(&incoming())?);
    let emitted = pass(named, layout, vec![feed]).await;
    let staged = sink.await.unwrap()?;
    Ok((staged, emitted.unwrap()))
}

/// Feeds `layout` to a sink and commits it.
pub(crate) async fn publish(
    destination: &Destination,
    named: Named,
    layout: Layout,
) -> Result<(Committed, Verified), SinkError> {
    let (staged, verified) = stage(destination, named, layout).await?;
    Ok((staged.commit(&verified)?.0, verified))
}

/// One pass over `layout`; `None` when a sink gave up.
async fn pass(
    named: Named,
    layout: Layout,
    feeds: Vec<fetchhost_artifact::Feed>,
) -> Option<Verified> {
    let scratch = tempfile::tempdir().unwrap();
    let ready = prepare(layout, &Limits::default(), scratch.path())
        .await
        .unwrap();
    let algorithm = HashAlgorithm::Sha256;
    let want = Want {
        flat: (named.mode == OutputMode::Flat).then_some(algorithm),
        nar: None,
    };
    let measured = ready.emit(want, feeds).await.ok()?;
    Some(Verified::measured(named.name.parse().unwrap(), named.mode, algorithm, measured).unwrap())
}

/// What a pass over `layout` verifies, without any sink.
pub(crate) async fn verified(named: Named, layout: Layout) -> Verified {
    pass(named, layout, Vec::new()).await.unwrap()
}

/// Something verified whose NAR is `nar_size` bytes long: for trees that no layout describes. A plain
/// file compares nothing else.
pub(crate) async fn verified_of_size(nar_size: u64) -> Verified {
    // Only the empty folder is smaller than the empty file.
    let layout = match nar_size.checked_sub(112) {
        None => Layout::Tree(Vec::new()),
        Some(size) => flat(vec![0; usize::try_from(size).unwrap()]),
    };
    let verified = verified(NAR, layout).await;
    assert_eq!(verified.nar_size(), nar_size);
    verified
}

/// The pieces of an archive.
pub(crate) fn pieces(events: impl IntoIterator<Item = Event>) -> Vec<Piece> {
    let mut encoder = Encoder::new();
    let pieces = events
        .into_iter()
        .map(|event| encoder.push(event).unwrap())
        .collect();
    encoder.finish().unwrap();
    pieces
}

/// The archive of `pieces`.
pub(crate) fn archive(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.nar.to_vec()).collect()
}

/// Commits an archive to `destination`, `batch` pieces at a time.
pub(crate) async fn commit_pieces(
    destination: &Destination,
    pieces: &[Piece],
    batch: usize,
) -> Result<Committed, SinkError> {
    let mut staged = destination.open(&incoming())?;
    for batch in pieces.chunks(batch) {
        staged.write(batch)?;
    }
    let (committed, _) = staged.commit(&verified_of_size(archive(pieces).len() as u64).await)?;
    Ok(committed)
}

/// Every file below `folder`, relative and sorted; folders are not listed.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(
                    entry
                        .path()
                        .strip_prefix(folder)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

/// The archive that another implementation makes of what is at `path`.
pub(crate) fn archived(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    nix_archive::nar::encode_path(&mut bytes, path, nix_archive::nar::CaseHack::Disabled).unwrap();
    bytes
}

/// The cache in `folder` with the parameters `query`.
pub(crate) fn cache(folder: &Path, query: &str) -> Destination {
    format!("file://{}?{query}", folder.display())
        .parse()
        .unwrap()
}

/// Where a cache in `folder` keeps the record.
pub(crate) fn narinfo_path(folder: &Path, verified: &Verified) -> PathBuf {
    folder.join(format!("{}.narinfo", verified.store_path().hash_part()))
}
