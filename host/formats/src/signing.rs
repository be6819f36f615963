//! Ed25519 signatures over narinfo fingerprints, in Nix's `name:base64` spelling.
//!
//! A secret key holds 64 bytes: the 32-byte seed followed by the 32-byte public key. It is wiped
//! from memory when dropped, and nothing here shows it: not `Debug`, not an error.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{
    KEYPAIR_LENGTH, PUBLIC_KEY_LENGTH, SECRET_KEY_LENGTH, SIGNATURE_LENGTH, Signer as _,
    VerifyingKey,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// A named secret key.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Parses the contents of a secret key file: `name:base64`, with or without the last newline.
    ///
    /// # Errors
    ///
    /// When the text is not of that form, or the two halves of the key do not belong together. The
    /// error holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, encoded) =
            split_name(text.trim_end_matches(['\n', '\r'])).ok_or(KeyError::Name)?;
        // Room for what base64 may write beyond the 64 bytes before it knows the length.
        let mut bytes = Zeroizing::new([0; KEYPAIR_LENGTH + 3]);
        let length = match STANDARD.decode_slice(encoded, bytes.as_mut_slice()) {
            Ok(length) => length,
            Err(base64::DecodeSliceError::OutputSliceTooSmall) => return Err(KeyError::Length),
            Err(base64::DecodeSliceError::DecodeError(_)) => return Err(KeyError::Base64),
        };
        if length != KEYPAIR_LENGTH {
            return Err(KeyError::Length);
        }
        let mut pair = Zeroizing::new([0; KEYPAIR_LENGTH]);
        pair.copy_from_slice(&bytes[..KEYPAIR_LENGTH]);
        let key =
            ed25519_dalek::SigningKey::from_keypair_bytes(&pair).map_err(|_| KeyError::Invalid)?;
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The key called `name` that grows from a seed, which must be random.
    ///
    /// # Errors
    ///
    /// When the name cannot be one: it is empty, or not visible ASCII without a colon.
    pub fn from_seed(
        name: &str,
        seed: &Zeroizing<[u8; SECRET_KEY_LENGTH]>,
    ) -> Result<Self, KeyError> {
        if name.contains(':') || split_name(&format!("{name}:")).is_none() {
            return Err(KeyError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        })
    }

    /// The contents of the secret key's file.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(self.key.to_keypair_bytes());
        // Room for all of it at once: a text that grows leaves unwiped copies behind.
        let mut text = Zeroizing::new(String::with_capacity(
            self.name.len() + 1 + KEYPAIR_LENGTH * 2,
        ));
        text.push_str(&self.name);
        text.push(':');
        STANDARD.encode_string(pair.as_slice(), &mut text);
        text
    }

    /// The name, as `trusted-public-keys` lists it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs a fingerprint. The same key and fingerprint always give the same signature.
    #[must_use]
    pub fn sign(&self, fingerprint: &str) -> Signature {
        Signature {
            key_name: self.name.clone(),
            bytes: self.key.sign(fingerprint.as_bytes()).to_bytes(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A named public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature` is this key's own over `fingerprint`. A signature that names another key
    /// is not.
    #[must_use]
    pub fn verify(&self, fingerprint: &str, signature: &Signature) -> bool {
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        signature.key_name == self.name
            && self
                .key
                .verify_strict(fingerprint.as_bytes(), &bytes)
                .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, encoded) = split_name(text).ok_or(KeyError::Name)?;
        let bytes: [u8; PUBLIC_KEY_LENGTH] = STANDARD
            .decode(encoded)
            .map_err(|_| KeyError::Base64)?
            .try_into()
            .map_err(|_| KeyError::Length)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Invalid)?;
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}",
            self.name,
            STANDARD.encode(self.key.as_bytes())
        )
    }
}

/// A signature and the name of the key that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key_name: String,
    bytes: [u8; SIGNATURE_LENGTH],
}

impl Signature {
    /// The name of the key.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.key_name
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (key_name, encoded) = split_name(text).ok_or(SignatureError)?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| SignatureError)?
            .try_into()
            .map_err(|_| SignatureError)?;
        Ok(Self {
            key_name: key_name.to_owned(),
            bytes,
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}",
            self.key_name,
            STANDARD.encode(self.bytes)
        )
    }
}

/// Splits `name:rest`. A name is visible ASCII, so that it cannot break the line it is written on.
fn split_name(text: &str) -> Option<(&str, &str)> {
    text.split_once(':')
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Why a text is not a key. It never holds the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is no `name:` before the key.
    #[error("the key does not begin with its name and a colon, as in `cache.example-1:…`")]
    Name,
    /// What follows the name is not base64.
    #[error("the key is not base64 with padding")]
    Base64,
    /// It is no key of the kind asked for.
    #[error("the key has the wrong length: a secret key is 64 bytes, a public key 32")]
    Length,
    /// The halves of a secret key do not match, or a public key is no point of the curve.
    #[error("the key is not a valid Ed25519 key")]
    Invalid,
}

/// A text that is not `name:` and 64 bytes of base64.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a signature: a key name, a colon and 64 bytes in base64")]
pub struct SignatureError;
