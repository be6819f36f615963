//! Taking away from a cache what nobody needs.
//!
//! **The threat.** Publishers who write meanwhile: a NAR comes before its record, and a record may name a NAR, or refer
//! to a path, that was there before; and damage, of which nobody knows what it named.
//!
//! **The rule.** Entries go only by their age or by roots, and never one that something refers to that stays, nor one
//! that `memo/…` names. A
//! record goes first, then its listing, then its NAR when no record that is there by then names it. Nothing goes
//! that is younger than the time that a publisher may take. Where a record cannot be parsed, neither entries nor
//! NARs go; where one cannot be read, nothing does. What was planned is looked at once more right before it is done.

mod index;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::inventory::{HashPart, Seen};
use crate::objects::{Key, UnfinishedUpload};
use crate::verify::{Work, in_parallel};

use index::Index;

/// What is to stay.
#[derive(Clone, Debug)]
pub struct Keep {
    /// These paths and all that they refer to; with none, roots decide nothing.
    pub roots: Option<BTreeSet<HashPart>>,
    /// Records that were written since then, and all that they refer to; with none, age decides nothing.
    pub since: Option<SystemTime>,
    /// Whatever was written since then, for it may be somebody's who is publishing.
    pub young: SystemTime,
    /// Whether entries and NARs go even though there are records that cannot be parsed.
    pub ignore_damaged: bool,
}

impl Keep {
    /// Whether entries may go at all.
    const fn takes_entries(&self) -> bool {
        self.roots.is_some() || self.since.is_some()
    }
}

/// What would go.
#[derive(Debug, Default)]
pub struct Plan {
    /// Entries, by their records.
    pub records: Vec<(HashPart, Seen)>,
    /// Listings: those of the entries, and those without a record.
    pub listings: Vec<(Key, Seen)>,
    /// NARs that no record names that stays.
    pub nars: Vec<(Key, Seen)>,
    /// What publishers have left unfinished.
    pub temporary: Vec<(Key, Seen)>,
    /// What they have left unfinished on a server.
    pub uploads: Vec<UnfinishedUpload>,
    /// How many entries stay.
    pub kept: usize,
    /// Records that cannot be parsed.
    pub damaged: Vec<Key>,
    /// Whether these keep entries and NARs from going.
    pub is_held_up: bool,
    /// The roots that are not in the cache.
    pub absent: Vec<HashPart>,
    /// Whether the access keys may not ask for unfinished uploads.
    pub uploads_denied: bool,
    index: Index,
}

/// What went.
#[derive(Debug, Default)]
pub struct Collected {
    /// Entries.
    pub records: u64,
    /// Listings.
    pub listings: u64,
    /// NARs.
    pub nars: u64,
    /// Unfinished files.
    pub temporary: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// The lengths of all files that went, in bytes.
    pub bytes: u64,
    /// What could not be taken away.
    pub failed: Vec<CacheError>,
}

/// Finds what can go. None when it was stopped.
///
/// # Errors
/// When the cache or one of its records cannot be read, or when no root is in the cache.
pub fn plan(cache: &Cache, keep: &Keep, work: &Work<'_>) -> Result<Option<Plan>, CacheError> {
    let Some(index) = Index::read(cache, &Index::default(), work)? else {
        return Ok(None);
    };
    let mut plan = decide(index, keep);
    if keep
        .roots
        .as_ref()
        .is_some_and(|roots| roots.len() == plan.absent.len())
    {
        return Err(CacheError::NoRoots {
            label: cache.label(),
        });
    }
    let uploads = match cache.objects().unfinished_uploads() {
        Err(error) if error.is_denied() => {
            plan.uploads_denied = true;
            Vec::new()
        }
        uploads => uploads?,
    };
    plan.uploads = uploads
        .into_iter()
        .filter(|upload| upload.begun < keep.young)
        .collect();
    Ok(Some(plan))
}

/// Does what was planned, as far as it still holds.
///
/// # Errors
/// When the cache or one of its records cannot be read.
pub fn collect(
    cache: &Cache,
    planned: Plan,
    keep: &Keep,
    work: &Work<'_>,
) -> Result<Collected, CacheError> {
    let objects = cache.objects();
    let quietly = Work {
        progress: &|_, _| {},
        ..*work
    };
    let done = Mutex::new(Collected::default());
    // Who published meanwhile may refer to what was to go.
    let Some(again) = Index::read(cache, &planned.index, &quietly)? else {
        return Ok(Collected::default());
    };
    let again = decide(again, keep);
    let going: BTreeSet<_> = planned
        .records
        .iter()
        .map(|(hash_part, _)| *hash_part)
        .collect();
    let records = again
        .records
        .iter()
        .filter(|(hash_part, _)| going.contains(hash_part));
    let records: Vec<_> = records.copied().collect();
    in_parallel(&records, work, |(hash_part, seen)| {
        let gone = objects.delete(&hash_part.record());
        note(&done, gone, seen.size, |done| &mut done.records);
    });
    // And may have written the same record anew.
    let Some(now) = Index::read(cache, &again.index, &quietly)? else {
        return Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner));
    };
    let is_without = |key: &Key| {
        let hash_part = key.as_str().strip_suffix(".ls").and_then(HashPart::parse);
        hash_part.is_some_and(|hash_part| !now.records.contains_key(&hash_part))
    };
    let listings: Vec<_> = again
        .listings
        .iter()
        .filter(|(key, _)| is_without(key))
        .collect();
    in_parallel(&listings, &quietly, |(key, seen)| {
        note(&done, objects.delete(key), seen.size, |done| {
            &mut done.listings
        });
    });
    let nars = if holds_up(&now, keep) {
        Vec::new()
    } else {
        loose_nars(&now, &BTreeSet::new(), keep)
    };
    in_parallel(&nars, work, |(key, seen)| {
        note(&done, objects.delete(key), seen.size, |done| &mut done.nars);
    });
    in_parallel(&again.temporary, &quietly, |(key, seen)| {
        note(&done, objects.delete(key), seen.size, |done| {
            &mut done.temporary
        });
    });
    in_parallel(&planned.uploads, &quietly, |upload| {
        note(&done, objects.give_up(upload), 0, |done| &mut done.uploads);
    });
    objects.settle()?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn note(
    done: &Mutex<Collected>,
    gone: Result<(), CacheError>,
    bytes: u64,
    count: impl Fn(&mut Collected) -> &mut u64,
) {
    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
    match gone {
        Ok(()) => {
            done.bytes += bytes;
            *count(&mut done) += 1;
        }
        Err(error) => done.failed.push(error),
    }
}

