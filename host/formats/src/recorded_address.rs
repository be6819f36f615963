//! The content addresses that records of a cache hold: more kinds than this program makes.
//!
//! | text | read as |
//! |---|---|
//! | `fixed:sha256:…`, `fixed:r:sha512:…` | a fixed output |
//! | `text:sha256:…` | a text, as `builtins.toFile` and each derivation |
//! | `fixed:git:sha1:…`, `fixed:blake3:…`, `other:…` | unknown: kept as it is |
//! | `fixed:sha256:` and no digest, `text:md5:…`, an SRI hash | nothing: Nix stops at it |
//! | no colon, a blank, a control character | nothing |
//!
//! The forms are those of `src/libstore/content-address.cc` in Nix.

use std::fmt;
use std::str::FromStr;

use crate::content_address::{ContentAddress, ContentAddressError, OutputMode};
use crate::hash::{Hash, HashAlgorithm};

/// What a record says that its path is computed from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordedAddress {
    /// A fixed output.
    Fixed(ContentAddress),
    /// A text.
    Text(TextAddress),
    /// Of a kind or algorithm that this program cannot compute.
    Unknown(UnknownAddress),
}

impl RecordedAddress {
    /// The address, when it is that of a fixed output.
    #[must_use]
    pub const fn fixed(&self) -> Option<&ContentAddress> {
        match self {
            Self::Fixed(address) => Some(address),
            Self::Text(_) | Self::Unknown(_) => None,
        }
    }

    /// What is hashed, and to what; none when this program cannot tell. A text is one plain file.
    #[must_use]
    pub fn hashed(&self) -> Option<ContentAddress> {
        match self {
            Self::Fixed(address) => Some(address.clone()),
            Self::Text(text) => Some(ContentAddress {
                mode: OutputMode::Flat,
                hash: text.0.clone(),
            }),
            Self::Unknown(_) => None,
        }
    }
}

impl From<ContentAddress> for RecordedAddress {
    fn from(address: ContentAddress) -> Self {
        Self::Fixed(address)
    }
}

impl FromStr for RecordedAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let malformed = || ContentAddressError::Malformed {
            given: text.to_owned(),
        };
        let (kind, rest) = text.split_once(':').ok_or_else(malformed)?;
        let unknown = || {
            let sound = !kind.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            match sound && !rest.is_empty() {
                true => Ok(Self::Unknown(UnknownAddress(text.to_owned()))),
                false => Err(malformed()),
            }
        };
        match kind {
            "text" if is_unknown(rest) => unknown(),
            "text" => TextAddress::parse(text, rest).map(Self::Text),
            "fixed" if is_unknown(rest.strip_prefix("r:").unwrap_or(rest)) => unknown(),
            "fixed" => text.parse().map(Self::Fixed),
            _ => unknown(),
        }
    }
}

/// Whether a method or algorithm stands before a colon, and is none of ours.
fn is_unknown(hash: &str) -> bool {
    hash.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && name.parse::<HashAlgorithm>().is_err()
    })
}

impl fmt::Display for RecordedAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(address) => address.fmt(formatter),
            Self::Text(TextAddress(hash)) => write!(formatter, "text:{}", hash.prefixed_nix32()),
            Self::Unknown(UnknownAddress(text)) => formatter.write_str(text),
        }
    }
}

/// The address of a text: the SHA-256 of its bytes. The paths that it mentions are part of what its
/// store path is computed from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextAddress(Hash);

impl TextAddress {
    /// The SHA-256 of the text.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        &self.0
    }

    fn parse(address: &str, hash: &str) -> Result<Self, ContentAddressError> {
        if hash.contains('-') {
            return Err(ContentAddressError::Sri {
                given: address.to_owned(),
            });
        }
        let hash: Hash = hash.parse()?;
        match hash.algorithm() {
            HashAlgorithm::Sha256 => Ok(Self(hash)),
            algorithm => Err(ContentAddressError::Text { algorithm }),
        }
    }
}

/// An address as it was read: visible ASCII, so that it cannot break the line it is written on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAddress(String);

impl UnknownAddress {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
