//! What can be wrong with each kind of source.

use std::{io, process::ExitStatus, time::Duration};

use fetchhost_policy::CredentialName;

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
    /// Not what signs requests to AWS.
    #[error(
        "holds no access keys: `ID:SECRET`, `ID:SECRET:SESSION-TOKEN`, or JSON with `AccessKeyId` and `SecretAccessKey`"
    )]
    NoAccessKeys,
}

/// Why an age file gives no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgeProblem {
    /// Not an age file, or a damaged one.
    #[error("is not an age file, or is damaged")]
    Damaged,
    /// Encrypted to somebody else.
    #[error("is not encrypted to your identity")]
    OtherIdentity,
    /// The passphrase does not open it.
    #[error("does not open with this passphrase")]
    WrongPassphrase,
    /// It asks for more work than is sensible to open.
    #[error("demands more work to be opened than a passphrase is worth")]
    TooMuchWork,
    /// A passphrase is needed and nobody can be asked.
    #[error("is encrypted with a passphrase, and there is no terminal to ask for it")]
    NoTerminal,
    /// The terminal failed, or the user pressed the interrupt key.
    #[error("is encrypted with a passphrase, which was not entered: {0}")]
    NotEntered(io::Error),
}

impl AgeProblem {
    pub(super) fn hint(&self, credential: &CredentialName) -> Option<String> {
        match self {
            Self::Damaged if credential.is_typed() => {
                Some("encrypt the secret again, as `age` does".to_owned())
            }
            Self::OtherIdentity if credential.is_typed() => Some(format!(
                "`{}` names another file of identities; or encrypt the secret again, to the one in use",
                crate::IDENTITY_VARIABLE
            )),
            Self::Damaged => Some(format!(
                "encrypt the secret again; `nix-fetchhost credential set {credential}` does"
            )),
            Self::OtherIdentity => Some(format!(
                "`{}` names another file of identities; `nix-fetchhost credential set {credential}` encrypts to the one in use",
                crate::IDENTITY_VARIABLE
            )),
            Self::NoTerminal => Some(
                "where nobody can type, encrypt it to an identity instead of a passphrase"
                    .to_owned(),
            ),
            Self::WrongPassphrase => Some(
                "run it again and enter the passphrase that the file was encrypted with".to_owned(),
            ),
            Self::TooMuchWork => {
                Some("encrypt the secret again; `age --passphrase` asks for less work".to_owned())
            }
            Self::NotEntered(error) if error.kind() == io::ErrorKind::InvalidData => {
                Some("use a shorter passphrase, or encrypt the secret to an identity".to_owned())
            }
            Self::NotEntered(_) => Some(
                "run it again and enter the passphrase, or encrypt the secret to an identity"
                    .to_owned(),
            ),
        }
    }
}

/// Why a program gives no secret. What it wrote is never part of it: that may be the secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramProblem {
    /// It cannot be started.
    #[error("cannot be started: {0}")]
    Start(io::Error),
    /// It ended with a status that is not success.
    #[error("failed: {0}")]
    Failed(ExitStatus),
    /// It did not end in its time.
    #[error("did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The run was given up while it ran.
    #[error("was stopped")]
    Cancelled,
    /// It could not be talked to.
    #[error("cannot be talked to: {0}")]
    Pipe(io::Error),
    /// It wrote more than any token.
    #[error("wrote more than 64 KiB, which no token is")]
    TooLarge,
    /// What a helper wrote is not what a helper writes.
    #[error("does not answer as a credential helper: {0}")]
    Protocol(&'static str),
    /// A helper does not give the header that the scheme names.
    #[error("gives no header `{0}`")]
    NoHeader(String),
    /// A helper gives several values of the header.
    #[error("gives several values of the header `{0}`")]
    SeveralValues(String),
    /// What a helper gives has expired already.
    #[error("gives a credential that has expired already")]
    Expired,
}

