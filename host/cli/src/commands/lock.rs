//! `nix-fetchhost lock`

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fetchhost_formats::HashAlgorithm;
use fetchhost_gateway::{Approvals, FetchUrl, LockFile, Locked, StoreInputs, approval_name};
use fetchhost_pipeline::Expectation;
use indicatif::HumanBytes;

use crate::args::{DEFAULT_WISHES, LockArgs};
use crate::batch;
use crate::catalog::{ByName, Selected};
use crate::commands::serve::APPROVALS_FOLDER;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, meant, with_causes};
use crate::fetching::{Fetching, Request, Session, Wanted};
use crate::signing;
use crate::unattended::escaped;
use crate::wishes::{self, Wish, lock_place};

/// What to do about a lock file that is none.
const REMADE: &str =
    "`nix-fetchhost lock` writes lock files; remove this one, and it makes a new one";

/// Brings the lock file up to date: fetches what is new or wanted again, and drops what is no longer
/// wanted. With `--check` only says whether it is up to date.
pub(crate) async fn lock(context: &Context, args: &LockArgs) -> Result<(), Failure> {
    // Both files may be anybody's, and messages speak of them.
    lock_all(context, args).await.map_err(escaped)
}

async fn lock_all(context: &Context, args: &LockArgs) -> Result<(), Failure> {
    let place = lock_place(&args.file);
    let mut lock = read(&place, REMADE)?.unwrap_or_default();
    let wishes = wishes::read(&ByName::new(context.engine()?), &args.file).await?;
    if let Some(unknown) = args.update.iter().find(|name| !wishes.contains_key(*name)) {
        let failure = Failure::usage(format!(
            "`--update {unknown}`: there is no `[fetch.{unknown}]` in `{}`",
            args.file.display()
        ));
        let hint = meant(unknown, wishes.keys().map(String::as_str), || {
            let names: Vec<_> = wishes.keys().map(String::as_str).collect();
            format!("there are {}", names.join(", "))
        });
        return Err(match wishes.is_empty() {
            true => failure,
            false => failure.with_hint(hint),
        });
    }
    let gone: Vec<String> = lock
        .fetches
        .keys()
        .filter(|name| !wishes.contains_key(*name))
        .cloned()
        .collect();
    if args.check {
        let stale = wishes
            .iter()
            .filter(|(name, wish)| is_new(&lock, name, wish));
        let stale: Vec<_> = stale.map(|(name, _)| name.as_str()).collect();
        return checked(&args.file, &place, &stale, &gone);
    }
    let (mut wanted, mut again) = (Vec::new(), BTreeMap::new());
    for (name, wish) in wishes {
        let is_new = is_new(&lock, &name, &wish);
        if !is_new && !args.update_all && !args.update.contains(&name) {
            continue;
        }
        // What was locked of something else must not stay should the fetch fail.
        if let Some(locked) = lock.fetches.remove(&name)
            && !is_new
        {
            again.insert(name.clone(), locked);
        }
        wanted.push((name, wish));
    }
    for name in &gone {
        lock.fetches.remove(name);
        context.printer.note(&format!("{name}: no longer wanted"));
    }
    let of = wanted.len();
    if of == 0 && gone.is_empty() {
        let place = place.display();
        context.printer.note(&format!("`{place}` is up to date"));
    }
    let ended = batch::run(context, wanted, |wish, session| {
        fetch(context, wish, session, &args.to)
    })
    .await;
    let (done, failure) = batch::divide(ended, of);
    let mut changed = Vec::new();
    for (name, locked) in done {
        if again.remove(&name).as_ref() != Some(&locked) {
            changed.push(format!("{name} {}", locked.fetch.output.hash));
        }
        lock.fetches.insert(name, locked);
    }
    // An update that failed changes nothing.
    lock.fetches.extend(again);
    if write(&place, &lock)? {
        mention_approval(context, &place);
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    changed
        .iter()
        .try_for_each(|line| context.printer.result(line))
}

fn is_new(lock: &LockFile, name: &str, wish: &Wish) -> bool {
    lock.fetches.get(name).is_none_or(|locked| !wish.is(locked))
}

/// Fetches a wish, and returns what is locked of it.
async fn fetch(
    context: &Context,
    wish: Wish,
    session: Session,
    to: &[String],
) -> Result<(Locked, String), Failure> {
    let request = Request {
        params: wish.params.clone(),
        output: &wish.output,
        remembering: None,
        inputs: signing::none(wish.selected.description()?)?,
        // The file may be anybody's: only the configuration grants.
        consent: None,
        expectation: Expectation::Unknown(HashAlgorithm::Sha256),
        wanted: Wanted {
            to,
            refetch: true,
            ..Wanted::default()
        },
    };
    let selected = Selected::clone(&wish.selected);
    let fetching = Fetching::prepare(context, &session, selected, request)?;
    let fetcher = wish.selected.fetcher.clone();
    let (outcome, _) = fetching.run(context, &fetcher, None, None).await?;
    let verified = outcome.verified.ok_or_else(|| {
        Failure::usage("nothing was fetched, so that no hash is known; this is a defect")
    })?;
    let locked = Locked {
        nar_hash: verified.nar_hash().clone(),
        nar_size: verified.nar_size(),
        fetch: FetchUrl {
            fetcher,
            output: outcome.output,
            params: wish.params,
            inputs: StoreInputs::default(),
            executable: wish.output.executable,
            owner: None,
        },
    };
    let line = format!(
        "{}, {}",
        locked.fetch.output.hash,
        HumanBytes(locked.nar_size)
    );
    Ok((locked, line))
}

/// The lock file at `place`; none when it is not there. `remedy` is what to do where it is something else.
pub(crate) fn read(place: &Path, remedy: &str) -> Result<Option<LockFile>, Failure> {
    if std::fs::symlink_metadata(place).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let text = wishes::text(place)?;
    LockFile::parse(&text).map(Some).map_err(|error| {
        Failure::usage(format!("`{}`: {}", place.display(), with_causes(&error))).with_hint(remedy)
    })
}

/// Writes the lock file, whole or not at all, unless it is the same already.
fn write(place: &Path, lock: &LockFile) -> Result<bool, Failure> {
    let text = lock.text();
    if wishes::text(place).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    let written = || -> std::io::Result<()> {
        // The file that a link leads to is the one to be replaced.
        let place = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let folder = place
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&place)?;
        Ok(())
    };
    written().map(|()| true).map_err(|error| {
        let failure = Failure::usage(format!("`{}` cannot be written: {error}", place.display()));
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                failure.with_hint("its folder has to be writable: a new file is put in its place")
            }
            _ => failure,
        }
    })
}