/// Whether what cannot be parsed may name a NAR that would go, or be what was to stay.
fn holds_up(index: &Index, keep: &Keep) -> bool {
    !keep.ignore_damaged && index.damaged().next().is_some()
}

fn decide(index: Index, keep: &Keep) -> Plan {
    let is_held_up = holds_up(&index, keep);
    let records = &index.records;
    let mut plan = Plan {
        damaged: index.damaged().collect(),
        is_held_up,
        kept: records.len(),
        ..Plan::default()
    };
    if let Some(roots) = &keep.roots {
        let absent = roots.iter().filter(|root| !records.contains_key(root));
        plan.absent = absent.copied().collect();
    }
    let mut going = BTreeSet::new();
    if keep.takes_entries() && !is_held_up {
        let kept = kept(&index, keep);
        // What cannot be parsed is for `verify` to judge.
        let parsed = records
            .iter()
            .filter(|(_, named)| named.references.is_some());
        going.extend(
            parsed
                .map(|(hash_part, _)| *hash_part)
                .filter(|one| !kept.contains(one)),
        );
        plan.kept = records.len() - going.len();
        let seen = going.iter().map(|one| (*one, records[one].seen));
        plan.records = seen.collect();
    }
    let is_old = |seen: &Seen| seen.modified < keep.young;
    let inventory = &index.inventory;
    let of_going = inventory
        .listings
        .iter()
        .filter(|(one, _)| going.contains(one));
    let listings = of_going.map(|(one, seen)| (*one, *seen));
    let orphaned = inventory
        .orphaned_listings()
        .filter(|(_, seen)| is_old(seen));
    plan.listings = listings
        .chain(orphaned)
        .map(|(one, seen)| (one.listing(), seen))
        .collect();
    if !is_held_up {
        plan.nars = loose_nars(&index, &going, keep);
    }
    // A record may name anything as its NAR.
    let named = named(&index, &going);
    let temporary = inventory.temporary.iter();
    plan.temporary = temporary
        .filter(|(key, seen)| is_old(seen) && !named.contains(key.as_str()))
        .cloned()
        .collect();
    plan.index = index;
    plan
}

/// The roots, what is young, what is remembered, and all that these refer to.
fn kept(index: &Index, keep: &Keep) -> BTreeSet<HashPart> {
    let records = &index.records;
    let is_young = |seen: &Seen| {
        seen.modified >= keep.young || keep.since.is_some_and(|since| seen.modified >= since)
    };
    let young = records.iter().filter(|(_, named)| is_young(&named.seen));
    let young = young.map(|(hash_part, _)| *hash_part);
    let roots = keep.roots.iter().flatten().copied();
    let roots = roots.filter(|root| records.contains_key(root));
    let remembered = index.remembered().filter(|one| records.contains_key(one));
    let mut kept: BTreeSet<_> = young.chain(roots).chain(remembered).collect();
    let mut waiting: VecDeque<_> = kept.iter().copied().collect();
    while let Some(one) = waiting.pop_front() {
        let references = records
            .get(&one)
            .and_then(|named| named.references.as_ref());
        for reference in references
            .into_iter()
            .flat_map(|references| references.iter())
        {
            if records.contains_key(reference) && kept.insert(*reference) {
                waiting.push_back(*reference);
            }
        }
    }
    kept
}

/// What the records that stay name as their NARs.
fn named<'index>(index: &'index Index, going: &BTreeSet<HashPart>) -> BTreeSet<&'index str> {
    let staying = index.records.iter().filter(|(one, _)| !going.contains(one));
    staying
        .flat_map(|(_, named)| named.nars.iter().map(|name| &**name))
        .collect()
}

/// The old NARs that no record names that stays.
fn loose_nars(index: &Index, going: &BTreeSet<HashPart>, keep: &Keep) -> Vec<(Key, Seen)> {
    let named = named(index, going);
    let nars = index.inventory.nars.iter();
    nars.filter(|(name, seen)| seen.modified < keep.young && !named.contains(&***name))
        .filter_map(|(name, seen)| Some((Key::parse(name)?, *seen)))
        .collect()
}
