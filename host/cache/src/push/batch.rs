//! Some of the paths of a push: first all their archives, then their records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use fetchhost_formats::{MAX_NARINFO_BYTES, NarInfo, Signature, StoreEntry, StorePath};

use super::parallel::{in_order, in_parallel};
use super::{Outcome, Push, PushError, archive};
use crate::cache::{Published, Standing, lacks};
use crate::error::CacheError;
use crate::objects::{Key, Kind};

/// How many signatures of a record without its NAR are kept.
const MAX_KEPT_SIGNATURES: usize = 64;

/// Paths that follow each other in a push.
pub(super) struct Batch<'a> {
    pub(super) push: &'a Push<'a>,
    pub(super) offered: &'a [StoreEntry],
    /// Where they begin in the whole push.
    pub(super) begin: usize,
    /// Where each path of the whole push is.
    pub(super) places: &'a HashMap<&'a StorePath, usize>,
}

/// How far a path has come.
enum Step {
    /// To its end.
    Ended(Outcome),
    /// The cache can have this record, after those of all references.
    Ready {
        record: Box<NarInfo>,
        /// What it became if that record is written.
        outcome: Outcome,
    },
}

impl Batch<'_> {
    /// Adds an outcome for each path to those of the batches before.
    pub(super) fn run(&self, outcomes: &mut Vec<Outcome>) -> Result<(), CacheError> {
        let push = self.push;
        // Where a path of a batch before met what all will meet, nothing more is begun.
        let is_over = AtomicBool::new(outcomes.iter().any(ends_all));
        let mut largest_first: Vec<_> = (0..self.offered.len()).collect();
        largest_first.sort_by_key(|at| std::cmp::Reverse(self.offered[*at].nar_size));
        let steps = in_parallel(push.jobs, largest_first, |at| {
            let step = if is_over.load(Ordering::Relaxed) || push.course.is_stopping() {
                Step::Ended(Outcome::NotBegun)
            } else {
                self.begin(&self.offered[at])
                    .unwrap_or_else(|error| Step::Ended(Outcome::Failed(error)))
            };
            match &step {
                Step::Ended(outcome) => {
                    if ends_all(outcome) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    push.course.ended(&self.offered[at], outcome);
                }
                Step::Ready { .. } => {}
            }
            (at, step)
        });
        let mut ready: Vec<_> = self.offered.iter().map(|_| Mutex::new(None)).collect();
        let ended: Vec<OnceLock<Outcome>> = self.offered.iter().map(|_| OnceLock::new()).collect();
        let mut is_written = false;
        for (_, (at, step)) in steps {
            match step {
                Step::Ended(outcome) => drop(ended[at].set(outcome)),
                Step::Ready { .. } => {
                    is_written = true;
                    ready[at] = Mutex::new(Some(step));
                }
            }
        }
        if is_written {
            push.cache.objects().settle()?;
            push.cache.ensure_info()?;
            self.publish(&ready, &ended, outcomes);
            push.cache.objects().settle()?;
        }
        outcomes.extend(
            ended
                .into_iter()
                .map(|ended| ended.into_inner().unwrap_or(Outcome::NotBegun)),
        );
        Ok(())
    }

    /// All that comes before the record.
    fn begin(&self, offered: &StoreEntry) -> Result<Step, PushError> {
        let (push, cache) = (self.push, self.push.cache);
        // Of a record whose NAR is missing: they hold for the NAR that is to come, and nobody else may have them.
        let mut signatures = Vec::new();
        if let Some(found) = cache.record(&offered.path)? {
            match push.judge(offered, &found)? {
                Standing::Another => return Ok(Step::Ended(Outcome::Differs)),
                Standing::Same => {
                    if lacks(&found.record, push.keys).is_empty() {
                        return Ok(Step::Ended(Outcome::Present));
                    }
                    if push.dry_run {
                        return Ok(Step::Ended(Outcome::Unsigned));
                    }
                    return Ok(Step::Ready {
                        record: Box::new(found.record),
                        outcome: Outcome::Signed,
                    });
                }
                Standing::Broken if offered.is_same(&found.record) => {
                    signatures = found.record.signatures;
                }
                Standing::Broken => {}
            }
        }
        if push.dry_run {
            return Ok(Step::Ended(Outcome::Planned));
        }
        let Some(mut stored) = archive::store(cache, offered, push.course)? else {
            return Ok(Step::Ended(Outcome::NotBegun));
        };
        if let Some(text) = stored.listing.take() {
            let key = Key::listing(&offered.path);
            cache.objects().put(&key, Kind::Json, &text)?;
        }
        let file_size = stored.file_size;
        let mut record = offered.record(
            stored.url,
            cache.writing().compression,
            (stored.file_hash, stored.file_size),
        );
        for key in lacks(&record, push.keys) {
            record.sign(key);
        }
        keep_signatures(&mut record, signatures);
        Ok(Step::Ready {
            record: Box::new(record),
            outcome: Outcome::Pushed { file_size },
        })
    }

    /// Writes the records of what is `ready`, each after those that it refers to.
    fn publish(
        &self,
        ready: &[Mutex<Option<Step>>],
        ended: &[OnceLock<Outcome>],
        before: &[Outcome],
    ) {
        // What is in this batch has to end first; what was in one before has.
        let is_over = AtomicBool::new(false);
        let needs: Vec<Vec<usize>> = self
            .offered
            .iter()
            .enumerate()
            .map(|(at, one)| {
                let places = one
                    .references
                    .iter()
                    .filter_map(|path| self.places.get(path));
                let here = places.filter_map(|place| place.checked_sub(self.begin));
                here.filter(|place| *place < at).collect()
            })
            .collect();
        in_order(self.push.jobs, &needs, |at| {
            let step = ready[at]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(Step::Ready { record, outcome }) = step else {
                return;
            };
            let offered = &self.offered[at];
            let outcome = if is_over.load(Ordering::Relaxed) {
                Outcome::NotBegun
            } else {
                self.lacking(offered, ended, before).unwrap_or_else(|| {
                    self.write(offered, &record, outcome)
                        .unwrap_or_else(Outcome::Failed)
                })
            };
            if ends_all(&outcome) {
                is_over.store(true, Ordering::Relaxed);
            }
            self.push.course.ended(offered, &outcome);
            // Nobody else has this one.
            let _ = ended[at].set(outcome);
        });
    }

    /// What a path ends with because of a path that it refers to and that the cache does not have.
    fn lacking(
        &self,
        offered: &StoreEntry,
        ended: &[OnceLock<Outcome>],
        before: &[Outcome],
    ) -> Option<Outcome> {
        let references = offered.references.iter();
        references
            .filter(|path| **path != offered.path)
            .find_map(|path| {
                let place = *self.places.get(path)?;
                let outcome = match place.checked_sub(self.begin) {
                    Some(here) => ended[here].get()?,
                    None => before.get(place)?,
                };
                match outcome {
                    outcome if outcome.is_there() => None,
                    Outcome::NotBegun => Some(Outcome::NotBegun),
                    _ => Some(Outcome::LeftOut {
                        because: path.clone(),
                    }),
                }
            })
    }

    fn write(
        &self,
        offered: &StoreEntry,
        record: &NarInfo,
        outcome: Outcome,
    ) -> Result<Outcome, PushError> {
        let (push, cache) = (self.push, self.push.cache);
        let judge = |found: &_| push.judge(offered, found);
        if matches!(outcome, Outcome::Signed) {
            return match cache.add_keys(&offered.path, push.keys, &judge)? {
                Some(Standing::Same) => Ok(outcome),
                Some(Standing::Another) => Ok(Outcome::Differs),
                // Somebody took it away meanwhile, and its NAR may go with it.
                Some(Standing::Broken) | None => {
                    let path = offered.path.clone();
                    Err(PushError::Gone { path })
                }
            };
        }
        let kept = match cache.publish(record, push.keys, &judge)? {
            Published::New => return Ok(outcome),
            Published::Kept(kept) => kept,
        };
        cache.discard(&record.url, &kept.url);
        Ok(match outcome {
            _ if !offered.is_same(&kept) => Outcome::Differs,
            // A record whose NAR was missing has it again.
            _ if kept.url != record.url => Outcome::Present,
            outcome => outcome,
        })
    }
}

/// Adds signatures that a record had before: none where there are more than a record needs, for then somebody wants
/// it to become one that nobody reads.
fn keep_signatures(record: &mut NarInfo, before: Vec<Signature>) {
    if before.len() > MAX_KEPT_SIGNATURES {
        return;
    }
    let own = record.signatures.len();
    for signature in before {
        if !record.signatures.contains(&signature) {
            record.signatures.push(signature);
        }
    }
    if record.to_string().len() > MAX_NARINFO_BYTES {
        record.signatures.truncate(own);
    }
}

/// Whether what a path met will be met by all that follow.
fn ends_all(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(error) if !error.is_of_the_path())
}
