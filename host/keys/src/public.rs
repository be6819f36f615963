//! Public keys: how they are written, what they are called, and what they verify.

mod text;

use std::fmt;

use aws_lc_rs::{
    digest::{Digest, SHA256},
    encoding::AsDer,
    signature::{
        ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha256};

use crate::{Algorithm, Content, Padding, wire};
pub(crate) use text::{EC, ED25519, P256, RSA, printable};

/// The shortest modulus of RSA that is used, in bits.
pub(crate) const MIN_RSA_BITS: usize = 3072;

/// The longest: what the library takes.
const MAX_RSA_BITS: usize = 8192;

/// A P-256 point that is not compressed.
pub(crate) type Point = [u8; 65];

/// The beginning of an Ed25519 key as SubjectPublicKeyInfo (RFC 8410); the key's 32 bytes follow.
const ED25519_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The beginning of a P-256 key as SubjectPublicKeyInfo (RFC 5480); the point's 65 bytes follow.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why a public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// Not a form that is read here.
    #[error("this is no public key: neither minisign's, nor a line of OpenSSH's, nor PEM")]
    Unrecognised,
    /// Something is wrong with it.
    #[error("this public key is damaged")]
    Damaged,
    /// Another algorithm.
    #[error("keys of the algorithm `{0}` are not supported")]
    Unsupported(String),
    /// Too short to be safe.
    #[error("the RSA key has {0} bits, and fewer than {MIN_RSA_BITS} are not safe")]
    RsaTooSmall(usize),
    /// Longer than the library takes.
    #[error("the RSA key has {0} bits, and more than {MAX_RSA_BITS} are not supported")]
    RsaTooLarge(usize),
}

impl PublicKeyError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unrecognised => {
                "give the content of minisign's `.pub` file, of an `id_….pub`, or what `openssl pkey -pubout` prints"
            }
            Self::Damaged => "copy it again, all of it",
            Self::Unsupported(_) => {
                "use a key of Ed25519, ECDSA P-256 or RSA; keys of security tokens work through PKCS#11"
            }
            Self::RsaTooSmall(_) | Self::RsaTooLarge(_) => {
                "make another key: Ed25519, ECDSA P-256, or RSA of 3072 to 8192 bits"
            }
        }
    }
}

/// A public key that can verify: of sufficient size, and on its curve.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) numbers: Numbers,
    /// What minisign calls the key, if it is minisign's.
    pub(crate) minisign_id: Option<[u8; 8]>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Numbers {
    Ed25519(VerifyingKey),
    P256(Point),
    /// Modulus and exponent, from their most significant byte on, without zeros before.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
        /// The whole key as SubjectPublicKeyInfo.
        spki: Vec<u8>,
    },
}

