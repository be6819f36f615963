//! A key that is unlocked, and the one place where signing is handed out.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{Digest, SHA256},
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding},
};
use ed25519_dalek::Signer as _;
use fetchhost_policy::{KeyName, Use, Uses};

use crate::{
    Content, Envelope, Padding, PublicKey, SignError,
    agent::AgentKey,
    envelope::{Signed, stream_signature},
};

/// What a key calculates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over the curve P-256.
    EcdsaP256,
    /// RSA, with 3072 bits at least.
    Rsa,
}

impl Algorithm {
    /// What fingerprints call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa => "rsa",
        }
    }

    /// What SSH calls its public keys.
    pub(crate) const fn ssh_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::Rsa => "ssh-rsa",
        }
    }
}

/// What a key came as, which decides what it may ever sign: the first table at the top of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Minisign,
    OpenSsh,
    Agent,
    Pkcs8,
    #[cfg(feature = "pkcs11")]
    Token,
}

impl Kind {
    pub(crate) fn allows(self, asked: Use) -> bool {
        match self {
            Self::Minisign => asked == Use::Minisign,
            Self::OpenSsh | Self::Agent => asked == Use::Sshsig,
            Self::Pkcs8 => matches!(asked, Use::Sshsig | Use::Raw),
            #[cfg(feature = "pkcs11")]
            Self::Token => matches!(asked, Use::Sshsig | Use::Raw),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Minisign => "a key of minisign's",
            Self::OpenSsh => "a key of SSH's",
            Self::Agent => "a key in an agent",
            Self::Pkcs8 => "a key in PKCS#8",
            #[cfg(feature = "pkcs11")]
            Self::Token => "a key on a token",
        }
    }
}

/// Whatever signs. What is in memory here is wiped when it is dropped: by ed25519-dalek, and by AWS-LC, which clears
/// all that it frees.
pub(crate) enum Material {
    Ed25519(ed25519_dalek::SigningKey),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Agent(AgentKey),
    #[cfg(feature = "pkcs11")]
    Token(crate::pkcs11::TokenKey),
}

impl Material {
    /// The bare signature over what `sshsig` signs.
    pub(crate) fn sign_sshsig(&self, signed: &Signed) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(signed.as_bytes()).to_bytes().to_vec()),
            Self::P256(key) => key
                .sign(&SystemRandom::new(), signed.as_bytes())
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Failed),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA512,
                    &SystemRandom::new(),
                    signed.as_bytes(),
                    &mut signature,
                )
                .map_err(|_| SignError::Failed)?;
                Ok(signature)
            }
            Self::Agent(key) => key.sign(signed).map_err(SignError::Agent),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.sign_sshsig(signed).map_err(SignError::Token),
        }
    }

    /// The bare signature over a content.
    pub(crate) fn sign_content(
        &self,
        content: &Content,
        padding: Padding,
    ) -> Result<Vec<u8>, SignError> {
        let sha256 = content.digests().sha256();
        let digest = Digest::import_less_safe(sha256, &SHA256).map_err(|_| SignError::Failed)?;
        match self {
            Self::Ed25519(key) => stream_signature(key, content),
            Self::P256(key) => key
                .sign_digest(&digest)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Failed),
            Self::Rsa(key) => {
                let encoding: &'static dyn RsaEncoding = match padding {
                    Padding::Pss => &RSA_PSS_SHA256,
                    Padding::Pkcs1 => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(encoding, &digest, &mut signature)
                    .map_err(|_| SignError::Failed)?;
                Ok(signature)
            }
            // It could be a login.
            Self::Agent(_) => Err(SignError::OtherKind(Use::Raw)),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.sign_sha256(sha256, padding).map_err(SignError::Token),
        }
    }
}

/// A key whose passphrase was given, and its public half.
pub(crate) struct Unlocked {
    pub(crate) kind: Kind,
    pub(crate) material: Material,
    pub(crate) public: PublicKey,
}

/// A key that signs what it is for. It shows nothing of itself but its name and its public half.
#[derive(Clone)]
pub struct Key {
    pub(crate) name: KeyName,
    pub(crate) uses: Uses,
    pub(crate) unlocked: Arc<Unlocked>,
}

impl Key {
    /// What the configuration calls it.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.unlocked.public
    }

    /// Signs `content`. Blocks: on an agent or a token, and, for `raw` with Ed25519, on the content.
    ///
    /// # Errors
    /// [`SignError`], when the key is not for this, the content must not be signed, or it cannot be done.
    pub fn sign(&self, envelope: &Envelope, content: &Content) -> Result<Vec<u8>, SignError> {
        let asked = envelope.asks();
        if !self.uses.allow(asked) {
            return Err(SignError::NotForUse {
                key: self.name.clone(),
                asked,
            });
        }
        if !self.unlocked.kind.allows(asked) {
            return Err(SignError::OtherKind(asked));
        }
        envelope.make(&self.unlocked.material, &self.unlocked.public, content)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("public", &self.unlocked.public)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many contents are signed side by side with one key.
    #[test]
    fn a_key_is_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Key>();
        shared::<Content>();
        shared::<crate::Signers>();
    }
}
