//! What `cache verify` found, for people and for programs.

use std::fmt;

use fetchhost_cache::{Cache, Checked, Key, Repaired, Repairs, Seen, Verified};
use indicatif::HumanBytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;

/// What `cache verify` found, and with `--repair` did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost verification of a cache")]
pub(crate) struct VerifyReport {
    /// 1.
    schema_version: u32,
    /// The cache's URL without parameters.
    cache: String,
    /// How many records were checked.
    records: u64,
    /// How many bytes of NARs' files were read.
    bytes_read: u64,
    /// What is wrong with `nix-cache-info`.
    info: Option<Trouble>,
    /// What is damaged.
    damaged: Vec<DamagedEntry>,
    /// Wanted paths that have no record.
    absent: Vec<String>,
    /// What could not be read, so that nothing is known of it.
    unread: Vec<Trouble>,
    /// Paths whose content could not be checked.
    unchecked: Vec<Unchecked>,
    /// How many records are there whose origin nothing shows: neither a signature (of a trusted key, where any is given)
    /// nor the content address.
    unsigned: u64,
    /// What is referred to, and not in the cache.
    dangling: Vec<Dangling>,
    /// NARs that no record names; null when not all records were read.
    orphaned_nars: Option<Objects>,
    /// Listings without a record.
    orphaned_listings: Objects,
    /// Files that a publisher has not finished.
    temporary: Objects,
    /// What `--repair` took away besides records: damaged NARs that no record names any more.
    removed_nars: Vec<String>,
    /// What `--repair` could not take away.
    left_nars: Vec<Trouble>,
    /// Whether `--repair` was given.
    repaired: bool,
    /// Whether `--repair` wrote `nix-cache-info`.
    wrote_info: bool,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Trouble {
    /// The object.
    key: String,
    /// What is wrong.
    message: String,
    /// What to do next.
    hint: Option<String>,
}

/// One damaged entry.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DamagedEntry {
    /// Its record.
    key: String,
    /// Its store path, where the record can be read.
    path: Option<String>,
    /// What is wrong with it.
    faults: Vec<FaultReport>,
    /// What `--repair` made of it: `sound`, `restored`, `removed` or `left`.
    repair: Option<&'static str>,
    /// Where it was restored from.
    from: Option<String>,
    /// Why it was left.
    left: Option<String>,
    /// What to do next about what was left.
    hint: Option<String>,
}

/// One thing that is wrong with an entry.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FaultReport {
    /// A word for it: `record`, `name`, `nar-elsewhere`, `nar-missing`, `file-size`, `file-hash`, `nar-undecodable`,
    /// `nar-size`, `nar-hash`, `nar-malformed`, `content`, `content-address`, `signature`, `unsigned`.
    kind: &'static str,
    /// What is wrong.
    message: String,
    /// What to do next.
    hint: &'static str,
}

/// Content that could not be checked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Unchecked {
    /// The store path.
    path: String,
    /// Why.
    reason: String,
}

/// A reference to what is not there.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Dangling {
    /// What is not there.
    path: String,
    /// One of those that refer to it.
    referrer: String,
}

/// Some objects.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Objects {
    /// Their names.
    keys: Vec<String>,
    /// What they take, in bytes.
    bytes: u64,
}

impl Objects {
    fn of(found: &[(Key, Seen)]) -> Self {
        Self {
            keys: found.iter().map(|(key, _)| key.to_string()).collect(),
            bytes: found.iter().map(|(_, seen)| seen.size).sum(),
        }
    }
}

