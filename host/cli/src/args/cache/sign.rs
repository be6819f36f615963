//! What can be typed after `cache sign`.

use std::num::NonZeroU8;
use std::path::PathBuf;

use clap::Args;

use super::CacheArgs;

/// What follows the help of `cache sign`.
pub(crate) const SIGN_HELP: &str = "\
A record is signed when one of these holds, tried in this order:
  its content address makes the path, and fixes the hash of the NAR
  a trusted key has signed it
  the local store holds the path, with the same NAR and references
  its content address makes the path, and the NAR, which is read, holds what it says
Anything else is listed, and left as it is; the exit code is 1 then.

URL is file:///DIR or s3://BUCKET, as for the other commands of `cache`; its secret-key=FILE counts
as --key.";

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// A store path, or a path in one [default: all that the cache has]
    pub(crate) path: Vec<PathBuf>,
    /// A secret key's file, as `key generate` makes it; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// A public key whose signatures are believed, or @FILE with some of them; repeatable
    #[arg(long, value_name = "NAME:BASE64|@FILE")]
    pub(crate) trusted_key: Vec<String>,
    /// The store whose valid paths are believed: auto, daemon, local?root=DIR … [default: auto]
    #[arg(long, value_name = "STORE", conflicts_with = "no_store")]
    pub(crate) store: Option<String>,
    /// Ask no store
    #[arg(long)]
    pub(crate) no_store: bool,
    /// Sign what is not proved as well: whoever can write to the cache decides then what you sign
    #[arg(long)]
    pub(crate) unverified: bool,
    /// Read the NAR of each record before it is signed
    #[arg(long)]
    pub(crate) verify: bool,
    /// How many records are looked at at once [default: 16 for a bucket, two for each CPU else]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroU8>,
    /// Say what would be signed, and why; write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
