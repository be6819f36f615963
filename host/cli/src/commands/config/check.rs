//! `nix-fetchhost config check`

use crate::context::Context;
use crate::failure::Failure;

/// Says what was read; what is wrong with it ended the program before.
pub(crate) fn check(context: &Context) -> Result<(), Failure> {
    for (path, present) in &context.settings.files {
        let state = if *present { "good" } else { "absent" };
        context
            .printer
            .result(&format!("{}: {state}", path.display()))?;
    }
    let config = &context.settings.config;
    context.printer.note(&format!(
        "{} credentials, {} grants",
        config.credentials.len(),
        config.grants.len()
    ));
    Ok(())
}
