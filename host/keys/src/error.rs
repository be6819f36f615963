//! What can be wrong with a key and with signing. No message quotes a secret.

mod place;

use std::{
    io,
    path::{Path, PathBuf},
};

use fetchhost_credentials::{AgeFileError, AgeProblem, FileError, IDENTITY_VARIABLE};
use fetchhost_policy::{KeyName, Use};

use crate::{Danger, PublicKeyError};
pub use place::{AgentProblem, TokenProblem};

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("key `{key}`: {problem}")]
pub struct KeyError {
    /// Which key.
    pub key: KeyName,
    /// Why.
    pub problem: KeyProblem,
}

impl KeyError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.problem.hint(&self.key)
    }
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The file cannot be read, or others can.
    #[error("{0}")]
    File(FileError),
    /// The age file gives nothing.
    #[error("{0}")]
    Age(AgeFileError),
    /// What the file holds is no key that can be used.
    #[error("`{}` {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: ContentProblem,
    },
    /// The public half is not one that is used here.
    #[error("{0}")]
    Public(PublicKeyError),
    /// The configuration names another public key.
    #[error("it is another key than its `public-key` says")]
    OtherPublicKey,
    /// Nothing says what its public half is, short of unlocking it.
    #[error("its public half shows only when it is unlocked")]
    Locked,
    /// A key of this kind is never used for that.
    #[error("{kind} is never used for `{asked}`")]
    Use {
        /// The kind of key.
        kind: &'static str,
        /// What the configuration would use it for.
        asked: Use,
    },
    /// An agent does not give it.
    #[error("{0}")]
    Agent(AgentProblem),
    /// A token does not give it.
    #[error("{0}")]
    Token(TokenProblem),
    /// The program was built without PKCS#11.
    #[error("this program was built without PKCS#11")]
    NoPkcs11,
    /// The PIN's variable or file gives none.
    #[error("the PIN: {0}")]
    Pin(String),
}

/// Why the content of a file is no key that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentProblem {
    /// No form that is read here.
    #[error("is no private key of minisign's, of OpenSSH's, or in PKCS#8")]
    Unrecognised,
    /// An older form of PEM.
    #[error("holds `{0}`, which is not read here")]
    OldForm(String),
    /// Something is wrong with it.
    #[error("is damaged")]
    Damaged,
    /// It is encrypted in a way that is not read here.
    #[error("is encrypted in a way that is not read here (`{0}`)")]
    Cipher(String),
    /// The passphrase does not open it.
    #[error("does not open with this passphrase")]
    WrongPassphrase,
    /// It asks for more work than is sensible.
    #[error("demands more work to be opened than a passphrase is worth")]
    TooMuchWork,
    /// Nobody can be asked.
    #[error("is locked with a passphrase, and there is no terminal to ask for it")]
    NoTerminal,
    /// The user was asked, but did not answer.
    #[error("is locked with a passphrase, which was not entered: {0}")]
    NotEntered(io::Error),
    /// Its public half is not one that is used here.
    #[error("cannot be used: {0}")]
    Public(PublicKeyError),
}

impl From<PublicKeyError> for ContentProblem {
    fn from(error: PublicKeyError) -> Self {
        match error {
            PublicKeyError::Damaged | PublicKeyError::Unrecognised => Self::Damaged,
            other => Self::Public(other),
        }
    }
}

