//! What can go wrong with a module: while it is loaded, and while it runs.
//!
//! Every text that comes from the module is escaped and cut before it gets here.

use std::fmt;
use std::time::Duration;

use fetchhost_policy::describe::DescribeError;
use fetchhost_policy::{CredentialName, Denial, Origin, Overrun};
use fetchhost_transport::TransportError;

use crate::imports::Version;
use crate::signing::{InputError, SigningError};

/// Why a module cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The module is larger than `[limits] module-bytes` allows.
    #[error(transparent)]
    TooLarge(Overrun),
    /// The bytes are no WebAssembly component.
    #[error("not a WebAssembly component: {detail}")]
    NotAComponent {
        /// What they are instead, or where they are malformed.
        detail: String,
    },
    /// A module of this program cannot be unpacked.
    #[error("this program is damaged: a module that came with it cannot be unpacked: {detail}")]
    Packed {
        /// Where the bytes are malformed.
        detail: String,
    },
    /// The module was built for a later version of the contract.
    #[error("import `{import}` needs host ≥ {wanted}; this host offers {offered}")]
    NeedsHost {
        /// The import that says so.
        import: String,
        /// The version that it names.
        wanted: Version,
        /// The version that this host offers.
        offered: Version,
    },
    /// The module imports something that no host of this kind offers.
    #[error("import `{name}` is unknown to this host")]
    UnknownImport {
        /// The import's name.
        name: String,
    },
    /// The module does not export what every fetcher module exports.
    #[error("the module has no export `{name}`")]
    MissingExport {
        /// The export's name.
        name: &'static str,
    },
    /// The component is malformed, or uses what this host does not support.
    #[error("invalid component: {detail}")]
    Invalid {
        /// What the compiler says.
        detail: String,
    },
    /// An import or export has another type than the contract says.
    #[error("the module does not fit the contract: {detail}")]
    Unfit {
        /// Which one, and how it differs.
        detail: String,
    },
    /// The compiler itself failed, most often because the module needs too much of it.
    #[error("compiling the module failed: {detail}")]
    Compiler {
        /// What happened.
        detail: String,
    },
    /// The module did not survive describing itself.
    #[error("while describing itself, {0}")]
    Misbehaved(Misbehaved),
    /// The module's description is not one.
    #[error(transparent)]
    Description(#[from] DescribeError),
    /// The sandbox cannot be set up on this machine.
    #[error("cannot set up the sandbox: {detail}")]
    Sandbox {
        /// What is missing.
        detail: String,
    },
}

impl ModuleError {
    /// What to do about it, where something can be done.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge(overrun) => overrun.hint(),
            Self::Misbehaved(misbehaved) => misbehaved.hint(),
            Self::NeedsHost { .. } => {
                Some("install a newer nix-fetchhost, or an older version of the module".to_owned())
            }
            Self::Packed { .. } => Some("install nix-fetchhost again".to_owned()),
            Self::UnknownImport { .. } => Some(
                "a fetcher imports `nix-fetchhost:fetcher` and `wasi:` interfaces only".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Why a fetch gave no plan.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailure {
    /// The module offers no fetcher of this name.
    #[error("the module offers no fetcher `{0}`")]
    UnknownFetcher(String),
    /// The fetcher says that it failed, and why.
    #[error(transparent)]
    Reported(Reported),
    /// The broker denied a request, and the fetcher could not do without. Whatever it reported is
    /// not looked at: a module can neither forge nor hide a denial.
    #[error("{0}")]
    Denied(Denial),
    /// A request failed in a way that is told better by who sent it than by who asked for it.
    #[error(transparent)]
    Transport(TransportError),
    /// Nothing was signed, and the fetcher could not do without. What it reported is not looked at.
    #[error(transparent)]
    Signing(SigningError),
    /// The fetcher did not get an input. What it reported is not looked at.
    #[error(transparent)]
    Input(InputError),
    /// The module did what no module may do.
    #[error(transparent)]
    Misbehaved(Misbehaved),
    /// The host could not do its part.
    #[error("{0}")]
    Host(String),
}

impl FetchFailure {
    /// What to do about it, where something can be done.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Misbehaved(misbehaved) => misbehaved.hint(),
            Self::Denied(denial) => denial.hint(),
            Self::Transport(error) => error.hint(),
            Self::Signing(error) => error.hint.clone(),
            Self::Input(error) => error.hint(),
            _ => None,
        }
    }
}

