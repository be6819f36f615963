//! `nix-fetchhost exec`
//!
//! Whoever wrote the expression that is evaluated chooses all of this command line, so nothing on it
//! grants anything: origins and credentials come from the configuration alone.

use crate::args::ExecArgs;
use crate::catalog;
use crate::context::Context;
use crate::failure::Failure;
use crate::fetching::{self, Fetching, Request, Session, Wanted};
use crate::nix_expression;
use crate::params;
use crate::progress::Progress;
use crate::signing;

/// The longest name of an output that an expression can declare: Nix adds `.drv` for the derivation, and 211
/// bytes is all that a store path may have.
const NAME_BYTES: usize = 207;

/// Fetches into the Nix store unless the path is valid there, and prints an expression for it.
pub(crate) async fn exec(context: &Context, args: &ExecArgs) -> Result<(), Failure> {
    let selected = catalog::select(&context.engine()?, &args.fetcher).await?;
    let params = params::from_json(&selected.description()?.parameters, &args.params)?;
    let session = Session::new(context, Progress::new(context.printer));
    let expectation = fetching::expectation(context, &selected, args.hash.as_deref())?;
    let (expectation, remembering) = fetching::known(
        context,
        &session,
        &selected,
        &params,
        expectation,
        args.output.executable,
        false,
    )
    .await?;
    let request = Request {
        params,
        output: &args.output,
        consent: None,
        expectation,
        remembering,
        inputs: signing::open_of_store(selected.description()?, &args.input).await?,
        wanted: Wanted {
            default: Some("store"),
            ..Wanted::default()
        },
    };
    let fetching = Fetching::prepare(context, &session, selected, request)?;
    if fetching.name().as_str().len() > NAME_BYTES {
        return Err(Failure::usage(format!(
            "the output's name is longer than {NAME_BYTES} bytes, too long for a derivation of it"
        ))
        .with_hint("give a shorter one with `--name`"));
    }
    let (outcome, _) = fetching.run(context, &args.fetcher, None, None).await?;
    // An evaluation that finds everything valid has nothing to say.
    if outcome.verified.is_some() {
        let path = outcome.output.store_path();
        context.printer.note(&format!("fetched {path}"));
    }
    context
        .printer
        .result(&nix_expression::store_path(&outcome.output))
}