impl VerifyReport {
    pub(super) fn new(cache: &Cache, found: &Verified, repairs: Option<&Repairs>) -> Self {
        let repaired = |index: usize| repairs.and_then(|repairs| repairs.entries.get(index));
        let damaged = found.damaged.iter().enumerate();
        Self {
            schema_version: SCHEMA_VERSION,
            cache: cache.label(),
            records: found.records,
            bytes_read: found.read,
            info: found.info.as_ref().map(|fault| Trouble {
                key: Key::info().to_string(),
                message: fault.to_string(),
                hint: fault.hint(),
            }),
            damaged: damaged
                .map(|(index, entry)| DamagedEntry::new(entry, repaired(index)))
                .collect(),
            absent: found.absent.iter().map(ToString::to_string).collect(),
            unread: found
                .unread
                .iter()
                .map(|unread| Trouble {
                    key: unread.key.to_string(),
                    message: unread.message.clone(),
                    hint: unread.hint.clone(),
                })
                .collect(),
            unchecked: found
                .unchecked
                .iter()
                .map(|(path, why)| Unchecked {
                    path: path.to_string(),
                    reason: why.to_string(),
                })
                .collect(),
            unsigned: found.unsigned,
            dangling: found
                .dangling
                .iter()
                .map(|(path, by)| Dangling {
                    path: path.to_string(),
                    referrer: by.to_string(),
                })
                .collect(),
            orphaned_nars: found.orphans.as_deref().map(Objects::of),
            orphaned_listings: Objects::of(&found.listings),
            temporary: Objects::of(&found.temporary),
            removed_nars: repairs
                .map(|repairs| repairs.nars.iter().map(Key::to_string).collect())
                .unwrap_or_default(),
            left_nars: repairs
                .map(|repairs| repairs.left.iter().map(left).collect())
                .unwrap_or_default(),
            repaired: repairs.is_some(),
            wrote_info: false,
        }
    }

    /// With word of what was written.
    pub(super) fn having_written_info(mut self, wrote_info: bool) -> Self {
        self.wrote_info = wrote_info;
        self
    }

    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let cache = &self.cache;
        let is_bad = |entry: &&DamagedEntry| !matches!(entry.repair, Some("sound" | "restored"));
        let bad = self.damaged.iter().filter(is_bad).count() + self.absent.len();
        let is_left = |entry: &DamagedEntry| entry.repair == Some("left");
        let info_is_bad = self.info.is_some() && !self.wrote_info;
        if bad > 0 || info_is_bad {
            let failure = Failure::damaged(match (bad, self.repaired) {
                (0, _) => format!("`{cache}`: Nix cannot read its `nix-cache-info`"),
                (1, false) => format!("`{cache}`: 1 entry is damaged"),
                (bad, false) => format!("`{cache}`: {bad} entries are damaged"),
                (1, true) => format!("`{cache}`: 1 entry could not be made good"),
                (bad, true) => format!("`{cache}`: {bad} entries could not be made good"),
            });
            return Err(match (self.repaired, self.damaged.iter().any(is_left)) {
                (false, _) => failure.with_hint(
                    // Without its parameters the URL would be that of another bucket.
                    "the same command with `--repair` gets anew what it can, and says what becomes of the rest",
                ),
                (true, false) => failure.with_hint("publish them again: what was taken away is reported as missing"),
                (true, true) => failure,
            });
        }
        if !self.unread.is_empty() {
            let count = self.unread.len();
            return Err(
                Failure::unread(format!("`{cache}`: {count} entries cannot be read"))
                    .with_hint("verify again when they can be; nothing of them was touched"),
            );
        }
        Ok(())
    }

    /// What is no damage, and should be known all the same.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut said = Vec::new();
        for unchecked in &self.unchecked {
            said.push(format!(
                "{}: not checked: {}",
                unchecked.path, unchecked.reason
            ));
        }
        for dangling in &self.dangling {
            let Dangling { path, referrer } = dangling;
            said.push(format!(
                "{path} is not in the cache, and {referrer} refers to it: Nix has to find it elsewhere"
            ));
        }
        for nar in &self.left_nars {
            said.push(format!("`{}` stays: {}", nar.key, nar.message));
        }
        said
    }
}

fn left((key, why): &(Key, String)) -> Trouble {
    Trouble {
        key: key.to_string(),
        message: why.clone(),
        hint: None,
    }
}

