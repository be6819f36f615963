//! Running a sink beside the pass that feeds it.

use fetchhost_artifact::{Batch, FEED_CAPACITY, Feed};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::SinkError;
use crate::staged::Staged;

/// A sink that is being fed; ends with the sink when its feed is dropped, or with its error.
pub type Running = JoinHandle<Result<Box<dyn Staged>, SinkError>>;

/// Feeds `staged` on a thread of its own until the [`Feed`] and all of its clones are dropped, and
/// gives it back to be committed or dropped.
///
/// A sink that fails is dropped at once, on that thread, and the feed's receiver with it: the pass
/// notices, and the handle says why. Must be called within a Tokio runtime, which waits for the
/// thread when it ends, so that an interrupted run removes its temporary files.
#[must_use]
pub fn spawn(mut staged: Box<dyn Staged>) -> (Feed, Running) {
    let (feed, mut batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
    let handle = tokio::task::spawn_blocking(move || {
        while let Some(batch) = batches.blocking_recv() {
            staged.write(&batch)?;
        }
        Ok(staged)
    });
    (feed, handle)
}
