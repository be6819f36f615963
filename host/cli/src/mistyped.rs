//! Command lines that clap refuses, in our own words where it does not know what was meant.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};
use fetchhost_policy::describe::FetcherDescription;

use crate::args::Cli;
use crate::failure::Failure;
use crate::{WITH_FETCHER, typed};

/// What to say instead of clap's own message, if there is something better to say. `description` is the fetcher's
/// that was named, if one was.
pub(crate) fn failure(
    argv: &[OsString],
    description: Option<&FetcherDescription>,
    message: &clap::Error,
) -> Option<Failure> {
    let root = Cli::command();
    let path = typed::subcommands(&root, argv);
    match message.kind() {
        ErrorKind::UnknownArgument => unknown_argument(&root, &path, argv, description, message),
        _ => None,
    }
}

/// Clap's tip for a mistyped flag is to pass it as a fetcher's name.
fn unknown_argument(
    root: &Command,
    path: &[&Command],
    argv: &[OsString],
    description: Option<&FetcherDescription>,
    message: &clap::Error,
) -> Option<Failure> {
    let ContextValue::String(argument) = message.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let name = full_name(path);
    let takes_parameters = matches!(path, [one] if is_fetching(one));
    let failure = Failure::usage(if takes_parameters {
        format!("`{argument}` is neither a flag nor a parameter here")
    } else {
        format!("`{name}` takes no `{argument}`")
    });
    let owners = owners(root, path, argument);
    if !owners.is_empty() {
        return Some(
            failure.with_hint(format!("`{argument}` belongs to {}", owners.join(" and "))),
        );
    }
    let is_input = |name: &str| {
        description.is_some_and(|one| one.inputs.keys().any(|input| input.as_str() == name))
    };
    if let Some(input) = argument.strip_prefix("--").filter(|name| is_input(name)) {
        return Some(failure.with_hint(format!("an input is given as `--input {input}=PATH`")));
    }
    if let Some(ContextValue::String(similar)) = message.get(ContextKind::SuggestedArg) {
        return Some(failure.with_hint(format!("there is `{similar}`")));
    }
    Some(failure.with_hint(match path {
        [one] if one.get_name() == "exec" => {
            format!("`{name} --help` lists the flags; parameters are one JSON object here")
        }
        [one] if is_fetching(one) => match typed::find(root, &WITH_FETCHER, argv) {
            Some(typed) => format!(
                "`{name} {} --help` lists its parameters and the flags",
                fetchhost_policy::printable(&typed.fetcher)
            ),
            None => {
                format!("`{name} --help` lists the flags; parameters come after the fetcher's name")
            }
        },
        _ => format!("`{name} --help` lists what there is"),
    }))
}

/// The commands that fetch, among which a flag may be looked for at the wrong one.
fn is_fetching(command: &Command) -> bool {
    let name = command.get_name();
    WITH_FETCHER.contains(&name) || name == "exec"
}

/// Which of the commands that fetch, other than the one that was typed, have this flag.
fn owners(root: &Command, path: &[&Command], argument: &str) -> Vec<String> {
    let ([typed], Some(flag)) = (path, argument.strip_prefix("--")) else {
        return Vec::new();
    };
    if !is_fetching(typed) {
        return Vec::new();
    }
    WITH_FETCHER
        .iter()
        .filter_map(|name| root.find_subcommand(name))
        .filter(|command| {
            command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(flag))
        })
        .map(|command| format!("`{}`", command.get_name()))
        .collect()
}

/// As it is typed.
fn full_name(path: &[&Command]) -> String {
    let names = path.iter().map(|command| command.get_name());
    std::iter::once("nix-fetchhost")
        .chain(names)
        .collect::<Vec<_>>()
        .join(" ")
}
