//! One step of an archive.

use bytes::Bytes;

/// A step through a tree, root first, the entries of each directory in byte order of their names.
///
/// ```text
/// node      = File Data* EndFile | Symlink | Directory entry* EndDirectory
/// entry     = Entry node EndEntry
/// archive   = node
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A directory begins.
    Directory,
    /// An entry of the open directory begins; its node follows.
    Entry {
        /// One path component, any bytes but `/` and NUL.
        name: Bytes,
    },
    /// The entry ends.
    EndEntry,
    /// The open directory ends.
    EndDirectory,
    /// A plain file begins.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Length of its contents, in bytes.
        size: u64,
    },
    /// The next bytes of the open file. Their lengths must sum up to its size.
    Data(Bytes),
    /// The file ends.
    EndFile,
    /// A symbolic link, never followed.
    Symlink {
        /// Where it points, any bytes but NUL.
        target: Bytes,
    },
}

impl Event {
    /// What the event is called in an error.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::Entry { .. } => "an entry",
            Self::EndEntry => "the end of an entry",
            Self::EndDirectory => "the end of a directory",
            Self::File { .. } => "a file",
            Self::Data(_) => "file contents",
            Self::EndFile => "the end of a file",
            Self::Symlink { .. } => "a symlink",
        }
    }
}

/// One step of an archive seen both ways. Cloning copies no contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The step as part of a tree.
    pub event: Event,
    /// The step as part of the NAR. For [`Event::Data`] this is the very same buffer; the first
    /// piece also carries the archive's opening magic.
    pub nar: Bytes,
}
