//! What can be wrong with those who keep a key to themselves.

use std::{io, path::PathBuf};

/// Why an agent gives no key or no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentProblem {
    /// Nothing says where it is.
    #[error("there is no agent: `$SSH_AUTH_SOCK` is not set")]
    NoSocket,
    /// Nobody answers there.
    #[error("there is no agent at `{}`: {error}", .socket.display())]
    Connect {
        /// Where.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It broke off, or took too long.
    #[error("the agent does not answer: {0}")]
    Io(io::Error),
    /// What it says is not the protocol's.
    #[error("what answers at the agent's socket is no agent")]
    Protocol,
    /// It has nothing to offer.
    #[error("the agent holds no key at all: it is empty or locked")]
    Empty,
    /// It has others.
    #[error("the agent does not hold the key `{0}`")]
    NoKey(String),
    /// It did not sign.
    #[error("the agent refused to sign: it is locked, or its question was answered with no")]
    Refused,
}

impl AgentProblem {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::NoSocket | Self::Connect { .. } => {
                "start one with `eval $(ssh-agent)`, or name its socket in `source` of the key"
            }
            Self::Io(_) => "see whether it waits for a confirmation; `ssh-add -l` talks to it too",
            Self::Protocol => "check that `SSH_AUTH_SOCK` is the socket of an agent of SSH's",
            Self::Empty => "unlock it with `ssh-add -X`, or add the key with `ssh-add FILE`",
            Self::NoKey(_) => "add it with `ssh-add FILE`; `ssh-add -l` lists what the agent holds",
            Self::Refused => "unlock it with `ssh-add -X`, or confirm when it asks",
        }
        .to_owned()
    }
}

/// Why a token gives no key or no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenProblem {
    /// Its library cannot be used.
    #[error("the library `{}` cannot be used: {why}", .path.display())]
    Library {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It is not there.
    #[error("there is no token `{0}`")]
    NoToken(String),
    /// Several are there.
    #[error("there are several tokens `{0}`")]
    SeveralTokens(String),
    /// It has no such key.
    #[error("the token `{token}` has no key `{key}`")]
    NoKey {
        /// Which token.
        token: String,
        /// Which key.
        key: String,
    },
    /// It has several.
    #[error("the token `{token}` has several keys `{key}`")]
    SeveralKeys {
        /// Which token.
        token: String,
        /// Which key.
        key: String,
    },
    /// The key's public half is missing, or of another kind.
    #[error("the key `{0}` on the token is neither ECDSA over P-256 nor RSA")]
    Unsupported(String),
    /// The PIN is wrong.
    #[error("the token `{0}` does not open with this PIN")]
    WrongPin(String),
    /// Too many wrong ones.
    #[error("the PIN of the token `{0}` is locked after too many wrong ones")]
    PinLocked(String),
    /// Nobody can be asked for the PIN.
    #[error("the token `{0}` wants a PIN, and there is no terminal to ask for it")]
    NoTerminal(String),
    /// The user was asked, but did not answer.
    #[error("the token `{0}` wants a PIN, which was not entered")]
    NotEntered(String),
    /// Anything else that the library says.
    #[error("the token failed: {0}")]
    Failed(String),
}

impl TokenProblem {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Library { .. } => {
                "name the token's own PKCS#11 library by its absolute path, such as `/usr/lib/softhsm/libsofthsm2.so`"
            }
            Self::NoToken(_) | Self::SeveralTokens(_) => {
                "plug it in; `pkcs11-tool --module LIBRARY --list-token-slots` lists tokens and their labels"
            }
            Self::NoKey { .. } | Self::SeveralKeys { .. } => {
                "`pkcs11-tool --module LIBRARY --login --list-objects` lists keys and their labels; both halves of a key need the same one"
            }
            Self::Unsupported(_) => "make a key of ECDSA P-256 or RSA of 3072 bits on the token",
            Self::WrongPin(_) => "mind that tokens lock themselves after a few wrong PINs",
            Self::PinLocked(_) => "unlock it with its PUK or security officer's PIN",
            Self::NoTerminal(_) => "where nobody can type, write `pin` into `source` of the key",
            Self::NotEntered(_) => "run it again and enter the PIN",
            Self::Failed(_) => "see that the token is plugged in and works with its own tools",
        }
        .to_owned()
    }
}
