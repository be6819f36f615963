//! `nix-fetchhost grant remove`

use std::path::Path;

use fetchhost_policy::{Grant, OriginPattern};

use super::{details, module, texts, values};
use crate::context::Context;
use crate::failure::Failure;
use crate::settings::draft::Draft;

/// Removes a module's grants for the origins that are given, from the user's configuration; without
/// any, its only grant.
pub(crate) async fn remove(
    context: &Context,
    text: &str,
    origins: &[String],
) -> Result<(), Failure> {
    let module = module(context, text).await?.id;
    let origins: Vec<OriginPattern> = values("--origin", origins)?;
    let mut draft = Draft::open(&context.environment)?;
    let of_module: Vec<(usize, Vec<OriginPattern>)> = draft
        .before()
        .grants
        .iter()
        .enumerate()
        .filter(|(_, grant)| grant.module == module)
        .map(|(index, grant)| (index, grant.origins.clone()))
        .collect();
    if of_module.is_empty() {
        return Err(
            Failure::usage(format!("your file grants nothing to `{module}`"))
                .with_hint("`nix-fetchhost grant list` shows what is granted, and where"),
        );
    }
    if let Some(missing) = origins
        .iter()
        .find(|origin| !of_module.iter().any(|(_, has)| has.contains(origin)))
    {
        return Err(
            Failure::usage(format!("your file grants `{module}` no `{missing}`")).with_hint(
                "write the origin as the grant does; `nix-fetchhost grant list` shows it",
            ),
        );
    }
    if origins.is_empty() && of_module.len() > 1 {
        return Err(Failure::usage(format!(
            "your file has {} grants for `{module}`",
            of_module.len()
        ))
        .with_hint("say which with `--origin`"));
    }
    let chosen: Vec<usize> = of_module
        .iter()
        .filter(|(_, has)| origins.is_empty() || has.iter().any(|has| origins.contains(has)))
        .map(|(index, _)| *index)
        .collect();
    // From the last one on, so that the places of the others stay what they are.
    for index in chosen.iter().rev() {
        draft.remove_grant(*index, &origins)?;
    }
    draft.save()?;
    for grant in chosen
        .iter()
        .filter_map(|index| draft.before().grants.get(*index))
    {
        context
            .printer
            .note(&removed(grant, &origins, draft.path()));
    }
    Ok(())
}

/// What became of a grant of which `origins` were to be removed, or all.
fn removed(grant: &Grant, origins: &[OriginPattern], file: &Path) -> String {
    let (module, file) = (&grant.module, file.display());
    let (gone, left): (Vec<OriginPattern>, Vec<OriginPattern>) = grant
        .origins
        .iter()
        .cloned()
        .partition(|origin| origins.is_empty() || origins.contains(origin));
    if left.is_empty() {
        return format!(
            "removed from {file} this grant to `{module}`\n{}",
            details(grant).trim_end()
        );
    }
    format!(
        "removed from {file} what `{module}` was granted at {}; {} stays",
        texts(&gone).join(" "),
        texts(&left).join(" ")
    )
}
