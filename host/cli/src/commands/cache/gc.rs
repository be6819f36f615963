//! `nix-fetchhost cache gc`

pub(crate) mod report;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use fetchhost_cache::{CachePlace, HashPart, Keep, Plan, Work, collect, plan};
use fetchhost_policy::printable;

use super::bar::Bar;
use super::paths::store_path;
use crate::args::cache::GcArgs;
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;

use report::GcReport;

/// How many records of a bucket are read at once.
const BUCKET_JOBS: usize = 16;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Says what nobody needs in a cache, and takes it away if that is asked for.
pub(crate) async fn gc(context: &Context, args: &GcArgs) -> Result<(), Failure> {
    let now = SystemTime::now();
    let before = |unit: Duration, count: u32| {
        now.checked_sub(unit.saturating_mul(count))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let roots = roots(args)?;
    if args.keep_days == Some(0) && roots.is_none() {
        // A number that came out empty is more likely than the wish to lose everything.
        return Err(
            Failure::usage("`--keep-days 0` without roots keeps nothing")
                .with_hint("say how many days, or name what is to stay with `--root`"),
        );
    }
    let keep = Keep {
        roots,
        since: args.keep_days.map(|days| before(DAY, days)),
        young: before(HOUR, args.orphan_hours),
        ignore_damaged: args.ignore_damaged,
    };
    let cache = caches::of_command(context, &args.cache, Purpose::writing(args.delete))?;
    let jobs = args.jobs.map_or_else(
        || match cache.url().place {
            CachePlace::Folder(_) => {
                available_parallelism().map_or(2, |cores| 2 * usize::from(cores))
            }
            CachePlace::Bucket(_) => BUCKET_JOBS,
        },
        usize::from,
    );
    let (printer, is_deleting) = (context.printer, args.delete);
    let report = caches::work(move |stopping| {
        cache.check_store_dir()?;
        let reading = Bar::new(printer, "read");
        let work = Work {
            jobs,
            stop: &|| stopping.is_asked_for(),
            progress: &|done, total| reading.at(done, total),
        };
        caches::info(&cache)?;
        let planned = plan(&cache, &keep, &work);
        reading.finish();
        // It was stopped, which is told elsewhere.
        let Some(planned) = planned? else {
            return Ok(None);
        };
        for name in names(&planned) {
            printer.detail(&printable(&name));
        }
        let report = GcReport::new(&cache, &planned);
        if !is_deleting {
            return Ok(Some(report));
        }
        let deleting = Bar::new(printer, "took away");
        let work = Work {
            progress: &|done, total| deleting.at(done, total),
            ..work
        };
        let collected = collect(&cache, planned, &keep, &work);
        deleting.finish();
        Ok(Some(report.done(collected?)))
    })
    .await?;
    let Some(report) = report else {
        return Ok(());
    };
    if args.json {
        context.printer.json(&report)?;
    } else {
        context.printer.result(report.to_string().trim_end())?;
        for warning in report.warnings() {
            context.printer.warning(&warning);
        }
    }
    report.verdict()
}

/// All that can go, by name.
fn names(plan: &Plan) -> impl Iterator<Item = String> {
    let records = plan
        .records
        .iter()
        .map(|(hash, _)| format!("{}.narinfo", hash.as_str()));
    let others = [&plan.listings, &plan.nars, &plan.temporary];
    let others = others
        .into_iter()
        .flat_map(|some| some.iter().map(|(key, _)| key.to_string()));
    let uploads = plan.uploads.iter();
    let uploads = uploads.map(|upload| format!("{} (unfinished upload)", upload.key));
    records.chain(others).chain(uploads)
}

/// What was given as roots; none when nothing was.
fn roots(args: &GcArgs) -> Result<Option<BTreeSet<HashPart>>, Failure> {
    let mut typed = args.root.clone();
    if let Some(file) = &args.roots_from {
        let text = read(file).map_err(|error| {
            let file = printable(&file.to_string_lossy()).into_owned();
            Failure::usage(format!("cannot read the roots from `{file}`: {error}"))
        })?;
        let lines = text.lines().map(str::trim);
        typed.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if typed.is_empty() {
        return match &args.roots_from {
            // An empty list is more likely a mistake than the wish to lose everything.
            Some(_) => Err(
                Failure::usage("there are no roots in what `--roots-from` names")
                    .with_hint("without any root all entries would go"),
            ),
            None => Ok(None),
        };
    }
    let paths = typed.iter().map(|path| store_path(path));
    let roots = paths.map(|path| path.map(|path| HashPart::of(&path)));
    roots.collect::<Result<_, _>>().map(Some)
}

fn read(file: &Path) -> io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file)
}
