//! What `cache sign` tells.

use fetchhost_cache::{Doubt, Ground, SignedRecord};
use schemars::JsonSchema;
use serde::Serialize;

use super::records::Wanted;
use super::unsigned;
use crate::failure::{Failure, with_causes};
use crate::report::SCHEMA_VERSION;

/// What `cache sign` did, or with `--dry-run` would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost signing")]
pub(crate) struct SignReport {
    /// 1.
    schema_version: u32,
    /// The cache's URL without parameters.
    cache: String,
    /// Whether nothing was written.
    dry_run: bool,
    /// The records that have signatures that they lacked, or would have them.
    signed: Vec<SignedReport>,
    /// How many had all signatures.
    already_signed: usize,
    /// The records that are as they were.
    skipped: Vec<SkippedReport>,
    /// How many NARs were read.
    nars_read: usize,
}

/// A record with signatures that it lacked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SignedReport {
    /// The logical store path.
    store_path: String,
    /// Why it may be signed: `address`, the path follows from the NAR's hash; `content`, it follows from the
    /// contents, which were read; `trusted-key`, such a key has signed it; `store`, the local store holds the
    /// same; `unverified`, nothing proves it.
    ground: &'static str,
    /// The name of the trusted key that has signed it.
    trusted_key: Option<String>,
    /// How long the NAR was that was read, in bytes; null where none was.
    read: Option<u64>,
}

/// A record that is as it was.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SkippedReport {
    /// Its name in the cache.
    record: String,
    /// The logical store path, where it is known.
    store_path: Option<String>,
    /// Why.
    reason: String,
    /// Whether it was seen to be false, and not only not to be proved.
    is_false: bool,
    /// Whether somebody trusted could vouch for it.
    #[serde(skip)]
    is_unproved: bool,
}

impl SignReport {
    pub(super) fn new(
        cache: &str,
        dry_run: bool,
        records: &[(Wanted, SignedRecord)],
        nars_read: usize,
    ) -> Self {
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            cache: cache.to_owned(),
            dry_run,
            signed: Vec::new(),
            already_signed: 0,
            skipped: Vec::new(),
            nars_read,
        };
        for (wanted, record) in records {
            match record {
                SignedRecord::Signed { path, ground, read } => report.signed.push(SignedReport {
                    store_path: path.to_string(),
                    ground: word(ground),
                    trusted_key: match ground {
                        Ground::Key(name) => Some(name.clone()),
                        _ => None,
                    },
                    read: *read,
                }),
                SignedRecord::Already { .. } => report.already_signed += 1,
                SignedRecord::Skipped { path, doubt } => report.skipped.push(SkippedReport {
                    record: wanted.name(),
                    store_path: path.as_ref().map(ToString::to_string),
                    reason: with_causes(doubt),
                    is_false: doubt.is_false(),
                    is_unproved: matches!(doubt, Doubt::Unproved { .. }),
                }),
            }
        }
        report
    }

    /// Each path that was signed, and why.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&str, String)> {
        self.signed.iter().map(|one| {
            let why = match (one.ground, &one.trusted_key) {
                ("address", _) => "its content address fixes it".to_owned(),
                ("content", _) => "its NAR holds what its content address says".to_owned(),
                ("store", _) => "the store holds the same".to_owned(),
                (_, Some(key)) => format!("`{key}` has signed it"),
                _ => "nothing proves it".to_owned(),
            };
            (one.store_path.as_str(), why)
        })
    }

    /// Each record that was not, by its path where that is known, and why.
    pub(super) fn skips(&self) -> impl Iterator<Item = (String, &str)> {
        self.skipped.iter().map(|one| {
            let named = one.store_path.as_ref().unwrap_or(&one.record);
            (named.clone(), one.reason.as_str())
        })
    }

    /// All of it in a line or two.
    pub(super) fn summary(&self) -> String {
        let signed = count(self.signed.len(), "record");
        let done = if self.dry_run { "would sign" } else { "signed" };
        let mut text = format!("{done} {signed} of `{}`", self.cache);
        if self.already_signed > 0 {
            text.push_str(&format!("; {} signed already", self.already_signed));
        }
        if self.nars_read > 0 {
            let nars = count(self.nars_read, "NAR");
            text.push_str(&format!("; read {nars} to prove what records say"));
        }
        let unproved = self.signed.iter().filter(|one| one.ground == "unverified");
        match unproved.count() {
            0 => {}
            number => text.push_str(&format!("; nothing proves {number} of them")),
        }
        text
    }

    /// Why this is not all that was asked for, if it is not.
    pub(super) fn failure(&self) -> Option<Failure> {
        let skipped = self.skipped.len();
        let all = skipped + self.signed.len() + self.already_signed;
        if skipped == 0 {
            return None;
        }
        let failure = unsigned(skipped, all);
        let any = |is: fn(&SkippedReport) -> bool| self.skipped.iter().any(is);
        Some(if any(|one| one.is_false) {
            failure.with_hint("some are not what they say: a NAR was damaged, or somebody wrote what is false; see who can write to this cache")
        } else if any(|one| one.is_unproved) {
            failure.with_hint("where you trust who made them, name their public key with `--trusted-key`, or a store that holds them with `--store`")
        } else {
            failure
        })
    }
}

fn word(ground: &Ground) -> &'static str {
    match ground {
        Ground::Address => "address",
        Ground::Content => "content",
        Ground::Key(_) => "trusted-key",
        Ground::Store => "store",
        Ground::Unverified => "unverified",
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::SignReport;

    #[test]
    fn the_schema_of_signings_is_the_published_one() {
        crate::report::tests::is_published::<SignReport>(include_str!(
            "../../../../../../docs/schema/cache-sign.schema.json"
        ));
    }
}