impl ProgramProblem {
    pub(super) fn hint(&self, credential: &CredentialName) -> String {
        match self {
            Self::Start(_) => format!(
                "check the program in `source` of `[credential.{credential}]`; no shell looks for it"
            ),
            Self::Timeout(_) => format!(
                "write a longer `timeout` into `source` of `[credential.{credential}]` if it needs more"
            ),
            Self::NoHeader(_) | Self::SeveralValues(_) => format!(
                "name the header that it gives as `scheme = \"header:NAME\"` of `[credential.{credential}]`"
            ),
            Self::Cancelled => "run the same command again, with a longer `--timeout` if that was too short".to_owned(),
            Self::Expired => "check the clock, and what the helper caches".to_owned(),
            _ => "run it yourself to see what it says; its messages are not shown, because they can hold the secret".to_owned(),
        }
    }
}

/// Why a netrc file gives no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetrcProblem {
    /// No entry for the host.
    #[error("has no entry for `{0}`")]
    NoEntry(String),
    /// An entry for the host, but not for the user name.
    #[error("has no entry for `{host}` with the user name that the scheme says")]
    NoLogin {
        /// The host.
        host: String,
    },
    /// Several entries, and nothing to choose by.
    #[error("has several entries for `{0}`")]
    Several(String),
    /// The entry has no password.
    #[error("has no password in its entry for `{0}`")]
    NoPassword(String),
    /// The entry has no user name, which the scheme wants.
    #[error("has no user name in its entry for `{0}`")]
    NoUser(String),
    /// A word that no netrc has. It is not shown.
    #[error("is not a netrc file: line {0} has a word that none has there")]
    Word(usize),
    /// A keyword without its value.
    #[error("is not a netrc file: line {line} ends a `{keyword}` without a value")]
    NoValue {
        /// The line.
        line: usize,
        /// The keyword.
        keyword: &'static str,
    },
    /// A keyword twice in one entry.
    #[error("is not a netrc file: line {line} has a second `{keyword}` in one entry")]
    Twice {
        /// The line.
        line: usize,
        /// The keyword.
        keyword: &'static str,
    },
    /// A quoted word without its end.
    #[error("is not a netrc file: line {0} opens a quote that it does not close")]
    Quote(usize),
    /// A backslash in quotes before what needs none.
    #[error("is not a netrc file: line {0} has a `\\` in quotes that is neither `\\\"` nor `\\\\`")]
    Escape(usize),
    /// A user name that `basic` cannot carry.
    #[error("has a user name on line {0} that `basic` cannot carry")]
    User(usize),
    /// Bytes that are not text.
    #[error("is not UTF-8 text")]
    NotText,
    /// Larger than any netrc.
    #[error("is larger than 1 MiB, which no netrc is")]
    TooLarge,
}

impl NetrcProblem {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoEntry(host) => Some(format!(
                "add `machine {host} login NAME password SECRET`; a `default` entry counts only with `use-default = true`"
            )),
            Self::Several(_) => Some(
                "say which with `scheme = \"basic:USER\"`, or leave one entry in the file"
                    .to_owned(),
            ),
            Self::NoUser(_) => Some("write the user name as `scheme = \"basic:USER\"`".to_owned()),
            Self::NoLogin { host } => Some(format!(
                "add `machine {host} login NAME password SECRET` with that name, or correct `scheme`"
            )),
            Self::NoPassword(host) => Some(format!(
                "complete it: `machine {host} login NAME password SECRET`"
            )),
            Self::Word(_) | Self::NoValue { .. } | Self::Twice { .. } | Self::User(_) => Some(
                "correct that line; an entry is `machine HOST login NAME password SECRET`, and a word with spaces is quoted"
                    .to_owned(),
            ),
            Self::Quote(_) | Self::Escape(_) => Some(
                "correct that line; in quotes, `\"` is written `\\\"` and `\\` is written `\\\\`".to_owned(),
            ),
            Self::NotText | Self::TooLarge => {
                Some("check that the credential names a netrc file".to_owned())
            }
        }
    }
}
