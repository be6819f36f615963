//! What can be typed after `cache verify`.

use std::num::NonZeroUsize;

use clap::Args;

use super::CacheArgs;

/// What follows the command's help.
pub(crate) const VERIFY_HELP: &str = "\
URL is file:///DIR or s3://BUCKET, as for the other commands of `cache`.

Ends with 0 when nothing is damaged, with 1 when something is, and with 6 when something cannot be
read. With --repair, what is damaged is got anew from the Nix store of this machine or from a cache
named by --from where that has the same content, and else its record is taken away. Nothing is taken
away for a signature that is missing or false.";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Store paths [default: all that the cache has]
    pub(crate) paths: Vec<String>,
    /// A public key whose signatures have to hold, or @FILE with some of them; repeatable
    #[arg(long, value_name = "NAME:BASE64|@FILE")]
    pub(crate) trusted_key: Vec<String>,
    /// What neither a trusted key nor its content address vouches for is damage
    #[arg(long)]
    pub(crate) require_signature: bool,
    /// Look only at what is there and how long it is, and read no NAR
    #[arg(long)]
    pub(crate) fast: bool,
    /// Get what is damaged anew, or take its record away
    #[arg(long)]
    pub(crate) repair: bool,
    /// A cache that may have what is damaged here; repeatable
    #[arg(long, value_name = "URL", requires = "repair")]
    pub(crate) from: Vec<String>,
    /// Do not look for it in the Nix store of this machine
    #[arg(long, requires = "repair")]
    pub(crate) no_store: bool,
    /// How many records are checked at once, each with up to 128 MiB of memory [default: 8 for a bucket, one for each CPU else]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
