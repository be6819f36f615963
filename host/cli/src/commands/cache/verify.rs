//! `nix-fetchhost cache verify`

pub(crate) mod report;
mod store;

use std::sync::Arc;
use std::thread::available_parallelism;

use fetchhost_cache::{
    Cache, CachePlace, Checks, InfoFault, NarSource, Repair, Work, repair, verify as check,
};
use fetchhost_credentials::{Keyring, ask_hidden};
use fetchhost_formats::StorePath;
use fetchhost_sinks::{SinkError, Store, StoreError, StoreReader, StoreUrl};

use super::bar::Bar;
use super::keys;
use super::paths::store_path;
use crate::args::cache::VerifyArgs;
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;

use report::VerifyReport;
use store::StoreSource;

/// How many records of a bucket are checked at once. Each may need what its decompressor does, some 128 MiB.
const BUCKET_JOBS: usize = 8;

/// Checks all that is in a cache, or some of it, and repairs it if that is asked for.
pub(crate) async fn verify(context: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    let checks = Checks {
        keys: keys::trusted(&args.trusted_key)?,
        require_signature: args.require_signature,
        fast: args.fast,
    };
    let paths: Vec<StorePath> = args
        .paths
        .iter()
        .map(|path| store_path(path))
        .collect::<Result<_, _>>()?;
    let cache = caches::of_command(context, &args.cache, Purpose::writing(args.repair))?;
    let others = others(context, &args.from)?;
    let (is_repairing, uses_store) = (args.repair, args.repair && !args.no_store);
    let jobs = args.jobs.map_or_else(|| jobs(&cache), usize::from);
    let printer = context.printer;
    let report = caches::work(move |stopping| {
        let bar = Bar::new(printer, "checked");
        let work = Work {
            jobs,
            stop: &|| stopping.is_asked_for(),
            progress: &|done, total| bar.at(done, total),
        };
        let found = check(&cache, &checks, &paths, &work);
        bar.finish();
        let found = found?;
        if !is_repairing {
            return Ok(VerifyReport::new(&cache, &found, None));
        }
        let mut sources: Vec<Box<dyn NarSource>> = Vec::new();
        if uses_store && !found.damaged.is_empty() {
            sources.extend(store()?.map(|reader| Box::new(reader) as Box<dyn NarSource>));
        }
        sources.extend(
            others
                .into_iter()
                .map(|cache| Box::new(cache) as Box<dyn NarSource>),
        );
        let wrote_info = found.info == Some(InfoFault::Missing) && cache.ensure_info()?;
        let repairs = repair(
            &Repair {
                cache: &cache,
                checks: &checks,
                inventory: &found.inventory,
                sources: &sources,
            },
            &found.damaged,
            &Work {
                progress: &|_, _| {},
                ..work
            },
        );
        cache.objects().settle()?;
        Ok(VerifyReport::new(&cache, &found, Some(&repairs)).having_written_info(wrote_info))
    })
    .await?;
    if args.json {
        context.printer.json(&report)?;
    } else {
        context.printer.result(report.to_string().trim_end())?;
        for warning in report.warnings() {
            context.printer.warning(&warning);
        }
    }
    report.verdict()
}

fn jobs(cache: &Cache) -> usize {
    match cache.url().place {
        CachePlace::Folder(_) => available_parallelism().map_or(1, usize::from),
        CachePlace::Bucket(_) => BUCKET_JOBS,
    }
}

fn others(context: &Context, urls: &[String]) -> Result<Vec<Cache>, Failure> {
    let keyring = Keyring::new().asking(ask_hidden);
    let client = context.client(Arc::new(keyring));
    let open = |url: &String| caches::open(context, &client, caches::parse(url)?, Purpose::Reading);
    urls.iter().map(open).collect()
}

/// This machine's store, when there is one.
fn store() -> Result<Option<StoreSource>, Failure> {
    match StoreReader::open(Store::new(StoreUrl::Auto)) {
        Ok(reader) => Ok(Some(StoreSource(reader))),
        Err(SinkError::Source { source, .. }) if matches!(*source, StoreError::Absent { .. }) => {
            Ok(None)
        }
        Err(error) => {
            let failure = Failure::from(fetchhost_pipeline::Error::from(error));
            Err(failure.with_hint("see to the store, or leave it out with `--no-store`"))
        }
    }
}
