//! What a NAR in a cache really is.
//!
//! **The threat.** A NAR that was cut off, changed, replaced by another one, or made to unpack to much more than its
//! record says; and a network that breaks off in the middle, which is no damage at all.
//!
//! **The rule.** The file is read once, and hashed as it comes, before and after decompression. Of a file or NAR
//! that is too long, one byte more is read. Whose fault it is when reading ends early is known from where the
//! error came from.

use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

use fetchhost_formats::nar::{DecodeError, Event, decode};
use fetchhost_formats::{Hash, HashAlgorithm, Hasher, NarInfo, OutputMode};

use super::fault::Fault;
use crate::decompress::decompressed;

/// How much is read at once of what is only hashed, in bytes.
const CHUNK: usize = 128 * 1024;

/// What was found in a NAR.
#[derive(Debug)]
pub struct Measured {
    /// What is wrong with it: of the file first, then of the NAR.
    pub faults: Vec<Fault>,
    /// Whether this program cannot undo the compression, so that only the file was checked.
    pub is_packed: bool,
    /// Whether the content is what the content address says, where this program can tell.
    pub agrees: Option<bool>,
    /// Bytes of the file that were read.
    pub read: u64,
}

/// Reads the NAR of `record` from `file`.
///
/// # Errors
/// When `file` cannot be read: which proves nothing.
pub(crate) fn measure(record: &NarInfo, file: Box<dyn Read + Send>) -> io::Result<Measured> {
    let source = Source::new(file, record);
    let (mut faults, mut agrees, mut too_large) = (Vec::new(), None, None);
    // Without memory for the decompressor nothing is known.
    let nar = decompressed(source.clone(), record.compression, record.nar_size)?;
    let is_packed = nar.is_none();
    if let Some(nar) = nar {
        match unpack(record, nar, &source) {
            // Whoever has more memory may undo it, if it is the file that was written.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => too_large = Some(error),
            unpacked => match unpacked? {
                Ok(told) => agrees = told,
                Err(fault) => faults.push(fault),
            },
        }
    }
    let (read, hash) = source.rest()?;
    let mut of_file = Vec::new();
    match record.file_size.filter(|&said| said != 0) {
        Some(said) if said != read => of_file.push(Fault::FileSize { said, found: read }),
        _ => {
            if let (Some(said), Some(found)) = (record.file_hash.clone(), hash)
                && said != found
            {
                of_file.push(Fault::FileHash { said, found });
            }
        }
    }
    if let Some(error) = too_large {
        if of_file.is_empty() {
            return Err(error);
        }
        faults.push(Fault::Undecodable {
            compression: record.compression,
            detail: error.to_string(),
        });
    }
    of_file.extend(faults);
    Ok(Measured {
        faults: of_file,
        is_packed,
        agrees,
        read,
    })
}

