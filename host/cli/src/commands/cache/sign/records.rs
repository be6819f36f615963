//! Which records are to be signed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fetchhost_cache::Cache;
use fetchhost_formats::StorePath;

use super::local::LocalStore;
use crate::failure::Failure;

/// How records end.
const SUFFIX: &str = ".narinfo";

/// A record that is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// What it is named after.
    pub(super) hash_part: String,
    /// Its path, where the user named it.
    pub(super) path: Option<StorePath>,
}

impl Wanted {
    /// The record's name.
    pub(super) fn name(&self) -> String {
        format!("{}{SUFFIX}", self.hash_part)
    }
}

/// All that are in a cache, in the order of their names. What lies in folders below it is nothing that Nix
/// reads as a record.
pub(super) fn all(cache: &Cache) -> Result<Vec<Wanted>, Failure> {
    let mut found = Vec::new();
    cache.objects().list(&mut |listed| {
        if let Some(hash_part) = listed.name.strip_suffix(SUFFIX)
            && !hash_part.contains('/')
        {
            found.push(Wanted {
                hash_part: hash_part.to_owned(),
                path: None,
            });
        }
        Ok(())
    })?;
    found.sort_unstable();
    // A listing that changes meanwhile may name one twice.
    found.dedup();
    Ok(found)
}

/// Those of the paths that were typed.
pub(super) fn of(typed: &[PathBuf], store: &LocalStore) -> Result<Vec<Wanted>, Failure> {
    let paths: BTreeSet<_> = typed
        .iter()
        .map(|typed| store.resolve(typed))
        .collect::<Result<_, _>>()?;
    let wanted = |path: StorePath| Wanted {
        hash_part: path.hash_part().to_owned(),
        path: Some(path),
    };
    Ok(paths.into_iter().map(wanted).collect())
}
