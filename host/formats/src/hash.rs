//! Hashes as Nix spells them.
//!
//! | spelling | accepted |
//! |---|---|
//! | `sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=` (SRI) | yes |
//! | `sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73` (nix32) | yes |
//! | `sha256:e3b0c442…` (hex, either case) | yes |
//! | SRI without its `=` padding, with options, two hashes, or any space | no |
//! | `sha256:` followed by base64 | no |
//! | a bare digest without its algorithm | no |
//! | `SHA256-…`, `blake3-…`, a digest of another length | no |

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix_derivation::{NixHash, nixbase32};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::quote::quoted;

/// A hash algorithm that Nix accepts for a fixed output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// MD5, 16 bytes. Weak.
    Md5,
    /// SHA-1, 20 bytes. Weak.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// Nix's name: `md5`, `sha1`, `sha256` or `sha512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a digest, in bytes.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Whether somebody can make two contents with the same digest: a hash that proves nothing
    /// about content chosen by another.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for HashAlgorithm {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| HashError::UnknownAlgorithm {
                given: text.to_owned(),
            })
    }
}

/// A digest and the algorithm that made it; the length always fits the algorithm.
///
/// `Display`, `Debug` and serde write the SRI form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algorithm: HashAlgorithm,
    /// The digest, followed by zeros up to the longest digest there is.
    digest: [u8; HashAlgorithm::Sha512.digest_len()],
}

impl Hash {
    /// A hash from its raw digest.
    ///
    /// # Errors
    ///
    /// When `digest` is not [`HashAlgorithm::digest_len`] bytes long.
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Result<Self, HashError> {
        let expected = algorithm.digest_len();
        if digest.len() != expected {
            return Err(HashError::WrongLength {
                algorithm,
                expected,
                got: digest.len(),
            });
        }
        Ok(Self::of_digest(algorithm, digest))
    }

    /// A hash from a digest whose length is known to be right.
    pub(crate) fn of_digest(algorithm: HashAlgorithm, digest: &[u8]) -> Self {
        let mut bytes = [0; HashAlgorithm::Sha512.digest_len()];
        bytes[..digest.len()].copy_from_slice(digest);
        Self {
            algorithm,
            digest: bytes,
        }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The raw digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digest[..self.algorithm.digest_len()]
    }

    /// `sha256-<base64>`: what Nix prints and takes today.
    #[must_use]
    pub fn sri(&self) -> String {
        format!("{}-{}", self.algorithm, STANDARD.encode(self.as_bytes()))
    }

    /// The digest in Nix's own base 32, without the algorithm.
    #[must_use]
    pub fn nix32(&self) -> String {
        nixbase32::encode(self.as_bytes())
    }

    /// `sha256:<nix32>`: how narinfo records and content addresses write a hash.
    #[must_use]
    pub fn prefixed_nix32(&self) -> String {
        format!("{}:{}", self.algorithm, self.nix32())
    }

    /// The digest in lower-case hexadecimal, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(self.as_bytes())
    }

    /// Parses the part after `sha256:`: hex and nix32 never have the same length.
    fn from_nix_text(algorithm: HashAlgorithm, text: &str) -> Result<Self, HashError> {
        let malformed = || HashError::Malformed {
            given: text.to_owned(),
            encoding: "nix32 or hexadecimal",
        };
        let expected = algorithm.digest_len();
        let digest = if text.len() == expected * 2 {
            decode_hex(text).ok_or_else(malformed)?
        } else if text.len() == nixbase32::encoded_len(expected) {
            nixbase32::decode(text.as_bytes()).map_err(|_| malformed())?
        } else {
            return Err(malformed());
        };
        Self::new(algorithm, &digest)
    }

    /// Parses the part after `sha256-`.
    fn from_sri_text(algorithm: HashAlgorithm, text: &str) -> Result<Self, HashError> {
        let digest = STANDARD.decode(text).map_err(|_| HashError::Malformed {
            given: text.to_owned(),
            encoding: "padded base64",
        })?;
        Self::new(algorithm, &digest)
    }

    /// The same hash as the wrapped crate's type.
    pub(crate) fn to_nix(&self) -> NixHash {
        fn head<const N: usize>(digest: &[u8; 64]) -> [u8; N] {
            std::array::from_fn(|index| digest[index])
        }
        match self.algorithm {
            HashAlgorithm::Md5 => NixHash::Md5(head(&self.digest)),
            HashAlgorithm::Sha1 => NixHash::Sha1(head(&self.digest)),
            HashAlgorithm::Sha256 => NixHash::Sha256(head(&self.digest)),
            HashAlgorithm::Sha512 => NixHash::Sha512(Box::new(self.digest)),
        }
    }

    /// From the wrapped crate's type, which also knows BLAKE3.
    pub(crate) fn from_nix(hash: &NixHash) -> Result<Self, HashError> {
        Self::new(hash.algorithm().as_str().parse()?, hash.digest_as_bytes())
    }
}

/// `bytes` in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let nibbles: Vec<u8> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect::<Option<_>>()?;
    Some(
        nibbles
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let Some(at) = text.find([':', '-']) else {
            return Err(HashError::NoAlgorithm {
                given: text.to_owned(),
            });
        };
        let algorithm = text[..at].parse()?;
        let encoded = &text[at + 1..];
        if text.as_bytes()[at] == b'-' {
            Self::from_sri_text(algorithm, encoded)
        } else {
            Self::from_nix_text(algorithm, encoded)
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sri())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sri())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a hash.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HashError {
    /// Nothing before a `-` or `:` names an algorithm.
    #[error("{} does not say its hash algorithm", quoted(given))]
    NoAlgorithm {
        /// The text.
        given: String,
    },
    /// The algorithm is none that Nix accepts for a fixed output.
    #[error("unknown hash algorithm {}", quoted(given))]
    UnknownAlgorithm {
        /// The name.
        given: String,
    },
    /// The digest is not in the encoding that its prefix asks for.
    #[error("{} is not a digest in {encoding}", quoted(given))]
    Malformed {
        /// The text after the algorithm.
        given: String,
        /// The encodings that fit this place.
        encoding: &'static str,
    },
    /// The digest belongs to another algorithm, or was cut.
    #[error("a {algorithm} digest is {expected} bytes long, this one is {got}")]
    WrongLength {
        /// The algorithm named.
        algorithm: HashAlgorithm,
        /// Its digest length, in bytes.
        expected: usize,
        /// The length given, in bytes.
        got: usize,
    },
}

impl HashError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoAlgorithm { .. } => Some(
                "write `sha256-…=` (SRI) or `sha256:` and the digest in nix32 or hexadecimal"
                    .to_owned(),
            ),
            Self::UnknownAlgorithm { .. } => {
                let names: Vec<_> = HashAlgorithm::ALL
                    .iter()
                    .map(|algorithm| format!("`{algorithm}`"))
                    .collect();
                Some(format!(
                    "the algorithms are {}, in lower case",
                    names.join(", ")
                ))
            }
            Self::Malformed {
                encoding: "padded base64",
                ..
            } => Some(
                "an SRI hash keeps its `=` padding and has no space before or after it".to_owned(),
            ),
            Self::Malformed { .. } => {
                Some("base64 is written with `-`, as in `sha256-…=`".to_owned())
            }
            Self::WrongLength { .. } => None,
        }
    }
}
