//! `nix-fetchhost cache`: binary caches, on disk and in buckets.

pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod push;

use crate::args::cache::CacheCommand;
use crate::context::Context;
use crate::failure::Failure;

/// Does what was typed after `cache`.
pub(crate) async fn cache(context: &Context, command: &CacheCommand) -> Result<(), Failure> {
    match command {
        CacheCommand::Init { cache } => init::init(context, cache).await,
        CacheCommand::Push(args) => push::push(context, args).await,
        CacheCommand::Info { cache, json } => info::info(context, cache, *json).await,
    }
}
