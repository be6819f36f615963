//! What `run --dry-run` tells.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::SCHEMA_VERSION;

/// What `run --dry-run` says.
#[derive(Debug)]
pub(crate) struct DryRun {
    pub(crate) store_path: String,
    pub(crate) module: String,
    pub(crate) module_digest: String,
    pub(crate) fetcher: String,
    /// Each destination, and whether it holds the output.
    pub(crate) destinations: Vec<(String, bool)>,
    /// For each origin that was typed: what is granted, in sentences.
    pub(crate) granted: Vec<String>,
}

/// What `run --dry-run` prints: what would be done. Nobody was asked.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost dry run")]
struct DryRunReport<'a> {
    /// 1.
    schema_version: u32,
    /// The logical store path.
    store_path: &'a str,
    /// The module, as grants name it: `builtin:NAME` or `sha256:HEX`.
    module: &'a str,
    /// The SHA-256 of the module's component, in hex.
    module_digest: &'a str,
    /// The fetcher's name.
    fetcher: &'a str,
    /// Each destination, in the order given.
    destinations: Vec<PlannedDestination<'a>>,
    /// What is granted, in sentences: for the origin that the parameters name, typed or by default,
    /// and for each origin of `--allow`.
    granted: &'a [String],
}

/// What would come of one destination.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PlannedDestination<'a> {
    /// The destination as given.
    destination: &'a str,
    /// Whether it holds the output already; else it would be written.
    present: bool,
}

impl Serialize for DryRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        DryRunReport {
            schema_version: SCHEMA_VERSION,
            store_path: &self.store_path,
            module: &self.module,
            module_digest: &self.module_digest,
            fetcher: &self.fetcher,
            destinations: self
                .destinations
                .iter()
                .map(|(destination, present)| PlannedDestination {
                    destination,
                    present: *present,
                })
                .collect(),
            granted: &self.granted,
        }
        .serialize(serializer)
    }
}

impl std::fmt::Display for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "store path   {}", self.store_path)?;
        writeln!(
            f,
            "fetcher      {} of {} ({})",
            self.fetcher, self.module, self.module_digest
        )?;
        for (destination, holds) in &self.destinations {
            let state = if *holds {
                "holds it already"
            } else {
                "would be written"
            };
            writeln!(f, "destination  {destination}: {state}")?;
        }
        self.granted
            .iter()
            .try_for_each(|granted| write!(f, "\n{}\n", granted.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::is_published;

    #[test]
    fn the_schema_is_the_published_one() {
        is_published::<DryRunReport<'_>>(include_str!(
            "../../../../docs/schema/dry-run.schema.json"
        ));
    }
}
