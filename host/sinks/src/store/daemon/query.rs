//! What Nix knows of its paths.

use fetchhost_formats::{ContentAddress, FixedOutput, Hash, HashAlgorithm, OutputMode, StorePath};

use super::operation::ADD_TEMPORARY_ROOT;
use super::wire::{Message, Reader, Stop};
use super::{Connection, Step, StoreError};

const QUERY_PATH_INFO: u64 = 26;

/// How many paths are asked for before the first answer is read. The questions are shorter than what a
/// socket takes, and the answers are read as they come.
const AT_ONCE: usize = 64;

/// What Nix knows of a valid path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct PathInfo {
    /// SHA-256 of the NAR.
    pub(in crate::store) nar_hash: Hash,
    /// Length of the NAR, in bytes.
    pub(in crate::store) nar_size: u64,
    /// What made it, empty when that is not known.
    pub(in crate::store) deriver: String,
    /// The paths that it refers to, as Nix writes them.
    pub(in crate::store) references: Vec<String>,
    /// Whether it was built here.
    pub(in crate::store) is_ultimate: bool,
    /// `name:base64` each.
    pub(in crate::store) signatures: Vec<String>,
    /// Its content address, empty when it has none.
    pub(in crate::store) content_address: String,
}

impl PathInfo {
    /// Reads all but the path itself.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        let deriver = reader.text()?;
        let digest = reader.text()?;
        let nar_hash = format!("{}:{digest}", HashAlgorithm::Sha256)
            .parse()
            .map_err(|_| Stop::Malformed("a NAR hash that is none"))?;
        let references = reader.texts()?;
        let _registered = reader.number()?;
        let nar_size = reader.number()?;
        let is_ultimate = reader.truth()?;
        let signatures = reader.texts()?;
        let content_address = reader.text()?;
        Ok(Self {
            nar_hash,
            nar_size,
            deriver,
            references,
            is_ultimate,
            signatures,
            content_address,
        })
    }

    /// Whether it is `output`: by its content address or, where it has none (what `nix-store --import`
    /// adds has none), because it is valid under this path and its archive is not another one.
    pub(in crate::store) fn is(&self, output: &FixedOutput) -> bool {
        if !self.content_address.is_empty() {
            return self.has(&output.content_address());
        }
        let is_comparable =
            output.mode == OutputMode::Nar && output.hash.algorithm() == HashAlgorithm::Sha256;
        self.references.is_empty() && (!is_comparable || self.nar_hash == output.hash)
    }

    /// Whether it has this content address.
    pub(in crate::store) fn has(&self, address: &ContentAddress) -> bool {
        self.content_address.parse().as_ref() == Ok(address)
    }
}

impl Connection {
    /// What Nix knows of `path`; `None` when it is not valid.
    pub(in crate::store) fn query(
        &mut self,
        path: &StorePath,
    ) -> Result<Option<PathInfo>, StoreError> {
        let message = question(Message::new(), path);
        self.send(Step::LookingUp, &message)?;
        self.answer()
    }

    /// The same of many, in their order. With `protect`, the garbage collector is kept from each of them
    /// first, as long as this connection lasts.
    ///
    /// After an error, answers of earlier questions may still be on their way: it is good for nothing more
    /// but for what it protects.
    pub(in crate::store) fn query_all(
        &mut self,
        paths: &[StorePath],
        protect: bool,
    ) -> Result<Vec<Option<PathInfo>>, StoreError> {
        let mut found = Vec::with_capacity(paths.len());
        for paths in paths.chunks(AT_ONCE) {
            self.rest();
            let mut message = Message::new();
            for path in paths {
                if protect {
                    message = message.number(ADD_TEMPORARY_ROOT).text(&path.to_string());
                }
                message = question(message, path);
            }
            self.send(Step::LookingUp, &message)?;
            for _ in paths {
                if protect {
                    self.acknowledgement(Step::Protecting)?;
                }
                found.push(self.answer()?);
            }
        }
        Ok(found)
    }

    fn answer(&mut self) -> Result<Option<PathInfo>, StoreError> {
        let step = Step::LookingUp;
        self.until_done(step)?;
        if self.receive(step, |reader| reader.truth())? {
            self.receive(step, PathInfo::read).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn question(message: Message, path: &StorePath) -> Message {
    message.number(QUERY_PATH_INFO).text(&path.to_string())
}
