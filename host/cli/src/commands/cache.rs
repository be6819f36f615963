//! `nix-fetchhost cache`: binary caches, on disk and in buckets.

mod bar;
pub(crate) mod gc;
pub(crate) mod info;
pub(crate) mod init;
mod keys;
mod paths;
pub(crate) mod push;
pub(crate) mod sign;
pub(crate) mod verify;

use crate::args::cache::CacheCommand;
use crate::context::Context;
use crate::failure::Failure;

/// Does what was typed after `cache`.
pub(crate) async fn cache(context: &Context, command: &CacheCommand) -> Result<(), Failure> {
    match command {
        CacheCommand::Init { cache } => init::init(context, cache).await,
        CacheCommand::Push(args) => push::push(context, args).await,
        CacheCommand::Info { cache, json } => info::info(context, cache, *json).await,
        CacheCommand::Sign(args) => sign::sign(context, args).await,
        CacheCommand::Gc(args) => gc::gc(context, args).await,
        CacheCommand::Verify(args) => verify::verify(context, args).await,
    }
}
