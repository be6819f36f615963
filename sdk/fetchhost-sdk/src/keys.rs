//! Signatures, made by the host with keys that the fetcher never sees.
//!
//! A fetcher names a key's slot, one that its [description](crate::FetcherDescription::key) names, and one of its
//! [inputs](crate::inputs). What is signed is built by the host: no fetcher has a message of its own making signed.
//! Where the same was signed before, the host returns that signature.
//!
//! All functions fail with
//!
//! - `Invalid` for a slot, or an envelope for it, that the description does not name;
//! - `Denied` when the user does not allow the signature;
//! - `Credential` when the key cannot be had;
//! - `Unsupported` when such a key makes no such signatures, or the content must not be signed like this;
//! - `Other` when the input was written to, or what the host remembers cannot be read.
//!
//! But for the first, the user reads the host's story whatever the fetcher returns.

use crate::FetchError;
use crate::bindings::nix_fetchhost::fetcher::keys as raw_keys;
use crate::inputs::Input;

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicKey {
    /// What the key is called wherever it must be the same for everybody: `ed25519:sha256:…`.
    pub fingerprint: String,
    /// `ed25519`, `ecdsa-p256` or `rsa`.
    pub algorithm: String,
    /// As its verifiers read it: minisign's in one line of base64, others as PEM.
    pub text: String,
}

/// How RSA pads what it signs. Other algorithms have no padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// PSS, with a salt as long as the digest.
    #[default]
    Pss,
    /// PKCS#1 v1.5.
    Pkcs1,
}

impl Padding {
    /// The padding as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pss => "pss",
            Self::Pkcs1 => "pkcs1",
        }
    }
}

/// The public half of the key in `slot`.
///
/// # Errors
///
/// As the [module](self) lists.
pub fn public_key(slot: &str) -> Result<PublicKey, FetchError> {
    let raw_keys::PublicHalf {
        fingerprint,
        algorithm,
        text,
    } = raw_keys::public_key(slot)?;
    Ok(PublicKey {
        fingerprint,
        algorithm,
        text,
    })
}

/// A signature that `minisign -V` verifies, as the text of its file. `trusted_comment` is signed along: one line of
/// at most 1,000 bytes without control characters.
///
/// # Errors
///
/// As the [module](self) lists, and `Invalid` for another comment.
pub fn minisign(slot: &str, content: &Input, trusted_comment: &str) -> Result<Vec<u8>, FetchError> {
    Ok(raw_keys::minisign(slot, content.as_raw(), trusted_comment)?)
}

/// A signature that `ssh-keygen -Y verify` verifies, as the text of its file. `namespace` says what it is for, such
/// as `file`: 1 to 128 letters, digits and `-_.@/+:`.
///
/// # Errors
///
/// As the [module](self) lists, and `Invalid` for another namespace.
pub fn sshsig(slot: &str, content: &Input, namespace: &str) -> Result<Vec<u8>, FetchError> {
    Ok(raw_keys::sshsig(slot, content.as_raw(), namespace)?)
}

/// The bare signature as `openssl` makes it: of ECDSA P-256 and RSA over the SHA-256 of the content, of Ed25519 over
/// the content.
///
/// # Errors
///
/// As the [module](self) lists.
pub fn raw(slot: &str, content: &Input, padding: Padding) -> Result<Vec<u8>, FetchError> {
    Ok(raw_keys::raw(slot, content.as_raw(), padding.as_str())?)
}
