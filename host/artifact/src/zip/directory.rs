//! The end of a zip and its central directory.
//!
//! Layout as in PKWARE's APPNOTE 6.3.10, sections 4.3.12 to 4.3.16. Numbers are little-endian.

use crate::error::ArtifactError;
use crate::reader::{BlobReader, read_full};
use crate::spool::SpooledBlob;

use super::entry::Stored;
use super::malformed;

const RECORD_MAGIC: &[u8] = b"PK\x01\x02";
const RECORD_BYTES: usize = 46;
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const END64_MAGIC: &[u8] = b"PK\x06\x06";
const END64_BYTES: usize = 56;
const LOCATOR_MAGIC: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;

/// Longest comment at the end of an archive.
const MAX_COMMENT_BYTES: usize = u16::MAX as usize;

/// What says "look in the zip64 record instead".
const MORE_16: u16 = u16::MAX;
const MORE_32: u32 = u32::MAX;

/// The extra field that holds the 64-bit numbers.
const EXTRA_ZIP64: u16 = 0x0001;

/// Encrypted, patch data, strongly encrypted, encrypted directory.
const FLAG_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const FLAG_PATCH: u16 = 1 << 5;

/// Systems whose external attributes hold a Unix mode: Unix and macOS.
const UNIX_SYSTEMS: [u8; 2] = [3, 19];

/// One record of the directory.
pub(super) struct Record {
    /// The name as it is written, whatever its encoding.
    pub(super) name: Vec<u8>,
    /// Mode bits, 0 when another system wrote the entry.
    pub(super) unix_mode: u32,
    pub(super) stored: Stored,
}

/// Walks through the records.
pub(super) struct CentralDirectory {
    reader: BlobReader,
    /// Bytes of the directory that were not read yet.
    left: u64,
    read: u64,
    stated: u64,
    /// Whether `stated` may have lost its upper bits.
    zip64: bool,
    /// Bytes before the archive proper.
    shift: u64,
    /// Where the directory begins; no entry's bytes lie behind.
    start: u64,
}

/// What the end of an archive says about its directory.
struct End {
    records: u64,
    size: u64,
    offset: u64,
    /// Where the directory must end.
    at: u64,
    zip64: bool,
}

impl CentralDirectory {
    /// Finds the directory by the end of the archive.
    pub(super) fn find(blob: &SpooledBlob) -> Result<Self, ArtifactError> {
        let end = find_end(blob)?;
        let start = end.at.checked_sub(end.size);
        let shift = start.and_then(|start| start.checked_sub(end.offset));
        let (Some(start), Some(shift)) = (start, shift) else {
            return Err(malformed("its directory does not fit before its end"));
        };
        Ok(Self {
            reader: BlobReader::range(blob.clone(), start, end.at),
            left: end.size,
            read: 0,
            stated: end.records,
            zip64: end.zip64,
            shift,
            start,
        })
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ArtifactError> {
        let cut = || malformed("a record of its directory is cut short");
        self.left = self.left.checked_sub(length as u64).ok_or_else(cut)?;
        let mut buffer = vec![0; length];
        let got = read_full(&mut self.reader, &mut buffer)
            .map_err(|error| ArtifactError::from_io(error, |_| cut()))?;
        if got < length { Err(cut()) } else { Ok(buffer) }
    }

    /// The next record, `None` after the last.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, ArtifactError> {
        if self.left == 0 {
            let same = if self.zip64 {
                self.read == self.stated
            } else {
                // Some writers of many entries leave out zip64 and count on.
                self.read & u64::from(MORE_16) == self.stated
            };
            return if same {
                Ok(None)
            } else {
                Err(malformed(format!(
                    "its end states {} entries, its directory has {}",
                    self.stated, self.read
                )))
            };
        }
        let fixed = self.take(RECORD_BYTES)?;
        if !fixed.starts_with(RECORD_MAGIC) {
            return Err(malformed("its directory holds something that is no record"));
        }
        let name = self.take(usize::from(u16_at(&fixed, 28)))?;
        let extra = self.take(usize::from(u16_at(&fixed, 30)))?;
        self.take(usize::from(u16_at(&fixed, 32)))?;
        self.read += 1;
        self.record(&fixed, name, &extra).map(Some)
    }

