//! The bytes of one entry.

use std::io::Read;

use bytes::{Bytes, BytesMut};

use crate::decode::{self, Codec};
use crate::error::{ArtifactError, shown};
use crate::meter::Meter;
use crate::reader::{BlobReader, read_full};
use crate::spool::SpooledBlob;

use super::directory::u16_at;
use super::malformed;

const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: u64 = 30;

/// How much is decompressed at once.
const PIECE_BYTES: u64 = 128 * 1024;

/// Where an entry lies and what the directory claims about it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    method: Method,
    crc: u32,
    size: u64,
    compressed: u64,
    /// Where its local header begins.
    header: u64,
    /// No byte of it lies at or behind this.
    limit: u64,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Plain,
    Deflate,
    Zstd,
}

impl Stored {
    /// Refuses methods that are not read here, and sizes that contradict each other.
    pub(super) fn new(
        method: u16,
        size: u64,
        compressed: u64,
        crc: u32,
        header: u64,
        limit: u64,
    ) -> Result<Self, String> {
        let method = match method {
            0 if size != compressed => return Err("claims two sizes".to_owned()),
            0 => Method::Plain,
            8 => Method::Deflate,
            93 => Method::Zstd,
            other => {
                let name = match other {
                    9 => " (deflate64)",
                    12 => " (bzip2)",
                    14 => " (lzma)",
                    95 => " (xz)",
                    98 => " (ppmd)",
                    _ => "",
                };
                return Err(format!(
                    "is compressed by method {other}{name}; only stored, deflate and zstd are read"
                ));
            }
        };
        Ok(Self {
            method,
            crc,
            size,
            compressed,
            header,
            limit,
        })
    }

    /// The claimed number of bytes, which is what comes out or an error.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// Decompresses one entry and checks it against its claims.
pub(crate) struct EntryReader {
    inner: Box<dyn Read + Send>,
    codec: Option<Codec>,
    meter: Meter,
    left: u64,
    crc: crc32fast::Hasher,
    claimed: u32,
}

/// What is wrong with an entry.
pub(crate) enum EntryError {
    /// The entry itself, as the rest of a sentence about it.
    Bad(String),
    /// Something beside it.
    Other(ArtifactError),
}

impl EntryError {
    /// Says of which entry this is said.
    pub(crate) fn in_entry(self, name: &[u8]) -> ArtifactError {
        match self {
            Self::Bad(problem) => ArtifactError::Entry {
                entry: shown(name),
                problem,
            },
            Self::Other(error) => error,
        }
    }
}

impl From<ArtifactError> for EntryError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Damaged { what, detail } => {
                Self::Bad(format!("is damaged: {what}: {detail}"))
            }
            error => Self::Other(error),
        }
    }
}

impl EntryReader {
    pub(crate) fn open(
        blob: &SpooledBlob,
        stored: &Stored,
        meter: &Meter,
    ) -> Result<Self, EntryError> {
        let cut = || EntryError::Bad("reaches into the archive's directory".to_owned());
        let data = stored
            .header
            .checked_add(LOCAL_BYTES)
            .filter(|at| *at <= stored.limit);
        let data = data.ok_or_else(cut)?;
        let header = blob.read(stored.header, LOCAL_BYTES as usize)?;
        if !header.starts_with(LOCAL_MAGIC) {
            return Err(malformed("its directory points at something that is no entry").into());
        }
        if u16_at(&header, 6) & 1 != 0 {
            return Err(EntryError::Bad("is encrypted".to_owned()));
        }
        let data = data + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let end = data
            .checked_add(stored.compressed)
            .filter(|end| *end <= stored.limit);
        let raw = BlobReader::range(blob.clone(), data, end.ok_or_else(cut)?);
        let (inner, codec): (Box<dyn Read + Send>, _) = match stored.method {
            Method::Plain => (Box::new(raw), None),
            Method::Deflate => (
                Box::new(flate2::bufread::DeflateDecoder::new(raw)),
                Some(Codec::Deflate),
            ),
            Method::Zstd => (Box::new(decode::zstd(raw, meter)?), Some(Codec::Zstd)),
        };
        Ok(Self {
            inner,
            codec,
            meter: meter.clone(),
            left: stored.size,
            crc: crc32fast::Hasher::new(),
            claimed: stored.crc,
        })
    }

    /// The next bytes; `None` after the last, when everything was as claimed.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Bytes>, EntryError> {
        if self.left == 0 {
            return self.finish();
        }
        let mut piece = BytesMut::zeroed(self.left.min(PIECE_BYTES) as usize);
        let got = self.read(&mut piece)?;
        if got < piece.len() {
            return Err(EntryError::Bad(
                "holds less than the archive claims".to_owned(),
            ));
        }
        self.left -= got as u64;
        self.crc.update(&piece);
        Ok(Some(piece.freeze()))
    }

    fn finish(&mut self) -> Result<Option<Bytes>, EntryError> {
        if self.read(&mut [0])? != 0 {
            return Err(EntryError::Bad(
                "holds more than the archive claims".to_owned(),
            ));
        }
        if self.crc.clone().finalize() != self.claimed {
            return Err(EntryError::Bad("is damaged: its CRC is wrong".to_owned()));
        }
        Ok(None)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, EntryError> {
        read_full(&mut self.inner, buffer).map_err(|error| {
            ArtifactError::from_io(error, |error| match self.codec {
                Some(codec) => codec.explain(error, &self.meter),
                None => ArtifactError::worker(error),
            })
            .into()
        })
    }
}
