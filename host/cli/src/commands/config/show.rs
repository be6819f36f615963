//! `nix-fetchhost config show`

use crate::context::Context;
use crate::failure::Failure;

/// Prints the configuration in force, as TOML. It holds no secrets: a source says only where one is.
pub(crate) fn show(context: &Context) -> Result<(), Failure> {
    context
        .printer
        .result(context.settings.config.to_toml().trim_end())
}
