//! What can go wrong between a response and a NAR.

use std::io;
use std::path::{Path, PathBuf};

use fetchhost_formats::nar::NarError;
use fetchhost_policy::Overrun;

use crate::input::BoxError;
use crate::layout::ArchiveFormat;
use crate::path::PathProblem;

/// Longest piece of a foreign name that a message shows, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// Why an artifact could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The stream that was given failed; downcast `source` to the error of its giver.
    #[error("the content could not be read")]
    Upstream {
        /// The stream's own error.
        source: BoxError,
    },
    /// More or fewer bytes came than were promised.
    #[error("{promised} bytes were promised, {}", received_bytes(*.promised, *.received))]
    Length {
        /// The promised number.
        promised: u64,
        /// How many came; when that is more than promised, reading stopped there.
        received: u64,
    },
    /// A `Content-Encoding` that cannot be undone.
    #[error("content encoding `{encoding}` is not supported: only gzip, deflate and zstd are")]
    UnsupportedEncoding {
        /// Its name, control characters escaped.
        encoding: String,
    },
    /// Compressed bytes that do not decompress, or end too early.
    #[error("the {what} data is damaged: {detail}")]
    Damaged {
        /// What was being decompressed.
        what: &'static str,
        /// What the decompressor said.
        detail: String,
    },
    /// The content is a web page, mostly a login page, where an archive was expected.
    #[error("the content is an HTML page, not an archive")]
    LooksLikeHtml,
    /// The content begins like no archive that is known.
    #[error("the content is no archive of a known format")]
    UnknownFormat,
    /// The content begins like another format than the one that was named.
    #[error("the content is no {expected} archive{}", looks_like(*.found))]
    WrongFormat {
        /// The format that was named.
        expected: ArchiveFormat,
        /// What the content looks like.
        found: Option<ArchiveFormat>,
    },
    /// The archive contradicts its own format.
    #[error("the {format} archive is malformed: {detail}")]
    Malformed {
        /// `zip` or `tar`.
        format: &'static str,
        /// Where and how.
        detail: String,
    },
    /// An archive that was made earlier is damaged.
    #[error("the archive is damaged: {detail}")]
    Packed {
        /// Where and how.
        detail: String,
    },
    /// An entry of the archive that has no place in a store path, or cannot be read.
    #[error("entry `{entry}` {problem}")]
    Entry {
        /// The entry's path, control characters escaped.
        entry: String,
        /// What is wrong with it, as the rest of a sentence.
        problem: String,
    },
    /// A path that leads outside, or means different things to different readers.
    #[error("entry `{entry}` {problem}")]
    Path {
        /// The path, control characters escaped.
        entry: String,
        /// The rule that it breaks.
        problem: PathProblem,
    },
    /// The wanted member is not in the archive.
    #[error("the archive has no file `{path}`{}", near_names(.near))]
    NoSuchMember {
        /// The wanted path.
        path: String,
        /// Up to five paths of the archive that resemble it.
        near: Vec<String>,
    },
    /// The wanted member is there but is no file.
    #[error("`{path}` is {kind} in the archive, not a file")]
    MemberNotFile {
        /// The wanted path.
        path: String,
        /// What it is.
        kind: String,
    },
    /// Dropping leading components left nothing.
    #[error("nothing is left of the archive after dropping {strip} leading path components")]
    NothingLeft {
        /// How many were dropped.
        strip: u32,
    },
    /// A limit was passed.
    #[error(transparent)]
    Limit(#[from] Overrun),
    /// A flat hash was wanted of a folder.
    #[error("a folder has no flat hash")]
    FlatOfTree,
    /// The tree cannot be written as a NAR.
    #[error("the tree cannot be a store path: {0}")]
    Nar(#[from] NarError),
    /// The receiver of this feed is gone: that sink failed, and knows why.
    #[error("sink number {0} stopped reading")]
    SinkGone(usize),
    /// A temporary file could not be made, written or read.
    #[error("temporary files in `{}` failed", dir.display())]
    Temp {
        /// The folder of the temporary files.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A thread could not be started, or ended without a result.
    #[error("a worker thread failed: {detail}")]
    Worker {
        /// What the system or the runtime said.
        detail: String,
    },
}

impl ArtifactError {
    /// Whether the paths or entries of the tree are at fault, rather than the bytes that carry them.
    #[must_use]
    pub fn is_layout(&self) -> bool {
        matches!(self, Self::Path { .. } | Self::Entry { .. } | Self::Nar(_))
    }

    pub(crate) fn temp(dir: &Path, source: io::Error) -> Self {
        Self::Temp {
            dir: dir.to_path_buf(),
            source,
        }
    }

    pub(crate) fn worker(error: impl std::fmt::Display) -> Self {
        Self::Worker {
            detail: error.to_string(),
        }
    }

    pub(crate) fn entry(entry: &[u8], problem: impl Into<String>) -> Self {
        Self::Entry {
            entry: shown(entry),
            problem: problem.into(),
        }
    }

    pub(crate) fn path(entry: &[u8], problem: PathProblem) -> Self {
        Self::Path {
            entry: shown(entry),
            problem,
        }
    }

    /// Takes back an error that travelled through [`io::Read`]; `otherwise` says what any other
    /// error means there.
    pub(crate) fn from_io(error: io::Error, otherwise: impl FnOnce(&io::Error) -> Self) -> Self {
        error
            .downcast::<Self>()
            .unwrap_or_else(|error| otherwise(&error))
    }

    /// The same where nothing but our own readers can fail.
    pub(crate) fn from_reader(error: io::Error) -> Self {
        Self::from_io(error, |error| Self::worker(error))
    }

    /// What to do next, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::LooksLikeHtml => Some(
                "a login page looks like this: is the credential missing, expired, or without \
                 access?"
                    .to_owned(),
            ),
            Self::UnknownFormat => Some(
                "zip and tar (plain, gz, bz2, xz, zst) can be unpacked; fetch anything else as one \
                 file"
                .to_owned(),
            ),
            Self::NothingLeft { .. } => Some("lower `--strip-components`".to_owned()),
            Self::Limit(overrun) => overrun.hint(),
            Self::Temp { .. } => {
                Some("set TMPDIR to a folder that is writable and has room".to_owned())
            }
            _ => None,
        }
    }
}

/// A foreign name as messages show it: readable, harmless on a terminal, of bounded length.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let text = fetchhost_policy::printable(&text);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn received_bytes(promised: u64, received: u64) -> String {
    if received > promised {
        "but more came".to_owned()
    } else {
        format!("but only {received} came")
    }
}

fn looks_like(found: Option<ArchiveFormat>) -> String {
    found
        .map(|format| format!(", it looks like {format}"))
        .unwrap_or_default()
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let list: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; similar: {}", list.join(", "))
}
