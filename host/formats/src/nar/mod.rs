//! The NAR archive, written piece by piece, and read as the events that it was written from.
//!
//! A tree is described by a sequence of [`Event`]s. The [`Encoder`] checks that the sequence is one
//! that Nix accepts and answers each event with a [`Piece`]: the event again, and the archive bytes
//! that stand for it. Whoever wants the tree (a plain folder) reads the events, whoever wants the
//! archive (a cache, a hash) reads the bytes, and both are fed the same pieces in one pass. File
//! contents are not copied: the bytes of a [`Event::Data`] piece are the caller's own.
//!
//! ```
//! use fetchhost_formats::nar::{Encoder, Event, NarError};
//!
//! let mut encoder = Encoder::new();
//! let mut archive = Vec::new();
//! for event in [
//!     Event::File { executable: false, size: 6 },
//!     Event::Data("hello\n".into()),
//!     Event::EndFile,
//! ] {
//!     archive.extend_from_slice(&encoder.push(event)?.nar);
//! }
//! encoder.finish()?;
//! assert_eq!(archive.len(), 120);
//! # Ok::<(), NarError>(())
//! ```

mod decoder;
mod encoder;
mod error;
mod event;
mod framing;
mod listing;

pub use decoder::{DecodeError, decode};
pub use encoder::{Encoder, MAX_DEPTH, MAX_NAME_LEN, MAX_TARGET_LEN};
pub use error::NarError;
pub use event::{Event, Piece};
pub use framing::file_size_as_nar;
pub use listing::{Listing, ListingError, MAX_LISTED_ENTRIES, MAX_LISTING_BYTES, list};
