//! What is signed: a content that the host has read, never a message of somebody's own making.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use blake2::Blake2b512;
use sha2::{Digest, Sha256, Sha512};

/// How much is read at once.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// How much of a content's beginning is kept, for [`danger`](crate::danger).
pub(crate) const OPENING_BYTES: usize = 256;

/// What is known of a content once it was read. Only [`Digester`] makes it.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentDigests {
    sha256: [u8; 32],
    sha512: [u8; 64],
    blake2b512: [u8; 64],
    size: u64,
    opening: Vec<u8>,
}

impl ContentDigests {
    /// Reads all of `content`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(content: impl Read) -> io::Result<Self> {
        let mut digester = Digester::new();
        each_chunk(content, |chunk| digester.update(chunk))?;
        Ok(digester.finish())
    }

    /// Its SHA-256.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Its SHA-512.
    #[must_use]
    pub const fn sha512(&self) -> &[u8; 64] {
        &self.sha512
    }

    /// Its BLAKE2b-512.
    #[must_use]
    pub const fn blake2b512(&self) -> &[u8; 64] {
        &self.blake2b512
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its first bytes, [`OPENING_BYTES`] at most.
    pub(crate) fn opening(&self) -> &[u8] {
        &self.opening
    }
}

impl fmt::Debug for ContentDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentDigests")
            .field("sha256", &fetchhost_formats::hex(&self.sha256))
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Takes a content piece by piece.
#[derive(Clone, Default)]
pub struct Digester {
    sha256: Sha256,
    sha512: Sha512,
    blake2b512: Blake2b512,
    size: u64,
    opening: Vec<u8>,
}

impl Digester {
    /// One that has taken nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        self.sha512.update(piece);
        self.blake2b512.update(piece);
        self.size += piece.len() as u64;
        let wanted = OPENING_BYTES.saturating_sub(self.opening.len());
        self.opening
            .extend_from_slice(&piece[..piece.len().min(wanted)]);
    }

    /// What was taken.
    #[must_use]
    pub fn finish(self) -> ContentDigests {
        ContentDigests {
            sha256: self.sha256.finalize().into(),
            sha512: self.sha512.finalize().into(),
            blake2b512: self.blake2b512.finalize().into(),
            size: self.size,
            opening: self.opening,
        }
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").finish_non_exhaustive()
    }
}

type Open = dyn Fn() -> io::Result<Box<dyn Read>> + Send + Sync;

/// A content, its digests and a way to read it once more: what `raw` signs with Ed25519 is read twice, since
/// that algorithm takes no digest.
#[derive(Clone)]
pub struct Content {
    digests: ContentDigests,
    open: Arc<Open>,
}

impl Content {
    /// The content that `open` gives, each time from its beginning. It is read here once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(
        open: impl Fn() -> io::Result<Box<dyn Read>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let digests = ContentDigests::read(open()?)?;
        Ok(Self::with_digests(digests, open))
    }

    /// The content of a file, which is not read into memory. The file stays open, so that it is the same one
    /// each time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(file: File) -> io::Result<Self> {
        let file = Arc::new(file);
        Self::new(move || {
            Ok(Box::new(FromStart {
                file: Arc::clone(&file),
                at: 0,
            }))
        })
    }

    /// Bytes in memory.
    #[must_use]
    pub fn of_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let mut digester = Digester::new();
        digester.update(&bytes);
        Self::with_digests(digester.finish(), move || {
            Ok(Box::new(io::Cursor::new(Arc::clone(&bytes))))
        })
    }

    /// A content that was read elsewhere. When it is read again and is another, nothing is signed.
    pub fn with_digests(
        digests: ContentDigests,
        open: impl Fn() -> io::Result<Box<dyn Read>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            digests,
            open: Arc::new(open),
        }
    }

    /// What is known of it.
    #[must_use]
    pub const fn digests(&self) -> &ContentDigests {
        &self.digests
    }

    /// Reads it once more and gives each piece to `take`. Returns whether it is what it was.
    pub(crate) fn again(&self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut sha256 = Sha256::new();
        each_chunk((self.open)()?, |chunk| {
            sha256.update(chunk);
            take(chunk);
        })?;
        Ok(sha256.finalize().as_slice() == self.digests.sha256)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

/// A file from its beginning, whatever others read of the same handle.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn each_chunk(mut content: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_the_whole_have_the_same_digests() {
        let bytes: Vec<u8> = (0..1000_u32).map(|number| number as u8).collect();
        let mut digester = Digester::new();
        bytes.chunks(7).for_each(|chunk| digester.update(chunk));
        let pieces = digester.finish();
        assert_eq!(pieces, ContentDigests::read(bytes.as_slice()).unwrap());
        assert_eq!(pieces.opening(), &bytes[..OPENING_BYTES]);
        assert_eq!(pieces.size(), 1000);
        assert_eq!(&pieces, Content::of_bytes(bytes).digests());
    }

    #[test]
    fn a_content_that_has_changed_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "first").unwrap();
        let content = Content::of_file(file.reopen().unwrap()).unwrap();
        assert!(content.again(|_| {}).unwrap());
        std::fs::write(file.path(), "other").unwrap();
        assert!(!content.again(|_| {}).unwrap());
    }
}
