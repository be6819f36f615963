//! Bytes that wait on disk: temporary files without a name.
//!
//! A spool is unlinked when it is made, so nothing can be left behind: not by a panic, not by a
//! dropped future, not by `kill -9`. Only this process can open it.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::ArtifactError;

/// How much is gathered before it is written.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// A nameless temporary file that grows.
pub struct Spool {
    file: io::BufWriter<File>,
    length: u64,
    dir: Arc<PathBuf>,
}

impl Spool {
    /// Makes an empty spool in the folder `dir`, readable by its owner only.
    ///
    /// # Errors
    /// [`ArtifactError::Temp`] when the folder is missing, not writable or full.
    pub fn create(dir: &Path) -> Result<Self, ArtifactError> {
        let dir = Arc::new(dir.to_path_buf());
        let file = tempfile::tempfile_in(dir.as_path())
            .map_err(|source| ArtifactError::temp(&dir, source))?;
        Ok(Self {
            file: io::BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            length: 0,
            dir,
        })
    }

    /// Appends `data`.
    ///
    /// # Errors
    /// [`ArtifactError::Temp`], mostly because the disk is full.
    pub fn append(&mut self, data: &[u8]) -> Result<(), ArtifactError> {
        self.file
            .write_all(data)
            .map_err(|source| ArtifactError::temp(&self.dir, source))?;
        self.length += data.len() as u64;
        Ok(())
    }

    /// Number of bytes appended so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Ends writing: from now on the bytes can be read, in any order, by many.
    ///
    /// # Errors
    /// [`ArtifactError::Temp`] when what was still held in memory cannot be written.
    pub fn finish(self) -> Result<SpooledBlob, ArtifactError> {
        let Self { file, length, dir } = self;
        let file = file
            .into_inner()
            .map_err(|error| ArtifactError::temp(&dir, error.into_error()))?;
        Ok(SpooledBlob {
            file: Arc::new(file),
            length,
            dir,
        })
    }
}

/// What a [`Spool`] holds, ready to be read. Clones share the file.
#[derive(Clone)]
pub struct SpooledBlob {
    file: Arc<File>,
    length: u64,
    dir: Arc<PathBuf>,
}

impl SpooledBlob {
    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`ArtifactError::Temp`] when the disk fails or the range is not inside the blob.
    pub fn read(&self, offset: u64, length: usize) -> Result<Bytes, ArtifactError> {
        let mut buffer = BytesMut::zeroed(length);
        self.file
            .read_exact_at(&mut buffer, offset)
            .map_err(|source| ArtifactError::temp(&self.dir, source))?;
        Ok(buffer.freeze())
    }
}
