//! What a store knows of one of its paths.

use std::collections::BTreeSet;

use crate::compression::Compression;
use crate::hash::Hash;
use crate::narinfo::{NarInfo, NarUrl, Proof, Unproved};
use crate::recorded_address::RecordedAddress;
use crate::signing::Signature;
use crate::store_path::StorePath;

/// What a store knows of one of its paths: all that a binary cache says of it but where its archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Length of its NAR in bytes; 0 where the store does not know.
    pub nar_size: u64,
    /// The paths that it mentions, which may be itself too.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, where that is known.
    pub deriver: Option<StorePath>,
    /// The signatures that came with it. What is none is left out, as Nix ignores it.
    pub signatures: Vec<Signature>,
    /// What the path is computed from.
    pub ca: Option<RecordedAddress>,
    /// Whether this store built it, and did not get it from somebody else.
    pub is_ultimate: bool,
}

impl StoreEntry {
    /// The record of the path in a cache that has its NAR as the file at `url`, with this hash and length.
    #[must_use]
    pub fn record(
        &self,
        url: NarUrl,
        compression: Compression,
        (file_hash, file_size): (Hash, u64),
    ) -> NarInfo {
        NarInfo {
            store_path: self.path.clone(),
            url,
            compression,
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: self.nar_hash.clone(),
            nar_size: self.nar_size,
            references: self.references.clone(),
            deriver: self.deriver.clone(),
            signatures: self.signatures.clone(),
            ca: self.ca.clone(),
        }
    }

    /// What the content address proves of the path: see [`NarInfo::proof`].
    ///
    /// # Errors
    /// When it proves nothing.
    pub fn proof(&self) -> Result<Proof, Unproved> {
        // It does not look at the file, which may as well be the NAR itself.
        let url = NarUrl::for_file(&self.nar_hash, Compression::None);
        let file = (self.nar_hash.clone(), self.nar_size);
        self.record(url, Compression::None, file).proof()
    }

    /// Whether a record is of the same contents, with the same references: all that is signed beside the path.
    #[must_use]
    pub fn is_same(&self, record: &NarInfo) -> bool {
        record.nar_hash == self.nar_hash
            && record.nar_size == self.nar_size
            && record.references == self.references
    }
}
