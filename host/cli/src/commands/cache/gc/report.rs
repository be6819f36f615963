//! What `cache gc` would take away, or took away, for people and for programs.

use std::fmt;
use std::time::SystemTime;

use fetchhost_cache::{Cache, Collected, Key, Plan, Seen};
use indicatif::HumanBytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, with_causes};
use crate::report::SCHEMA_VERSION;

/// What `cache gc` would take away, and with `--delete` took away.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost collection of garbage in a cache")]
pub(crate) struct GcReport {
    /// 1.
    schema_version: u32,
    /// The cache's URL without parameters.
    cache: String,
    /// How many entries stay.
    kept: usize,
    /// Entries that go.
    records: Doomed,
    /// Listings that go: those of the entries, and those without a record.
    listings: Doomed,
    /// NARs that go: those that no record names that stays.
    nars: Doomed,
    /// Unfinished files that go.
    temporary: Doomed,
    /// Unfinished uploads that are given up, by the names that they were to have.
    uploads: Vec<String>,
    /// Records that cannot be parsed.
    damaged: Vec<String>,
    /// Whether these keep entries and NARs from going.
    held_up: bool,
    /// The hash parts of roots that are not in the cache.
    absent_roots: Vec<String>,
    /// Whether the access keys may not ask for unfinished uploads.
    uploads_denied: bool,
    /// What went; null without `--delete`.
    deleted: Option<Deleted>,
}

/// Objects that go.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Doomed {
    /// Their names.
    keys: Vec<String>,
    /// What they take, in bytes.
    bytes: u64,
    /// When the oldest of them was written, by RFC 3339; null when there is none.
    oldest: Option<String>,
}

/// What went.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    /// Entries.
    records: u64,
    /// Listings.
    listings: u64,
    /// NARs.
    nars: u64,
    /// Unfinished files.
    temporary: u64,
    /// Unfinished uploads.
    uploads: u64,
    /// What all files took, in bytes.
    bytes: u64,
    /// What could not be taken away: why.
    failed: Vec<String>,
}

impl Doomed {
    fn of(found: impl Iterator<Item = (Key, Seen)>) -> Self {
        let mut doomed = Self {
            keys: Vec::new(),
            bytes: 0,
            oldest: None,
        };
        let mut oldest: Option<SystemTime> = None;
        for (key, seen) in found {
            doomed.keys.push(key.to_string());
            doomed.bytes += seen.size;
            oldest = Some(oldest.map_or(seen.modified, |oldest| oldest.min(seen.modified)));
        }
        let text = |time| humantime::format_rfc3339_seconds(time).to_string();
        doomed.oldest = oldest.map(text);
        doomed
    }
}

impl GcReport {
    pub(super) fn new(cache: &Cache, plan: &Plan) -> Self {
        let records = plan
            .records
            .iter()
            .map(|(hash_part, seen)| (hash_part.record(), *seen));
        Self {
            schema_version: SCHEMA_VERSION,
            cache: cache.label(),
            kept: plan.kept,
            records: Doomed::of(records),
            listings: Doomed::of(plan.listings.iter().cloned()),
            nars: Doomed::of(plan.nars.iter().cloned()),
            temporary: Doomed::of(plan.temporary.iter().cloned()),
            uploads: plan
                .uploads
                .iter()
                .map(|upload| upload.key.clone())
                .collect(),
            damaged: plan.damaged.iter().map(Key::to_string).collect(),
            held_up: plan.is_held_up,
            absent_roots: plan
                .absent
                .iter()
                .map(|root| root.as_str().to_owned())
                .collect(),
            uploads_denied: plan.uploads_denied,
            deleted: None,
        }
    }

    /// With what was done.
    pub(super) fn done(mut self, done: Collected) -> Self {
        self.deleted = Some(Deleted {
            records: done.records,
            listings: done.listings,
            nars: done.nars,
            temporary: done.temporary,
            uploads: done.uploads,
            bytes: done.bytes,
            failed: done.failed.iter().map(|error| with_causes(error)).collect(),
        });
        self
    }

    /// What is to be known besides.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.held_up {
            said.push(format!(
                "{} records cannot be parsed, and may name what would go: neither entries nor NARs go; `nix-fetchhost cache verify --repair` with the same URL sees to them, `--ignore-damaged` goes on without them",
                self.damaged.len(),
            ));
        }
        let absent = self.absent_roots.iter();
        said.extend(
            absent.map(|root| format!("the root `{root}` is not in the cache, and keeps nothing")),
        );
        if self.uploads_denied {
            said.push("these access keys may not ask for unfinished uploads (`s3:ListBucketMultipartUploads`)".to_owned());
        }
        said
    }

    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let failed = self.deleted.iter().flat_map(|deleted| &deleted.failed);
        let Some(first) = failed.clone().next() else {
            return Ok(());
        };
        let count = failed.count();
        Err(
            Failure::unread(format!("{count} objects could not be taken away: {first}"))
                .with_hint("run the same command again: what is gone is gone in the right order"),
        )
    }
}

impl fmt::Display for GcReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            (&self.records, "entries that nothing kept needs"),
            (&self.listings, "listings"),
            (&self.nars, "NARs that no record names then"),
            (&self.temporary, "files that publishers left unfinished"),
        ];
        for (doomed, what) in lines {
            if let Some(oldest) = &doomed.oldest {
                let (count, bytes) = (doomed.keys.len(), HumanBytes(doomed.bytes));
                writeln!(out, "{count} {what}: {bytes}, the oldest of {oldest}")?;
            }
        }
        if !self.uploads.is_empty() {
            writeln!(
                out,
                "{} uploads that publishers left unfinished",
                self.uploads.len()
            )?;
        }
        let Self { cache, kept, .. } = self;
        match &self.deleted {
            Some(done) => writeln!(
                out,
                "{cache}: took away {} entries, {} NARs, {} listings, {} unfinished files and {} unfinished uploads: {}; {kept} entries stay",
                done.records,
                done.nars,
                done.listings,
                done.temporary,
                done.uploads,
                HumanBytes(done.bytes)
            ),
            None => {
                let all = [&self.records, &self.listings, &self.nars, &self.temporary];
                let bytes = all.iter().map(|doomed| doomed.bytes).sum();
                writeln!(
                    out,
                    "{cache}: {} can go, {kept} entries stay; `--delete` does it",
                    HumanBytes(bytes)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GcReport;

    #[test]
    fn the_schema_of_collections_is_the_published_one() {
        crate::report::tests::is_published::<GcReport>(include_str!(
            "../../../../../../docs/schema/cache-gc.schema.json"
        ));
    }
}
