//! Computing a [`Hash`] piece by piece.

use nix_derivation::{HashAlgorithm as NixAlgorithm, NixHasher};

use crate::hash::{Hash, HashAlgorithm};

/// An incremental hash computation.
#[derive(Debug)]
pub struct Hasher {
    algorithm: HashAlgorithm,
    inner: NixHasher,
}

impl Hasher {
    /// Starts a computation.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        let inner = NixHasher::new(match algorithm {
            HashAlgorithm::Md5 => NixAlgorithm::Md5,
            HashAlgorithm::Sha1 => NixAlgorithm::Sha1,
            HashAlgorithm::Sha256 => NixAlgorithm::Sha256,
            HashAlgorithm::Sha512 => NixAlgorithm::Sha512,
        });
        Self { algorithm, inner }
    }

    /// The hash of `bytes` in one step.
    #[must_use]
    pub fn digest(algorithm: HashAlgorithm, bytes: &[u8]) -> Hash {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm that was asked for.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Feeds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The hash of everything fed.
    #[must_use]
    pub fn finish(self) -> Hash {
        Hash::of_digest(self.algorithm, self.inner.finalize().digest_as_bytes())
    }
}
