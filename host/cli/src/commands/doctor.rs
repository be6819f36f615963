//! `nix-fetchhost doctor`

mod credentials;
mod gateway;
mod keys;
mod network;
mod nix;

use std::path::Path;

use fetchhost_engine::Engine;

use crate::catalog;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::misnamed::misnamed;

/// What one check found.
enum Finding {
    /// All is well.
    Good(String),
    /// Something is missing that not everybody needs, or only the user can judge it.
    Note(String),
    /// Something is wrong: what, and what to do.
    Bad(String, String),
}

/// What was found, with the subject that it is about.
type Checks = Vec<(&'static str, Finding)>;

/// Looks at what fetching depends on, and says what is wrong and what to do. No secret is shown, no
/// question is asked, and nobody but this machine's own Nix, gateway, agents and tokens is contacted.
///
/// With a configuration that is broken, the checks that need it are left out.
pub(crate) async fn doctor(context: &Context) -> Result<(), Failure> {
    let engine = context.engine();
    // Without an engine the modules are told to be at fault.
    let misnamed = match &engine {
        Ok(engine) => misnamed(engine, &context.settings.config)
            .await
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let mut checks: Checks = match misnamed.is_empty() {
        true => vec![("configuration", configuration(context))],
        false => misnamed
            .into_iter()
            .map(|failure| ("configuration", bad(failure)))
            .collect(),
    };
    checks.extend([
        ("modules", modules(engine).await),
        ("compiled modules", compiled(context)),
        ("temporary files", temporary(&context.environment.tmp)),
        (
            "authorities",
            network::authorities(&context.environment.authorities),
        ),
        ("proxies", network::proxies(context.proxies())),
    ]);
    checks.extend(credentials::check(context));
    checks.extend(keys::check(context).await);
    let version = nix::version();
    checks.push(("nix", nix::program(version.as_deref())));
    checks.push(("store", nix::store()));
    checks.extend(gateway::check(context, version.as_deref()).await);
    let mut bad = 0;
    for (subject, finding) in checks {
        let line = match finding {
            Finding::Good(text) => format!("good  {subject}: {text}"),
            Finding::Note(text) => format!("note  {subject}: {text}"),
            Finding::Bad(text, remedy) => {
                bad += 1;
                format!("BAD   {subject}: {text}\n      {remedy}")
            }
        };
        context.printer.result(&line)?;
    }
    if bad == 0 {
        return Ok(());
    }
    Err(Failure {
        status: ExitStatus::FetchFailed,
        ..Failure::usage(format!("{bad} of the checks found something wrong"))
    })
}

fn configuration(context: &Context) -> Finding {
    if let Some(failure) = &context.broken {
        let remedy = failure.hint.clone().unwrap_or_else(|| {
            "correct it; until then no command that needs the configuration runs".to_owned()
        });
        return Finding::Bad(failure.message.clone(), remedy);
    }
    if context.environment.user_config.is_none() {
        return Finding::Note(
            "there is no home folder, so none of yours is read; set HOME or XDG_CONFIG_HOME"
                .to_owned(),
        );
    }
    let read: Vec<String> = context
        .settings
        .files
        .iter()
        .filter(|(_, present)| *present)
        .map(|(path, _)| path.display().to_string())
        .collect();
    if read.is_empty() {
        Finding::Note("no file; what is typed is what is granted".to_owned())
    } else {
        Finding::Good(read.join(", "))
    }
}

fn bad(failure: Failure) -> Finding {
    let remedy = failure.hint.unwrap_or_else(|| "correct it".to_owned());
    Finding::Bad(failure.message, remedy)
}

async fn modules(engine: Result<Engine, Failure>) -> Finding {
    let loaded = match engine {
        Ok(engine) => catalog::builtins(&engine).await,
        Err(failure) => Err(failure),
    };
    match loaded {
        Ok(modules) => {
            let fetchers: usize = modules
                .iter()
                .map(|one| one.module.description().fetchers.len())
                .sum();
            Finding::Good(format!(
                "{} built in, with {fetchers} fetchers",
                modules.len()
            ))
        }
        Err(failure) => Finding::Bad(
            failure.message,
            "this is a defect of the build; please report it".to_owned(),
        ),
    }
}

fn compiled(context: &Context) -> Finding {
    match context.compiled_modules() {
        None => Finding::Note("not kept, because there is no home folder; set HOME or XDG_CACHE_HOME".to_owned()),
        Some(folder) => match std::fs::read_dir(&folder) {
            Ok(entries) => Finding::Good(format!("{} files in {}", entries.count(), folder.display())),
            Err(error) => Finding::Bad(
                format!("`{}`: {error}", folder.display()),
                "modules are compiled again at each start until this folder is yours alone (mode 0700)".to_owned(),
            ),
        },
    }
}

fn temporary(folder: &Path) -> Finding {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Finding::Good(folder.display().to_string()),
        Err(error) => Finding::Bad(
            format!("`{}` cannot be written: {error}", folder.display()),
            "name another folder in TMPDIR".to_owned(),
        ),
    }
}
