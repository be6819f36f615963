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
    sizes: Sizes,
}

/// How much there was in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// Number of bytes of the NAR.
    pub(crate) nar: u64,
    /// Number of bytes of the file that it is of; `None` when it is of a folder.
    pub(crate) flat: Option<u64>,
}

impl Batcher {
    pub(crate) fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            pieces: Vec::new(),
            waiting: 0,
            sizes: Sizes::default(),
        }
    }

    /// Takes an event; gives back a batch when one is full.
    pub(crate) fn push(&mut self, event: Event) -> Result<Option<Batch>, ArtifactError> {
        let first = self.sizes.nar == 0;
        let piece = self.encoder.push(event)?;
        if let (true, Event::File { size, .. }) = (first, &piece.event) {
            self.sizes.flat = Some(*size);
        }
        self.waiting += piece.nar.len();
        self.sizes.nar += piece.nar.len() as u64;
        self.pieces.push(piece);
        let full = self.waiting >= BATCH_BYTES || self.pieces.len() >= BATCH_PIECES;
        Ok(full.then(|| self.take()))
    }

    fn take(&mut self) -> Batch {
        self.waiting = 0;
        std::mem::take(&mut self.pieces).into()
    }

    /// Ends the archive: the last batch, and how much there was in all.
    pub(crate) fn finish(mut self) -> Result<(Batch, Sizes), ArtifactError> {
        let last = self.take();
        self.encoder.finish()?;
        Ok((last, self.sizes))
    }
}

/// Cuts data so that no batch is much larger than it should be. Nothing is copied.
pub(crate) fn cut(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = data.len().min(BATCH_BYTES);
        (length > 0).then(|| data.split_to(length))
    })
}
