//! Signing what is in a cache already, in place.
//!
//! What is written is the very text that was judged, with signatures added, over the very state that was
//! read. Whoever changed it meanwhile wins, and what they wrote is judged anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use fetchhost_formats::{
    MAX_NARINFO_BYTES, NarInfo, PublicKey, SigningKey, StorePath, add_signatures,
};

use crate::cache::{Cache, Recorded, lacks};
use crate::error::CacheError;
use crate::measure::Mismeasured;
use crate::objects::Key;
use crate::prove::{Doubt, Ground, Judged, Said, judge, record_named};
use crate::verify::{Fault, Measured};

/// How often a record that others change meanwhile is tried again, and how much longer each pause is.
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(5);

/// How many NARs are read at once: what unpacks one may need 128 MiB.
const READ_AT_ONCE: usize = 4;

/// How records are signed.
pub struct Signing<'a> {
    cache: &'a Cache,
    keys: &'a [SigningKey],
    trusted: &'a [PublicKey],
    store: &'a (dyn Fn(&StorePath) -> Said + Sync),
    /// Whether what is not proved is signed too.
    pub unverified: bool,
    /// Whether the NAR of each record is read before it is signed.
    pub verify: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    turns: Turns,
    nars_read: AtomicUsize,
}

/// What became of a record.
#[derive(Debug)]
pub enum SignedRecord {
    /// It has signatures that it lacked, or would have them.
    Signed {
        /// Its path.
        path: StorePath,
        /// Why it may be signed.
        ground: Ground,
        /// How long the NAR was that was read for it, in bytes; none where none was.
        read: Option<u64>,
    },
    /// It had all signatures.
    Already {
        /// Its path.
        path: StorePath,
    },
    /// It is as it was.
    Skipped {
        /// Its path, where it is known.
        path: Option<StorePath>,
        /// Why.
        doubt: Doubt,
    },
}

impl<'a> Signing<'a> {
    /// Signs with `keys` what is proved by itself, by one of the `trusted` keys, or by a `store`.
    #[must_use]
    pub fn new(
        cache: &'a Cache,
        keys: &'a [SigningKey],
        trusted: &'a [PublicKey],
        store: &'a (dyn Fn(&StorePath) -> Said + Sync),
    ) -> Self {
        Self {
            cache,
            keys,
            trusted,
            store,
            unverified: false,
            verify: false,
            dry_run: false,
            turns: Turns::new(READ_AT_ONCE),
            nars_read: AtomicUsize::new(0),
        }
    }

    /// Refuses a place where two writers at once could undo each other's signatures, unless there is one only.
    ///
    /// # Errors
    /// [`CacheError::Unconditional`].
    pub fn check_place(&self) -> Result<(), CacheError> {
        // To find out is to write, even if only what is there.
        let is_safe = self.dry_run
            || self.cache.writing().single_writer
            || !matches!(self.cache.objects().conditional_writes(), Some([_, false]));
        match is_safe {
            true => Ok(()),
            false => Err(CacheError::Unconditional {
                label: self.cache.label(),
                what: "signatures",
            }),
        }
    }

    /// How many NARs were read so far, to their end or not.
    #[must_use]
    pub fn nars_read(&self) -> usize {
        self.nars_read.load(Ordering::Relaxed)
    }

    /// Signs the record that is named after `hash_part`, and about `path` where one is given.
    ///
    /// # Errors
    /// When the cache cannot be read or written. A record that cannot be used is none.
    pub fn sign(
        &self,
        hash_part: &str,
        path: Option<&StorePath>,
    ) -> Result<SignedRecord, CacheError> {
        let skipped = |path: Option<&StorePath>, doubt| {
            let path = path.cloned();
            Ok(SignedRecord::Skipped { path, doubt })
        };
        let Some(key) = key_of(hash_part) else {
            return skipped(path, Doubt::Name);
        };
        // What was found of one state of the record holds for others that say the same.
        let mut judged: Option<(NarInfo, Ground, Option<u64>)> = None;
        for attempt in 0..ATTEMPTS {
            std::thread::sleep(PAUSE * attempt);
            let found = match self.read(&key, hash_part, path)? {
                Ok(found) => found,
                Err((about, doubt)) => return skipped(about.as_ref().or(path), doubt),
            };
            let about = found.record.store_path.clone();
            let lacking = lacks(&found.record, self.keys);
            if lacking.is_empty() {
                return Ok(SignedRecord::Already { path: about });
            }
            let (ground, read) = match judged
                .take()
                .filter(|(record, ..)| says_the_same(record, &found.record))
            {
                Some((_, ground, read)) => (ground, read),
                None => match self.prove(&found.record)? {
                    Ok(proved) => proved,
                    Err(doubt) => return skipped(Some(&about), doubt),
                },
            };
            let fingerprint = found.record.fingerprint();
            let signatures: Vec<_> = lacking.iter().map(|key| key.sign(&fingerprint)).collect();
            let text = match add_signatures(&found.text, &signatures) {
                Ok(text) => text,
                Err(error) => return skipped(Some(&about), Doubt::Full(error)),
            };
            // They may be there, after more false ones of our name than are tried.
            if text == found.text {
                return Ok(SignedRecord::Already { path: about });
            }
            if self.dry_run || self.cache.rewrite(&found, &text)? {
                return Ok(SignedRecord::Signed {
                    path: about,
                    ground,
                    read,
                });
            }
            judged = Some((found.record, ground, read));
        }
        skipped(path, Doubt::Contended)
    }

