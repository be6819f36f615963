//! The caps on what one artifact may cost.
//!
//! **The threat.** A few kilobytes can say "a terabyte of zeros", "a million entries", "this file,
//! linked ten thousand times", or "allocate a window of 4 GiB".
//!
//! **The rule.** Everything that grows is counted while it grows, before it is stored: bytes that
//! arrive, bytes that each decompressor yields, bytes of the tree (a hard link counts like its
//! file), and entries. The ratio compares what was made so far with what had arrived by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fetchhost_policy::{Limit, Limits};

use crate::error::ArtifactError;

/// Counts one artifact against its limits. Clones count together.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Shared>);

struct Shared {
    limits: Limits,
    arrived: AtomicU64,
    output: AtomicU64,
    entries: AtomicU64,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        // The NAR encoder goes no deeper, and what walks the tree relies on it.
        let depth = limits.depth.min(Limits::MAX_DEPTH);
        Self(Arc::new(Shared {
            limits: Limits {
                depth,
                ..limits.clone()
            },
            arrived: AtomicU64::new(0),
            output: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }))
    }

    /// Bytes came from the network, or were there already.
    pub(crate) fn arrived(&self, bytes: u64) -> Result<(), ArtifactError> {
        let total = add(&self.0.arrived, bytes);
        self.within(Limit::OutputBytes, total)
    }

    /// The tree has grown by this many bytes of files.
    pub(crate) fn output(&self, bytes: u64) -> Result<(), ArtifactError> {
        let total = add(&self.0.output, bytes);
        self.within(Limit::OutputBytes, total)?;
        self.ratio(total)
    }

    /// An archive that must be whole before it is read has this many bytes now.
    pub(crate) fn spooled(&self, total: u64) -> Result<(), ArtifactError> {
        self.within(Limit::OutputBytes, total)
    }

    /// The archive named one more entry, or a folder above one.
    pub(crate) fn entry(&self) -> Result<(), ArtifactError> {
        let total = add(&self.0.entries, 1);
        self.within(Limit::Entries, total)
    }

    /// The tree has this many levels, its root included.
    pub(crate) fn levels(&self, levels: u64) -> Result<(), ArtifactError> {
        self.within(Limit::Depth, levels)
    }

    /// Largest window that a decompressor may ask for, in bytes.
    pub(crate) fn window(&self) -> u64 {
        self.0.limits.decoder_window
    }

    pub(crate) fn window_overrun(&self) -> ArtifactError {
        self.0.limits.overrun(Limit::DecoderWindow).into()
    }

    /// Something made `expanded` bytes out of what has arrived so far.
    pub(crate) fn ratio(&self, expanded: u64) -> Result<(), ArtifactError> {
        let limits = &self.0.limits;
        if expanded <= limits.ratio_floor {
            return Ok(());
        }
        let arrived = self.0.arrived.load(Ordering::Relaxed);
        if expanded > arrived.saturating_mul(limits.archive_ratio) {
            return Err(limits.overrun(Limit::ArchiveRatio).into());
        }
        Ok(())
    }

    fn within(&self, limit: Limit, value: u64) -> Result<(), ArtifactError> {
        let limits = &self.0.limits;
        if value > limits.get(limit) {
            Err(limits.overrun(limit).into())
        } else {
            Ok(())
        }
    }
}

fn add(counter: &AtomicU64, more: u64) -> u64 {
    counter
        .fetch_add(more, Ordering::Relaxed)
        .saturating_add(more)
}
