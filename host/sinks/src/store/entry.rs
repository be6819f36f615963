//! What a daemon says of a path, as it is known elsewhere.

use fetchhost_formats::{RecordedAddress, StoreEntry, StorePath};

use super::daemon::PathInfo;
use super::error::{Step, StoreError};

impl PathInfo {
    /// What the daemon said of `path`.
    pub(super) fn of(self, path: StorePath) -> Result<StoreEntry, StoreError> {
        let info = self;
        let references = info.references.iter().map(|text| parsed(text));
        let deriver = Some(info.deriver).filter(|text| !text.is_empty());
        let signatures = info.signatures.iter().filter_map(|text| text.parse().ok());
        let ca = Some(info.content_address).filter(|text| !text.is_empty());
        Ok(StoreEntry {
            references: references.collect::<Result<_, _>>()?,
            deriver: deriver.map(|text| parsed(&text)).transpose()?,
            signatures: signatures.collect(),
            ca: ca.map(|text| address(&text)).transpose()?,
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

fn address(text: &str) -> Result<RecordedAddress, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed {
        step: Step::LookingUp,
        what: "a content address that is none",
    })
}
