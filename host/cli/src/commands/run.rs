//! `nix-fetchhost run`

mod each;

use clap::ArgMatches;
use fetchhost_pipeline::{Expectation, SinkStatus};

use crate::args::RunArgs;
use crate::catalog::{self, Selected};
use crate::context::Context;
use crate::failure::Failure;
use crate::fetching::{self, Fetching, Wanted};

/// Fetches, verifies against the declared hash, and puts the result where it is wanted.
pub(crate) async fn run(
    context: &Context,
    selected: Option<Selected>,
    args: &RunArgs,
    matches: &ArgMatches,
) -> Result<(), Failure> {
    let selected = match selected {
        Some(selected) => selected,
        None => catalog::select(&context.engine()?, &args.fetch.fetcher).await?,
    };
    if let Some(list) = &args.each {
        return each::each(context, selected, args, matches, list).await;
    }
    let expectation = fetching::expectation(context, &selected, args.hash.as_deref())?;
    let declared = match &expectation {
        Some(Expectation::Declared(hash)) => Some(hash.clone()),
        _ => None,
    };
    if args.dry_run && declared.is_none() {
        return Err(Failure::usage(
            "`--dry-run` says where a declared hash is, and none is declared",
        )
        .with_hint("add `--hash HASH`, or run it without `--dry-run`"));
    }
    let fetching = Fetching::typed(
        context,
        selected,
        &args.fetch,
        matches,
        expectation,
        Wanted {
            to: &args.fetch.to,
            default: Some("store"),
            gc_root: args.gc_root.as_deref(),
            refetch: args.refetch,
        },
        true,
    )
    .await?;
    if let (true, Some(hash)) = (args.dry_run, &declared) {
        let dry_run = fetching.dry_run(hash, args.fetch.timeout).await?;
        return if args.fetch.json {
            context.printer.json(&dry_run)
        } else {
            context.printer.result(dry_run.to_string().trim_end())
        };
    }
    let (outcome, report) = fetching
        .run(
            context,
            &args.fetch.fetcher,
            args.fetch.timeout,
            args.provenance.as_deref(),
        )
        .await?;
    for sink in &outcome.sinks {
        context.printer.note(&match &sink.status {
            SinkStatus::Present(_) => format!("{} holds it already", sink.label),
            SinkStatus::Done(_) | SinkStatus::Failed(_) => format!("written to {}", sink.label),
        });
    }
    if args.fetch.json {
        context.printer.json(&report)
    } else {
        context
            .printer
            .result(&outcome.output.store_path().to_string())
    }
}
