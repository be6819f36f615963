//! Events, encoded and gathered into batches.

use bytes::Bytes;
use fetchhost_formats::nar::{Encoder, Event, Piece};

use crate::emit::Batch;
use crate::error::ArtifactError;

/// A batch is handed on when it holds this much of the NAR: small enough to stay in a core's
/// cache while it is hashed, large enough that handing over costs nothing.
const BATCH_BYTES: usize = 256 * 1024;

/// Or when it holds this many steps.
const BATCH_PIECES: usize = 512;

/// Encodes events and gathers them.
pub(crate) struct Batcher {
    encoder: Encoder,
    pieces: Vec<Piece>,
    waiting: usize,
    nar_size: u64,
}

impl Batcher {
    pub(crate) fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            pieces: Vec::new(),
            waiting: 0,
            nar_size: 0,
        }
    }

    /// Takes an event; gives back a batch when one is full.
    pub(crate) fn push(&mut self, event: Event) -> Result<Option<Batch>, ArtifactError> {
        let piece = self.encoder.push(event)?;
        self.waiting += piece.nar.len();
        self.nar_size += piece.nar.len() as u64;
        self.pieces.push(piece);
        let full = self.waiting >= BATCH_BYTES || self.pieces.len() >= BATCH_PIECES;
        Ok(full.then(|| self.take()))
    }

    fn take(&mut self) -> Batch {
        self.waiting = 0;
        std::mem::take(&mut self.pieces).into()
    }

    /// Ends the archive: the last batch and the size of the NAR in bytes.
    pub(crate) fn finish(mut self) -> Result<(Batch, u64), ArtifactError> {
        let last = self.take();
        self.encoder.finish()?;
        Ok((last, self.nar_size))
    }
}

/// Cuts data so that no batch is much larger than it should be. Nothing is copied.
pub(crate) fn cut(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = data.len().min(BATCH_BYTES);
        (length > 0).then(|| data.split_to(length))
    })
}
