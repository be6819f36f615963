//! Signing keys that stay in the host, and the envelopes that they sign.
//!
//! **The threat.** A module, or an expression that somebody else wrote, is handed a key and signs with it what its
//! owner never saw: a login, a store path, another program's message. Or the key itself, or its passphrase, ends up
//! where it can be read.
//!
//! **The rule.** Nobody signs a message. The host builds what is signed, one of three [`Envelope`]s over a content
//! that it has read itself; a key says which of them it is for; and only [`Key::sign`] signs. A key leaves its file
//! or token for this crate's memory at most, where it is wiped when dropped.
//!
//! | key | `minisign` | `sshsig` | `raw` |
//! |---|---|---|---|
//! | minisign's secret key file | yes | no | no: it could sign what `minisign` signs |
//! | OpenSSH's private key file | no | yes | no: it could sign a login |
//! | an agent of SSH's | no | yes | no: it could sign a login |
//! | PKCS#8 | no | yes | yes |
//! | PKCS#11 | no | yes | yes, ECDSA and RSA |
//!
//! | envelope | what is signed | by |
//! |---|---|---|
//! | `minisign` | the BLAKE2b-512 of the content; then that signature and the trusted comment | Ed25519 |
//! | `sshsig` | `SSHSIG`, the namespace, `sha512` and the SHA-512 of the content | Ed25519, ECDSA P-256, RSA (PKCS#1, SHA-512) |
//! | `raw` | the content | Ed25519, ECDSA P-256 (SHA-256), RSA (PSS or PKCS#1, SHA-256) |
//!
//! What `raw` refuses to sign, whatever the key, is in [`Danger`].

#![forbid(unsafe_code)]

mod agent;
mod armor;
mod content;
mod danger;
mod envelope;
mod error;
mod file;
mod key;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod public;
mod signers;
mod wire;

pub use content::{Content, ContentDigests, Digester};
pub use danger::Danger;
pub use envelope::{Comment, Envelope, Namespace, Padding, TextError, VerifyError};
pub use error::{AgentProblem, ContentProblem, KeyError, KeyProblem, SignError, TokenProblem};
pub use key::{Algorithm, Key};
pub use public::{PublicKey, PublicKeyError};
pub use signers::Signers;
