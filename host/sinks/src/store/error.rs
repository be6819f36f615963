//! What can go wrong with a Nix store.

use std::fmt;
use std::io;
use std::path::PathBuf;

use fetchhost_formats::STORE_DIR;
use fetchhost_policy::printable;
use thiserror::Error;

/// Longest part of a message of Nix's that is repeated, in characters.
const MAX_TOLD: usize = 2000;

/// A Nix store could not be asked or written to.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nobody answers at the daemon's socket.
    #[error("cannot connect to the Nix daemon at `{}`: {source}", printable(&socket.to_string_lossy()))]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is neither a daemon nor Nix itself.
    #[error("no Nix daemon answers at `{}`, and there is no program `nix-daemon` either", printable(&socket.to_string_lossy()))]
    NoNix {
        /// The daemon's socket.
        socket: PathBuf,
    },
    /// A store without a daemon needs Nix itself.
    #[error("there is no program `nix-daemon`")]
    NoProgram,
    /// Nix is there and cannot be started.
    #[error("cannot start `nix-daemon`: {source}")]
    Start {
        /// Why not.
        source: io::Error,
    },
    /// Nix says no.
    #[error("Nix failed while {step}: {message}")]
    Failed {
        /// What it was asked for.
        step: Step,
        /// What it said.
        message: String,
    },
    /// Nix went away.
    #[error("Nix closed the connection while {step}")]
    Closed {
        /// What it was asked for.
        step: Step,
    },
    /// The connection broke.
    #[error("the connection to Nix broke while {step}: {source}")]
    Broken {
        /// What it was asked for.
        step: Step,
        /// How.
        source: io::Error,
    },
    /// Nix neither said nor took anything for too long.
    #[error(
        "Nix did nothing for {seconds} seconds while {step}{}",
        last_words(last)
    )]
    Silent {
        /// What it was asked for.
        step: Step,
        /// How long we waited.
        seconds: u64,
        /// What it said last.
        last: Option<String>,
    },
    /// Nix kept talking and did not come to an end.
    #[error("Nix did not come to an end within {seconds} seconds while {step}")]
    Slow {
        /// What it was asked for.
        step: Step,
        /// How long we waited.
        seconds: u64,
    },
    /// It does not talk like Nix.
    #[error("what answers is not Nix: it sent {what} while {step}")]
    Malformed {
        /// What it was asked for.
        step: Step,
        /// What it sent.
        what: &'static str,
    },
    /// It is a Nix from long ago.
    #[error("this Nix is too old: it speaks version 1.{minor} of the worker protocol")]
    TooOld {
        /// What it speaks.
        minor: u64,
    },
    /// What is in the store now is not what was verified.
    #[error(
        "Nix reports the {what} `{}`, and `{expected}` was verified",
        printable(got)
    )]
    Other {
        /// What of it.
        what: &'static str,
        /// What was verified.
        expected: String,
        /// What Nix reports.
        got: String,
    },
    /// What was there a moment ago is gone.
    #[error("`{path}` is no longer there")]
    Gone {
        /// The store path.
        path: String,
    },
    /// What was typed leads to no path of the store.
    #[error("`{}` is not in the store: {problem}", printable(&typed.to_string_lossy()))]
    NotInStore {
        /// What was typed.
        typed: PathBuf,
        /// Where it leads, or why nowhere.
        problem: String,
    },
    /// Paths that nobody has built or fetched, or that were deleted.
    #[error("{}", not_valid(paths))]
    NotValid {
        /// The store paths.
        paths: Vec<String>,
    },
    /// There is no store.
    #[error("there is no Nix store in `{}`", printable(&place.to_string_lossy()))]
    Absent {
        /// Where it would be.
        place: PathBuf,
    },
    /// Something else was asked, and how that ended is not known.
    #[error("the connection to Nix broke before")]
    OutOfStep,
    /// There is something where the GC root is to be.
    #[error("`{}` exists and is no link into the store", printable(&path.to_string_lossy()))]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The link of a GC root cannot be made.
    #[error("cannot create the link `{}`: {source}", printable(&path.to_string_lossy()))]
    Link {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The artifact is in the store, but without the GC root that was asked for.
    #[error("`{path}` was added, but it has no GC root: {source}")]
    Unrooted {
        /// The store path.
        path: String,
        /// Why it has none.
        source: Box<StoreError>,
    },
    /// The environment asks for something that this program cannot do.
    #[error("`{variable}` is `{}`: {problem}", printable(value))]
    Environment {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What Nix is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Agreeing on a version.
    Greeting,
    /// Asking what it knows of a path.
    LookingUp,
    /// Keeping the garbage collector from a path for a while.
    Protecting,
    /// Adding an artifact.
    Adding,
    /// Keeping the garbage collector from a path for good.
    Rooting,
    /// Having it send an archive.
    Reading,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Greeting => "it was greeted",
            Self::LookingUp => "looking up the store path",
            Self::Protecting => "protecting the store path",
            Self::Adding => "adding the artifact",
            Self::Rooting => "registering the GC root",
            Self::Reading => "it sent the archive of the store path",
        })
    }
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub(crate) fn hint(&self) -> Option<String> {
        const ELSEWHERE: &str = "or write a binary cache with `--to file:///DIR`";
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!(
                    "ask for access to the daemon's socket, {ELSEWHERE}"
                ))
            }
            Self::Connect { .. } => Some(format!(
                "start `nix-daemon`, name its socket with `--to store=unix:///PATH`, {ELSEWHERE}"
            )),
            Self::NoNix { .. } | Self::NoProgram => Some(format!("install Nix, {ELSEWHERE}")),
            Self::TooOld { .. } => Some(format!(
                "Nix 2.4 or later is needed; update it, {ELSEWHERE}"
            )),
            Self::Silent { .. } | Self::Slow { .. } => {
                Some("see what the daemon is waiting for; it may be collecting garbage".to_owned())
            }
            Self::Other { expected, .. } => Some(format!(
                "if the path was in the store before, remove it with `nix-store --delete` first (it should have `{expected}`)"
            )),
            Self::Gone { .. } => {
                Some("run it again: the garbage collector came in between".to_owned())
            }
            Self::Occupied { .. } => {
                Some("remove it first, or name another path with `--gc-root`".to_owned())
            }
            Self::Link { .. } => {
                Some("name a path in a folder that you can write to with `--gc-root`".to_owned())
            }
            Self::Unrooted { source, .. } => source.hint(),
            Self::Environment { .. } => Some(format!(
                "name the store with `--to store=daemon` or `--to store=local`, {ELSEWHERE}"
            )),
            Self::NotInStore { .. } => Some(format!(
                "name a path below `{STORE_DIR}`, or a link to one such as `./result`; `nix-store --add PATH` adds a file or folder"
            )),
            Self::NotValid { paths } => paths.first().map(|path| {
                format!(
                    "build it or fetch it first: `nix-store --realise {}`",
                    printable(path)
                )
            }),
            Self::Absent { .. } => Some(
                "build something first, or name the store where it is with `NIX_REMOTE`".to_owned(),
            ),
            Self::OutOfStep => Some("see what was said before; then run it again".to_owned()),
            Self::Start { .. }
            | Self::Failed { .. }
            | Self::Closed { .. }
            | Self::Broken { .. }
            | Self::Malformed { .. } => None,
        }
    }

    /// The same where the store is read: another destination would not help.
    #[must_use]
    pub(crate) fn reading_hint(&self) -> Option<String> {
        const ELSEWHERE: &str =
            "name the store with `NIX_REMOTE`: `daemon`, `unix:///SOCKET` or `local?root=/DIR`";
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ask for access to the daemon's socket".to_owned())
            }
            Self::Connect { .. } => Some(format!("start `nix-daemon`, or {ELSEWHERE}")),
            Self::NoNix { .. } | Self::NoProgram => Some("install Nix".to_owned()),
            Self::TooOld { .. } => Some("Nix 2.4 or later is needed; update it".to_owned()),
            Self::Environment { .. } => Some(ELSEWHERE.to_owned()),
            other => other.hint(),
        }
    }

    /// Whether the remedy is in what the user wrote.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::Environment { .. } | Self::Occupied { .. } | Self::NotInStore { .. } => true,
            Self::Unrooted { source, .. } => source.is_configuration(),
            _ => false,
        }
    }

    /// Whether there is no daemon, as opposed to one that cannot be reached.
    pub(super) fn is_absence(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
        matches!(self, Self::Connect { source, .. }
            if matches!(source.kind(), NotFound | NotADirectory | ConnectionRefused))
    }

    /// The environment names another store directory: its paths are not those of `/nix/store`.
    pub(crate) fn foreign_store(variable: &'static str, value: String) -> Self {
        Self::Environment {
            variable,
            value,
            problem: format!("this program makes the paths of `{STORE_DIR}` only"),
        }
    }
}

/// A message of Nix's on one line: without colours, without power over the terminal, and not too
/// long.
pub(super) fn told(message: &str) -> String {
    let mut plain = String::with_capacity(message.len().min(MAX_TOLD));
    let mut rest = message;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence.find(|character: char| character.is_ascii_alphabetic());
        rest = end.map_or("", |end| &sequence[end + 1..]);
    }
    plain.push_str(rest);
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_TOLD) {
        Some((end, _)) => format!("{}…", printable(&line[..end])),
        None => printable(&line).into_owned(),
    }
}

/// How many paths a message names.
const MAX_NAMED: usize = 10;

fn not_valid(paths: &[String]) -> String {
    let named = paths.iter().take(MAX_NAMED);
    let named: Vec<_> = named.map(|path| format!("`{}`", printable(path))).collect();
    let more = match paths.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if paths.len() == 1 { "is" } else { "are" };
    format!(
        "{}{more} {verb} not valid: not in the store, or not whole",
        named.join(", ")
    )
}

fn last_words(last: &Option<String>) -> String {
    last.as_ref()
        .map(|last| format!("; it said last: {last}"))
        .unwrap_or_default()
}