impl KeyProblem {
    fn hint(&self, key: &KeyName) -> Option<String> {
        Some(match self {
            Self::File(FileError::Unreadable { error, path })
            | Self::Age(AgeFileError::File(FileError::Unreadable { error, path }))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                format!(
                    "put the key at `{}` (mode 0600), or correct `source` of `[key.{key}]`",
                    path.display()
                )
            }
            Self::File(error) | Self::Age(AgeFileError::File(error)) => return error.hint(false),
            Self::Age(AgeFileError::Age { problem, .. }) => match problem {
                AgeProblem::OtherIdentity => format!(
                    "`{IDENTITY_VARIABLE}` names another file of identities; or encrypt the key again, to the one in use"
                ),
                AgeProblem::NoTerminal => {
                    "where nobody can type, encrypt it to an identity instead of a passphrase"
                        .to_owned()
                }
                AgeProblem::WrongPassphrase => {
                    "run it again and enter the passphrase that the file was encrypted with"
                        .to_owned()
                }
                AgeProblem::NotEntered(_) => "run it again and enter the passphrase".to_owned(),
                _ => "encrypt the key again, as `age` does".to_owned(),
            },
            Self::Age(AgeFileError::Identity(error)) => return error.hint(),
            Self::Content { path, problem } => problem.hint(path),
            Self::Public(error) => error.hint().to_owned(),
            Self::OtherPublicKey => {
                format!("check `source` and `public-key` of `[key.{key}]`: one of them was changed")
            }
            Self::Locked => {
                format!(
                    "write the public key as `public-key` into `[key.{key}]`; `nix-fetchhost key show {key}` prints it"
                )
            }
            Self::Use { asked, .. } => {
                format!("take `{asked}` out of `use` of `[key.{key}]`, or name another key for it")
            }
            Self::Agent(problem) => problem.hint(),
            Self::Token(problem) => problem.hint(),
            Self::NoPkcs11 => "build it with `cargo install --features pkcs11`".to_owned(),
            Self::Pin(_) => format!("correct `pin` of `[key.{key}]`"),
        })
    }
}

impl ContentProblem {
    fn hint(&self, path: &Path) -> String {
        match self {
            Self::Unrecognised => "`minisign -G`, `ssh-keygen` and `openssl genpkey` write such files; keys of Nix's sign caches only".to_owned(),
            Self::OldForm(_) => format!(
                "write it anew: `openssl pkcs8 -topk8 -in {} -out NEW`",
                path.display()
            ),
            Self::Damaged => "restore it from a copy, or make another key".to_owned(),
            Self::Cipher(_) => "give it its passphrase anew with a recent `ssh-keygen -p` or `openssl pkcs8 -topk8`".to_owned(),
            Self::WrongPassphrase => {
                "run it again and enter the passphrase of this key".to_owned()
            }
            Self::TooMuchWork => "give it its passphrase anew, with fewer rounds".to_owned(),
            Self::NoTerminal => "where nobody can type, use an agent (`ssh-add`), or keep the key without a passphrase in a file that age encrypted; what is remembered needs no passphrase where `public-key` is configured".to_owned(),
            Self::NotEntered(_) => "run it again and enter the passphrase".to_owned(),
            Self::Public(error) => error.hint().to_owned(),
        }
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The user did not say that the key is for this.
    #[error("key `{key}` is not for `{asked}`")]
    NotForUse {
        /// Which key.
        key: KeyName,
        /// What was asked of it.
        asked: Use,
    },
    /// The kind of key is never used for this.
    #[error("a key of this kind is never used for `{0}`")]
    OtherKind(Use),
    /// The content is something else to another protocol.
    #[error("the content {0}, and a bare signature over it would be one")]
    Danger(Danger),
    /// It was not the same each time it was read.
    #[error("the content has changed while it was signed")]
    ContentChanged,
    /// It cannot be read.
    #[error("the content cannot be read: {0}")]
    Read(io::Error),
    /// The agent did not sign.
    #[error("{0}")]
    Agent(AgentProblem),
    /// The token did not sign.
    #[error("{0}")]
    Token(TokenProblem),
    /// The calculation failed, or gave what the public key does not verify.
    #[error("the key gave no valid signature")]
    Failed,
}

impl SignError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotForUse { key, asked } => {
                Some(format!("add `{asked}` to `use` of `[key.{key}]` if it is to be"))
            }
            Self::OtherKind(_) => Some(
                "minisign's keys sign `minisign`, SSH's `sshsig`, and keys in PKCS#8 or on tokens `sshsig` and `raw`".to_owned(),
            ),
            Self::Danger(_) => Some("sign it as `sshsig` or `minisign`, which no other protocol takes".to_owned()),
            Self::ContentChanged => Some("run it again when nobody writes to it".to_owned()),
            Self::Agent(problem) => Some(problem.hint()),
            Self::Token(problem) => Some(problem.hint()),
            Self::Failed => Some("run it again; if it stays, the key or its hardware is damaged".to_owned()),
            Self::Read(_) => None,
        }
    }
}
