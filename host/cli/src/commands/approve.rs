//! `nix-fetchhost approve`

mod digests;

use std::path::Path;

use fetchhost_gateway::{Approval, Approvals, LockFile, Locked, approval_name};
use fetchhost_policy::{Broker, printable};

use crate::args::ApproveArgs;
use crate::catalog::ByName;
use crate::commands::lock;
use crate::commands::serve::APPROVALS_FOLDER;
use crate::context::Context;
use crate::failure::Failure;
use crate::fetching::effective_origin;
use crate::journal;
use crate::params;
use crate::unattended::escaped;
use crate::wishes::check_public;

/// What to do about a file that is no lock file.
const NAMED: &str =
    "name the lock file that `nix-fetchhost lock` writes, such as fetches.lock.json";

/// Lets builds of the Nix daemon have what lock files name, or a key sign certain contents; takes that back, or
/// lists it.
pub(crate) async fn approve(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    // The files may be anybody's, and messages speak of them.
    match &args.key {
        Some(key) => digests::approve(context, args, key).await,
        None => approve_all(context, args).await.map_err(escaped),
    }
}

async fn approve_all(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    let Some(state) = &context.environment.state else {
        return Err(Failure::usage("there is no folder to keep approvals in")
            .with_hint("set HOME or XDG_STATE_HOME"));
    };
    journal::make_folder(state).map_err(|error| {
        Failure::usage(format!("`{}` cannot be made: {error}", state.display()))
    })?;
    let approvals = Approvals::new(state.join(APPROVALS_FOLDER));
    if args.list {
        return list(context, &approvals);
    }
    let fetchers = ByName::new(context.engine()?);
    for file in &args.what {
        if args.withdraw {
            withdraw(context, &approvals, file)?;
        } else {
            approve_one(context, &fetchers, &approvals, file).await?;
        }
    }
    Ok(())
}

async fn approve_one(
    context: &Context,
    fetchers: &ByName,
    approvals: &Approvals,
    file: &Path,
) -> Result<(), Failure> {
    let place = name_of(file)?;
    // What is approved under a name is read by that name.
    let lock = lock::read(Path::new(&place), NAMED)?.ok_or_else(|| {
        Failure::usage(format!("there is no `{}`", file.display())).with_hint(
            match file.to_str().is_some_and(digests::is_one) {
                true => "add `--key NAME` to have that key sign the content with this digest",
                false => "`nix-fetchhost lock` makes it from fetches.toml",
            },
        )
    })?;
    // All of it is looked at before any of it is approved.
    let mut lines = Vec::new();
    for (name, locked) in &lock.fetches {
        let line = look(context, fetchers, locked)
            .await
            .map_err(|failure| Failure {
                message: format!("`{name}` of `{}`: {}", file.display(), failure.message),
                ..failure
            })?;
        lines.push(format!("{name}: {line}"));
    }
    for line in lines {
        context.printer.note(&line);
    }
    let count = lock.fetches.len();
    let approval = Approval {
        file: place,
        time: journal::now(),
        lock,
    };
    approvals
        .approve(&approval)
        .map_err(|error| Failure::usage(format!("the approval cannot be written: {error}")))?;
    context.printer.note(&format!(
        "approved {count} fetches of {}, as they are now",
        printable(&approval.file)
    ));
    Ok(())
}

/// What a fetch is, for whoever approves it.
async fn look(context: &Context, fetchers: &ByName, locked: &Locked) -> Result<String, Failure> {
    let fetch = &locked.fetch;
    let selected = fetchers.select(&fetch.fetcher).await?;
    let description = selected.description()?;
    let params = params::validate(&description.parameters, fetch.params.clone(), "")?;
    // So that all of them can be shown.
    check_public(&params)?;
    let origin = effective_origin(&selected, &params)?;
    let whom = match &origin {
        Some(origin) => {
            let config = &context.settings.config;
            let broker = Broker::new(
                selected.id.clone(),
                &selected.fetcher,
                description,
                config,
                None,
            )?;
            match broker.explain(origin).denial {
                None => format!(" of {origin}"),
                Some(_) => format!(" of {origin} (which no grant reaches yet)"),
            }
        }
        None => String::new(),
    };
    let params = serde_json::Value::Object(params).to_string();
    Ok(format!(
        "{}{whom} as {}\n  {}",
        fetch.fetcher,
        fetch.output.store_path(),
        printable(&params)
    ))
}

fn withdraw(context: &Context, approvals: &Approvals, file: &Path) -> Result<(), Failure> {
    let name = name_of(file)?;
    // A name that `--list` lists is one, whatever has become of the folders in it.
    let typed = file.to_str().filter(|typed| *typed != name);
    let mut is_any = false;
    for name in typed.into_iter().chain([name.as_str()]) {
        let is_withdrawn = approvals.withdraw(name).map_err(|error| {
            Failure::usage(format!(
                "the approval of `{name}` cannot be removed: {error}"
            ))
        })?;
        if is_withdrawn {
            let text = format!("{} is no longer approved", printable(name));
            context.printer.note(&text);
            is_any = true;
        }
    }
    if is_any {
        return Ok(());
    }
    Err(Failure::usage(format!("nothing of `{name}` is approved"))
        .with_hint("`nix-fetchhost approve --list` lists what is"))
}

fn list(context: &Context, approvals: &Approvals) -> Result<(), Failure> {
    let all = approvals
        .list()
        .map_err(|error| Failure::usage(error.to_string()))?;
    if all.is_empty() {
        context.printer.note("nothing is approved");
    }
    for Approval { file, time, lock } in all {
        context
            .printer
            .result(&format!("{}  {time}  {}", printable(&file), names(&lock)))?;
    }
    Ok(())
}

fn names(lock: &LockFile) -> String {
    let names: Vec<&str> = lock.fetches.keys().map(String::as_str).collect();
    names.join(" ")
}

fn name_of(file: &Path) -> Result<String, Failure> {
    approval_name(file)
        .map_err(|error| Failure::usage(format!("`{}` cannot be used: {error}", file.display())))
}
