//! What can be typed after `grant`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct GrantAddArgs {
    /// builtin:NAME, sha256:HEX, host:substituter or host:cache; or a fetcher of it, as for `run`
    pub(crate) module: String,
    /// An origin that it may ask, or https://*.NAME; repeatable
    #[arg(long, required = true)]
    pub(crate) origin: Vec<String>,
    /// A configured credential for a slot of it; repeatable
    #[arg(long, value_name = "SLOT=NAME")]
    pub(crate) credential: Vec<String>,
    /// An origin that redirects may lead to, never with a credential; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) redirect: Vec<String>,
    /// A method that it may use; repeatable [default: GET and HEAD]
    #[arg(long)]
    pub(crate) method: Vec<String>,
    /// A path that it may ask for, with * and **; repeatable [default: what it declares]
    #[arg(long)]
    pub(crate) path: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// List what is granted, and what the administrator denies
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Grant a module origins, in your configuration
    Add(GrantAddArgs),
    /// Remove grants of a module from your configuration
    Remove {
        /// builtin:NAME, sha256:HEX, host:substituter or host:cache; or a fetcher of it, as for `run`
        module: String,
        /// The granted origin to remove; repeatable [default: the module's only grant]
        #[arg(long)]
        origin: Vec<String>,
    },
    /// Explain what a fetcher may ask of an origin, and why
    Explain {
        /// A fetcher's name, builtin:NAME for each of its fetchers, PATH#sha256=HEX[:FETCHER], host:cache or host:substituter
        fetcher: String,
        /// The origin to be asked, for instance https://gitlab.example.com
        origin: String,
        /// As if this had been given to `run`
        #[arg(long, value_name = "ORIGIN")]
        allow: Vec<String>,
        /// As if this had been given to `run`, with the origin typed
        #[arg(long, value_name = "SLOT=SOURCE")]
        credential: Vec<String>,
    },
}
