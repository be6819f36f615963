//! What can be typed. Meaning is given to it in `commands`.

pub(crate) mod cache;
mod credential;
mod grant;
mod key;
pub(crate) mod memo;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use credential::CredentialCommand;
pub(crate) use grant::{GrantAddArgs, GrantCommand};
pub(crate) use key::KeyCommand;

/// Fetches artifacts for Nix through sandboxed modules that never see a secret.
#[derive(Debug, Parser)]
#[command(
    name = "nix-fetchhost",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Global {
    /// Say errors only
    #[arg(
        long,
        short,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub(crate) quiet: bool,
    /// Say more; twice for the program's own trace
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
    /// How the trace of -vv is written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // Value docs would switch clap to its long form, which no longer fits a screen.
    #[default]
    Text,
    Json,
    InternalJson,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch, verify against a declared hash, and put the result where it is wanted
    #[command(after_help = FETCH_HELP)]
    Run(RunArgs),
    /// Fetch, and print the hash and a Nix expression that declares it
    #[command(after_help = FETCH_HELP)]
    Prefetch(PrefetchArgs),
    /// Fetch into the Nix store, and print a Nix expression for it; for builtins.exec
    #[command(after_help = EXEC_HELP)]
    Exec(ExecArgs),
    /// Answer Nix over loopback, when it fetches and when it substitutes, with what the configuration grants
    Serve(ServeArgs),
    /// Fetch what fetches.toml wants, and write the hashes into fetches.lock.json
    #[command(after_help = LOCK_HELP)]
    Lock(LockArgs),
    /// Let builds of the Nix daemon have what a lock file names, through the gateway; or a key sign given contents
    Approve(ApproveArgs),
    /// Fetch what derivations will need into the Nix store, all at once, ahead of the build
    #[command(after_help = REALISE_HELP)]
    Realise(RealiseArgs),
    /// Look at fetchers and the modules that offer them
    #[command(subcommand)]
    Fetcher(FetcherCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keep credentials: where secrets lie, how they are sent, and to whom
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Look at what modules are granted, and change it
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Look at the keys that sign files; make keys that sign what goes into a binary cache, in Nix's format
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look after a binary cache, on disk or in a bucket
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Look at what is remembered: signatures, and results without a declared hash
    #[command(subcommand)]
    Memo(memo::MemoCommand),
    /// Show the whole story on this machine: a stand-in for GitLab, a token, a redirect, a verified result
    Demo(DemoArgs),
    /// List the latest runs, or show one by its ticket
    Log {
        /// The ticket of a run
        ticket: Option<String>,
    },
    /// Look at what fetching depends on, and say what is wrong and what to do
    Doctor,
    /// Remove compiled modules that are no longer used
    Gc {
        /// How many days one may go unused
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        unused_days: u32,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    Man {
        /// Write nix-fetchhost.1, nix-fetchhost-run.1 and so on into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Compile a module read from stdin; started by the program itself
    #[command(name = fetchhost_engine::COMPILE_WORKER_ARGUMENT, hide = true)]
    CompileWorker,
}

/// What `run` and `prefetch` say at the end of their help.
pub(crate) const FETCH_HELP: &str = "\
Parameters come after FETCHER: `nix-fetchhost run gitlab-artifact --help` lists them.
An origin typed as a parameter is granted for this run; redirects to other origins need --allow.";

/// What `exec` says at the end of its help.
const EXEC_HELP: &str = "\
Grants come from the configuration only: `nix-fetchhost grant add` makes one.
Expressions that call this command are in the folder nix/, and docs/nix.md explains them.";

/// What `lock` says at the end of its help.
const LOCK_HELP: &str = "\
Grants come from the configuration only: `nix-fetchhost grant add` makes one.
In fetches.toml stands, for each fetch:

  [fetch.app]
  fetcher = \"gitlab-artifact\"
  params  = { project = \"group/app\", ref = \"main\", job = \"build\", path = \"app\" }";
/// What `realise` says at the end of its help.
const REALISE_HELP: &str = "\
Grants come from the configuration only: `nix-fetchhost grant add` makes one, and `[[route]]` there
names ordinary downloads to take over. Without --gc-root, build at once: when this command ends,
nothing keeps what it added from the garbage collector.";

/// The heading of our own flags; a fetcher's parameters come before them.
const FETCH_HEADING: &str = "Fetch options";

/// What `run` and `prefetch` share.
#[derive(Debug, Args)]
#[command(next_help_heading = FETCH_HEADING)]
pub(crate) struct FetchArgs {
    /// A fetcher's name, or PATH#sha256=HEX[:FETCHER] for a module of somebody else's
    #[arg(value_name = "FETCHER", help_heading = "Arguments")]
    pub(crate) fetcher: String,
    /// A parameter in its unambiguous form
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Parameters as a JSON object from a file, or from stdin with `-`; grants nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Where the result goes: store (the default of `run`), store=URI, out:PATH,
    /// file:///DIR?compression=zstd&secret-key=FILE, or s3://BUCKET?region=REGION; repeatable
    #[arg(long, value_name = "DEST")]
    pub(crate) to: Vec<String>,
    /// A file that the fetcher is given; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) input: Vec<String>,
    /// Also reach this origin, directly and by redirect, never with a credential; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow: Vec<String>,
    /// Bind a credential to the typed origin, or to @ORIGIN; SOURCE is env:NAME, file:PATH, age:PATH, netrc, systemd:NAME, aws, aws:PROFILE or a configured name
    #[arg(
        long,
        value_name = "SLOT=SOURCE[,header=NAME|,bearer|,basic=USER|,aws-sigv4=REGION][@ORIGIN]"
    )]
    pub(crate) credential: Vec<String>,
    /// Print the result, or the failure, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this long, for instance 90s, 15m or 2h
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    pub(crate) timeout: Option<std::time::Duration>,
}

/// What the output is called, and what its hash is over.
#[derive(Debug, Args)]
#[command(next_help_heading = FETCH_HEADING)]
pub(crate) struct OutputArgs {
    /// The output's name in its store path [default: by the fetcher's rules]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Whether the hash is over the file (flat) or over the NAR [default: by the fetcher's rules]
    #[arg(long, value_name = "flat|nar")]
    pub(crate) mode: Option<String>,
    /// Mark a single file as executable; implies --mode nar
    #[arg(long)]
    pub(crate) executable: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = FETCH_HEADING)]
pub(crate) struct RunArgs {
    /// The declared hash: sha256-…, or sha256:HEX; sha512, sha1 and md5 too. A signature needs none
    #[arg(long)]
    pub(crate) hash: Option<String>,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
    /// Keep the store path from being collected as garbage, by this link to it
    #[arg(long, value_name = "PATH", help_heading = FETCH_HEADING)]
    pub(crate) gc_root: Option<PathBuf>,
    /// Say what would be done, what is granted and what is missing, and contact nobody but the destinations
    #[arg(long, help_heading = FETCH_HEADING, conflicts_with = "refetch")]
    pub(crate) dry_run: bool,
    /// Write an in-toto statement (SLSA provenance) about the output into this file
    #[arg(long, value_name = "FILE", help_heading = FETCH_HEADING, conflicts_with = "dry_run")]
    pub(crate) provenance: Option<PathBuf>,
    /// Fetch although every destination already holds the output
    #[arg(long, help_heading = FETCH_HEADING)]
    pub(crate) refetch: bool,
    /// Run once for each path of a list, given as NAME, in parallel: one path in each line of FILE, or of stdin
    /// with `-`. `out:` names a folder then
    #[arg(long, value_name = "NAME=FILE", help_heading = FETCH_HEADING, conflicts_with_all = ["hash", "gc_root", "dry_run", "provenance", "refetch"])]
    pub(crate) each: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = FETCH_HEADING)]
