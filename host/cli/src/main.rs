//! `nix-fetchhost`: fetches artifacts for Nix through sandboxed modules that never see a secret.
//!
//! The folder tree of `commands` is the tree of commands.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod activation;
mod args;
mod batch;
mod caches;
mod catalog;
mod commands;
mod context;
mod duration;
mod environment;
mod exit;
mod failure;
mod fetching;
mod internal_json;
mod journal;
mod key_servers;
mod misnamed;
mod mistyped;
mod nix_expression;
mod params;
mod printer;
mod progress;
mod provenance;
mod realise;
mod report;
mod serving;
mod settings;
mod signals;
mod signing;
mod trace;
mod typed;
mod unattended;
mod wishes;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches};
use fetchhost_policy::describe::FetcherDescription;

use crate::args::cache::CacheCommand;
use crate::args::memo::MemoCommand;
use crate::args::{
    Cli, Command, ConfigCommand, CredentialCommand, FetcherCommand, GrantCommand, KeyCommand,
    LogFormat, PrefetchArgs, RunArgs,
};
use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::{Printer, Verbosity};

/// The subcommands whose flags depend on the fetcher that they name.
const WITH_FETCHER: [&str; 2] = ["run", "prefetch"];

/// How long work that was given up may take to remove its temporary files.
const SHUTDOWN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    // Compiling someone else's module is the one job that must not touch configuration or network.
    if argv
        .get(1)
        .is_some_and(|word| word == fetchhost_engine::COMPILE_WORKER_ARGUMENT)
    {
        return fetchhost_engine::compile_worker();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::usage(format!("the runtime cannot be started: {error}"));
            printer_before_parsing(&argv).failure(&failure);
            return failure.status.into();
        }
    };
    let status = runtime.block_on(async_main(&argv));
    // What still runs was given up (a pipe that nobody reads, say); it gets the time to tidy up.
    runtime.shutdown_timeout(SHUTDOWN);
    status.into()
}

async fn async_main(argv: &[OsString]) -> ExitStatus {
    trace::start(argv);
    let (parsed, prepared) = match parse(argv).await {
        Ok(parsed) => parsed,
        Err(failure) => {
            printer_before_parsing(argv).failure(&failure);
            return failure.status;
        }
    };
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        // Help and version are results; anything else that clap says is a usage error.
        Err(message) => return report_parsing(argv, prepared.as_ref(), &message),
    };
    let printer = printer(&cli);
    match dispatch(printer, &cli.command, &matches, prepared).await {
        Ok(()) => ExitStatus::Success,
        Err(failure) => {
            printer.failure(&failure);
            failure.status
        }
    }
}

/// What was loaded to learn a fetcher's flags, so that it is not loaded again to run it.
struct Prepared {
    context: Context,
    selected: Selected,
}

/// What clap makes of the command line.
type Parsed = Result<(Cli, ArgMatches), clap::Error>;

/// Parses, with the flags of the fetcher that is named, if one is.
async fn parse(argv: &[OsString]) -> Result<(Parsed, Option<Prepared>), Failure> {
    let mut command = Cli::command();
    let mut prepared = None;
    if let Some(typed) = typed::find(&command, &WITH_FETCHER, argv) {
        let context = Context::new(printer_before_parsing(argv))?;
        let selected = catalog::select(&context.engine()?, &typed.fetcher).await?;
        let description = selected.description()?;
        command = command.mut_subcommand(&typed.subcommand, |generic| {
            with_parameters(&generic, &selected.fetcher, description)
        });
        prepared = Some(Prepared { context, selected });
    }
    let parsed = command.try_get_matches_from(argv).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, matches))
    });
    Ok((parsed, prepared))
}

/// The subcommand for one fetcher. Its parameters come first, because they are what help is asked for.
fn with_parameters(
    generic: &clap::Command,
    fetcher: &str,
    description: &FetcherDescription,
) -> clap::Command {
    let name = generic.get_name().to_owned();
    let mut required = match (name.as_str(), description.needs_no_hash()) {
        ("run", false) => " --hash <HASH>".to_owned(),
        _ => String::new(),
    };
    for input in description.inputs.keys() {
        required.push_str(&format!(" --input {input}=<PATH>"));
    }
    let needed = params::needed_flags(&description.parameters);
    let command = params::add_flags(clap::Command::new(name.clone()), &description.parameters);
    let command = match name.as_str() {
        "run" => RunArgs::augment_args(command),
        _ => PrefetchArgs::augment_args(command),
    };
    command
        .mut_arg("fetcher", |fetcher| fetcher.hide(true))
        .about(format!("{fetcher}: {}", description.summary))
        .override_usage(format!(
            "nix-fetchhost {name} {fetcher}{needed} [PARAMETERS]{required} [OPTIONS]"
        ))
        .after_help(args::FETCH_HELP)
}

