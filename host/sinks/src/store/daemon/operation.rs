//! The operations that a sink needs.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use fetchhost_formats::nar::{Event, Piece};
use fetchhost_formats::{OutputMode, StorePath};

use super::query::PathInfo;
use super::wire::Message;
use super::{Connection, Owed, Step, StoreError};
use crate::staged::Incoming;

const IS_VALID_PATH: u64 = 1;
const ADD_TO_STORE: u64 = 7;
pub(super) const ADD_TEMPORARY_ROOT: u64 = 11;
const ADD_INDIRECT_ROOT: u64 = 12;

/// What an archive ends with, in bytes: the `)` of its root, which is a length, one byte and its padding.
///
/// Nix does not wait for the frame that ends an artifact: an archive that it does not keep in memory
/// (more than `nar-buffer-size`, 32 MiB) is registered as soon as this has been parsed. So these
/// bytes stay here until the commit.
const ARCHIVE_END: usize = 16;

/// How much Nix hashes, copies and compares with what it has, at the very least.
const BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// A path to ask for when the answer does not matter.
const SOME_PATH: &str = "/nix/store/00000000000000000000000000000000-x";

impl Connection {
    /// Keeps the garbage collector from `path`, valid or not yet, while this connection lasts.
    pub(in crate::store) fn protect(&mut self, path: &StorePath) -> Result<(), StoreError> {
        let message = Message::new()
            .number(ADD_TEMPORARY_ROOT)
            .text(&path.to_string());
        self.acknowledged(Step::Protecting, &message)
    }

    /// Keeps the garbage collector from what the symlink `link`, an absolute path, points to.
    pub(in crate::store) fn add_indirect_root(&mut self, link: &Path) -> Result<(), StoreError> {
        let message = Message::new()
            .number(ADD_INDIRECT_ROOT)
            .bytes(link.as_os_str().as_bytes());
        self.acknowledged(Step::Rooting, &message)
    }

    /// Does something that is answered with a number that says nothing.
    fn acknowledged(&mut self, step: Step, message: &Message) -> Result<(), StoreError> {
        self.send(step, message)?;
        self.acknowledgement(step)
    }

    /// That number.
    pub(super) fn acknowledgement(&mut self, step: Step) -> Result<(), StoreError> {
        self.until_done(step)?;
        self.receive(step, |reader| reader.number()).map(drop)
    }

    /// Begins to add something without references, and keeps the garbage collector from it if its path
    /// is known. Its bytes follow with [`Self::add_batch`].
    ///
    /// Nix is asked something first, whose answer nobody waits for: until the artifact has ended
    /// there is always something from Nix unread, so that it never takes the end of this connection
    /// for the end of the artifact. It answers in order, that is before it looks at the artifact.
    pub(in crate::store) fn begin_adding(&mut self, incoming: &Incoming) -> Result<(), StoreError> {
        let recursive = match incoming.mode {
            OutputMode::Flat => "",
            OutputMode::Nar => "r:",
        };
        let question = match incoming.fixed_output() {
            Some(output) => Message::new()
                .number(ADD_TEMPORARY_ROOT)
                .text(&output.store_path().to_string()),
            None => Message::new().number(IS_VALID_PATH).text(SOME_PATH),
        };
        let (references, repair) = (0, 0);
        let addition = Message::new()
            .number(ADD_TO_STORE)
            .text(incoming.name.as_str())
            .text(&format!("fixed:{recursive}{}", incoming.algorithm))
            .number(references)
            .number(repair);
        self.owed = Owed::All;
        self.channel.hold_back();
        self.send_slices(Step::Adding, [question.as_slice(), addition.as_slice()])
    }

    /// Adds the bytes of a batch, as one frame: of a flat file its contents, else the archive but for
    /// its [end](ARCHIVE_END).
    pub(in crate::store) fn add_batch(
        &mut self,
        mode: OutputMode,
        batch: &[Piece],
    ) -> Result<(), StoreError> {
        let slices = || {
            batch
                .iter()
                .filter_map(move |piece| match (mode, &piece.event) {
                    (OutputMode::Nar, _) => Some(piece.nar.as_ref()),
                    (OutputMode::Flat, Event::Data(data)) => Some(data.as_ref()),
                    (OutputMode::Flat, _) => None,
                })
        };
        let keep = match mode {
            OutputMode::Flat => 0,
            OutputMode::Nar => ARCHIVE_END,
        };
        let earlier = std::mem::take(&mut self.withheld);
        let all = || std::iter::once(earlier.as_slice()).chain(slices());
        let total: usize = all().map(<[u8]>::len).sum();
        let length = total.saturating_sub(keep);
        let mut withheld = Vec::with_capacity(keep);
        let mut position = 0;
        for slice in all() {
            let passed = length.saturating_sub(position).min(slice.len());
            withheld.extend_from_slice(&slice[passed..]);
            position += slice.len();
        }
        self.withheld = withheld;
        // An empty frame would end the artifact.
        if length == 0 {
            return Ok(());
        }
        self.fed += length as u64;
        let header = (length as u64).to_le_bytes();
        let mut room = length;
        let sent = all().map(|slice| {
            let passed = room.min(slice.len());
            room -= passed;
            &slice[..passed]
        });
        self.send_slices(Step::Adding, std::iter::once(&header[..]).chain(sent))?;
        self.listen(Step::Adding)
    }

    /// Ends what was begun. Only now can it appear in the store: where, and as what.
    pub(in crate::store) fn end_adding(&mut self) -> Result<(String, PathInfo), StoreError> {
        let step = Step::Adding;
        let mut end = Vec::new();
        if !self.withheld.is_empty() {
            end.extend((self.withheld.len() as u64).to_le_bytes());
            end.append(&mut self.withheld);
        }
        end.extend(0_u64.to_le_bytes());
        self.send_slices(step, [end.as_slice()])?;
        self.more_patience = Duration::from_secs(self.fed / BYTES_PER_SECOND);
        self.channel.let_go();
        self.settle()?;
        self.until_done(step)?;
        let added = self.receive(step, |reader| Ok((reader.text()?, PathInfo::read(reader)?)))?;
        self.more_patience = Duration::ZERO;
        Ok(added)
    }
}
