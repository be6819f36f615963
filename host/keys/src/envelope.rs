//! The three closed envelopes, made and verified.

mod der;
mod minisign;
mod raw;
mod sshsig;
mod text;

use std::io;

use fetchhost_policy::Use;

use crate::{Content, PublicKey, SignError, key::Material};

#[cfg(feature = "pkcs11")]
pub(crate) use der::from_fixed;
pub(crate) use raw::stream_signature;
pub(crate) use sshsig::{Signed, from_wire};
pub use text::{Comment, Namespace, TextError};

/// What a signature is wrapped in: all that belongs to it but the content and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// A file that `minisign -V` verifies, over the prehashed content.
    Minisign {
        /// Shown to whoever verifies, but not signed.
        untrusted_comment: Comment,
        /// Signed along with the content.
        trusted_comment: Comment,
    },
    /// A file that `ssh-keygen -Y verify` verifies.
    Sshsig {
        /// What the signature is for: it is valid for nothing else.
        namespace: Namespace,
    },
    /// The bare signature, as `openssl` makes it.
    Raw {
        /// How RSA pads. Other algorithms have no padding.
        padding: Padding,
    },
}

/// How RSA pads what it signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// PSS (RFC 8017, section 8.1) with a salt as long as the digest. Each signature is another one.
    #[default]
    Pss,
    /// PKCS#1 v1.5 (RFC 8017, section 8.2), for those who know no PSS.
    Pkcs1,
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is not of this kind.
    #[error("this is no signature of the kind `{0}`, or a damaged one")]
    Damaged(Use),
    /// Of another key.
    #[error("the signature was made by another key")]
    OtherKey,
    /// For another namespace.
    #[error("the signature is for another namespace than `{0}`")]
    OtherNamespace(Namespace),
    /// With another comment.
    #[error("the signature has other comments than it should have")]
    OtherComment,
    /// The key's kind makes none such.
    #[error("a key of this kind makes no signatures of the kind `{0}`")]
    OtherKind(Use),
    /// Not valid over this content.
    #[error("the signature is not valid for this content")]
    Invalid,
    /// The content cannot be read.
    #[error("the content cannot be read: {0}")]
    Read(io::Error),
}

/// What the host's signatures say in the comment that is not signed. It is the same whatever the key is called and
/// whoever signs, so that who remembers a signature knows the whole of it.
const UNTRUSTED_COMMENT: &str = "signature from nix-fetchhost";

impl Envelope {
    /// The envelope of minisign's with this trusted comment, and the host's own untrusted one.
    #[must_use]
    pub fn minisign(trusted_comment: Comment) -> Self {
        Self::Minisign {
            untrusted_comment: Comment::fixed(UNTRUSTED_COMMENT),
            trusted_comment,
        }
    }

    /// What a key must be for to make it.
    #[must_use]
    pub const fn asks(&self) -> Use {
        match self {
            Self::Minisign { .. } => Use::Minisign,
            Self::Sshsig { .. } => Use::Sshsig,
            Self::Raw { .. } => Use::Raw,
        }
    }

    /// The signature, made by key material whose use was checked.
    pub(crate) fn make(
        &self,
        material: &Material,
        public: &PublicKey,
        content: &Content,
    ) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Minisign {
                untrusted_comment,
                trusted_comment,
            } => minisign::make(
                material,
                public,
                content.digests(),
                untrusted_comment,
                trusted_comment,
            ),
            Self::Sshsig { namespace } => {
                sshsig::make(material, public, content.digests(), namespace)
            }
            Self::Raw { padding } => raw::make(material, public, content, *padding),
        }
    }
}

impl PublicKey {
    /// Whether `signature`, in this envelope and over this content, is this key's.
    ///
    /// # Errors
    /// [`VerifyError`], when it is not, or the content cannot be read.
    pub fn verify(
        &self,
        envelope: &Envelope,
        content: &Content,
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        match envelope {
            Envelope::Minisign {
                untrusted_comment,
                trusted_comment,
            } => minisign::verify(
                self,
                content.digests(),
                (untrusted_comment, trusted_comment),
                signature,
            ),
            Envelope::Sshsig { namespace } => {
                sshsig::verify(self, content.digests(), namespace, signature)
            }
            Envelope::Raw { padding } => raw::verify(self, content, *padding, signature),
        }
    }
}
