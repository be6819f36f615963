//! What can be typed after `cache push`.

use std::path::PathBuf;

use clap::Args;

use super::CacheArgs;

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Store paths, what is in them, or links to them such as ./result
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also the paths on stdin, one a line
    #[arg(long)]
    pub(crate) stdin: bool,
    /// With all that they refer to, which is the default
    #[arg(long, overrides_with = "no_closure")]
    pub(crate) closure: bool,
    /// Only these paths; the cache must have what they refer to
    #[arg(long, overrides_with = "closure")]
    pub(crate) no_closure: bool,
    /// The store that they are in [default: the one that Nix would use]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// How many paths are worked on at once [default: 2 a processor, 24 for a bucket]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Only what its content address proves, so that others can sign it without trust in who pushed it
    #[arg(long)]
    pub(crate) only_content_addressed: bool,
    /// Say what would be pushed, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// As Nix's post-build-hook: queue what OUT_PATHS names, and push it in the background
    #[arg(long, conflicts_with_all = ["paths", "stdin", "no_closure", "dry_run", "json", "drain"], help_heading = "Queue")]
    pub(crate) post_build_hook: bool,
    /// Push what is queued, and end when all of it is pushed
    #[arg(long, conflicts_with_all = ["paths", "stdin", "no_closure", "dry_run", "json"], help_heading = "Queue")]
    pub(crate) drain: bool,
    /// The folder of the queue [default: one for each cache below $XDG_STATE_HOME/nix-fetchhost/push]
    #[arg(long, value_name = "DIR", help_heading = "Queue")]
    pub(crate) queue: Option<PathBuf>,
    /// In a session of its own, unless somebody pushes already
    #[arg(long, hide = true, requires = "drain")]
    pub(crate) detached: bool,
}
