//! Hashes, each on its own thread beside the pass.

use fetchhost_formats::nar::Event;
use fetchhost_formats::{Hash, HashAlgorithm, Hasher};
use tokio::sync::{mpsc, oneshot};

use crate::emit::{Batch, FEED_CAPACITY};
use crate::error::ArtifactError;

/// Which bytes of a piece are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The contents of the one file.
    Flat,
    /// The archive.
    Nar,
}

/// A hash that is being computed.
pub(crate) struct Hashing {
    pub(crate) batches: mpsc::Sender<Batch>,
    result: oneshot::Receiver<Hash>,
}

impl Hashing {
    /// Starts the thread. It ends when the sender is dropped.
    pub(crate) fn start(view: View, algorithm: HashAlgorithm) -> Result<Self, ArtifactError> {
        let (batches, mut receiver) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let (done, result) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("hash-{algorithm}"))
            .spawn(move || {
                let mut hasher = Hasher::new(algorithm);
                while let Some(batch) = receiver.blocking_recv() {
                    for piece in batch.iter() {
                        match (view, &piece.event) {
                            (View::Nar, _) => hasher.update(&piece.nar),
                            (View::Flat, Event::Data(data)) => hasher.update(data),
                            (View::Flat, _) => {}
                        }
                    }
                }
                // Nobody listens when the pass was given up.
                let _ = done.send(hasher.finish());
            })
            .map_err(ArtifactError::worker)?;
        Ok(Self { batches, result })
    }

    /// The hash of everything that was sent.
    pub(crate) async fn finish(self) -> Result<Hash, ArtifactError> {
        drop(self.batches);
        self.result
            .await
            .map_err(|_| ArtifactError::worker("a hash thread ended early"))
    }
}
