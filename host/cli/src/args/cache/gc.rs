//! What can be typed after `cache gc`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::CacheArgs;

/// What follows the command's help.
pub(crate) const GC_HELP: &str = "\
URL is file:///DIR or s3://BUCKET, as for the other commands of `cache`.

Without --delete nothing is changed: it is said what would go. Without --keep-days and roots only
what belongs to no entry goes: NARs and listings without a record, and what publishers left
unfinished.";

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Entries go that are older than so many days and that nothing younger refers to
    #[arg(long, value_name = "N")]
    pub(crate) keep_days: Option<u32>,
    /// Entries go that this store path, or a link to one such as ./result, does not need; repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) root: Vec<String>,
    /// The same for the store paths in a file, one a line; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) roots_from: Option<PathBuf>,
    /// What is younger than so many hours never goes: somebody may be publishing it
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(crate) orphan_hours: u32,
    /// Go on although there are records that cannot be parsed
    #[arg(long)]
    pub(crate) ignore_damaged: bool,
    /// Take it away, instead of saying what would go
    #[arg(long)]
    pub(crate) delete: bool,
    /// Only say what would go, which is the default
    #[arg(long, conflicts_with = "delete")]
    pub(crate) dry_run: bool,
    /// How many records are read at once [default: 16 for a bucket, two for each CPU else]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
