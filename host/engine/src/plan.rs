//! What a fetch results in, as the host sees it.

use bytes::Bytes;
use fetchhost_artifact::{ArchiveFormat, SpooledBlob};
use fetchhost_transport as transport;

/// The layout of a result, to be carried out by the host.
///
/// Paths are as the module gave them: who carries the plan out checks them.
#[derive(Debug)]
pub enum Plan {
    /// A single file.
    File {
        /// The file's content.
        source: Source,
        /// Whether the file is executable.
        executable: bool,
    },
    /// An archive, unpacked into a tree.
    Archive {
        /// The archive's bytes.
        source: Source,
        /// How the archive is packed.
        format: ArchiveFormat,
        /// Number of leading path segments to remove.
        strip: u32,
    },
    /// One file of an archive.
    Member {
        /// The archive's bytes.
        source: Source,
        /// How the archive is packed.
        format: ArchiveFormat,
        /// The file's path in the archive.
        path: String,
    },
    /// A tree, part by part.
    Tree(Vec<Entry>),
}

/// One part of a [`Plan::Tree`].
#[derive(Debug)]
pub enum Entry {
    /// A file.
    File {
        /// Its path in the tree.
        path: String,
        /// Its content.
        source: Source,
        /// Whether it is executable.
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Its path in the tree.
        path: String,
        /// What it says.
        target: String,
    },
    /// A directory that may stay empty.
    Directory {
        /// Its path in the tree.
        path: String,
    },
}

/// Where content comes from.
pub enum Source {
    /// These bytes.
    Bytes(Bytes),
    /// The body of this response, of which nothing was read. Its status is not yet judged.
    Response(Box<transport::Response>),
    /// The answer to this permitted request, which was not yet sent.
    Request(Box<transport::Outgoing>),
    /// What lies in this temporary file.
    Blob(SpooledBlob),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contents are of no use in a debug text, and requests may have presigned URLs.
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::Response(_) => "Response",
            Self::Request(_) => "Request",
            Self::Blob(_) => "Blob",
        })
    }
}
