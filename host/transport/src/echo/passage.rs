//! A body on its way to a module.

use std::sync::Arc;

use fetchhost_policy::Origin;

use super::{Echo, Echoed, Patterns};

/// What was given of a body is forgotten in steps of this many bytes.
const FORGOTTEN_BYTES: usize = 64 * 1024;

/// What has arrived of a body and is not yet given, and what was given last.
#[derive(Debug, Default)]
pub struct Passage {
    bytes: Vec<u8>,
    /// How many of `bytes` the module has.
    given: usize,
    ended: bool,
    /// What all of `bytes` was searched for.
    patterns: Option<Arc<Patterns>>,
}

impl Passage {
    /// Takes in what has arrived.
    ///
    /// # Errors
    /// [`Echoed`] when a secret is in it, or in it and what came before.
    pub fn push(&mut self, chunk: &[u8], echo: &Echo, origin: &Origin) -> Result<(), Echoed> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(chunk);
        self.renew(echo, origin)?;
        if let Some(patterns) = &self.patterns {
            let start = before.saturating_sub(patterns.margin());
            patterns.check(&self.bytes[start..], |_| origin.clone())?;
        }
        Ok(())
    }

    /// Notes that nothing more arrives.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more arrives.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next bytes, at most `max`. None at all: nothing can be given before more has arrived, or
    /// everything was given.
    ///
    /// # Errors
    /// [`Echoed`] when a secret that was sent in the meantime is in what is kept.
    pub fn take(&mut self, max: usize, echo: &Echo, origin: &Origin) -> Result<Vec<u8>, Echoed> {
        self.renew(echo, origin)?;
        let margin = self.margin();
        let held_back = if self.ended { 0 } else { margin };
        let free = self.bytes.len().saturating_sub(held_back);
        let end = free.min(self.given.saturating_add(max)).max(self.given);
        let taken = self.bytes[self.given..end].to_vec();
        self.given = end;
        let forgotten = self.given.saturating_sub(margin);
        if forgotten > FORGOTTEN_BYTES {
            self.bytes.drain(..forgotten);
            self.given -= forgotten;
        }
        Ok(taken)
    }

    fn margin(&self) -> usize {
        self.patterns
            .as_ref()
            .map_or(0, |patterns| patterns.margin())
    }

    /// Searches everything again when there is more to search for.
    fn renew(&mut self, echo: &Echo, origin: &Origin) -> Result<(), Echoed> {
        let now = echo.patterns();
        if let Some(patterns) = &now
            && !self
                .patterns
                .as_ref()
                .is_some_and(|old| Arc::ptr_eq(old, patterns))
        {
            patterns.check(&self.bytes, |_| origin.clone())?;
            self.patterns = now;
        }
        Ok(())
    }
}
