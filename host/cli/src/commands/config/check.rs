//! `nix-fetchhost config check`

use fetchhost_keys::Signers;

use crate::commands::key::of_key;
use crate::context::Context;
use crate::failure::Failure;
use crate::misnamed::misnamed;

/// Says what was read; what cannot be read ended the program before.
pub(crate) async fn check(context: &Context) -> Result<(), Failure> {
    if let Some(first) = misnamed(&context.engine()?, &context.settings.config)
        .await?
        .into_iter()
        .next()
    {
        return Err(first);
    }
    // What is written of a public half shows without looking at its source.
    let signers = Signers::new();
    let told = context.settings.config.keys.values();
    for key in told.filter(|key| key.public_key.is_some()) {
        signers.public_key(key).map_err(|error| of_key(&error))?;
    }
    for (path, present) in &context.settings.files {
        let state = if *present { "good" } else { "absent" };
        context
            .printer
            .result(&format!("{}: {state}", path.display()))?;
    }
    let config = &context.settings.config;
    let counted = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    context.printer.note(&format!(
        "{}, {}, {}, {}",
        counted(config.credentials.len(), "credential"),
        counted(config.grants.len(), "grant"),
        counted(config.routes.len(), "route"),
        counted(config.keys.len(), "key")
    ));
    Ok(())
}
