//! Reading all that is in a cache again, and saying what of it is damaged.
//!
//! **The threat.** Files that were cut off, changed or lost; records that a hostile publisher wrote; a network or a
//! server that breaks off, or refuses, in the middle.
//!
//! **The rule.** Damage is what was proved: of what cannot be read nothing is said but that, and nothing of it is
//! ever taken away.
//!
//! | found | is |
//! |---|---|
//! | a record that Nix refuses, or that belongs under another name | damage |
//! | a NAR that is not there, or not what its record says | damage |
//! | a content address that makes another path, or does not fit the content | damage |
//! | a false signature by the name of a trusted key | damage |
//! | no signature | counted; damage where a signature is asked for |
//! | a reference to what is not in the cache | told: Nix looks elsewhere too |
//! | a NAR or listing that no record names, an unfinished file | told: `gc` takes them away |
//! | a compression that only Nix undoes | told: not checked |

mod check;
mod fault;
mod measure;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fetchhost_formats::{CacheInfo, CacheInfoError, StorePath};
use percent_encoding::percent_decode_str;

use crate::cache::{Cache, MAX_RECORD};
use crate::error::CacheError;
use crate::inventory::{HashPart, Inventory, Seen};
use crate::objects::Key;

pub(crate) use check::read as parse;
pub use check::{Checked, Checks, Unchecked, Unread};
pub use fault::Fault;
pub use measure::Measured;
pub(crate) use measure::measure;
pub use repair::{NarSource, Repair, Repaired, Repairs, repair};

/// How work is done.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// At once.
    pub jobs: usize,
    /// Whether to begin nothing more.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Is told how many of how many are done.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What Nix would not read in `nix-cache-info`.
    pub info: Option<InfoFault>,
    /// How many records were checked.
    pub records: u64,
    /// How many bytes of NARs' files were read.
    pub read: u64,
    /// What is damaged, by the names of the records.
    pub damaged: Vec<Checked>,
    /// Those of the wanted paths that have no record.
    pub absent: Vec<StorePath>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What could not be checked.
    pub unchecked: Vec<(StorePath, Unchecked)>,
    /// How many records are there whose origin nothing shows.
    pub unsigned: u64,
    /// What is referred to and not there, and by what, for example.
    pub dangling: BTreeMap<StorePath, StorePath>,
    /// The NARs that no record names; none when not all records were read.
    pub orphans: Option<Vec<(Key, Seen)>>,
    /// The listings whose record is not there.
    pub listings: Vec<(Key, Seen)>,
    /// What publishers have not finished.
    pub temporary: Vec<(Key, Seen)>,
    /// What lies in the cache, as it was listed.
    pub inventory: Inventory,
}

/// What is wrong with what a cache says about itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoFault {
    /// It says nothing.
    #[error("it has no `nix-cache-info`, without which Nix takes it for no cache")]
    Missing,
    /// Nix stops at it.
    #[error("{0}")]
    Unreadable(CacheInfoError),
}

impl InfoFault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => Some("`cache init` writes it, and so does `--repair`".to_owned()),
            Self::Unreadable(error) => error.hint(),
        }
    }
}

/// Checks the entries of `paths`, or of all paths when there are none.
///
/// # Errors
/// When the cache cannot be listed, is for another store, or is no cache at all: it has nothing that one has.
pub fn verify(
    cache: &Cache,
    checks: &Checks,
    paths: &[StorePath],
    work: &Work<'_>,
) -> Result<Verified, CacheError> {
    let info = check_info(cache)?;
    let inventory = Inventory::of(cache.objects())?;
    if info == Some(InfoFault::Missing) && inventory.records.is_empty() {
        return Err(CacheError::NoCache {
            label: cache.label(),
        });
    }
    let wanted: Vec<HashPart> = match paths {
        [] => inventory.records.keys().copied().collect(),
        paths => {
            let wanted: BTreeSet<_> = paths.iter().map(HashPart::of).collect();
            wanted.into_iter().collect()
        }
    };
    let gathered = Mutex::new(Gathered::default());
    in_parallel(&wanted, work, |hash_part| {
        let checked = check::check(cache, checks, &inventory, hash_part);
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.put(*hash_part, checked, cache);
    });
    let gathered = gathered
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut found = gathered.found;
    found.info = info;
    for path in paths {
        if gathered.absent.contains(&HashPart::of(path)) {
            found.absent.push(path.clone());
        }
    }
    if paths.is_empty() {
        for key in &inventory.misnamed {
            found.damaged.push(Checked::misnamed(key));
        }
        if gathered.knows_names && found.unread.is_empty() && !(work.stop)() {
            let orphans = inventory.nars.iter();
            let orphans = orphans.filter(|(name, _)| !gathered.named.contains(*name));
            let orphans = orphans.filter_map(|(name, seen)| Some((Key::parse(name)?, *seen)));
            found.orphans = Some(orphans.collect());
        }
        let listings = inventory.orphaned_listings();
        found.listings = listings
            .map(|(part, seen)| (part.listing(), seen))
            .collect();
        found.temporary.clone_from(&inventory.temporary);
    }
    found.damaged.sort_by(|one, other| one.key.cmp(&other.key));
    found.unread.sort_by(|one, other| one.key.cmp(&other.key));
    found.unchecked.sort_by(|one, other| one.0.cmp(&other.0));
    found.inventory = inventory;
    Ok(found)
}

