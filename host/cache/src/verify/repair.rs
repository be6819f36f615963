//! Making what is damaged good again, or taking it away.
//!
//! An entry is checked once more before anything is done to it: what was wrong on the way here is no damage. What is
//! put in its place is hashed while it is copied, and checked when it is there. A record goes before its NAR, which
//! goes only when it is not what its name or record says and no other record names it. What a source cannot say,
//! because it cannot be asked, keeps an entry from being taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::sync::{Mutex, PoisonError};

use fetchhost_formats::{Hash, HashAlgorithm, Hasher, NarInfo};

use super::check::{Checked, Checks, Unread, check, judge_origin, read};
use super::{Fault, Work, in_parallel, names_of};
use crate::cache::{Cache, MAX_RECORD};
use crate::decompress::{Archive, decompressed};
use crate::error::CacheError;
use crate::inventory::{HashPart, Inventory, is_nar};
use crate::objects::{Key, Kind, Version};

/// A place that may have what a cache has lost.
pub trait NarSource: Send + Sync {
    /// The place, as results name it.
    fn label(&self) -> String;

    /// The uncompressed NAR of the path that `wanted` describes, if this place says to have it with the same hash. What
    /// comes is not believed.
    ///
    /// # Errors
    /// Why the place cannot say.
    fn archive(&self, wanted: &NarInfo) -> Result<Option<Archive>, String>;

    /// Its own record of a path.
    ///
    /// # Errors
    /// Why the place cannot say.
    fn record(&self, _: &HashPart) -> Result<Option<NarInfo>, String> {
        Ok(None)
    }
}

impl NarSource for Cache {
    fn label(&self) -> String {
        Self::label(self)
    }

    fn archive(&self, wanted: &NarInfo) -> Result<Option<Archive>, String> {
        let Some(record) = NarSource::record(self, &HashPart::of(&wanted.store_path))? else {
            return Ok(None);
        };
        if record.nar_hash != wanted.nar_hash || record.store_path != wanted.store_path {
            return Ok(None);
        }
        let Some(nar) = Key::nar(&record.url) else {
            return Ok(None);
        };
        let file = self
            .objects()
            .open(&nar)
            .map_err(|error| error.to_string())?;
        let Some(file) = file else {
            return Ok(None);
        };
        decompressed(file, record.compression, wanted.nar_size).map_err(|error| error.to_string())
    }

    fn record(&self, hash_part: &HashPart) -> Result<Option<NarInfo>, String> {
        let found = self.objects().get(&hash_part.record(), MAX_RECORD);
        let Some(found) = found.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let record = read(&found.bytes).ok();
        Ok(record.filter(|record| HashPart::of(&record.store_path) == *hash_part))
    }
}

/// How damage is repaired.
pub struct Repair<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// What was checked, and is checked again.
    pub checks: &'a Checks,
    /// What lay in the cache.
    pub inventory: &'a Inventory,
    /// Where lost content may be, in the order in which they are asked.
    pub sources: &'a [Box<dyn NarSource>],
}

/// What became of one damaged entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// It was none: when it was read again, the entry was sound, or it was gone.
    Sound,
    /// It was made good, with what came from there, and checked.
    Restored {
        /// From where.
        from: String,
    },
    /// The record and its listing were taken away.
    Removed,
    /// It is as it was.
    Left {
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Repaired {
    fn left(error: &CacheError) -> Self {
        Self::Left {
            why: error.to_string(),
            hint: error.hint(),
        }
    }

    fn unread(unread: Unread) -> Self {
        Self::Left {
            why: unread.message,
            hint: unread.hint,
        }
    }
}

/// What became of all damage.
#[derive(Debug, Default)]
pub struct Repairs {
    /// Of each entry, in the order in which they were given.
    pub entries: Vec<Repaired>,
    /// The damaged NARs that no record names any more, and that were taken away.
    pub nars: Vec<Key>,
    /// Those that could not be: why.
    pub left: Vec<(Key, String)>,
}

/// Repairs what is damaged. Everything is read once more to its end, even where the check was a fast one.
#[must_use]
pub fn repair(repair: &Repair<'_>, damaged: &[Checked], work: &Work<'_>) -> Repairs {
    let entries = Mutex::new(BTreeMap::new());
    let nars = Mutex::new(BTreeSet::new());
    let numbered: Vec<_> = damaged.iter().enumerate().collect();
    in_parallel(&numbered, work, |(index, damaged)| {
        let mut bad = None;
        let repaired = repair.entry(damaged, &mut bad);
        let repaired = repaired.unwrap_or_else(|error| Repaired::left(&error));
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(*index, repaired);
        nars.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bad);
    });
    let mut entries = entries.into_inner().unwrap_or_else(PoisonError::into_inner);
    let nars = nars.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut done = Repairs {
        entries: (0..damaged.len())
            .map(|index| entries.remove(&index).unwrap_or_else(stopped))
            .collect(),
        ..Repairs::default()
    };
    if nars.is_empty() {
        return done;
    }
    match names(repair.cache, work) {
        Ok((named, there)) => {
            // Of what was written since, it is not known that it is bad: its publisher's record may come next.
            let is_as_it_was = |nar: &Key| {
                let seen = repair.inventory.nars.get(nar.as_str());
                seen.is_some() && seen == there.nars.get(nar.as_str())
            };
            let loose = nars.into_iter().filter(|nar| !named.contains(nar.as_str()));
            for nar in loose.filter(is_as_it_was) {
                match repair.cache.objects().delete(&nar) {
                    Ok(()) => done.nars.push(nar),
                    Err(error) => done.left.push((nar, error.to_string())),
                }
            }
        }
        Err(why) => done.left = nars.into_iter().map(|nar| (nar, why.clone())).collect(),
    }
    done
}

