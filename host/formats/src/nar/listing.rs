//! The listing of an archive: what a binary cache keeps beside a record as `<hash part>.ls`, so that a
//! path can be looked into, and one file of it read, without the whole archive.
//!
//! ```text
//! listing   = { "root": node, "version": 1 }
//! file      = { "executable": true, "narOffset": N, "size": N, "type": "regular" }
//! symlink   = { "target": "…", "type": "symlink" }
//! directory = { "entries": { "name": node, … }, "type": "directory" }
//! ```
//!
//! `executable` stands there only when it is true; `narOffset` is where the contents begin in the
//! archive, for an empty file too. As Nix 2.26 and later write it, to the byte; 2.8 has another order.
//!
//! | name or target | in the listing |
//! |---|---|
//! | UTF-8, with control characters, quotes or backslashes | as JSON escapes it |
//! | other bytes | refused: JSON cannot hold them. Nix 2.26 fails there, 2.8 writes what is no JSON |

use std::io::BufRead;

use thiserror::Error;

use super::{DecodeError, Encoder, Event, NarError, Piece, decode};

/// Most entries of a tree that is listed, the root not counted.
pub const MAX_LISTED_ENTRIES: u64 = 1_000_000;

/// Longest listing, in bytes: a million entries have about 100 MB, unless their names and targets are
/// longer than those of real trees.
pub const MAX_LISTING_BYTES: u64 = 256 << 20;

/// Writes the listing of an archive while its pieces pass by.
///
/// It keeps nothing of what it has written. The text grows with the number of entries: whoever cannot
/// hold it takes it out of the buffer between two pieces.
#[derive(Debug, Default)]
pub struct Listing {
    /// Bytes of the archive so far.
    offset: u64,
    /// Bytes of the listing so far.
    written: u64,
    entries: u64,
    started: bool,
    /// Whether each open directory has an entry already, outermost first.
    open: Vec<bool>,
}

impl Listing {
    /// What the file's name ends in, after the hash part of the store path.
    pub const EXTENSION: &str = ".ls";

    /// A listing at the beginning of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of an [`Encoder`] and appends what it adds to the listing.
    ///
    /// # Errors
    /// When a name or target is not UTF-8, or when the listing becomes larger than one may be. It cannot
    /// be completed then, and the archive can do without.
    pub fn push(&mut self, piece: &Piece, out: &mut Vec<u8>) -> Result<(), ListingError> {
        let before = out.len();
        self.offset += piece.nar.len() as u64;
        if !std::mem::replace(&mut self.started, true) {
            out.extend_from_slice(br#"{"root":"#);
        }
        match &piece.event {
            Event::Directory => {
                self.open.push(false);
                out.extend_from_slice(br#"{"entries":{"#);
            }
            Event::Entry { name } => {
                self.entries += 1;
                if self.entries > MAX_LISTED_ENTRIES {
                    return Err(ListingError::Entries);
                }
                if let Some(has_entries) = self.open.last_mut()
                    && std::mem::replace(has_entries, true)
                {
                    out.push(b',');
                }
                put_text(name, out)?;
                out.push(b':');
            }
            Event::EndDirectory => {
                self.open.pop();
                out.extend_from_slice(br#"},"type":"directory"}"#);
            }
            Event::File { executable, size } => {
                let executable = if *executable {
                    r#""executable":true,"#
                } else {
                    ""
                };
                let offset = self.offset;
                let file = format!(
                    r#"{{{executable}"narOffset":{offset},"size":{size},"type":"regular"}}"#
                );
                out.extend_from_slice(file.as_bytes());
            }
            Event::Symlink { target } => {
                out.extend_from_slice(br#"{"target":"#);
                put_text(target, out)?;
                out.extend_from_slice(br#","type":"symlink"}"#);
            }
            Event::Data(_) | Event::EndFile | Event::EndEntry => {}
        }
        self.written += (out.len() - before) as u64;
        if self.written > MAX_LISTING_BYTES {
            return Err(ListingError::TooLong);
        }
        Ok(())
    }

    /// Appends the end of the listing. That the archive is complete is for its [`Encoder`] to say.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","version":1}"#);
    }
}

/// The listing of an archive, which must be all of `reader`.
///
/// # Errors
/// When it is no archive that [`decode`] and [`Encoder`] take, when it cannot be read, or when it cannot be
/// listed.
pub fn list(reader: &mut dyn BufRead) -> Result<Vec<u8>, DecodeError<ListingError>> {
    let mut encoder = Encoder::new();
    let mut listing = Listing::new();
    let mut out = Vec::new();
    // The offsets are those of the same archive: there is one encoding of a tree, and no other is read.
    decode(reader, |event| {
        listing.push(&encoder.push(event)?, &mut out)
    })?;
    listing.finish(&mut out);
    Ok(out)
}

fn put_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ListingError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ListingError::NotText {
        given: bytes.escape_ascii().to_string(),
    })?;
    serde_json::to_writer(out, text).expect("a text can be written into memory");
    Ok(())
}

/// Why an archive has no listing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ListingError {
    /// A name or target that JSON cannot hold.
    #[error("`{given}` is not UTF-8, which a listing cannot hold")]
    NotText {
        /// Its bytes, escaped.
        given: String,
    },
    /// More than [`MAX_LISTED_ENTRIES`].
    #[error("the tree has more than {MAX_LISTED_ENTRIES} entries")]
    Entries,
    /// More than [`MAX_LISTING_BYTES`].
    #[error("the listing is longer than {} MiB", MAX_LISTING_BYTES >> 20)]
    TooLong,
    /// The archive is none that this program would write.
    #[error(transparent)]
    Nar(#[from] NarError),
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn piece(event: Event) -> Piece {
        Piece {
            event,
            nar: Bytes::new(),
        }
    }

    #[test]
    fn a_tree_of_too_many_entries_is_refused() {
        let mut listing = Listing {
            entries: MAX_LISTED_ENTRIES - 1,
            open: vec![true],
            ..Listing::new()
        };
        let entry = piece(Event::Entry { name: "x".into() });
        assert_eq!(listing.push(&entry, &mut Vec::new()), Ok(()));
        let refused = listing.push(&entry, &mut Vec::new());
        assert_eq!(refused, Err(ListingError::Entries));
    }

    #[test]
    fn a_listing_of_too_many_bytes_is_refused() {
        let link = piece(Event::Symlink { target: "x".into() });
        let mut out = Vec::new();
        Listing::new().push(&link, &mut out).unwrap();
        for (room, expected) in [(0, Ok(())), (1, Err(ListingError::TooLong))] {
            let mut listing = Listing {
                written: MAX_LISTING_BYTES - out.len() as u64 + room,
                ..Listing::new()
            };
            // What the caller has taken out counts too.
            assert_eq!(listing.push(&link, &mut Vec::new()), expected);
        }
    }
}
