//! What Nix runs after each build: it may neither wait for a cache nor fail because of one.

use std::process::{Command, Stdio};
use std::time::Duration;

use fetchhost_formats::StorePath;
use fetchhost_policy::printable;

use super::Pusher;
use super::queue::Queue;
use crate::args::cache::PushArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::realise::closure;

/// Where Nix names what it built.
const OUT_PATHS: &str = "OUT_PATHS";
/// Where it names what that was built from.
const DRV_PATH: &str = "DRV_PATH";

/// How long Nix may take to keep the garbage collector from a build's outputs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Queues what was built, and sees to it that somebody pushes it. What goes wrong is told, and no more.
pub(super) async fn hook(context: &Context, args: &PushArgs) {
    if let Err(failure) = queue(context, args).await {
        let hint = failure.hint.map(|hint| format!(" ({hint})"));
        context.printer.warning(&format!(
            "what was built is not pushed: {}{}",
            failure.message,
            hint.unwrap_or_default()
        ));
    }
}

async fn queue(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    let pusher = Pusher::new(context, args)?;
    let paths = built(&pusher)?;
    if paths.is_empty() {
        return Ok(());
    }
    let queue = Queue::open(context, args)?;
    // First the entry: roots without one are taken away.
    let entry = queue.add(&paths)?;
    let rooting = {
        let (queue, paths) = (queue.clone(), paths.clone());
        tokio::task::spawn_blocking(move || root(&pusher, &queue, &paths))
    };
    let problem = match tokio::time::timeout(PATIENCE, rooting).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(failure))) => Some(failure.message),
        Ok(Err(_)) | Err(_) => Some("Nix does not answer".to_owned()),
    };
    if let Some(problem) = problem {
        context.printer.warning(&format!(
            "the garbage collector may take what was built before it is pushed: {problem}"
        ));
    }
    // Somebody was faster: then the roots serve nobody.
    if !entry.exists() {
        queue.remove_roots()?;
    }
    start(args, &queue)
}

/// What was built. Nix 2.8.0, and others where they build again, leave its list empty, and name only the
/// derivation: <https://github.com/NixOS/nix/issues/6446>.
fn built(pusher: &Pusher) -> Result<Vec<StorePath>, Failure> {
    let named = std::env::var(OUT_PATHS).map_err(|_| {
        Failure::usage(format!("`{OUT_PATHS}` is not set"))
            .with_hint("this is for Nix's setting `post-build-hook`")
    })?;
    let paths: Vec<_> = named
        .split_ascii_whitespace()
        .map(|text| parsed(OUT_PATHS, text))
        .collect::<Result<_, _>>()?;
    match std::env::var(DRV_PATH) {
        Ok(text) if paths.is_empty() && !text.is_empty() => {
            let path = parsed(DRV_PATH, &text)?;
            let place = pusher.store.place().map_err(super::of_store)?;
            let derivation = closure::read(&place.physical(&path), &path)
                .map_err(|reason| Failure::usage(format!("`{path}`: {reason}")))?;
            Ok(derivation.outputs().collect())
        }
        _ => Ok(paths),
    }
}

fn parsed(variable: &str, text: &str) -> Result<StorePath, Failure> {
    text.parse().map_err(|_| {
        let text = printable(text);
        Failure::usage(format!("`{text}` in `{variable}` is no store path"))
    })
}

/// Keeps the garbage collector from paths until they are pushed.
fn root(pusher: &Pusher, queue: &Queue, paths: &[StorePath]) -> Result<(), Failure> {
    let reader = pusher.reader()?;
    for path in paths {
        let added = reader.add_root(path, &queue.root(path));
        added.map_err(super::of_store)?;
    }
    Ok(())
}

/// Starts the process that pushes. It ends at once where another one does already.
fn start(args: &PushArgs, queue: &Queue) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!(
            "the process in the background cannot be started: {error}"
        ))
        .with_hint("what is queued is pushed after the next build, or by `--drain`")
    };
    let program = std::env::current_exe().map_err(failed)?;
    let log = queue.log()?;
    let mut command = Command::new(program);
    command.args(["cache", "push", "--drain", "--detached", "--queue"]);
    command.arg(queue.folder());
    if let Some(store) = &args.store {
        command.arg("--store").arg(store);
    }
    if let Some(jobs) = args.jobs {
        command.arg("--jobs").arg(jobs.to_string());
    }
    if args.only_content_addressed {
        command.arg("--only-content-addressed");
    }
    if args.cache.single_writer {
        command.arg("--single-writer");
    }
    command.arg("--").arg(&args.cache.url);
    command.env_remove(OUT_PATHS).env_remove(DRV_PATH);
    // Nix waits until nobody holds what this process writes to.
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .current_dir("/");
    command.spawn().map_err(failed)?;
    Ok(())
}