fn stopped() -> Repaired {
    Repaired::Left {
        why: "the repair was stopped".to_owned(),
        hint: None,
    }
}

/// What all records of a cache name as their NARs, and what lies in it.
///
/// # Errors
/// Why that is not known.
fn names(cache: &Cache, work: &Work<'_>) -> Result<(BTreeSet<Box<str>>, Inventory), String> {
    let inventory = Inventory::of(cache.objects()).map_err(|error| error.to_string())?;
    let records: Vec<_> = inventory.records.keys().copied().collect();
    let named = Mutex::new((BTreeSet::new(), 0));
    let quietly = Work {
        progress: &|_, _| {},
        ..*work
    };
    in_parallel(&records, &quietly, |record| {
        if let Some(names) = names_of(cache, &record.record()) {
            let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
            named.0.extend(names);
            named.1 += 1;
        }
    });
    let (named, count) = named.into_inner().unwrap_or_else(PoisonError::into_inner);
    match count == records.len() {
        true => Ok((named, inventory)),
        false => Err("not every record can be read, and one may name it".to_owned()),
    }
}

impl Repair<'_> {
    /// Repairs one entry; `bad` becomes the NAR that nobody should read.
    fn entry(&self, damaged: &Checked, bad: &mut Option<Key>) -> Result<Repaired, CacheError> {
        let hash_part = damaged.key.as_str().strip_suffix(".narinfo");
        let Some(hash_part) = hash_part.and_then(HashPart::parse) else {
            // No reader looks for it.
            self.cache.objects().delete(&damaged.key)?;
            return Ok(Repaired::Removed);
        };
        let now = match self.check(&hash_part) {
            Err(unread) => return Ok(Repaired::unread(unread)),
            Ok(None) => return Ok(Repaired::Sound),
            Ok(Some(now)) if now.faults.is_empty() => return Ok(Repaired::Sound),
            Ok(Some(now)) => now,
        };
        let mut unsaid = None;
        for source in self.all_sources(&now) {
            match self.restore(&hash_part, &now, source) {
                Ok(true) => {
                    *bad = bad_nar(&now);
                    return Ok(self.confirmed(&hash_part, source));
                }
                Ok(false) => {}
                Err(Failed::Source(why)) => unsaid = Some(why),
                Err(Failed::Cache(error)) => return Err(*error),
            }
        }
        if let Some((why, hint)) = self.spared(&now) {
            return Ok(Repaired::Left {
                why: why.to_owned(),
                hint: Some(hint.to_owned()),
            });
        }
        if let Some(why) = unsaid {
            return Ok(Repaired::Left {
                why: format!("a source that may have it cannot be read: {why}"),
                hint: Some("try again, or without that source".to_owned()),
            });
        }
        let removed = self.remove(&hash_part, &now)?;
        if removed == Repaired::Removed {
            *bad = bad_nar(&now);
        }
        Ok(removed)
    }

    /// Why an entry that nobody has is not taken away all the same, and what to do.
    fn spared(&self, now: &Checked) -> Option<(&'static str, &'static str)> {
        let all = |is: fn(&Fault) -> bool| now.faults.iter().all(is);
        // A key that was given wrongly is no reason to lose a whole cache.
        if all(|fault| matches!(fault, Fault::Unsigned | Fault::Signature { .. })) {
            return Some((
                "its content is sound, and no source has it with a valid signature",
                "check the trusted keys; sign it with `cache sign`, once its origin is known",
            ));
        }
        if all(Fault::is_unknown) {
            return Some((
                "this program does not know what its record says; another version of Nix may",
                "take it away by hand, if no reader understands it",
            ));
        }
        // Nix does not look at that.
        if all(Fault::is_of_file) {
            return Some((
                "only what its record says of the file is wrong, and the file cannot be unpacked here",
                "publish it again",
            ));
        }
        let inventory = self.inventory;
        let is_missing = |fault: &Fault| matches!(fault, Fault::Missing { .. });
        if all(is_missing) && inventory.nars.is_empty() && inventory.records.len() > 1 {
            return Some((
                "none of the cache's NARs is there",
                "see whether what holds `nar` is mounted; remove the records by hand if it is lost",
            ));
        }
        None
    }

    fn check(&self, hash_part: &HashPart) -> Result<Option<Checked>, Unread> {
        let checks = Checks {
            fast: false,
            ..self.checks.clone()
        };
        check(self.cache, &checks, self.inventory, hash_part)
    }

    /// What was put there is judged as what was there before.
    fn confirmed(&self, hash_part: &HashPart, source: &dyn NarSource) -> Repaired {
        match self.check(hash_part) {
            Ok(Some(again)) if again.faults.is_empty() => Repaired::Restored {
                from: source.label(),
            },
            Ok(_) => Repaired::Left {
                why: "others write the same record".to_owned(),
                hint: Some("try again when they are done".to_owned()),
            },
            Err(unread) => Repaired::unread(unread),
        }
    }

    /// What is wrong with the file alone can be made good from what the cache has.
    fn all_sources<'s>(&'s self, now: &Checked) -> Vec<&'s dyn NarSource> {
        let own: Option<&dyn NarSource> = now
            .faults
            .iter()
            .all(Fault::is_of_file)
            .then_some(self.cache);
        let others = self.sources.iter().map(|source| &**source);
        own.into_iter().chain(others).collect()
    }

    /// Puts the entry there anew from `source`; false when it does not have it.
    fn restore(
        &self,
        hash_part: &HashPart,
        now: &Checked,
        source: &dyn NarSource,
    ) -> Result<bool, Failed> {
        let record = match &now.record {
            Some(record) if now.faults.iter().all(Fault::is_of_nar) => record.clone(),
            // The record itself is wrong: another one is wanted.
            _ => {
                let Some(record) = source.record(hash_part).map_err(Failed::Source)? else {
                    return Ok(false);
                };
                let mut faults = Vec::new();
                let is_signed = judge_origin(&record, self.checks, &mut faults);
                let is_trusted = self.checks.keys.is_empty() || is_signed;
                if !faults.is_empty() || !is_trusted {
                    return Ok(false);
                }
                record
            }
        };
        let Some(archive) = source.archive(&record).map_err(Failed::Source)? else {
            return Ok(false);
        };
        let Some(record) = self.copy(record, archive)? else {
            return Ok(false);
        };
        let text = record.to_string();
        Ok(self.put(&now.key, text.as_bytes(), now.version.as_ref())?)
    }

    /// Writes the NAR of `record` anew; none when it turns out to be another one.
    fn copy(&self, mut record: NarInfo, mut archive: Archive) -> Result<Option<NarInfo>, Failed> {
        let mut compressor = self.cache.begin(Some(record.nar_size))?;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let mut size = 0;
        loop {
            let bytes = match archive.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failed::Source(error.to_string())),
            };
            let length = bytes.len();
            if length == 0 {
                break;
            }
            size += length as u64;
            if size > record.nar_size {
                return Ok(None);
            }
            hasher.update(bytes);
            compressor.write(std::iter::once(bytes))?;
            archive.consume(length);
        }
        let hash: Hash = hasher.finish();
        if size != record.nar_size || hash != record.nar_hash {
            return Ok(None);
        }
        let compressed = compressor.finish()?;
        let (url, file_hash, file_size) = self.cache.complete(compressed, &hash, size)?;
        record.url = url;
        record.compression = self.cache.writing().compression;
        record.file_hash = Some(file_hash);
        record.file_size = Some(file_size);
        Ok(Some(record))
    }

    /// Writes a record over the state that was judged; false when somebody changed it meanwhile.
    fn put(&self, key: &Key, text: &[u8], of: Option<&Version>) -> Result<bool, CacheError> {
        let objects = self.cache.objects();
        match of {
            Some(version) => objects.replace(key, Kind::Record, text, version),
            // It was too long to be told apart from others, and none that anybody could use.
            None => objects.put(key, Kind::Record, text).map(|()| true),
        }
    }

    fn remove(&self, hash_part: &HashPart, now: &Checked) -> Result<Repaired, CacheError> {
        let objects = self.cache.objects();
        let there = objects.get(&now.key, MAX_RECORD)?;
        if there.is_none_or(|there| there.version != now.version) {
            return Ok(Repaired::Left {
                why: "somebody changed its record meanwhile".to_owned(),
                hint: Some("verify it again".to_owned()),
            });
        }
        objects.delete(&now.key)?;
        objects.delete(&hash_part.listing())?;
        Ok(Repaired::Removed)
    }
}

/// The NAR of a damaged entry, when it was proved to be bad: a sound one is an orphan, which may belong to somebody
/// who is publishing.
fn bad_nar(now: &Checked) -> Option<Key> {
    let is_bad = |fault: &Fault| {
        let is_there = !matches!(fault, Fault::Missing { .. } | Fault::Elsewhere { .. });
        is_there && (fault.is_of_nar() || matches!(fault, Fault::Malformed { .. }))
    };
    let record = now
        .record
        .as_ref()
        .filter(|_| now.faults.iter().any(is_bad))?;
    Key::nar(&record.url).filter(is_nar)
}

enum Failed {
    /// A source cannot say.
    Source(String),
    /// The cache cannot be written to.
    Cache(Box<CacheError>),
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self::Cache(Box::new(error))
    }
}
