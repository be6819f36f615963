//! An archive that Nix sends.
//!
//! It comes as it is, without a length: only whoever reads its tokens sees where it ends, and what comes
//! after it is the next answer. What a file holds is passed on and not kept.

use std::time::Instant;

use fetchhost_formats::StorePath;

use super::wire::{ALIGNMENT, Message, Reader, Stop};
use super::{Connection, Step, StoreError};

const NAR_FROM_PATH: u64 = 38;

/// What an archive begins with.
const MAGIC: &[u8] = b"nix-archive-1";

const NOT_AN_ARCHIVE: Stop = Stop::Malformed("what is no archive");

/// How far an archive has come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Incoming {
    has_begun: bool,
    /// How many parentheses are open.
    depth: u64,
    /// Whether a name, a target or contents come next: anything at all.
    is_free: bool,
    /// How many bytes of those are to come, with their padding.
    left: u64,
}

impl Incoming {
    /// Whether all of it was read.
    pub(in crate::store) fn is_over(&self) -> bool {
        self.has_begun && self.depth == 0
    }

    /// Reads as much of it as has arrived, whole tokens but for those that may be anything.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        while !self.is_over() {
            if self.left > 0 {
                self.left -= reader.pass(self.left);
                if self.left > 0 {
                    return Err(Stop::Incomplete);
                }
            } else if self.is_free {
                let length = reader.number()?;
                self.left = length
                    .checked_next_multiple_of(ALIGNMENT as u64)
                    .ok_or(NOT_AN_ARCHIVE)?;
                self.is_free = false;
            } else {
                self.token(reader)?;
            }
        }
        Ok(())
    }

    /// Reads one of the tokens that make the archive's form, if all of it is there. Their order is for
    /// whoever reads the archive to judge.
    fn token(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let mut ahead = *reader;
        match ahead.bytes()? {
            MAGIC if self.depth == 0 => {}
            b"(" => {
                self.has_begun = true;
                self.depth += 1;
            }
            // It has begun and is not over: one is open.
            b")" if self.has_begun => self.depth -= 1,
            b"name" | b"target" | b"contents" if self.has_begun => self.is_free = true,
            b"type" | b"regular" | b"executable" | b"" | b"directory" | b"symlink" | b"entry"
            | b"node"
                if self.has_begun => {}
            _ => return Err(NOT_AN_ARCHIVE),
        }
        *reader = ahead;
        Ok(())
    }

    /// Takes what has arrived of it, if that is something.
    fn part(mut self, reader: &mut Reader<'_>) -> Result<(Self, Vec<u8>), Stop> {
        let (arrived, before) = (reader.rest(), reader.position());
        let read = self.read(reader);
        let length = reader.position() - before;
        match read {
            Ok(()) => {}
            Err(Stop::Incomplete) if length > 0 => {}
            Err(stop) => return Err(stop),
        }
        Ok((self, arrived[..length].to_vec()))
    }
}

impl Connection {
    /// Has Nix send the archive of `path`, which [`Self::receive_archive`] takes.
    pub(in crate::store) fn request_archive(&mut self, path: &StorePath) -> Result<(), StoreError> {
        self.rest();
        let message = Message::new().number(NAR_FROM_PATH).text(&path.to_string());
        self.send(Step::Reading, &message)?;
        self.until_done(Step::Reading)
    }

    /// Takes what has arrived of it, and waits if that is nothing. When it is over, this connection is
    /// ready for the next operation.
    pub(in crate::store) fn receive_archive(
        &mut self,
        archive: &mut Incoming,
    ) -> Result<Vec<u8>, StoreError> {
        // Archives have no bound, their parts do.
        self.rest();
        self.asked = Instant::now();
        let before = *archive;
        let (after, part) = self.receive(Step::Reading, |reader| before.part(reader))?;
        *archive = after;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_formats::nar::{Encoder, Event};
    use proptest::prelude::*;

    use super::*;

    /// An archive with all that one can hold, and with contents that look like its end.
    fn archive(contents: &[u8]) -> Vec<u8> {
        let name = |name: &'static str| Event::Entry { name: name.into() };
        let file = |executable| {
            let size = contents.len() as u64;
            let data = Event::Data(contents.to_vec().into());
            [
                Event::File { executable, size },
                data,
                Event::EndFile,
                Event::EndEntry,
            ]
        };
        let target = "(".into();
        let mut events = vec![Event::Directory, name(")")];
        events.extend(file(true));
        events.extend([name("b"), Event::Symlink { target }, Event::EndEntry]);
        events.extend([
            name("c"),
            Event::Directory,
            Event::EndDirectory,
            Event::EndEntry,
        ]);
        events.push(name("d"));
        events.extend(file(false));
        events.push(Event::EndDirectory);
        let mut encoder = Encoder::new();
        let pieces = events
            .into_iter()
            .map(|event| encoder.push(event).unwrap().nar);
        pieces.collect::<Vec<_>>().concat()
    }

    /// What is taken when it arrives in pieces of these lengths, over and over, and how much is left over.
    fn taken(sent: &[u8], lengths: &[usize]) -> Result<(Vec<u8>, usize), Stop> {
        let (mut archive, mut all) = (Incoming::default(), Vec::new());
        let (mut parsed, mut arrived) = (0, 0);
        let mut lengths = lengths.iter().cycle();
        while !archive.is_over() {
            let mut reader = Reader::new(&sent[parsed..arrived]);
            match archive.part(&mut reader) {
                Ok((after, part)) => {
                    assert!(!part.is_empty());
                    archive = after;
                    parsed += reader.position();
                    all.extend(part);
                }
                Err(Stop::Incomplete) if arrived < sent.len() => {
                    arrived = sent.len().min(arrived + lengths.next().unwrap());
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok((all, sent.len() - parsed))
    }

    proptest! {
        #[test]
        fn an_archive_is_taken_to_its_end_however_it_arrives(
            contents in prop::collection::vec(any::<u8>(), 0..40),
            lengths in prop::collection::vec(1..200_usize, 1..10),
        ) {
            let archive = archive(&contents);
            let mut sent = archive.clone();
            sent.extend([0xff; 24]);
            prop_assert_eq!(taken(&sent, &lengths), Ok((archive, 24)));
        }

        #[test]
        fn what_is_no_archive_ends_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..400_usize) {
            prop_assert!(taken(&bytes, &[7]).is_err());
            let archive = archive(b")");
            let damaged = [&archive[..cut.min(archive.len() - 16)], &bytes].concat();
            // Free bytes may be any; it must only come to an end.
            let _ = taken(&damaged, &[7]);
        }
    }

    #[test]
    fn contents_of_an_impossible_length_are_refused() {
        let archive = Message::new()
            .text("nix-archive-1")
            .text("(")
            .text("type")
            .text("regular");
        let archive = archive.text("contents").number(u64::MAX);
        assert_eq!(taken(archive.as_slice(), &[8]), Err(NOT_AN_ARCHIVE));
        let archive = Message::new().text("nix-archive-1").text(")");
        assert_eq!(taken(archive.as_slice(), &[8]), Err(NOT_AN_ARCHIVE));
    }
}
