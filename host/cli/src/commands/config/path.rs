//! `nix-fetchhost config path`

use crate::context::Context;
use crate::failure::Failure;

/// Prints the paths of the configuration files, there or not, in the order in which they are read.
pub(crate) fn path(context: &Context) -> Result<(), Failure> {
    for (path, _) in &context.settings.files {
        context.printer.result(&path.display().to_string())?;
    }
    Ok(())
}
