//! The NAR archive, read as the events that it was written from.

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;
use nix_archive::nar::{Error as ArchiveError, Event as Decoded, decode_events_reader};
use thiserror::Error;

use super::Event;

/// How much of a file is given at once, in bytes.
const DATA_BYTES: u64 = 128 * 1024;

/// Why an archive was not read to its end.
#[derive(Debug, Error)]
pub enum DecodeError<E> {
    /// It is not what Nix writes.
    #[error("it is no NAR that Nix would write: {0}")]
    Malformed(String),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[source] io::Error),
    /// Whoever was given the events wants no more of them.
    #[error(transparent)]
    Visitor(E),
}

/// Reads one archive, which must be all of `reader`, and gives its events to `visit` in the order in
/// which [`Encoder`](super::Encoder) takes them. Memory does not grow with the archive.
///
/// What was given before the archive turns out to be damaged is not taken back.
///
/// # Errors
/// When the archive is not one that Nix accepts, when it cannot be read, or when `visit` fails.
pub fn decode<E>(
    reader: &mut dyn BufRead,
    mut visit: impl FnMut(Event) -> Result<(), E>,
) -> Result<(), DecodeError<E>> {
    let mut stopped = None;
    let mut give = |event| {
        visit(event).map_err(|error| {
            stopped = Some(DecodeError::Visitor(error));
            ArchiveError::Io(io::Error::other("given up"))
        })
    };
    let result = decode_events_reader(reader, |event| {
        let (name, ends) = match &event {
            Decoded::DirectoryEnd { name } => (*name, true),
            Decoded::DirectoryStart { name }
            | Decoded::Regular { name, .. }
            | Decoded::Symlink { name, .. } => (*name, false),
        };
        if let (Some(name), false) = (name, ends) {
            give(Event::Entry {
                name: Bytes::copy_from_slice(name),
            })?;
        }
        match event {
            Decoded::DirectoryStart { .. } => return give(Event::Directory),
            Decoded::DirectoryEnd { .. } => give(Event::EndDirectory)?,
            Decoded::Symlink { target, .. } => give(Event::Symlink {
                target: Bytes::copy_from_slice(target),
            })?,
            Decoded::Regular {
                executable,
                mut contents,
                ..
            } => {
                let size = contents.size();
                give(Event::File { executable, size })?;
                let mut left = size;
                while left > 0 {
                    let length = left.min(DATA_BYTES);
                    let mut data = Vec::with_capacity(length as usize);
                    (&mut contents).take(length).read_to_end(&mut data)?;
                    if data.is_empty() {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    left -= data.len() as u64;
                    give(Event::Data(data.into()))?;
                }
                give(Event::EndFile)?;
            }
        }
        match name {
            Some(_) => give(Event::EndEntry),
            None => Ok(()),
        }
    });
    match (stopped, result) {
        (Some(stopped), _) => Err(stopped),
        (None, Ok(())) => Ok(()),
        (None, Err(ArchiveError::Io(error))) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(DecodeError::Io(error))
        }
        (None, Err(error)) => Err(DecodeError::Malformed(error.to_string())),
    }
}
