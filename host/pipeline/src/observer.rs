//! What a fetch tells whoever watches it.

/// Where a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asking the destinations whether they already hold the output.
    LookingUp,
    /// What one destination holds already is copied to the others.
    Copying,
    /// The module plans.
    Planning,
    /// Bytes arrive; for a streamed file they are hashed and written at the same time.
    Receiving,
    /// What arrived is unpacked, hashed and written.
    Emitting,
    /// Hashes match; destinations make the output visible.
    Committing,
}

/// Receives the course of a fetch. Called from the fetch's own task, so it must return at once.
pub trait Observer: Send + Sync {
    /// A phase begins.
    fn phase(&self, phase: Phase);

    /// A body of `total` bytes begins to arrive, or of a length that is not known.
    fn body(&self, total: Option<u64>);

    /// `bytes` more bytes arrived.
    fn received(&self, bytes: u64);

    /// Something went wrong that does not end the fetch.
    fn warning(&self, text: &str);

    /// The module said something; its text is already escaped.
    fn log(&self, line: &fetchhost_engine::LogLine);
}

/// Watches without a word.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn phase(&self, _: Phase) {}
    fn body(&self, _: Option<u64>) {}
    fn received(&self, _: u64) {}
    fn warning(&self, _: &str) {}
    fn log(&self, _: &fetchhost_engine::LogLine) {}
}
