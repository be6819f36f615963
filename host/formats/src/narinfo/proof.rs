//! What a record's content address proves.
//!
//! **The threat.** Whoever may write to a cache may write a record that says anything. A signature is over
//! what the record says, and holds for ever, with or without the content address beside it: one that was
//! given to a false NAR hash makes every reader who trusts the key accept false content.
//!
//! **The rule.** The store path is what users ask for. A content address is believed as far as the path
//! computes from it, and what the path does not fix has to be measured before it is signed.
//!
//! | content address | references | proves |
//! |---|---|---|
//! | `fixed:r:sha256:` | none | the NAR hash, when both are the same |
//! | `fixed:` flat, or of another algorithm | none | the hash of the content; the NAR hash is a claim |
//! | `text:` | any but itself | the same, and the references |
//! | `fixed:` | any | nothing: no fixed output has them |
//! | unknown, or none | | nothing |
//!
//! How a path is computed: `makeFixedOutputPathFromCA` in Nix's `src/libstore/store-dir-config.cc`.

use nix_derivation::CAHash;
use thiserror::Error;

use super::NarInfo;
use crate::content_address::{ContentAddress, FixedOutput, OutputMode};
use crate::hash::{Hash, HashAlgorithm};
use crate::quote::quoted;
use crate::recorded_address::{RecordedAddress, UnknownAddress};
use crate::store_path::StorePath;

/// How far a content address reaches that makes the record's store path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It fixes the NAR hash: all that a signature is over but the NAR's size, which Nix compares.
    Archive,
    /// It fixes the hash of the content. That the NAR hash is the one of this content is only said; whoever
    /// has read the NAR knows it by [`NarInfo::agrees`].
    Content,
}

/// Why a record's content address proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unproved {
    /// There is none.
    #[error("it has no content address")]
    NoAddress,
    /// It is of a kind that this program cannot compute.
    #[error("the content address {} is of a kind that cannot be checked", quoted(address.as_str()))]
    Unknown {
        /// The address.
        address: UnknownAddress,
    },
    /// A fixed output mentions nothing, and a text not itself.
    #[error("it has references that its content address does not allow")]
    References,
    /// The path and the NAR hash do not belong to the same content.
    #[error("its NAR hash is not the one of its content address")]
    NarHash,
    /// The address makes another path.
    #[error("its content address makes `{computed}`")]
    Path {
        /// What the address, the name and the references make.
        computed: StorePath,
    },
}

impl NarInfo {
    /// Whether the content address makes exactly this store path, and what follows from that.
    ///
    /// # Errors
    /// When it does not, or when there is none that this program can compute.
    pub fn proof(&self) -> Result<Proof, Unproved> {
        let address = self.ca.as_ref().ok_or(Unproved::NoAddress)?;
        let (hashed, mentions) = match address {
            RecordedAddress::Unknown(address) => {
                return Err(Unproved::Unknown {
                    address: address.clone(),
                });
            }
            RecordedAddress::Fixed(address) => (address.to_nix(), !self.references.is_empty()),
            RecordedAddress::Text(text) => {
                let digest = text.hash().as_bytes().try_into();
                let digest = digest.expect("a text has a sha256");
                let mentions_itself = self.references.contains(&self.store_path);
                (CAHash::Text(digest), mentions_itself)
            }
        };
        if mentions {
            return Err(Unproved::References);
        }
        let references: Vec<_> = self.references.iter().map(StorePath::to_nix).collect();
        let computed = nix_derivation::store_path::build_ca_path(
            self.store_path.name(),
            &hashed,
            &references,
            false,
        )
        // The only failures are a bad name, which a path excludes, and references of a fixed output.
        .expect("the name of a path and an address that allows its references always have a path");
        let computed = StorePath::from_nix(&computed);
        if computed != self.store_path {
            return Err(Unproved::Path { computed });
        }
        match address.fixed() {
            Some(address) if address.is_archive() => match address.hash == self.nar_hash {
                true => Ok(Proof::Archive),
                false => Err(Unproved::NarHash),
            },
            _ => Ok(Proof::Content),
        }
    }

    /// The fixed output that makes this store path; none when the path is that of something else, or the
    /// record has references.
    #[must_use]
    pub fn fixed_output(&self) -> Option<FixedOutput> {
        let address = self.ca.as_ref()?.fixed()?;
        let output = FixedOutput {
            name: self.store_path.name().parse().ok()?,
            mode: address.mode,
            hash: address.hash.clone(),
        };
        let makes_it = output.store_path() == self.store_path && self.references.is_empty();
        makes_it.then_some(output)
    }

    /// What has to be measured of the content, and its hash as the content address says it. None when there
    /// is no address, when it is of an unknown kind, or when its hash leaves out what the path says of
    /// itself.
    #[must_use]
    pub fn said_of_content(&self) -> Option<ContentAddress> {
        let mentions_itself = self.references.contains(&self.store_path);
        self.ca.as_ref()?.hashed().filter(|_| !mentions_itself)
    }

    /// Whether content that was read is what the content address says.
    ///
    /// `nar` are hashes of the NAR. `file` are hashes of the file when the NAR is one plain file that is not
    /// executable, and none otherwise. None when this program cannot tell: without
    /// [`NarInfo::said_of_content`], or when its algorithm was not measured.
    #[must_use]
    pub fn agrees(&self, nar: &[Hash], file: Option<&[Hash]>) -> Option<bool> {
        let ContentAddress { mode, hash } = self.said_of_content()?;
        let measured = match (mode, file) {
            (OutputMode::Nar, _) => nar,
            (OutputMode::Flat, Some(file)) => file,
            (OutputMode::Flat, None) => return Some(false),
        };
        let same_kind = |measured: &&Hash| measured.algorithm() == hash.algorithm();
        measured
            .iter()
            .find(same_kind)
            .map(|measured| *measured == hash)
    }
}

impl ContentAddress {
    /// Whether it is the hash by which records name their NAR.
    fn is_archive(&self) -> bool {
        self.mode == OutputMode::Nar && self.hash.algorithm() == HashAlgorithm::Sha256
    }
}