/// What the checks of single entries gave so far.
struct Gathered {
    found: Verified,
    named: BTreeSet<Box<str>>,
    absent: BTreeSet<HashPart>,
    /// Whether it is known of every record which NAR it names.
    knows_names: bool,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            found: Verified::default(),
            named: BTreeSet::new(),
            absent: BTreeSet::new(),
            knows_names: true,
        }
    }
}

impl Gathered {
    fn put(
        &mut self,
        hash_part: HashPart,
        checked: Result<Option<Checked>, Unread>,
        cache: &Cache,
    ) {
        let found = &mut self.found;
        let checked = match checked {
            Ok(Some(checked)) => checked,
            // Whoever works in the cache meanwhile may take records away.
            Ok(None) => {
                self.absent.insert(hash_part);
                return;
            }
            Err(unread) => return found.unread.push(unread),
        };
        found.records += 1;
        found.read += checked.read;
        match &checked.record {
            Some(record) => {
                found.unsigned += u64::from(!checked.is_signed);
                self.named.extend(names_in(record.url.as_str()));
                for path in &checked.dangling {
                    let by = || record.store_path.clone();
                    found.dangling.entry(path.clone()).or_insert_with(by);
                }
                if let Some(why) = checked.unchecked {
                    found.unchecked.push((record.store_path.clone(), why));
                }
            }
            None => match names_of(cache, &checked.key) {
                Some(names) => self.named.extend(names),
                None => self.knows_names = false,
            },
        }
        if !checked.faults.is_empty() {
            found.damaged.push(checked);
        }
    }
}

/// The NARs that a record names even though Nix would not read it: each of its lines that says so counts. None when it
/// cannot be read at all.
pub(crate) fn names_of(cache: &Cache, record: &Key) -> Option<Vec<Box<str>>> {
    let found = cache.objects().get(record, MAX_RECORD).ok()??;
    if found.bytes.len() as u64 > MAX_RECORD {
        return None;
    }
    Some(urls_in(&found.bytes))
}

/// The values of all lines that look like a URL's.
pub(crate) fn urls_in(bytes: &[u8]) -> Vec<Box<str>> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter_map(|line| line.strip_prefix("URL:"));
    lines.flat_map(|url| names_in(url.trim())).collect()
}

/// What a record's URL may name: what it says, and, where readers might take a detour (`./nar/x`, `nar//x`, a whole URL),
/// what its last part would be where NARs are.
pub(crate) fn names_in(url: &str) -> Vec<Box<str>> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let last = percent_decode_str(last).decode_utf8_lossy();
    let plain = format!("nar/{last}");
    match plain == url {
        true => vec![url.into()],
        false => vec![url.into(), plain.into()],
    }
}

fn check_info(cache: &Cache) -> Result<Option<InfoFault>, CacheError> {
    match cache.check_store_dir() {
        Err(CacheError::Info { source, .. }) => return Ok(Some(InfoFault::Unreadable(source))),
        checked => checked?,
    }
    let key = Key::parse(CacheInfo::FILE);
    let size = key.map(|key| cache.objects().size(&key)).transpose()?;
    Ok(size.flatten().is_none().then_some(InfoFault::Missing))
}

/// Does something to each of `items`, several at once, until it is to stop.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: &Work<'_>, each: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let worker = || {
        while !(work.stop)() {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            each(item);
            (work.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..work.jobs.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
}
