//! One archive: read once, hashed and compressed on the same pass.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

use fetchhost_formats::nar::{self, DecodeError};
use fetchhost_formats::{Hash, HashAlgorithm, Hasher, NarUrl, StoreEntry};

use super::{Course, PushError};
use crate::cache::Cache;
use crate::compress::{Compressed, Compressor};
use crate::decompress::Archive;
use crate::error::CacheError;

/// From this length on, in bytes, an archive is hashed by another thread than compresses it.
const LARGE: u64 = 16 << 20;

/// How much of a large one is handed over at once, in bytes, and how often before one waits for the other.
const CHUNK: usize = 256 << 10;
const AHEAD: usize = 4;

/// An archive that is in the cache, without a record.
pub(super) struct Stored {
    pub(super) url: NarUrl,
    pub(super) file_hash: Hash,
    pub(super) file_size: u64,
    /// The listing of what is in it, if one is wanted and there can be one.
    pub(super) listing: Option<Vec<u8>>,
}

/// Brings an archive into the cache, if it is what the store knows of the path; else nothing of it is there.
/// None where the push is to stop.
pub(super) fn store(
    cache: &Cache,
    offered: &StoreEntry,
    course: &dyn Course,
) -> Result<Option<Stored>, PushError> {
    if offered.nar_size == 0 {
        let path = offered.path.clone();
        return Err(PushError::NoSize { path });
    }
    let archive = course
        .archive(offered)
        .map_err(|source| PushError::Unreadable {
            path: offered.path.clone(),
            source,
        })?;
    let compressor = cache.begin(Some(offered.nar_size))?;
    let read = if offered.nar_size < LARGE {
        read(cache, offered, course, archive, Here(compressor))
    } else {
        std::thread::scope(|scope| {
            let (full, filled) = sync_channel(AHEAD);
            let (emptied, empty) = sync_channel(AHEAD + 2);
            let thread = scope.spawn(move || compress(compressor, &filled, &emptied));
            let there = There {
                full,
                empty,
                chunk: Vec::new(),
                thread,
            };
            read(cache, offered, course, archive, there)
        })
    };
    let Some((compressed, listing)) = read? else {
        return Ok(None);
    };
    let (url, file_hash, file_size) =
        cache.complete(compressed, &offered.nar_hash, offered.nar_size)?;
    Ok(Some(Stored {
        url,
        file_hash,
        file_size,
        listing,
    }))
}

/// What takes an archive.
trait Taker {
    /// Takes its next bytes; false when it is not to go on.
    fn take(&mut self, bytes: &[u8]) -> Result<bool, CacheError>;
    /// Its end; none where it did not come.
    fn end(self) -> Result<Option<Compressed>, CacheError>;
}

/// On this thread.
struct Here(Compressor);

impl Taker for Here {
    fn take(&mut self, bytes: &[u8]) -> Result<bool, CacheError> {
        self.0.write(std::iter::once(bytes)).map(|()| true)
    }

    fn end(self) -> Result<Option<Compressed>, CacheError> {
        self.0.finish().map(Some)
    }
}

/// On another one.
struct There<'scope> {
    full: SyncSender<Part>,
    /// What can be filled again.
    empty: Receiver<Vec<u8>>,
    /// What is being filled.
    chunk: Vec<u8>,
    thread: ScopedJoinHandle<'scope, Result<Option<Compressed>, CacheError>>,
}

/// What is handed over.
enum Part {
    Bytes(Vec<u8>),
    /// The archive is complete. Without this it was given up.
    End,
}

impl There<'_> {
    /// False where nobody takes it any more.
    fn hand_over(&mut self) -> bool {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.clear();
        let full = std::mem::replace(&mut self.chunk, next);
        self.full.send(Part::Bytes(full)).is_ok()
    }
}

impl Taker for There<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<bool, CacheError> {
        self.chunk.extend_from_slice(bytes);
        Ok(self.chunk.len() < CHUNK || self.hand_over())
    }

    fn end(mut self) -> Result<Option<Compressed>, CacheError> {
        let _ = self.hand_over() && self.full.send(Part::End).is_ok();
        drop(self.full);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Compresses what comes; none where it does not come to its end.
fn compress(
    mut compressor: Compressor,
    filled: &Receiver<Part>,
    emptied: &SyncSender<Vec<u8>>,
) -> Result<Option<Compressed>, CacheError> {
    for part in filled {
        let Part::Bytes(bytes) = part else {
            return compressor.finish().map(Some);
        };
        compressor.write(std::iter::once(bytes.as_slice()))?;
        // Where it is not wanted back, it goes.
        let _ = emptied.try_send(bytes);
    }
    Ok(None)
}

/// The one pass over an archive: all that is read of it is counted, hashed and taken on.
struct Pass<'a, T> {
    offered: &'a StoreEntry,
    course: &'a dyn Course,
    archive: Archive,
    taker: T,
    hasher: Hasher,
    /// Bytes so far.
    read: u64,
    /// Why it is over before its end.
    given_up: Option<GivenUp>,
}

