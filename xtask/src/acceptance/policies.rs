//! The policies of `docs/teams.md`: what the guide says is what is tried.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::server::Rights;

/// The bucket that the guide speaks of.
const BUCKET: &str = "team-cache";

/// The policy for some rights, for another bucket than the guide's.
pub(super) fn of(rights: Rights, bucket: &str) -> Result<String> {
    let heading = match rights {
        Rights::ReadOnly => "### Read-only",
        Rights::PushOnly => "### Push-only",
    };
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/teams.md");
    let guide = std::fs::read_to_string(&guide).with_context(|| guide.display().to_string())?;
    let policy = guide
        .split_once(&format!("\n{heading}\n"))
        .and_then(|(_, section)| section.split_once("```json\n"))
        .and_then(|(_, block)| block.split_once("```"))
        .map(|(policy, _)| policy.replace(BUCKET, bucket));
    policy.with_context(|| format!("docs/teams.md has no policy below `{heading}`"))
}

/// The policy of a bucket that lets somebody get the objects that a pattern names.
pub(super) fn of_bucket(principal: &str, pattern: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["{principal}"]}},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{pattern}"]}}]}}"#
    )
}