    fn read(
        &self,
        key: &Key,
        hash_part: &str,
        path: Option<&StorePath>,
    ) -> Result<Result<Recorded, (Option<StorePath>, Doubt)>, CacheError> {
        let object = match self.cache.objects().get(key, MAX_NARINFO_BYTES as u64) {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(Err((None, Doubt::Gone))),
            // A file that cannot be read; the others can.
            Err(CacheError::Io { source, .. }) => {
                return Ok(Err((None, Doubt::Unread(source.to_string()))));
            }
            Err(error) => return Err(error),
        };
        let found = match record_named(hash_part, object) {
            Ok(found) => found,
            Err(doubt) => return Ok(Err((None, doubt))),
        };
        if path.is_some_and(|path| *path != found.record.store_path) {
            let about = found.record.store_path;
            return Ok(Err((None, Doubt::Misnamed { about })));
        }
        Ok(Ok(found))
    }

    /// Why a record may be signed, and how much was read to know it.
    fn prove(&self, record: &NarInfo) -> Result<Result<(Ground, Option<u64>), Doubt>, CacheError> {
        let judged = match judge(record, self.trusted, self.store) {
            Err(Doubt::Unproved { .. }) if self.unverified => Judged::Proved(Ground::Unverified),
            Err(doubt) => return Ok(Err(doubt)),
            Ok(judged) => judged,
        };
        if let (Judged::Proved(ground), false) = (&judged, self.verify) {
            return Ok(Ok((ground.clone(), None)));
        }
        Ok(match (self.measure(record)?, judged) {
            (Ok(measured), judged) => {
                let read = Some(record.nar_size);
                match judged {
                    Judged::Proved(ground) => Ok((ground, read)),
                    Judged::ToBeRead if measured.agrees == Some(true) => {
                        Ok((Ground::Content, read))
                    }
                    Judged::ToBeRead if self.unverified => Ok((Ground::Unverified, read)),
                    Judged::ToBeRead => Err(Doubt::Incomparable),
                }
            }
            // What was not seen to be false may be believed.
            (Err(wrong), _) if self.unverified && !self.verify && !wrong.is_false() => {
                Ok((Ground::Unverified, None))
            }
            (Err(wrong), _) => Err(Doubt::Nar(wrong)),
        })
    }

    fn measure(&self, record: &NarInfo) -> Result<Result<Measured, Mismeasured>, CacheError> {
        let _turn = self.turns.wait();
        let measured = match self.cache.measure(record) {
            // A file that cannot be read; the others can.
            Err(CacheError::Io { source, .. }) => Err(Mismeasured::Unreadable(source)),
            measured => measured?,
        };
        let is_read = match &measured {
            Err(Mismeasured::Packed(_)) => false,
            Err(Mismeasured::Fault(fault)) => {
                !matches!(**fault, Fault::Elsewhere { .. } | Fault::Missing { .. })
            }
            _ => true,
        };
        if is_read {
            self.nars_read.fetch_add(1, Ordering::Relaxed);
        }
        Ok(measured)
    }
}

/// The name of the record of a path with this hash part, if that is one.
fn key_of(hash_part: &str) -> Option<Key> {
    StorePath::from_base_name(&format!("{hash_part}-x"))
        .ok()
        .filter(|path| path.hash_part() == hash_part)
        .map(|path| Key::record(&path))
}

/// Whether two records differ in their signatures at most.
fn says_the_same(one: &NarInfo, other: &NarInfo) -> bool {
    let unsigned = |record: &NarInfo| NarInfo {
        signatures: Vec::new(),
        ..record.clone()
    };
    unsigned(one) == unsigned(other)
}

impl std::fmt::Debug for Signing<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Signing")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// Lets so many in at once.
struct Turns {
    free: Mutex<usize>,
    one_is_free: Condvar,
}

struct Turn<'a>(&'a Turns);

impl Turns {
    fn new(free: usize) -> Self {
        Self {
            free: Mutex::new(free),
            one_is_free: Condvar::new(),
        }
    }

    fn wait(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .one_is_free
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.one_is_free.notify_one();
    }
}

#[cfg(test)]
mod tests;
