//! An archive that Nix sends, as it comes.

use std::io::{self, BufRead, Read};

use fetchhost_formats::StoreEntry;

use super::daemon::{Connection, IncomingArchive};
use super::error::{Step, StoreError};
use super::session::Spare;
use super::{Place, Store};

/// The archive of a path, over a connection that serves nothing else until its end. When it is dropped
/// before, so is the connection.
pub(super) struct Sent {
    archive: IncomingArchive,
    connection: Option<(Place, Connection)>,
    /// Where the connection goes then.
    spare: Option<Spare>,
    /// What has come and was not read.
    part: Vec<u8>,
    read: usize,
    /// How much may come yet, in bytes.
    left: u64,
}

impl Sent {
    pub(super) fn request(store: &Store, entry: &StoreEntry) -> Result<Self, StoreError> {
        let (place, mut connection) = store.spare_or_new()?;
        connection.request_archive(&entry.path)?;
        Ok(Self {
            archive: IncomingArchive::default(),
            connection: Some((place, connection)),
            spare: store.spare.clone(),
            part: Vec::new(),
            read: 0,
            left: entry.nar_size,
        })
    }

    /// Waits for the next part. The connection is lost for others unless all went well.
    fn receive(&mut self) -> Result<(), StoreError> {
        let step = Step::Reading;
        let Some((place, mut connection)) = self.connection.take() else {
            return Err(StoreError::Closed { step });
        };
        let part = connection.receive_archive(&mut self.archive)?;
        self.left = self
            .left
            .checked_sub(part.len() as u64)
            .ok_or(StoreError::Malformed {
                step,
                what: "an archive that is longer than it said",
            })?;
        (self.part, self.read) = (part, 0);
        match &self.spare {
            Some(spare) if self.archive.is_over() => spare.put(place, connection),
            _ => self.connection = Some((place, connection)),
        }
        Ok(())
    }
}

impl BufRead for Sent {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.part.len() && !self.archive.is_over() {
            self.receive().map_err(io::Error::other)?;
        }
        Ok(&self.part[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
