//! What a store knows of one of its paths.

use std::collections::BTreeSet;

use fetchhost_formats::{Hash, Signature, StorePath};

use super::daemon::PathInfo;
use super::error::{Step, StoreError};

/// What a store knows of one of its paths: all that a binary cache says of it but where its archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Length of its NAR, in bytes.
    pub nar_size: u64,
    /// The paths that it mentions, which may be itself too.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, where that is known.
    pub deriver: Option<StorePath>,
    /// The signatures that came with it. What is none is left out, as Nix ignores it.
    pub signatures: Vec<Signature>,
    /// What the path is computed from, as Nix says it: more than a
    /// [`ContentAddress`](fetchhost_formats::ContentAddress) can be (`text:…`).
    pub ca: Option<String>,
    /// Whether this store built it, and did not get it from somebody else.
    pub is_ultimate: bool,
}

impl StoreEntry {
    pub(super) fn new(path: StorePath, info: PathInfo) -> Result<Self, StoreError> {
        let references = info.references.iter().map(|text| parsed(text));
        let deriver = Some(info.deriver).filter(|text| !text.is_empty());
        let signatures = info.signatures.iter().filter_map(|text| text.parse().ok());
        Ok(Self {
            references: references.collect::<Result<_, _>>()?,
            deriver: deriver.map(|text| parsed(&text)).transpose()?,
            signatures: signatures.collect(),
            ca: Some(info.content_address).filter(|text| !text.is_empty()),
            path,
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            is_ultimate: info.is_ultimate,
        })
    }
}

fn parsed(text: &str) -> Result<StorePath, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed {
        step: Step::LookingUp,
        what: "a store path that is none",
    })
}
