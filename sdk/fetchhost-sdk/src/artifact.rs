//! What a fetch results in: a plan that the host carries out after the fetcher has returned.

use std::fmt;

use crate::bindings::nix_fetchhost::fetcher::artifact as raw;
use crate::{FetchError, Request, Response};

/// Where content comes from.
///
/// Anything that becomes a `Source` can be given to [`Plan`] and [`Tree`] as it is.
#[derive(Debug)]
pub enum Source {
    /// These bytes, at most 16 MiB; for small files that the fetcher makes up.
    Bytes(Vec<u8>),
    /// The body of this response, none of which may have been read.
    Response(Response),
    /// The answer to this request, which the host sends, retries, resumes and judges by itself: the best
    /// choice for anything large.
    Request(Request),
    /// What was gathered in this blob.
    Blob(Blob),
}

impl Source {
    fn into_raw(self) -> raw::Source {
        match self {
            Self::Bytes(bytes) => raw::Source::Bytes(bytes),
            Self::Response(response) => raw::Source::Response(response.into_raw()),
            Self::Request(request) => raw::Source::Request(request.into_raw()),
            Self::Blob(blob) => raw::Source::Blob(blob.0),
        }
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<Response> for Source {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl From<Request> for Source {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Blob> for Source {
    fn from(blob: Blob) -> Self {
        Self::Blob(blob)
    }
}

/// Bytes that the host keeps in a temporary file, for what must be looked at or put together before it
/// can be planned.
#[derive(Debug)]
pub struct Blob(raw::Blob);

impl Blob {
    /// An empty blob.
    #[must_use]
    pub fn new() -> Self {
        Self(raw::Blob::new())
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// `Other` when the host cannot store them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        Ok(self.0.write(bytes)?)
    }

    /// Appends the whole body of an unread response without passing it through the fetcher's memory, and
    /// returns the number of bytes appended.
    ///
    /// # Errors
    ///
    /// `Network` when the body breaks off; the blob then keeps what had arrived.
    pub fn append(&mut self, response: Response) -> Result<u64, FetchError> {
        Ok(self.0.append(response.into_raw())?)
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Up to `len` bytes, and up to 64 KiB, from `offset` on; an empty list at or past the end. They
    /// count as read by the fetcher, as those of [`Response::read`] do.
    ///
    /// # Errors
    ///
    /// `Other` when the host cannot read them.
    pub fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.read(offset, len)?)
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::new()
    }
}

/// The format of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the format of that name")]
pub enum ArchiveFormat {
    Zip,
    Tar,
    TarGzip,
    TarBzip2,
    TarXz,
    TarZstd,
    /// Told by the first bytes.
    Auto,
}

impl ArchiveFormat {
    /// The format as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGzip => "tar.gz",
            Self::TarBzip2 => "tar.bz2",
            Self::TarXz => "tar.xz",
            Self::TarZstd => "tar.zst",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The layout of the result. The fetcher returns it; the host moves, unpacks and hashes the bytes.
///
/// The mode (a flat file or a tree) has to be the one that the description's
/// [output rules](crate::OutputRule) promised for these parameters.
#[derive(Debug)]
pub struct Plan(raw::Plan);

impl Plan {
    /// A single file.
    ///
    /// # Errors
    ///
    /// `Invalid` for a response that has been read.
    pub fn file(content: impl Into<Source>) -> Result<Self, FetchError> {
        Ok(Self(raw::Plan::file(content.into().into_raw(), false)?))
    }

    /// A single file that can be executed. Nix has no flat outputs of that kind: it is a tree of one
    /// file, so the output rule says `nar`.
    ///
    /// # Errors
    ///
    /// `Invalid` for a response that has been read.
    pub fn executable(content: impl Into<Source>) -> Result<Self, FetchError> {
        Ok(Self(raw::Plan::file(content.into().into_raw(), true)?))
    }

    /// An archive, unpacked into a tree, with `strip` leading path segments removed.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the host is too old for `format`, `Invalid` for a response that has been read.
    pub fn archive(
        content: impl Into<Source>,
        format: ArchiveFormat,
        strip: u32,
    ) -> Result<Self, FetchError> {
        let content = content.into().into_raw();
        Ok(Self(raw::Plan::archive(content, format.as_str(), strip)?))
    }

    /// One file of an archive, by its full path in it.
    ///
    /// # Errors
    ///
    /// As for [`archive`](Self::archive), and `Invalid` for a path that leaves the archive.
    pub fn member(
        content: impl Into<Source>,
        format: ArchiveFormat,
        path: &str,
    ) -> Result<Self, FetchError> {
        let content = content.into().into_raw();
        Ok(Self(raw::Plan::member(content, format.as_str(), path)?))
    }

    /// An empty tree, to be filled. [`Tree`] becomes a plan by `into()`.
    #[must_use]
    pub fn tree() -> Tree {
        Tree(raw::Plan::tree())
    }

    pub(crate) fn into_raw(self) -> raw::Plan {
        self.0
    }
}

/// A tree that the fetcher puts together entry by entry.
///
/// Paths are relative, separated by `/`, without empty, `.` and `..` segments, at most 64 deep.
#[derive(Debug)]
pub struct Tree(raw::Plan);

impl Tree {
    /// Adds a file. Its parent directories come by themselves.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is refused or taken, or for a response that has been read.
    pub fn file(&mut self, path: &str, content: impl Into<Source>) -> Result<(), FetchError> {
        Ok(self.0.add(path, content.into().into_raw(), false)?)
    }

    /// Adds a file that can be executed.
    ///
    /// # Errors
    ///
    /// As for [`file`](Self::file).
    pub fn executable(&mut self, path: &str, content: impl Into<Source>) -> Result<(), FetchError> {
        Ok(self.0.add(path, content.into().into_raw(), true)?)
    }

    /// Adds a symbolic link. Its target is kept as it is and never followed.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is refused or taken.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), FetchError> {
        Ok(self.0.symlink(path, target)?)
    }

    /// Adds a directory; needed only for empty ones.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is refused or taken.
    pub fn directory(&mut self, path: &str) -> Result<(), FetchError> {
        Ok(self.0.directory(path)?)
    }
}

impl From<Tree> for Plan {
    fn from(tree: Tree) -> Self {
        Self(tree.0)
    }
}
