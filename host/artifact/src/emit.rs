//! The one pass.

use std::sync::Arc;

use fetchhost_formats::nar::{Event, Piece};
use fetchhost_formats::{Hash, HashAlgorithm, OutputMode};
use tokio::sync::mpsc;

use crate::batch::{Batcher, Sizes, cut};
use crate::error::ArtifactError;
use crate::hashing::{Hashing, View};
use crate::prepare::{Kind, Ready, Streaming};
use crate::reader::Counted;

/// Steps of the archive in order; each consumer of the pass holds the same memory.
pub type Batch = Arc<[Piece]>;

/// Where a sink gets its batches. A sink that failed drops the receiver.
pub type Feed = tokio::sync::mpsc::Sender<Batch>;

/// How many batches a feed's channel should hold: enough to ride out a hiccup, few enough that the
/// memory of all channels together stays a few MiB.
pub const FEED_CAPACITY: usize = 8;

/// Batches that may wait between the thread that walks a tree and the pass.
const WALKED_BATCHES: usize = 2;

/// Which hashes the caller needs. The sha256 of the NAR is always computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// Hash of the file's bytes.
    pub flat: Option<HashAlgorithm>,
    /// Hash of the NAR besides sha256.
    pub nar: Option<HashAlgorithm>,
}

/// What one pass measured. Only [`Ready::emit`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub(crate) flat: Option<Hash>,
    pub(crate) flat_size: Option<u64>,
    pub(crate) nar_sha256: Hash,
    pub(crate) nar_declared: Option<Hash>,
    pub(crate) nar_size: u64,
}

impl Want {
    /// What is needed to verify an output of this mode by this algorithm.
    #[must_use]
    pub fn of(mode: OutputMode, algorithm: HashAlgorithm) -> Self {
        match mode {
            OutputMode::Flat => Self {
                flat: Some(algorithm),
                nar: None,
            },
            OutputMode::Nar => Self {
                flat: None,
                nar: Some(algorithm),
            },
        }
    }
}

impl Measured {
    /// Hash of the file's bytes, when it was wanted.
    #[must_use]
    pub fn flat(&self) -> Option<&Hash> {
        self.flat.as_ref()
    }

    /// Number of the file's bytes; `None` for a tree.
    #[must_use]
    pub fn flat_size(&self) -> Option<u64> {
        self.flat_size
    }

    /// sha256 of the NAR.
    #[must_use]
    pub fn nar_sha256(&self) -> &Hash {
        &self.nar_sha256
    }

    /// Hash of the NAR by the wanted algorithm, when one was wanted (also when it is sha256).
    #[must_use]
    pub fn nar_declared(&self) -> Option<&Hash> {
        self.nar_declared.as_ref()
    }

    /// Number of bytes of the NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }
}

impl Ready {
    /// Reads every byte once, feeds all sinks and hashes beside them.
    ///
    /// The channels of the feeds should hold [`FEED_CAPACITY`] batches; a slow sink slows the pass
    /// down, it does not make it hold more. A feed that is closed says nothing about success: the
    /// pass may have failed. Dropping the future ends all threads of the pass.
    ///
    /// # Errors
    /// The stream's own error, what unpacking found too late to refuse earlier (a checksum), or
    /// [`ArtifactError::SinkGone`] with the index of the feed whose receiver is gone.
    pub async fn emit(self, want: Want, feeds: Vec<Feed>) -> Result<Measured, ArtifactError> {
        if want.flat.is_some() && self.is_tree() {
            return Err(ArtifactError::FlatOfTree);
        }
        let consumers = Consumers::start(want, feeds)?;
        let sizes = match self.0 {
            Kind::Streaming(file) => stream(file, &consumers).await?,
            Kind::Indexed(tree) => blocking(|send| tree.walk(send), &consumers).await?,
            Kind::Packed(archive) => blocking(|send| archive.walk(send), &consumers).await?,
        };
        consumers.finish(want, sizes).await
    }
}

