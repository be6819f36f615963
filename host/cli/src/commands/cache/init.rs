//! `nix-fetchhost cache init`

use crate::args::cache::CacheArgs;
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;

/// Writes what a cache says about itself, unless it says something already.
pub(crate) async fn init(context: &Context, args: &CacheArgs) -> Result<(), Failure> {
    let cache = caches::of_command(context, args, Purpose::Many)?;
    let label = cache.label();
    let is_new = caches::work(move |_| {
        cache.check_store_dir()?;
        let is_new = cache.ensure_info()?;
        cache.objects().settle()?;
        Ok(is_new)
    })
    .await?;
    context.printer.result(&if is_new {
        format!("`{label}` is a binary cache")
    } else {
        format!("`{label}` is a binary cache already")
    })
}
