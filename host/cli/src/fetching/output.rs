//! What the output is called, and what its hash is over.

use fetchhost_formats::{OutputMode, StoreName};
use fetchhost_policy::describe::FetcherDescription;
use serde_json::{Map, Value};

use crate::args::OutputArgs;
use crate::failure::{Failure, with_causes};

/// The output's mode and name: what was said, else by the fetcher's static rules. `dashes` stand before
/// `name`, `mode` and `executable` where these were typed.
pub(crate) fn mode_and_name(
    description: &FetcherDescription,
    params: &Map<String, Value>,
    args: &OutputArgs,
    dashes: &str,
) -> Result<(OutputMode, StoreName), Failure> {
    let name = args
        .name
        .as_deref()
        .map(|text| {
            text.parse()
                .map_err(|error: fetchhost_formats::StoreNameError| {
                    Failure::usage(format!("`{dashes}name {text}`: {error}"))
                })
        })
        .transpose()?;
    let (ruled_mode, name) = description.output_for(params, name).map_err(|error| {
        Failure::usage(with_causes(&error))
            .with_hint(format!("give the output's name with `{dashes}name`"))
    })?;
    let typed_mode = match args.mode.as_deref() {
        None => None,
        Some("flat") => Some(OutputMode::Flat),
        Some("nar") => Some(OutputMode::Nar),
        Some(other) => {
            return Err(Failure::usage(format!(
                "`{dashes}mode {other}` is neither `flat` nor `nar`"
            )));
        }
    };
    let mode = match (typed_mode, args.executable) {
        (Some(OutputMode::Flat), true) => {
            return Err(
                Failure::usage(format!("`{dashes}mode flat` and `{dashes}executable` exclude each other"))
                    .with_hint(format!("Nix refuses executable flat outputs; use `{dashes}mode nar`, with the hash of the NAR")),
            );
        }
        (Some(OutputMode::Flat), false) if ruled_mode == OutputMode::Nar => {
            return Err(Failure::usage(
                "with these parameters the output is a tree, or an executable, which has no flat hash",
            )
            .with_hint(format!(
                "leave out `{dashes}mode flat`, and declare the hash of the NAR"
            )));
        }
        (_, true) if ruled_mode == OutputMode::Nar => {
            return Err(Failure::usage(format!(
                "with these parameters the output is a tree, or executable already: `{dashes}executable` is for a single file",
            ))
            .with_hint(format!("leave out `{dashes}executable`; files in a tree are executable as in its archive")));
        }
        (_, true) => OutputMode::Nar,
        (Some(mode), false) => mode,
        (None, false) => ruled_mode,
    };
    Ok((mode, name))
}
