//! Feeding a sink beside the pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fetchhost_artifact::{Batch, Verified};
use fetchhost_formats::nar::{Event, Piece};
use fetchhost_sinks::{Committed, Destination, Kept, SinkError, Staged, spawn};

use crate::common::{FLAT, files, flat, incoming, pieces, verified};

/// Takes a number of batches and then fails; tells when it is dropped.
struct Failing {
    batches: usize,
    dropped: Arc<AtomicBool>,
}

impl Staged for Failing {
    fn write(&mut self, _: &[Piece]) -> Result<(), SinkError> {
        self.batches = self.batches.checked_sub(1).ok_or(SinkError::Empty {
            label: "test".to_owned(),
        })?;
        Ok(())
    }

    fn commit(self: Box<Self>, _: &Verified) -> Result<(Committed, Kept), SinkError> {
        Err(SinkError::Empty {
            label: "test".to_owned(),
        })
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

fn batch() -> Batch {
    pieces([Event::Symlink { target: "x".into() }]).into()
}

#[tokio::test]
async fn a_sink_that_fails_is_dropped_and_closes_its_feed() {
    let dropped = Arc::new(AtomicBool::new(false));
    let (feed, sink) = spawn(Box::new(Failing {
        batches: 1,
        dropped: Arc::clone(&dropped),
    }));
    feed.send(batch()).await.unwrap();
    feed.send(batch()).await.unwrap();
    assert!(sink.await.unwrap().is_err());
    assert!(dropped.load(Ordering::SeqCst));
    assert!(feed.send(batch()).await.is_err());
}

#[tokio::test]
async fn a_sink_is_given_back_when_the_pass_ends() {
    let dropped = Arc::new(AtomicBool::new(false));
    let (feed, sink) = spawn(Box::new(Failing {
        batches: 1,
        dropped: Arc::clone(&dropped),
    }));
    feed.send(batch()).await.unwrap();
    drop(feed);
    let staged = sink.await.unwrap().unwrap();
    assert!(!dropped.load(Ordering::SeqCst));
    drop(staged);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_pass_that_breaks_off_leaves_nothing_once_the_sink_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let destination = Destination::Out(folder.path().join("file"));
    let (feed, sink) = spawn(destination.open(&incoming()).unwrap());
    let all = pieces([
        Event::File {
            executable: false,
            size: 6,
        },
        Event::Data("hello\n".into()),
        Event::EndFile,
    ]);
    feed.send(all[..2].into()).await.unwrap();
    drop(feed);
    let staged = sink.await.unwrap().unwrap();
    let verified = verified(FLAT, flat("hello\n")).await;
    assert!(staged.commit(&verified).is_err());
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_runtime_that_ends_waits_until_the_sink_has_removed_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (feed, _sink) = spawn(
            Destination::Out(folder.path().join("file"))
                .open(&incoming())
                .unwrap(),
        );
        let all = pieces([
            Event::File {
                executable: false,
                size: 1,
            },
            Event::Data("x".into()),
            Event::EndFile,
        ]);
        feed.send(all.into()).await.unwrap();
    });
    drop(runtime);
    assert!(files(folder.path()).is_empty());
}
