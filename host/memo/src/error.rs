//! What can go wrong with what is remembered.

use std::io;
use std::path::{Path, PathBuf};

use fetchhost_cache::{CacheError, MAX_MEMO};
use fetchhost_keys::VerifyError;
use fetchhost_policy::printable;
use thiserror::Error;

use crate::id::MemoId;

/// Why an entry is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Longer than any entry.
    #[error("it has more than {MAX_MEMO} bytes")]
    TooLarge,
    /// Not an entry.
    #[error("it is no entry: {0}")]
    Malformed(String),
    /// Of a version that this program does not know.
    #[error("its version is {0}, which this program does not know")]
    Version(String),
    /// Found under a name that its members do not give.
    #[error("it belongs to something else: its members do not give its id")]
    OtherId,
    /// A result where a signature is asked for, or the other way round.
    #[error("it is of another kind than what is asked for")]
    OtherKind,
    /// The signature in it is not valid.
    #[error("its signature is not used: {0}")]
    Signature(VerifyError),
    /// A result that no trusted key has signed.
    #[error("no key of `memo.trusted-keys` has signed it")]
    Untrusted,
    /// A result that is over.
    #[error("it expired")]
    Expired,
    /// Somebody has it otherwise.
    #[error("it was forgotten here")]
    Forgotten,
}

/// What is remembered cannot be read or written. Each message names the file or place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MemoError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", shown(path))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could change the file.
    #[error("{} is not used: {reason}", shown(path))]
    Exposed {
        /// The file, or its folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is damaged, or not ours.
    #[error(
        "{} is no file of remembered entries, or a damaged one: {reason}",
        shown(path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer program wrote it.
    #[error("{} was written by a newer version of this program", shown(path))]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// Other processes kept it.
    #[error("{} is in use by other processes", shown(path))]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The database does not do it.
    #[error("cannot {action} {}: {source}", shown(path))]
    Database {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The shared place cannot be reached, or does not do it.
    #[error("what is remembered together cannot be asked or told: {0}")]
    Shared(#[from] CacheError),
    /// The shared place has something at this id that is not used, so that nothing can be agreed.
    #[error("`{place}` is not used: {flaw}")]
    Poisoned {
        /// Which entry.
        id: MemoId,
        /// Where.
        place: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Others change the same entry again and again.
    #[error("others keep changing the entry `{id}`")]
    Contended {
        /// Which.
        id: MemoId,
    },
    /// What is to be remembered is not valid.
    #[error("this signature is not remembered: {0}")]
    NotValid(VerifyError),
    /// The content cannot be read to verify a signature of it.
    #[error("the content cannot be read: {0}")]
    Content(io::Error),
    /// An entry would not be read back.
    #[error("this is not remembered, for as an entry {0}")]
    Unwritable(Flaw),
    /// A file is no export.
    #[error("this is no export of remembered entries: {0}")]
    NoExport(String),
    /// An export cannot be read or written.
    #[error("the export cannot be read or written: {0}")]
    Transfer(io::Error),
}

impl MemoError {
    /// Whether no grant of the user's allows what was to be asked of the shared place.
    #[must_use]
    pub fn is_ungranted(&self) -> bool {
        matches!(self, Self::Shared(error) if error.is_ungranted())
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some(
                "make its folder writable for this user alone, or set XDG_STATE_HOME".to_owned(),
            ),
            Self::Exposed { path, .. } => Some(format!(
                "if nobody has tampered with it: `chmod go-w {0}`, as its owner; else move it away, and a new one is made",
                quoted(path)
            )),
            Self::Damaged { path, .. } => Some(format!(
                "move {} away, and a new one is made; what was exported (`memo export`) can be imported into it, and what is shared comes back by itself",
                quoted(path)
            )),
            Self::Newer { path } => Some(format!(
                "use that version, or move {} away, and a new one is made",
                quoted(path)
            )),
            Self::Busy { .. } => Some("try again when they are done".to_owned()),
            Self::Database { source, .. } => full(source).then(|| "free some space".to_owned()),
            Self::Shared(error) => error.hint(),
            Self::Poisoned {
                id,
                flaw: Flaw::Version(_),
                ..
            } => Some(format!(
                "use the newer version of this program that wrote it; or `memo forget {id}`, and sign anew"
            )),
            Self::Poisoned { id, .. } => Some(format!(
                "somebody who may write there put it there, and the others see it too: find out who; then `memo forget {id}`, and sign anew"
            )),
            Self::Contended { .. } => Some("try again when they are done".to_owned()),
            Self::NotValid(_) | Self::Content(_) | Self::Unwritable(_) => None,
            Self::NoExport(_) => Some("give a file that `memo export` wrote".to_owned()),
            Self::Transfer(_) => None,
        }
    }
}

fn full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// A path in backticks, without power over the terminal.
fn shown(path: &Path) -> String {
    format!("`{}`", quoted(path))
}

fn quoted(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}
