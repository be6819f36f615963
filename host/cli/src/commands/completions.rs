//! `nix-fetchhost completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Prints a completion script. Parameters of fetchers are not in it: they come from modules.
pub(crate) fn completions(context: &Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        env!("CARGO_PKG_NAME"),
        &mut script,
    );
    context
        .printer
        .result(String::from_utf8_lossy(&script).trim_end())
}