enum GivenUp {
    Stopping,
    Unreadable(io::Error),
    TooLong,
    /// The taker takes no more, for this reason, or for one that it tells at its end.
    NotTaken(Option<CacheError>),
}

impl<T: Taker> Pass<'_, T> {
    fn take(&mut self, amount: usize) -> io::Result<Option<GivenUp>> {
        // It is there: this many bytes of it were shown before.
        let bytes = &self.archive.fill_buf()?[..amount];
        self.read += amount as u64;
        if self.read > self.offered.nar_size {
            return Ok(Some(GivenUp::TooLong));
        }
        self.hasher.update(bytes);
        Ok(match self.taker.take(bytes) {
            Ok(true) => None,
            Ok(false) => Some(GivenUp::NotTaken(None)),
            Err(error) => Some(GivenUp::NotTaken(Some(error))),
        })
    }
}

impl<T: Taker> BufRead for Pass<'_, T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.given_up.is_none() && self.course.is_stopping() {
            self.given_up = Some(GivenUp::Stopping);
        }
        if self.given_up.is_none()
            && let Err(error) = self.archive.fill_buf()
        {
            self.given_up = Some(GivenUp::Unreadable(error));
        }
        if self.given_up.is_some() {
            return Err(io::Error::other("given up"));
        }
        self.archive.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if self.given_up.is_some() || amount == 0 {
            return;
        }
        self.given_up = self
            .take(amount)
            .unwrap_or_else(|error| Some(GivenUp::Unreadable(error)));
        self.archive.consume(amount);
        self.course.read(amount as u64);
    }
}

impl<T: Taker> Read for Pass<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

/// A whole archive, compressed, and its listing.
type Whole = (Compressed, Option<Vec<u8>>);

/// Reads an archive to its end, and checks it.
fn read<T: Taker>(
    cache: &Cache,
    offered: &StoreEntry,
    course: &dyn Course,
    archive: Archive,
    taker: T,
) -> Result<Option<Whole>, PushError> {
    let mut pass = Pass {
        offered,
        course,
        archive,
        taker,
        hasher: Hasher::new(HashAlgorithm::Sha256),
        read: 0,
        given_up: None,
    };
    let listing = if cache.writing().listing {
        list(&mut pass)
    } else {
        None
    };
    // What is left, or all of it.
    while let Ok(bytes @ [_, ..]) = pass.fill_buf() {
        let length = bytes.len();
        pass.consume(length);
    }
    let path = || offered.path.clone();
    let corrupt = |found: String, expected: String| PushError::Corrupt {
        path: path(),
        found,
        expected,
    };
    let bytes = |length: u64| format!("its archive has {length} bytes");
    match pass.given_up {
        Some(GivenUp::Stopping) => return Ok(None),
        Some(GivenUp::Unreadable(source)) => {
            return Err(PushError::Unreadable {
                path: path(),
                source: source.into(),
            });
        }
        Some(GivenUp::NotTaken(Some(error))) => return Err(error.into()),
        Some(GivenUp::NotTaken(None)) => {
            // What is not taken has failed: this says how.
            pass.taker.end()?;
            return Ok(None);
        }
        Some(GivenUp::TooLong) => {
            let found = "its archive is longer".to_owned();
            return Err(corrupt(found, format!("{} bytes", offered.nar_size)));
        }
        None => {}
    }
    if pass.read != offered.nar_size {
        return Err(corrupt(bytes(pass.read), offered.nar_size.to_string()));
    }
    let hash = pass.hasher.finish();
    if hash != offered.nar_hash {
        let found = format!("its archive has the hash `{hash}`");
        return Err(corrupt(found, format!("`{}`", offered.nar_hash)));
    }
    Ok(pass.taker.end()?.map(|compressed| (compressed, listing)))
}

/// The listing of an archive; none, after a warning, where it can have none.
fn list<T: Taker>(pass: &mut Pass<'_, T>) -> Option<Vec<u8>> {
    match nar::list(pass) {
        Ok(text) => Some(text),
        Err(DecodeError::Visitor(reason)) => {
            let path = &pass.offered.path;
            pass.course
                .warning(&format!("`{path}` gets no listing: {reason}"));
            None
        }
        // What cannot be read, or is no archive, is told by whoever checks it.
        Err(_) => None,
    }
}