/// A failure in the fetcher's own words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", if .message.is_empty() { .kind.as_str() } else { .message })]
pub struct Reported {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// One line for the user.
    pub message: String,
    /// How long upstream asks to wait.
    pub retry_after: Option<Duration>,
    /// Further facts, as a JSON object.
    pub details: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The kinds of failure that a fetcher can report, as published in `wit/types.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `not-found`: upstream says that it does not exist, or hides it.
    NotFound,
    /// `denied-upstream`: upstream knows who asks and refuses.
    DeniedUpstream,
    /// `unauthorized`: upstream wants a credential, or another one.
    Unauthorized,
    /// `rate-limited`: upstream asks to wait.
    RateLimited,
    /// `network`: upstream could not be reached or broke off.
    Network,
    /// `bad-params`: the parameters make no sense.
    BadParams,
    /// `unsupported`: the fetcher cannot do what was asked.
    Unsupported,
    /// `other`, and every word that this host does not know or that only hosts say.
    Other,
}

impl ErrorKind {
    const ALL: [Self; 8] = [
        Self::NotFound,
        Self::DeniedUpstream,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Network,
        Self::BadParams,
        Self::Unsupported,
        Self::Other,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::DeniedUpstream => "denied-upstream",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate-limited",
            Self::Network => "network",
            Self::BadParams => "bad-params",
            Self::Unsupported => "unsupported",
            Self::Other => "other",
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or(Self::Other)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a module did that no module may do, and the last lines that it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaved {
    /// What it did.
    pub what: Misbehaviour,
    /// The end of its standard output and standard error, line by line.
    pub printed: Vec<String>,
}

/// What a module may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Passing a limit.
    Limit(Overrun),
    /// Trapping.
    Trap {
        /// What the sandbox says.
        message: String,
        /// The functions it happened in, innermost first.
        functions: Vec<String>,
    },
    /// Ending instead of returning.
    Exit {
        /// The exit code it chose.
        code: i32,
    },
    /// Calling a part of WASI that fetchers do not have.
    Forbidden {
        /// Interface and function, such as `wasi:sockets/tcp@0.2.6#connect`.
        function: String,
    },
    /// Using the host while describing itself.
    NotWhileDescribing,
    /// Being about to read a credential: a server sent it back.
    EchoedSecret {
        /// The server.
        origin: Origin,
        /// Which credential.
        credential: CredentialName,
    },
    /// Setting a request header that only the host sets.
    Header {
        /// The header's name.
        name: String,
    },
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(overrun) => write!(f, "{overrun}"),
            Self::Trap { message, functions } => {
                write!(f, "the module trapped: {message}")?;
                functions
                    .iter()
                    .try_for_each(|function| write!(f, "\n  in {function}"))
            }
            Self::Exit { code } => {
                write!(f, "the module exited with {code} instead of returning")
            }
            Self::Forbidden { function } => {
                write!(
                    f,
                    "the module called `{function}`, which fetchers do not have"
                )
            }
            Self::NotWhileDescribing => {
                f.write_str("the module used the host, which it may in `fetch` only")
            }
            Self::EchoedSecret { origin, credential } => {
                write!(
                    f,
                    "`{origin}` sent credential `{credential}` back, where the module would have got it"
                )
            }
            Self::Header { name } => {
                write!(
                    f,
                    "the module set the header `{name}`, which only the host sets"
                )
            }
        }
    }
}

impl fmt::Display for Misbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.printed.is_empty() {
            f.write_str("\n\nthe last that it printed:")?;
            self.printed
                .iter()
                .try_for_each(|line| write!(f, "\n  {line}"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Misbehaved {}

impl Misbehaved {
    /// What to do about it, where something can be done.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.what {
            Misbehaviour::Limit(overrun) => overrun.hint(),
            Misbehaviour::EchoedSecret { credential, .. } => Some(format!(
                "a page that shows its visitors' headers is not for `{credential}`: leave its path out of the grant, and renew the credential if others can see that page"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_word() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::of(kind.as_str()), kind);
        }
    }

    #[test]
    fn a_word_that_only_the_host_says_is_read_as_other() {
        for word in [
            "denied",
            "credential",
            "invalid",
            "too-large",
            "",
            "NETWORK",
            "new-kind",
        ] {
            assert_eq!(ErrorKind::of(word), ErrorKind::Other, "{word}");
        }
    }

    #[test]
    fn a_trap_shows_its_functions_and_what_was_printed() {
        let misbehaved = Misbehaved {
            what: Misbehaviour::Trap {
                message: "wasm `unreachable` instruction executed".to_owned(),
                functions: vec!["inner".to_owned(), "outer".to_owned()],
            },
            printed: vec!["panicked at src/lib.rs".to_owned()],
        };
        assert_eq!(
            misbehaved.to_string(),
            "the module trapped: wasm `unreachable` instruction executed\n  in inner\n  in outer\n\n\
             the last that it printed:\n  panicked at src/lib.rs"
        );
    }
}