pub(crate) struct PrefetchArgs {
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
    /// The algorithm of the hash to compute
    #[arg(long, value_name = "ALGORITHM", default_value = "sha256", help_heading = FETCH_HEADING)]
    pub(crate) hash_algorithm: String,
}

/// What a Nix expression chooses: nothing here may grant anything.
#[derive(Debug, Args)]
#[command(next_help_heading = FETCH_HEADING)]
pub(crate) struct ExecArgs {
    /// A fetcher's name, or PATH#sha256=HEX[:FETCHER] for a module of somebody else's
    #[arg(value_name = "FETCHER", help_heading = "Arguments")]
    pub(crate) fetcher: String,
    /// The parameters as one JSON object, or - to read it from stdin
    #[arg(value_name = "JSON", help_heading = "Arguments")]
    pub(crate) params: String,
    /// The declared hash: sha256-…, or sha256:HEX; sha512, sha1 and md5 too. A signature needs none
    #[arg(long)]
    pub(crate) hash: Option<String>,
    /// A file of the store that the fetcher is given; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) input: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Listen here, on the loopback interface [default: 127.0.0.1 and the configured port, or 8459]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// End after this long without requests or fetches, for instance 10m
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    pub(crate) idle_exit: Option<std::time::Duration>,
    /// Serve this binary cache again, to who may have it, besides the configured ones: https://…, http://…, s3://… or file:///…; repeatable
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// What is wanted; the lock file lies beside it, as FILE with .lock.json for .toml
    #[arg(long, value_name = "FILE", default_value = DEFAULT_WISHES)]
    pub(crate) file: PathBuf,
    /// Fetch this one again, and lock what it is now; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub(crate) update: Vec<String>,
    /// Fetch all again, and lock what they are now
    #[arg(long, conflicts_with_all = ["check", "update"])]
    pub(crate) update_all: bool,
    /// Only say whether the lock file is up to date, and contact nobody
    #[arg(long)]
    pub(crate) check: bool,
    /// Put what is fetched there too, as `run` does, for instance store; repeatable
    #[arg(long, value_name = "DEST", conflicts_with = "check")]
    pub(crate) to: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Lock files; what they hold now is approved, not what they may hold later. With --key, digests of
    /// contents: sha256:HEX or sha256-…
    #[arg(value_name = "FILE|DIGEST", required_unless_present = "list")]
    pub(crate) what: Vec<PathBuf>,
    /// Let this configured key sign contents with these digests where its name is not typed
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Take back what was approved
    #[arg(long, conflicts_with = "list")]
    pub(crate) withdraw: bool,
    /// List what is approved
    #[arg(long, conflicts_with = "what")]
    pub(crate) list: bool,
}

