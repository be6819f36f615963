//! What can be wrong with a credential. No message quotes the secret.

use std::{io, path::PathBuf};

use fetchhost_policy::{CredentialName, SourceSpec};

/// Why a credential cannot be had. The run ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The environment variable is not set.
    #[error("credential `{credential}`: the environment variable `{variable}` is not set")]
    VariableMissing {
        /// Which credential.
        credential: CredentialName,
        /// The variable that was looked up.
        variable: String,
    },
    /// The file cannot be opened or read.
    #[error("credential `{credential}`: cannot read `{}`: {error}", .path.display())]
    FileUnreadable {
        /// Which credential.
        credential: CredentialName,
        /// The file as configured.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is a folder, a socket or a block device.
    #[error("credential `{credential}`: `{}` is not a file", .path.display())]
    NotAFile {
        /// Which credential.
        credential: CredentialName,
        /// The file as configured.
        path: PathBuf,
    },
    /// The file belongs to somebody who is neither the user nor root.
    #[error("credential `{credential}`: `{}` belongs to uid {owner}, who is neither you nor root", .path.display())]
    FileOwner {
        /// Which credential.
        credential: CredentialName,
        /// The file as configured.
        path: PathBuf,
        /// The owner found.
        owner: u32,
    },
    /// Others than the owner may read or write the file.
    #[error("credential `{credential}`: `{}` is open to others (mode {mode:04o})", .path.display())]
    FilePermissions {
        /// Which credential.
        credential: CredentialName,
        /// The file as configured.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// What the source holds cannot be used as a secret.
    #[error("credential `{credential}`: the content of `{from}` {problem}")]
    Unusable {
        /// Which credential.
        credential: CredentialName,
        /// Where it was read.
        from: SourceSpec,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A header name in a scheme that HTTP does not know.
    #[error("`{name}` is not the name of an HTTP header")]
    HeaderName {
        /// The name as configured.
        name: String,
    },
    /// The secret has bytes that no header carries. The keyring refuses such secrets earlier and says
    /// where they came from; this is the last line of defence.
    #[error("the secret for the header `{name}` has bytes in it that a header cannot carry")]
    HeaderValue {
        /// The header.
        name: http::HeaderName,
    },
}

/// What is wrong with the content of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing there, or only line ends.
    #[error("is empty")]
    Empty,
    /// More than one line.
    #[error("has several lines, and a secret is one line")]
    SeveralLines,
    /// NUL, escape, tab and the like.
    #[error("has a control character in it")]
    ControlCharacter,
    /// White space that HTTP would strip.
    #[error("begins or ends with a space")]
    OuterSpace,
    /// Characters that a header cannot carry.
    #[error("has a character outside ASCII in it, which a header cannot carry")]
    NotAscii,
    /// Bytes that are not text.
    #[error("is not UTF-8 text")]
    NotText,
    /// Larger than any token.
    #[error("is larger than 64 KiB, which no token is")]
    TooLarge,
}

impl CredentialError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::VariableMissing { variable, .. } => Some(format!(
                "set it for this command (`{variable}=… nix-fetchhost …`) or name another source with `--credential SLOT=file:PATH`"
            )),
            Self::FileUnreadable { error, path, .. } if error.kind() == io::ErrorKind::NotFound => {
                Some(format!(
                    "write the secret to `{}` (mode 0600) or correct the `source` of the credential",
                    path.display()
                ))
            }
            Self::FileUnreadable { .. } | Self::HeaderName { .. } | Self::HeaderValue { .. } => {
                None
            }
            Self::NotAFile { .. } => Some(String::from("name the file that holds the secret")),
            Self::FileOwner { path, .. } => Some(format!(
                "whoever owns the file decides what is sent: copy the secret to a file of yours, or `chown` `{}`",
                path.display()
            )),
            Self::FilePermissions { path, .. } => Some(format!(
                "run `chmod 600 {path}`, or allow it in the configuration: `source = {{ file = \"{path}\", insecure-permissions = true }}`",
                path = path.display()
            )),
            Self::Unusable { from, problem, .. } => Some(match problem {
                Problem::Empty => format!("put the secret into `{from}`"),
                Problem::SeveralLines => format!("`{from}` must hold the token alone"),
                _ => format!("check that `{from}` holds the token as the server issued it"),
            }),
        }
    }
}
