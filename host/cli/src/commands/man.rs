//! `nix-fetchhost man`

use std::io;
use std::path::Path;

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Prints the manual page, or writes one for each command.
pub(crate) fn man(context: &Context, dir: Option<&Path>) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = dir else {
        let page = render(command)
            .map_err(|error| Failure::usage(format!("the page cannot be made: {error}")))?;
        return context.printer.result(page.trim_end());
    };
    write_all(command, dir).map_err(|error| {
        Failure::usage(format!(
            "the pages cannot be written to `{}`: {error}",
            dir.display()
        ))
    })
}

fn write_all(command: clap::Command, dir: &Path) -> io::Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    for subcommand in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        write_all(subcommand.clone(), dir)?;
    }
    std::fs::write(dir.join(format!("{name}.1")), render(command)?)
}

fn render(command: clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