impl DamagedEntry {
    fn new(entry: &Checked, repaired: Option<&Repaired>) -> Self {
        let faults = entry.faults.iter();
        let (repair, from, left, hint) = match repaired {
            None => (None, None, None, None),
            Some(Repaired::Sound) => (Some("sound"), None, None, None),
            Some(Repaired::Restored { from }) => (Some("restored"), Some(from.clone()), None, None),
            Some(Repaired::Removed) => (Some("removed"), None, None, None),
            Some(Repaired::Left { why, hint }) => {
                (Some("left"), None, Some(why.clone()), hint.clone())
            }
        };
        Self {
            key: entry.key.to_string(),
            path: entry
                .record
                .as_ref()
                .map(|record| record.store_path.to_string()),
            faults: faults
                .map(|fault| FaultReport {
                    kind: fault.kind(),
                    message: fault.to_string(),
                    hint: fault.hint(),
                })
                .collect(),
            repair,
            from,
            left,
            hint,
        }
    }

    fn name(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.key)
    }

    /// What became of it.
    fn outcome(&self) -> Option<String> {
        Some(match self.repair? {
            "sound" => "it was sound when it was read again".to_owned(),
            "restored" => format!("restored from {}", self.from.as_deref().unwrap_or_default()),
            "removed" => "its record was taken away".to_owned(),
            _ => {
                let why = self.left.as_deref().unwrap_or_default();
                let hint = self.hint.as_ref().map(|hint| format!("; {hint}"));
                format!("left as it is: {why}{}", hint.unwrap_or_default())
            }
        })
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Trouble { key, message, hint }) = &self.info {
            let hint = hint.as_deref().map(|hint| format!("; {hint}"));
            writeln!(out, "{key}: {message}{}", hint.unwrap_or_default())?;
        }
        for entry in &self.damaged {
            let name = entry.name();
            for fault in &entry.faults {
                match entry.repair {
                    None => writeln!(out, "{name}: {}; {}", fault.message, fault.hint)?,
                    Some(_) => writeln!(out, "{name}: {}", fault.message)?,
                }
            }
            if let Some(outcome) = entry.outcome() {
                writeln!(out, "{name}: {outcome}")?;
            }
        }
        for nar in &self.removed_nars {
            writeln!(
                out,
                "{nar}: was taken away, for it is damaged and no record names it"
            )?;
        }
        for path in &self.absent {
            writeln!(
                out,
                "{path}: has no record; publish it again, or check its name"
            )?;
        }
        for Trouble { key, message, hint } in &self.unread {
            let hint = hint.as_deref().map(|hint| format!("; {hint}"));
            writeln!(
                out,
                "{key}: not read: {message}{}",
                hint.unwrap_or_default()
            )?;
        }
        let Self {
            records, unsigned, ..
        } = self;
        writeln!(
            out,
            "{}: {records} records checked ({} of NARs read): {} damaged, {} unread, {} not checked, {unsigned} of unknown origin",
            self.cache,
            HumanBytes(self.bytes_read),
            self.damaged.len() + self.absent.len(),
            self.unread.len(),
            self.unchecked.len(),
        )?;
        let loose = [
            (self.orphaned_nars.as_ref(), "NARs that no record names"),
            (Some(&self.orphaned_listings), "listings without a record"),
            (Some(&self.temporary), "unfinished files"),
        ];
        for (objects, what) in loose {
            let Some(objects) = objects.filter(|objects| !objects.keys.is_empty()) else {
                continue;
            };
            writeln!(
                out,
                "{} {what} take {}; `nix-fetchhost cache gc` with the same URL and `--delete` takes away those that are old enough",
                objects.keys.len(),
                HumanBytes(objects.bytes),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::VerifyReport;

    #[test]
    fn the_schema_of_verifications_is_the_published_one() {
        crate::report::tests::is_published::<VerifyReport>(include_str!(
            "../../../../../../docs/schema/cache-verify.schema.json"
        ));
    }
}