impl PublicKey {
    pub(crate) fn ed25519(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let bytes = bytes.try_into().map_err(|_| PublicKeyError::Damaged)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::Damaged)?;
        // Under such a key one signature fits many contents.
        if key.is_weak() {
            return Err(PublicKeyError::Damaged);
        }
        Ok(Numbers::Ed25519(key).into())
    }

    pub(crate) fn p256(point: &[u8]) -> Result<Self, PublicKeyError> {
        let point: Point = point.try_into().map_err(|_| PublicKeyError::Damaged)?;
        // Not compressed, and nothing in between.
        if point[0] != 4 {
            return Err(PublicKeyError::Damaged);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point)
            .parse()
            .map_err(|_| PublicKeyError::Damaged)?;
        Ok(Numbers::P256(point).into())
    }

    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, PublicKeyError> {
        let (n, e) = (wire::without_zeros(n), wire::without_zeros(e));
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if bits < MIN_RSA_BITS {
            return Err(PublicKeyError::RsaTooSmall(bits));
        }
        if bits > MAX_RSA_BITS {
            return Err(PublicKeyError::RsaTooLarge(bits));
        }
        let spki = RsaPublicKeyComponents { n, e }.as_der();
        let spki = spki.map_err(|_| PublicKeyError::Damaged)?.as_ref().to_vec();
        if e == [1] {
            return Err(PublicKeyError::Damaged);
        }
        Ok(Numbers::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
            spki,
        }
        .into())
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.numbers {
            Numbers::Ed25519(_) => Algorithm::Ed25519,
            Numbers::P256(_) => Algorithm::EcdsaP256,
            Numbers::Rsa { .. } => Algorithm::Rsa,
        }
    }

    /// What the key is called wherever it must be the same for everybody: algorithm, `sha256` and the digest of
    /// its SubjectPublicKeyInfo, wherever the key lies and in whatever form. Of minisign's, whose signatures
    /// carry the key's id, it is `minisign-ed25519` and the digest of what its `.pub` file encodes.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let (name, digest) = match self.minisign_bytes() {
            Some(bytes) => ("minisign-ed25519", Sha256::digest(bytes)),
            None => (self.algorithm().name(), Sha256::digest(self.spki())),
        };
        format!("{name}:sha256:{}", fetchhost_formats::hex(&digest))
    }

    /// The key as SubjectPublicKeyInfo in DER.
    pub(crate) fn spki(&self) -> Vec<u8> {
        match &self.numbers {
            Numbers::Ed25519(key) => [ED25519_PREFIX, key.as_bytes()].concat(),
            Numbers::P256(point) => [P256_PREFIX, point].concat(),
            Numbers::Rsa { spki, .. } => spki.clone(),
        }
    }

    /// What minisign's `.pub` file encodes.
    pub(crate) fn minisign_bytes(&self) -> Option<Vec<u8>> {
        match (&self.numbers, &self.minisign_id) {
            (Numbers::Ed25519(key), Some(id)) => Some([b"Ed", &id[..], key.as_bytes()].concat()),
            _ => None,
        }
    }

    /// Whether `signature` is this key's over `message`, as SSH signs: RSA and Ed25519 with SHA-512, P-256 with
    /// SHA-256 and DER.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.numbers {
            Numbers::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Numbers::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature)
                .is_ok(),
            Numbers::Rsa { .. } => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, self.spki())
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// Whether `signature` is this key's over a content with this SHA-256. Never with Ed25519, which takes no
    /// digest.
    pub(crate) fn verifies_sha256(
        &self,
        sha256: &[u8; 32],
        padding: Padding,
        signature: &[u8],
    ) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match (&self.numbers, padding) {
            (Numbers::Ed25519(_), _) => return false,
            (Numbers::P256(_), _) => &ECDSA_P256_SHA256_ASN1,
            (Numbers::Rsa { .. }, Padding::Pss) => &RSA_PSS_2048_8192_SHA256,
            (Numbers::Rsa { .. }, Padding::Pkcs1) => &RSA_PKCS1_2048_8192_SHA256,
        };
        Digest::import_less_safe(sha256, &SHA256).is_ok_and(|digest| {
            UnparsedPublicKey::new(algorithm, self.spki())
                .verify_digest(&digest, signature)
                .is_ok()
        })
    }

    /// Whether `signature` is this key's over `content`, which is read once. Always no but with Ed25519.
    pub(crate) fn verifies_stream(
        &self,
        content: &Content,
        signature: &[u8],
    ) -> std::io::Result<bool> {
        let Numbers::Ed25519(key) = &self.numbers else {
            return Ok(false);
        };
        let verifier = ed25519_dalek::Signature::from_slice(signature)
            .and_then(|signature| key.verify_stream(&signature));
        let Ok(mut verifier) = verifier else {
            return Ok(false);
        };
        let same = content.again(|chunk| verifier.update(chunk))?;
        Ok(same && verifier.finalize_and_verify().is_ok())
    }
}

impl From<Numbers> for PublicKey {
    fn from(numbers: Numbers) -> Self {
        Self {
            numbers,
            minisign_id: None,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}
