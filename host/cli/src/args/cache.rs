//! What can be typed after `cache`.

mod gc;
mod push;
mod sign;
mod verify;

use clap::{Args, Subcommand};

pub(crate) use gc::{GC_HELP, GcArgs};
pub(crate) use push::PushArgs;
pub(crate) use sign::{SIGN_HELP, SignArgs};
pub(crate) use verify::{VERIFY_HELP, VerifyArgs};

/// What follows every one of these commands' help.
const URL_HELP: &str = "\
URL is file:///DIR or s3://BUCKET, with Nix's own parameters, such as
?compression=xz&secret-key=FILE, or ?endpoint=https://HOST&region=REGION for a bucket.
The access keys of a bucket are those of the environment, or of &profile=NAME.";

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Make an empty cache: write what it says about itself
    #[command(after_help = URL_HELP)]
    Init {
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Say what a cache is, and what its server can do
    #[command(after_help = URL_HELP)]
    Info {
        #[command(flatten)]
        cache: CacheArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy store paths, with all that they refer to, from the Nix store into a cache
    #[command(after_help = URL_HELP)]
    Push(Box<PushArgs>),
    /// Add our signature to what is in a cache already and is proved to be what it says
    #[command(after_help = SIGN_HELP)]
    Sign(SignArgs),
    /// Read again all that is in a cache, and say what of it is damaged
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Take away from a cache what nobody needs
    #[command(after_help = GC_HELP)]
    Gc(GcArgs),
}

/// The cache that a command is about.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// The cache
    pub(crate) url: String,
    /// Nobody else writes to the cache meanwhile; needed where a bucket's server ignores conditions of writing
    #[arg(long)]
    pub(crate) single_writer: bool,
}