fn checked(file: &Path, place: &Path, stale: &[&str], gone: &[String]) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    if !stale.is_empty() {
        wrong.push(format!("new or changed: {}", stale.join(", ")));
    }
    if !gone.is_empty() {
        wrong.push(format!("no longer wanted: {}", gone.join(", ")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure {
        status: ExitStatus::FetchFailed,
        kind: "stale-lock",
        ..Failure::usage(format!(
            "`{}` is not up to date: {}",
            place.display(),
            wrong.join("; ")
        ))
    }
    .with_hint(if file == Path::new(DEFAULT_WISHES) {
        "run `nix-fetchhost lock`".to_owned()
    } else {
        format!("run `nix-fetchhost lock --file {}`", file.display())
    }))
}

/// An approval is of what the file was before.
fn mention_approval(context: &Context, place: &Path) {
    let Some(state) = &context.environment.state else {
        return;
    };
    let Ok(name) = approval_name(place) else {
        return;
    };
    let approvals = Approvals::new(state.join(APPROVALS_FOLDER)).list();
    if approvals.is_ok_and(|all| all.iter().any(|approval| approval.file == name)) {
        context.printer.note(&format!(
            "approved is what it was before; `nix-fetchhost approve {}` approves what it is now",
            place.display()
        ));
    }
}
