//! `nix-fetchhost cache init`

use fetchhost_formats::CacheInfo;
use fetchhost_policy::printable;

use crate::args::cache::CacheArgs;
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;

/// Writes what a cache says about itself, unless it says something already.
pub(crate) async fn init(context: &Context, args: &CacheArgs) -> Result<(), Failure> {
    let cache = caches::of_command(context, args, Purpose::Many)?;
    let label = cache.label();
    let wanted = CacheInfo::new(cache.writing().want_mass_query, cache.writing().priority);
    let (is_new, said) = caches::work(move |_| {
        cache.check_store_dir()?;
        let is_new = cache.ensure_info()?;
        cache.objects().settle()?;
        Ok((is_new, caches::info(&cache)?))
    })
    .await?;
    let said = String::from_utf8_lossy(&said);
    if !is_new && said.parse().as_ref() != Ok(&wanted) {
        context.printer.warning(&format!(
            "what `{label}` says about itself stays as it is: {}",
            printable(&said.lines().collect::<Vec<_>>().join(", "))
        ));
    }
    context.printer.result(&if is_new {
        format!("`{label}` is a binary cache")
    } else {
        format!("`{label}` is a binary cache already")
    })
}
