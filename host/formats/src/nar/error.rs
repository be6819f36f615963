//! Why a sequence of events is no archive.

use thiserror::Error;

use super::encoder::{MAX_DEPTH, MAX_NAME_LEN, MAX_TARGET_LEN};

/// An event that the archive does not allow, or an archive that ended early.
///
/// Names are shown with their control characters escaped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NarError {
    /// The event does not fit this place.
    #[error("{event} cannot follow here: the archive needs {expected}")]
    Unexpected {
        /// What came.
        event: &'static str,
        /// What could have come.
        expected: &'static str,
    },
    /// A name that is no path component: empty, `.`, `..`, or with a `/` or NUL.
    #[error("`{name}` cannot be the name of an entry")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A name that no file system takes.
    #[error("an entry's name has {got} bytes, at most {MAX_NAME_LEN} are possible")]
    NameTooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// The same name twice in one directory.
    #[error("two entries of one directory are called `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A name that should have come earlier.
    #[error("the entry `{name}` comes after `{previous}`; an archive is sorted by name")]
    Unsorted {
        /// The name that came.
        name: String,
        /// The name before it.
        previous: String,
    },
    /// A tree that is nested too deeply for the readers of NAR archives.
    #[error("the tree is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A link that points nowhere, or to a text with a NUL.
    #[error("a symlink's target is empty or holds a NUL byte")]
    InvalidTarget,
    /// A link that no file system takes.
    #[error("a symlink's target has {got} bytes, at most {MAX_TARGET_LEN} are possible")]
    TargetTooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// The contents do not have the length that the file was announced with.
    #[error("a file of {declared} bytes has {}", amount(*declared, *got))]
    Size {
        /// The announced length, in bytes.
        declared: u64,
        /// The length that came, in bytes; when it is the larger one, the length so far.
        got: u64,
    },
    /// The archive ended before its tree did.
    #[error("the archive ends where it needs {expected}")]
    Unfinished {
        /// What could have come.
        expected: &'static str,
    },
}

fn amount(declared: u64, got: u64) -> String {
    if got > declared {
        format!("at least {got}")
    } else {
        format!("only {got}")
    }
}