async fn dispatch(
    printer: Printer,
    command: &Command,
    matches: &ArgMatches,
    prepared: Option<Prepared>,
) -> Result<(), Failure> {
    let (context, selected) = match prepared {
        Some(Prepared { context, selected }) => (Context { printer, ..context }, Some(selected)),
        // A build must not fail because of it.
        None if matches!(command, Command::Cache(CacheCommand::Push(args)) if args.post_build_hook) => {
            (Context::even_if_broken(printer), None)
        }
        None if matches!(command, Command::Doctor) => (Context::even_if_broken(printer), None),
        None => (Context::new(printer)?, None),
    };
    let context = &context;
    let own = || matches.subcommand().map_or(matches, |(_, own)| own);
    match command {
        Command::Run(args) => commands::run::run(context, selected, args, own()).await,
        Command::Prefetch(args) => {
            commands::prefetch::prefetch(context, selected, args, own()).await
        }
        Command::Exec(args) => commands::exec::exec(context, args).await,
        Command::Serve(args) => commands::serve::serve(context, args).await,
        Command::Realise(args) => commands::realise::realise(context, args).await,
        Command::Fetcher(FetcherCommand::List { .. }) => {
            commands::fetcher::list::list(context).await
        }
        Command::Fetcher(FetcherCommand::Inspect { fetcher, .. }) => {
            commands::fetcher::inspect::inspect(context, fetcher).await
        }
        Command::Config(ConfigCommand::Check) => commands::config::check::check(context).await,
        Command::Config(ConfigCommand::Path) => commands::config::path::path(context),
        Command::Config(ConfigCommand::Show) => commands::config::show::show(context),
        Command::Credential(CredentialCommand::List { .. }) => {
            commands::credential::list::list(context)
        }
        Command::Credential(CredentialCommand::Set {
            name,
            origin,
            scheme,
        }) => commands::credential::set::set(context, name, origin, scheme.as_deref()).await,
        Command::Credential(CredentialCommand::Remove { name }) => {
            commands::credential::remove::remove(context, name)
        }
        Command::Credential(CredentialCommand::Test { name, url }) => {
            commands::credential::test::test(context, name, url.as_deref()).await
        }
        Command::Grant(GrantCommand::List { .. }) => commands::grant::list::list(context),
        Command::Grant(GrantCommand::Add(args)) => commands::grant::add::add(context, args).await,
        Command::Grant(GrantCommand::Remove { module, origin }) => {
            commands::grant::remove::remove(context, module, origin).await
        }
        Command::Grant(GrantCommand::Explain {
            fetcher,
            origin,
            allow,
            credential,
        }) => commands::grant::explain::explain(context, fetcher, origin, allow, credential).await,
        Command::Key(command) => commands::key::key(context, command).await,
        Command::Memo(command) => commands::memo::memo(context, command).await,
        Command::Cache(command) => commands::cache::cache(context, command).await,
        Command::Lock(args) => commands::lock::lock(context, args).await,
        Command::Approve(args) => commands::approve::approve(context, args).await,
        Command::Log { ticket } => commands::log::log(context, ticket.as_deref()),
        Command::Doctor => commands::doctor::doctor(context).await,
        Command::Gc {
            unused_days,
            dry_run,
        } => commands::gc::gc(context, *unused_days, *dry_run),
        Command::Completions { shell } => commands::completions::completions(context, *shell),
        Command::Man { dir } => commands::man::man(context, dir.as_deref()),
        Command::Demo(args) => commands::demo::demo(context, args).await,
        Command::CompileWorker => Ok(()),
    }
}

fn printer(cli: &Cli) -> Printer {
    let verbosity = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Default,
        (false, _) => Verbosity::Verbose,
    };
    let json = match &cli.command {
        Command::Run(args) => args.fetch.json,
        Command::Prefetch(args) => args.fetch.json,
        Command::Realise(args) => args.json,
        Command::Cache(CacheCommand::Info { json, .. }) => *json,
        Command::Cache(CacheCommand::Sign(args)) => args.json,
        Command::Cache(CacheCommand::Verify(args)) => args.json,
        Command::Cache(CacheCommand::Gc(args)) => args.json,
        Command::Cache(CacheCommand::Push(args)) => args.json,
        Command::Fetcher(FetcherCommand::List { json } | FetcherCommand::Inspect { json, .. }) => {
            *json
        }
        Command::Key(KeyCommand::List { json })
        | Command::Memo(MemoCommand::List { json })
        | Command::Credential(CredentialCommand::List { json })
        | Command::Grant(GrantCommand::List { json }) => *json,
        _ => false,
    };
    Printer {
        verbosity,
        json,
        internal_json: cli.global.log_format == LogFormat::InternalJson,
    }
}

/// A printer for what fails before the command line is understood; `--json` holds there too.
fn printer_before_parsing(argv: &[OsString]) -> Printer {
    Printer {
        verbosity: Verbosity::Default,
        json: argv
            .iter()
            .take_while(|word| *word != "--")
            .any(|word| word == "--json"),
        internal_json: trace::global(argv).log_format == LogFormat::InternalJson,
    }
}

fn report_parsing(
    argv: &[OsString],
    prepared: Option<&Prepared>,
    message: &clap::Error,
) -> ExitStatus {
    if !message.use_stderr() {
        // Nothing can be done when stdout is gone.
        let _ = message.print();
        return ExitStatus::Success;
    }
    let printer = printer_before_parsing(argv);
    let description = prepared.and_then(|prepared| prepared.selected.description().ok());
    if let Some(failure) = mistyped::failure(argv, description, message) {
        printer.failure(&failure);
    } else if printer.json {
        let text = message.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        printer.failure(&Failure::usage(text));
    } else {
        let _ = message.print();
    }
    ExitStatus::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_module_can_name_a_parameter_like_a_flag_of_ours() {
        let mut command = Cli::command();
        command.build();
        for name in WITH_FETCHER.into_iter().chain(["exec"]) {
            let subcommand = command.find_subcommand(name).unwrap();
            for flag in subcommand.get_arguments().filter_map(clap::Arg::get_long) {
                // After FETCHER, `--version` is a parameter.
                assert!(
                    fetchhost_policy::describe::RESERVED_FLAGS.contains(&flag) || flag == "version",
                    "{flag}"
                );
            }
        }
    }
}