/// Reads the NAR itself. When nothing is wrong with it: whether the content is what the address says.
fn unpack(
    record: &NarInfo,
    nar: Box<dyn BufRead + Send>,
    source: &Source,
) -> io::Result<Result<Option<bool>, Fault>> {
    let said = record.said_of_content();
    let mut hashers = vec![Hasher::new(HashAlgorithm::Sha256)];
    if let Some(said) = &said
        && said.mode == OutputMode::Nar
        && said.hash.algorithm() != HashAlgorithm::Sha256
    {
        hashers.push(Hasher::new(said.hash.algorithm()));
    }
    let mut content = said
        .filter(|said| said.mode == OutputMode::Flat)
        .map(|said| Hasher::new(said.hash.algorithm()));
    let mut nar = Hashing {
        inner: nar,
        hashers,
        size: 0,
        failure: None,
    };
    let mut is_first = true;
    let mut is_file = false;
    let decoded = decode::<std::convert::Infallible>(&mut nar, |event| {
        if std::mem::take(&mut is_first) {
            is_file = matches!(
                event,
                Event::File {
                    executable: false,
                    ..
                }
            );
        }
        if let (Event::Data(bytes), true, Some(content)) = (&event, is_file, &mut content) {
            content.update(bytes);
        }
        Ok(())
    });
    // What is no NAR may still be as long as it should be, and have the hash that it should have.
    nar.drain();
    source.failure()?;
    match nar.failure {
        Some(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(error),
        Some(error) => {
            return Ok(Err(Fault::Undecodable {
                compression: record.compression,
                detail: error.to_string(),
            }));
        }
        None => {}
    }
    if nar.size != record.nar_size {
        return Ok(Err(Fault::NarSize {
            said: record.nar_size,
            found: nar.size,
        }));
    }
    let hashes: Vec<Hash> = nar.hashers.into_iter().map(Hasher::finish).collect();
    let found = &hashes[0];
    if *found != record.nar_hash {
        return Ok(Err(Fault::NarHash {
            said: record.nar_hash.clone(),
            found: found.clone(),
        }));
    }
    match decoded {
        Ok(()) => {}
        Err(DecodeError::Malformed(detail)) => return Ok(Err(Fault::Malformed { detail })),
        Err(DecodeError::Io(error)) => return Err(error),
        Err(DecodeError::Visitor(never)) => match never {},
    }
    let file = content.filter(|_| is_file).map(|hasher| [hasher.finish()]);
    let agrees = record.agrees(&hashes, file.as_ref().map(<[Hash; 1]>::as_slice));
    Ok(match agrees {
        Some(false) => Err(Fault::Content),
        told => Ok(told),
    })
}

/// The file, hashed as it is read, by whoever decompresses it and then to its end.
#[derive(Clone)]
struct Source(Arc<Mutex<Reading>>);

struct Reading {
    file: Box<dyn Read + Send>,
    hasher: Option<Hasher>,
    size: u64,
    /// Of what is longer, one byte more is read.
    limit: u64,
    failure: Option<io::Error>,
}

impl Source {
    fn new(file: Box<dyn Read + Send>, record: &NarInfo) -> Self {
        let hash = record.file_hash.as_ref();
        Self(Arc::new(Mutex::new(Reading {
            file,
            hasher: hash.map(|hash| Hasher::new(hash.algorithm())),
            size: 0,
            limit: record
                .file_size
                .filter(|&said| said != 0)
                .unwrap_or(u64::MAX),
            failure: None,
        })))
    }

    /// Reads what nobody wanted: the length in bytes of all of it, and its hash.
    fn rest(mut self) -> io::Result<(u64, Option<Hash>)> {
        let mut chunk = vec![0; CHUNK];
        while self.read(&mut chunk)? > 0 {}
        self.failure()?;
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((reading.size, reading.hasher.take().map(Hasher::finish)))
    }

    /// The error that reading the file gave.
    fn failure(&self) -> io::Result<()> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.failure.take().map_or(Ok(()), Err)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = reading.limit.saturating_add(1) - reading.size;
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        match reading.file.read(&mut buffer[..length]) {
            Ok(read) => {
                reading.size += read as u64;
                if let Some(hasher) = &mut reading.hasher {
                    hasher.update(&buffer[..read]);
                }
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                reading.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// A NAR, hashed as it is read.
struct Hashing {
    inner: Box<dyn BufRead + Send>,
    hashers: Vec<Hasher>,
    size: u64,
    /// Why it ends early.
    failure: Option<io::Error>,
}

impl Hashing {
    fn drain(&mut self) {
        while let Ok(bytes) = self.fill_buf() {
            let length = bytes.len();
            if length == 0 {
                return;
            }
            self.consume(length);
        }
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Hashing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // After an error a decompressor is not asked again.
        if self.failure.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failure = Some(error);
                    return Err(kind.into());
                }
            }
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What was given is still there.
        if let Ok(bytes) = self.inner.fill_buf() {
            for hasher in &mut self.hashers {
                hasher.update(&bytes[..amount]);
            }
        }
        self.size += amount as u64;
        self.inner.consume(amount);
    }
}
