//! `nix-fetchhost prefetch`

use clap::ArgMatches;
use fetchhost_formats::HashAlgorithm;
use fetchhost_pipeline::Expectation;

use crate::args::PrefetchArgs;
use crate::catalog::{self, Selected};
use crate::context::Context;
use crate::failure::Failure;
use crate::fetching::{Fetching, Wanted};
use crate::nix_expression;

/// Fetches, and prints the hash and a Nix expression that declares it.
pub(crate) async fn prefetch(
    context: &Context,
    selected: Option<Selected>,
    args: &PrefetchArgs,
    matches: &ArgMatches,
) -> Result<(), Failure> {
    let algorithm: HashAlgorithm = args.hash_algorithm.parse().map_err(|_| {
        Failure::usage(format!(
            "`--hash-algorithm {}` is not known",
            args.hash_algorithm
        ))
        .with_hint("there are sha256, sha512, sha1 and md5")
    })?;
    let selected = match selected {
        Some(selected) => selected,
        None => catalog::select(&context.engine()?, &args.fetch.fetcher).await?,
    };
    if selected.description()?.needs_no_hash() {
        return Err(Failure::usage(format!(
            "`{}` signs, and a signature has no hash before it is made",
            selected.fetcher
        ))
        .with_hint(format!(
            "`nix-fetchhost run {} …` signs and prints the store path; it needs no `--hash`",
            selected.fetcher
        )));
    }
    let expectation = Some(Expectation::Unknown(algorithm));
    let wanted = Wanted {
        to: &args.fetch.to,
        refetch: true,
        ..Wanted::default()
    };
    let fetching = Fetching::typed(
        context,
        selected,
        &args.fetch,
        matches,
        expectation,
        wanted,
        false,
    )
    .await?;
    let (outcome, report) = fetching
        .run(context, &args.fetch.fetcher, args.fetch.timeout, None)
        .await?;
    if args.fetch.json {
        return context.printer.json(&report);
    }
    let hash = &outcome.output.hash;
    let command = format!("nix-fetchhost run {} … --hash {hash}", args.fetch.fetcher);
    let expression = nix_expression::expected(&outcome.output, &command);
    context.printer.result(&format!("{hash}\n\n{expression}"))
}