    fn record(&self, fixed: &[u8], name: Vec<u8>, extra: &[u8]) -> Result<Record, ArtifactError> {
        let refuse = |problem: &str| Err(ArtifactError::entry(&name, problem));
        let (flags, method) = (u16_at(fixed, 8), u16_at(fixed, 10));
        if flags & FLAG_ENCRYPTED != 0 || method == 99 {
            return refuse("is encrypted");
        }
        if flags & FLAG_PATCH != 0 {
            return refuse("is a patch, not a file");
        }
        let mut more = Zip64Extra::find(extra);
        let disk = u16_at(fixed, 34);
        let numbers = (|| {
            let size = more.number(u32_at(fixed, 24))?;
            let compressed = more.number(u32_at(fixed, 20))?;
            let offset = more.number(u32_at(fixed, 42))?;
            Some((size, compressed, offset))
        })();
        let Some((size, compressed, offset)) = numbers else {
            return refuse("lacks its 64-bit sizes");
        };
        if disk != 0 && disk != MORE_16 {
            return refuse("lies on another disk");
        }
        let Some(header) = offset.checked_add(self.shift).filter(|at| *at < self.start) else {
            return refuse("lies outside of the archive");
        };
        let stored = Stored::new(
            method,
            size,
            compressed,
            u32_at(fixed, 16),
            header,
            self.start,
        );
        let stored = match stored {
            Ok(stored) => stored,
            Err(problem) => return refuse(&problem),
        };
        let unix = UNIX_SYSTEMS.contains(&fixed[5]);
        let unix_mode = if unix { u32_at(fixed, 38) >> 16 } else { 0 };
        Ok(Record {
            name,
            unix_mode,
            stored,
        })
    }
}

/// The 64-bit numbers of a record, in their fixed order, each there only if needed.
struct Zip64Extra<'a>(&'a [u8]);

impl<'a> Zip64Extra<'a> {
    fn find(mut extra: &'a [u8]) -> Self {
        while let [a, b, c, d, rest @ ..] = extra {
            let length = usize::from(u16::from_le_bytes([*c, *d]));
            let Some((body, after)) = rest.split_at_checked(length) else {
                break;
            };
            if u16::from_le_bytes([*a, *b]) == EXTRA_ZIP64 {
                return Self(body);
            }
            extra = after;
        }
        Self(&[])
    }

    fn number(&mut self, short: u32) -> Option<u64> {
        if short != MORE_32 {
            return Some(u64::from(short));
        }
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }
}

/// Finds the end record: the last one whose comment reaches exactly to the end of the file.
fn find_end(blob: &SpooledBlob) -> Result<End, ArtifactError> {
    let tail_length = blob.len().min((END_BYTES + MAX_COMMENT_BYTES) as u64);
    let tail_start = blob.len() - tail_length;
    let tail = blob.read(tail_start, tail_length as usize)?;
    let found = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|at| {
        let rest = &tail[*at..];
        rest.len() >= END_BYTES
            && rest.starts_with(END_MAGIC)
            && END_BYTES + usize::from(u16_at(rest, 20)) == rest.len()
    });
    let Some(at) = found else {
        return Err(malformed(
            "it has no end record: is it cut short, or no zip?",
        ));
    };
    let (end, at) = (&tail[at..], tail_start + at as u64);
    let (disk, directory_disk) = (u16_at(end, 4), u16_at(end, 6));
    let (here, records) = (u16_at(end, 8), u16_at(end, 10));
    let (size, offset) = (u32_at(end, 12), u32_at(end, 16));
    let more = records == MORE_16 || here == MORE_16 || size == MORE_32 || offset == MORE_32;
    if more && let Some(end) = find_end64(blob, at)? {
        return Ok(end);
    }
    if disk != 0 || directory_disk != 0 || here != records {
        return Err(malformed("it spans several disks"));
    }
    Ok(End {
        records: records.into(),
        size: size.into(),
        offset: offset.into(),
        at,
        zip64: false,
    })
}

/// The zip64 end record, which the locator just before the end record names.
fn find_end64(blob: &SpooledBlob, end_at: u64) -> Result<Option<End>, ArtifactError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR_BYTES as u64) else {
        return Ok(None);
    };
    let locator = blob.read(locator_at, LOCATOR_BYTES)?;
    if !locator.starts_with(LOCATOR_MAGIC) {
        return Ok(None);
    }
    // Bytes before the archive shift it: then the record lies where it lies in most archives,
    // just before the locator.
    let usual = locator_at.checked_sub(END64_BYTES as u64);
    for at in [Some(u64_at(&locator, 8)), usual].into_iter().flatten() {
        if at
            .checked_add(END64_BYTES as u64)
            .is_none_or(|end| end > locator_at)
        {
            continue;
        }
        let end = blob.read(at, END64_BYTES)?;
        if !end.starts_with(END64_MAGIC) {
            continue;
        }
        if u32_at(&end, 16) != 0 || u32_at(&end, 20) != 0 || u64_at(&end, 24) != u64_at(&end, 32) {
            return Err(malformed("it spans several disks"));
        }
        return Ok(Some(End {
            records: u64_at(&end, 32),
            size: u64_at(&end, 40),
            offset: u64_at(&end, 48),
            at,
            zip64: true,
        }));
    }
    Err(malformed(
        "its zip64 end record is not where its locator says",
    ))
}

/// Number at a place that the caller knows to be inside.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
