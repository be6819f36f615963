//! The proof that bytes are what was declared.

use fetchhost_formats::nar::file_size_as_nar;
use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, OutputMode, StoreName, StorePath};

use crate::emit::Measured;

/// An artifact whose bytes are what its fixed output says. Sinks commit nothing else.
///
/// It can only be made here, from what [`Ready::emit`](crate::Ready::emit) measured.
#[derive(Debug, Clone)]
pub struct Verified {
    output: FixedOutput,
    store_path: StorePath,
    measured: Measured,
}

/// The bytes are not those that were declared. Shown in Nix's own words, which tools look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "hash mismatch in fixed-output derivation '{path}':\n         specified: {specified}\n            got:    {got}"
)]
pub struct HashMismatch {
    /// The declared hash.
    pub specified: Hash,
    /// The hash of what came.
    pub got: Hash,
    /// The store path that was meant.
    pub path: StorePath,
    /// What both hashes are over.
    pub mode: OutputMode,
    /// Whether a single file came, which has a hash in either mode.
    pub is_file: bool,
    /// Whether the declared hash is the one that what came has in the other mode, as far as that one
    /// was measured: the sha256 of the NAR always is.
    pub is_of_other_mode: bool,
}

/// Why an artifact is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are not those that were declared.
    #[error(transparent)]
    Mismatch(#[from] Box<HashMismatch>),
    /// The hash that is to be compared was not asked for, or not of this kind of artifact.
    #[error("the {mode} {algorithm} hash was not measured")]
    NotMeasured {
        /// What is hashed.
        mode: OutputMode,
        /// How it is hashed.
        algorithm: HashAlgorithm,
    },
    /// A flat output is a plain file; Nix takes no other.
    #[error("an executable file cannot be a flat output")]
    ExecutableFlat,
}

impl Verified {
    /// Compares the declared hash with what was measured.
    ///
    /// # Errors
    /// [`VerifyError::Mismatch`] with both hashes when they differ.
    pub fn check(output: &FixedOutput, measured: Measured) -> Result<Self, VerifyError> {
        let got = measured.hash(output.mode, output.hash.algorithm())?;
        let store_path = output.store_path();
        if got != &output.hash {
            let other = match output.mode {
                OutputMode::Flat => OutputMode::Nar,
                OutputMode::Nar => OutputMode::Flat,
            };
            return Err(Box::new(HashMismatch {
                specified: output.hash.clone(),
                got: got.clone(),
                path: store_path,
                mode: output.mode,
                is_file: measured.flat_size().is_some(),
                is_of_other_mode: measured.hash(other, output.hash.algorithm()) == Ok(&output.hash),
            })
            .into());
        }
        Ok(Self {
            output: output.clone(),
            store_path,
            measured,
        })
    }

    /// Declares what was measured: for the first fetch, whose hash nobody knows yet.
    ///
    /// # Errors
    /// [`VerifyError::NotMeasured`] when that hash was not wanted in the pass.
    pub fn measured(
        name: StoreName,
        mode: OutputMode,
        algorithm: HashAlgorithm,
        measured: Measured,
    ) -> Result<Self, VerifyError> {
        let hash = measured.hash(mode, algorithm)?.clone();
        let output = FixedOutput { name, mode, hash };
        Ok(Self {
            store_path: output.store_path(),
            output,
            measured,
        })
    }

    /// Name, mode and hash.
    #[must_use]
    pub fn fixed_output(&self) -> &FixedOutput {
        &self.output
    }

    /// The store path of the fixed output.
    #[must_use]
    pub fn store_path(&self) -> &StorePath {
        &self.store_path
    }

    /// sha256 of the NAR.
    #[must_use]
    pub fn nar_hash(&self) -> &Hash {
        self.measured.nar_sha256()
    }

    /// Number of bytes of the NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.measured.nar_size()
    }

    /// Number of the file's bytes; `None` for a tree.
    #[must_use]
    pub fn flat_size(&self) -> Option<u64> {
        self.measured.flat_size()
    }

    /// Hash of the file's bytes, when it was measured.
    #[must_use]
    pub fn flat_hash(&self) -> Option<&Hash> {
        self.measured.flat()
    }
}

impl Measured {
    /// The mark is the only thing that a single file's NAR can hold more.
    fn is_executable(&self) -> bool {
        let plain = |size| file_size_as_nar(size, false);
        self.flat_size
            .is_some_and(|size| plain(size) != self.nar_size)
    }

    /// The measured hash of this kind.
    fn hash(&self, mode: OutputMode, algorithm: HashAlgorithm) -> Result<&Hash, VerifyError> {
        let found = match mode {
            OutputMode::Flat if self.is_executable() => return Err(VerifyError::ExecutableFlat),
            OutputMode::Flat => self.flat.as_ref(),
            OutputMode::Nar if algorithm == HashAlgorithm::Sha256 => Some(&self.nar_sha256),
            OutputMode::Nar => self.nar_declared.as_ref(),
        };
        found
            .filter(|hash| hash.algorithm() == algorithm)
            .ok_or(VerifyError::NotMeasured { mode, algorithm })
    }
}