/// Everybody who is given the batches.
struct Consumers {
    feeds: Vec<Feed>,
    nar_sha256: Hashing,
    flat: Option<Hashing>,
    nar_declared: Option<Hashing>,
    nar_algorithm: Option<HashAlgorithm>,
}

impl Consumers {
    fn start(want: Want, feeds: Vec<Feed>) -> Result<Self, ArtifactError> {
        let other = want
            .nar
            .filter(|algorithm| *algorithm != HashAlgorithm::Sha256);
        Ok(Self {
            feeds,
            nar_sha256: Hashing::start(View::Nar, HashAlgorithm::Sha256)?,
            flat: want
                .flat
                .map(|algorithm| Hashing::start(View::Flat, algorithm))
                .transpose()?,
            nar_declared: other
                .map(|algorithm| Hashing::start(View::Nar, algorithm))
                .transpose()?,
            nar_algorithm: want.nar,
        })
    }

    async fn send(&self, batch: Batch) -> Result<(), ArtifactError> {
        let hashes = [
            Some(&self.nar_sha256),
            self.flat.as_ref(),
            self.nar_declared.as_ref(),
        ];
        for hash in hashes.into_iter().flatten() {
            let sent = hash.batches.send(Arc::clone(&batch)).await;
            sent.map_err(|_| ArtifactError::worker("a hash thread ended early"))?;
        }
        for (index, feed) in self.feeds.iter().enumerate() {
            let sent = feed.send(Arc::clone(&batch)).await;
            sent.map_err(|_| ArtifactError::SinkGone(index))?;
        }
        Ok(())
    }

    async fn finish(self, want: Want, sizes: Sizes) -> Result<Measured, ArtifactError> {
        if want.flat.is_some() && sizes.flat.is_none() {
            return Err(ArtifactError::FlatOfTree);
        }
        drop(self.feeds);
        let nar_sha256 = self.nar_sha256.finish().await?;
        let flat = match self.flat {
            Some(hash) => Some(hash.finish().await?),
            None => None,
        };
        let nar_declared = match (self.nar_declared, self.nar_algorithm) {
            (Some(hash), _) => Some(hash.finish().await?),
            (None, algorithm) => algorithm.map(|_| nar_sha256.clone()),
        };
        Ok(Measured {
            flat,
            flat_size: sizes.flat,
            nar_sha256,
            nar_declared,
            nar_size: sizes.nar,
        })
    }
}

/// Hands a file through as it arrives. Its bytes are shared, never copied.
async fn stream(mut file: Streaming, to: &Consumers) -> Result<Sizes, ArtifactError> {
    let mut batcher = Batcher::new();
    let open = Event::File {
        executable: file.executable,
        size: file.length,
    };
    if let Some(batch) = batcher.push(open)? {
        to.send(batch).await?;
    }
    let mut counted = Counted::new(Some(file.length));
    while let Some(data) = counted.next(&mut file.stream).await? {
        for piece in cut(data) {
            if let Some(batch) = batcher.push(Event::Data(piece))? {
                to.send(batch).await?;
            }
        }
    }
    if let Some(batch) = batcher.push(Event::EndFile)? {
        to.send(batch).await?;
    }
    let (last, sizes) = batcher.finish()?;
    to.send(last).await?;
    Ok(sizes)
}

/// Hands through what is read and decompressed on a blocking thread.
async fn blocking(
    walk: impl FnOnce(
        &mut dyn FnMut(Batch) -> Result<(), ArtifactError>,
    ) -> Result<Sizes, ArtifactError>
    + Send
    + 'static,
    to: &Consumers,
) -> Result<Sizes, ArtifactError> {
    let (sender, mut receiver) = mpsc::channel::<Batch>(WALKED_BATCHES);
    let walking = tokio::task::spawn_blocking(move || {
        walk(&mut |batch| {
            // The receiver is gone when the pass was given up; then nobody reads this error.
            sender
                .blocking_send(batch)
                .map_err(|_| ArtifactError::worker("cancelled"))
        })
    });
    while let Some(batch) = receiver.recv().await {
        to.send(batch).await?;
    }
    walking.await.map_err(ArtifactError::worker)?
}
