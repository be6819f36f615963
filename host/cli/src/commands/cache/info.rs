//! `nix-fetchhost cache info`

use std::fmt;

use fetchhost_cache::CachePlace;
use fetchhost_policy::printable;
use indicatif::HumanBytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::cache::CacheArgs;
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;

/// What a cache is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost look at a cache")]
struct CacheReport {
    /// 1.
    schema_version: u32,
    /// Its URL without parameters.
    cache: String,
    /// Where requests go, for a bucket.
    server: Option<String>,
    /// What it says about itself, line by line.
    info: Vec<String>,
    /// Its records.
    paths: u64,
    /// Its NARs.
    nars: u64,
    /// What all of it takes, in bytes.
    bytes: u64,
    /// Whether the server honours conditions of writing; null where that is no question, or cannot be told.
    conditional_writes: Option<ConditionalWrites>,
}

/// Which conditions of writing a server honours.
#[derive(Debug, Serialize, JsonSchema)]
struct ConditionalWrites {
    /// To write only where nothing is: several may publish at once.
    create: bool,
    /// To write only over a certain state: several may sign at once.
    update: bool,
}

/// Says what a cache is, what is in it, and what its server can do.
pub(crate) async fn info(context: &Context, args: &CacheArgs, json: bool) -> Result<(), Failure> {
    let cache = caches::of_command(context, args, Purpose::Reading)?;
    let report = caches::work(move |_| {
        let label = cache.label();
        let said = caches::info(&cache)?;
        let (mut paths, mut nars, mut bytes) = (0, 0, 0);
        cache.objects().list(&mut |listed| {
            bytes += listed.size;
            paths += u64::from(listed.name.ends_with(".narinfo"));
            nars += u64::from(listed.name.starts_with("nar/"));
            Ok(())
        })?;
        Ok(CacheReport {
            server: match &cache.url().place {
                CachePlace::Folder(_) => None,
                CachePlace::Bucket(bucket) => Some(bucket.url.to_string()),
            },
            cache: label,
            info: String::from_utf8_lossy(&said)
                .lines()
                .map(|line| printable(line).into_owned())
                .collect(),
            paths,
            nars,
            bytes,
            conditional_writes: cache
                .objects()
                .conditional_writes()
                .map(|[create, update]| ConditionalWrites { create, update }),
            schema_version: SCHEMA_VERSION,
        })
    })
    .await?;
    if json {
        return context.printer.json(&report);
    }
    context.printer.result(report.to_string().trim_end())
}

impl fmt::Display for CacheReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.cache)?;
        if let Some(server) = &self.server {
            writeln!(out, "  server: {server}")?;
        }
        for line in &self.info {
            writeln!(out, "  {line}")?;
        }
        let Self { paths, nars, .. } = self;
        writeln!(
            out,
            "  paths: {paths}, NARs: {nars}, in all {}",
            HumanBytes(self.bytes)
        )?;
        let conditions = self.conditional_writes.as_ref();
        match conditions.map(|conditions| (conditions.create, conditions.update)) {
            None => Ok(()),
            Some((true, true)) => writeln!(out, "  several may write at once"),
            Some((true, false)) => writeln!(
                out,
                "  several may publish at once; only one may sign what is there (`--single-writer`)"
            ),
            Some((false, _)) => writeln!(
                out,
                "  the server ignores conditions of writing: only one may sign what is there (`--single-writer`)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CacheReport;

    #[test]
    fn the_schema_of_looks_at_caches_is_the_published_one() {
        crate::report::tests::is_published::<CacheReport>(include_str!(
            "../../../../../docs/schema/cache-info.schema.json"
        ));
    }
}
