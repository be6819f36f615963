//! What `realise --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::fetches::Status;
use super::plan::{Plan, Planned};
use crate::report::{ErrorDetail, SCHEMA_VERSION};

/// What `realise` did, or with `--dry-run` would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost realisation")]
pub(crate) struct RealiseReport {
    /// 1.
    schema_version: u32,
    /// Each output once, in the order of the derivations.
    outputs: Vec<OutputReport>,
    /// What looks like something to fetch, and is left to Nix.
    left_to_nix: Vec<DerivationReport>,
    /// Derivations that cannot be read, so that nothing is known of what they need.
    unreadable: Vec<DerivationReport>,
}

/// How one output fared.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OutputReport {
    /// The logical store path.
    store_path: String,
    /// The derivations that want it.
    derivations: Vec<String>,
    /// The fetcher's name.
    fetcher: String,
    /// The output's hash as SRI.
    hash: String,
    /// `present`: the store had it before. `fetched`: the store has it now. `planned`: it would be fetched.
    /// `failed`: the store does not have it, or has no GC root for it.
    status: &'static str,
    /// The size of its NAR in bytes; null where nothing was fetched.
    nar_size: Option<u64>,
    /// The origin that would be asked first; only with `--dry-run`, and null where the fetcher does not say.
    origin: Option<String>,
    /// Why it failed.
    error: Option<ErrorDetail>,
}

/// Something to know about one derivation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DerivationReport {
    /// Its store path.
    derivation: String,
    /// Why.
    reason: String,
}

impl RealiseReport {
    pub(crate) fn new(plan: &Plan, statuses: &[Status]) -> Self {
        let derivation = |path: &fetchhost_formats::StorePath, reason: &str| DerivationReport {
            derivation: path.to_string(),
            reason: reason.to_owned(),
        };
        let outputs = plan.outputs.iter().zip(statuses);
        let left = plan.left.iter();
        let unreadable = plan.unreadable.iter();
        Self {
            schema_version: SCHEMA_VERSION,
            outputs: outputs
                .map(|(planned, status)| OutputReport::new(planned, status))
                .collect(),
            left_to_nix: left
                .map(|left| derivation(&left.derivation, &left.reason))
                .collect(),
            unreadable: unreadable
                .map(|one| derivation(&one.path, &one.reason))
                .collect(),
        }
    }
}

impl OutputReport {
    fn new(planned: &Planned, status: &Status) -> Self {
        let (word, nar_size, origin) = match status {
            Status::Present => ("present", None, None),
            Status::Planned(_, origin) => ("planned", None, origin.clone()),
            Status::Fetched(_, size) => ("fetched", Some(*size), None),
            Status::Failed(_) => ("failed", None, None),
        };
        let output = &planned.output;
        Self {
            store_path: output.store_path().to_string(),
            derivations: planned
                .derivations
                .iter()
                .map(ToString::to_string)
                .collect(),
            fetcher: planned.fetcher(status.way()).to_owned(),
            hash: output.hash.to_string(),
            status: word,
            nar_size,
            origin,
            error: status.failure().map(ErrorDetail::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RealiseReport;

    #[test]
    fn the_schema_of_realisations_is_the_published_one() {
        crate::report::tests::is_published::<RealiseReport>(include_str!(
            "../../../../docs/schema/realise.schema.json"
        ));
    }
}