/// What a project wants fetched, when nothing else is said.
pub(crate) const DEFAULT_WISHES: &str = "fetches.toml";
/// How many outputs `realise` fetches at once: as many as Nix has connections (`http-connections`).
const DEFAULT_JOBS: u16 = 25;

/// Nothing here may grant anything: derivations choose what is fetched.
#[derive(Debug, Args)]
pub(crate) struct RealiseArgs {
    /// Derivations: store paths that end in .drv, or links to them
    #[arg(value_name = "DRV")]
    pub(crate) drvs: Vec<String>,
    /// Also the derivations that this file evaluates to, by nix-instantiate
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Only this attribute of the file; repeatable
    #[arg(long, value_name = "ATTR", requires = "file")]
    pub(crate) attr: Vec<String>,
    /// How many outputs are fetched at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_JOBS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// Keep the outputs from being collected as garbage, by links to them: PATH, PATH-2, PATH-3, …
    #[arg(long, value_name = "PATH", conflicts_with = "dry_run")]
    pub(crate) gc_root: Option<PathBuf>,
    /// Say what would be fetched and from where, and contact nobody
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FetcherCommand {
    /// List the fetchers that can be run by name
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a module is, what its fetchers ask for, and what they produce
    Inspect {
        /// A fetcher's name, builtin:NAME, or PATH[#sha256=HEX]
        fetcher: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and say what is wrong with it
    Check,
    /// Print the paths of the configuration files
    Path,
    /// Print the configuration in force
    Show,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the cache in this new folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}
