//! From NAR to the file in the cache, hashed on the way.

use std::fs::File;
use std::io::{self, Write};

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::Piece;
use fetchhost_formats::{Compression, Hash, HashAlgorithm, Hasher};
use liblzma::write::XzEncoder;

use super::FileCache;
use crate::write::write_all_slices;

/// Level of zstd when none is asked for: fast enough not to be the slowest part of a fetch.
const ZSTD_LEVEL: i32 = 3;

/// Level of xz when none is asked for, as in Nix.
const XZ_LEVEL: u32 = 6;

/// A file that takes a NAR and holds it compressed. Memory does not grow with the NAR.
pub(super) enum Compressor {
    /// Not compressed: the file is the NAR, whose hash others compute already.
    None(File),
    Xz(XzEncoder<HashedFile>),
    Zstd(zstd::Encoder<'static, HashedFile>),
}

/// The finished file.
pub(super) struct Compressed {
    pub(super) file: File,
    /// SHA-256 of the file.
    pub(super) hash: Hash,
    /// Length of the file, in bytes.
    pub(super) size: u64,
}

impl Compressor {
    pub(super) fn new(cache: &FileCache, file: File) -> io::Result<Self> {
        Ok(match cache.compression {
            Compression::Xz => {
                let level = cache
                    .level
                    .and_then(|level| u32::try_from(level).ok())
                    .unwrap_or(XZ_LEVEL);
                Self::Xz(XzEncoder::new(HashedFile::new(file), level))
            }
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(
                HashedFile::new(file),
                cache.level.unwrap_or(ZSTD_LEVEL),
            )?),
            Compression::None => Self::None(file),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Takes the next pieces. Without compression their bytes go to the file as they are, many in
    /// one call.
    pub(super) fn write(&mut self, batch: &[Piece]) -> io::Result<()> {
        let mut bytes = batch.iter().map(|piece| piece.nar.as_ref());
        match self {
            Self::None(file) => write_all_slices(file, bytes),
            Self::Xz(encoder) => bytes.try_for_each(|bytes| encoder.write_all(bytes)),
            Self::Zstd(encoder) => bytes.try_for_each(|bytes| encoder.write_all(bytes)),
        }
    }

    /// Ends the file. What was written to it is all of the NAR of `verified`.
    pub(super) fn finish(self, verified: &Verified) -> io::Result<Compressed> {
        Ok(match self {
            Self::None(file) => Compressed {
                file,
                hash: verified.nar_hash().clone(),
                size: verified.nar_size(),
            },
            Self::Xz(encoder) => encoder.finish()?.finish(),
            Self::Zstd(encoder) => encoder.finish()?.finish(),
        })
    }
}

/// A file whose bytes are hashed as they are written.
pub(super) struct HashedFile {
    file: File,
    hasher: Hasher,
    size: u64,
}

impl HashedFile {
    fn new(file: File) -> Self {
        Self {
            file,
            hasher: Hasher::new(HashAlgorithm::Sha256),
            size: 0,
        }
    }

    fn finish(self) -> Compressed {
        Compressed {
            file: self.file,
            hash: self.hasher.finish(),
            size: self.size,
        }
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
