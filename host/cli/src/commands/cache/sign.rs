//! `nix-fetchhost cache sign`
//!
//! Which records may be signed is decided in `fetchhost_cache`; here is who is asked, and what is told.

mod local;
mod records;
mod report;

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fetchhost_cache::{Cache, CacheError, CachePlace, SignedRecord, Signing};
use fetchhost_credentials::leave_no_core_file;
use fetchhost_formats::{PublicKey, SigningKey};
use fetchhost_policy::printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::cache::SignArgs;
use crate::caches::{self, Purpose, Stopping};
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial};
use crate::printer::{Printer, Verbosity};
use crate::progress::BAR_INTERVAL;

use super::keys;
use local::LocalStore;
use records::Wanted;
pub(crate) use report::SignReport;

/// How many records of a bucket are looked at at once: each waits for the network most of the time.
const BUCKET_JOBS: usize = 16;

/// Signs what is in a cache already.
pub(crate) async fn sign(context: &Context, args: &SignArgs) -> Result<(), Failure> {
    leave_no_core_file();
    let mut url = caches::url_of(&args.cache)?;
    url.writing.secret_keys.extend(args.key.iter().cloned());
    if url.writing.secret_keys.is_empty() {
        return Err(Failure::usage("there is no key to sign with").with_hint(
            "name its file with `--key FILE`; `nix-fetchhost key generate NAME FILE` makes one",
        ));
    }
    let trusted = keys::trusted(&args.trusted_key)?;
    let store = LocalStore::of(args)?;
    let cache = caches::of_url(context, url, Purpose::writing(!args.dry_run))?;
    let jobs = match (args.jobs, &cache.url().place) {
        (Some(jobs), _) => jobs.get().into(),
        (None, CachePlace::Bucket(_)) => BUCKET_JOBS,
        (None, CachePlace::Folder(_)) => {
            2 * std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
        }
    };
    let label = cache.label();
    if args.unverified {
        context.printer.warning(&format!(
            "with `--unverified` what nothing proves is signed as well: whoever can write to `{label}` decides what your keys vouch for, and no signature can be taken back"
        ));
    }
    let work = Work {
        printer: context.printer,
        paths: args.path.clone(),
        unverified: args.unverified,
        verify: args.verify,
        dry_run: args.dry_run,
        jobs,
        cache,
        trusted,
        store,
    };
    let done = caches::work(move |stopping| work.run(stopping)).await?;
    tell(context.printer, args, &label, done)
}

/// All that is needed to sign.
struct Work {
    printer: Printer,
    paths: Vec<std::path::PathBuf>,
    unverified: bool,
    verify: bool,
    dry_run: bool,
    jobs: usize,
    cache: Cache,
    trusted: Vec<PublicKey>,
    store: LocalStore,
}

/// What was done, and why no more.
struct Done {
    records: Vec<(Wanted, SignedRecord)>,
    /// How many NARs were read.
    nars_read: usize,
    /// Why no store was asked, where one might have been.
    no_store: Option<String>,
    /// What ended it before its time.
    failure: Option<Failure>,
}

impl Work {
    fn run(&self, stopping: &Stopping) -> Result<Done, Failure> {
        caches::info(&self.cache)?;
        self.cache.check_store_dir()?;
        let keys: Vec<SigningKey> = self.cache.read_keys().map_err(unreadable)?;
        self.store.open_if_named()?;
        let ask = |path: &_| self.store.ask(path);
        let mut signing = Signing::new(&self.cache, &keys, &self.trusted, &ask);
        signing.unverified = self.unverified;
        signing.verify = self.verify;
        signing.dry_run = self.dry_run;
        signing.check_place()?;
        let wanted = if self.paths.is_empty() {
            records::all(&self.cache)?
        } else {
            records::of(&self.paths, &self.store)?
        };

        let (records, failed) = self.sign_all(&signing, wanted, stopping);
        let settled = self.cache.objects().settle();
        let failure = failed.or(settled.err()).map(Failure::from);
        let (no_store, store_failure) = self.store.troubles();
        Ok(Done {
            records,
            nars_read: signing.nars_read(),
            no_store,
            failure: failure.or(store_failure),
        })
    }

    /// Signs in parallel; the first error of the cache lets nothing more begin.
    fn sign_all(
        &self,
        signing: &Signing<'_>,
        wanted: Vec<Wanted>,
        stopping: &Stopping,
    ) -> (Vec<(Wanted, SignedRecord)>, Option<CacheError>) {
        let bar = self.bar(wanted.len());
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::with_capacity(wanted.len()));
        let failed = Mutex::new(None);
        let work = || {
            while !stopping.is_asked_for() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(one) = wanted.get(index) else {
                    return;
                };
                match signing.sign(&one.hash_part, one.path.as_ref()) {
                    Ok(outcome) => {
                        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                        outcomes.push((index, outcome));
                    }
                    Err(error) => {
                        next.store(wanted.len(), Ordering::Relaxed);
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.get_or_insert(error);
                    }
                }
                if let Some(bar) = &bar {
                    bar.inc(1);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(wanted.len()) {
                scope.spawn(work);
            }
        });
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let mut outcomes = outcomes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(index, _)| *index);
        let mut wanted = wanted.into_iter().enumerate();
        // Both are in the same order.
        let records = outcomes.into_iter().filter_map(|(index, outcome)| {
            let (_, one) = wanted.find(|(at, _)| *at == index)?;
            Some((one, outcome))
        });
        (
            records.collect(),
            failed.into_inner().unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn bar(&self, total: usize) -> Option<ProgressBar> {
        let is_drawn = self.printer.verbosity >= Verbosity::Default
            && !self.printer.internal_json
            && std::io::stderr().is_terminal();
        is_drawn.then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(total as u64), target);
            // The template is a constant; should it ever be wrong, indicatif's own style serves.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} of {len} records") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(BAR_INTERVAL);
            bar
        })
    }
}

/// Tells what was done, and what was not.
fn tell(printer: Printer, args: &SignArgs, label: &str, done: Done) -> Result<(), Failure> {
    let report = SignReport::new(label, args.dry_run, &done.records, done.nars_read);
    if let Some(reason) = &done.no_store {
        printer.note(&format!("no store was asked: {reason}"));
    }
    for (path, why) in report.reasons() {
        let done = if args.dry_run {
            "would be signed"
        } else {
            "signed"
        };
        let line = format!("{path}  {done}: {why}");
        match args.dry_run && !args.json {
            true => printer.result(&line)?,
            false => printer.detail(&line),
        }
    }
    for (record, reason) in report.skips() {
        printer.error(&format!(
            "`{}` is not signed: {}",
            printable(&record),
            printable(reason)
        ));
    }
    let failure = done.failure.or_else(|| report.failure());
    let Some(failure) = failure else {
        return match args.json {
            true => printer.json(&report),
            false => printer.result(&report.summary()),
        };
    };
    printer.note(&report.summary());
    Err(Failure {
        done: Some(Box::new(Partial::Signed(report))),
        ..failure
    })
}

/// A key that cannot be read may have been named outside of the URL.
fn unreadable(error: CacheError) -> Failure {
    let is_file = matches!(error, CacheError::SecretKeyFile { .. });
    let failure = Failure::from(error);
    match is_file {
        true => failure.with_hint("name a readable file with `--key FILE`"),
        false => failure,
    }
}

/// Some records were not signed.
fn unsigned(skipped: usize, of: usize) -> Failure {
    Failure {
        status: ExitStatus::FetchFailed,
        kind: "unproved",
        ..Failure::usage(format!(
            "{skipped} of {of} records were not signed; the reasons are above"
        ))
    }
}
