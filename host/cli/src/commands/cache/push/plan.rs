//! What is to be pushed.

use std::collections::{BTreeSet, HashMap};

use fetchhost_cache::Push;
use fetchhost_formats::{StoreEntry, StorePath};

use super::Pusher;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// How many paths a message names.
const MAX_NAMED: usize = 10;

/// What is to be pushed, each path after those that it refers to.
pub(super) struct Plan {
    pub(super) offered: Vec<StoreEntry>,
    /// What is not pushed with `--only-content-addressed`.
    pub(super) skipped: Vec<Skipped>,
}

/// A path that is not to be pushed.
pub(super) struct Skipped {
    pub(super) path: StorePath,
    pub(super) nar_size: u64,
    pub(super) reason: String,
    /// Whether the user named it himself.
    pub(super) is_named: bool,
}

impl Plan {
    /// Chooses from the closure of what was `named`.
    pub(super) fn new(
        pusher: &Pusher,
        push: &Push<'_>,
        named: &[StorePath],
        closure: Vec<StoreEntry>,
    ) -> Result<Self, Failure> {
        let named: BTreeSet<_> = named.iter().collect();
        let entries = closure.into_iter();
        let entries = entries.filter(|entry| pusher.closure || named.contains(&entry.path));
        let offered: Vec<_> = entries.collect();
        let plan = if pusher.only_content_addressed {
            Self::proved(push, &named, offered)?
        } else {
            Self {
                offered,
                skipped: Vec::new(),
            }
        };
        if !pusher.closure {
            plan.refuse_without_references(push)?;
        }
        Ok(plan)
    }

    /// Only what its content address proves, and refers to nothing else that the cache does not have.
    fn proved(
        push: &Push<'_>,
        named: &BTreeSet<&StorePath>,
        offered: Vec<StoreEntry>,
    ) -> Result<Self, Failure> {
        let mut reasons: HashMap<StorePath, String> = HashMap::new();
        for one in &offered {
            if let Err(unproved) = one.proof() {
                reasons.insert(one.path.clone(), unproved.to_string());
            }
        }
        let referred = offered
            .iter()
            .filter(|one| !reasons.contains_key(&one.path));
        let referred = referred.flat_map(|one| &one.references);
        let unproved = referred.filter(|path| reasons.contains_key(*path));
        let missing = push.missing(&unproved.cloned().collect())?;
        let mut missing: BTreeSet<_> = missing.into_iter().collect();
        let mut plan = Self {
            offered: Vec::new(),
            skipped: Vec::new(),
        };
        for one in offered {
            let lacking = one.references.iter().find(|path| missing.contains(*path));
            let reason = match (reasons.remove(&one.path), lacking) {
                (Some(reason), _) => reason,
                (None, Some(path)) => format!("it refers to `{path}`, which is skipped"),
                (None, None) => {
                    plan.offered.push(one);
                    continue;
                }
            };
            // What refers to it comes later.
            if lacking.is_some() {
                missing.insert(one.path.clone());
            }
            plan.skipped.push(Skipped {
                is_named: named.contains(&one.path),
                path: one.path,
                nar_size: one.nar_size,
                reason,
            });
        }
        Ok(plan)
    }

    /// A record without those of its references is one that Nix refuses.
    fn refuse_without_references(&self, push: &Push<'_>) -> Result<(), Failure> {
        let pushed: BTreeSet<_> = self.offered.iter().map(|one| &one.path).collect();
        let references = self.offered.iter().flat_map(|one| &one.references);
        let others = references.filter(|path| !pushed.contains(path));
        let missing = push.missing(&others.cloned().collect())?;
        if missing.is_empty() {
            return Ok(());
        }
        let shown = missing
            .iter()
            .take(MAX_NAMED)
            .map(|path| format!("`{path}`"));
        let shown: Vec<_> = shown.collect();
        let more = match missing.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Failure {
            status: ExitStatus::FetchFailed,
            kind: "references",
            ..Failure::usage(format!(
                "`{}` does not have what these paths refer to: {}{more}",
                push.cache.label(),
                shown.join(", ")
            ))
        }
        .with_hint("push these too: with `--closure`, or without `--no-closure`"))
    }
}
