//! `nix-fetchhost cache push`
//!
//! | | |
//! |---|---|
//! | `push URL PATH…` | now, and in the foreground |
//! | `push URL --post-build-hook` | queued, and pushed by another process in the background |
//! | `push URL --drain` | what is queued, in the foreground |

mod course;
mod drain;
mod hook;
mod plan;
mod queue;
mod report;

use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use fetchhost_cache::{Cache, CachePlace, Push};
use fetchhost_credentials::leave_no_core_file;
use fetchhost_formats::StorePath;
use fetchhost_sinks::{SinkError, Store, StoreReader, StoreUrl, StoreUrlError};

use crate::args::cache::PushArgs;
use crate::caches::{self, Purpose, Stopping};
use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::printer::Printer;

use course::Pushing;
use plan::Plan;
pub(crate) use report::PushReport;

/// How many paths are worked on at once where requests wait for a server, and for each processor where nothing
/// waits but for the disk.
const JOBS_OF_BUCKET: usize = 24;
const JOBS_OF_PROCESSOR: usize = 2;

/// The longest list of paths on stdin, in bytes: several hundred thousand of them.
const MAX_STDIN: u64 = 64 << 20;

/// Pushes what was named, or queues it, or pushes what was queued.
pub(crate) async fn push(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    if args.post_build_hook {
        hook::hook(context, args).await;
        return Ok(());
    }
    if args.drain {
        return drain::drain(context, args).await;
    }
    let typed = typed(args)?;
    let (cache, pusher) = (
        caches::of_command(context, &args.cache, Purpose::writing(!args.dry_run))?,
        Pusher::new(context, args)?,
    );
    let report = caches::work(move |stopping| {
        let reader = pusher.reader()?;
        let named = typed.iter().map(|path| reader.resolve(path));
        let named: Vec<_> = named.collect::<Result<_, _>>().map_err(of_store)?;
        let report = pusher.push(&cache, &reader, &named, stopping)?;
        // Also where all was there before.
        if !pusher.dry_run {
            cache.ensure_info()?;
        }
        Ok(report)
    })
    .await?;
    report.finish(context.printer, args.json)
}

/// What the user named.
fn typed(args: &PushArgs) -> Result<Vec<PathBuf>, Failure> {
    let mut typed = args.paths.clone();
    if args.stdin {
        let mut text = String::new();
        let stdin = std::io::stdin().lock();
        let read = stdin.take(MAX_STDIN + 1).read_to_string(&mut text);
        read.map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
        if text.len() as u64 > MAX_STDIN {
            return Err(Failure::usage(format!(
                "more than {} MiB of paths are on stdin",
                MAX_STDIN >> 20
            )));
        }
        let lines = text.lines().map(str::trim);
        typed.extend(lines.filter(|line| !line.is_empty()).map(PathBuf::from));
    } else if typed.is_empty() {
        return Err(
            Failure::usage("nothing is named: neither a PATH nor `--stdin`").with_hint(
                "for example `nix-fetchhost cache push URL ./result`; the cache comes first",
            ),
        );
    }
    Ok(typed)
}

/// How to push, as it was typed.
#[derive(Clone)]
struct Pusher {
    printer: Printer,
    store: Store,
    jobs: Option<NonZeroUsize>,
    closure: bool,
    only_content_addressed: bool,
    dry_run: bool,
}

impl Pusher {
    fn new(context: &Context, args: &PushArgs) -> Result<Self, Failure> {
        let url = match &args.store {
            None => StoreUrl::Auto,
            Some(text) => text.parse().map_err(|error: StoreUrlError| {
                Failure::usage(with_causes(&error)).with_hint(
                    "a store is `auto`, `daemon`, `unix:///SOCKET`, `local` or `local?root=/DIR`",
                )
            })?,
        };
        Ok(Self {
            printer: context.printer,
            store: Store::new(url),
            jobs: args.jobs.and_then(|jobs| NonZeroUsize::new(jobs.into())),
            closure: !args.no_closure,
            only_content_addressed: args.only_content_addressed,
            dry_run: args.dry_run,
        })
    }

    fn reader(&self) -> Result<StoreReader, Failure> {
        StoreReader::open(self.store.clone()).map_err(of_store)
    }

    /// Pushes these paths. What one of them met is in the report.
    fn push(
        &self,
        cache: &Cache,
        reader: &StoreReader,
        named: &[StorePath],
        stopping: &Stopping,
    ) -> Result<PushReport, Failure> {
        leave_no_core_file();
        let keys = cache.read_keys()?;
        // Before the store is asked: it may take a while.
        cache.check_store_dir()?;
        let closure = reader.closure(named).map_err(of_store)?;
        let pushing = Pushing::new(self.printer, reader, stopping);
        let push = Push {
            cache,
            keys: &keys,
            jobs: self.jobs.unwrap_or_else(|| jobs(cache)),
            dry_run: self.dry_run,
            course: &pushing,
        };
        let plan = Plan::new(self, &push, named, closure)?;
        pushing.begin(plan.offered.len());
        let outcomes = push.run(&plan.offered);
        pushing.finish();
        Ok(PushReport::new(cache.label(), &plan, outcomes?))
    }
}

/// How many paths are worked on at once unless the user says it.
fn jobs(cache: &Cache) -> NonZeroUsize {
    let jobs = match &cache.url().place {
        CachePlace::Bucket(_) => JOBS_OF_BUCKET,
        CachePlace::Folder(_) => {
            let processors = std::thread::available_parallelism();
            processors.map_or(1, NonZeroUsize::get) * JOBS_OF_PROCESSOR
        }
    };
    NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN)
}

/// What a store's error means.
fn of_store(error: SinkError) -> Failure {
    fetchhost_pipeline::Error::Sink(error).into()
}
