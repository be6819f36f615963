//! `nix-fetchhost key`: keys that sign files, as configured, and keys that sign narinfos, in Nix's own format.

mod cache_key;
mod configured;

pub(crate) use cache_key::open as open_cache_key;
pub(crate) use configured::{find, of_key};

use crate::args::KeyCommand;
use crate::context::Context;
use crate::failure::Failure;

/// Does what was typed after `key`.
pub(crate) async fn key(context: &Context, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::List { .. } => configured::list(context).await,
        KeyCommand::Show { name } => configured::show(context, name).await,
        KeyCommand::Generate { name, file } => cache_key::generate(context, name, file),
        KeyCommand::Public { file } => cache_key::public(context, file),
    }
}
