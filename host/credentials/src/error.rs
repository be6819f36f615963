//! What can be wrong with a credential. No message quotes the secret.

mod aws;
mod problem;

use std::{
    io,
    path::{Path, PathBuf},
};

use fetchhost_policy::{CredentialName, Origin, SourceSpec};

use crate::{IdentityError, source::file::FileError};

pub use aws::{AwsProblem, KeyServerProblem};
pub use problem::{AgeProblem, NetrcProblem, Problem, ProgramProblem};

/// The kinds of files that secrets are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The secret alone.
    Plain,
    /// Encrypted by age.
    Age,
    /// Entries of hosts.
    Netrc,
    /// Handed over by systemd.
    Systemd,
    /// Profiles of AWS's tools.
    Aws,
    /// A token that AWS takes for an identity.
    WebIdentity,
}

impl FileKind {
    /// What to do when there is no such file.
    fn missing(self, credential: &CredentialName, path: &Path) -> String {
        let shown = path.display();
        let correct = correct(credential);
        match self {
            Self::Plain => format!("write the secret to `{shown}` (mode 0600), or {correct}"),
            Self::Age if credential.is_typed() => format!(
                "{correct}; `nix-fetchhost credential set` stores a secret like this under a name"
            ),
            Self::Age => format!(
                "`nix-fetchhost credential set {credential}` stores the secret anew; or {correct}"
            ),
            Self::Netrc => format!(
                "write `machine HOST login NAME password SECRET` to `{shown}` (mode 0600), or {correct}"
            ),
            Self::Aws => format!("write the profile to `{shown}` (mode 0600)"),
            Self::WebIdentity => format!(
                "have the token written to `{shown}` before this command (on EKS its service account needs the annotation `eks.amazonaws.com/role-arn`), or correct or unset `AWS_WEB_IDENTITY_TOKEN_FILE`"
            ),
            Self::Systemd => format!(
                "start the unit with `LoadCredential={}:PATH`",
                path.file_name().unwrap_or_default().to_string_lossy()
            ),
        }
    }
}

/// How to say where the secret really lies.
fn correct(credential: &CredentialName) -> String {
    if credential.is_typed() {
        "correct the source after `--credential`".to_owned()
    } else {
        format!("correct `source` of `[credential.{credential}]`")
    }
}

/// Why a credential cannot be had. The run ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// There are no access keys where AWS's tools look for them.
    #[error("credential `{credential}`: {problem}")]
    Aws {
        /// Which credential.
        credential: CredentialName,
        /// Why.
        problem: AwsProblem,
    },
    /// The request cannot be signed. (The [`Keyring`](crate::Keyring) refuses secrets that hold no keys
    /// earlier, and names their source.)
    #[error("the request cannot be signed with these access keys")]
    AccessKeys,
    /// The environment variable is not set.
    #[error("credential `{credential}`: the environment variable `{variable}` is not set")]
    VariableMissing {
        /// Which credential.
        credential: CredentialName,
        /// The variable that was looked up.
        variable: String,
    },
    /// A file that cannot be read or is not to be trusted.
    #[error("credential `{credential}`: {error}")]
    File {
        /// Which credential.
        credential: CredentialName,
        /// What is wrong with the file.
        error: FileError,
        /// What kind of file it is.
        of: FileKind,
    },
    /// An age file that cannot be decrypted.
    #[error("credential `{credential}`: `{}` {problem}", .path.display())]
    Age {
        /// Which credential.
        credential: CredentialName,
        /// The encrypted file.
        path: PathBuf,
        /// What is wrong.
        problem: AgeProblem,
    },
    /// The age identity cannot be had.
    #[error("credential `{credential}`: {error}")]
    Identity {
        /// Which credential.
        credential: CredentialName,
        /// What is wrong.
        error: IdentityError,
    },
    /// A command or helper that gave no secret.
    #[error("credential `{credential}`: `{program}` {problem}")]
    Program {
        /// Which credential.
        credential: CredentialName,
        /// The program, without its arguments.
        program: String,
        /// What is wrong.
        problem: ProgramProblem,
    },
    /// A netrc file without a usable entry.
    #[error("credential `{credential}`: `{}` {problem}", .path.display())]
    Netrc {
        /// Which credential.
        credential: CredentialName,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: NetrcProblem,
    },
    /// The process was not started by systemd with credentials.
    #[error("credential `{credential}`: `$CREDENTIALS_DIRECTORY` names no folder of systemd's")]
    NoSystemd {
        /// Which credential.
        credential: CredentialName,
    },
    /// There is no home to look for a file in.
    #[error("credential `{credential}`: there is no home folder to look for `{file}` in")]
    NoHome {
        /// Which credential.
        credential: CredentialName,
        /// The file.
        file: &'static str,
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
    /// It was asked for an origin that it is not for. The broker refuses that earlier.
    #[error("credential `{credential}` is not for `{origin}`")]
    NotForOrigin {
        /// Which credential.
        credential: CredentialName,
        /// The origin.
        origin: Origin,
    },
    /// The scheme `basic` without a user name. The configuration refuses that earlier.
    #[error("`basic` needs a user name, which the source of the secret does not know")]
    NoLogin,
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

impl CredentialError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::VariableMissing {
                credential,
                variable,
            } => Some(format!(
                "set it for this command (`{variable}=… nix-fetchhost …`), or {}",
                if credential.is_typed() {
                    "name another source, as in `--credential SLOT=file:PATH`".to_owned()
                } else {
                    correct(credential)
                }
            )),
            Self::File {
                credential,
                error: FileError::Unreadable { error, path },
                of,
            } if error.kind() == io::ErrorKind::NotFound => Some(of.missing(credential, path)),
            Self::File { error, of, .. } => {
                error.hint(*of == FileKind::Plain || *of == FileKind::Netrc)
            }
            Self::Age {
                credential,
                problem,
                ..
            } => problem.hint(credential),
            Self::Identity { error, .. } => error.hint(),
            Self::Program {
                credential,
                problem,
                ..
            } => Some(problem.hint(credential)),
            Self::Netrc { problem, .. } => problem.hint(),
            Self::Aws { problem, .. } => problem.hint(),
            Self::NoSystemd { .. } => Some(
                "start the unit with `LoadCredential=` or `LoadCredentialEncrypted=`".to_owned(),
            ),
            Self::NoHome { .. } => {
                Some("set `HOME`, or write the path of the file in the configuration".to_owned())
            }
            Self::Unusable { from, problem, .. } => Some(match problem {
                Problem::Empty => format!("put the secret into `{from}`"),
                Problem::SeveralLines => format!("`{from}` must hold the token alone"),
                Problem::NoAccessKeys => {
                    format!(
                        "write the access key's id, `:` and the secret access key into `{from}`"
                    )
                }
                _ => format!("check that `{from}` holds the token as the server issued it"),
            }),
            Self::NotForOrigin { .. }
            | Self::AccessKeys
            | Self::NoLogin
            | Self::HeaderName { .. }
            | Self::HeaderValue { .. } => None,
        }
    }
}
