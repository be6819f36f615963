//! What a NAR in a cache really is, measured while it is read.

use std::io::{self, BufRead, Read};

use fetchhost_formats::nar::{DecodeError, Event, decode};
use fetchhost_formats::{Compression, Hash, HashAlgorithm, Hasher, NarInfo};
use thiserror::Error;

use crate::cache::Cache;
use crate::decompress::{Archive, decompressed};
use crate::error::CacheError;
use crate::objects::Key;

/// What was read of a record's NAR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// SHA-256 of the archive.
    pub nar_hash: Hash,
    /// Its length in bytes.
    pub nar_size: u64,
    /// The archive's hash by the content address's algorithm, and its own.
    nar: Vec<Hash>,
    /// The same of the contents, where it is one plain file that is not executable.
    file: Option<Vec<Hash>>,
}

/// Why a NAR is not what its record says.
#[derive(Debug, Error)]
pub enum Mismeasured {
    /// It cannot be in this cache.
    #[error("its NAR is said to lie outside of the cache")]
    Elsewhere,
    /// It is not in the cache.
    #[error("its NAR is not in the cache")]
    Missing,
    /// It cannot be unpacked here.
    #[error("its NAR is packed with `{}`, which only Nix undoes", .0.name())]
    Packed(Compression),
    /// It cannot be read, or not be unpacked.
    #[error("its NAR cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is none.
    #[error("its NAR is damaged: {0}")]
    Damaged(String),
    /// It has another length.
    #[error("its NAR is {} than the {said} bytes that the record says", if *.is_longer { "longer" } else { "shorter" })]
    Size {
        /// What the record says.
        said: u64,
        /// Whether there is more.
        is_longer: bool,
    },
    /// It has another hash.
    #[error("its NAR has the hash {found}, and not that of the record")]
    Hash {
        /// What was read.
        found: Hash,
    },
    /// Its contents are not those of the content address.
    #[error("its NAR does not hold what its content address says")]
    Content,
}

impl Mismeasured {
    /// Whether what was read shows that the record is false; otherwise nothing is known.
    #[must_use]
    pub const fn is_false(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Size { .. } | Self::Hash { .. } | Self::Content => true,
            Self::Elsewhere | Self::Missing | Self::Packed(_) | Self::Unreadable(_) => false,
        }
    }
}

impl Cache {
    /// Reads the NAR of a record to its end, or to the length that the record says, in memory that does not
    /// grow with it, and compares: hash and length, and the contents with the content address where there is
    /// one that this program can compute. What was read is returned when all of it agrees.
    ///
    /// # Errors
    /// The outer one when the cache cannot be asked, the inner one when the NAR is not what the record says.
    pub fn measure(&self, record: &NarInfo) -> Result<Result<Measured, Mismeasured>, CacheError> {
        let Some(key) = Key::nar(&record.url) else {
            return Ok(Err(Mismeasured::Elsewhere));
        };
        let Some(file) = self.objects().open(&key)? else {
            return Ok(Err(Mismeasured::Missing));
        };
        let archive = decompressed(file, record.compression, record.nar_size);
        Ok(match archive {
            Ok(Some(archive)) => measure(archive, record),
            Ok(None) => Err(Mismeasured::Packed(record.compression)),
            Err(error) => Err(Mismeasured::Unreadable(error)),
        })
    }
}

/// Reads an archive that ends one byte after the length in `record` at the latest, and compares it.
fn measure(archive: Archive, record: &NarInfo) -> Result<Measured, Mismeasured> {
    let algorithm = record.said_of_content().map(|said| said.hash.algorithm());
    let mut hashing = Hashing {
        archive,
        sha256: Hasher::new(HashAlgorithm::Sha256),
        other: algorithm
            .filter(|algorithm| *algorithm != HashAlgorithm::Sha256)
            .map(Hasher::new),
        size: 0,
    };
    let mut file = None;
    let mut is_first = true;
    let decoded = decode(&mut hashing, |event| -> Result<(), io::Error> {
        match event {
            Event::File {
                executable: false, ..
            } if is_first => file = algorithm.map(Hasher::new),
            Event::Data(bytes) => {
                if let Some(file) = &mut file {
                    file.update(&bytes);
                }
            }
            _ => {}
        }
        is_first = false;
        Ok(())
    });
    let said = record.nar_size;
    if hashing.size > said {
        let is_longer = true;
        return Err(Mismeasured::Size { said, is_longer });
    }
    decoded.map_err(|error| match error {
        DecodeError::Io(error) | DecodeError::Visitor(error) => Mismeasured::Unreadable(error),
        malformed @ DecodeError::Malformed(_) => Mismeasured::Damaged(malformed.to_string()),
    })?;
    if hashing.size < said {
        let is_longer = false;
        return Err(Mismeasured::Size { said, is_longer });
    }
    let nar_hash = hashing.sha256.finish();
    let other = hashing.other.map(Hasher::finish);
    let measured = Measured {
        nar: std::iter::once(nar_hash.clone()).chain(other).collect(),
        nar_hash,
        nar_size: hashing.size,
        file: file.map(|file| vec![file.finish()]),
    };
    if measured.nar_hash != record.nar_hash {
        let found = measured.nar_hash;
        return Err(Mismeasured::Hash { found });
    }
    match measured.agrees(record) {
        Some(false) => Err(Mismeasured::Content),
        _ => Ok(measured),
    }
}

impl Measured {
    /// Whether the contents are what the content address of `record` says: see [`NarInfo::agrees`].
    #[must_use]
    pub fn agrees(&self, record: &NarInfo) -> Option<bool> {
        record.agrees(&self.nar, self.file.as_deref())
    }
}

/// An archive that is hashed while somebody reads it.
struct Hashing {
    archive: Archive,
    sha256: Hasher,
    other: Option<Hasher>,
    size: u64,
}

impl BufRead for Hashing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.archive.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was given before, so that this reads nothing.
        if let Ok(bytes) = self.archive.fill_buf() {
            let bytes = &bytes[..amount.min(bytes.len())];
            self.sha256.update(bytes);
            if let Some(other) = &mut self.other {
                other.update(bytes);
            }
            self.size += bytes.len() as u64;
        }
        self.archive.consume(amount);
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let amount = bytes.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&bytes[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}
